"""How much arrives on a route, hour by hour, as known with the newest arrival of the hour.

The same text is a batch and a stream: Spark keeps hours that may still change for as long as the
watermark says. A row's event time is the newest arrival in its hour plus a millisecond for each
arrival: so it grows with every arrival, also with one that comes late, and the online store, which
keeps the greatest, always takes the newer figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

from penstock.frames import utc_text
from transforms import clock
from transforms.aircraft_history import LATE_MINUTES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HOUR = "1 hour"
#: How late an arrival may come. Flights are told in the order of their departure, and the longest
#: took 33 hours from its scheduled hour to its arrival.
LATE = "3 days"


def route_traffic(flights: DataFrame, airports: DataFrame) -> DataFrame:
    """One row per route and hour with an arrival; as a stream, whenever an hour has changed.

    Flights whose arrival nobody knows are left out. One to an airport of unknown zone is among
    them: ``flight_status`` puts it aside.
    """
    delay = fn.col("arr_delay")
    hours = (
        _arrivals(flights, airports)
        .withWatermark("arrived", LATE)
        .groupBy("route", fn.window("arrived", HOUR).alias("hour"))
        .agg(
            fn.count("*").alias("flights"),
            fn.sum(fn.when(delay >= LATE_MINUTES, 1).otherwise(0)).alias("late"),
            fn.count(delay).alias("timed"),
            fn.sum(delay).alias("delay"),
            fn.max(delay).alias("arrival_delay_max"),
            fn.max("arrived").alias("newest"),
        )
    )
    return hours.select(
        "route",
        _stamp().alias("event_time"),
        utc_text(fn.col("hour.start")).alias("window_start"),
        "flights",
        "late",
        _mean().alias("arrival_delay_mean"),
        "arrival_delay_max",
    )


def _arrivals(flights: DataFrame, airports: DataFrame) -> DataFrame:
    route = fn.concat("origin", fn.lit("-"), "dest").alias("route")
    landed = flights.where(fn.col("arr_time").isNotNull())
    arrived = clock.with_zone(landed, airports).select(
        route, clock.arrival().alias("arrived"), "arr_delay"
    )
    return arrived.where(fn.col("arrived").isNotNull())


def _stamp() -> Column:
    return fn.timestamp_micros(fn.unix_micros("newest") + fn.col("flights") * 1_000)


def _mean() -> Column:
    timed = fn.col("timed")
    return fn.when(timed > 0, fn.col("delay").cast("double") / timed.cast("double"))
