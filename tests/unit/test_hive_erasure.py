"""Rows that leave a Hive table: no file of it has them afterwards, and writers go on."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

from penstock.entries import Commit, Transaction
from penstock.errors import MismatchError, TemporaryError
from penstock.offline import hive as module
from penstock.offline import hive_journal
from penstock.offline.hive_erasure import HiveErasure
from penstock.storage import LocalStorage, Storage
from tests.erasing import APPENDS, NUMBERS, WANTED
from tests.hive_tables import (
    FIRST,
    SCHEMA,
    SECOND,
    THIRD,
    Beaten,
    DiedError,
    append,
    by_name,
    check_whole,
    dead_after_entry,
    hive,
    ids,
    mortal,
    rows,
    seen,
    written,
)
from tests.service.test_erasure import ODD, texts

pytestmark = pytest.mark.shows("6.7")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Of a table; nothing is there."""
    return f"{tmp_path}/table"


def erasure(
    path: str, *wanted: str, column: str = "id", storage: Storage | None = None
) -> HiveErasure:
    """Of identifiers, by a process of its own."""
    return HiveErasure(hive(path, storage), storage or LocalStorage(), column, wanted)


def erase(path: str, *wanted: str, column: str = "id") -> int:
    """All of it, looked at before and after."""
    one = erasure(path, *wanted, column=column)
    one.check()
    there = one.rows()
    gone = one.carry_out()
    assert (gone, one.rows()) == (there, 0)
    check_whole(path)
    assert LocalStorage().walk(f"{path}/staged") == []
    return gone


@pytest.mark.parametrize("odd", ODD)
def test_nothing_of_it_is_left(path: str, odd: str) -> None:
    """Not in files of the table, of writers that died, or that somebody put there."""
    secret = f"{odd}secret"
    assert append(path, rows("a", secret))
    assert append(path, rows(secret, run=1))
    assert append(path, rows("b", "c", run=2))
    written(hive(path), path, rows(secret, run=3))  # its driver died before its entry
    parts = written(hive(path), path, rows(secret, "d", run=4))
    dead_after_entry(path, lambda log: log.append(parts, SCHEMA, FIRST))
    for other in ("data/a copy", "log/notes", "data/.half", "_SUCCESS"):
        Path(path, other).write_text(secret)
    assert "secret" in texts(Path(path))
    assert erase(path, secret) == 3
    assert ids(path) == ["a", "b", "c", "d"]
    assert "secret" not in texts(Path(path))
    assert erase(path, secret) == 0


