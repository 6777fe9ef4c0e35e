"""Resampling and filling give what pandas gives (facts: wrangler, 4, 'Time series')."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.filling_cells import filled_values
from penstock.wrangle.operators.filling_series import FillSeries, Leftovers, Strategy
from penstock.wrangle.operators.resampling import Gap, Merge, Resample
from tests.wrangling import applied, frame, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TIMES = (
    "2019-12-29 23:59:59",
    "2020-01-01 05:30:00",
    "2020-01-01 05:45:10",
    "2020-01-01 18:00:00",
    "2020-01-19 00:00:00",
    "2020-02-29 12:00:00",
    "2020-07-31 00:00:00",
    "2021-03-01 00:00:01",
)
_VALUES = (1.0, 4.0, None, 10.0, 6.0, nan, 3.0, None)
#: Our units and pandas' names for them.
_UNITS = {
    ("hour", 7): "7h",
    ("day", 1): "D",
    ("day", 3): "3D",
    ("week", 1): "W",
    ("week", 2): "2W",
    ("month_start", 1): "MS",
    ("month_start", 2): "2MS",
    ("month_end", 1): "ME",
    ("month_end", 5): "5ME",
    ("quarter_end", 1): "QE",
    ("year_start", 1): "YS",
    ("year_end", 1): "YE",
}


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as pandas has its instants


def _rows(spark: SparkSession) -> DataFrame:
    texts = [(one, value) for one, value in zip(_TIMES, _VALUES, strict=True)]
    made = frame(spark, "t string, x double", *texts)
    micros = fn.unix_timestamp(fn.concat("t", fn.lit("+00:00")), "yyyy-MM-dd HH:mm:ssXXX")
    return made.withColumn("t", fn.timestamp_micros(micros * 1_000_000))


def _utc(found: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Rows in time, their instants in UTC."""
    rows = found.select(fn.unix_micros("t"), *columns).collect()
    return sorted(
        (_EPOCH + timedelta(microseconds=one[0]), *[_or_none(each) for each in one[1:]])
        for one in rows
    )


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and isnan(value) else value


@pytest.mark.shows("8.1")
@pytest.mark.parametrize(("unit", "quantity"), _UNITS)
def test_steps_are_those_of_pandas(spark: SparkSession, unit: str, quantity: int) -> None:
    """Source: pandas: resample(…).mean().interpolate(): which steps, their values, the ends."""
    import pandas as pd

    made = pd.Series(_VALUES, index=pd.to_datetime(list(_TIMES)), dtype="float64")
    wanted = made.resample(_UNITS[unit, quantity]).mean().interpolate()
    step = Resample.model_validate({"time": "t", "unit": unit, "quantity": quantity})
    found = _utc(applied(step, _rows(spark)), "x")
    assert [one[0] for one in found] == [one.to_pydatetime() for one in wanted.index]
    assert [one[1] for one in found] == pytest.approx(wanted.to_list())


