"""Several processes' senders on one clock, under one quota: a minute of pacing in a second.

Each process has the real sender and limiter; the service is the embedded AWS's own quota; only
sockets, storage and waiting are left out. Who is done with a file takes the next, as Spark's slots
do.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random
from typing import Any

import pyarrow as pa
from urllib3 import HTTPHeaderDict

from penstock.emulator.quotas import Meter, Quota
from penstock.online import SendJob
from penstock.online.body import BATCH_PATH, frame_of
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.parcel import chunks_of
from penstock.online.sender import Sender, Timing
from penstock.online.transport import Answer, Request
from tests.event_loop import THROTTLED, Shelf
from tests.faults.direct import Clock

_FINE = Answer(200, HTTPHeaderDict({"x-amzn-RequestId": "1"}), b"{}")


@dataclass
class Process:
    """One worker process: its line lives as long as it does, its sender as long as a file."""

    line: Line
    chance: Random
    sender: Sender | None = None
    flying: int = 0
    wakes: int = 0


@dataclass
class Fleet:
    """Processes that share files and a quota.

    Args:
        job: What each sends, with its share of beliefs and ceilings.
        files: Rows of each file; a record is one write unit.
        quota: What the service grants.
        start: Write units a second of a process before the first reply.
        seed: Of latencies and jitters.
        latency_s: Shortest time of a call; the longest is twice as long.
    """

    job: SendJob
    files: list[pa.Table]
    quota: Quota
    start: float
    seed: int = 0
    latency_s: float = 0.01
    clock: Clock = field(default_factory=Clock)
    accepted: int = 0
    calls: int = 0
    refusals: int = 0
    _events: list[tuple[float, int, Process, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.meter = Meter(self.quota)

    @property
    def share(self) -> float:
        """Write units refused, of all that were asked for."""
        return self.meter.refused / (self.meter.refused + self.meter.granted)

    def run(self, processes: int) -> float:
        """Send everything; seconds it took."""
        began = self.clock.now
        for n in range(processes):
            line = Line(_Deaf(), Pacer(self.clock.now, self.job.max_write_units_per_s, self.start),
                        self.job.api)  # fmt: skip
            process = Process(line, Random(f"{self.seed} {n}"))
            self._at(0.01 * n, process, None)
        while self._events:
            self.clock.now, _, process, landed = heapq.heappop(self._events)
            if isinstance(landed, tuple):
                process.flying -= 1
                assert process.sender is not None
                process.sender.answered(*landed)
            elif landed is not None and landed != process.wakes:
                continue  # it was awake meanwhile
            self._poke(process)
        return self.clock.now - began

    def _at(self, seconds: float, process: Process, what: Any) -> None:
        heapq.heappush(self._events, (self.clock.now + seconds, next(self._numbers), process, what))

    def _poke(self, process: Process) -> None:
        """Send what may be sent, then sleep as long as the sender asks."""
        process.wakes += 1
        while True:
            if process.sender is None and not self._next_file(process):
                return
            assert process.sender is not None
            step = process.sender.take()
            if isinstance(step, Request):
                process.flying += 1
                took = self.latency_s * process.chance.uniform(1, 2)
                self._at(took, process, (step, self._answer(step)))
            elif step is None:
                process.sender = None
            else:
                self._at(step, process, process.wakes)
                return

    def _next_file(self, process: Process) -> bool:
        if process.flying or not self.files:
            return False
        rows = self.files.pop(0)
        frame = frame_of(self.job.group, self.job.target_stores)
        batches = iter(rows.to_batches(max_chunksize=self.job.chunk_rows))
        chunks = chunks_of(batches, self.job, frame, set())
        timing = Timing(self.clock, self.clock, process.chance.random)
        process.sender = Sender(self.job, process.line, chunks, len(rows), Shelf(), timing)
        return True

    def _answer(self, request: Request) -> Answer:
        self.calls += 1
        entries = len(request.tag.rows)
        granted = [self.meter.take("", "", 1, self.clock.now) for _ in range(entries)]
        self.accepted += sum(granted)
        if all(granted):
            return _FINE
        self.refusals += 1
        if request.path != BATCH_PATH:
            return THROTTLED
        sent = json.loads(request.body)["Entries"]
        left = [one for one, fine in zip(sent, granted, strict=True) if not fine]
        return _FINE._replace(body=json.dumps({"UnprocessedEntries": left}).encode())


class _Deaf:
    """No transport: the fleet moves the requests."""

    def run(self, work: Any) -> None:
        """Never called."""

    def renew(self, generation: int) -> None:
        """Never called."""

    def close(self) -> None:
        """Nothing is open."""


def cut(rows: pa.Table, shares: Sequence[float]) -> list[pa.Table]:
    """The rows in files of these shares."""
    bounds = [round(sum(shares[:n]) / sum(shares) * len(rows)) for n in range(len(shares) + 1)]
    return [rows.slice(a, b - a) for a, b in pairwise(bounds)]