def test_others_stay_and_writers_go_on(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the microsecond; each transaction is still found, and none is made twice."""
    monkeypatch.setattr(hive_journal, "EVERY", 2)
    mixed = [*rows("a", "x", "b"), *rows("x", "c", run=1)]
    assert append(path, mixed, FIRST, present=7)
    assert append(path, rows("x", run=2), SECOND)
    assert erase(path, "x", "nobody") == 3
    kept = by_name(one for one in mixed if one["id"] != "x")
    assert seen(path) == kept
    for _ in range(2):
        log = hive(path)
        assert [log.find(one) for one in (FIRST, SECOND)] == [Commit(5, 7, 0), Commit(1, 0, 1)]
        assert append(path, rows("x"), FIRST)
        assert append(path, rows("x"), SECOND)
        assert (log.find(THIRD), seen(path)) == (None, kept)
        assert erase(path, "x") == 0
    version = hive(path).version()
    assert version == 2
    assert append(path, rows("d", run=3), THIRD)
    assert hive(path).find(THIRD) == Commit(1, 0, version + 1)
    assert erase(path, "x") == 0
    assert ids(path) == ["a", "b", "c", "d"]
    assert len(hive(path).files(3).sizes) == len(seen(path))


def test_it_is_whole_wherever_its_process_dies(path: str) -> None:
    """Before each call of the storage: rows as before or after, and the next order finishes it."""
    copy = f"{path}-copy"
    assert append(path, [*rows("a", "secret"), *rows("secret", "b", run=1)], FIRST)
    written(hive(path), path, rows("secret", run=2))
    shutil.copytree(path, copy)
    before, after, states = ["a", "b", "secret", "secret"], ["a", "b"], []
    for n in range(1_000):
        shutil.rmtree(path)
        shutil.copytree(copy, path)
        try:
            erasure(path, "secret", storage=mortal(n)).carry_out()
        except DiedError:
            version = hive(path).version()
            assert ids(path) == (before if version == 0 else after)
            states.append(version)
            assert erase(path, "secret") == (2 if version == 0 else 0)
            assert ids(path) == after
            assert "secret" not in texts(Path(path))
            assert append(path, rows("secret"), FIRST)
            assert ids(path) == after
        else:
            break
    assert states == sorted(states, key=lambda one: one or 0)
    assert set(states) == {0, 1}


def test_nothing_goes_once_the_lease_is_lost_or_files_are(path: str, tmp_path: Path) -> None:
    """What nobody committed stays as well: it may be somebody's who is writing."""
    assert append(path, [*rows("a", "x"), *rows("b", run=1)])
    written(hive(path), path, rows("x", run=2))
    staged = LocalStorage().walk(f"{path}/staged")

    def lost() -> None:
        raise TemporaryError("lost")

    with pytest.raises(TemporaryError, match="lost"):
        erasure(path, "x").carry_out(lost)
    assert LocalStorage().walk(f"{path}/staged") == staged
    gone = Path(next(iter(hive(path).files(1).sizes)))
    gone.rename(tmp_path / "away")
    for act in (erasure(path, "b").check, erasure(path, "b").carry_out):
        with pytest.raises(MismatchError, match="1 files of the newest version are not there"):
            act()
    with pytest.raises(MismatchError, match="a file of version 1 is gone"):
        erasure(path, "b").rows()
    assert LocalStorage().walk(f"{path}/staged") == staged
    (tmp_path / "away").rename(gone)
    assert erase(path, "x") == 0
    assert ids(path) == ["a", "b"]


class Late(LocalStorage):
    """An append comes behind the n-th walk."""

    def __init__(self, path: str, walk: int) -> None:
        self.path, self.walks = path, walk

    def walk(self, folder: str) -> list[str]:
        """Before the other."""
        found, self.walks = super().walk(folder), self.walks - 1
        if self.walks == -1:
            assert append(self.path, rows("late", "x", run=7))
        return found


def test_who_comes_between_loses_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the deletion its rows are looked at; behind it no file is deleted."""
    assert append(path, rows("a", "x"))
    one = erasure(path, "x", "x1", storage=Beaten(path, 2))
    assert one.carry_out() == 2
    assert ids(path) == ["a", "x0"]
    with pytest.raises(TemporaryError, match="other commits came first, 1 times"):
        erasure(path, "x", storage=Late(path, 1)).carry_out()
    assert ids(path) == ["a", "late", "x", "x0"]
    assert erase(path, "x") == 1
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    with pytest.raises(TemporaryError, match="other commits came first, 3 times"):
        erasure(path, "a", storage=Beaten(path, 99)).carry_out()


def test_a_table_that_is_not_there(path: str) -> None:
    """Has nothing; what was staged for it goes, and nothing that may be another's."""
    assert erase(path, "x") == 0
    assert not Path(path).exists()
    written(hive(path), path, rows("secret"))
    Path(path, "data").mkdir()
    Path(path, "data", "other").write_text("")
    assert erasure(path, "secret").carry_out() == 0
    assert LocalStorage().walk(path) == [f"{path}/data/other"]


@NUMBERS
def test_numbers(
    path: str, kind: pa.DataType, values: list[float], wanted: list[str], left: list[float]
) -> None:
    """Whole ones are told by their text, doubles as numbers."""
    schema = SCHEMA.set(0, pa.field("id", kind))
    some: list[Any] = [{**rows("")[0], "id": one} for one in values]
    assert append(path, some, Transaction("w", 0), schema=schema)
    assert erase(path, *wanted) == len(values) - len(left)
    assert Counter(one["id"] for one in seen(path, schema)) == Counter(left)


@settings(max_examples=25, deadline=None)
@given(APPENDS, WANTED)
def test_exactly_these_rows(
    tmp_path_factory: pytest.TempPathFactory, appends: list[list[str]], wanted: list[str]
) -> None:
    """Any texts: those that are asked for go, all others stay, as they were."""
    path = f"{tmp_path_factory.mktemp('any')}/table"
    made = []
    for n, names in enumerate(appends):
        same_hour = [{**one, "Event-Time": "2024-02-01T00:00:00Z"} for one in rows(*names, run=n)]
        made += same_hour
        assert append(path, same_hour)

    def order(one: Any) -> Any:
        return one["id"], one["write_time"], one["n"]

    left = sorted((one for one in made if one["id"] not in wanted), key=order)
    assert erase(path, *wanted) == len(made) - len(left)
    assert sorted(seen(path), key=order) == left