@pytest.mark.shows("8.1")
def test_every_column_of_every_series(spark: SparkSession) -> None:
    """Source: by hand, after the settings of public flow 10.

    Own rules: columns keep their order, the most common of several is the least, numbers are
    doubles, rows without a time are counted.
    """
    rows = frame(
        spark,
        "n int, t timestamp, `i.d` string, s string, b boolean",
        (1, _at(0, 5), "a", "y", True),
        (4, _at(0, 40), "a", "x", None),
        (4, _at(0, 50), "a", "y", True),
        (9, _at(2, 0), "a", "x", False),
        (9, _at(2, 30), "a", "z", False),
        (7, _at(5, 59), None, None, None),
        (1, None, "a", "y", True),
    )
    step = Resample(time="t", by=("i.d",), unit="hour")
    run = run_of(step, rows)
    found, losses = run.watched(Input("step"))
    assert [f"{a} {b}" for a, b in found.dtypes] == [
        "n double",
        "t timestamp",
        "i.d string",
        "s string",
        "b boolean",
    ]
    assert _utc(found, "`i.d`", "n", "s", "b") == [
        (_hour(0), "a", 3.0, "y", True),
        (_hour(1), "a", 6.0, "y", True),
        (_hour(2), "a", 9.0, "x", False),
        (_hour(5), None, 7.0, None, None),
    ]
    assert losses.counted() == {"rows have no t and are left out": 1}
    step = Resample(
        time="t",
        by=("i.d",),
        unit="hour",
        numbers=Merge.LAST,
        others=Merge.FIRST,
        empty_numbers=Gap.NEAREST,
        empty_others=Gap.KEEP,
    )
    assert _utc(applied(step, rows), "n", "s")[:3] == [
        (_hour(0), 4.0, "y"),
        (_hour(1), 4.0, None),
        (_hour(2), 9.0, "x"),
    ]
    with pytest.raises(UsageError, match="no column 'u'"):
        applied(Resample(time="u", unit="hour"), rows)
    for wrong in ({"others": "mean"}, {"empty_others": "linear"}, {"numbers": "most_common"}):
        with pytest.raises(ValidationError):
            Resample.model_validate({"time": "t", "unit": "hour", **wrong})


def _at(hour: int, minute: int) -> datetime:
    return datetime(2020, 3, 29, hour, minute, tzinfo=UTC)


def _hour(hour: int) -> datetime:
    return _at(hour, 0).replace(tzinfo=None)


@pytest.mark.shows("8.1")
def test_another_zone_moves_nothing(spark: SparkSession) -> None:
    """Own rule: days are UTC's, whatever the zone of the session that makes and runs the plan."""
    step = Resample(time="t", unit="day")
    wanted = _utc(applied(step, _rows(spark)), "x")
    (call,) = step.calls({})
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
        assert _utc(call.function(_rows(spark), **call.arguments), "x") == wanted
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))


_HOLES = [None, 2.0, None, nan, 7.0, None]
_FILLED: dict[tuple[str, str], list[float | None]] = {
    ("constant", "fill"): [0.5, 2.0, 0.5, 0.5, 7.0, 0.5],
    ("most_common", "fill"): [2.0, 2.0, 2.0, 2.0, 7.0, 2.0],
    ("forward", "keep"): [None, 2.0, 2.0, 2.0, 7.0, 7.0],
    ("forward", "fill"): [2.0, 2.0, 2.0, 2.0, 7.0, 7.0],
    ("backward", "keep"): [2.0, 2.0, 7.0, 7.0, 7.0, None],
    ("backward", "fill"): [2.0, 2.0, 7.0, 7.0, 7.0, 7.0],
    ("linear", "keep"): [None, 2.0, 11 / 3, 16 / 3, 7.0, None],
    ("linear", "fill"): [2.0, 2.0, 11 / 3, 16 / 3, 7.0, 7.0],
    ("nearest", "keep"): [None, 2.0, 2.0, 7.0, 7.0, None],
}


@pytest.mark.shows("8.1")
def test_filling_along_and_inside(spark: SparkSession) -> None:
    """Source: AWS's guide for forward and backward, pandas for linear; ties: the least, before."""
    cells = frame(spark, "`c.c` array<double>, n int", (_HOLES, 1), (None, 2), ([], 3))
    rows = frame(spark, "t int, x double, k string", *_holes())
    for (strategy, leftovers), wanted in _FILLED.items():
        assert filled_values(_HOLES, strategy, 0.5, leftovers) == pytest.approx(wanted)
    for strategy, leftovers in (("linear", "fill"), ("nearest", "keep"), ("most_common", "fill")):
        told: dict[str, Any] = {"strategy": strategy, "leftovers": leftovers}
        inside = {"column": "c.c", "inside": True, "output": "o", **told}
        columns, found = table(applied(FillSeries.model_validate(inside), cells))
        assert columns[-1] == "o array<double>"
        assert found[0][2] == pytest.approx(_FILLED[strategy, leftovers])
        assert [one[2] for one in found[1:]] == [None, []]
        along = {"column": "x", "time": "t", "by": ["k"], **told}
        columns, found = table(applied(FillSeries.model_validate(along), rows))
        assert columns == ["t int", "x double", "k string"]
        assert _of(found, "a") == pytest.approx(_FILLED[strategy, leftovers])
        assert _of(found, None) == [None, None]
    both = FillSeries(
        column="c.c", inside=True, strategy=Strategy.FORWARD, leftovers=Leftovers.DROP
    )
    assert [one.n for one in applied(both, cells).collect()] == [2, 3]


