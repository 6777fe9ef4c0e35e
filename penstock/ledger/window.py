"""Windows of time: half-open, UTC, with a name that is safe in a path and sorts by start.

Rows of the quarantine that are replayed together make a window of their own, whatever their event
times; its name has the time they span, so that other windows know whether they share rows with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache

from penstock.errors import UsageError

REPLAY = "dlq-"
_INSTANT = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Window:
    """``[start, end)``; both None is everything, whenever it happened.

    ``label`` names the window where it is not made of time.
    """

    start: datetime | None = None
    end: datetime | None = None
    label: str | None = None

    @property
    def name(self) -> str:
        """``all``, or ``20130101T000000Z_20130201T000000Z``, or the label."""
        return self.label or _span(self.start, self.end)

    @property
    def replays(self) -> bool:
        """Whether it is made of rows of the quarantine."""
        return self.label is not None and self.label.startswith(REPLAY)


def window(start: str | None, end: str | None) -> Window:
    """The window two texts name: dates, or instants ``yyyy-MM-ddTHH:mm:ssZ``.

    Raises:
        UsageError: Only one is given, one does not parse, or the end is not after the start.
    """
    if start is None and end is None:
        return Window()
    if start is None or end is None:
        raise UsageError("a window needs --start and --end", "Give both, or neither for everything")
    first, last = instant(start), instant(end)
    if last <= first:
        raise UsageError(f"the window's end {end} is not after its start {start}")
    return Window(first, last)


def instant(text: str) -> datetime:
    """The instant a text names: a date, or ``yyyy-MM-ddTHH:mm:ssZ``; both are UTC.

    Raises:
        UsageError: It is neither.
    """
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    message = f"{text!r} is neither a date nor an instant"
    raise UsageError(message, "Write 2013-01-01 or 2013-01-01T00:00:00Z; both are UTC")


def replay_window(digest: str, start: datetime, end: datetime) -> Window:
    """The window of rows that are replayed; it holds them all, whatever their event times.

    Args:
        digest: Of the rows.
        start: Aware; no row is earlier.
        end: Aware; all rows are earlier.
    """
    return Window(label=f"{REPLAY}{digest}_{_span(start, end)}")


def parse_name(name: str) -> Window:
    """The time a :attr:`Window.name` stands for, under that name; raises ValueError."""
    if name == "all":
        return Window()
    if name.startswith(REPLAY):
        spans = parse_name(name.partition("_")[2])
        return Window(spans.start, spans.end, name)
    first, last = name.split("_")
    return Window(_parsed(first), _parsed(last))


@lru_cache(maxsize=8)
def _parsed(text: str) -> datetime:
    """An instant of a name; the windows' ends are the next ones' starts."""
    if _INSTANT.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an instant of a window's name")
    # strptime takes ten times as long.
    iso = f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[9:11]}:{text[11:13]}:{text[13:15]}+00:00"
    return datetime.fromisoformat(iso)


def _span(start: datetime | None, end: datetime | None) -> str:
    if start is None or end is None:
        return "all"
    return f"{_text(start)}_{_text(end)}"


def _text(at: datetime) -> str:
    iso = at.isoformat()  # strftime takes five times as long
    return f"{iso[:4]}{iso[5:7]}{iso[8:13]}{iso[14:16]}{iso[17:19]}Z"
