"""A batch that was staged is taken as it was, whatever Spark brings again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from penstock.conf_streams import Stream
from penstock.errors import MismatchError, TemporaryError, UsageError
from penstock.streaming.batch import Batch, read_batch
from penstock.streaming.offsets import Offsets
from penstock.streaming.sink import Sink
from penstock.streaming.staging import Longs
from penstock.streaming.tail import Tail
from tests.staged_batches import GROUP, MODE, STORAGE
from tests.stream_bench import Bench

STREAM = Stream.model_validate({"kafka": {"servers": "127.0.0.1:9", "topics": ["g"]}})
FRAME = cast("Any", None)  # a frame that is evaluated by nobody


@dataclass(frozen=True)
class Described:
    """A pipeline, as far as it is asked for."""

    group: Any = GROUP


class Staging:
    """Stages what it was handed, once each; its records are marked as sent."""

    def __init__(self, bench: Bench) -> None:
        self.context, self.places, self.kind = bench.context, bench.places, "rows"
        self.pipeline, self.mode, self.stream = Described(), MODE, STREAM
        self.calls: list[int] = []
        self.events: list[int | None] = []
        self.then: Callable[[], None] = lambda: None
        self._bench = bench

    def stage(
        self, frame: Any, number: int, until: Offsets | None, events: int | None
    ) -> tuple[Batch, Longs]:
        """A batch of one row; of number 13 no event is there."""
        assert frame is FRAME
        self.calls.append(number)
        self.events.append(events)
        self.then()
        stamps = np.array([1], np.int64)
        if number == 13:
            empty = self._bench.made(number, rows=0)
            return replace(empty, source=replace(empty.source, read=0)), stamps
        made = replace(self._bench.made(number), until=until)
        self._bench.sent(made)
        return made, stamps


@dataclass
class Run:
    """One process: its sink, and what stages and commits for it."""

    bench: Bench
    staging: Staging = field(init=False)
    tail: Tail = field(init=False)
    sink: Sink = field(init=False)

    def __post_init__(self) -> None:
        self.staging, self.tail = Staging(self.bench), self.bench.tail()
        self.sink = Sink(cast("Any", self.staging), self.tail, self.bench.meter)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Shared by the runs of a test; keys are looked for, though nothing is left to send."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return Bench(tmp_path)


def test_a_batch_is_staged_sent_and_handed_on(bench: Bench) -> None:
    """Once; with its events' times."""
    run = Run(bench)
    for number in (0, 1):
        run.sink(FRAME, number)
    run.tail.flush()
    assert run.staging.calls == [0, 1]
    assert bench.offline.commits == [[0, 1]]
    assert (bench.meter.batches, bench.meter.accepted, run.sink.calls) == (2, 2, 2)
    assert bench.meter.plain(bench.clock.at.timestamp())["freshness_s"] is not None


def test_a_batch_that_is_brought_again_is_not_evaluated(bench: Bench) -> None:
    """Not where it waits, and not where it is offline: what was sent is what is stored."""
    run = Run(bench)
    run.sink(FRAME, 0)
    manifest = read_batch(STORAGE, bench.places.batch(0))
    again = Run(bench)
    again.sink(FRAME, 0)
    assert read_batch(STORAGE, bench.places.batch(0)) == manifest
    again.tail.flush()
    for _ in range(2):
        again.sink(FRAME, 0)
    last = Run(bench)
    last.sink(FRAME, 0)
    assert (again.staging.calls, last.staging.calls) == ([], [])
    assert bench.offline.commits == [[0]]


def test_an_empty_batch_leaves_nothing(bench: Bench) -> None:
    """No manifest, no commit; the next number follows."""
    run = Run(bench)
    for number in (12, 13, 14):
        run.sink(FRAME, number)
    assert read_batch(STORAGE, bench.places.batch(13)) is None
    run.tail.flush()
    assert bench.offline.commits == [[12, 14]]


def test_what_a_killed_run_left_is_brought_to_its_end(bench: Bench) -> None:
    """In order and in one commit; files of what is in go. What was not decided Spark brings."""
    killed = Run(bench)
    for number in range(4):
        killed.sink(FRAME, number)
    bench.offline.reached = 1  # it died between the commit and the removal of the files
    STORAGE.write(f"{bench.places.batch(4)}/rows-half.parquet", b"half")
    run = Run(bench)
    assert run.sink.resume() == 2
    assert bench.offline.commits == [[2, 3]]
    assert STORAGE.list(bench.places.batches) == [bench.places.batch(4)]
    assert run.staging.calls == []
    assert Run(bench).sink.resume() == 0
    run.sink(FRAME, 4)
    run.tail.flush()
    assert bench.offline.commits == [[2, 3], [4]]
    assert STORAGE.list(bench.places.batches) == []


