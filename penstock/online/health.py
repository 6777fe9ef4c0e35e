"""Whether the service answers: one request at a time until it is known to, and when it stopped.

A process's first request goes alone, so that a wrong key or operation costs one request and not
one per slot. The same comes back as a circuit breaker (facts: reliability §3.9, F23): after as many
failures in a row as may be in flight; when more than a fifth of what is sent over ten seconds are
repetitions of failures; and, until several requests in a row went well, when more than half of the
answers of thirty seconds are failures. Throttles are no failures: the limiter deals with them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from penstock.online.outcome import Outcome

if TYPE_CHECKING:
    from penstock.online.outcome import Verdict

POLL_S = 0.05  # nothing to send until an answer or a marker comes
LONGEST_S = 1.0  # so that silence is noticed
BUDGET = 0.2  # of sends that may repeat a failure
BUDGET_S = 10
HALF = 0.5  # of answers that may be failures
HALF_S = 30
FEWEST = 20  # sends or answers before shares mean anything
GOOD = 5  # acceptances in a row that end the worse of the two


class Tally:
    """What happened in one second."""

    __slots__ = ("answers", "failures", "repeats", "second", "sends")

    def __init__(self, second: int) -> None:
        self.second = second
        self.sends = self.repeats = self.answers = self.failures = 0


class Health:
    """State of one file's dealings with the service. Times are the clock's readings.

    Args:
        proved: The service was found to work already.
        patience: Failures in a row after which it is asked one request at a time.
    """

    def __init__(self, *, proved: bool, patience: int) -> None:
        self._probing = not proved
        self._patience = patience
        self._failures = 0
        self._wanted = self._goal = 1  # acceptances in a row that end the probing: still, in all
        self._probe_at = 0.0
        self._generation = 0
        self._tally = Tally(0)
        self._past: deque[Tally] = deque(maxlen=HALF_S)
        self.refusals = 0
        self.since: float | None = None
        self.cause: Verdict | None = None

    @property
    def probing(self) -> bool:
        """Whether requests go one at a time."""
        return self._probing

    @property
    def uneasy(self) -> bool:
        """Whether all is not well: it is probed, or something has to be sent again."""
        return self._probing or self.since is not None

    def hold(self, now: float, in_flight: int) -> float:
        """Seconds to wait because a probe is out or due later; 0.0 otherwise."""
        if not self._probing:
            return 0.0
        return POLL_S if in_flight else min(max(0.0, self._probe_at - now), LONGEST_S)

    @property
    def elsewhere(self) -> bool:
        """Whether a probe should try other rows: one record alone may make the service fail."""
        if not self._probing or self.cause is None:
            return False
        return self.cause.outcome is Outcome.TRANSIENT

    def sent(self, now: float, *, repeats: bool) -> None:
        """A request goes out; ``repeats`` when it failed before."""
        if int(now) != self._tally.second:
            self._past.append(self._tally)
            self._tally = Tally(int(now))
        self._tally.sends += 1
        if repeats:
            self._tally.repeats += 1
            recent = self._recent(BUDGET_S)
            sends = sum(one.sends for one in recent)
            if sends >= FEWEST and sum(one.repeats for one in recent) > BUDGET * sends:
                self._open(1)

    def accepted(self) -> None:
        """A record was accepted, or the service said that it has a newer one."""
        self._tally.answers += 1
        self._failures = self.refusals = 0
        self.since = None
        if self._probing:
            self._wanted -= 1
            if self._wanted <= 0:
                self._close()

    def troubled(self, now: float, again: float, cause: Verdict, *, failed: bool) -> None:
        """Something has to be sent again; ``failed`` when the service itself did not work."""
        self.since = now if self.since is None else self.since
        self.cause = cause
        self._probe_at = again
        if failed:
            self._failed()

    def fruitless(self, generation: int) -> bool:
        """Whether these credentials are refused for the first time."""
        if generation <= self._generation:
            return False
        self._generation = generation
        self.refusals += 1
        return True

    def _failed(self) -> None:
        self._tally.answers += 1
        self._tally.failures += 1
        self._failures += 1
        self._wanted = self._goal
        recent = self._recent(HALF_S)
        answers = sum(one.answers for one in recent)
        if answers >= FEWEST and sum(one.failures for one in recent) > HALF * answers:
            self._open(GOOD)
        elif self._failures >= self._patience:
            self._open(1)

    def _recent(self, seconds: int) -> list[Tally]:
        """Tallies of the last seconds, this one included."""
        since = self._tally.second - seconds
        return [one for one in (*self._past, self._tally) if one.second > since]

    def _open(self, goal: int) -> None:
        self._goal = max(goal, self._goal) if self._probing else goal
        self._wanted = self._goal
        self._probing = True

    def _close(self) -> None:
        """All is forgotten: what is sent again first would else be held against it."""
        self._probing = False
        self._wanted = self._goal = 1
        self._past.clear()
        self._tally = Tally(self._tally.second)
