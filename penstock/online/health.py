"""Whether the service answers: one request at a time until it is known to, and when it stopped.

A process's first request goes alone, so that a wrong key or operation costs one request and not
one per thread. As many failures in a row as may be in flight bring the same back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.online.outcome import Outcome

if TYPE_CHECKING:
    from penstock.online.outcome import Verdict

POLL_S = 0.05  # nothing to send until an answer or a marker comes
LONGEST_S = 1.0  # so that silence is noticed


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
        self._probe_at = 0.0
        self._generation = 0
        self.refusals = 0
        self.since: float | None = None
        self.cause: Verdict | None = None

    def hold(self, now: float, in_flight: int) -> float:
        """Seconds to wait because a probe is out or due later; 0.0 otherwise."""
        if not self._probing:
            return 0.0
        return POLL_S if in_flight else min(max(0.0, self._probe_at - now), LONGEST_S)

    @property
    def elsewhere(self) -> bool:
        """Whether a probe should try other rows: one record alone may make the service fail."""
        failing = self.cause is not None and self.cause.outcome is Outcome.TRANSIENT
        return self._probing and failing

    def accepted(self) -> None:
        """A record was accepted."""
        self._probing = False
        self._failures = self.refusals = 0
        self.since = None

    def troubled(self, now: float, again: float, cause: Verdict, *, failed: bool) -> None:
        """Something has to be sent again; ``failed`` when the service itself did not work."""
        self.since = now if self.since is None else self.since
        self.cause = cause
        self._failures += failed
        if self._failures >= self._patience:
            self._probing = True
        self._probe_at = again

    def fruitless(self, generation: int) -> bool:
        """Whether these credentials are refused for the first time."""
        if generation <= self._generation:
            return False
        self._generation = generation
        self.refusals += 1
        return True
