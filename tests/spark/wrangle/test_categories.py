"""Ordinal and one-hot: what Spark's StringIndexer and OneHotEncoder give (facts: wrangler, 4)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.ml.feature import OneHotEncoder, StringIndexer
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.categories import Invalid, OneHot, Ordinal
from penstock.wrangle.operators.labels import place_of
from penstock.wrangle.operators.naming import column_names
from tests.wrangling import applied, frame, learnt, lost, packed, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TEXTS = ("b", "a", "c", "b", "c", "d e/f", None, " ")


def _rows(spark: SparkSession) -> DataFrame:
    """Labels of s: b and c twice, so by text; then a and 'd e/f'."""
    return frame(spark, "s string, n long", *[(one, n % 2) for n, one in enumerate(_TEXTS)])


def _spark(rows: DataFrame, invalid: str, *, drop_last: bool) -> list[str]:
    """The vector's text as Spark's own stages give it, blank text being null."""
    filled = rows.select(fn.when(fn.trim("s") != "", fn.col("s")).alias("s"))
    indexer = StringIndexer(inputCol="s", outputCol="i", handleInvalid=invalid)
    indexed = indexer.fit(filled).transform(filled)
    encoder = OneHotEncoder(inputCol="i", outputCol="v", dropLast=drop_last)
    found = encoder.fit(indexed).transform(indexed)
    return [one[0] for one in found.select(fn.col("v").cast("string")).collect()]


@pytest.mark.shows("8.1")
def test_vectors_are_sparks(spark: SparkSession) -> None:
    """Source: Spark's StringIndexer and OneHotEncoder; the text is that of CSV."""
    rows = _rows(spark)
    for invalid, drop_last in (("keep", False), ("keep", True), ("skip", True)):
        step = OneHot(columns=("s",), style="vector", invalid=Invalid(invalid), drop_last=drop_last)
        found = applied(step, rows)
        assert found.dtypes == [("s", "vector"), ("n", "bigint")]
        texts = [one[0] for one in found.select(fn.col("s").cast("string")).collect()]
        assert texts == _spark(rows, invalid, drop_last=drop_last)
    assert texts[0] == "(3,[0],[1.0])"


@pytest.mark.shows("8.1")
def test_columns(spark: SparkSession) -> None:
    """At the end by frequency, the input gone; missing is 0 in all (facts: wrangler, 4)."""
    rows = _rows(spark)
    step = OneHot(columns=("s", "n"))
    found, state = learnt(step, rows)
    columns, values = table(found)
    assert columns == [f"{one} double" for one in ("s_b", "s_c", "s_a", "s_d e/f", "n_0", "n_1")]
    assert [one[:4] for one in values] == [
        (1, 0, 0, 0),
        (0, 0, 1, 0),
        (0, 1, 0, 0),
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 0, 1),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
    ]
    assert lost(step, rows, state) == {
        "rows have 0 in all columns of s, which is missing or no category": 2,
        "rows have 0 in all columns of n, which is missing or no category": 0,
    }


@pytest.mark.shows("8.1")
def test_our_columns_are_integers_with_names_a_feature_may_have(spark: SparkSession) -> None:
    """Own settings; which label has which column is in the state."""
    step = OneHot(columns=("s",), type="integer", safe_names=True, output="kind of")
    found, state = learnt(step, _rows(spark))
    columns, values = table(found.limit(1))
    assert columns == ["s string", "n bigint"] + [
        f"kind_of_{one} bigint" for one in ("b", "c", "a", "d_e_f")
    ]
    assert values == [("b", 0, 1, 0, 0, 0)]
    assert state["names"]["s"]["d e/f"] == "kind_of_d_e_f"
    wanted = ["a_Yes", "a_yes", "a_\u00e9!", "x" * 70, "x" * 70]
    made = column_names(wanted, safe=True)
    assert made == ["a_Yes", "a_yes_2", "a", "x" * 64, "x" * 62 + "_2"]
    assert column_names(wanted[:2], safe=False) == ["a_Yes", "a_yes_2"]


