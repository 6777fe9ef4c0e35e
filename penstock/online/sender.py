"""What to send next and what an answer means for whom: the state machine of one file.

It owns no thread and does no input or output but reading the next chunk, so a transport may drive
it from a pool or from an event loop (see :mod:`penstock.online.transport`). There is one retry
layer, this one; the classes are those of :mod:`penstock.online.outcome`.

Memory: :mod:`penstock.online.memory` has the formula; at most ``open_limit(job)`` chunks are open.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

from penstock.online import failure
from penstock.online.body import BATCH_PATH, MAX_ENTRIES
from penstock.online.entries import outcomes
from penstock.online.health import LONGEST_S, POLL_S, Health
from penstock.online.outcome import (
    SUSPECT_DELAYS_S,
    UNKNOWN_TRIES,
    Outcome,
    Verdict,
    classify,
    delay,
    superseded,
)
from penstock.online.parcel import Chunk, Parcel, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.errors import PenstockError
    from penstock.online.job import Api, SendJob
    from penstock.online.line import Line
    from penstock.online.transport import Answer, Request

GATE_ROWS = 100
GATE_SHARE = 0.01
BATCH = "BatchWriteRecord"
FRUITLESS = 3  # credentials that were refused in a row


class Sink(Protocol):
    """Where finished chunks go; written off the send path."""

    def put(self, chunk: Chunk, seconds: float) -> None:
        """Take a settled chunk over; never blocks."""

    @property
    def full(self) -> bool:
        """Whether finished chunks pile up; raises what writing one raised."""


def open_limit(job: SendJob) -> int:
    """Chunks of one file that may be open: what is in flight, and a few that wait on stragglers."""
    batch = job.slots("batch") * MAX_ENTRIES if job.api != "put" else 0
    put = job.slots("put") if job.api != "batch" else 0
    return 4 + math.ceil(max(batch, put) / job.chunk_rows)


@dataclass(frozen=True)
class Timing:
    """Clock, wall clock and randomness, handed in."""

    clock: Callable[[], float] = time.monotonic
    utc: Callable[[], float] = time.time
    random: Callable[[], float] = random.random


class Sender:
    """A :class:`penstock.online.transport.Work` over the chunks of one file.

    Args:
        job: What is sent where.
        line: What this process knows of the endpoint: pace, operation, credentials.
        chunks: The file's chunks, read and encoded on demand.
        rows: Rows in the file.
        sink: Where settled chunks go.
        timing: Clock and randomness.
    """

    def __init__(
        self,
        job: SendJob,
        line: Line,
        chunks: Iterator[Chunk],
        rows: int,
        sink: Sink,
        timing: Timing,
    ) -> None:
        self._job, self._line, self._sink, self._timing = job, line, sink, timing
        self._chunks = chunks
        self._current: Chunk | None = None
        self._ready: deque[Parcel] = deque()
        self._delayed: list[tuple[float, int, Parcel]] = []
        self._numbers = count()
        self._limit = open_limit(job)
        self._gate = max(GATE_ROWS, math.ceil(GATE_SHARE * rows))
        self._in_flight = self._open = 0
        self._accepted = self._rejected = self._unknown = 0
        self._exhausted = False
        self._slots: dict[Api, int] = {"batch": job.slots("batch"), "put": job.slots("put")}
        self._health = Health(proved=line.proved, patience=max(16, job.most_slots))

    def take(self) -> Request | float | None:
        """See :class:`penstock.online.transport.Work`."""
        now = self._timing.clock()
        if self._health.uneasy:
            self._check_silence(now)
            held = self._health.hold(now, self._in_flight)
            if held > 0:
                return held
        api = self._line.api  # read once: another file's answer may change it
        parcel = self._next(now, api)
        if parcel is None:
            return self._idle(now)
        wait = self._wait(now, parcel, api)
        if wait > 0:
            self._ready.appendleft(parcel)
            return min(wait, LONGEST_S)
        return self._sent(parcel, now, api)

    def answered(self, request: Request, answer: Answer) -> None:
        """See :class:`penstock.online.transport.Work`."""
        self._in_flight -= 1
        parcel: Parcel = request.tag
        now = self._timing.clock()
        if answer.failure is None:
            parcel.chunk.figures.answered(now - parcel.last)
        verdict = classify(answer)
        if verdict.outcome is not Outcome.OK:
            self._not_written(parcel, verdict, answer, now)
        elif request.path != BATCH_PATH:
            self._accept(parcel, now)
        else:
            self._batch_answered(parcel, verdict, answer, now)
        self._settle(parcel.chunk, now)

    def _wait(self, now: float, parcel: Parcel, api: Api) -> float:
        """Seconds until a parcel may go; 0.0 when it may now."""
        slots = self._slots["put" if len(parcel.rows) == 1 else api]
        return POLL_S if self._in_flight >= slots else self._line.take(now, parcel.units)

    def _next(self, now: float, api: Api) -> Parcel | None:
        """What has to be sent again goes first, except where it may be the trouble itself."""
        if self._health.elsewhere:
            parcel = self._waiting(api) or self._due(now)
        else:
            parcel = self._due(now) or self._waiting(api)
        if parcel is not None and api == "put" and len(parcel.rows) > 1:
            parcel, *others = parcel.singles()
            self._ready.extendleft(reversed(others))
        return parcel

    def _due(self, now: float) -> Parcel | None:
        """A parcel whose delay is over."""
        if not self._delayed or self._delayed[0][0] > now:
            return None
        return heapq.heappop(self._delayed)[2]

    def _waiting(self, api: Api) -> Parcel | None:
        return self._ready.popleft() if self._ready else self._fresh(api)

    def _fresh(self, api: Api) -> Parcel | None:
        """Rows nobody has sent yet, from the open chunk or from the next one."""
        if self._current is not None:
            parcel = self._current.cut(api)
            if parcel is not None:
                return parcel
            self._current = None
        if self._exhausted or self._open >= self._limit or self._sink.full:
            return None
        self._current = next(self._chunks, None)
        if self._current is None:
            self._exhausted = True
            return None
        self._open += 1
        return self._current.cut(api)

    def _idle(self, now: float) -> float | None:
        if self._delayed:
            return min(max(self._delayed[0][0] - now, 0.001), LONGEST_S)
        if self._open and self._current is None and not self._in_flight:
            raise failure.unsettled(self._job.group, self._open)
        finished = self._exhausted and not self._open
        return None if finished else POLL_S

    def _sent(self, parcel: Parcel, now: float, api: Api) -> Request:
        figures = parcel.chunk.figures
        if parcel.attempts:
            figures.repeated += len(parcel.rows)
        else:
            figures.sent += len(parcel.rows)
            parcel.first = now
        if parcel.chunk.began is None:
            parcel.chunk.began = now
        figures.calls += 1
        parcel.attempts += 1
        parcel.last = now
        self._in_flight += 1
        figures.in_flight = max(figures.in_flight, self._in_flight)
        self._health.sent(now, repeats=parcel.failed)
        return parcel.request(api)

    def _accept(self, parcel: Parcel, now: float) -> None:
        rows = len(parcel.rows)
        parcel.chunk.figures.accepted += rows
        self._accepted += rows
        self._line.accepted(now, parcel.units)
        self._health.accepted()

    def _not_written(self, parcel: Parcel, verdict: Verdict, answer: Answer, now: float) -> None:
        call = parcel.call
        if call is None:
            operation = BATCH if parcel.batched else "PutRecord"
            self._refused(parcel, verdict, answer, operation)
        elif superseded(call.operation, answer.status, verdict):
            parcel.chunk.figures.skipped += 1
            parcel.chunk.figures.count(verdict.code, 1)
            self._line.accepted(now, parcel.units)
            self._health.accepted()
        else:
            self._refused(parcel, verdict, answer, call.operation)

    def _batch_answered(self, parcel: Parcel, verdict: Verdict, answer: Answer, now: float) -> None:
        """Each entry for itself; one that nobody can place makes all count as unanswered."""
        named = outcomes(parcel, verdict.document)
        if named is None:
            unread = Verdict(Outcome.TRANSIENT, "Unmatched", "an entry came back that was not sent")
            for single in parcel.singles():
                self._refused(single, unread, answer, BATCH)
            return
        if not named:
            self._accept(parcel, now)
            return
        refused = {row for _, rows in named for row in rows}
        fine = [row for row in parcel.rows if row not in refused]
        if fine:
            self._accept(parcel.of(fine), now)
        for each, rows in named:
            self._refused(parcel.of(rows), each, answer, BATCH)

    def _refused(self, parcel: Parcel, verdict: Verdict, answer: Answer, operation: str) -> None:
        figures, rows = parcel.chunk.figures, len(parcel.rows)
        figures.count(verdict.code, rows)
        if verdict.outcome is Outcome.NOT_SERVICE:
            raise failure.alien(verdict)
        if verdict.outcome in (Outcome.AUTH_DENIED, Outcome.UNSUPPORTED):
            self._denied(parcel, verdict, operation)
        elif verdict.outcome is Outcome.AUTH_EXPIRED:
            self._expired(parcel, verdict, answer)
        elif verdict.outcome is Outcome.SUSPECT:
            self._suspect(parcel, verdict)
        elif verdict.outcome is Outcome.HEADLESS:
            self._headless(parcel, verdict)
        elif verdict.outcome in (Outcome.RECORD, Outcome.UNKNOWN):
            self._malformed(parcel, verdict)
        else:
            throttled = verdict.outcome is Outcome.THROTTLE
            if throttled:
                figures.throttled += rows
                self._line.throttled(self._timing.clock())
            elif answer.sent:
                figures.ambiguous += rows
            self._again(parcel, verdict, failed=not throttled)

    def _denied(self, parcel: Parcel, verdict: Verdict, operation: str) -> None:
        """BatchWriteRecord refused: PutRecord from now on. Another one refused: the end."""
        if operation == BATCH and self._line.fall_back():
            self._ready.appendleft(parcel)
            return
        if verdict.outcome is Outcome.AUTH_DENIED:
            raise failure.denied(self._job.group, verdict, operation)
        if operation != "PutRecord":
            raise failure.unknown_operation(operation, verdict)
        self._suspect(parcel, verdict)

    def _expired(self, parcel: Parcel, verdict: Verdict, answer: Answer) -> None:
        if self._health.fruitless(answer.generation):
            if self._health.refusals >= FRUITLESS:
                raise failure.refused_keys(verdict)
            self._line.transport.renew(answer.generation)
        self._again(parcel, verdict)

    def _suspect(self, parcel: Parcel, verdict: Verdict) -> None:
        parcel.tries += 1
        if parcel.tries > len(SUSPECT_DELAYS_S):
            raise self._given_up(f"in {parcel.tries} tries", verdict)
        suspect = Verdict(Outcome.SUSPECT, verdict.code, verdict.message)
        self._again(parcel, suspect, attempts=parcel.tries)

    def _headless(self, parcel: Parcel, verdict: Verdict) -> None:
        """Of an endpoint that has accepted records: cut off. Of another, three times: not ours."""
        parcel.tries += not self._line.proved
        if parcel.tries >= UNKNOWN_TRIES:
            raise failure.alien(verdict)
        parcel.chunk.figures.ambiguous += len(parcel.rows)
        self._again(parcel, verdict, failed=True)

    def _malformed(self, parcel: Parcel, verdict: Verdict) -> None:
        """One bad record spoils a batch: halve it until it stands alone, then reject that one."""
        if len(parcel.rows) > 1:
            self._ready.extendleft(reversed(parcel.halves()))
            return
        parcel.tries += 1
        if verdict.outcome is Outcome.UNKNOWN and parcel.tries < UNKNOWN_TRIES:
            self._again(parcel, verdict)
            return
        self._reject(parcel, verdict)

    def _reject(self, parcel: Parcel, verdict: Verdict) -> None:
        now, utc = self._timing.clock(), self._timing.utc()
        first = utc - (now - parcel.first)
        chunk = parcel.chunk
        chunk.rejects.append(Reject(parcel.rows[0], verdict, parcel.attempts, first, utc))
        chunk.figures.rejected += 1
        self._rejected += 1
        self._unknown += verdict.outcome is Outcome.UNKNOWN
        nothing = not self._accepted and self._rejected >= self._gate
        if nothing or self._unknown >= GATE_ROWS:
            raise failure.rejected(self._rejected, self._accepted, verdict)

    def _again(
        self, parcel: Parcel, verdict: Verdict, *, failed: bool = False, attempts: int = 0
    ) -> None:
        now = self._timing.clock()
        at = now + delay(verdict, attempts or parcel.attempts, self._timing.random)
        if at - parcel.first > self._job.deadline_s:
            raise self._given_up(f"within {self._job.deadline_s:g} s", verdict)
        parcel.failed = failed
        self._health.troubled(now, at, verdict, failed=failed)
        heapq.heappush(self._delayed, (at, next(self._numbers), parcel))

    def _check_silence(self, now: float) -> None:
        cause, since = self._health.cause, self._health.since
        if cause is not None and since is not None and now - since > self._job.silence_s:
            raise self._given_up(f"for {now - since:.0f} s", cause)

    def _given_up(self, when: str, cause: Verdict) -> PenstockError:
        return failure.given_up(self._job.group, when, cause)

    def _settle(self, chunk: Chunk, now: float) -> None:
        if chunk.settled:
            self._open -= 1
            self._sink.put(chunk, now - (now if chunk.began is None else chunk.began))
