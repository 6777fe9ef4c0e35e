"""Labels and new features of the data set ``flight_delays``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

from penstock.frames import utc_day

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LATE_MINUTES = 15  # the US Department of Transportation's word for a late arrival


def labels(flights: DataFrame) -> DataFrame:
    """Flights whose arrival delay is known, asked about at the moment they were to leave.

    Of what the flight's own record says only what its schedule says stays: the rest became known
    later.
    """
    known = flights.where(fn.col("arrival_delay").isNotNull())
    late = fn.when(fn.col("arrival_delay") >= LATE_MINUTES, 1).otherwise(0)
    schedule = ("carrier", "tailnum", "origin", "dest", "distance", "scheduled_departure")
    return known.select("flight_id", *schedule, late.alias("late"))


def new_features(rows: DataFrame) -> DataFrame:
    """When in the day and week it leaves, in UTC; how often its aircraft was late of late."""
    leaves = fn.col("scheduled_departure").cast("timestamp")
    second = fn.pmod(fn.unix_seconds(leaves), fn.lit(86_400).cast("bigint"))
    share = fn.col("late_28d") / fn.col("flights_28d")
    return (
        rows.withColumn("minute_of_day", (second / 60).cast("int"))
        .withColumn("day_of_week", fn.pmod(utc_day(leaves) + 3, fn.lit(7)))  # 1970-01-01: Thursday
        .withColumn("late_share_28d", fn.when(fn.col("flights_28d") > 0, share))
    )
