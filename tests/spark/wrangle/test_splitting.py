"""Splits and samples (facts: wrangler, 1.2 and 4, 'Split')."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.sampling import Method, Sample, shared_out
from penstock.wrangle.operators.splitting import By, Split
from penstock.wrangle.operators.splitting_in_order import SplitInOrder
from penstock.wrangle.running import Run
from tests.wrangling import applied, frame, run_of, step_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_THREE = {"train": 0.7, "check": 0.2, "test": 0.1}
_ROWS = 2000


def _rows(spark: SparkSession) -> DataFrame:
    """2,000 rows, each there once, but for 100 that are equal in all columns."""
    number = fn.when(fn.col("id") < 100, 0).otherwise(fn.col("id"))
    return spark.range(_ROWS).select(
        number.alias("n"),
        fn.concat(fn.lit("it's "), number % 3).alias("kind"),
        fn.when(number % 10 != 0, number % 50).cast("double").alias("a.b"),
    )


def _parts(step: Split | SplitInOrder, rows: DataFrame, again: DataFrame) -> list[Counter[Any]]:
    """Each part, fitted on the rows once and then computed over them lying otherwise."""
    first = run_of(step, rows)
    first.frame(Input("step", step.outputs[0]))
    state = first.states["step"]["state"]
    parts = []
    for n, output in enumerate(step.outputs):
        given = again.repartition(n + 2)
        (call,) = step.calls_of(output, state)  # type: ignore[arg-type]  # what run_of put there
        parts.append(Counter(call.function(given, **call.arguments).collect()))
    return parts


@pytest.mark.shows("8.1")
@pytest.mark.parametrize(
    ("step", "off"),
    [
        (Split(parts=_THREE, error=0), 100),
        (Split(parts=_THREE, by=By.STRATUM, columns=("kind",), seed=5), 100),
        (Split(parts=_THREE, by=By.KEY, columns=("kind", "n")), 150),
        (SplitInOrder(parts=_THREE, column="n"), 100),
        (SplitInOrder(parts=_THREE, column="a.b", split_ties=True), 100),
    ],
    ids=["row", "stratum", "key", "order", "ties"],
)
def test_parts_share_no_row_and_leave_none_out(
    spark: SparkSession, step: Split | SplitInOrder, off: int
) -> None:
    """Own rule: whatever the partitions, parts are disjoint and complete; shares as asked for.

    100 rows are equal, so a part may be off by these.
    """
    rows = _rows(spark)
    parts = _parts(step, rows, rows.orderBy(fn.col("n").desc()))
    assert sum(parts, Counter()) == Counter(rows.collect())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not parts[one].keys() & parts[other].keys()
    for part, share in zip(parts, _THREE.values(), strict=True):
        assert abs(part.total() - share * _ROWS) <= off


@pytest.mark.shows("8.1")
def test_strata_and_keys(spark: SparkSession) -> None:
    """Source: facts 4 (a null stratum is lost there: here it is not); own rule for new strata."""
    rows = frame(spark, "id int, kind string", *[(n, "ab'"[n % 3]) for n in range(300)])
    rows = rows.withColumn("kind", fn.nullif("kind", fn.lit("b")))
    step = Split(parts={"a": 0.8, "b": 0.2}, by=By.STRATUM, columns=("kind",))
    found = applied(step, rows, output="a").groupBy("kind").count().collect()
    assert {one[0]: one[1] for one in found} == {"a": 80, None: 80, "'": 80}
    assert step.fit(rows)["others"] == [0.8]
    key = Split(parts={"a": 0.5, "b": 0.5}, by=By.KEY, columns=("kind",))
    both = [{one.kind for one in applied(key, rows, output=out).collect()} for out in "ab"]
    assert not both[0] & both[1]
    assert both[0] | both[1] == {"a", "'", None}


@pytest.mark.shows("8.1")
def test_order(spark: SparkSession) -> None:
    """Source: AWS's guide, 'Ordered split': the first 80 % are in the first part.

    Own rules: null is first, NaN last; rows of one value stay together unless they are to be split.
    """
    days = [(date(2020, 1, n), float(n)) for n in range(1, 9)]
    rows = frame(spark, "day date, x double", *days, (None, 0.5), (date(2021, 1, 1), float("nan")))
    step = SplitInOrder(parts={"old": 0.3, "new": 0.7}, column="day")
    assert [one.x for one in applied(step, rows, output="old").collect()] == [1.0, 2.0, 0.5]
    step = SplitInOrder(parts={"low": 0.9, "high": 0.1}, column="x")
    assert [one.day for one in applied(step, rows, output="high").collect()] == [date(2021, 1, 1)]
    step = SplitInOrder(parts={"head": 0.4, "tail": 0.6})
    assert [one.x for one in applied(step, rows, output="head").collect()] == [1.0, 2.0, 3.0, 4.0]
    assert applied(step, rows, output="tail").count() == 6
    same = frame(spark, "x int, y int", *[(1, n) for n in range(10)])
    halves = {"a": 0.5, "b": 0.5}
    assert applied(SplitInOrder(parts=halves, column="x"), same, output="a").count() == 10
    ties = SplitInOrder(parts=halves, column="x", split_ties=True)
    assert [applied(ties, same, output=out).count() for out in "ab"] == [5, 5]


@pytest.mark.shows("8.1")
def test_splits_that_are_refused(spark: SparkSession) -> None:
    """Shares that are no whole, columns that are not there or have no order."""
    for settings in ({"parts": {"a": 1.0}}, {"parts": {"a": 0.5, "b": 0.4}}, {"by": "key"}):
        with pytest.raises(ValidationError):
            Split.model_validate({"parts": {"a": 0.5, "b": 0.5}, **settings})
    rows = frame(spark, "id int, kind string")
    halves = {"a": 0.5, "b": 0.5}
    with pytest.raises(UsageError, match="no column 'x'"):
        applied(Split(parts=halves, by=By.STRATUM, columns=("x",)), rows, output="a")
    with pytest.raises(UsageError, match="'kind' is string"):
        applied(SplitInOrder(parts=halves, column="kind"), rows, output="a")
    assert applied(Split(parts=halves), rows, output="b").count() == 0
    assert applied(SplitInOrder(parts=halves, column="id"), rows, output="b").count() == 0


@pytest.mark.shows("8.1")
def test_splits_as_flows_say_them(spark: SparkSession) -> None:
    """Source: facts 3.4 for the randomized split, 1.2 for the others; identity nodes: 3.2.

    Later nodes may read a split's first part as its default (facts 3.2).
    """
    splits = [{"name": "Train", "percentage": 0.8}, {"name": "Test", "percentage": "0.2"}]
    parts = {"Train": 0.8, "Test": 0.2}
    block = {"splits": splits, "error": 0.0001}
    step = step_of("split", operator="Randomized split", randomized_split_parameters=block)
    assert step == Split(parts=parts, error=0.0001)
    assert step.outputs == ("Train", "Test")
    block = {"splits": splits, "input_column": "y", "seed": 7, "error": 3}
    assert step_of(
        "split", operator="Stratified split", stratified_split_parameters=block
    ) == Split(parts=parts, by=By.STRATUM, columns=("y",), seed=7, error=1)
    block = {"splits": splits, "key_columns": ["a", "b"]}
    assert step_of("split", operator="Split by key", split_by_key_parameters=block) == Split(
        parts=parts, by=By.KEY, columns=("a", "b")
    )
    block = {"splits": splits, "input_column": "t", "handle_duplicates": True}
    ordered = step_of("split", operator="Ordered split", ordered_split_parameters=block)
    assert ordered == SplitInOrder(parts=parts, column="t", split_ties=True)
    twice = {"splits": [splits[0], {"name": "Train", "percentage": 0.2}]}
    with pytest.raises(UsageError, match="two parts of one name"):
        step_of("split", operator="Ordered split", ordered_split_parameters=twice)
    nodes = [
        _written("in", "s3_source", {"dataset_definition": {"s3ExecutionContext": {}}}),
        _written("cut", "split", {"operator": "Randomized split", **_BLOCK}, "in"),
        _written("named", "identity", {"name": "test"}, "cut", "Test"),
        _written("first", "identity", {}, "cut"),
    ]
    document = {"metadata": {"version": 1}, "nodes": nodes}
    run = Run(data_wrangler.of(document, "test"), lambda _: spark.range(100).toDF("n"))
    named, first = run.frame(Input("named")).count(), run.frame(Input("first")).count()
    assert (named, first) == (20, 80)
    nodes.append(_written("none", "identity", {}, "cut", "Check"))
    with pytest.raises(UsageError, match=r"reads 'Check' of cut\. That has: Train, Test"):
        data_wrangler.of(document, "test")


_BLOCK = {
    "randomized_split_parameters": {
        "splits": [{"name": "Train", "percentage": 0.8}, {"name": "Test", "percentage": 0.2}]
    }
}


def _written(name: str, operator: str, parameters: dict[str, Any], *read: str) -> dict[str, Any]:
    node, output, *_ = (*read, "default", "")
    inputs = [{"node_id": node, "output_name": output}] if read else []
    return {
        "node_id": name,
        "type": "SOURCE" if operator == "s3_source" else "TRANSFORM",
        "operator": f"sagemaker.spark.{operator}_0.1",
        "parameters": parameters,
        "inputs": inputs,
    }


@pytest.mark.shows("8.1")
def test_samples(spark: SparkSession) -> None:
    """Source: facts 1.2 for the methods; own rules: exact sizes, the same over any partitions."""
    rows = _rows(spark)
    step = Sample(size=50, seed=3)
    found = Counter(applied(step, rows).collect())
    assert found.total() == 50
    assert Counter(applied(step, rows.repartition(3)).collect()) == found
    assert Counter(applied(Sample(size=50, seed=4), rows).collect()) != found
    first = applied(
        Sample(size=3, method=Method.FIRST), frame(spark, "a int", (3,), (1,), (2,), (0,))
    )
    assert [one.a for one in first.collect()] == [3, 1, 2]
    few = frame(spark, "k string, n int", *[("ab"[n % 5 == 0], n) for n in range(50)], (None, 0))
    step = Sample(size=11, method=Method.STRATIFIED, column="k")
    counts = applied(step, few).groupBy("k").count().collect()
    assert {one[0]: one[1] for one in counts} == {"a": 9, "b": 2}
    assert shared_out(11, {"a": 40, "b": 10, None: 1}) == {None: 0, "a": 9, "b": 2}
    assert shared_out(9, {"b": 1, "a": 1, None: 1}) == {None: 1, "a": 1, "b": 1}
    assert shared_out(2, {"b": 1, "a": 1, None: 1}) == {None: 1, "a": 1, "b": 0}
    assert shared_out(5, {}) == {}


@pytest.mark.shows("8.1")
def test_samples_as_flows_say_them() -> None:
    """Source: names of facts 1.2."""
    assert step_of("sampling", sampling_method="Limit", sample_size=10) == Sample(
        size=10, method=Method.FIRST
    )
    block = {"sample_size": "5", "seed": 1, "stratify_column": "y"}
    assert step_of("sampling", sampling_method="Stratified", stratified_parameters=block) == (
        Sample(size=5, method=Method.STRATIFIED, column="y", seed=1)
    )
    with pytest.raises(UsageError, match="sample"):
        step_of("sampling", sampling_method="Random")
