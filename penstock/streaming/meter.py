"""How a stream goes: events, freshness, backlog, and how far the offline store is behind.

Freshness of an event is the time from its timestamp in the stream to the acknowledgement of the
record it went into; the record can be read from then on. Where Spark's windows come between, each
batch counts once, by its newest event.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock.online import OnlineTotals
from penstock.streaming.batch import Batch

WINDOW_S = 60.0  # that rate and freshness are of
Longs = npt.NDArray[np.int64]


@dataclass
class Meter:
    """Figures of one run of a stream; safe between threads.

    Args:
        began: Epoch seconds at which the run began.
    """

    began: float
    batches: int = 0
    last: int | None = None
    events: int = 0
    put_aside: int = 0
    dropped: int = 0
    valid: int = 0
    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    expired: int = 0
    offline: int = 0
    present: int = 0
    late: int = 0
    backlog: int | None = None
    waiting_since: float | None = None
    _recent: deque[tuple[float, int, Longs]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def delivered(self, batch: Batch, totals: OnlineTotals, stamps: Longs, now: float) -> None:
        """A batch is online.

        Args:
            batch: The batch.
            totals: What became of its records.
            stamps: When its events came to the stream, in microseconds; none of a batch that an
                earlier run staged.
            now: Epoch seconds.
        """
        fresh = np.maximum(int(now * 1e6) - stamps, 0)
        with self._lock:
            self.batches, self.last = self.batches + 1, batch.number
            self.events += batch.source.read
            self.put_aside += batch.source.quarantined + batch.staged.quarantined
            self.dropped += batch.source.dropped + batch.staged.dropped
            self.valid += batch.staged.fit
            self.sent += totals.rows
            self.accepted += totals.figures.accepted
            self.rejected += totals.figures.rejected
            self.expired += batch.expired
            self._recent.append((now, batch.source.read, fresh))

    def committed(self, rows: int, present: int) -> None:
        """Rows are offline."""
        with self._lock:
            self.offline += rows
            self.present += present

    def plain(self, now: float) -> dict[str, Any]:
        """A JSON form, as things stand at ``now`` (epoch seconds)."""
        with self._lock:
            while self._recent and self._recent[0][0] < now - WINDOW_S:
                self._recent.popleft()
            recent = list(self._recent)
            since = self.waiting_since
            named = {name: getattr(self, name) for name in _FIGURES}
        span = max(min(WINDOW_S, now - self.began), 1e-3)
        fresh = np.concatenate([one for _, _, one in recent]) if recent else np.empty(0, np.int64)
        return {
            **named,
            "rate": round(sum(count for _, count, _ in recent) / span, 1),
            "freshness_s": _spread(fresh),
            "offline_behind_s": 0.0 if since is None else round(max(now - since, 0.0), 1),
        }


_FIGURES = (
    *("batches", "last", "events", "put_aside", "dropped", "valid", "sent", "accepted"),
    *("rejected", "expired", "late", "offline", "present", "backlog"),
)


def _spread(fresh: Longs) -> dict[str, float] | None:
    if not len(fresh):
        return None
    p50, p99 = np.percentile(fresh, [50, 99])
    return {
        "p50": round(float(p50) / 1e6, 3),
        "p99": round(float(p99) / 1e6, 3),
        "max": round(float(fresh.max()) / 1e6, 3),
    }
