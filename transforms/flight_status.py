"""What became of each flight: one record per flight, stamped with the moment it became known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as fn

from penstock.frames import utc_text
from transforms import clock

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def flight_status(flights: DataFrame, airports: DataFrame) -> DataFrame:
    """One row per row of ``flights``, with ``_source``.

    A flight that arrived at an airport of unknown zone gets no event time, so that the feature gate
    puts it aside instead of stamping it wrongly.
    """
    return clock.with_zone(flights, airports).select(
        _flight_id().alias("flight_id"),
        _event_time().alias("event_time"),
        _status().alias("status"),
        "carrier",
        fn.col("flight").alias("flight_number"),
        "tailnum",
        "origin",
        "dest",
        "distance",
        utc_text(clock.scheduled_departure()).alias("scheduled_departure"),
        utc_text(clock.departure()).alias("departure"),
        utc_text(clock.scheduled_arrival()).alias("scheduled_arrival"),
        utc_text(clock.arrival()).alias("arrival"),
        fn.col("dep_delay").alias("departure_delay"),
        fn.col("arr_delay").alias("arrival_delay"),
        "air_time",
        "_source",
    )


def _flight_id() -> Column:
    """Null if a part is null, so that the gate finds it; ``concat_ws`` would hide it."""
    dash, number = fn.lit("-"), fn.col("flight").cast("string")
    return fn.concat("carrier", dash, number, dash, "origin", dash, utc_text(fn.col("time_hour")))


def _event_time() -> Column:
    no_arrival = fn.col("arr_time").isNull()
    return fn.when(no_arrival, clock.scheduled_departure()).otherwise(clock.arrival())


def _status() -> Column:
    return (
        fn.when(fn.col("dep_time").isNull(), "cancelled")
        .when(fn.col("arr_time").isNull(), "departed")
        .when(fn.col("arr_delay").isNull(), "diverted")
        .otherwise("landed")
    )
