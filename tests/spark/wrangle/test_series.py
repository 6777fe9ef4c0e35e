"""Time series: lag, rolling and array features, sequences, timestamps (facts: wrangler, 1.2, 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import ValidationError
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler
from penstock.wrangle.flow import Refused
from penstock.wrangle.operators.date_parts import DateParts
from penstock.wrangle.operators.features import MINIMAL, ArrayFeatures, Feature, RollingFeatures
from penstock.wrangle.operators.lagging import Lag
from penstock.wrangle.operators.sequences import GatherSeries, LevelLengths
from penstock.wrangle.operators.timestamps import DatetimeRange, Policy, ValidateTimestamps
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_NUMPY: dict[str, Any] = {
    "sum_values": np.sum,
    "median": np.median,
    "mean": np.mean,
    "length": len,
    "standard_deviation": np.std,
    "variance": np.var,
    "maximum": np.max,
    "minimum": np.min,
    "abs_energy": lambda x: np.dot(x, x),
    "absolute_maximum": lambda x: np.max(np.abs(x)),
    "absolute_sum_of_changes": lambda x: np.sum(np.abs(np.diff(x))),
    "count_above_mean": lambda x: np.sum(x > np.mean(x)),
    "count_below_mean": lambda x: np.sum(x < np.mean(x)),
    "mean_abs_change": lambda x: np.mean(np.abs(np.diff(x))) if len(x) > 1 else None,
    "mean_change": lambda x: (x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else None,
    "root_mean_square": lambda x: np.sqrt(np.mean(np.square(x))),
}


def _series(spark: SparkSession) -> DataFrame:
    """Two series and one without an id, their rows mixed; text that is a time."""
    rows: list[tuple[Any, ...]] = [("a", n, float(n * n % 7), n) for n in (4, 1, 3, 2, 0)]
    rows += [("b", 10, 1.5, 9), ("b", 9, nan, 8), (None, 1, None, 1), ("b", 11, 2.5, 7)]
    made = frame(spark, "`i.d` string, t int, `x y` double, n int", *rows)
    second = fn.timestamp_micros(fn.col("t").cast("bigint") * 1_000_000)
    return made.withColumn("t", fn.date_format(second, "yyyy-MM-dd HH:mm:ss")).repartition(3)


@pytest.mark.shows("8.1")
def test_lags(spark: SparkSession) -> None:
    """Source: facts 1.2, by hand. Own rules: names, types as of the column, arrays from lag 1."""
    rows = _series(spark)
    step = Lag(column="n", time="t", by=("i.d",), lag=2, window=True)
    columns, found = table(applied(step, rows))
    assert columns[-2:] == ["n_lag_1 int", "n_lag_2 int"]
    assert (None, 1, None, None) in {(one[0], *one[3:]) for one in found}
    assert {one[3]: one[4:] for one in found if one[0]} == {
        0: (None, None),
        1: (0, None),
        2: (1, 0),
        3: (2, 1),
        4: (3, 2),
        8: (None, None),
        9: (8, None),
        7: (9, 8),
    }
    whole = applied(Lag(column="n", time="t", by=("i.d",), lag=2, window=True, flatten=False), rows)
    arrays = {one.n: one.n_lag for one in whole.collect()}
    assert arrays[4] == [3, 2]
    assert arrays[8] == [None, None]
    single = Lag(column="n", time="t", by=("i.d",), lag=2, drop=True, output="old")
    columns, found = table(applied(single, rows))
    assert columns[-1] == "old_2 int"
    assert {one[3]: one[4] for one in found} == {2: 0, 3: 1, 4: 2, 7: 8}


@pytest.mark.shows("8.1")
def test_rolling_features(spark: SparkSession) -> None:
    """Source: AWS's guide: of t, those of t-3, t-2, t-1; tsfresh's definitions by numpy.

    Own rules: fewer rows where there are fewer, null where there is none; missing ones left out.
    """
    step = RollingFeatures(column="x y", time="t", by=("i.d",), size=3)
    columns, found = table(applied(step, _series(spark)))
    assert columns[4:] == [f"x y__{one.value} double" for one in MINIMAL]
    values = {n: float(n * n % 7) for n in range(5)}
    for row in (one for one in found if one[0] == "a"):
        before = [values[n] for n in range(max(0, row[3] - 3), row[3])]
        wanted = [_NUMPY[one.value](before) if before else None for one in MINIMAL]
        assert list(row[4:]) == pytest.approx(wanted)
    ends = {one[3]: one[4:] for one in found if one[0] == "b"}
    assert ends[8] == ends[9] == (None,) * 8  # nothing before; only NaN before
    assert ends[7] == (1.5, 1.5, 1.5, 1.0, 0.0, 0.0, 1.5, 1.5)
    array = RollingFeatures(
        column="x y", time="t", size=2, flatten=False, features=(Feature.LENGTH,)
    )
    columns, found = table(applied(array, _series(spark)))
    assert columns[-1] == "x y__features array<double>"
    assert sum(one[-1] is None for one in found) >= 1


@pytest.mark.shows("8.1")
def test_array_features(spark: SparkSession) -> None:
    """Source: tsfresh's definitions, by numpy, of every feature there is."""
    arrays = [[1.0, -4.0, 2.5, 2.5], [3.0], [0.1] * 9]
    rows = frame(spark, "x array<double>", *[(one,) for one in arrays], ([],), (None,))
    step = ArrayFeatures(column="x", features=tuple(Feature), output="f")
    columns, found = table(applied(step, rows))
    assert columns[1:] == [f"f__{one.value} double" for one in Feature]
    for array, row in zip(arrays, found, strict=False):
        wanted = [_NUMPY[one.value](np.array(array)) for one in Feature]
        assert list(row[1:]) == pytest.approx(wanted, abs=1e-12)
    assert found[3][1:] == found[4][1:] == (None,) * 16


