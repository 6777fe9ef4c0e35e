"""Rows that leave a Delta table: no file of it has them afterwards, and writers go on."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings

from penstock.commits import Log
from penstock.entries import Commit, Transaction
from penstock.erasure import Erasure, is_number, is_one_of
from penstock.errors import MismatchError, TemporaryError, UsageError
from penstock.storage import LocalStorage
from tests.erasing import APPENDS, WANTED
from tests.service.test_commits import SCHEMA, names, part

pytestmark = pytest.mark.shows("6.7")
#: Quotes, semicolons, comments, backslashes, other scripts, and what climbs out of folders.
ODD = ("o'b", 'say "x"', "a;DROP TABLE rows--", "../../etc", "ключ-é", "back\\slash", "a%20b", " ")


def texts(folder: Path) -> str:
    """All that the files of a folder say: bytes, and values of Parquet files and checkpoints."""
    said = []
    for place, _, found in os.walk(folder):
        for name in found:
            path = Path(place) / name
            said.append(path.read_bytes().decode("utf-8", "replace"))
            if name.endswith(".parquet"):
                said.append(str(pq.read_table(path).to_pylist()))
    return "\n".join(said)


def _table(path: str, *appends: tuple[str, ...]) -> Log:
    log = Log(path, LocalStorage())
    for number, one in enumerate(appends):
        assert log.append(part(path, *one), SCHEMA, Transaction(f"penstock:x:{number}", 0))
    return log


def _erase(path: str, *wanted: str) -> int:
    erasure = Erasure(path, LocalStorage(), is_one_of("name", wanted))
    erasure.check()
    gone = erasure.carry_out()
    assert erasure.rows() == 0
    return gone


@pytest.mark.parametrize("odd", ODD)
def test_nothing_of_it_is_left(tmp_path: Path, odd: str) -> None:
    """Not in older versions, bounds of the log, checkpoints, or files nobody committed."""
    path, secret = f"{tmp_path}/table", f"{odd}secret"
    log = _table(path, ("a", secret), (secret,), ("b", "c"))
    part(path, secret)  # of a driver that died before its commit
    DeltaTable(path).create_checkpoint()
    assert log.append(part(path, "d", secret), SCHEMA, Transaction("penstock:x:9", 0))
    assert "secret" in texts(Path(path))
    assert _erase(path, secret) == 3
    assert names(path) == ["a", "b", "c", "d"]
    assert "secret" not in texts(Path(path))


def test_others_stay_and_writers_go_on(tmp_path: Path) -> None:
    """Transactions are still known, new ones are committed and found; again changes nothing."""
    path = f"{tmp_path}/table"
    log = _table(path, ("a", "x"), ("b",))
    assert _erase(path, "x", "nobody") == 1
    assert log.append(part(path, "a", "x"), SCHEMA, Transaction("penstock:x:0", 0))
    assert names(path) == ["a", "b"]
    version = log.version()
    assert version is not None
    new = Transaction("penstock:x:0", 1)
    assert log.append(part(path, "c"), SCHEMA, new)
    assert log.find(new) == Commit(1, 0, version + 1)
    assert _erase(path, "x") == 0
    assert names(path) == ["a", "b", "c"]


def test_an_interrupted_one_is_finished(tmp_path: Path) -> None:
    """Killed behind the deletion: older files still have it, the next order takes them."""
    path = f"{tmp_path}/table"
    _table(path, ("a", "secret"))
    DeltaTable(path).delete(is_one_of("name", ["secret"]))
    assert "secret" in texts(Path(path))
    assert _erase(path, "secret") == 0
    assert "secret" not in texts(Path(path))


def test_what_others_left_in_the_log(tmp_path: Path) -> None:
    """A deletion by somebody's SQL has the text in its condition; writers leave halves of files."""
    path = f"{tmp_path}/table"
    _table(path, ("a", "secret"))
    DeltaTable(path).delete("name = 'secret'")
    for one in (
        "_delta_log/_commit_x.json.tmp",
        "_delta_log/00000000000000000009.json#1",
        "_delta_log/.00000000000000000001.json.crc",
        ".part-1.parquet.tmp",
    ):
        (Path(path) / one).write_text("secret")
    assert "secret" in texts(Path(path))
    assert _erase(path, "secret") == 0
    assert "secret" not in texts(Path(path))
    assert names(path) == ["a"]


