"""What is missing, and what becomes of it (facts: wrangler, 4, 'Missing')."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.ml.feature import Imputer

from penstock.errors import UsageError
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.missing import (
    DropMissing,
    FillMissing,
    FlagMissing,
    Impute,
    Strategy,
)
from tests.wrangling import applied, frame, learnt, lost, packed, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_NAN = float("nan")
_ODD = "a.b `c"


def _rows(spark: SparkSession) -> DataFrame:
    return frame(
        spark,
        "a double, b long, `a.b ``c` string, d date, e boolean, g double",
        (1.0, 1, "x", None, True, None),
        (_NAN, 2, " ", None, None, _NAN),
        (None, 4, "y", None, True, None),
        (5.5, None, None, None, False, None),
        (7.5, 2**53 + 1, "y", None, None, None),
        (8.5, None, "x", None, None, None),
    )


@pytest.mark.shows("8.1")
def test_numbers_are_imputed_as_spark_does(spark: SparkSession) -> None:
    """Source: Spark's Imputer on the same columns; it truncates means of whole numbers.

    One thing is better: a whole number that is there keeps its last digits beyond 2^53.
    """
    rows = _rows(spark).where("b is null or b < 10").select("a", "b")
    for strategy, theirs in ((Strategy.MEAN, "mean"), (Strategy.MEDIAN, "median")):
        model = Imputer(
            strategy=theirs, inputCols=["a", "b"], outputCols=["a", "b"], relativeError=0.001
        ).fit(rows)
        assert table(applied(Impute(columns=("a", "b"), strategy=strategy), rows)) == table(
            model.transform(rows)
        )
    whole = applied(Impute(columns=("b",), strategy=Strategy.MEDIAN, output="n"), _rows(spark))
    assert whole.columns == ["a", "b", _ODD, "d", "e", "g", "n"]
    assert [one["n"] for one in whole.collect()] == [1, 2, 4, 2, 2**53 + 1, 2]


@pytest.mark.shows("8.1")
def test_the_mode_and_what_has_none(spark: SparkSession) -> None:
    """Own rule: of two as frequent the first in order of text. Nothing to learn is no error."""
    step = Impute(columns=(_ODD, "e", "d"), strategy=Strategy.MODE, output="m")
    found, state = learnt(step, _rows(spark))
    assert state == {"values": {_ODD: "x", "e": "true", "d": None}}
    assert [one[6:8] for one in table(found)[1]] == [
        ("x", True),
        ("x", True),
        ("y", True),
        ("x", False),
        ("y", True),
        ("x", True),
    ]
    assert lost(step, _rows(spark), state) == {
        "values of d stay missing: there was none to learn from": 6
    }


@pytest.mark.shows("8.1")
def test_filled_with_a_value_of_the_type(spark: SparkSession) -> None:
    """Cast to each column's type; what that loses is counted (own rule)."""
    step = FillMissing(columns=("a", "b", _ODD, "e"), value="1.5")
    columns, values = table(applied(step, _rows(spark)))
    assert columns == ["a double", "b bigint", f"{_ODD} string", "d date", "e boolean", "g double"]
    assert [one[:3] for one in values] == [
        (1.0, 1, "x"),
        (1.5, 2, "1.5"),
        (1.5, 4, "y"),
        (5.5, 1, "1.5"),
        (7.5, 2**53 + 1, "y"),
        (8.5, 1, "x"),
    ]
    found = lost(step, _rows(spark), {})
    assert {text: figure for text, figure in found.items() if figure} == {
        "values of b become a bigint that is not quite 1.5": 2,
        "values of e stay missing: '1.5' is no boolean": 3,
    }


@pytest.mark.shows("8.1")
def test_flagged_and_dropped(spark: SparkSession) -> None:
    """The flag is boolean, ``<col>_indicator``; a row goes when any of the columns is missing."""
    columns, values = table(applied(FlagMissing(columns=("a", _ODD)), _rows(spark)))
    assert columns[-2:] == ["a_indicator boolean", f"{_ODD}_indicator boolean"]
    assert [one[-2:] for one in values] == [
        (False, False),
        (True, True),
        (True, False),
        (False, True),
        (False, False),
        (False, False),
    ]
    kept = applied(DropMissing(columns=("a", _ODD)), _rows(spark))
    assert [one["a"] for one in kept.collect()] == [1.0, 7.5, 8.5]
    two = _rows(spark).select("a", "b")
    assert [one["a"] for one in applied(DropMissing(), two).collect()] == [1.0, 7.5]