@pytest.mark.shows("8.1")
def test_gathering(spark: SparkSession) -> None:
    """Source: AWS's guide, 'Group by a Time Series': arrays in time, Start_time and End_time."""
    step = GatherSeries(by=("i.d",), time="t", columns=("x y",), ends=True)
    columns, found = table(applied(step, _series(spark)))
    assert columns == [
        "i.d string",
        "x y array<double>",
        "Start_time timestamp",
        "End_time timestamp",
    ]
    by_id = {one[0]: one[1:] for one in found}
    assert by_id["a"][0] == [0.0, 1.0, 4.0, 2.0, 2.0]
    assert isnan(by_id["b"][0][0])
    assert by_id["b"][0][1:] == [1.5, 2.5]
    assert by_id[None][0] == [None]
    assert by_id["b"][2] - by_id["b"][1] == timedelta(seconds=2)
    columns, _ = table(applied(GatherSeries(by=("i.d",), time="t"), _series(spark)))
    assert columns == ["i.d string", "x y array<double>", "n array<int>"]


@pytest.mark.shows("8.1")
def test_one_length(spark: SparkSession) -> None:
    """Source: AWS's guide, 'Standardizing the Length': 3, 4, 5 at 50 % give 4; NaN fills up."""
    arrays = [[1.0] * 3, [2.0] * 4, [3.0] * 5]
    rows = frame(spark, "x array<double>", *[(one,) for one in arrays], (None,))
    found = [one.x for one in applied(LevelLengths(column="x", quantile=0.5), rows).collect()]
    assert found[0][:3] == [1.0] * 3
    assert isnan(found[0][3])
    assert found[1:] == [[2.0] * 4, [3.0] * 4, None]
    text = frame(spark, "s array<string>", (["a"],), (["a", "b"],))
    columns, values = table(applied(LevelLengths(column="s", flatten=True, output="p"), text))
    assert columns == ["s array<string>", "p_0 string", "p_1 string"]
    assert [one[1:] for one in values] == [("a", None), ("a", "b")]
    assert applied(LevelLengths(column="x"), rows.limit(0)).columns == ["x"]


@pytest.mark.shows("8.1")
def test_timestamps_that_are_none(spark: SparkSession) -> None:
    """Source: AWS's guide, 'Validate the Timestamp': drop, identify, or an error."""
    rows = frame(spark, "t string, n int", ("2020-01-01 02:03", 1), ("soon", 2), (None, 3), ("", 4))
    found = applied(ValidateTimestamps(time="t"), rows)
    assert table(found) == (["t string", "n int"], [("2020-01-01 02:03", 1)])
    mark = ValidateTimestamps(time="t", policy=Policy.MARK, cast=True)
    columns, values = table(applied(mark, rows))
    assert columns == ["t timestamp", "n int", "t_invalid boolean"]
    assert [one[2] for one in values] == [False, True, True, True]
    fail = ValidateTimestamps(time="t", policy=Policy.FAIL)
    assert applied(fail, rows.where("n = 1")).count() == 1
    with pytest.raises(Exception, match="a row has no valid t"):
        applied(fail, rows).collect()
    with pytest.raises(UsageError, match="no column 'u'"):
        applied(ValidateTimestamps(time="u"), rows)


