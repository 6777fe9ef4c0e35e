"""Sort, shuffle, filter rows; drop duplicates and empty ones (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock.wrangle.operators.row_set import DropDuplicates, DropEmpty, FilterRows, ShuffleRows
from tests.wrangling import applied, frame, step_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NAN = float("nan")


@pytest.mark.shows("8.1")
def test_order(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: ascending has nulls first (Spark's default); shuffle is ours."""
    rows = frame(spark, "`a.b` int, b string", (2, "x"), (None, "y"), (1, "x"), (2, "a"))
    block = {"conditions": [{"column": "b", "order": "Descending"}, {"column": "a.b"}]}
    step = step_of("manage_rows", operator="Sort", sort_parameters=block)
    assert [tuple(one) for one in applied(step, rows).collect()] == [
        (None, "y"),
        (1, "x"),
        (2, "x"),
        (2, "a"),
    ]
    old = step_of("manage_rows", operator="Sort", sort_parameters={"sort_by": "a.b"})
    assert [one[0] for one in applied(old, rows).collect()] == [None, 1, 2, 2]
    many = spark.range(50)
    first = [one[0] for one in applied(ShuffleRows(seed=1), many).collect()]
    assert [one[0] for one in applied(ShuffleRows(seed=1), many.repartition(3)).collect()] == first
    assert sorted(first) == list(range(50)) != first
    assert [one[0] for one in applied(ShuffleRows(seed=2), many).collect()] != first


@pytest.mark.shows("8.1")
def test_duplicates(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: full rows there; on a subset, keeping the newest, is ours."""
    rows = frame(
        spark,
        "id string, t int, v double",
        ("a", 1, 1.0),
        ("a", 1, 1.0),
        ("a", 3, _NAN),
        ("a", None, 9.0),
        (None, 2, None),
        (None, 1, None),
    )
    step = step_of("manage_rows", operator="Drop duplicates", drop_duplicates_parameters={})
    assert applied(step, rows).count() == 5
    newest = applied(DropDuplicates(columns=("id",), newest_by="t"), rows)
    assert newest.columns == ["id", "t", "v"]
    assert sorted((str(one[0]), one[1]) for one in newest.collect()) == [("None", 2), ("a", 3)]
    undecided = DropDuplicates(columns=("id",))
    assert undecided.cautions()
    once = sorted(str(one) for one in applied(undecided, rows).collect())
    other = rows.orderBy("t").repartition(3)
    assert sorted(str(one) for one in applied(undecided, other).collect()) == once


@pytest.mark.shows("8.1")
def test_empty_rows_and_filters(spark: SparkSession) -> None:
    """Source: own rule: a row is empty where every value is missing (facts: wrangler, 4)."""
    rows = frame(spark, "a string, b double", (" ", _NAN), (None, None), ("x", None), (None, 0.0))
    assert [tuple(one) for one in applied(DropEmpty(), rows).collect()] == [
        ("x", None),
        (None, 0.0),
    ]
    step = FilterRows(where="b >= 0 and b < 1")
    assert [tuple(one) for one in applied(step, rows).collect()] == [(None, 0.0)]
    (lost,) = step.losses(rows, {}).values()
    assert rows.where(lost).count() == 2
    with pytest.raises(ValueError, match="calls Java"):
        FilterRows(where="reflect('java.lang.System', 'exit') is null")
