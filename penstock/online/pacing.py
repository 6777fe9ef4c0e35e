"""How fast one process may write: a token bucket in write units whose rate follows the replies.

The law (facts: reliability §4.4, simulated there against eight others): double each second until
the first throttle; then cut to what the service was found to take, to 0.7 at most, and grow by
20 % a second, only while at least half of the allowance is used. No coordination between processes,
no knowledge of the quota.
Pure: the caller hands in the clock's reading and does the waiting.
"""

from __future__ import annotations

from dataclasses import dataclass

DOUBLING = 0.7  # e**0.7 = 2 per second, compounded at each reply
GROWTH = 0.2  # of max(rate, half of the last maximum), per second
CUT = 0.7
DEEPEST = 0.3  # of the rate, what one cut leaves at least
HOLD_S = 0.5  # replies under way still tell of the rate before the cut
SETTLE_S = 0.2  # after which they tell enough to cut again, where far less is taken than sent
FLOOR = 1.0
USED = 0.5
WINDOW_S = 0.25  # over which use is judged
BURST_S = 0.1
SHORTEST_S = 0.0005
TICK_S = 0.001  # replies within it raise the rate in one step: several thousand come a second
#: Write units a second before the first reply. 25/s, the start that was simulated, lets 16
#: processes meet a quota of 1,000/s gently, but keeps a local run of some thousand rows waiting for
#: seconds. 2,000/s is a fifth of the default account quota (10,000 a second and API); a group that
#: gives less says so in the first replies, and throttled records are never lost: from then on
#: replies rule.
START = 2_000.0
GENTLE = 25.0  # the start that was simulated; no belief is worth beginning lower


@dataclass
class Pacer:
    """The limiter of one process.

    Args:
        now: The clock's reading, in seconds.
        ceiling: Upper bound in write units a second, or None.
        start: Rate before the first reply: a hint, which the replies soon overrule.
    """

    now: float
    ceiling: float | None = None
    start: float = START

    def __post_init__(self) -> None:
        self._set(self.start)
        self.highest = self.rate
        self._tokens = self._burst
        self._filled = self._grown = self._window = self.now
        self._cut = self.now - HOLD_S
        self._taken = 0.0
        self._good = 0.0
        self._last = 1
        self._used = True
        self._limited = False
        self._doubling = True

    def take(self, now: float, units: int) -> float:
        """0.0 when ``units`` may be sent now, which takes them; else the seconds to wait.

        A request larger than the burst goes once the bucket is full and leaves a debt behind, so
        that no record is too large to be sent.
        """
        wanted = min(units, self._burst)
        if self._tokens < wanted:
            self._fill(now)
            if self._tokens < wanted:
                self._limited = True  # at a low rate whole windows pass between two requests
                # A wait too short to move the clock's reading would be asked for again, for ever.
                return max(SHORTEST_S, (wanted - self._tokens) / self.rate)
        self._tokens -= units
        self._taken += units
        self._last = units
        return 0.0

    def accepted(self, now: float, units: int) -> None:
        """A request of ``units``, or its entries of so many, was answered without a throttle."""
        self._good += units
        if now - self._grown < TICK_S:
            return
        self._fill(now)
        # One request is due every so often, however low the rate: that long counts as in use.
        passed = min(max(0.5, self._last / self.rate), max(0.0, now - self._grown))
        self._grown = now
        if not (self._used or self._limited):
            return
        self._limited = False
        step = self.rate * DOUBLING if self._doubling else max(self.rate, self.highest / 2) * GROWTH
        self._set(self.rate + step * passed)

    def throttled(self, now: float) -> None:
        """A request, or an entry of it, was throttled."""
        self._fill(now)
        self._grown = now
        first, self._doubling = self._doubling, False
        since = now - self._cut
        if since < SETTLE_S:
            return
        # Before the first cut the rate was growing: what was taken meanwhile says little.
        taken = self.rate * CUT if first else self._good / since
        if taken >= self.rate * CUT and since < HOLD_S:
            return
        self._cut, self._good = now, 0.0
        self._set(max(self.rate * DEEPEST, min(self.rate * CUT, taken)))
        self.highest = self.rate / CUT
        self._tokens = min(self._tokens, 0.0)

    def _set(self, rate: float) -> None:
        floored = max(FLOOR, rate)
        self.rate = floored if self.ceiling is None else min(floored, self.ceiling)
        self._burst = max(1.0, self.rate * BURST_S)

    def _fill(self, now: float) -> None:
        passed = now - self._filled
        if passed > 0.0:
            self._tokens = min(self._burst, self._tokens + passed * self.rate)
            self._filled = now
        if now - self._window >= WINDOW_S:
            self._used = self._taken >= USED * self.rate * (now - self._window)
            self._window, self._taken = now, 0.0
