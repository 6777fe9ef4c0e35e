"""Scalers give what Spark's own give (facts: wrangler, 4, 'Scale'), to the last bit."""

from __future__ import annotations

from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.ml.feature import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
    VectorAssembler,
)
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as fn

from penstock.wrangle.operators.scaling import Scale, Scaler
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROWS = ((1.0, 3), (2.5, 3), (None, 3), (float("nan"), 3), (-7.25, 3))
#: Our settings beside Spark's.
_BOTH: tuple[tuple[dict[str, Any], Any], ...] = (
    ({"scaler": "standard"}, partial(StandardScaler, withMean=False, withStd=True)),
    ({"scaler": "standard", "center": True}, partial(StandardScaler, withMean=True, withStd=True)),
    ({"scaler": "min_max", "minimum": -1, "maximum": 2}, partial(MinMaxScaler, min=-1, max=2)),
    ({"scaler": "max_absolute"}, MaxAbsScaler),
    ({"scaler": "robust"}, partial(RobustScaler, withCentering=False, withScaling=True)),
)


@pytest.mark.shows("8.1")
@pytest.mark.parametrize(("settings", "scaler"), _BOTH, ids=lambda one: str(one)[:40])
def test_each_scaler_is_sparks(spark: SparkSession, settings: dict[str, Any], scaler: Any) -> None:
    """Source of the expected values: Spark's scaler of the same settings, on the same column."""
    rows = frame(spark, "a double, b int", *_ROWS)
    whole = VectorAssembler(inputCols=["a"], outputCol="v", handleInvalid="skip").transform(rows)
    model = scaler().setInputCol("v").setOutputCol("w").fit(whole)
    wanted = [
        one[0] for one in model.transform(whole).select(vector_to_array(fn.col("w"))[0]).collect()
    ]
    found = applied(Scale(columns=("a",), **settings), rows)
    columns, values = table(found)
    assert columns == ["a double", "b int"]
    assert [one for one, _ in values if not isnan(one)] == wanted
    assert [isnan(one) for one, _ in values] == [False, False, True, True, False]


@pytest.mark.shows("8.1")
def test_what_does_not_vary(spark: SparkSession) -> None:
    """Min-max gives the middle of its range (facts: wrangler, 4: 0.5), standard 0 (Spark)."""
    rows = frame(spark, "a double, b int", *_ROWS)
    step = Scale(columns=("b",), scaler=Scaler.MIN_MAX, output="c")
    assert [one["c"] for one in applied(step, rows).collect()] == [0.5] * 5
    found = applied(Scale(columns=("b",)), rows)
    assert table(found)[0] == ["a double", "b double"]
    assert [one["b"] for one in found.collect()] == [0.0] * 5


@pytest.mark.shows("8.1")
def test_as_a_flow_says_it() -> None:
    """Only the chosen scaler's block counts (public flow 26: others are left over)."""
    step = step_of(
        "process_numeric",
        operator="Scale values",
        scale_values_parameters={
            "scaler": "Min-max scaler",
            "min_max_scaler_parameters": {"min": 0, "max": "2", "input_column": ["a", "b"]},
            "standard_scaler_parameters": {"scale": False, "input_column": "z"},
        },
    )
    assert step == Scale(columns=("a", "b"), scaler=Scaler.MIN_MAX, maximum=2.0)
