"""A transport of the tests' own: one thread, many requests under way, and a clock that it moves.

It has the shape of an event loop, so what runs on it needs no thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from urllib3 import HTTPHeaderDict

from penstock.online.body import frame_of
from penstock.online.job import SendJob
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.parcel import Chunk, chunks_of
from penstock.online.sender import Sender, Timing
from penstock.online.transport import Answer, Request, Work
from tests.sending import JOB, table

ID = HTTPHeaderDict({"x-amzn-RequestId": "1"})
FINE = Answer(200, ID, b"{}")
THROTTLED = Answer(429, ID)
Script = Callable[[Request, float], Answer]


def refusal(code: str, message: str = "no", status: int = 400) -> Answer:
    """An error of the service."""
    headers = HTTPHeaderDict({"x-amzn-RequestId": "1", "x-amzn-ErrorType": code})
    return Answer(status, headers, json.dumps({"message": message}).encode())


@dataclass
class Shelf:
    """A sink that keeps everything; ``holds`` makes it say it is full."""

    chunks: list[Chunk] = field(default_factory=list)
    full: bool = False

    def put(self, chunk: Chunk, seconds: float) -> None:
        """Keep it."""
        assert seconds >= 0
        self.chunks.append(chunk)


@dataclass
class Bench:
    """A single-threaded transport with ``in_flight`` requests of 10 ms under way, on its own clock.

    This is the shape of an event loop: it proves that the seam needs no thread.
    """

    script: Script
    in_flight: int = 8
    now: float = 0.0
    calls: list[Request] = field(default_factory=list)
    renewed: list[int] = field(default_factory=list)
    generation: int = 1
    most: int = 0
    watch: Callable[[], None] = lambda: None

    def run(self, work: Work) -> None:
        """Send until there is no more."""
        flying: list[tuple[float, Request, int]] = []
        while True:
            step: Request | float | None = 1.0
            while len(flying) < self.in_flight:
                step = work.take()
                if not isinstance(step, Request):
                    break
                self.calls.append(step)
                flying.append((self.now + 0.01, step, self.generation))
            self.most = max(self.most, len(flying))
            self.watch()
            if step is None and not flying:
                return
            if not flying:
                assert isinstance(step, float)
                self.now += step
                continue
            waited = self.now + step if isinstance(step, float) else float("inf")
            if flying[0][0] > waited:
                self.now = waited
                continue
            self.now, request, generation = flying.pop(0)
            answer = self.script(request, self.now)
            work.answered(request, answer._replace(generation=generation))

    def renew(self, generation: int) -> None:
        """Count it."""
        if generation == self.generation:
            self.renewed.append(generation)
            self.generation += 1

    def close(self) -> None:
        """Nothing is open."""


def drive(
    script: Script, rows: int = 250, data: pa.Table | None = None, **changes: Any
) -> tuple[Bench, Shelf, Line]:
    """Run a file through; changes are fields of the job."""
    bench, shelf, line, sender = prepared(script, rows, data, **changes)
    bench.run(sender)
    return bench, shelf, line


def prepared(
    script: Script, rows: int = 250, data: pa.Table | None = None, **changes: Any
) -> tuple[Bench, Shelf, Line, Sender]:
    """The parts, not yet running."""
    job = SendJob(**{**vars(JOB), **changes})
    bench, shelf = Bench(script), Shelf()
    line = Line(bench, Pacer(0.0, start=1e9), job.api)
    batches: Iterator[pa.RecordBatch] = iter((data or table(rows)).to_batches(max_chunksize=70))
    chunks = chunks_of(batches, job, frame_of(job.group, job.target_stores), set())
    timing = Timing(clock=lambda: bench.now, utc=lambda: 1e9 + bench.now, random=lambda: 0.5)
    return bench, shelf, line, Sender(job, line, chunks, rows, shelf, timing)


def entries(request: Request) -> list[dict[str, Any]]:
    """The entries of a batch, or the one record of PutRecord."""
    document = json.loads(request.body)
    return document.get("Entries") or [document]


def identifier(entry: dict[str, Any]) -> str:
    """Whose record it is."""
    return str(next(o["ValueAsString"] for o in entry["Record"] if o["FeatureName"] == "id"))