@pytest.mark.shows("8.1")
def test_as_flows_say_it() -> None:
    """Old and new forms (public flows 03, 09, 26): the chosen block alone counts."""
    left = {"column_type": "Numeric", "numeric_parameters": {"strategy": "Approximate Median"}}
    old = {"dimension": "Drop Rows", "drop_rows_parameters": {"input_column": "userId"}}
    assert step_of(
        "handle_missing",
        operator="Drop missing",
        drop_missing_parameters=old,
        impute_parameters=left,
    ) == DropMissing(columns=("userId",))
    assert step_of(
        "handle_missing", operator="Drop missing", drop_missing_parameters={"input_column": ["a"]}
    ) == DropMissing(columns=("a",))
    fill = {"input_column": ["a", "b"], "fill_value": "0"}
    assert step_of(
        "handle_missing", operator="Fill missing", fill_missing_parameters=fill
    ) == FillMissing(columns=("a", "b"), value="0")
    assert step_of(
        "handle_missing", operator="Impute", impute_parameters={**left, "input_column": "a"}
    ) == Impute(columns=("a",), strategy=Strategy.MEDIAN)
    with pytest.raises(UsageError, match=r"dimension 'Drop Columns' is not known"):
        step_of(
            "handle_missing",
            operator="Drop missing",
            drop_missing_parameters={"dimension": "Drop Columns"},
        )


@pytest.mark.shows("8.1")
def test_stored_state_counts_where_its_hash_does(spark: SparkSession, tmp_path: Path) -> None:
    """A saved ImputerModel (Spark writes it), and the value of old flows, which makes doubles."""
    rows = _rows(spark).select("b")
    settings = {"strategy": "Mean"}
    digest = hashlib.sha1(json.dumps(settings).encode()).hexdigest()
    parameters = {
        "operator": "Impute",
        "impute_parameters": {
            "column_type": "Numeric",
            "numeric_parameters": {**settings, "input_column": "b"},
        },
    }
    other = frame(spark, "b long", (10,), (21,), (None,))
    model = Imputer(strategy="mean", inputCols=["b"], outputCols=["b"]).fit(other)
    step = step_of("handle_missing", **parameters)
    for block, wanted, kind in (
        ({"_hash": digest, "imputer_model": packed(model, tmp_path)}, 15, "bigint"),
        ({"_hash": digest, "impute_value": 0}, 0.0, "double"),
    ):
        trained = {"impute_parameters": {"numeric_parameters": block}}
        run = run_of(step, rows, parameters=parameters, trained=trained)
        columns, values = table(run.frame(Input("step")))
        assert (columns, values[3]) == ([f"b {kind}"], (wanted,))
    said: list[str] = []
    run = run_of(
        step,
        other,
        parameters=parameters,
        trained={"impute_parameters": {"_hash": -3, "impute_value": 0}},
    )
    run.warn = said.append
    assert table(run.frame(Input("step")))[1] == [(10,), (21,), (15,)]
    assert said == ["node step: its stored state has no hash to compare; it is fitted anew"]


@pytest.mark.shows("8.1")
def test_errors_and_nothing_at_all(spark: SparkSession) -> None:
    """An unknown column is named with what there is; text has no mean; no rows give no rows."""
    rows = _rows(spark).select("a", "b")
    with pytest.raises(UsageError, match=r"node step: fill_missing: no column 'z'"):
        applied(FillMissing(columns=("z",), value="0"), rows)
    with pytest.raises(UsageError, match=r"impute: e holds no numbers, and has no mean"):
        applied(Impute(columns=("e",), strategy=Strategy.MEAN), _rows(spark))
    none = rows.limit(0)
    assert applied(Impute(columns=("a",)), none).collect() == []
