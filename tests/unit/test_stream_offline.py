"""The offline store behind a stream, in the hands of Hypothesis: every row once, whoever dies."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from penstock.commits import Log
from penstock.contract import Feature, FeatureType
from penstock.entries import Part, Transaction
from penstock.errors import MismatchError, TemporaryError
from penstock.offline.table import table_schema
from penstock.parts import PartTask
from penstock.streaming.batch import Batch
from penstock.streaming.committing import Committed, OfflineTail
from tests.staged_batches import GROUP, START, STORAGE, Row, day, sent, staged, when

SCHEMA = table_schema(GROUP)
#: Identifier, event time, value, deleted, api_invocation_time, write_time.
Stored = tuple[str, str, "int | None", bool, datetime, datetime]
NAMES = [*GROUP.names, "is_deleted", "api_invocation_time", "write_time"]
IDENTIFIERS = ["a", "b", "c"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from([*IDENTIFIERS, ""]),
        st.integers(1, 3).map(day),
        st.none() | st.integers(0, 2),
        st.sampled_from([False, False, True]),
    ),
    max_size=6,
)


class DiedError(Exception):
    """A process that is no more."""


class Meddled(Log):
    """A log whose appends others come before, and whose process may die before or after one."""

    def __init__(self, path: str, dies: str | None, others: pa.Table | None) -> None:
        super().__init__(path, STORAGE)
        self._dies, self._others = dies, others

    def append(
        self,
        parts: Sequence[Part],
        schema: pa.Schema,
        transaction: Transaction | None = None,
        *,
        present: int = 0,
        read: int | None = None,
        blind: bool = True,
    ) -> bool:
        """As told; whoever else appends does so once."""
        if self._others:
            others, self._others = self._others, None
            appended(self._path, others)
        if self._dies == "before":
            raise DiedError
        made = super().append(parts, schema, transaction, present=present, read=read, blind=blind)
        if made and self._dies == "after":
            raise DiedError
        return made


def appended(path: str, rows: pa.Table) -> None:
    """What another writer appends."""
    (made,) = PartTask(SCHEMA, path, STORAGE)(rows.to_batches())
    parts = [Part(**json.loads(one)) for one in made.column(0).to_pylist()]
    assert Log(path, STORAGE).append(parts, SCHEMA)


def stored(path: str) -> Counter[Stored]:
    """All rows of the table."""
    if not Log(path, STORAGE).exists:
        return Counter()
    rows = DeltaTable(path).to_pyarrow_table().select(NAMES).to_pylist()
    return Counter(tuple(row.values()) for row in rows)


def expected(rows: Sequence[Row], number: int, refused: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of a batch but for ``write_time``, by a plain computation.

    Of rows that tie the deletion comes first, then the greatest as JSON; each gets a microsecond
    less. What was refused is the first of its identifier's latest.
    """
    fit = {(i, at, None if gone else n, gone) for i, at, n, gone in rows if i}
    made = []
    for (identifier, at), group in itertools.groupby(sorted(fit, key=str), lambda one: one[:2]):
        ranked = sorted(group, key=lambda one: (one[3], json.dumps(list(one))), reverse=True)
        latest = max(time for i, time, _, _ in fit if i == identifier)
        for tie, row in enumerate(ranked):
            if not (tie == 0 and at == latest and identifier in refused):
                made.append((*row, when(number) - timedelta(microseconds=tie)))
    return made


