"""What an aircraft did lately, as known when a UTC day ends.

Flights are summed per aircraft and day of arrival, and the days over 1, 7 and 28 of them. A flight
counts from the day it arrived, never earlier. All sums are of whole numbers, so their order cannot
matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as fn

from penstock.frames import MICROS_PER_DAY, utc_day
from transforms import clock

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SPANS = (1, 7, 28)  # days, the day itself included
LATE_MINUTES = 15  # the US Department of Transportation's word for a late arrival


def aircraft_history(flights: DataFrame, airports: DataFrame) -> DataFrame:
    """One row per aircraft and UTC day with an arrival, stamped 23:59:59Z of that day.

    Arrivals at an airport of unknown zone form a row without an event time, which the feature gate
    puts aside: nothing goes missing unseen.
    """
    daily = _daily(_arrivals(flights, airports))
    features = [one for days in SPANS for one in _features(days)]
    return daily.select("tailnum", _day_end().alias("day_end"), *features)


def _arrivals(flights: DataFrame, airports: DataFrame) -> DataFrame:
    landed = flights.where(fn.col("arr_time").isNotNull() & fn.col("tailnum").isNotNull())
    day = utc_day(clock.arrival()).alias("day")
    return clock.with_zone(landed, airports).select("tailnum", day, "arr_delay", "distance")


def _daily(arrivals: DataFrame) -> DataFrame:
    """Sums per aircraft and day; one shuffle by aircraft serves them and the windows after them."""
    delay = fn.col("arr_delay")
    late = fn.when(delay >= LATE_MINUTES, 1).otherwise(0)
    return (
        arrivals.repartition("tailnum")
        .groupBy("tailnum", "day")
        .agg(
            fn.count("*").alias("flights"),
            fn.sum("distance").alias("distance"),
            fn.sum(late).alias("late"),
            fn.count(delay).alias("timed"),
            fn.sum(delay).alias("delay"),
            fn.max(delay).alias("worst"),
        )
    )


def _features(days: int) -> list[Column]:
    span = Window.partitionBy("tailnum").orderBy("day").rangeBetween(1 - days, 0)
    timed, delay = fn.sum("timed").over(span), fn.sum("delay").over(span)
    # A flight without a delay has none to average; a span of only such flights has no mean.
    mean = fn.when(timed > 0, delay.cast("double") / timed.cast("double"))
    return [
        fn.sum("flights").over(span).alias(f"flights_{days}d"),
        fn.sum("distance").over(span).alias(f"distance_{days}d"),
        fn.sum("late").over(span).alias(f"late_{days}d"),
        mean.alias(f"arrival_delay_mean_{days}d"),
        fn.max("worst").over(span).alias(f"arrival_delay_max_{days}d"),
    ]


def _day_end() -> Column:
    """23:59:59Z of the day."""
    midnight = fn.col("day").cast("bigint") * MICROS_PER_DAY
    return fn.timestamp_micros(midnight + (MICROS_PER_DAY - 1_000_000))
