"""What a test sees of a line from outside: how long requests take, how often keys are renewed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.online.line import Line, line_of
from penstock.online.pacing import Pacer

if TYPE_CHECKING:
    from penstock.online.job import SendJob
    from penstock.online.transport import Answer, Request, Transport, Work


@dataclass
class Seen:
    """What was seen; times in seconds.

    Args:
        calls: Requests.
        longest_s: The longest request.
        record_s: For each accepted call, from the first sending of its rows to its answer, times
            its rows.
        renewals: Times that credentials were to be found again, once per generation.
    """

    calls: int = 0
    longest_s: float = 0.0
    record_s: list[float] = field(default_factory=list)
    renewals: int = 0

    @property
    def p99_s(self) -> float:
        """99 of 100 records were accepted within this."""
        ordered = sorted(self.record_s)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0


class Watched:
    """A transport that looks on; see :class:`penstock.online.transport.Transport`."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._generations: set[int] = set()
        self.seen = Seen()

    def run(self, work: Work) -> None:
        """Send, looking on."""
        self._inner.run(_Work(work, self.seen, self._lock))

    def renew(self, generation: int) -> None:
        """Count the generation once."""
        with self._lock:
            self._generations.add(generation)
            self.seen.renewals = len(self._generations)
        self._inner.renew(generation)

    def close(self) -> None:
        """Close connections."""
        self._inner.close()


class _Work:
    def __init__(self, inner: Work, seen: Seen, lock: threading.Lock) -> None:
        self._inner, self._seen, self._lock = inner, seen, lock
        self._began: dict[int, float] = {}

    def take(self) -> Request | float | None:
        """A request begins when it is taken."""
        step = self._inner.take()
        if step is not None and not isinstance(step, float):
            self._began[id(step)] = time.monotonic()
            with self._lock:
                self._seen.calls += 1
        return step

    def answered(self, request: Request, answer: Answer) -> None:
        """It ends when it is answered."""
        now = time.monotonic()
        took = now - self._began.pop(id(request))
        with self._lock:
            self._seen.longest_s = max(self._seen.longest_s, took)
            if 200 <= answer.status < 300:
                self._seen.record_s += [now - request.tag.first] * len(request.tag.rows)
        self._inner.answered(request, answer)


def watched_line(
    job: SendJob, start: float | None = None, request_s: float | None = None
) -> tuple[Line, Seen]:
    """A line as a worker has it, looked at.

    Args:
        job: What is sent where.
        start: Write units a second before the first reply; None leaves the pace as it is.
        request_s: How long a request may take; None leaves it as it is.
    """
    own = line_of(job)
    watched = Watched(own.transport)
    if request_s is not None:
        bounded: Any = own.transport
        bounded.request_s = request_s
    if start is None:
        own.transport = watched
        return own, watched.seen
    pacer = Pacer(time.monotonic(), job.max_write_units_per_s, start)
    return Line(watched, pacer, job.api), watched.seen