def test_a_writer_that_slept_does_not_break_the_table(tmp_path: Path) -> None:
    """Its files were taken for those of a dead one: its commit is refused, and made anew."""
    path = f"{tmp_path}/table"
    log = _table(path, ("a", "x"))
    slept, name = part(path, "b"), Transaction("penstock:x:9", 0)
    _erase(path, "x")
    with pytest.raises(TemporaryError, match="1 of 1 files that were written are gone"):
        log.append(slept, SCHEMA, name)
    assert log.append(part(path, "b"), SCHEMA, name)
    assert names(path) == ["a", "b"]


def test_nothing_goes_once_the_lease_is_lost_or_files_are(tmp_path: Path) -> None:
    """What the newest version lacks, older ones may still have."""
    path, storage = f"{tmp_path}/table", LocalStorage()
    _table(path, ("a", "x"), ("b",))
    before = {str(one) for one in Path(path).glob("*.parquet")}

    def lost() -> None:
        raise TemporaryError("lost")

    with pytest.raises(TemporaryError, match="lost"):
        Erasure(path, storage, is_one_of("name", ["x"])).carry_out(lost)
    assert {str(one) for one in Path(path).glob("*.parquet")} >= before
    live = DeltaTable(path).file_uris()
    Path(live[0]).rename(f"{tmp_path}/away")
    with pytest.raises(MismatchError, match="1 files of the newest version are not there"):
        Erasure(path, storage, is_one_of("name", ["nobody"])).check()
    Path(f"{tmp_path}/away").rename(live[0])
    assert _erase(path, "x") == 0
    assert names(path) == ["a", "b"]


def test_doubles_are_told_as_numbers(tmp_path: Path) -> None:
    """Each engine writes them in its own way."""
    path, numbers = f"{tmp_path}/table", [1e16, 1e-7, 0.1, -0.0, 5.0]
    write_deltalake(path, pa.table({"n": pa.array(numbers, pa.float64())}))
    erasure = Erasure(path, LocalStorage(), is_number("n", [1e16, 1e-7, 5.0]))
    assert (erasure.rows(), erasure.carry_out(), erasure.rows()) == (3, 3, 0)
    assert DeltaTable(path).to_pyarrow_table()["n"].to_pylist() == [0.1, -0.0]


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    """Has nothing."""
    assert _erase(f"{tmp_path}/table", "x") == 0
    assert not (tmp_path / "table").exists()


def test_whole_numbers_are_told_by_their_text(tmp_path: Path) -> None:
    """Identifiers may be Integral."""
    path = f"{tmp_path}/table"
    write_deltalake(path, pa.table({"n": pa.array([1, -7, 10**18], pa.int64())}))
    erasure = Erasure(path, LocalStorage(), is_one_of("n", ["-7", str(10**18)]))
    assert (erasure.rows(), erasure.carry_out()) == (2, 2)
    assert DeltaTable(path).to_pyarrow_table()["n"].to_pylist() == [1]


def test_what_penstock_does_not_write_is_refused(tmp_path: Path) -> None:
    """Partitions of others: nothing is touched."""
    path = f"{tmp_path}/table"
    write_deltalake(path, pa.table({"name": ["a"], "day": ["x"]}), partition_by=["day"])
    with pytest.raises(UsageError, match="features of Delta that penstock does not write"):
        Erasure(path, LocalStorage(), is_one_of("name", ["a"])).check()
    assert DeltaTable(path).version() == 0


@settings(max_examples=25, deadline=None)
@given(APPENDS, WANTED)
def test_exactly_these_rows(
    tmp_path_factory: pytest.TempPathFactory, appends: list[list[str]], wanted: list[str]
) -> None:
    """Any texts: those that are asked for go, all others stay, as often as they were there."""
    path = f"{tmp_path_factory.mktemp('any')}/table"
    _table(path, *map(tuple, appends))
    left = sorted(one for rows in appends for one in rows if one not in wanted)
    assert _erase(path, *wanted) == sum(map(len, appends)) - len(left)
    assert names(path) == left
