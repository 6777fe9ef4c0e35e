"""Write quotas as token buckets: per account, per group or per identifier, with scheduled changes.

A write costs one unit per started KB, at least one (AWS developer guide, quotas). A bucket starts
full and holds ``burst`` seconds of its rate; a write larger than the bucket passes when it is full
and leaves it in debt, so that nothing starves.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

UNIT_BYTES = 1_024


@dataclass(frozen=True, eq=False)
class Quota:
    """How many write units a second are granted, and how the others are answered.

    Args:
        rate: Write units per second; 0 grants nothing but the first burst, which is then nothing.
        per: Whether all writes share one bucket, or each group or identifier has its own.
        group: Only writes to this group count; None counts all.
        burst: Seconds of the rate that an idle bucket saves up.
        schedule: Pairs of seconds since the first write and the rate from then on.
        batch: Entries of BatchWriteRecord that are over it come back as ``entries``
            (UnprocessedEntries), or the whole ``call`` is throttled.
        shape: How a throttled call looks (see ``faults.throttled``).
        retry_after: Milliseconds in x-amz-retry-after, None for no such header.
    """

    rate: float
    per: Literal["all", "group", "identifier"] = "all"
    group: str | None = None
    burst: float = 1.0
    schedule: tuple[tuple[float, float], ...] = ()
    batch: Literal["entries", "call"] = "entries"
    shape: Literal["exception", "null", "bare", "coded", "provisioned", "limit"] = "exception"
    retry_after: int | None = None


class Meter:
    """The buckets of one quota.

    Args:
        quota: What is granted.
    """

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.granted = 0
        self.refused = 0
        self._begin: float | None = None
        self._steps = tuple(sorted(quota.schedule))
        self._tokens: dict[Hashable, tuple[float, float]] = {}

    def take(self, group: str, identifier: str, units: int, now: float) -> bool:
        """Whether a write is granted; writes that do not count always are.

        Args:
            group: Group of the record.
            identifier: Its identifier.
            units: Write units.
            now: Seconds of a monotonic clock.
        """
        quota = self.quota
        if quota.group not in {None, group}:
            return True
        if self._begin is None:
            self._begin = now
        at = now - self._begin
        key = {"all": (), "group": group, "identifier": (group, identifier)}[quota.per]
        capacity = self._rate(at) * quota.burst
        tokens, since = self._tokens.get(key, (capacity, at))
        tokens = min(tokens + self._grown(since, at), capacity)
        granted = tokens >= min(units, capacity) and capacity > 0
        self._tokens[key] = (tokens - units * granted, at)
        self.granted += units * granted
        self.refused += units * (not granted)
        return granted

    def _rate(self, at: float) -> float:
        return next((rate for start, rate in reversed(self._steps) if start <= at), self.quota.rate)

    def _grown(self, since: float, at: float) -> float:
        """Tokens that came between two moments, over every change of rate between them."""
        edges = [start for start, _ in self._steps if since < start < at]
        moments = [since, *edges, at]
        return sum(self._rate(begin) * (end - begin) for begin, end in pairwise(moments))


def units(size: int) -> int:
    """Write units of a record of so many bytes."""
    return max(1, -(-size // UNIT_BYTES))
