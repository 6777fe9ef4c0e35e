"""One Spark session for all of this folder, a laboratory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.emulator.server import Emulator
from tests.lab import Lab
from tests.sessions import local_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    """A session with Delta; it ends with the process."""
    return local_session()


@pytest.fixture
def lab(spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A laboratory with an empty embedded AWS; its parameter is the format of offline tables."""
    with Emulator(data=tmp_path / "aws", region="us-east-1") as emulator:
        yield Lab(spark, emulator, tmp_path, getattr(request, "param", "delta"))
