"""Commits of delta-rs: once, all at once, and by however many at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import DeltaError

from penstock import commits
from penstock.commits import Log
from penstock.entries import Commit, Part, Transaction
from penstock.errors import ContractError, MismatchError, TemporaryError, UsageError
from penstock.parts import PartTask
from penstock.storage import LocalStorage

SCHEMA = pa.schema([("name", pa.string()), ("at", pa.timestamp("us", "UTC"))])
WIDE = pa.schema([*SCHEMA, ("new", pa.int64())])
FIRST, SECOND = Transaction("penstock:readings:all", 0), Transaction("penstock:readings:all", 1)


def part(path: str, *names: str, schema: pa.Schema = SCHEMA) -> list[Part]:
    """A file of rows of these names; their times count up in microseconds."""
    rows = [{"name": one, "at": n} for n, one in enumerate(names)]
    batch = pa.RecordBatch.from_pylist(rows, schema)
    (answer,) = list(PartTask(schema, path, LocalStorage())([batch]))
    return [Part(**json.loads(one)) for one in answer.column(0).to_pylist()]


def names(path: str) -> list[str]:
    """What the table holds."""
    return sorted(DeltaTable(path).to_pyarrow_table()["name"].to_pylist())


def test_an_append_is_made_once_and_found(tmp_path: Path) -> None:
    """With its rows, what was present, and the version; one that is older is not repeated."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert (log.exists, log.version(), log.find(FIRST)) == (False, None, None)
    for _ in range(2):
        assert log.append(part(path, "a", "b"), SCHEMA, FIRST, present=7)
    assert log.find(FIRST) == Commit(rows=2, present=7, version=0)
    assert log.find(SECOND) is None
    assert log.append(part(path, "c"), SCHEMA, SECOND)
    assert log.append(part(path, "d"), SCHEMA, FIRST)
    assert (log.find(SECOND), log.version()) == (Commit(1, 0, 1), 1)
    assert log.find(FIRST) == Commit(2, 7, 0)
    assert names(path) == ["a", "b", "c"]


def test_a_commit_is_found_at_its_version_whoever_commits_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """delta-rs counts down from the version it has loaded, but lists what is there by then."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert log.append(part(path, "a"), SCHEMA)
    assert log.append(part(path, "b"), SCHEMA, FIRST)
    plain, left = DeltaTable.history, [2]

    def raced(table: DeltaTable, limit: int | None = None) -> list[dict[str, Any]]:
        if left[0]:
            left[0] -= 1
            assert Log(path, LocalStorage()).append(part(path, "c"), SCHEMA)
        return plain(table, limit)

    monkeypatch.setattr(DeltaTable, "history", raced)
    assert log.find(FIRST) == Commit(1, 0, version=1)
    assert left == [0]


def test_an_append_of_no_rows_is_a_commit(tmp_path: Path) -> None:
    """What it did is found: nothing."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert log.append([], SCHEMA, FIRST, present=3)
    assert log.append([], SCHEMA, SECOND)
    assert log.find(FIRST) == Commit(0, 3, 0)
    assert log.find(SECOND) == Commit(0, 0, 1)
    assert names(path) == []


def test_rows_that_depend_on_the_table_are_committed_to_what_was_read(tmp_path: Path) -> None:
    """Also where there was none; whoever comes second has to look again."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert log.append(part(path, "a"), SCHEMA, FIRST, read=None, blind=False)
    assert not log.append(part(path, "b"), SCHEMA, read=None, blind=False)
    assert log.append(part(path, "c"), SCHEMA, read=0, blind=False)
    assert not log.append(part(path, "d"), SCHEMA, read=0, blind=False)
    assert log.append(part(path, "e"), SCHEMA, FIRST, read=0, blind=False)  # it is in
    assert names(path) == ["a", "c"]


class _Late(Log):
    """Others commit between its look and its commit."""

    others: tuple[str, ...] = ("x", "y", "z")

    def _commits(self, *arguments: Any) -> bool:
        if self.others:
            one, *rest = self.others
            self.others = tuple(rest)
            assert Log(self._path, LocalStorage()).append(part(self._path, one), SCHEMA)
        return super()._commits(*arguments)


def test_who_is_beaten_by_a_moment_comes_after(tmp_path: Path) -> None:
    """At the table's making, and later; who has read the table is told."""
    path = f"{tmp_path}/table"
    assert _Late(path, LocalStorage()).append(part(path, "a"), SCHEMA, FIRST)
    assert Log(path, LocalStorage()).find(FIRST) == Commit(1, 0, 3)
    assert names(path) == ["a", "x", "y", "z"]
    assert not _Late(path, LocalStorage()).append(part(path, "b"), SCHEMA, read=3, blind=False)
    assert names(path) == ["a", "x", "x", "y", "z"]


