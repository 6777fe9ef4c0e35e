"""Outliers and rare values (facts: wrangler, 4, 'Outliers')."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.outliers import Fix, Limits, Method, Outliers
from penstock.wrangle.operators.rare_values import ReplaceRare
from tests.wrangling import applied, frame, learnt, lost, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_NAN = float("nan")


def _rows(spark: SparkSession) -> DataFrame:
    """1 … 9 and 100, with what is missing; b is a whole number, c nothing."""
    values = [*range(1, 10), 100]
    rows = [(float(one), one, None) for one in values]
    return frame(spark, "a double, b long, c double", *rows, (None, None, None), (_NAN, 5, _NAN))


@pytest.mark.shows("8.1")
def test_bounds(spark: SparkSession) -> None:
    """Worked by hand: mean 14.5 and deviation of 1 … 9, 100; of robust, 3 … 8 (its quantiles).

    Mean and deviation are Spark's over finite values; a column without any is left alone.
    """
    rows = _rows(spark)
    finite = rows.where("a < 1000")
    mean, deviation = finite.agg(fn.mean("a"), fn.stddev("a")).collect()[0]
    assert mean == 14.5
    found = Outliers(columns=("a", "c"), standard_deviations=2).fit(rows)
    assert found == {"a": [mean - 2 * deviation, mean + 2 * deviation], "c": None}
    low, high = finite.approxQuantile("a", [0.25, 0.75], 0.001)
    inner = finite.where(fn.col("a").between(low, high)).agg(fn.mean("a"), fn.stddev("a"))
    mean, deviation = inner.collect()[0]
    robust = Outliers(columns=("a", "c"), method=Method.ROBUST, standard_deviations=1).fit(rows)
    assert (low, high) == (3.0, 8.0)
    assert robust == {"a": [mean - deviation, mean + deviation], "c": None}
    quantile = Outliers(columns=("a", "c"), method=Method.QUANTILE, lower_quantile=0.2)
    assert quantile.fit(rows) == {"a": [2.0, 100.0], "c": None}


@pytest.mark.shows("8.1")
def test_fixes(spark: SparkSession) -> None:
    """Clip gives double and leaves null and NaN; invalidate keeps the type; remove takes all."""
    rows = _rows(spark).where("a is null or b in (1, 2, 5, 100)")
    both: dict[str, Any] = {"columns": ("a", "b"), "lower": 2, "upper": 5.5}
    columns, values = table(applied(Limits(**both, output="x"), rows))
    assert columns[3:] == ["x_a double", "x_b double"]
    assert [one[4] for one in values] == [2.0, 2.0, 5.0, 5.5, None, 5.0]
    assert [str(one[3]) for one in values] == ["2.0", "2.0", "5.0", "5.5", "None", "nan"]
    invalid = Limits(**both, fix=Fix.INVALIDATE)
    columns, values = table(applied(invalid, rows))
    assert columns == ["a double", "b bigint", "c double"]
    assert [one[:2] for one in values] == [
        (None, None),
        (2.0, 2),
        (5.0, 5),
        (None, None),
        (None, None),
        (None, 5),
    ]
    removed = Limits(**both, fix=Fix.REMOVE)
    assert [one["a"] for one in applied(removed, rows).collect()] == [2.0, 5.0]
    kept = Limits(**both, fix=Fix.REMOVE, keep_missing=True)
    assert [str(one["a"]) for one in applied(kept, rows).collect()] == ["2.0", "5.0", "None", "nan"]
    assert {**lost(removed, rows, {}), **lost(invalid, rows, {})} == {
        "rows go because a is null or NaN, which is no outlier": 2,
        "rows go because b is null or NaN, which is no outlier": 1,
        "values of a are NaN and become null": 1,
        "values of b are NaN and become null": 0,
    }
    assert kept.losses(rows, {}) == {}


@pytest.mark.shows("8.1")
def test_of_removing_each_column_sees_what_is_left(spark: SparkSession) -> None:
    """Columns go one after another (facts: wrangler, 4): 100 is gone before b is fitted."""
    step = Outliers(columns=("a", "b"), standard_deviations=2, fix=Fix.REMOVE)
    found, state = learnt(step, _rows(spark))
    mean, deviation = _rows(spark).where("a < 50").agg(fn.mean("b"), fn.stddev("b")).collect()[0]
    assert state["b"] == [mean - 2 * deviation, mean + 2 * deviation]
    assert found.count() == 9


@pytest.mark.shows("8.1")
def test_stored_bounds(spark: SparkSession) -> None:
    """Public flow 10's node, its bounds and their hash as they stand there."""
    digest = "10b2dff28011403357a5a7dd4a37e9bea91721a8"
    parameters = {
        "operator": "Standard deviation numeric outliers",
        "standard_deviation_numeric_outliers_parameters": {
            "standard_deviations": 4,
            "input_column": ["trip_distance", "tip_amount"],
            "fix_method": "Remove",
        },
    }
    blocks = [
        {"_hash": digest, "lower_threshold": -12.3, "upper_threshold": 18.4, "input_column": one}
        for one in ("trip_distance", "tip_amount")
    ]
    step = step_of("handle_outliers", **parameters)
    assert step == Outliers(columns=("trip_distance", "tip_amount"), fix=Fix.REMOVE)
    trained = {"standard_deviation_numeric_outliers_parameters": blocks}
    rows = frame(spark, "trip_distance double, tip_amount double", (1.0, 18.4), (18.5, 1.0))
    run = run_of(step, rows, parameters=parameters, trained=trained)
    assert table(run.frame(Input("step")))[1] == [(1.0, 18.4)]
    blocks[1].pop("upper_threshold")
    run = run_of(step, rows, parameters=parameters, trained=trained)
    said: list[str] = []
    run.warn = said.append
    assert run.frame(Input("step")).count() == 2
    assert said == ["node step: no bounds are stored for tip_amount; it is fitted anew"]


