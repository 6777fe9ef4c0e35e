"""A profile of instants that pandas has no room for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from penstock.profiling.study import sampled

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_end_of_time_is_none_in_the_sample(spark: SparkSession) -> None:
    """As 9999-12-31, which people write for 'until further notice'; days are left as they are."""
    days = [dt.date(9999, 12, 31), dt.date(2024, 1, 2)]
    rows = spark.createDataFrame([(one,) for one in days], "d date").selectExpr(
        "cast(d as timestamp) as t", "d", "cast(d as timestamp_ntz) as n"
    )
    found = sampled(rows, 2)
    assert found["t"].isna().tolist() == [True, False]
    assert found["n"].isna().tolist() == [True, False]
    assert found["d"].tolist() == days
