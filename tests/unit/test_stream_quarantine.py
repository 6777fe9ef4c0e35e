"""Rows a stream put aside are entered once, whatever is repeated and whoever died."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from deltalake import DeltaTable

from penstock import lake
from penstock.entries import Transaction
from penstock.quarantine import Entry, Quarantine
from penstock.streaming.batch import Batch
from penstock.streaming.committing import enter
from tests.staged_batches import START, STORAGE, day, staged

APPLICATION = "penstock:g:stream-0001"
ENTRY = Entry("g", "run", START)


def quarantine(folder: Path) -> Quarantine:
    """The table; a session is not asked for."""
    return Quarantine(cast("Any", None), f"{folder}/quarantine", STORAGE)


def batch(folder: Path, number: int, *bad: bytes, offset: int = 0) -> Batch:
    """One with events that are no rows; they begin at the batch's number, or as told."""
    return staged(f"{folder}/batches", number, [("a", day(1), 1, False)], bad, offset or number)


def entered(folder: Path) -> list[tuple[str, int, str]]:
    """Group, offset and payload of each entry."""
    rows = lake.quarantined(f"{folder}/quarantine", STORAGE)
    return sorted((one["feature_group"], one["position"], one["payload"]) for one in rows)


def positions(folder: Path) -> list[int]:
    """Offsets of the entries."""
    return [position for _, position, _ in entered(folder)]


def test_an_entry_says_where_from_why_and_when(tmp_path: Path) -> None:
    """Topic and partition stand for the file; of both gates, in one commit."""
    table = quarantine(tmp_path)
    one = staged(f"{tmp_path}/batches", 0, [("", day(1), 1, False)], [b"nonsense"], 41)
    assert table.reached(APPLICATION) == -1
    assert enter(table, [one], APPLICATION, ENTRY, STORAGE, again=False) == 2
    assert DeltaTable(table.path).version() == 0
    rows = {row["stage"]: row for row in lake.quarantined(table.path, STORAGE)}
    assert set(rows) == {"source", "feature"}
    told = rows["source"]
    assert (told["file"], told["position"], told["rule"]) == ("kafka:flights/0", 41, "SHAPE")
    assert rows["feature"]["rule"] == "NULL_KEY"
    for row in rows.values():
        assert (row["feature_group"], row["run"], row["quarantined_at"]) == ("g", "run", START)


def test_a_transaction_is_entered_once(tmp_path: Path) -> None:
    """Also where it comes with other files: what is named is in."""
    table, files = quarantine(tmp_path), batch(tmp_path, 0, b"x", b"y").put_aside
    named = Transaction("app", 3)
    assert table.add_files(files, STORAGE, ENTRY, named, again=False) == 2
    for one in (named, Transaction("app", 2)):
        table.add_files(files, STORAGE, ENTRY, one, again=False)
    assert positions(tmp_path) == [0, 1]
    assert table.reached("app") == 3


def test_two_streams_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Greater batches of one leave the smaller ones of the other to be entered."""
    table = quarantine(tmp_path)
    enter(table, [batch(tmp_path, 9, b"x")], APPLICATION, ENTRY, STORAGE, again=False)
    other = Entry("h", "run", START)
    enter(table, [batch(tmp_path, 2, b"y")], "penstock:h:stream-0001", other, STORAGE, again=False)
    assert [(group, place) for group, place, _ in entered(tmp_path)] == [("g", 9), ("h", 2)]


def test_of_rows_with_one_key_one_is_entered(tmp_path: Path) -> None:
    """The same event in two files of one transaction."""
    table = quarantine(tmp_path)
    twice = [batch(tmp_path / name, 0, b"x", b"y") for name in ("a", "b")]
    files = [path for one in twice for path in one.put_aside]
    assert table.add_files(files, STORAGE, ENTRY, Transaction("app", 1), again=False) == 2
    assert positions(tmp_path) == [0, 1]


@pytest.mark.parametrize("first", [1, 2, 3])
def test_more_batches_with_those_that_are_in(tmp_path: Path, first: int) -> None:
    """A run died between the quarantine and the offline store; the next has one batch more.

    Batches without a bad row are between, before and after.
    """
    table = quarantine(tmp_path)
    batches = [batch(tmp_path, n, *([b"x"] if n in (1, 2, 4) else [])) for n in range(6)]
    for some in (batches[:first], batches[:first], batches[: first + 2], batches, batches):
        enter(table, some, APPLICATION, ENTRY, STORAGE, again=False)
    assert positions(tmp_path) == [1, 2, 4]


def test_batches_without_bad_rows_make_no_table(tmp_path: Path) -> None:
    """And no commit where there is one."""
    table = quarantine(tmp_path)
    assert enter(table, [batch(tmp_path, 0)], APPLICATION, ENTRY, STORAGE, again=False) == 0
    assert not table.exists
    enter(table, [batch(tmp_path, 1, b"x")], APPLICATION, ENTRY, STORAGE, again=False)
    enter(table, [batch(tmp_path, 2)], APPLICATION, ENTRY, STORAGE, again=False)
    assert DeltaTable(table.path).version() == 0


def test_events_that_are_read_again_are_entered_once(tmp_path: Path) -> None:
    """A new stream compares with what the old one entered, of its own group alone."""
    table = quarantine(tmp_path)
    enter(table, [batch(tmp_path, 5, b"x", b"y")], APPLICATION, ENTRY, STORAGE, again=False)
    again = batch(tmp_path / "again", 0, b"x", b"y", b"z", offset=5)
    assert enter(table, [again], "penstock:g:stream-0002", ENTRY, STORAGE, again=True) == 1
    assert positions(tmp_path) == [5, 6, 7]
    other = Entry("h", "run", START)
    assert enter(table, [again], "penstock:h:stream-0001", other, STORAGE, again=True) == 3
    assert len(entered(tmp_path)) == 6


def test_a_first_entry_may_compare(tmp_path: Path) -> None:
    """Where there is no table, nothing is known; a batch of known rows alone is in all the same."""
    table = quarantine(tmp_path)
    one = batch(tmp_path, 0, b"x")
    assert enter(table, [one], APPLICATION, ENTRY, STORAGE, again=True) == 1
    assert table.add_files(one.put_aside, STORAGE, ENTRY, Transaction("app", 7), again=True) == 0
    assert table.reached("app") == 7
    assert positions(tmp_path) == [0]
