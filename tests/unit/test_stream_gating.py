"""The source gate inside tasks that may be repeated: each place counts once, nothing is lost."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contract import Column, ColumnType, Source
from penstock.encoding.instants import micros_of
from penstock.storage import LocalStorage
from penstock.streaming.gating import Gating, taken_up
from penstock.streaming.messages import messages_of
from tests.events import AT, Event, batch_of

SOURCE = Source(columns=(Column("id"), Column("n", ColumnType.LONG)))
STORAGE = LocalStorage()
AHEAD = timedelta(minutes=5)
GOOD, BAD_TYPE, BAD_JSON = {"id": "a", "n": 1}, {"id": "a", "n": "x"}, b"nonsense"


def gating(folder: Path, source: Source = SOURCE) -> Gating:
    """What a task does, as it comes out of a pickle on an executor."""
    made = Gating("s", source, messages_of(source, {}), f"{folder}/gates", STORAGE, AHEAD)
    found: Gating = pickle.loads(pickle.dumps(made))
    return found


def run(folder: Path, *batches: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows a task passes on."""
    return [row for one in gating(folder)(batches) for row in one.to_pylist()]


def events(partition: int, start: int, *values: Any) -> pa.RecordBatch:
    """Events that follow each other, a second apart."""
    return batch_of(
        *(
            Event(start + n, one, partition=partition, at=AT + timedelta(seconds=start + n))
            for n, one in enumerate(values)
        )
    )


def test_rows_pass_and_the_rest_is_reported(tmp_path: Path) -> None:
    """With where each came from; in how many batches they come makes no difference."""
    found = run(tmp_path, events(2, 5, GOOD, BAD_JSON), events(2, 7), events(2, 7, BAD_TYPE, GOOD))
    assert [one["_source"]["position"] for one in found] == [5, 8]
    assert {one["_source"]["file"] for one in found} == {"kafka:flights/2"}
    taken = taken_up(STORAGE, f"{tmp_path}/gates")
    gated = taken.gated
    assert (gated.rows_in, gated.fit, gated.quarantined, gated.dropped) == (4, 2, 2, 0)
    assert taken.newest == micros_of(AT + timedelta(seconds=8))
    (bad,) = gated.bad
    rows = pq.read_table(bad.path).to_pylist()
    assert [(one["position"], one["rule"]) for one in rows] == [(6, "SHAPE"), (7, "TYPE")]


def test_a_task_that_is_repeated_counts_once(tmp_path: Path) -> None:
    """Of its reports one is taken, with its own files; the other places are not disturbed."""
    for _ in range(2):
        run(tmp_path, events(0, 0, GOOD, BAD_TYPE))
    run(tmp_path, events(0, 0, GOOD), events(0, 1, BAD_TYPE))  # cut elsewhere
    run(tmp_path, events(1, 0, GOOD, GOOD, BAD_JSON))
    taken = taken_up(STORAGE, f"{tmp_path}/gates")
    assert (taken.gated.rows_in, taken.gated.fit, taken.gated.quarantined) == (5, 3, 2)
    assert len(taken.gated.bad) == 2
    assert sum(pq.read_table(one.path).num_rows for one in taken.gated.bad) == 2
    assert len(taken.paths) == 4
    assert taken_up(STORAGE, f"{tmp_path}/gates") == taken


def test_a_task_that_dies_reports_nothing(tmp_path: Path) -> None:
    """What it wrote is nobody's, and no report."""
    rows = gating(tmp_path)([events(0, 0, BAD_TYPE, GOOD), events(0, 2, GOOD)])
    next(rows)
    rows.close()  # type: ignore[attr-defined]  # a generator is what an iterator is here
    taken = taken_up(STORAGE, f"{tmp_path}/gates")
    assert (taken.gated.rows_in, taken.paths, taken.newest) == (0, (), None)
    run(tmp_path, events(0, 0, BAD_TYPE, GOOD), events(0, 2, GOOD))
    assert taken_up(STORAGE, f"{tmp_path}/gates").gated.rows_in == 3


def test_a_task_without_events_reports_nothing(tmp_path: Path) -> None:
    """A partition that is read to its end."""
    assert run(tmp_path) == run(tmp_path, events(0, 0)) == []
    assert taken_up(STORAGE, f"{tmp_path}/gates").paths == ()


def test_a_report_is_plain_json(tmp_path: Path) -> None:
    """People look into state folders."""
    run(tmp_path, events(3, 12, GOOD))
    (path,) = taken_up(STORAGE, f"{tmp_path}/gates").paths
    assert json.loads(STORAGE.read(path))["place"] == "kafka:flights/3/12"


TIMED = Source(columns=(Column("id"), Column("at", ColumnType.TIMESTAMP)), time="at")


def said(*seconds: float) -> list[dict[str, Any]]:
    """Values whose time lies so many seconds after :data:`AT`."""
    return [{"id": "a", "at": (AT + timedelta(seconds=one)).isoformat()} for one in seconds]


def test_what_says_to_be_from_far_ahead_is_put_aside(tmp_path: Path) -> None:
    """Measured by the newest event read with it, not by our clock: old events are read later."""
    values = said(-86_400, 300, 300.001, 86_400)
    found = list(gating(tmp_path, TIMED)([batch_of(*(Event(n, v) for n, v in enumerate(values)))]))
    assert [row["_source"]["position"] for one in found for row in one.to_pylist()] == [0, 1]
    gated = taken_up(STORAGE, f"{tmp_path}/gates").gated
    (bad,) = gated.bad
    rows = pq.read_table(bad.path).to_pylist()
    assert [(one["position"], one["column"], one["rule"]) for one in rows] == [
        (2, "at", "FUTURE"),
        (3, "at", "FUTURE"),
    ]
    assert (gated.rows_in, gated.fit, gated.quarantined, gated.outside) == (4, 2, 2, 0)


def test_how_far_ahead_is_told_by_the_batch_itself(tmp_path: Path) -> None:
    """An hour later the same time is none from far ahead; no events decide nothing."""
    (value,) = said(3_600)
    later = Event(1, value, at=AT + timedelta(hours=1))
    batches = [batch_of(Event(0, value)), batch_of(), batch_of(later)]
    found = gating(tmp_path, TIMED)(batches)
    assert [row["_source"]["position"] for one in found for row in one.to_pylist()] == [1]
    assert taken_up(STORAGE, f"{tmp_path}/gates").gated.quarantined == 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([GOOD, BAD_TYPE, BAD_JSON]), max_size=4), st.integers(1, 3)
        ),
        max_size=4,
    )
)
def test_counts_are_those_of_the_events(
    tmp_path_factory: Any, tasks: list[tuple[list[Any], int]]
) -> None:
    """However often each task ran; the report's figures are those of its files."""
    folder: Path = tmp_path_factory.mktemp("gates")
    passed = 0
    for partition, (values, times) in enumerate(tasks):
        for _ in range(times):
            found = run(folder, events(partition, 7, *values))
        passed += len(found)
    taken = taken_up(STORAGE, f"{folder}/gates").gated
    every = [one for values, _ in tasks for one in values]
    assert (taken.rows_in, taken.fit) == (len(every), every.count(GOOD))
    assert passed == taken.fit
    assert taken.quarantined == len(every) - every.count(GOOD)
    assert sum(pq.read_table(one.path).num_rows for one in taken.bad) == taken.quarantined
