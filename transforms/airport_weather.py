"""Hourly weather at the New York airports: the rows as they are, under the features' names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MEASUREMENTS = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)


def airport_weather(weather: DataFrame) -> DataFrame:
    """One row per row of ``weather``: origin, observed_at (timestamp), measurements, _source."""
    observed_at = weather["time_hour"].alias("observed_at")
    return weather.select("origin", observed_at, *MEASUREMENTS, "_source")
