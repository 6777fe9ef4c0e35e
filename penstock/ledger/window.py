"""Windows of time: half-open, UTC, with a name that is safe in a path and sorts by start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from penstock.errors import UsageError


@dataclass(frozen=True)
class Window:
    """``[start, end)``; both None is everything, whenever it happened."""

    start: datetime | None = None
    end: datetime | None = None

    @property
    def name(self) -> str:
        """``all``, or ``20130101T000000Z_20130201T000000Z``."""
        if self.start is None or self.end is None:
            return "all"
        return f"{self.start:%Y%m%dT%H%M%SZ}_{self.end:%Y%m%dT%H%M%SZ}"


def window(start: str | None, end: str | None) -> Window:
    """The window two texts name: dates, or instants ``yyyy-MM-ddTHH:mm:ssZ``.

    Raises:
        UsageError: Only one is given, one does not parse, or the end is not after the start.
    """
    if start is None and end is None:
        return Window()
    if start is None or end is None:
        raise UsageError("a window needs --start and --end", "Give both, or neither for everything")
    first, last = _instant(start), _instant(end)
    if last <= first:
        raise UsageError(f"the window's end {end} is not after its start {start}")
    return Window(first, last)


def parse_name(name: str) -> Window:
    """The window a :attr:`Window.name` stands for; raises ValueError."""
    if name == "all":
        return Window()
    first, last = (
        datetime.strptime(part, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        for part in name.split("_")
    )
    return Window(first, last)


def _instant(text: str) -> datetime:
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    message = f"{text!r} is neither a date nor an instant"
    raise UsageError(message, "Write 2013-01-01 or 2013-01-01T00:00:00Z; both are UTC")
