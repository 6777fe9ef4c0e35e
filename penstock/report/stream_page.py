"""The page about one life of a stream, from its start to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.report import charts, page
from penstock.report.markup import Html
from penstock.report.page import Section

Plain = Mapping[str, Any]

_COUNTS = {
    "batches": "batches",
    "events": "events read",
    "put_aside": "put aside",
    "dropped": "dropped by a rule",
    "late": "too late for their window",
    "valid": "valid",
    "sent": "records sent",
    "accepted": "records accepted",
    "rejected": "records refused by the service",
    "expired": "not sent: time to live is over",
    "offline": "rows committed offline",
    "present": "rows that were offline already",
}
_LINES: Sequence[tuple[str, str, str, Sequence[tuple[str, str]]]] = (
    ("Events a second", "events a second", "rate of the last minute", (("events", "rate"),)),
    (
        "From an event to its record being readable",
        "seconds",
        "of the last minute",
        (("median", "p50"), ("99 % kept to", "p99")),
    ),
    ("Offline store behind", "seconds", "", (("behind", "offline_behind_s"),)),
    ("Events that were there and not read yet", "events", "", (("backlog", "backlog"),)),
)


def html(plain: Plain) -> str:
    """The page.

    Args:
        plain: ``group``, ``run``, ``window`` (which stream), ``at``, ``why`` it ended, ``figures``
            of its meter and ``progress``: points with seconds ``s`` since its start.
    """
    figures = plain["figures"]
    counts = page.table(
        ["figure", "events, rows or records"],
        [[words, f"{figures[name]:,}"] for name, words in _COUNTS.items()],
        numbers={1},
    )
    drawn = [_line(plain["progress"], *one) for one in _LINES]
    sections = [
        Section("How it ended", page.facts([("state", plain["why"])])),
        Section("Counts", counts),
        Section("Over time", page.grid(drawn) or page.note("It ended before it could be seen.")),
    ]
    about = f"{plain['window']}, run {plain['run']}, ended {plain['at']}"
    return page.page(f"{plain['group']}: stream", sections, about=about)


def _line(
    points: Sequence[Plain], title: str, unit: str, what: str, lines: Sequence[tuple[str, str]]
) -> Html:
    known = any(one[key] is not None for one in points for _, key in lines)
    if not known:
        return Html("")
    series = [charts.Series(name, [(one["s"], one[key]) for one in points]) for name, key in lines]
    title = f"{title}, {what}" if what else title
    return charts.line(series, title=title, x_label="seconds since its start", y_label=unit)
