"""Pure column steps that no session setting can change.

Spark reads the session's time zone in casts, ``date_format``, ``hour`` and their kin; here instants
are counted in microseconds instead, so every session computes the same. Nothing here overflows,
divides by zero or parses text, so ANSI mode changes nothing either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

if TYPE_CHECKING:
    from pyspark.sql import Column

MICROS_PER_MINUTE = 60_000_000
MICROS_PER_DAY = 86_400_000_000


def plus_minutes(instant: Column, minutes: Column) -> Column:
    """The timestamp that many whole minutes later; the number may be negative."""
    return fn.timestamp_micros(fn.unix_micros(instant) + _minutes(minutes))


def utc_day(instant: Column) -> Column:
    """Days since 1970-01-01 of the UTC day an instant lies in, as int."""
    micros = fn.unix_micros(instant)
    # Exact: both sides are whole multiples of a day below 2**53 until the year 2255.
    return ((micros - _rest(micros, MICROS_PER_DAY)) / MICROS_PER_DAY).cast("int")


def utc_text(instant: Column) -> Column:
    """ISO 8601 text ``yyyy-MM-ddTHH:mm:ssZ``; what lies below the second is cut off."""
    seconds = fn.unix_seconds(instant)
    day = fn.date_from_unix_date(utc_day(instant)).cast("string")
    hour = _two_digits(_rest(seconds, 86_400) - _rest(seconds, 3_600), 3_600)
    minute = _two_digits(_rest(seconds, 3_600) - _rest(seconds, 60), 60)
    second = _two_digits(_rest(seconds, 60), 1)
    colon = fn.lit(":")
    return fn.concat(day, fn.lit("T"), hour, colon, minute, colon, second, fn.lit("Z"))


def next_showing(minute_of_day: Column, zone: Column, after: Column) -> Column:
    """The first instant later than ``after`` at which clocks in a zone show a minute of the day.

    Args:
        minute_of_day: whole number, 0 to 1440; 1440 is midnight like 0.
        zone: IANA name such as ``America/Denver``; null gives null, an unknown one an error.
        after: timestamp.

    Returns:
        Timestamp. Where a change of the clocks skips the minute, the offset before the change
        counts; where it shows it twice, the first showing counts.
    """
    wall = fn.unix_micros(fn.from_utc_timestamp(after, zone))
    ahead = _rest(_minutes(minute_of_day) - wall - 1, MICROS_PER_DAY) + 1
    return fn.to_utc_timestamp(fn.timestamp_micros(wall + ahead), zone)


def _minutes(number: Column) -> Column:
    """Microseconds, in 64 bits whatever the width of the number."""
    return number.cast("bigint") * MICROS_PER_MINUTE


def _rest(number: Column, by: int) -> Column:
    """Remainder that is never negative, as bigint."""
    return fn.pmod(number, fn.lit(by).cast("bigint"))


def _two_digits(number: Column, unit: int) -> Column:
    return fn.lpad((number / unit).cast("int").cast("string"), 2, "0")
