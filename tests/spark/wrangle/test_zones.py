"""Plans are made pinned, and computed later: by a pipeline, in whatever zone its session is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.wrangle.operators.event_time import EventTime
from penstock.wrangle.operators.feature_type import SetFeatureTypes
from tests.wrangling import applied, frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.3")
def test_rows_computed_in_another_zone_are_the_same(spark: SparkSession) -> None:
    """Own rule: event times and instants as text are UTC's, whenever they are computed."""
    rows = frame(spark, "at string", ("2024-01-01T00:00:00Z",))
    timed = applied(EventTime(column="at"), rows)
    instants = rows.selectExpr("cast(at as timestamp) as at")
    typed = applied(SetFeatureTypes(columns={"at": "String"}), instants)
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        spark.conf.set("spark.sql.session.timeZone", "America/New_York")
        made = timed.collect()[0]["event_time"], typed.collect()[0]["at"]
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))
    assert made == ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000Z")
