"""Group and aggregate: own rules, and Spark's for what each function gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from penstock.errors import UsageError
from penstock.wrangle.operators.grouping import Group
from tests.wrangling import applied, frame, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ALL = ("count", "distinct", "sum", "mean", "min", "max", "median", "stddev", "variance")


@pytest.mark.shows("8.1")
def test_every_function(spark: SparkSession) -> None:
    """Source: Spark's functions; by hand for these figures. Null keys are a group."""
    rows = frame(
        spark,
        "`k.1` string, v int, t int",
        ("a", 1, 3),
        ("a", 3, 1),
        ("a", 3, 9),
        ("a", None, 0),
        ("a", 5, None),
        (None, None, 1),
    )
    aggregates = [
        {"function": "rows"},
        *[{"function": one, "column": "v"} for one in _ALL],
        {"function": "first", "column": "v", "order": "t"},
        {"function": "last", "column": "v", "order": "t", "output": "newest"},
    ]
    step = Group.model_validate({"by": ["k.1"], "aggregates": aggregates})
    columns, found = table(applied(step, rows))
    names = ["v_count bigint", "v_distinct bigint", "v_sum bigint", "v_mean double", "v_min int"]
    more = ["v_max int", "v_median double", "v_stddev double", "v_variance double"]
    ends = ["v_first int", "newest int"]
    assert columns == ["k.1 string", "rows bigint", *names, *more, *ends]
    assert sorted(found, key=repr) == [
        ("a", 5, 4, 3, 12, 3.0, 1, 5, 3.0, (8 / 3) ** 0.5, 8 / 3, 3, 3),
        (None, 1, 0, 0, *[None] * 7, None, None),
    ]
    assert step.sentence().startswith("Group by k.1: rows, v_count")


@pytest.mark.shows("8.1")
def test_all_rows_are_a_group(spark: SparkSession) -> None:
    """Without keys there is one row, of no rows too; a column that is not there is named."""
    rows = frame(spark, "v int")
    step = Group.model_validate({"aggregates": [{"function": "sum", "column": "v"}]})
    assert table(applied(step, rows)) == (["v_sum bigint"], [(None,)])
    wrong = Group.model_validate({"by": ["x"], "aggregates": [{"function": "rows"}]})
    with pytest.raises(UsageError, match="group: no column 'x'"):
        applied(wrong, rows)
    twice = {"function": "sum", "column": "v"}
    for settings in (
        [twice, twice],
        [],
        [{"function": "sum"}],
        [{"function": "first", "column": "v"}],
        [{"function": "rows", "column": "v"}],
    ):
        with pytest.raises(ValidationError):
            Group.model_validate({"aggregates": settings})
