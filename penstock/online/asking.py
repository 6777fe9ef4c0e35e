"""Questions to the online store: asked many at once, at a bounded rate, again where that may help.

A :class:`penstock.online.transport.Work` beside the sender's, over the same transports, the same
table of answers and the same limiter. Reading changes nothing, so asking again is always harmless.
"""

from __future__ import annotations

import heapq
import json
import time
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol

from penstock.errors import UsageError
from penstock.online import failure
from penstock.online.health import LONGEST_S, POLL_S
from penstock.online.line import carrier_of, transport_of
from penstock.online.outcome import SUSPECT_DELAYS_S, Outcome, Verdict, classify, delay
from penstock.online.pacing import START, Pacer
from penstock.online.sender import FRUITLESS, Timing
from penstock.online.transport import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.aws import Endpoint
    from penstock.online.transport import Answer, Transport

#: Requests under way at once where nothing else is set; each asks for up to a hundred records.
IN_FLIGHT = 16


class UnknownOperationError(UsageError):
    """The endpoint does not have the operation, as older ones have not."""


@dataclass(frozen=True)
class ReadJob:
    """How a group is read; the same for all tasks, and picklable.

    Args:
        endpoint: Where AWS is.
        group: Physical name or ARN of the feature group.
        in_flight: Requests under way at once, per process; None takes :data:`IN_FLIGHT`.
        max_records_per_s: This process's share of the ceiling; None lets the replies rule.
        transport: ``plain`` is the reference and the kill switch.
        deadline_s: So long after it was first asked a question is given up: exit 75.
    """

    endpoint: Endpoint
    group: str
    in_flight: int | None = None
    max_records_per_s: float | None = None
    transport: Literal["fast", "plain"] = "fast"
    deadline_s: float = 300.0

    @property
    def slots(self) -> int:
        """Requests that may be under way at once."""
        return IN_FLIGHT if self.in_flight is None else self.in_flight


@dataclass
class Question:
    """One request.

    Args:
        path: Its URI.
        document: Its body.
        records: How many records it asks for: what the limiter counts.
    """

    path: str
    document: Mapping[str, Any]
    records: int
    attempts: int = 0
    tries: int = 0
    first: float = 0.0

    def of(self, document: Mapping[str, Any], records: int) -> Question:
        """A part of it, with the same past."""
        return Question(self.path, document, records, self.attempts, self.tries, self.first)


class Reader(Protocol):
    """What the answers to questions are read by."""

    operation: str

    def read(
        self, question: Question, document: Mapping[str, Any]
    ) -> Iterable[tuple[Question, Verdict]]:
        """Take what an answer says; what of it is to be asked again, and why."""


@dataclass
class ReadLine:
    """What one process knows of a group it reads: connections and pace; kept between questions."""

    transport: Transport
    pacer: Pacer


@lru_cache(maxsize=16)
def line_of(job: ReadJob) -> ReadLine:
    """This process's line for a job.

    Raises:
        CredentialsError: No credentials were found.
    """
    carrier = carrier_of(job.endpoint, job.slots, transport_of(job))
    return ReadLine(carrier, Pacer(time.monotonic(), job.max_records_per_s, START))


def ask(
    job: ReadJob,
    questions: Iterable[Question],
    reader: Reader,
    *,
    line: ReadLine | None = None,
    timing: Timing | None = None,
) -> None:
    """Ask, and have every answer read; returns once all are.

    Args:
        job: Who is asked, and how fast.
        questions: In whatever number; their answers come in any order.
        reader: Gets the answers, one at a time.
        line: Of this process; by default its own.
        timing: Clock and randomness.

    Raises:
        UnknownOperationError: The endpoint does not have the operation.
        CredentialsError: Not allowed, or credentials are refused.
        TemporaryError: No answer came within ``deadline_s``.
        MismatchError: The endpoint is not SageMaker, or refuses the question.
    """
    line = line or line_of(job)
    line.transport.run(_Asking(job, line, questions, reader, timing or Timing()))


@dataclass
class _Asking:
    """A :class:`penstock.online.transport.Work`."""

    job: ReadJob
    line: ReadLine
    questions: Iterable[Question]
    reader: Reader
    timing: Timing
    _delayed: list[tuple[float, int, Question]] = field(default_factory=list)
    _refused: set[int] = field(default_factory=set)
    _in_flight: int = 0

    def __post_init__(self) -> None:
        self._ready = deque(self.questions)
        self._numbers = count()

    def take(self) -> Request | float | None:
        """See :class:`penstock.online.transport.Work`."""
        now = self.timing.clock()
        while self._delayed and self._delayed[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._delayed)[2])
        if not self._ready:
            if self._delayed:
                return min(max(self._delayed[0][0] - now, 0.001), LONGEST_S)
            return POLL_S if self._in_flight else None
        if self._in_flight >= self.job.slots:
            return POLL_S
        wait = self.line.pacer.take(now, self._ready[0].records)
        if wait > 0:
            return min(wait, LONGEST_S)
        question = self._ready.popleft()
        question.first = question.first if question.attempts else now
        question.attempts += 1
        self._in_flight += 1
        body = json.dumps(question.document, ensure_ascii=False).encode()
        return Request("POST", question.path, body, question)

    def answered(self, request: Request, answer: Answer) -> None:
        """See :class:`penstock.online.transport.Work`."""
        self._in_flight -= 1
        question: Question = request.tag
        verdict = classify(answer)
        if verdict.outcome is not Outcome.OK:
            self._not_answered(question, verdict, answer)
            return
        left = list(self.reader.read(question, verdict.document))
        got = question.records - sum(one.records for one, _ in left)
        if got or not left:
            self.line.pacer.accepted(self.timing.clock(), got)
        for one, why in left:
            self._not_answered(one, why, answer)

    def _not_answered(self, question: Question, verdict: Verdict, answer: Answer) -> None:
        group, operation, outcome = self.job.group, self.reader.operation, verdict.outcome
        if outcome is Outcome.NOT_SERVICE:
            raise failure.alien(verdict)
        if outcome is Outcome.AUTH_DENIED:
            raise failure.denied(group, verdict, operation)
        if outcome is Outcome.UNSUPPORTED:
            message = f"the endpoint does not know {operation}: {verdict.code}"
            raise UnknownOperationError(message, "Update the region or the stand-in")
        if outcome in (Outcome.RECORD, Outcome.UNKNOWN):
            raise failure.unanswerable(group, operation, verdict)
        if outcome is Outcome.THROTTLE:
            self.line.pacer.throttled(self.timing.clock())
        if outcome is Outcome.AUTH_EXPIRED:
            self._renew(verdict, answer)
        if outcome is Outcome.SUSPECT:
            question.tries += 1
            if question.tries > len(SUSPECT_DELAYS_S):
                raise failure.unread(group, f"in {question.tries} tries", verdict)
        self._again(question, verdict)

    def _renew(self, verdict: Verdict, answer: Answer) -> None:
        """Credentials are looked up anew once for all that were refused with the same ones."""
        if answer.generation not in self._refused:
            self._refused.add(answer.generation)
            if len(self._refused) >= FRUITLESS:
                raise failure.refused_keys(verdict)
            self.line.transport.renew(answer.generation)

    def _again(self, question: Question, verdict: Verdict) -> None:
        now = self.timing.clock()
        at = now + delay(verdict, question.tries or question.attempts, self.timing.random)
        if at - question.first > self.job.deadline_s:
            raise failure.unread(self.job.group, f"within {self.job.deadline_s:g} s", verdict)
        heapq.heappush(self._delayed, (at, next(self._numbers), question))
