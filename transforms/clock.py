"""When a flight left and arrived.

``time_hour`` is the scheduled hour in UTC; everything else in the file is minutes or a local HHMM.
A departure is ``time_hour`` plus minutes, with no zone involved. An arrival is the first instant
after departure at which clocks at the destination show ``arr_time``; docs/flights.md says why that
is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

from penstock.frames import next_showing, plus_minutes

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Destinations that airports.csv does not list.
MISSING_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}


def with_zone(flights: DataFrame, airports: DataFrame) -> DataFrame:
    """``flights`` plus ``zone``, the destination's IANA zone; null where nobody knows it.

    Neither drops nor repeats a flight: an airport listed twice counts once.
    """
    zones = airports.groupBy(fn.col("faa").alias("dest")).agg(fn.min("tzone").alias("listed"))
    known = fn.create_map(*[fn.lit(one) for pair in MISSING_ZONES.items() for one in pair])
    zone = fn.coalesce("listed", fn.element_at(known, fn.col("dest")))
    return flights.join(fn.broadcast(zones), "dest", "left").withColumn("zone", zone)


def scheduled_departure() -> Column:
    """Instant at which the flight was to leave."""
    return plus_minutes(fn.col("time_hour"), fn.col("minute"))


def departure() -> Column:
    """Instant at which the flight left the gate; null if it never did."""
    return plus_minutes(fn.col("time_hour"), fn.col("minute") + fn.col("dep_delay"))


def scheduled_arrival() -> Column:
    """Instant at which the flight was to arrive; needs ``zone``."""
    return next_showing(minute_of_day("sched_arr_time"), fn.col("zone"), scheduled_departure())


def arrival() -> Column:
    """Instant at which the flight reached the gate; null if no arrival is known; needs ``zone``."""
    return next_showing(minute_of_day("arr_time"), fn.col("zone"), departure())


def minute_of_day(name: str) -> Column:
    """Minutes since midnight of a column of HHMM numbers: 2400 is 1440, the next midnight."""
    hhmm = fn.col(name)
    return hhmm - fn.floor(hhmm / 100) * 40
