"""The as-of step equals brute force: histories with duplicates, ties, deletions and late rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import DataGateError
from penstock.training.asof import NONE, Events, Labels, found, nanoseconds

SECOND = 1_000_000_000


class Row(NamedTuple):
    """One row of history; times in seconds."""

    key: str
    at: int
    invoked: int
    written: int
    deleted: bool
    text: str | None
    number: float | None


keys = st.sampled_from("abc")
rows = st.builds(
    Row,
    keys,
    st.integers(-3, 5),
    st.integers(0, 1),
    st.integers(0, 8),
    st.sampled_from([False, False, False, True]),
    st.none() | st.sampled_from(["", "x", "ü"]),
    st.none() | st.sampled_from([-1.0, 0.0, 2.5]),
)
asked = st.tuples(st.none() | st.sampled_from("abcd"), st.integers(-4, 6))


def events_of(history: list[Row]) -> Events:
    """The history in columns."""
    columns = list(zip(*history, strict=True)) or [()] * 7
    key, at, invoked, written, deleted, text, number = columns
    return Events(
        pa.array(key, pa.string()),
        np.array(at, np.int64) * SECOND,
        np.array(invoked, np.int64) * 1_000_000,
        np.array(written, np.int64) * 1_000_000,
        np.array(deleted, np.bool_),
        pa.table({"t": pa.array(text, pa.string()), "n": pa.array(number, pa.float64())}),
    )


def labels_of(questions: list[tuple[str | None, int]]) -> Labels:
    """The questions in columns."""
    at = np.array([at for _, at in questions], np.int64) * SECOND
    return Labels(pa.array([key for key, _ in questions], pa.string()), at)


def rank(row: Row) -> tuple[Any, ...]:
    """What the four queries order by, nulls lowest."""
    text = (row.text is not None, (row.text or "").encode())
    number = (row.number is not None, row.number or 0.0)
    return (row.at, row.invoked, row.written, row.deleted, text, number)


def newest(known: list[Row]) -> list[Row]:
    """The best row of each time, the newest first, down to the first deletion."""
    times = sorted({row.at for row in known}, reverse=True)
    best = [max((row for row in known if row.at == at), key=rank) for at in times]
    ends = [n for n, row in enumerate(best, 1) if row.deleted]
    return best[: ends[0]] if ends else best


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("keys", [1, 1_000, 40_000])
@pytest.mark.parametrize("step", [1, 1_000, SECOND], ids=["ns", "us", "s"])
@pytest.mark.parametrize("years", [1, 13, 580])
def test_instants_that_lie_close_stay_apart(keys: int, step: int, years: int) -> None:
    """A step before an event is before it, whatever the span, the unit and how many keys."""
    random = np.random.default_rng(7)
    count, span = 20_000, years * 365 * 86_400 * SECOND // step
    at = (random.choice(1_000_000, count, replace=False) * (span // 1_000_000) - span // 2) * step
    who = pa.array(random.integers(0, keys, count))
    none, nothing = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    table = pa.table({"n": np.arange(count)})
    history = Events(who, at, none, none, nothing, table)
    there = found(Labels(who, at), history)
    assert (there.rows == np.arange(count)).all()
    earlier = found(Labels(who, at - step), history)
    kept = earlier.rows[earlier.rows != NONE]
    assert (at[kept] < at[earlier.rows != NONE]).all()
    assert earlier.later.all()
    assert len(kept) >= count - keys


@pytest.mark.shows("6.2")
@given(
    st.lists(rows, max_size=30),
    st.lists(asked, max_size=12),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
)
@settings(max_examples=400, deadline=None)
def test_equals_brute_force(
    history: list[Row],
    questions: list[tuple[str | None, int]],
    before: bool,
    written: bool,
    recent: int,
) -> None:
    """For each label the best of the rows it may know at each time; equal ones interchange."""
    answer = found(
        labels_of(questions), events_of(history), before=before, written=written, recent=recent
    )
    assert len(answer.older) == recent - 1
    for n, (key, at) in enumerate(questions):
        own = [row for row in history if row.key == key]
        known = [row for row in own if (row.at < at if before else row.at <= at)]
        if written:
            known = [row for row in known if (row.written < at if before else row.written <= at)]
        places = [int(rows[n]) for rows in (answer.rows, *answer.older)]
        chosen = [history[place] for place in places if place != NONE]
        assert places[len(chosen) :] == [NONE] * (recent - len(chosen))
        assert chosen == newest(known)[:recent]
        assert bool(answer.later[n]) is any(row.at > at for row in own)


def test_times_of_all_kinds_are_one_scale() -> None:
    """Text with nanoseconds, doubles and timestamps; the session's zone is not asked."""
    texts = pa.array(["2013-01-01T00:00:00Z", "2013-01-01T00:00:00.123456789Z"])
    assert nanoseconds(texts).tolist() == [1356998400000000000, 1356998400123456789]
    doubles = pa.array([1_700_000_000.123456, -0.5])
    assert nanoseconds(doubles).tolist() == [1700000000123456000, -500_000_000]
    stamps = pa.array([1_356_998_400_000_001], pa.timestamp("us", "UTC"))
    assert nanoseconds(stamps).tolist() == [1356998400000001000]


@pytest.mark.parametrize(
    "times",
    [
        pa.array(["2013-01-01T00:00:00Z", None]),
        pa.array(["yesterday"]),
        pa.array(["9999-12-31T23:59:59Z"]),
        pa.array([1e300]),
        pa.array([float("nan")]),
    ],
)
def test_what_is_no_instant_is_refused(times: pa.Array) -> None:
    """One line, exit 65: a label without a moment has no past."""
    with pytest.raises(DataGateError):
        nanoseconds(times)
