"""Cast columns (facts: wrangler, 1.2 and 4, 'cast_single')."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from penstock.wrangle.operators.casting import Cast, Method, Type
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.1")
def test_what_is_none_of_the_type(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: all five methods, the column of errors, and its place."""
    rows = frame(spark, "a string, b int", ("1", 1), ("x", 2), (None, 3), ("8913.66", 4))

    def cast(method: str, value: str | None = None) -> tuple[list[str], list[tuple[object, ...]]]:
        step = Cast(columns=("a",), to=Type.LONG, uncastable=Method(method), value=value)
        return table(applied(step, rows))

    plain = ["a bigint", "b int"]
    said = ["a bigint", "a_typecast_error string", "b int"]
    assert cast("replace_null") == (plain, [(1, 1), (None, 2), (None, 3), (8913, 4)])
    assert cast("replace_value", "7") == (plain, [(1, 1), (7, 2), (None, 3), (8913, 4)])
    assert cast("drop") == (plain, [(1, 1), (8913, 4)])
    assert cast("replace_null_with_new_col") == (
        said,
        [(1, "", 1), (None, "x", 2), (None, None, 3), (8913, "", 4)],
    )
    assert cast("replace_value_with_new_col", "7")[1][1] == (7, "x", 2)


@pytest.mark.shows("8.1")
def test_dates_are_read_by_the_pattern_alone(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: dd-MM-yyyy is the default there, and ISO text gives null."""
    rows = frame(spark, "d string, e string", ("31-12-2020", "2020-12-31"), ("31-12-2020x", None))
    step = step_of("cast_single_data_type", column="d", data_type="date", original_data_type="x")
    assert step.cautions()
    assert [one[0] for one in applied(step, rows).collect()] == [dt.date(2020, 12, 31), None]
    step = step_of("cast_single_data_type", column="e", data_type="date")
    assert [one[1] for one in applied(step, rows).collect()] == [None, None]
    ours = Cast(columns=("e",), to=Type.DATE)
    assert [one[1] for one in applied(ours, rows).collect()] == [dt.date(2020, 12, 31), None]


@pytest.mark.shows("8.1")
def test_many_columns_and_those_that_are_of_the_type(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: no-op when already that type; NaN as long is 0 without ANSI."""
    nan = float("nan")
    rows = frame(
        spark, "a double, `b.c` int, d bigint", (nan, 1, 5), (1.5, None, 6), (2.0, 3, None)
    )
    step = Cast(
        columns=("a", "b.c", "d"), to=Type.LONG, uncastable=Method.REPLACE_NULL_WITH_NEW_COL
    )
    columns, values = table(applied(step, rows))
    assert columns == [
        "a bigint",
        "a_typecast_error string",
        "b.c bigint",
        "b.c_typecast_error string",
        "d bigint",
    ]
    assert values == [(0, "", 1, "", 5), (1, "", None, None, 6), (2, "", 3, "", None)]
    lost = Cast(columns=("a",), to=Type.LONG).losses(rows, {})
    counted = rows.select(*[one.cast("int").alias(name) for name, one in lost.items()])
    assert {name: sum(row[name] for row in counted.collect()) for name in counted.columns} == {
        "values of a are NaN and become 0": 1,
        "values of a lose what is after the point": 1,
    }
