"""Which windows a firing loads: pure arithmetic on UTC, whatever clock made it fire.

A firing at ``T`` is about the newest window that ended a delay ago:
``[floor(T - delay) - 1 unit, floor(T - delay))``, where ``floor`` is the start of the UTC hour,
day, week (Monday) or month. So two firings name the same window or windows that touch or lie apart,
never ones that overlap; the windows before it, ``catch_up`` of them, close the gap that a firing
leaves that did not come (clocks that are put forward, a machine that was off).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from itertools import islice

from penstock.errors import UsageError
from penstock.ledger import interval
from penstock.ledger.window import Window
from penstock.timetable import Rate, Timetable, Unit

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", flags=re.ASCII
)
_TICK = timedelta(microseconds=1)
_SHORTEST = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}
_HORIZON = timedelta(days=800)  # two years: each clock change twice, a leap day or its absence
_FIRINGS = 20_000
_EARLIEST = 1970  # a time before that is no time a scheduler named


def windows(
    fired: datetime, unit: Unit, delay: timedelta = timedelta(0), catch_up: int = 0
) -> list[Window]:
    """The windows of a firing, oldest first; the last one is what it is about.

    Args:
        fired: The instant the schedule named, aware; not when a machine got round to it.
        unit: Size of a window.
        delay: How long after a window's end its rows are waited for; not negative.
        catch_up: How many windows before it are looked at as well.
    """
    size = interval.Unit(unit)
    end = size.floor(fired - delay)
    found = []
    for _ in range(catch_up + 1):
        start = size.floor(end - _TICK)
        found.append(Window(start, end))
        end = start
    return found[::-1]


def least_catch_up(
    timetable: Timetable, zone: str, unit: Unit, delay: timedelta, after: datetime
) -> int:
    """The least ``catch_up`` with which the firings after ``after`` leave no window out.

    Of a cron expression the firings of two years are looked at, at most 20,000; of a rate the
    worst place for a window's end between two firings.
    """
    if isinstance(timetable, Rate):
        return -(-timetable.period // _SHORTEST[unit]) - 1
    found, last, size = 0, None, interval.Unit(unit)
    for fired in islice(timetable.firings(after, zone), _FIRINGS):
        here = size.number(fired - delay)
        found = max(found, here - (here if last is None else last) - 1)
        last = here
        if fired - after > _HORIZON:
            break
    return found


def instant(text: str) -> datetime:
    """The instant a scheduler hands over, ``2024-01-02T03:00:00Z``, in UTC; fractions are cut.

    Raises:
        UsageError: It is none, or does not say its time zone.
    """
    found = _INSTANT.fullmatch(text)
    try:
        if found is not None and int(text[:4]) > _EARLIEST:
            zone = "+00:00" if found[2] == "Z" else found[2]
            return datetime.fromisoformat(found[1] + zone).astimezone(timezone.utc)
    except (ValueError, OverflowError):  # the 30th of February, the end of the year 9999
        pass
    raise UsageError(f"{text!r} is not a scheduled time", "Write it as 2024-01-02T03:00:00Z")
