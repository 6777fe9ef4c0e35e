"""Intervals of time as an algebra: windows split, joined and taken from one another, never a row.

Everything is half-open and UTC, where no hour is missing and none comes twice, so local clocks and
their changes have no say. :class:`~penstock.ledger.window.Window` is the interval, and its name is
the name; ``Window()`` is all of time.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Generic, TypeVar, get_args

from penstock.errors import UsageError
from penstock.ledger.window import Window
from penstock.timetable import Unit as UnitName

#: Ends of time, for windows that are open.
FIRST = datetime.min.replace(tzinfo=timezone.utc)
LAST = datetime.max.replace(microsecond=0, tzinfo=timezone.utc)
_T = TypeVar("_T")
MAX_WINDOWS = 1_000_000  # of one split: a slip of the pen must not fill the memory

_STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_MONDAY = datetime(1970, 1, 5, tzinfo=timezone.utc)  # weeks begin on Mondays (ISO 8601)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TEXT = re.compile(r"(\d{1,4})?\s*(hour|day|week|month)s?")


@dataclass(frozen=True)
class Unit:
    """A size of windows, with borders that are the same whoever asks.

    Args:
        name: hour, day, week (from Monday) or month.
        count: So many of it: ``Unit("hour", 6)`` has borders at 0, 6, 12 and 18 o'clock UTC.
            They are counted from 1970-01-01, weeks from 1970-01-05.
    """

    name: UnitName
    count: int = 1

    def __str__(self) -> str:
        return self.name if self.count == 1 else f"{self.count} {self.name}s"

    def floor(self, at: datetime) -> datetime:
        """The last border at or before an aware instant."""
        return self._border(self.number(at))

    def ceil(self, at: datetime) -> datetime:
        """The first border at or after an aware instant."""
        below = self.floor(at)
        return below if below == at else self.after(below)

    def after(self, border: datetime) -> datetime:
        """The border that follows the last one at or before ``border``."""
        return self._border(self.number(border) + 1)

    def number(self, at: datetime) -> int:
        """Number of the window an instant lies in; the next one has the next."""
        at = at.astimezone(timezone.utc)
        if self.name == "month":
            return ((at.year - 1970) * 12 + at.month - 1) // self.count
        return (at - self._origin) // (_STEPS[self.name] * self.count)

    def _border(self, index: int) -> datetime:
        """Start of the window of a number; the end of time where there is none."""
        try:
            if self.name != "month":
                return self._origin + index * self.count * _STEPS[self.name]
            years, month = divmod(index * self.count, 12)
            return datetime(1970 + years, month + 1, 1, tzinfo=timezone.utc)
        except (OverflowError, ValueError):
            return LAST if index > 0 else FIRST

    @property
    def _origin(self) -> datetime:
        return _MONDAY if self.name == "week" else _EPOCH


def unit(text: str) -> Unit:
    """``month``, ``day``, ``6 hours`` or ``6hours`` as a unit.

    Raises:
        UsageError: It is none.
    """
    found = _TEXT.fullmatch(text.strip().lower())
    if found is None or found[1] == "0" * len(found[1] or ""):
        message = f"{text!r} is not the size of a window"
        raise UsageError(message, f"Write {', '.join(get_args(UnitName))}, or for example '6 hour'")
    name: UnitName = found[2]  # type: ignore[assignment]  # the pattern allows no other
    return Unit(name, int(found[1] or 1))


def split(start: datetime, end: datetime, size: Unit) -> tuple[Window, ...]:
    """``[start, end)`` as windows between the borders of ``size``, in order of time.

    They cover it exactly once. A start or an end between two borders makes a shorter first or last
    window.

    Args:
        start: Aware.
        end: Aware.
        size: What to split by.

    Raises:
        UsageError: That would be more than :data:`MAX_WINDOWS`.
    """
    borders = [start]
    while (following := size.after(borders[-1])) < end:
        borders.append(following)
        if len(borders) > MAX_WINDOWS:
            message = f"that is more than {MAX_WINDOWS:,} windows of one {size}"
            raise UsageError(message, "Choose a shorter range or a larger --window")
    return tuple(Window(a, b) for a, b in pairwise([*borders, end])) if start < end else ()


def union(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The same time as few windows as can be: in order, apart from one another."""
    joined: list[list[datetime]] = []
    for start, end in sorted(map(_ends, windows)):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return tuple(_window(start, end) for start, end in joined)


def difference(whole: Iterable[Window], taken: Iterable[Window]) -> tuple[Window, ...]:
    """The time of ``whole`` that is in none of ``taken``, as :func:`union` gives it.

    Raises:
        ValueError: What is left is open on one side; a window is bounded, or all of time.
    """
    left, holes = [], [_ends(one) for one in union(taken)]
    ends = [last for _, last in holes]
    for window in union(whole):
        start, end = _ends(window)
        for first, last in itertools.islice(holes, bisect_right(ends, start), None):
            if end <= first:
                break
            if start < first:
                left.append(_window(start, first))
            start = min(last, end)
        if start < end:
            left.append(_window(start, end))
    return tuple(left)


def gaps(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The time between the first start and the last end that no window covers."""
    covered = union(windows)
    return tuple(_window(_ends(a)[1], _ends(b)[0]) for a, b in pairwise(covered))


def overlaps(one: Window, other: Window) -> bool:
    """Whether two windows share an instant."""
    (start, end), (first, last) = _ends(one), _ends(other)
    return start < last and first < end


class Overlapping(Generic[_T]):
    """Things with a window each, asked again and again which of them share time with another one.

    Args:
        things: Each with its window.
    """

    def __init__(self, things: Iterable[tuple[Window, _T]]) -> None:
        self._things = sorted(((*_ends(one), thing) for one, thing in things), key=_borders)
        self._starts = [start for start, _, _ in self._things]
        ends = (end for _, end, _ in self._things)
        self._latest = list(itertools.accumulate(ends, max))  # end among all up to here

    def of(self, window: Window) -> list[_T]:
        """Those that share an instant with a window, by start."""
        start, end = _ends(window)
        found: list[_T] = []
        for place in range(bisect_left(self._starts, end) - 1, -1, -1):
            if self._latest[place] <= start:
                break
            _, last, thing = self._things[place]
            if start < last:
                found.append(thing)
        return found[::-1]


def _borders(thing: tuple[datetime, datetime, object]) -> tuple[datetime, datetime]:
    return thing[:2]


def covers(windows: Iterable[Window], part: Window) -> bool:
    """Whether every instant of ``part`` is in one of the windows."""
    start, end = _ends(part)
    return any(first <= start and end <= last for first, last in map(_ends, union(windows)))


def _ends(window: Window) -> tuple[datetime, datetime]:
    """Start and end, without open ones."""
    return window.start or FIRST, window.end or LAST


def _window(start: datetime, end: datetime) -> Window:
    if (start, end) == (FIRST, LAST):
        return Window()
    if FIRST in (start, end) or LAST in (start, end):
        raise ValueError("a window is bounded, or all of time")
    return Window(start, end)