def test_an_error_is_kept_for_who_asks_why(bench: Bench) -> None:
    """Spark keeps its text alone; a commit that failed stops the next batch before it is staged."""
    run = Run(bench)
    run.tail._error = TemporaryError("others came first", "Run it again")
    with pytest.raises(TemporaryError, match="others came first"):
        run.sink(FRAME, 0)
    assert run.sink.error is run.tail._error
    assert (run.sink.calls, run.staging.calls) == (0, [])


def plan(bench: Bench, number: int, until: int) -> None:
    """What Spark notes before it brings a batch."""
    offsets = json.dumps({"flights": {"0": until}})
    STORAGE.write(f"{bench.places.checkpoint}/offsets/{number}", f"v1\n{{}}\n{offsets}".encode())


def test_how_many_events_a_batch_has_is_told_by_the_checkpoint(bench: Bench) -> None:
    """As far as it tells: where the stream began is not known here."""
    run = Run(bench)
    for number in (0, 1):
        plan(bench, number, 10 + 7 * number)
        run.sink(FRAME, number)
    assert run.staging.events == [None, 7]
    kept = read_batch(STORAGE, bench.places.batch(1))
    assert kept is not None
    assert kept.until == {"flights": {"0": 17}}


def test_a_batch_that_ends_elsewhere_is_another_one(bench: Bench) -> None:
    """The checkpoint was set back: the events of this number were never staged; nothing is sent."""
    plan(bench, 0, 10)
    Run(bench).sink(FRAME, 0)
    plan(bench, 0, 11)
    run = Run(bench)
    with pytest.raises(MismatchError, match=r"g: batch 0 was staged up to .*10.* to .*11") as told:
        run.sink(FRAME, 0)
    assert "--allow-reprocess" in told.value.remedy
    assert (run.staging.calls, bench.meter.batches, bench.offline.commits) == ([], 1, [])
    plan(bench, 0, 10)
    run.sink(FRAME, 0)
    assert bench.meter.batches == 2


def test_who_was_taken_over_while_it_staged_decides_nothing(bench: Bench) -> None:
    """Its manifest could be another one than the new driver's: it is not kept, nothing is sent."""
    run = Run(bench)

    def lose() -> None:
        bench.ours = False

    run.staging.then = lose
    with pytest.raises(TemporaryError, match="taken over"):
        run.sink(FRAME, 0)
    assert read_batch(STORAGE, bench.places.batch(0)) is None
    assert (run.staging.calls, bench.meter.batches) == ([0], 0)
    run.tail.flush()
    assert bench.offline.commits == []


def test_who_was_taken_over_sends_nothing_that_is_staged(bench: Bench) -> None:
    """Whether Spark brings it again, or it waits from an earlier run."""
    Run(bench).sink(FRAME, 0)
    bench.ours, run = False, Run(bench)
    for take in (lambda: run.sink(FRAME, 0), run.sink.resume):
        with pytest.raises(TemporaryError, match="taken over"):
            take()
    assert (bench.meter.batches, bench.offline.commits) == (1, [])
    assert read_batch(STORAGE, bench.places.batch(0)) is not None


def test_no_batch_begins_while_the_stream_is_being_stopped(bench: Bench) -> None:
    """It is no failure of the batch: Spark brings it to the next run."""
    run = Run(bench)
    run.sink.stopping = True
    with pytest.raises(RuntimeError, match="is being stopped"):
        run.sink(FRAME, 0)
    assert (run.sink.error, run.sink.calls, run.staging.calls) == (None, 0, [])


def test_what_waits_goes_where_it_was_to_go(bench: Bench) -> None:
    """Settings that say otherwise now are refused before anything is sent."""
    Run(bench).sink(FRAME, 0)
    run = Run(bench)
    run.staging.mode = replace(MODE, online="never")
    with pytest.raises(UsageError, match="g: batch 0 waits, staged for"):
        run.sink.resume()
    assert (bench.meter.batches, bench.offline.commits) == (1, [])
