"""An Iceberg table whose metadata Glue names: lost answers, other tables, settings that changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock import aws
from penstock.emulator.server import Emulator
from penstock.entries import Commit, Transaction
from penstock.errors import UsageError
from penstock.offline.iceberg import IcebergLog
from penstock.offline.iceberg_catalog import FolderCatalog, GlueTable, TableCatalog
from penstock.storage import LocalStorage
from tests.offline import SCHEMA, brought, keys, read, rows, written

STORAGE = LocalStorage()
FIRST = [("a", "2024-01-01T05:00:00Z"), ("b", "2024-01-01T06:30:00Z")]
SECOND = [("c", "2024-01-01T07:00:00Z")]


@pytest.fixture
def glue(tmp_path: Path) -> Iterator[Any]:
    """A Glue of its own."""
    with Emulator(data=tmp_path / "aws", region="us-east-1") as emulator:
        yield aws.client(
            aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file)), "glue"
        )


class Repeating:
    """A client whose updates arrive twice: the answer to the first is lost, botocore repeats it."""

    def __init__(self, glue: Any) -> None:
        self._glue = glue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._glue, name)

    def update_table(self, **request: Any) -> Any:
        """Both."""
        self._glue.update_table(**request)
        return self._glue.update_table(**request)


def _log(path: Path, catalog: TableCatalog) -> IcebergLog:
    return IcebergLog(str(path), STORAGE, catalog, "at", {"penstock.group": "readings"})


def _of_glue(path: Path, glue: Any, database: str = "lake") -> IcebergLog:
    return _log(path, GlueTable(glue, database, "readings", str(path), STORAGE))


def _append(log: IcebergLog, path: Path, n: int, pairs: list[tuple[str, str]]) -> None:
    parts = written(log, str(path), STORAGE, rows(n, pairs))
    assert log.append(parts, SCHEMA, Transaction(f"w{n}", 1))


def test_an_update_whose_answer_was_lost_is_not_taken_back(glue: Any, tmp_path: Path) -> None:
    """The repeated one meets its own; the table stays readable, appended to and taken out of."""
    path = tmp_path / "table"
    log = _of_glue(path, Repeating(glue))
    _append(log, path, 1, FIRST)
    assert keys(read(_of_glue(path, glue))) == FIRST
    _append(log, path, 2, SECOND)
    log.take_out(brought(1), len(FIRST))
    wide = SCHEMA.append(SCHEMA.field("level").with_name("more"))
    log.widen(wide)
    fresh = _of_glue(path, glue)
    assert keys(read(fresh)) == SECOND
    assert fresh.find(Transaction("w1", 1)) == Commit(2, 0, 1)


def test_another_database_or_setting_makes_no_second_table(glue: Any, tmp_path: Path) -> None:
    """It would hide the first: what to set back is said, and nothing was written."""
    path = tmp_path / "table"
    _append(_of_glue(path, glue), path, 1, FIRST)
    for other in (_of_glue(path, glue, "other"), _log(path, FolderCatalog(str(path), STORAGE))):
        with pytest.raises(UsageError, match="Iceberg table that this configuration does not find"):
            other.widen(SCHEMA)
    glue.delete_table(DatabaseName="lake", Name="readings")
    with pytest.raises(UsageError, match="register it by metadata/00001-"):
        _of_glue(path, glue).widen(SCHEMA)


def test_a_table_of_the_folder_is_not_registered_over(glue: Any, tmp_path: Path) -> None:
    """The other way round."""
    path = tmp_path / "table"
    _append(_log(path, FolderCatalog(str(path), STORAGE)), path, 1, FIRST)
    with pytest.raises(UsageError, match=r"register it by metadata/v2\.metadata\.json"):
        _of_glue(path, glue).widen(SCHEMA)


def test_a_table_of_another_kind_or_place_is_refused(glue: Any, tmp_path: Path) -> None:
    """One line, with what to set."""
    path = tmp_path / "table"
    glue.create_database(DatabaseInput={"Name": "lake"})
    glue.create_table(DatabaseName="lake", TableInput={"Name": "readings", "Parameters": {}})
    with pytest.raises(UsageError, match=r"lake\.readings is there and no Iceberg table"):
        _of_glue(path, glue).widen(SCHEMA)
    glue.delete_table(DatabaseName="lake", Name="readings")
    _append(_of_glue(path, glue), path, 1, FIRST)
    with pytest.raises(UsageError, match=r"lake\.readings lies at file://"):
        _of_glue(tmp_path / "elsewhere", glue).version()