def _holes() -> list[tuple[Any, ...]]:
    series = [(n * n, one, "a") for n, one in enumerate(_HOLES)]
    return [*reversed(series), (1, None, None), (2, nan, None)]


def _of(rows: list[tuple[Any, ...]], key: str | None) -> list[float | None]:
    held = sorted((one for one in rows if one[2] == key), key=lambda one: one[0])
    return [_or_none(one[1]) for one in held]


@pytest.mark.shows("8.1")
def test_filling_along_time(spark: SparkSession) -> None:
    """By distance in time; text and constants; rows dropped that are missing still."""
    rows = frame(spark, "t int, x int, k string", (0, 10, "a"), (1, None, " "), (4, 50, None))
    found = applied(FillSeries(column="x", time="t", strategy=Strategy.TIME), rows)
    assert sorted(table(found)[1]) == [(0, 10.0, "a"), (1, 20.0, " "), (4, 50.0, None)]
    constant = FillSeries(column="k", time="t", strategy=Strategy.CONSTANT, value="z", output="o")
    assert table(applied(constant, rows)) == (
        ["t int", "x int", "k string", "o string"],
        [(0, 10, "a", "a"), (1, None, " ", "z"), (4, 50, None, "z")],
    )
    later = FillSeries(column="k", time="t", strategy=Strategy.BACKWARD, leftovers=Leftovers.DROP)
    assert table(applied(later, rows))[1] == [(0, 10, "a")]
    with pytest.raises(UsageError, match="no column 'y'"):
        applied(FillSeries(column="y", time="t", strategy=Strategy.FORWARD), rows)
    for wrong in ({"time": ""}, {"inside": True}, {"strategy": "time", "inside": True, "time": ""}):
        with pytest.raises(ValidationError):
            FillSeries.model_validate({"column": "x", "time": "t", "strategy": "linear", **wrong})


@pytest.mark.shows("8.1")
def test_as_flows_say_them() -> None:
    """Source: public flows 10 and 24; the keys of other strategies are left over there."""
    along = {
        "hmac_output_column": "",
        "hmac_id_column": "zone",
        "hmac_strategy": "Constant Value",
        "hmac_leftovernans": "Fill with Forward/Backward feed",
        "hmac_strategy_Constant Value_parameters": {"hmac_custom_value": "0.0"},
        "hmac_strategy_Interpolate_parameters": {"hmac_interpolation_technique": "linear"},
        "hmac_sequence_column": "distance",
        "hmac_timestamp_column": "t",
    }
    block = {"hm_input_type": "Along column", "hm_input_type_Along column_parameters": along}
    step = step_of("time_series", operator="Handle missing", **{"Handle missing_parameters": block})
    assert step == FillSeries(
        column="distance", time="t", by=("zone",), strategy=Strategy.CONSTANT, value="0.0"
    )
    assert step.sentence() == "Fill missing values along distance of each zone with 0.0"
    block = {
        "frequency": {"quantity": 1, "offset_description": "Hourly"},
        "downsample": {"non_numeric": "most common", "numeric": "mean"},
        "upsample": {"non_numeric": "ffill", "numeric": "linear"},
        "timestamp_column": "t",
        "id_column": "zone",
    }
    step = step_of("time_series", operator="Resample", Resample_parameters=block)
    assert step == Resample(time="t", by=("zone",), unit="hour")
