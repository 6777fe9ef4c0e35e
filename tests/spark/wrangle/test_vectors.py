"""Vectors and nested values (facts: wrangler, 1.2; docs, Manage vectors)."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.operators.nested import ExplodeArray, FlattenStructure
from penstock.wrangle.operators.vectors import AssembleVector, FlattenVector
from tests.wrangling import applied, frame, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def _plain(values: Any) -> list[Any]:
    return [None if isnan(one) else one for one in values]


@pytest.mark.shows("8.1")
def test_assemble_and_flatten(spark: SparkSession) -> None:
    """Source: docs, Manage vectors: too long is cut, too short is NaN, the first vector decides."""
    data = [
        (1, None, [1.0, 2.0]),
        (None, Vectors.dense(5, 6), [3.0]),
        (3, SparseVector(2, {1: 7.0}), None),
        (4, Vectors.dense(1, 2, 3), [4.0, 5.0, 6.0]),
    ]
    rows = spark.createDataFrame(data, ["n", "v", "a"]).coalesce(1)
    step = AssembleVector(columns=("n", "v"), output="w x")
    whole = applied(step, rows)
    found = whole.select(vector_to_array(fn.col("`w x`"))).collect()
    assert [_plain(one[0]) for one in found] == [[1], [None, 5, 6], [3, 0, 7], [4, 1, 2, 3]]
    flat = FlattenVector(column="v", output="p")
    columns, values = table(applied(flat, rows).drop("v", "a"))
    assert columns[1:] == ["p_0 double", "p_1 double"]
    assert [_plain(one[1:]) for one in values] == [[None, None], [5, 6], [0, 7], [1, 2]]
    (lost,) = flat.losses(rows, {"length": 2}).values()
    assert rows.where(lost).count() == 1
    columns, values = table(applied(FlattenVector(column="a", length=3), rows).drop("v", "a"))
    assert columns[1:] == ["a_0 double", "a_1 double", "a_2 double"]
    assert [_plain(one[1:]) for one in values] == [
        [1, 2, None],
        [3, None, None],
        [None] * 3,
        [4, 5, 6],
    ]


@pytest.mark.shows("8.1")
def test_structures_and_json(spark: SparkSession) -> None:
    """Source: facts: wrangler, 1.2 and 4: first-level keys become ``<col>_<key>``."""
    rows = frame(
        spark,
        "s struct<x: int, `y z`: string>, j string",
        ((1, "a"), '{"b": 1, "a": {"c d": [1, 2]}}'),
        (None, '{"b": 2.5}'),
        ((2, None), "no json"),
    )
    assert table(applied(FlattenStructure(column="s"), rows.select("s")).drop("s")) == (
        ["s_x int", "s_y z string"],
        [(1, "a"), (None, None), (2, None)],
    )
    step = FlattenStructure(column="j", output="k")
    columns, values = table(applied(step, rows.select("j")).drop("j"))
    assert columns == ["k_a struct<c d:array<bigint>>", "k_b double"]
    assert [(one[0] and one[0][0], one[1]) for one in values] == [
        ([1, 2], 1.0),
        (None, 2.5),
        (None, None),
    ]
    state = step.fit(rows)
    (lost,) = step.losses(rows, state).values()
    assert [one[0] for one in rows.where(lost).select("j").collect()] == ["no json"]
    with pytest.raises(UsageError, match="is int: no structure"):
        FlattenStructure(column="n").fit(frame(spark, "n int", (1,)))


@pytest.mark.shows("8.1")
def test_explode(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: ``explode`` drops empty arrays and nulls; the other is ours."""
    rows = frame(spark, "`a.b` array<int>, n int", ([1, 2], 1), ([], 2), (None, 3))
    step = ExplodeArray(column="a.b")
    assert table(applied(step, rows).drop("a.b")) == (
        ["n int", "a.b_flatten int"],
        [(1, 1), (1, 2)],
    )
    (lost,) = step.losses(rows, {}).values()
    assert rows.where(lost).count() == 2
    outer = ExplodeArray(column="a.b", output="x", keep_empty=True)
    assert [one[2] for one in applied(outer, rows).collect()] == [1, 2, None, None]
