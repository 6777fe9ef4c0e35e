"""Types of text columns: Data Wrangler's rules, and our own that loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from penstock.errors import UsageError
from penstock.wrangle.flow import Input
from penstock.wrangle.operators.inference import InferTypes, Rules, guess
from tests.wrangling import applied, frame, run_of, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.1")
def test_data_wranglers_guesses() -> None:
    """Source: facts: wrangler, 4, 'Type inference', sentence by sentence."""
    new, old, first = Rules.NEW, Rules.OLD, Rules.FIRST
    cases: tuple[tuple[list[Any], Rules, str], ...] = (
        (["1", "2", "3"], new, "long"),
        (["1.0", "2.0"], new, "long"),  # public flow 20: mth_remain is written so, and is long
        (["1", "2", "3", "4.5"], new, "float"),  # 75 % are whole: not more than 80 %
        (["1", "2", "3", "4", "5", "6.5"], new, "long"),
        (["1", "2", "3", "4", "x"], new, "string"),  # 80 % are numbers: not more
        (["1_000"] * 9, new, "string"),
        (["1_000"] * 9, old, "long"),
        (["inf"] * 9, new, "string"),
        (["1"] * 3 + [None] * 7, new, "long"),  # 30 % are usable
        (["1"] * 3 + [None] * 7, old, "string"),  # of all rows
        (["1"] * 2 + [None] * 7, new, "string"),
        (["Nancy"] * 7 + ["1"] * 3, new, "long"),  # a name that begins with na counts as null
        (["True", "false", "TRUE"], new, "bool"),
        (["2020-01-02"] * 5, new, "date"),
        (["2020-01-02"] * 5, old, "date"),
        (["2020-01-02"] * 5 + ["2020-01-02T03:04:05"], new, "datetime"),
        (["2020-01-02T03:04:05.000000"] * 5, first, "string"),  # public flow 14 of 2021
        (["January 2nd, 2020", "Feb 3 2021 4pm"], new, "datetime"),
        ([None, None], new, "string"),
        ([], new, "string"),
    )
    for values, rules, wanted in cases:
        assert guess(values, rules) == wanted, (values, rules)


@pytest.mark.shows("8.1")
def test_stored_types_and_what_they_lose(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: a decimal in a long column is cut, junk becomes null."""
    rows = frame(
        spark,
        "n string, `a.b` string, d string, t string, b string",
        ("8913.66", "x", "2020-01-02", "2020-01-02T03:04:05", "true"),
        ("junk", None, "02/03/2020", "2020-01-02 03:04", "no way"),
        ("NA", "1.5", None, "x", None),
    )
    schema = {"n": "long", "a.b": "float", "d": "date", "t": "datetime", "b": "bool"}
    run = run_of(step_of("infer_and_cast_type"), rows, trained={"schema": schema})
    columns, values = table(run.frame(Input("step")))
    assert columns == ["n bigint", "a.b double", "d date", "t timestamp", "b boolean"]
    assert [[str(one) for one in row] for row in values] == [
        ["8913", "None", "2020-01-02", "2020-01-02 03:04:05", "True"],
        ["None", "None", "None", "2020-01-02 03:04:00", "None"],
        ["None", "1.5", "None", "None", "None"],
    ]
    step = InferTypes()
    lost = step.losses(rows, {"schema": schema, "patterns": {}})
    counted = rows.select(*[one.cast("int").alias(name) for name, one in lost.items()])
    sums = {name: sum(row[name] for row in counted.collect()) for name in counted.columns}
    assert {name: n for name, n in sums.items() if n} == {
        "values of n do not read as long and become null": 1,
        "values of n lose what is after the point": 1,
        "values of a.b do not read as float and become null": 1,
        "values of d do not read as date and become null": 1,
        "values of t do not read as datetime and become null": 1,
        "values of b do not read as bool and become null": 1,
    }


@pytest.mark.shows("8.1")
def test_stored_types_of_other_columns(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: the column set must be equal. One line says what differs."""
    rows = frame(spark, "a string, c string", ("1", "2"))
    run = run_of(
        step_of("infer_and_cast_type"), rows, trained={"schema": {"a": "long", "b": "long"}}
    )
    with pytest.raises(UsageError, match="no column 'b'; 'c' is new"):
        run.frame(Input("step"))


@pytest.mark.shows("8.1")
def test_our_rule_loses_nothing(spark: SparkSession) -> None:
    """Source: own rule ``exact``: a type that every value has; 007 and 1.5 among wholes stay."""
    rows = frame(
        spark,
        "zip string, n string, f string, d string, t string, b string, none string, m int",
        ("007", "1", "1.5", "2020-01-02", "2020-01-02", "true", None, 1),
        ("12", "-20", "2", "2021-01-02", "2020-01-02T03:04:05Z", "False", None, 2),
        (None, "", None, None, None, None, None, None),
    )
    columns, values = table(applied(InferTypes(), rows))
    kinds = ["string", "bigint", "double", "date", "timestamp", "boolean", "string", "int"]
    assert [one.split()[1] for one in columns] == kinds
    assert values[0][:3] == ("007", 1, 1.5)
    assert values[2] == (None,) * 8
    assert table(applied(InferTypes(), rows.where("m > 9")))[0][1] == "n string"


@pytest.mark.shows("8.1")
def test_how_dates_are_written(spark: SparkSession) -> None:
    """Source: own rule: the pattern that reads most values, so that 13/02 says what 01/02 means."""
    rows = frame(spark, "d string", ("01/02/2020",), ("13/02/2020",), ("01/03/2020",))
    found = applied(InferTypes(rules=Rules.NEW, types={"d": "date"}), rows)
    assert [str(one[0]) for one in found.collect()] == ["2020-02-01", "2020-02-13", "2020-03-01"]
