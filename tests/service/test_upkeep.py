"""Upkeep of Delta tables: rows stay, small files become large ones, old files go."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from penstock.cli.program import run
from penstock.commits import Log
from penstock.entries import Transaction
from penstock.errors import MismatchError, TemporaryError, UsageError
from penstock.ledger.lease import held
from penstock.storage import LocalStorage
from penstock.upkeep import Kept, Upkeep
from tests.flow.project import GROUP, make
from tests.service.test_commits import SCHEMA, names, part


def _ago(**span: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(**span)


def _table(path: str, windows: int) -> Log:
    log = Log(path, LocalStorage())
    for number in range(windows):
        rows = part(path, f"a{number}", f"b{number}")
        assert log.append(rows, SCHEMA, Transaction(f"penstock:x:{number}", 0))
    return log


def _files(path: str) -> set[str]:
    return {str(one) for one in Path(path).glob("*.parquet")}


def test_small_files_become_one(tmp_path: Path) -> None:
    """Rows, transactions and what is found of them stay; again does nothing."""
    path = f"{tmp_path}/table"
    log, rows = _table(path, 6), [f"{one}{n}" for one in "ab" for n in range(6)]
    upkeep = Upkeep(path, LocalStorage())
    assert upkeep.compact() == Kept(path, rows=12, files=6, left=1)
    assert names(path) == rows
    version = log.version()
    assert upkeep.compact() == Kept(path, rows=12, files=1, left=1)
    assert log.version() == version
    found = log.find(Transaction("penstock:x:3", 0))
    assert found is not None
    assert found.rows == 2
    assert log.append(part(path, "c"), SCHEMA)
    assert names(path) == [*rows, "c"]
    assert DeltaTable(path, version=2).to_pyarrow_table().num_rows == 6


def test_files_of_older_versions_go(tmp_path: Path) -> None:
    """Those nobody committed too; what the version of then needs stays, and so does every row."""
    path = f"{tmp_path}/table"
    _table(path, 4)
    upkeep = Upkeep(path, LocalStorage())
    upkeep.compact()
    before = _files(path)
    part(path, "of a driver that died")
    found = upkeep.expire(_ago(hours=1))
    assert (found.rows, found.files, found.left, found.removed) == (8, 1, 1, 1)
    assert _files(path) == before
    assert DeltaTable(path, version=3).to_pyarrow_table().num_rows == 8
    DeltaTable(path).create_checkpoint()
    assert upkeep.expire(_ago(hours=1)).removed == 0
    done = upkeep.expire(_ago(hours=-1))
    assert (done.removed, len(before - _files(path)), done.rows) == (4, 4, 8)
    assert done.bytes > 0
    assert len(names(path)) == 8
    assert upkeep.expire(_ago(hours=-1)).removed == 0


def test_the_version_of_then_can_be_read(tmp_path: Path) -> None:
    """The newest one at that instant, and each since; none before it."""
    path = f"{tmp_path}/table"
    upkeep, log = Upkeep(path, LocalStorage()), _table(path, 2)
    upkeep.compact()  # version 2
    for number in (3, 5):
        assert log.append(part(path, f"c{number}"), SCHEMA)
        upkeep.compact()
    times = {one["version"]: one["timestamp"] for one in log.history()}
    for version in range(3, 7):
        then = datetime.fromtimestamp(times[version] / 1000, timezone.utc)
        upkeep.expire(then + timedelta(milliseconds=0.5))
        rows = [
            DeltaTable(path, version=one).to_pyarrow_table().num_rows for one in range(version, 7)
        ]
        assert rows == [5, 5, 6, 6][version - 3 :]
    with pytest.raises(FileNotFoundError):
        DeltaTable(path, version=3).to_pyarrow_table()


def test_nothing_goes_of_a_table_that_lacks_files(tmp_path: Path) -> None:
    """Older versions may be the remedy; nor once the lease is lost."""
    path = f"{tmp_path}/table"
    _table(path, 2)
    upkeep = Upkeep(path, LocalStorage())
    upkeep.compact()
    (live,) = (Path(path) / one.rsplit("/", 1)[-1] for one in DeltaTable(path).file_uris())
    before = _files(path)

    def lost() -> None:
        raise TemporaryError("lost")

    with pytest.raises(TemporaryError, match="lost"):
        upkeep.expire(_ago(hours=-1), lost)
    assert _files(path) == before
    live.unlink()
    with pytest.raises(MismatchError, match="1 files of the newest version are not there"):
        upkeep.expire(_ago(hours=-1))
    assert _files(path) == before - {str(live)}


def test_writers_go_on_meanwhile(tmp_path: Path) -> None:
    """Compactions beside appends: no row is lost and none is doubled."""
    path = f"{tmp_path}/table"
    log, failed = _table(path, 1), list[BaseException]()

    def append() -> None:
        try:
            for number in range(1, 30):
                one = Transaction(f"penstock:x:{number}", 0)
                assert log.append(part(path, f"a{number}", f"b{number}"), SCHEMA, one)
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails by it
            failed.append(error)

    writer = threading.Thread(target=append)
    writer.start()
    upkeep, files = Upkeep(path, LocalStorage()), 0
    while writer.is_alive():
        files += upkeep.compact().files
    writer.join()
    assert failed == []
    assert files > 0
    upkeep.compact()
    assert names(path) == sorted(f"{one}{n}" for one in "ab" for n in range(30))
    assert len(DeltaTable(path).file_uris()) == 1


def test_what_is_not_there_or_not_ours(tmp_path: Path) -> None:
    """No table: nothing. Partitions of others: refused, untouched."""
    storage = LocalStorage()
    for act in (Upkeep.compact, lambda one: one.expire(_ago())):
        assert act(Upkeep(f"{tmp_path}/none", storage)) == Kept(f"{tmp_path}/none")
    path = f"{tmp_path}/table"
    for _ in range(2):
        rows = pa.table({"name": ["a"], "day": ["x"]})
        write_deltalake(path, rows, partition_by=["day"], mode="append")
    before = _files(path)
    for act in (Upkeep.compact, lambda one: one.expire(_ago())):
        with pytest.raises(UsageError, match="penstock does not write"):
            act(Upkeep(path, storage))
    assert (DeltaTable(path).version(), _files(path)) == (1, before)


@pytest.mark.usefixtures("own_project")
def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both stores' tables by name; a run that works keeps files from going."""
    small = make(tmp_path, 3)
    words = ["--project", str(tmp_path)]
    path = str(small.lake / "offline" / GROUP)
    _table(path, 3)
    _table(str(small.lake / "quarantine"), 2)
    assert run(["compact", *words]) == 0
    said = capsys.readouterr().out.split()
    assert [said[n : n + 4] for n in (said.index(GROUP), said.index("quarantine"))] == [
        [GROUP, "6", "3", "1"],
        ["quarantine", "4", "2", "1"],
    ]
    with held(LocalStorage(), f"{small.state}/leases/{GROUP}/all.json", lambda: 1e12):
        assert run(["expire", *words, "--older-than", "0m"]) == 75
    assert "readings/all is owned by" in capsys.readouterr().err
    with held(LocalStorage(), f"{small.state}/leases/whole.json", lambda: 1e12):
        assert run(["compact", *words]) == 75
    assert "in which files are removed or records mended, is owned by" in capsys.readouterr().err
    assert len(_files(path)) == 4
    assert run(["expire", GROUP, *words, "--older-than", "0m", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["path"], told["removed"], told["left"]) == (path, 3, 1)
    assert run(["expire", *words, "--older-than", "soon"]) == 2
    assert "--older-than 'soon' must be minutes, hours or days" in capsys.readouterr().err