def test_who_is_always_beaten_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how often."""
    path = f"{tmp_path}/table"
    monkeypatch.setattr(commits, "ATTEMPTS", 5)
    late = _Late(path, LocalStorage())
    late.others = tuple(f"{n}" for n in range(commits.ATTEMPTS))
    with pytest.raises(TemporaryError, match="other commits came first, 5 times"):
        late.append(part(path, "a"), SCHEMA)
    assert len(names(path)) == 5


def test_a_commit_that_fails_where_nobody_came_first_is_that_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried again."""
    path = f"{tmp_path}/table"
    assert Log(path, LocalStorage()).append(part(path, "a"), SCHEMA)

    def fails(*_: Any, **__: Any) -> NoReturn:
        raise DeltaError("no room")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fails)
    with pytest.raises(DeltaError, match="no room"):
        Log(path, LocalStorage()).append(part(path, "b"), SCHEMA)


def test_a_table_is_widened_and_never_narrowed(tmp_path: Path) -> None:
    """Old rows have nulls there; doing it again changes nothing."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    log.widen(WIDE)
    assert not log.exists
    assert log.append(part(path, "a"), SCHEMA)
    for _ in range(2):
        log.widen(WIDE)
    assert log.version() == 1
    assert log.append(part(path, "b", schema=WIDE), WIDE)
    log.widen(SCHEMA)
    with pytest.raises(ContractError, match="column 'new' is long, not string"):
        log.widen(pa.schema([("new", pa.string()), ("newer", pa.string())]))
    assert DeltaTable(path).to_pyarrow_table().column_names == ["name", "at", "new"]
    assert (names(path), log.version()) == (["a", "b"], 2)


def test_so_many_rows_are_deleted_or_none(tmp_path: Path) -> None:
    """In one commit, to the microsecond; again, there is nothing to do."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert log.append(part(path, "a", "b", "c"), SCHEMA)
    late = (
        "at >= arrow_cast('1970-01-01T00:00:00.000001Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"
    )
    with pytest.raises(MismatchError, match="the run wrote 3 rows, 2 of them are there"):
        log.delete(late, 3)
    assert log.version() == 0
    for _ in range(2):
        log.delete(late, 2)
    assert (names(path), log.version()) == (["a"], 1)


def test_marks_of_others_are_no_marks(tmp_path: Path) -> None:
    """Text that is no JSON, and JSON that is none of ours; figures of Spark's commits are read."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert log.append(part(path, "a"), SCHEMA, FIRST)
    for text in ("hello", "[1]", '{"penstock": "other", "generation": 1}'):
        named = CommitProperties({"userMetadata": text})
        DeltaTable(path).create_write_transaction([], "append", SCHEMA, commit_properties=named)
    assert log.find(FIRST) == Commit(1, 0, 0)


def test_a_commit_is_found_behind_many(tmp_path: Path) -> None:
    """Behind more than the newest ones, which are looked at first."""
    path = f"{tmp_path}/table"
    log = Log(path, LocalStorage())
    assert log.append(part(path, "a"), SCHEMA, FIRST)
    for _ in range(15):
        assert log.append([], SCHEMA)
    assert log.find(FIRST) == Commit(1, 0, 0)
    (tmp_path / "empty" / "_delta_log").mkdir(parents=True)
    assert not Log(f"{tmp_path}/empty", LocalStorage()).exists


def test_a_run_without_delta_rs_is_told_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what to install, and where."""
    commits.check_installed()
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(UsageError, match="delta-rs, which commits to the offline tables") as told:
        commits.check_installed()
    assert told.value.remedy.startswith("pip install deltalake")


JOB = """
import sys
from penstock.commits import Log
from penstock.entries import Transaction
from penstock.storage import LocalStorage
from tests.service.test_commits import SCHEMA, part

path, who, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
for n in range(times):
    name = Transaction(f"penstock:readings:{who}-{n}", 0)
    files = part(path, f"{who}-{n}")
    for _ in range(2):
        assert Log(path, LocalStorage()).append(files, SCHEMA, name)
"""


def test_processes_that_make_the_table_together(tmp_path: Path) -> None:
    """Three with five appends each, each asked for twice: fifteen commits, each row once."""
    path = f"{tmp_path}/table"
    command = [sys.executable, "-c", JOB, path]
    root = Path(__file__).parents[2]
    running = [subprocess.Popen([*command, one, "5"], cwd=root) for one in "abc"]
    assert [one.wait(120) for one in running] == [0, 0, 0]
    assert DeltaTable(path).version() == 14
    assert names(path) == sorted(f"{who}-{n}" for who in "abc" for n in range(5))


def test_threads_that_compute_from_the_table_count_up(tmp_path: Path) -> None:
    """Each adds the number of rows it read, as long as it takes: no number twice."""
    path, errors = f"{tmp_path}/table", list[BaseException]()

    def act() -> None:
        log = Log(path, LocalStorage())
        try:
            for _ in range(4):
                while True:
                    read = log.version()
                    count = 0 if read is None else len(_read(path, read))
                    if log.append(part(path, f"{count:03d}"), SCHEMA, read=read, blind=False):
                        break
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert names(path) == [f"{n:03d}" for n in range(12)]


def _read(path: str, version: int) -> list[str]:
    found: list[str] = DeltaTable(path, version=version).to_pyarrow_table()["name"].to_pylist()
    return found
