"""A field per test, on an embedded AWS of its own in this process or in another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock.aws import Endpoint
from penstock.emulator.server import Emulator
from tests.faults.field import TRANSPORTS, Field, field_on
from tests.lab import Lab
from tests.sessions import local_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    """An embedded AWS with a journal, on a thread of this process."""
    with Emulator(tmp_path / "aws", journal=True) as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The job's transport: each test that asks for it runs on both."""
    return {"transport": request.param}


@pytest.fixture
def make(emulator: Emulator, tmp_path: Path) -> Callable[..., Field]:
    """Makes a field on ``emulator`` with its group; arguments are fields of the job."""

    def made(**changes: Any) -> Field:
        endpoint = Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
        field = field_on(
            endpoint, tmp_path / "aws", tmp_path / "files", emulator.faults.clear, **changes
        )
        field.create()
        return field

    return made


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    """A session with Delta; it ends with the process."""
    return local_session()


@pytest.fixture
def lab(spark: SparkSession, emulator: Emulator, tmp_path: Path) -> Lab:
    """A laboratory whose embedded AWS keeps a journal."""
    return Lab(spark, emulator, tmp_path)