@pytest.mark.shows("8.1")
@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"unit": "hour", "quantity": 2}, ["01-15T17:00", "01-15T19:00", "01-15T21:00"]),
        ({"unit": "month_end", "order": "n"}, ["01-31T17:00", "02-29T17:00", "03-31T17:00"]),
        ({"unit": "week"}, ["01-19T17:00", "01-26T17:00", "02-02T17:00"]),
        ({"unit": "quarter_start"}, ["04-01T17:00", "07-01T17:00", "10-01T17:00"]),
    ],
    ids=lambda one: str(one)[:20],
)
def test_a_range_of_instants(
    spark: SparkSession, settings: dict[str, Any], wanted: list[str]
) -> None:
    """Source: pandas.date_range('2020-01-15 17:00', periods=3) with 2h, M, W and QS."""
    rows = frame(spark, "n int", (1,), (2,), (3,))
    step = DatetimeRange(start=datetime(2020, 1, 15, 17, tzinfo=UTC), output="t", **settings)
    found = applied(step, rows).select(fn.unix_micros("t")).collect()
    instants = [datetime.fromtimestamp(one[0] / 1e6, UTC) for one in found]
    assert [f"{one:%m-%dT%H:%M}" for one in instants] == wanted


@pytest.mark.shows("8.1")
def test_series_as_flows_say_them() -> None:
    """Source: public flows 10 and 24 for validate, lag and rolling; strategies: AWS's guide."""
    series = {"sequence_column": "count", "id_column": "zone", "timestamp_column": "hour"}
    lag = {
        **series,
        "lag": 8,
        "entire_window": True,
        "drop_rows": False,
        "entire_window_True_parameters": {"flatten": True},
    }
    step = step_of("time_series", operator="Lag features", **{"Lag features_parameters": lag})
    assert step == Lag(column="count", time="hour", by=("zone",), lag=8, window=True)
    rolling = {**series, "window_size": 8, "flatten": True, "strategy": "Minimal subset"}
    name = "Rolling window features"
    step = step_of("time_series", operator=name, **{f"{name}_parameters": rolling})
    assert step == RollingFeatures(column="count", time="hour", by=("zone",), size=8)
    validate = {"timestamp_column": "hour", "policy": "drop"}
    name = "Validate timestamps"
    step = step_of("time_series", operator=name, **{f"{name}_parameters": validate})
    assert step == ValidateTimestamps(time="hour")
    parts = {"input_column": "hour", "output_column": "date", "output_format": "Columns"}
    switches = {"output_mode": "Ordinal", "year": True, "minute": False, "week_of_year": True}
    name = "Featurize datetime"
    step = step_of("time_series", operator=name, **{f"{name}_parameters": {**parts, **switches}})
    assert step == DateParts(column="hour", parts=("year", "week_of_year"), output="date")
    for strategy in ("Efficient subset", "All features", "Manual subset"):
        parameters = {
            "operator": "Extract features",
            "Extract features_parameters": {
                "sequence_column": "x",
                "strategy": strategy,
                f"strategy_{strategy}_parameters": {"features": ["cwt_coefficients"]},
            },
        }
        does = _does(parameters)
        assert isinstance(does, Refused)
        assert strategy in does.reason or "cwt_coefficients" in does.reason
    business = {"frequency": {"offset_description": "Business day"}, "timestamp_column": "t"}
    does = _does({"operator": "Resample", "Resample_parameters": business})
    assert isinstance(does, Refused)
    with pytest.raises(ValidationError):
        RollingFeatures(column="x", time="t", size=2, features=(Feature.MEAN, Feature.MEAN))


def _does(parameters: dict[str, Any]) -> object:
    node = {
        "node_id": "n",
        "type": "TRANSFORM",
        "operator": "sagemaker.spark.time_series_0.1",
        "parameters": parameters,
        "inputs": [],
    }
    (made,) = data_wrangler.of({"metadata": {"version": 1}, "nodes": [node]}, "test").nodes
    return made.does