class Machine(RuleBasedStateMachine):
    """Batches staged one after the other, committed by processes that may die at the commit."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/table"
        self.batches: list[Batch] = []
        self.rejects: list[tuple[str, ...]] = []
        self.rows: list[list[tuple[Any, ...]]] = []  # of each batch
        self.table: Counter[Stored] = Counter()
        self.clock, self.done, self.compare = START + timedelta(days=2), 0, False
        self.compared = False  # ever, also because others came between

    def teardown(self) -> None:
        """Whoever comes last brings all of it in."""
        self._tail().commit(self.batches, self.rejects, self._now())
        assert self.compared or sum(stored(self.path).values()) >= sum(map(len, self.rows))
        self.folder.cleanup()

    @initialize(compare=st.booleans(), filled=ROWS)
    def begin(self, compare: bool, filled: Sequence[Row]) -> None:
        """A table may have rows of others."""
        self.compare = self.compared = compare
        if filled:
            self.others(filled)

    @rule(rows=ROWS, refused=st.lists(st.sampled_from(IDENTIFIERS), max_size=1), gap=st.booleans())
    def stage(self, rows: Sequence[Row], refused: Sequence[str], gap: bool) -> None:
        """Numbers grow; a batch without events has none of its own."""
        number = self.batches[-1].number + 1 + gap if self.batches else int(gap)
        batch = staged(f"{self.folder.name}/batches", number, rows)
        totals = sent(f"{self.folder.name}/batches", batch, refused)
        self.batches.append(batch)
        self.rejects.append(totals.rejects_files)
        self.rows.append(expected(rows, number, refused))

    @rule(rows=ROWS)
    def others(self, rows: Sequence[Row]) -> None:
        """Another writer appends to the same table."""
        table = self._of_others(rows)
        if table.num_rows:
            appended(self.path, table)

    @precondition(lambda self: self.batches)
    @rule(
        data=st.data(),
        dies=st.sampled_from([None, None, "before", "after"]),
        between=st.none() | ROWS,
    )
    def commit(self, data: st.DataObject, dies: str | None, between: Sequence[Row] | None) -> None:
        """Those that wait up to any one, also with some that are in; others come between."""
        start = data.draw(st.integers(0, self.done))
        end = data.draw(st.integers(start, len(self.batches)))
        fresh = range(self.done, end)
        tail = self._tail()
        others = self._of_others(between) if between and fresh else None
        at, compare = self._now(), self.compare or bool(others)
        self.compared = self.compared or compare
        tail._log = Meddled(self.path, dies if fresh else None, others)
        wanted = [(*row[:4], row[4], at) for n in fresh for row in self.rows[n]]
        new = [row for row in wanted if not compare or row[:4] not in self._known()]
        rejected = sum(self.batches[n].staged.fit - len(self.rows[n]) for n in fresh)
        try:
            made = tail.commit(self.batches[start:end], self.rejects[start:end], at)
        except DiedError:
            assert dies is not None
        else:
            told = (made.rows, made.present, made.rejected)
            assert told == (len(new), len(wanted) - len(new), rejected)
        if fresh and dies != "before":
            self.table.update(new)
            self.done = end

    @invariant()
    def the_table_is_the_models(self) -> None:
        """Each row once, with the instants of its batch and of its commit."""
        assert stored(self.path) == self.table
        reached = self.batches[self.done - 1].number if self.done else -1
        assert self._tail().reached == reached

    def _tail(self) -> OfflineTail:
        """Of a new process."""
        return OfflineTail(GROUP, self.path, STORAGE, STORAGE, "stream", compare=self.compare)

    def _known(self) -> set[tuple[Any, ...]]:
        return {row[:4] for row in self.table}

    def _now(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def _of_others(self, rows: Sequence[Row]) -> pa.Table:
        """Rows as others write them; the model has them from now on."""
        at = self._now()
        some = [(i, time, None if gone else n, gone, at, at) for i, time, n, gone in rows if i]
        self.table.update(some)
        plain = [dict(zip(NAMES, one, strict=True)) for one in some]
        return pa.Table.from_pylist(plain, SCHEMA)


def test_every_row_is_offline_once() -> None:
    """Whatever is repeated, whoever dies or comes between; ties, deletions, refusals, no rows."""
    run_state_machine_as_test(
        Machine, settings=settings(max_examples=8, stateful_step_count=10, deadline=None)
    )


def test_a_stream_that_reads_again_adds_nothing(tmp_path: Path) -> None:
    """The same events in other batches: rows that are there, value for value, add nothing."""
    rows = [(i, day(n), n, n == 3) for i in IDENTIFIERS for n in (1, 2, 3)]
    path, at = f"{tmp_path}/table", START + timedelta(days=2)
    first = OfflineTail(GROUP, path, STORAGE, STORAGE, "stream-1", compare=False)
    first.commit([staged(f"{tmp_path}/1", 0, rows)], [()], at)
    before = stored(path)
    second = OfflineTail(GROUP, path, STORAGE, STORAGE, "stream-2", compare=True)
    halves = [staged(f"{tmp_path}/2", n, rows[n::2]) for n in range(2)]
    made = second.commit(halves, [(), ()], at + timedelta(days=1))
    assert (made.rows, made.present, made.rejected) == (0, 9, 0)
    assert stored(path) == before
    assert second.reached == 1
    changed = staged(f"{tmp_path}/2", 2, [("a", day(1), 100, False), ("a", day(2), 2, False)])
    assert second.commit([changed], [()], at).rows == 1


def test_rows_that_others_bring_meanwhile_are_not_added_again(tmp_path: Path) -> None:
    """What is there is looked at once more where somebody came between the look and the commit."""
    path = f"{tmp_path}/table"
    batch = staged(f"{tmp_path}/b", 0, [("a", day(1), 1, False), ("a", day(1), 2, False)])
    tail = OfflineTail(GROUP, path, STORAGE, STORAGE, "stream", compare=True)
    theirs = dict(zip(NAMES, ("a", day(1), 1, False, START, START), strict=True))
    tail._log = Meddled(path, None, pa.Table.from_pylist([theirs], SCHEMA))
    made = tail.commit([batch], [()], START)
    assert (made.rows, made.present) == (1, 1)
    assert sorted(row[2] or 0 for row in stored(path).elements()) == [1, 2]


def test_once_others_came_rows_are_compared_from_then_on(tmp_path: Path) -> None:
    """A backfill while the stream runs: it may go on bringing what the stream brings."""
    path, (first, second, third, fourth) = f"{tmp_path}/table", _days(tmp_path, 1, 2, 3, 4)
    tail = OfflineTail(GROUP, path, STORAGE, STORAGE, "stream", compare=False)
    tail.commit([first], [()], START)
    tail.commit([second], [()], START)
    assert not compares(tail)
    appended(path, _foreign(day(3)))
    assert tail.commit([third], [()], START) == Committed(0, 1, 0)
    assert tail.commit([fourth], [()], START) == Committed(1, 0, 0)
    assert compares(tail)
    assert sum(stored(path).values()) == 4


@pytest.mark.parametrize("filled", [False, True])
def test_the_first_commit_of_a_run_compares_where_others_came(tmp_path: Path, filled: bool) -> None:
    """After it looked for what is there, and before its first rows; also where there was none."""
    path, (first,) = f"{tmp_path}/table", _days(tmp_path, 1)
    if filled:
        appended(path, _foreign(day(9)))
    tail = OfflineTail(GROUP, path, STORAGE, STORAGE, "stream", compare=False)
    appended(path, _foreign(day(1)))
    assert tail.commit([first], [()], START) == Committed(0, 1, 0)
    assert tail.reached == 1


def test_columns_that_it_adds_itself_are_no_reason_to_compare(tmp_path: Path) -> None:
    """Comparing costs reading; but a commit of others that came before them is one."""
    for others in (False, True):
        path, (first, second) = f"{tmp_path}/{others}", _days(tmp_path, 1, 2)
        OfflineTail(GROUP, path, STORAGE, STORAGE, "stream", compare=False).commit(
            [first], [()], START
        )
        grown = replace(GROUP, features=(Feature("new", FeatureType.FRACTIONAL), *GROUP.features))
        tail = OfflineTail(grown, path, STORAGE, STORAGE, "stream", compare=False)
        if others:
            appended(path, _foreign(day(7)))
        tail.widen()
        assert tail.commit([second], [()], START).rows == 1
        assert compares(tail) == others


class Late(Log):
    """A log whose driver looked, and then was slower than another driver of the same stream."""

    def __init__(self, path: str, other: OfflineTail, batches: Sequence[Batch]) -> None:
        super().__init__(path, STORAGE)
        self._other, self._batches = other, batches

    def append(self, *parts: Any, **named: Any) -> bool:
        """The other one comes first, once."""
        some, self._batches = self._batches, []
        self._other.commit(some, [()] * len(some), START)
        return super().append(*parts, **named)


@pytest.mark.parametrize("mine", [1, 2, 3])
@pytest.mark.parametrize("theirs", [1, 2, 3])
def test_two_drivers_of_a_stream_bring_each_row_once(
    tmp_path: Path, mine: int, theirs: int
) -> None:
    """One slept and was taken over: it has fewer batches, the same ones, or more."""
    path, batches = f"{tmp_path}/table", _days(tmp_path, 1, 2, 3)
    old, new = (
        OfflineTail(GROUP, path, STORAGE, STORAGE, "stream", compare=False) for _ in range(2)
    )
    old._log = Late(path, new, batches[:theirs])
    made = old.commit(batches[:mine], [()] * mine, START)
    assert made.present == 0  # what the other one committed is not looked for: it is done
    last = max(mine, theirs)
    assert sorted(row[1] for row in stored(path).elements()) == [day(n + 1) for n in range(last)]
    assert new.reached == last


def compares(tail: OfflineTail) -> bool:
    """Whether it reads what is there before it appends."""
    return tail._compare


def _days(folder: Path, *days: int) -> list[Batch]:
    """A batch of one row for each of some days."""
    return [staged(f"{folder}/batches", n, [("a", day(n), 1, False)]) for n in days]


def _foreign(at: str) -> pa.Table:
    """The row of a day, as a run writes it."""
    row = dict(zip(NAMES, ("a", at, 1, False, START, START), strict=True))
    return pa.Table.from_pylist([row], SCHEMA)


def test_a_batch_may_be_older_than_a_feature(tmp_path: Path) -> None:
    """It was staged, its run died, the contract grew: its rows have null there."""
    grown = replace(GROUP, features=(Feature("new", FeatureType.FRACTIONAL), *GROUP.features))
    path, at = f"{tmp_path}/table", START + timedelta(days=2)
    batches = [staged(f"{tmp_path}/batches", n, [("a", day(n + 1), n, False)]) for n in range(2)]
    OfflineTail(GROUP, path, STORAGE, STORAGE, "stream", compare=False).commit(
        batches[:1], [()], at
    )
    for compare in (False, True):
        tail = OfflineTail(grown, path, STORAGE, STORAGE, f"stream-{compare}", compare=compare)
        tail.widen()
        made = tail.commit(batches, [(), ()], at)
        assert (made.rows, made.present) == ((0, 2) if compare else (2, 0))
    table = DeltaTable(path).to_pyarrow_table()
    assert table.column("new").null_count == table.num_rows == 3


def test_rows_refused_that_are_not_there_stop_the_commit(tmp_path: Path) -> None:
    """Rejects of another batch: nothing is committed rather than a row lost."""
    batches = [staged(f"{tmp_path}/b", n, [(f"{n}", day(1), n, False)]) for n in range(2)]
    rejects = sent(f"{tmp_path}/b", batches[1], ["1"]).rejects_files
    tail = OfflineTail(GROUP, f"{tmp_path}/table", STORAGE, STORAGE, "stream", compare=False)
    with pytest.raises(MismatchError, match="g: 1 rows were refused, 0 are left out offline"):
        tail.commit(batches[:1], [rejects], START)
    assert (tail.exists, tail.reached) == (False, -1)
    assert tail.commit(batches, [(), rejects], START).rejected == 1


def test_a_commit_that_is_always_beaten_ends(tmp_path: Path) -> None:
    """It compares with what others keep changing: exit 75, not an endless loop."""

    class Beaten(Log):
        """Others come first each time."""

        def append(self, *_parts: object, **_named: object) -> bool:
            return False

    tail = OfflineTail(GROUP, f"{tmp_path}/table", STORAGE, STORAGE, "stream", compare=True)
    tail._log = Beaten(f"{tmp_path}/table", STORAGE)
    batch = staged(f"{tmp_path}/b", 0, [("a", day(1), 1, False)])
    with pytest.raises(TemporaryError, match="other commits came first, 100 times"):
        tail.commit([batch], [()], START)
