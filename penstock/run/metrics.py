"""Figures of a run while it sends: JSON lines, at first one a second, and one more at the end.

After 100 seconds there is a line every hundredth of the time so far, and in the end one every 15 s:
on S3 the file is written anew for each. It is ``{state}/metrics/<run>.jsonl``; every line is
cumulative and says whose it is, so that a file can be followed, or collected, by whatever a team
already has. The source is the markers of finished chunks, as for the ledger: what is in flight is
not in them yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from penstock.ledger.journal import written
from penstock.online import Figures, figures_of
from penstock.run.places import metrics_path
from penstock.run.work import Work

LINE_S = (1.0, 15.0)  # between two lines: least and most


class Meter:
    """Reads each marker once.

    Args:
        work: The window.
        results: Folder of its markers.
        total: Records that are to be sent.
    """

    def __init__(self, work: Work, results: str, total: int) -> None:
        self._work, self._results, self._total = work, results, total
        self._began = work.context.monotonic()
        self._seen: set[str] = set()
        self._sum = Figures()
        self._line = -LINE_S[0]  # seconds from the beginning to the last line

    def note(self) -> int:
        """Append a line with the figures so far, where it is time for one.

        Returns:
            The records that have their outcome.
        """
        storage = self._work.context.storage
        names = {one for one in storage.list(self._results) if one.endswith(".json")}
        for name in sorted(names - self._seen):
            self._sum.add(figures_of(json.loads(storage.read(name))))
        self._seen |= names
        seconds = self._work.context.monotonic() - self._began
        if seconds - self._line >= min(max(LINE_S[0], seconds / 100), LINE_S[1]):
            append(self._work, {"total": self._total, **measured(self._sum, seconds)})
            self._line = seconds
        return self._sum.settled


def measured(found: Figures, seconds: float) -> dict[str, Any]:
    """Figures of sending as they stand in the ledger and in a line; rate is accepted a second."""
    return {
        "sent": found.sent,
        "accepted": found.accepted,
        "skipped": found.skipped,
        "rejected": found.rejected,
        "repeated": found.repeated,
        "throttled": found.throttled,
        "ambiguous": found.ambiguous,
        "calls": found.calls,
        "by_code": dict(sorted(found.by_code.items())),
        "p50_ms": found.p50_ms,
        "p99_ms": found.p99_ms,
        "in_flight": found.in_flight,
        "online_s": round(seconds, 3),
        "rate": round(found.accepted / seconds, 1) if seconds > 0 else 0.0,
    }


def append(work: Work, line: Mapping[str, Any]) -> None:
    """Add a line to the run's file; it begins with time, run, group and window."""
    head = {
        "utc": written(work.context.now()),
        "run": work.run,
        "group": work.group.name,
        "window": work.places.window.name,
    }
    text = json.dumps({**head, **line}) + "\n"
    work.context.storage.append(metrics_path(work.context.settings, work.run), text.encode())
