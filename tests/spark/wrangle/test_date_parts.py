"""Parts of instants (facts: wrangler, 4, 'Featurize datetime')."""

from __future__ import annotations

import datetime as dt
from math import cos, isnan, pi, sin
from typing import TYPE_CHECKING

import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as fn

from penstock.wrangle.operators.date_parts import PARTS, DateParts
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_AT = dt.datetime(2021, 1, 3, 4, 5, 6, tzinfo=dt.timezone.utc)  # a Sunday: week 53 of ISO's 2020
_ONES = (2021.0, 1.0, 3.0, 4.0, 5.0, 6.0, 53.0, 3.0, 1.0)
_ZEROS = (2021.0, 0.0, 2.0, 4.0, 5.0, 6.0, 52.0, 2.0, 0.0)


@pytest.mark.shows("8.1")
def test_from_whatever_holds_an_instant(spark: SparkSession) -> None:
    """Source: the calendar; facts: wrangler, 4: magnitudes of numbers; what is none gives null."""
    seconds = 1_609_646_706
    rows = frame(
        spark,
        "t timestamp, s string, n bigint, f double",
        (_AT, "January 3rd, 2021, 4:05:06am", seconds, float(seconds)),
        (_AT, "2021-01-03T05:05:06+01:00", seconds * 1_000, seconds * 1e6),
        (_AT, "2021-01-03 04:05:06", seconds * 1_000_000_000, seconds * 1e3),
        (None, "no instant", None, float("nan")),
    )
    for column in rows.columns:
        step = DateParts(column=column, parts=PARTS, one_based=True, output="p")
        found = applied(step, rows.select(column))
        assert found.columns == [column, *[f"p_{one}" for one in PARTS]]
        assert [tuple(one[1:]) for one in found.collect()] == [_ONES] * 3 + [(None,) * 9], column


@pytest.mark.shows("8.1")
def test_numbers_and_shapes(spark: SparkSession) -> None:
    """Source: DateTimeVectorizer of sagemaker-scikit-learn-extension: circles, and sine first."""
    rows = frame(spark, "`d.t` string", ("03/01/2021 04:05:06",), (None,))
    block = {
        "output_column": "date",
        "output_mode": "Ordinal",
        "output_format": "Columns",
        "infer_datetime_format": False,
        "date_time_format": "%d/%m/%Y %H:%M:%S",
        **dict.fromkeys(PARTS, True),
        "input_column": "d.t",
    }
    step = step_of(
        "featurize_date_time", operator="Extract columns", extract_columns_parameters=block
    )
    assert step.cautions()
    assert table(applied(step, rows))[1][0][1:] == _ZEROS
    block |= {"output_mode": "Cyclic", "output_format": "Vector", "minute": False, "second": False}
    step = step_of(
        "featurize_date_time", operator="Extract columns", extract_columns_parameters=block
    )
    found = applied(step, rows)
    assert found.columns == ["d.t", "date"]
    first, second = [one[0] for one in found.select(vector_to_array(fn.col("date"))).collect()]
    angles = [0 / 12, 2 / 31, 4 / 24, 52 / 53, 2 / 366, 0 / 4]
    wanted = [2021.0, *[each(2 * pi * one) for one in angles for each in (sin, cos)]]
    assert first == pytest.approx(wanted, abs=1e-12)
    assert len(second) == 13
    assert all(isnan(one) for one in second)
    with pytest.raises(ValueError, match="no part 'weekday'"):
        DateParts(column="t", parts=("weekday",))