def test_a_column_that_is_there_is_not_overwritten(spark: SparkSession) -> None:
    """Whatever its capitals; one that is encoded too, and goes, leaves its name to a new one."""
    rows = frame(spark, "s string, S_B long", ("b", 7), ("a", 8))
    step = OneHot(columns=("s",))
    said = r"node step: there is a column s_b already; set output, or safe_names"
    with pytest.raises(UsageError, match=said):
        applied(step, rows)
    assert applied(OneHot(columns=("s",), output="is"), rows).columns == [
        "s",
        "S_B",
        "is_a",
        "is_b",
    ]
    both = applied(OneHot(columns=("s", "s_a")), frame(spark, "s string, s_a string", ("a", "x")))
    assert table(both) == (["s_a double", "s_a_x double"], [(1, 1)])


@pytest.mark.shows("8.1")
def test_labels_that_differ_in_capitals(spark: SparkSession) -> None:
    """Spark takes both names for one column; the second gets a number, which is said (own rule)."""
    rows = frame(spark, "s string", ("Yes",), ("Yes",), ("yes",))
    step = OneHot(columns=("s",))
    found, state = learnt(step, rows)
    assert found.columns == ["s_Yes", "s_yes_2"]
    assert [one for text, one in lost(step, rows, state).items() if "'yes' in s" in text] == [1]


@pytest.mark.shows("8.1")
def test_each_strategy_without_a_label(spark: SparkSession) -> None:
    """Skip leaves rows out, also for columns after; error fails; drop_last makes a null column."""
    rows = _rows(spark)
    skipped = OneHot(columns=("s", "n"), invalid=Invalid.SKIP, drop_last=True)
    found, state = learnt(skipped, rows)
    columns, values = table(found)
    assert columns[-1] == "n_1 double"
    assert len(values) == 6
    assert {(one[3], one[5]) for one in values} == {(None, None)}
    texts = list(skipped.losses(rows, state))
    assert "values of s_d e/f become null, as the last is dropped" in texts
    assert "rows go because s is missing or no category" in texts
    failing = applied(OneHot(columns=("s",), invalid=Invalid.ERROR), rows)
    with pytest.raises(
        (PySparkException, Py4JJavaError), match="no category of s: null"
    ):  # 3.5: the latter
        failing.collect()
    indexed = applied(Ordinal(columns=("s",), invalid=Invalid.ERROR), rows.where("s is not null"))
    assert [one["s"] for one in indexed.collect()] == [0.0, 3.0, 1.0, 0.0, 1.0, 4.0, 2.0]


@pytest.mark.shows("8.1")
def test_ordinal(spark: SparkSession) -> None:
    """Source: Spark's StringIndexer, keep and skip; NaN is keep's last (facts: wrangler, 4)."""
    rows = _rows(spark)
    for invalid in ("keep", "skip"):
        model = StringIndexer(inputCol="s", outputCol="i", handleInvalid=invalid).fit(rows)
        wanted = [tuple(one) for one in model.transform(rows).select("s", "n", "i").collect()]
        found = applied(Ordinal(columns=("s",), invalid=Invalid(invalid), output="i"), rows)
        assert found.dtypes[-1] == ("i", "double")
        assert [tuple(one) for one in found.collect()] == wanted
    known = frame(spark, "s string", ("b",), ("new",), (None,))
    for step, kind, last in (
        (Ordinal(columns=("s",)), "double", "nan"),
        (Ordinal(columns=("s",), type="integer"), "bigint", "None"),
    ):
        state = {"labels": {"s": ["x", "b"]}}
        (call,) = step.calls(state)
        made = call.function(known, **call.arguments)
        assert made.dtypes == [("s", kind)]
        assert [str(one["s"]) for one in made.collect()][1:] == [last, last]
    assert "makes 0, the most frequent category" in Ordinal(columns=("s",)).cautions()[0]
    assert Ordinal(columns=("s",), type="integer").cautions() == []