@pytest.mark.shows("8.1")
def test_rare_values(spark: SparkSession) -> None:
    """Common is more than the threshold, not as many; null becomes rare unless it is common."""
    texts = ["x"] * 4 + ["y"] * 3 + ["z"] * 2 + [None] * 3
    rows = frame(spark, "s string, n long", *[(one, n % 3) for n, one in enumerate(texts)])
    step = ReplaceRare(columns=("s",), value="rare", fraction_threshold=0.25)
    found = [one["s"] for one in applied(step, rows).collect()]
    assert found == ["x"] * 4 + ["rare"] * 8
    text = "missing values of s become 'rare' as rare values do"
    assert lost(step, rows, {"s": ["x"]}) == {text: 3}
    with_null = ReplaceRare(columns=("s", "n"), absolute_threshold=2, most=2)
    made, state = learnt(with_null, rows)
    assert state == {"s": ["x", None], "n": ["0", "1"]}
    columns, values = table(made)
    assert columns == ["s string", "n string"]
    assert [one[0] for one in values] == ["x"] * 4 + ["other"] * 5 + [None] * 3
    assert [one[1] for one in values] == ["0", "1", "other"] * 4


@pytest.mark.shows("8.1")
def test_stored_common_values() -> None:
    """Public flow 26's node: its hash is that of these settings."""
    block = {
        "input_column": ["home_ownership"],
        "absolute_threshold": 10,
        "fraction_threshold": 0.08,
        "max_common_categories": 4,
        "replacement_string": "other",
    }
    parameters = {"operator": "Replace rare values", "replace_rare_values_parameters": block}
    stored = {
        "_hash": "7f619412c242c602405b6e31fb3dc303b936931d",
        "common_categories": ["mortgage", "rent"],
    }
    step = step_of("handle_outliers", **parameters)
    assert step == ReplaceRare(
        columns=("home_ownership",), absolute_threshold=10, fraction_threshold=0.08, most=4
    )
    state = step.stored({"replace_rare_values_parameters": stored}, parameters)
    assert json.loads(json.dumps(state)) == {"home_ownership": ["mortgage", "rent"]}


@pytest.mark.shows("8.1")
def test_errors_and_nothing_at_all(spark: SparkSession) -> None:
    """An unknown column is named; text has no bounds; no rows and no values are no error."""
    rows = frame(spark, "s string, c double", ("x", None))
    with pytest.raises(UsageError, match=r"outliers: no column 'z'"):
        applied(Outliers(columns=("z",)), rows)
    with pytest.raises(UsageError, match=r"outliers: s holds no numbers"):
        applied(Outliers(columns=("s",)), rows)
    assert table(applied(Outliers(columns=("c",), fix=Fix.REMOVE), rows))[1] == [("x", None)]
    assert applied(ReplaceRare(columns=("s",)), rows.limit(0)).collect() == []
