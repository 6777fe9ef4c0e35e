"""Periods of time as whole numbers, so that grids of instants are plain arithmetic.

Days, months and weeks are those of UTC, whatever the session's time zone. As in pandas, weeks and
periods that are named by their ends stand at the last day's midnight and hold what is after the one
before; all others stand at their start.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as fn

DAY_US = 86_400_000_000
#: Units of a fixed length, in microseconds.
FIXED_US = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": DAY_US,
}
#: Units of whole months.
MONTHS = {
    "month_start": 1,
    "month_end": 1,
    "quarter_start": 3,
    "quarter_end": 3,
    "year_start": 12,
    "year_end": 12,
}


def whole_part(number: Column, size: int) -> Column:
    """How often a size goes into a whole number, rounded down, below zero too."""
    return ((number - fn.pmod(number, fn.lit(size))) / size).cast("bigint")


def unit_of(instant: Column, unit: str) -> Column:
    """The number of the period an instant is in; the periods of a unit are numbered on."""
    micros = fn.unix_micros(instant)
    if unit in FIXED_US:
        return whole_part(micros, FIXED_US[unit])
    days = whole_part(micros, DAY_US)
    if unit == "week":  # up to Sunday; 1970-01-04, day 3, was one
        return -whole_part(3 - days, 7)
    day = fn.date_add(fn.lit("1970-01-01").cast("date"), days.cast("int"))
    months = (fn.year(day) * 12 + fn.month(day) - 1).cast("bigint")
    return whole_part(months, MONTHS[unit])


def instant_at(number: Column, unit: str) -> Column:
    """Where a period stands, as a timestamp."""
    if unit in FIXED_US:
        return fn.timestamp_micros(number * FIXED_US[unit])
    if unit == "week":
        return fn.timestamp_micros((number * 7 + 3) * DAY_US)
    size = MONTHS[unit]
    month = number * size + (size - 1 if unit.endswith("_end") else 0)
    first = fn.make_date(
        whole_part(month, 12).cast("int"), (fn.pmod(month, fn.lit(12)) + 1).cast("int"), fn.lit(1)
    )
    day = fn.last_day(first) if unit.endswith("_end") else first
    return fn.timestamp_micros(fn.unix_date(day).cast("bigint") * DAY_US)


def by_its_end(unit: str) -> bool:
    """Whether a period of this unit stands at its end."""
    return unit == "week" or unit.endswith("_end")
