"""Commits to an Iceberg table in a folder: at most once, all rows or none, whoever else commits."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.table import StaticTable

from penstock.entries import Commit, Transaction
from penstock.errors import ContractError, MismatchError, TemporaryError, UsageError
from penstock.offline.iceberg import IcebergLog
from penstock.offline.iceberg_catalog import FolderCatalog
from penstock.offline.log import TableLog
from penstock.storage import LocalStorage
from tests.offline import SCHEMA, brought, keys, read, rows, written

FIRST = [
    ("a", "2024-01-01T05:00:00Z"),
    ("b", "2024-01-01T06:30:00Z"),
    ("a", "2024-01-02T00:00:00Z"),
]
SECOND = [("c", "2024-01-01T07:00:00Z")]
STORAGE = LocalStorage()


def log_at(path: Path) -> TableLog:
    """The log of a table in a folder."""
    catalog = FolderCatalog(str(path), STORAGE)
    return IcebergLog(str(path), STORAGE, catalog, "at", {"penstock.group": "readings"})


def append(
    path: Path,
    n: int,
    pairs: list[tuple[str, str]],
    *,
    read_at: int | None = None,
    blind: bool = True,
) -> bool:
    """The n-th append."""
    log = log_at(path)
    parts = written(log, str(path), STORAGE, rows(n, pairs))
    return log.append(parts, SCHEMA, Transaction(f"w{n}", 1), present=n, read=read_at, blind=blind)


def test_a_window_is_one_snapshot_found_by_its_name(tmp_path: Path) -> None:
    """Rows, those that were there already, version; each version can be read afterwards."""
    log = log_at(tmp_path)
    assert not log.exists
    assert log.version() is None
    assert append(tmp_path, 1, FIRST)
    assert append(tmp_path, 2, SECOND)
    assert log.find(Transaction("w1", 1)) == Commit(3, 1, 1)
    assert log.find(Transaction("w2", 1)) == Commit(1, 2, 2)
    assert log.find(Transaction("w2", 2)) is None
    assert keys(read(log)) == sorted(FIRST + SECOND)
    assert keys(read(log, version=1)) == sorted(FIRST)


def test_an_append_is_done_once(tmp_path: Path) -> None:
    """Whoever asks again, and with whatever files."""
    assert append(tmp_path, 1, FIRST)
    assert append(tmp_path, 1, FIRST)
    assert keys(read(log_at(tmp_path))) == sorted(FIRST)
    assert log_at(tmp_path).version() == 1


def test_an_append_of_nothing_is_known(tmp_path: Path) -> None:
    """All its rows were there already."""
    assert append(tmp_path, 1, [])
    assert log_at(tmp_path).find(Transaction("w1", 1)) == Commit(0, 1, 1)


def test_what_was_computed_from_another_version_is_not_committed(tmp_path: Path) -> None:
    """It must be computed anew."""
    append(tmp_path, 1, FIRST)
    assert not append(tmp_path, 2, SECOND, read_at=0, blind=False)
    assert keys(read(log_at(tmp_path))) == sorted(FIRST)
    assert append(tmp_path, 2, SECOND, read_at=1, blind=False)


def test_files_lie_as_the_services_do(tmp_path: Path) -> None:
    """By the day of the event time, named by the latest one."""
    append(tmp_path, 1, FIRST)
    names = sorted(one.relative_to(tmp_path).as_posix() for one in tmp_path.rglob("*.parquet"))
    days = [re.sub(r"[A-Za-z0-9]{8}/at|_[A-Za-z0-9]{16}\.", "*", one) for one in names]
    assert sorted(days) == [
        "data/*_trunc=2024-01-01/20240101T063000Z*parquet",
        "data/*_trunc=2024-01-02/20240102T000000Z*parquet",
    ]


def test_columns_are_known_by_number_and_times_have_a_zone(tmp_path: Path) -> None:
    """As any reader of Iceberg sees it, from the metadata alone."""
    append(tmp_path, 1, FIRST)
    table = StaticTable.from_metadata(str(tmp_path / "metadata" / "v2.metadata.json"))
    kinds = {one.name: str(one.field_type) for one in table.schema().fields}
    assert kinds == {
        "sensor": "string",
        "at": "string",
        "level": "long",
        "share": "double",
        "api_invocation_time": "timestamptz",
        "write_time": "timestamptz",
        "is_deleted": "boolean",
    }
    (field,) = table.spec().fields
    assert (field.name, str(field.transform)) == ("at_trunc", "truncate[10]")
    assert keys(table.scan().to_arrow()) == sorted(FIRST)
    assert table.scan(row_filter="at >= '2024-01-02'").to_arrow().num_rows == 1
    assert table.properties == {"penstock.group": "readings"}


def test_a_fractional_event_time_is_not_cut(tmp_path: Path) -> None:
    """Iceberg cuts digits, not days: the table has no partitions."""
    schema = SCHEMA.set(1, pa.field("at", pa.float64()))
    table = rows(1, [("a", 1.5), ("b", 90_000.25)], schema)  # type: ignore[list-item]  # seconds
    log = log_at(tmp_path)
    parts = written(log, str(tmp_path), STORAGE, table)
    assert log.append(parts, schema, Transaction("w1", 1))
    assert len(parts) == 1
    assert read(log, schema).column("at").to_pylist() == [90_000.25, 1.5]


def test_columns_are_added_and_never_changed(tmp_path: Path) -> None:
    """Files from before have nothing in the new one."""
    append(tmp_path, 1, FIRST)
    wide = SCHEMA.append(pa.field("more", pa.int64()))
    log = log_at(tmp_path)
    log.widen(wide)
    log.widen(wide)
    assert log.version() == 1
    parts = written(log, str(tmp_path), STORAGE, rows(2, SECOND, wide))
    assert log.append(parts, wide, Transaction("w2", 1))
    assert keys(log.matching("sensor", ["a", "c"])) == [FIRST[0], FIRST[2], SECOND[0]]
    assert log.matching("sensor", ["a"]).column("more").to_pylist() == [None, None]
    other = SCHEMA.set(2, pa.field("level", pa.string()))
    with pytest.raises(ContractError, match="'level' is long, not string"):
        log.widen(other)


def test_what_an_append_brought_goes(tmp_path: Path) -> None:
    """Files whole, once; other figures than those it had are refused."""
    append(tmp_path, 1, FIRST)
    append(tmp_path, 2, SECOND)
    log = log_at(tmp_path)
    with pytest.raises(MismatchError, match="wrote 4 rows, 3 of them are there"):
        log.take_out(brought(1), 4)
    log.take_out(brought(1, ties=3), 3)
    assert keys(read(log)) == SECOND
    version = log.version()
    log.take_out(brought(1), 3)
    assert log.version() == version
    assert keys(read(log, version=2)) == sorted(FIRST + SECOND)


def test_rows_that_others_merged_are_taken_out_too(tmp_path: Path) -> None:
    """Their files are rewritten without them."""
    append(tmp_path, 1, FIRST)
    append(tmp_path, 2, SECOND)
    table = FolderCatalog(str(tmp_path), STORAGE).load()
    table.overwrite(table.scan().to_arrow())
    log = log_at(tmp_path)
    log.take_out(brought(2), 1)
    assert keys(read(log)) == sorted(FIRST)


def test_files_that_are_gone_are_not_committed(tmp_path: Path) -> None:
    """The table would be unreadable."""
    append(tmp_path, 1, FIRST)
    log = log_at(tmp_path)
    parts = written(log, str(tmp_path), STORAGE, rows(2, SECOND))
    (tmp_path / parts[0].name).unlink()
    with pytest.raises(TemporaryError, match="1 of 1 files that were written are gone"):
        log.append(parts, SCHEMA, Transaction("w2", 1))
    assert keys(read(log)) == sorted(FIRST)


def test_a_version_that_was_expired_says_so(tmp_path: Path) -> None:
    """It is not the newest one."""
    append(tmp_path, 1, FIRST)
    with pytest.raises(UsageError, match="snapshot of version 7 was expired"):
        log_at(tmp_path).files(7)


def test_a_table_that_was_rolled_back_has_not_what_came_after(tmp_path: Path) -> None:
    """Its windows are run again."""
    append(tmp_path, 1, FIRST)
    append(tmp_path, 2, SECOND)
    table = FolderCatalog(str(tmp_path), STORAGE).load()
    first = table.snapshots()[0].snapshot_id
    table.manage_snapshots().set_current_snapshot(first).commit()
    log = log_at(tmp_path)
    assert log.find(Transaction("w2", 1)) is None
    assert log.find(Transaction("w1", 1)) == Commit(3, 1, 1)
    assert append(tmp_path, 2, SECOND)
    assert keys(read(log)) == sorted(FIRST + SECOND)


def test_a_folder_with_odd_letters(tmp_path: Path) -> None:
    """A space, a percent sign, other scripts: the table is where it was asked for."""
    folder = tmp_path / "a b%20ä#?"
    append(folder, 1, FIRST)
    assert keys(read(log_at(folder))) == sorted(FIRST)
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]


def test_a_feature_may_bear_the_partitions_name(tmp_path: Path) -> None:
    """The partition takes another."""
    schema = SCHEMA.append(pa.field("at_trunc", pa.string()))
    log = log_at(tmp_path)
    parts = written(log, str(tmp_path), STORAGE, rows(1, FIRST, schema))
    assert log.append(parts, schema, Transaction("w1", 1))
    (field,) = FolderCatalog(str(tmp_path), STORAGE).load().spec().fields
    assert field.name == "at_trunc_"


@pytest.mark.shows("6.1")
def test_readers_never_see_half_a_window(tmp_path: Path) -> None:
    """Whoever reads while windows of several files are committed sees whole ones."""
    append(tmp_path, 0, FIRST)
    days = [(f"s{n}", f"2024-02-{n:02d}T00:00:00Z") for n in range(1, 6)]
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            table = FolderCatalog(str(tmp_path), STORAGE).load()
            seen.add(table.scan().to_arrow().num_rows)

    reader = threading.Thread(target=look)
    reader.start()
    for n in range(1, 13):
        append(tmp_path, n, days)
    done.set()
    reader.join()
    assert seen <= {len(FIRST) + n * len(days) for n in range(13)}
    assert len(seen) > 2


@pytest.mark.parametrize("appends", [10])
def test_who_commits_together_loses_nothing(tmp_path: Path, appends: int) -> None:
    """Two at once, each its windows, some of them the same."""

    def work(first: int) -> Callable[[], None]:
        def run() -> None:
            for n in range(first, first + appends):
                append(tmp_path, n, [(f"s{n}", "2024-01-01T05:00:00Z")])

        return run

    threads = [threading.Thread(target=work(first)) for first in (0, appends - 3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    log, windows = log_at(tmp_path), 2 * appends - 3
    assert log.version() == windows
    assert keys(read(log)) == sorted((f"s{n}", "2024-01-01T05:00:00Z") for n in range(windows))
    assert {log.find(Transaction(f"w{n}", 1)) is not None for n in range(windows)} == {True}
