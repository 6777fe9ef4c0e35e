"""How a stream went over its life: points for the charts of its report, few of a long life."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.bucket import storage_of
from penstock.report.run_page import instant
from penstock.report.shelf import Shelf
from penstock.report.stream_page import html
from penstock.run.places import reports_path

if TYPE_CHECKING:
    from penstock.run.context import Context

LOG = logging.getLogger("penstock")
MOST = 400  # points; then every second one goes, and half as many are taken


@dataclass
class Track:
    """One life.

    Args:
        context: The surroundings.
        group: Name of the feature group.
        number: Of its stream.
        run: Identifier of the life.
    """

    context: Context
    group: str
    number: int
    run: str
    points: list[dict[str, Any]] = field(default_factory=list)
    _every: int = 1
    _seen: int = 0

    def add(self, plain: Mapping[str, Any], seconds: float) -> None:
        """How it stands so many seconds after its start: figures of the meter."""
        self._seen += 1
        if self._seen % self._every:
            return
        fresh = plain["freshness_s"] or {}
        told = {name: plain[name] for name in ("rate", "offline_behind_s", "backlog")}
        spread = {name: fresh.get(name) for name in ("p50", "p99")}
        self.points.append({"s": round(seconds, 1), **told, **spread})
        if len(self.points) >= MOST:
            self.points, self._every = self.points[::2], self._every * 2

    def close(self, figures: Mapping[str, Any]) -> None:
        """Write the report of the life that ends here; that it cannot be written ends nobody.

        An error that is under way is why it ended. ``report: false`` writes none.
        """
        settings, now, error = self.context.settings, self.context.now(), sys.exc_info()[1]
        if not settings.report:
            return
        plain = {
            "group": self.group,
            "window": stream_window(self.number),
            "run": self.run,
            "at": instant(now),
            "state": "stream",
            "why": "ended" if error is None else f"failed: {type(error).__name__}",
            "figures": dict(figures),
            "progress": self.points,
        }
        folder = reports_path(settings, self.group)
        try:
            Shelf(storage_of(folder, settings), folder).put(plain, html(plain), now)
        except Exception as failed:  # noqa: BLE001 - telling of a stream must not change its end
            LOG.warning("%s: no report of run %s: %s", self.group, self.run, type(failed).__name__)


def stream_window(number: int) -> str:
    """What stands for the window in the name of a stream's report."""
    return f"stream-{number}"
