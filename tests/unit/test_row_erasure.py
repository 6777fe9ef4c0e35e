"""Whatever the format of an offline table, and wherever it is registered, its rows go for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.entries import Transaction
from penstock.run.places import offline_path
from penstock.run.tables import row_erasure, table_log
from tests.offline import SCHEMA, keys, read, rows, written
from tests.readings import GROUP
from tests.unit.test_iceberg_erasure import said

pytestmark = pytest.mark.shows("6.7")
DAY = "2024-01-01T05:00:00Z"


@pytest.fixture
def glue() -> Iterator[Any]:
    """A client of a catalogue in this process."""
    with mock_aws():
        yield boto3.client("glue", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.mark.parametrize(
    ("form", "registered"),
    [("delta", False), ("hive", False), ("iceberg", False), ("iceberg", True)],
)
def test_rows_go_for_good(tmp_path: Path, glue: Any, form: str, *, registered: bool) -> None:
    """Others stay, and what was committed is known."""
    made = {
        "project": "lab",
        "lake": f"{tmp_path}/lake",
        "state": f"{tmp_path}/state",
        "aws": {"region": "us-east-1"},
        "offline": {"format": form},
        "catalog": {"register": registered, "database": "lab"},
    }
    settings = Settings.model_validate(made)
    path = offline_path(settings, GROUP.name)
    storage = storage_of(path, settings)

    def append(n: int, *names: str) -> None:
        log = table_log(settings, GROUP.name, GROUP.event_time, lambda: glue)
        parts = written(log, path, storage, rows(n, [(one, DAY) for one in names]))
        assert log.append(parts, SCHEMA, Transaction(f"w{n}", 1))

    append(1, "a", "secret")
    append(2, "secret")
    assert "secret" in said(Path(path))
    erasure = row_erasure(settings, GROUP, ["secret"], lambda: glue)
    erasure.check()
    assert (erasure.rows(), erasure.carry_out(), erasure.rows()) == (2, 2, 0)
    assert "secret" not in said(Path(path))
    append(1, "a", "secret")
    append(3, "b")
    log = table_log(settings, GROUP.name, GROUP.event_time, lambda: glue)
    assert keys(read(log)) == [("a", DAY), ("b", DAY)]
    assert row_erasure(settings, GROUP, ["secret"], lambda: glue).carry_out() == 0
