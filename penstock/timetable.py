"""When a schedule fires: ``rate(1 day)`` or ``cron(0 3 * * ? *)``, as EventBridge Scheduler has it.

Read here, so that a mistake is found before AWS sees it, the same text also makes a crontab line,
and a person can be told when it fires next. Of cron's grammar that is numbers, names, ``*``, ``,``,
``-`` and ``/``, and ``?`` for the day that is not meant; what a crontab cannot say (``L``, ``W``,
``#``, years) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import product
from typing import Literal
from zoneinfo import ZoneInfo

Unit = Literal["hour", "day", "week", "month"]
MINUTE = timedelta(minutes=1)
MOST_DELAY = timedelta(days=366)
_HOUR, _DAY = 60, 24 * 60  # in minutes
_FIELDS = 6
_EVERY_MONTH = 28  # days
_DELAY = re.compile(r"([0-9]{1,6})([mhd])")
_NAMES = {"m": "minutes", "h": "hours", "d": "days"}
_RATE = re.compile(r"rate\(([0-9]{1,6}) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\(([^()]*)\)")
_PERIODS = {"minute": MINUTE, "hour": timedelta(hours=1), "day": timedelta(days=1)}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class Rate:
    """Every so often, counted from when the entry was made, whatever the time zone's clocks do."""

    period: timedelta

    def crontab(self) -> str:
        """The five fields of a crontab line, counted from midnight.

        Raises:
            ValueError: A crontab cannot say it.
        """
        minutes = self.period // MINUTE
        if minutes < _HOUR and _HOUR % minutes == 0:
            return f"*/{minutes} * * * *"
        if minutes % _HOUR == 0 and _DAY % minutes == 0:
            hours = minutes // _HOUR
            return {1: "0 * * * *", 24: "0 0 * * *"}.get(hours, f"0 */{hours} * * *")
        raise ValueError("is a rate a crontab cannot say: write cron(…)")


@dataclass(frozen=True)
class Cron:
    """At the minutes whose parts are all among these. Days of the week count from 0, Sunday."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def crontab(self) -> str:
        """The five fields of a crontab line."""
        fields = (
            (self.minutes, 60),
            (self.hours, 24),
            (self.days, 31),
            (self.months, 12),
            (self.weekdays, 7),
        )
        return " ".join("*" if len(f) == n else ",".join(map(str, f)) for f, n in fields)

    def expression(self) -> str:
        """It as EventBridge Scheduler reads it."""
        minutes, hours, days, months, weekdays = self.crontab().split()
        if weekdays == "*":
            return f"cron({minutes} {hours} {days} {months} ? *)"
        names = ",".join(_DAYS[one] for one in self.weekdays)
        return f"cron({minutes} {hours} ? {months} {names} *)"

    def firings(self, after: datetime, zone: str = "UTC") -> Iterator[datetime]:
        """The instants it fires at after ``after`` (aware), in UTC, for ever.

        A minute that the clocks of the zone skip is skipped; one they show twice counts once, the
        first time (AWS: schedule types of EventBridge Scheduler).
        """
        here = ZoneInfo(zone)
        day = after.astimezone(here).date()
        while True:
            if self._has(day):
                for hour, minute in product(self.hours, self.minutes):
                    clock = datetime(day.year, day.month, day.day, hour, minute, tzinfo=here)
                    found = clock.astimezone(timezone.utc)
                    shown = found.astimezone(here).replace(tzinfo=None)
                    if found > after and shown == clock.replace(tzinfo=None):
                        yield found
            day += timedelta(days=1)

    def _has(self, day: date) -> bool:
        return (
            day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 in self.weekdays
        )


Timetable = Rate | Cron


def parse(text: str) -> Timetable:
    """The timetable an expression names.

    Raises:
        ValueError: It is none; the message goes on after the name of the key.
    """
    rate, cron = _RATE.fullmatch(text), _CRON.fullmatch(text)
    if rate is not None and int(rate[1]):
        return Rate(int(rate[1]) * _PERIODS[rate[2]])
    if cron is None:
        raise ValueError("must be rate(1 day) or cron(0 3 * * ? *)")
    fields = cron[1].split()
    if len(fields) != _FIELDS:
        raise ValueError("must have six fields: cron(minutes hours day month weekday year)")
    if fields[5] != "*":
        raise ValueError("must have * for the year")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError("must have ? for either the day of the month or that of the week")
    found = Cron(
        _field(fields[0], 0, 59),
        _field(fields[1], 0, 23),
        _field(fields[2], 1, 31),
        _field(fields[3], 1, 12, _MONTHS),
        tuple(one - 1 for one in _field(fields[4], 1, 7, _DAYS)),
    )
    if not any(found._has(date(2024, 1, 1) + timedelta(days=n)) for n in range(366)):  # noqa: SLF001 - our own class
        raise ValueError("never fires: no month it names has that day")
    return found


def duration(text: str) -> timedelta:
    """``90m``, ``3h`` or ``2d``, at most 366 days.

    Raises:
        ValueError: It is none; the message goes on after the name of the key.
    """
    found = _DELAY.fullmatch(text)
    if found is None:
        raise ValueError("must be minutes, hours or days, such as 90m, 3h or 2d")
    span = timedelta(**{_NAMES[found[2]]: int(found[1])})
    if span > MOST_DELAY:
        raise ValueError("must be at most 366d")
    return span


def after_end(unit: Unit, delay: timedelta) -> Cron:
    """Fires at the end of every UTC hour, day, week or month plus a delay: what needs no thought.

    A delay of more than a unit keeps the time of day (and the weekday) it leads to.

    Raises:
        ValueError: More than 27 days after the end of a month, which not every month has.
    """
    minutes = delay // MINUTE
    minute, hour, day = minutes % _HOUR, minutes % _DAY // _HOUR, minutes // _DAY
    if unit == "month" and day >= _EVERY_MONTH:
        raise ValueError("cannot have window: month and a delay of 28d or more without 'every'")
    return Cron(
        (minute,),
        tuple(range(24)) if unit == "hour" else (hour,),
        (1 + day,) if unit == "month" else tuple(range(1, 32)),
        tuple(range(1, 13)),
        ((1 + day) % 7,) if unit == "week" else tuple(range(7)),
    )


def _field(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    """The numbers one field stands for, ascending."""
    if text == "?":
        return tuple(range(low, high + 1))
    found: set[int] = set()
    for part in text.upper().split(","):
        span, slash, step = part.partition("/")
        first, last = _span(span, low, high, names, open_ended=bool(slash))
        if slash and not (step.isdigit() and int(step)):
            raise ValueError(f"has no step after the / of {part!r}")
        found.update(range(first, last + 1, int(step) if slash else 1))
    return tuple(sorted(found))


def _span(
    text: str, low: int, high: int, names: tuple[str, ...], *, open_ended: bool
) -> tuple[int, int]:
    """First and last of ``*``, ``5``, ``5-9``; ``5`` before a step goes on to the end."""
    if text == "*":
        return low, high
    first, dash, last = text.partition("-")
    numbers = [_number(first, low, names)]
    numbers.append(_number(last, low, names) if dash else high if open_ended else numbers[0])
    if not low <= numbers[0] <= numbers[1] <= high:
        raise ValueError(f"has {text!r} where {low} to {high} is possible")
    return numbers[0], numbers[1]


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + low
    if not re.fullmatch("[0-9]{1,2}", text):
        raise ValueError(f"has {text!r}, which is not read: numbers, names, * , - / and ? are")
    return int(text)
