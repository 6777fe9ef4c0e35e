"""When each event is due: pure, the caller reads the clock and waits.

An event is due ``(its time - that of the first) / speed`` after the start, and not before
``n / rate`` where n events went before it. Who falls behind does not wait until he has caught up:
``rate`` bounds the number of events since the start, not that of any single second.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import UsageError


@dataclass(frozen=True)
class Pace:
    """How fast.

    Args:
        speed: Seconds of the events' time in one second; None: their time does not count.
        rate: Events a second, at most, on average since the start; None: no bound.
    """

    speed: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("speed", self.speed), ("rate", self.rate)):
            if value is not None and not 0.0 < value < float("inf"):
                raise UsageError(f"a {name} of {value:g}", "It must be a number above 0")

    def due(self, number: int, since_first: float) -> float:
        """Seconds after the start.

        Args:
            number: How many events went before it.
            since_first: Seconds from the first event's time to its own.
        """
        by_time = 0.0 if self.speed is None else since_first / self.speed
        by_rate = 0.0 if self.rate is None else number / self.rate
        return max(by_time, by_rate)