@pytest.mark.shows("8.1")
def test_numbers_of_categories_are_encoded_as_they_are(spark: SparkSession) -> None:
    """Docs, 'Is input ordinal encoded': i has its 1 in the ith place; up to the greatest."""
    rows = frame(spark, "n double", (0.0,), (3.0,), (None,), (float("nan"),))
    step = OneHot(columns=("n",), ordinal=True, style="vector")
    texts = [one[0] for one in applied(step, rows).select(fn.col("n").cast("string")).collect()]
    assert texts == ["(5,[0],[1.0])", "(5,[3],[1.0])", "(5,[4],[1.0])", "(5,[4],[1.0])"]


@pytest.mark.shows("8.1")
def test_a_long_list_of_labels_is_a_table_made_once(spark: SparkSession) -> None:
    """Every label is found at its place, whatever its characters; the plan parses nothing."""
    labels = [f"{n}\u00e9\"'\\\n\U0001f600" for n in range(3000)]
    rows = frame(spark, "s string", *[(one,) for one in (*labels, "none", None)])
    placed = rows.select(place_of(fn.col("s"), labels).alias("p"))
    assert [one["p"] for one in placed.collect()] == [*range(3000), None, None]
    plan = placed._jdf.queryExecution().optimizedPlan().toString()
    assert "json" not in plan.lower()


@pytest.mark.shows("8.1")
def test_stored_models(spark: SparkSession, tmp_path: Path) -> None:
    """The hash of public flow 26's nodes, which counts; the labels of a model Spark wrote."""
    rows = frame(spark, "grade string", ("b",), ("b",), ("a",))
    model = StringIndexer(inputCol="grade", outputCol="temp_col").fit(rows)
    parameters = {
        "operator": "One-hot encode",
        "one_hot_encode_parameters": {
            "input_column": ["grade"],
            "invalid_handling_strategy": "Keep",
            "drop_last": False,
            "output_style": "Columns",
        },
        "ordinal_encode_parameters": {"invalid_handling_strategy": "Replace with NaN"},
    }
    block = {
        "_hash": "4623886b68927a4dcb437c2769f9d5234824476a",
        "string_indexer_model": packed(model, tmp_path),
    }
    step = step_of("encode_categorical", **parameters)
    assert step == OneHot(columns=("grade",))
    other = frame(spark, "grade string", ("z",), ("a",))
    run = run_of(step, other, parameters=parameters, trained={"one_hot_encode_parameters": [block]})
    assert table(run.frame(Input("step"))) == (
        ["grade_b double", "grade_a double"],
        [(0.0, 0.0), (0.0, 1.0)],
    )
    for broken in (
        {**block, "_hash": -1767228197713558300},
        {**block, "string_indexer_model": "x"},
    ):
        said: list[str] = []
        run = run_of(
            step, other, parameters=parameters, trained={"one_hot_encode_parameters": broken}
        )
        run.warn = said.append
        assert run.frame(Input("step")).columns == ["grade_a", "grade_z"]
        assert said[0].endswith("it is fitted anew")


@pytest.mark.shows("8.1")
def test_errors_and_nothing_at_all(spark: SparkSession) -> None:
    """An unknown column is named; no labels are no error, unless the last is dropped."""
    rows = frame(spark, "s string, `a.b` string", (None, "x"))
    with pytest.raises(UsageError, match=r"one_hot: no column 'z'"):
        applied(OneHot(columns=("z",)), rows)
    with pytest.raises(ValueError, match="it is 'skip', 'error' or 'keep'"):
        OneHot(columns=("s",), invalid=Invalid.NAN)
    assert table(applied(OneHot(columns=("s", "a.b")), rows)) == (["a.b_x double"], [(1.0,)])
    vector = applied(OneHot(columns=("s",), style="vector", output="v"), rows)
    assert [str(one["v"]) for one in vector.collect()] == ["(1,[0],[1.0])"]
    assert math.isnan(applied(Ordinal(columns=("s",)), rows).collect()[0]["s"])
    with pytest.raises(UsageError, match="s has no two categories, and the last is dropped"):
        applied(OneHot(columns=("s",), style="vector", drop_last=True), rows)
    assert applied(OneHot(columns=("s",)), rows.limit(0)).collect() == []
    assert json.loads(json.dumps(OneHot(columns=("a.b",)).fit(rows)))["labels"] == {"a.b": ["x"]}
