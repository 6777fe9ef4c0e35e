"""A batch that was staged is taken as it was, whatever Spark brings again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from penstock.errors import TemporaryError
from penstock.streaming.batch import Batch, read_batch
from penstock.streaming.sink import Sink
from penstock.streaming.staging import Longs
from penstock.streaming.tail import Tail
from tests.staged_batches import GROUP, STORAGE
from tests.stream_bench import Bench

FRAME = cast("Any", None)  # a frame that is evaluated by nobody


@dataclass(frozen=True)
class Described:
    """A pipeline, as far as it is asked for."""

    group: Any = GROUP


class Staging:
    """Stages what it was handed, once each; its records are marked as sent."""

    def __init__(self, bench: Bench) -> None:
        self.context, self.places, self.kind = bench.context, bench.places, "rows"
        self.pipeline = Described()
        self.calls: list[int] = []
        self._bench = bench

    def stage(self, frame: Any, number: int, events: int | None) -> tuple[Batch, Longs]:
        """A batch of one row; of number 13 no event is there."""
        assert (frame, events) == (FRAME, None)
        self.calls.append(number)
        stamps = np.array([1], np.int64)
        if number == 13:
            empty = self._bench.made(number, rows=0)
            return replace(empty, source=replace(empty.source, read=0)), stamps
        made = self._bench.made(number)
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
    """In order and in one commit; files of what is in go, and of what nobody decided."""
    killed = Run(bench)
    for number in range(4):
        killed.sink(FRAME, number)
    bench.offline.reached = 1  # it died between the commit and the removal of the files
    STORAGE.write(f"{bench.places.batch(4)}/rows-half.parquet", b"half")
    run = Run(bench)
    assert run.sink.resume() == 2
    assert bench.offline.commits == [[2, 3]]
    assert STORAGE.list(bench.places.batches) == []
    assert run.staging.calls == []
    assert Run(bench).sink.resume() == 0


def test_an_error_is_kept_for_who_asks_why(bench: Bench) -> None:
    """Spark keeps its text alone; a commit that failed stops the next batch before it is staged."""
    run = Run(bench)
    run.tail._error = TemporaryError("others came first", "Run it again")
    with pytest.raises(TemporaryError, match="others came first"):
        run.sink(FRAME, 0)
    assert run.sink.error is run.tail._error
    assert (run.sink.calls, run.staging.calls) == (0, [])
