"""Great Expectations on Spark: verdicts, errors that are not passes, silence, no values shown."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from penstock.contract import Expectation
from penstock.errors import ContractError, DataGateError, MismatchError, UsageError
from penstock.expectation import SET_TYPES
from penstock.quality import Finding, Verdict, check, decide, validate

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

CANARY = "canary-7f3a"
NUMBER = 735173517351


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    """Ten rows: id 0 to 9, a with two nulls, b and c equal and mostly 1."""
    a = "CASE WHEN id % 5 = 0 THEN NULL ELSE id END AS a"
    return spark.range(10).selectExpr("id", a, "least(id, 1) AS b", "least(id, 1) AS c")


@pytest.fixture
def canaries(spark: SparkSession) -> DataFrame:
    """A canary in every column."""
    rows = [(CANARY, NUMBER, float(NUMBER)), ("b", 2, 2.0)]
    return spark.createDataFrame(rows, "s string, a bigint, x double")


SETS: list[tuple[str, str | None, dict[str, Any], dict[str, Any]]] = [
    # type, column, arguments that are met, arguments that are not
    ("column_values_to_be_unique", "id", {}, {"column": "b"}),
    ("column_distinct_values_to_be_in_set", "id", {"value_set": [*range(20)]}, {"value_set": [1]}),
    ("column_distinct_values_to_contain_set", "id", {"value_set": [1, 2]}, {"value_set": [11]}),
    ("column_distinct_values_to_equal_set", "id", {"value_set": [*range(10)]}, {"value_set": [1]}),
    (
        "column_most_common_value_to_be_in_set",
        "b",
        {"value_set": [1], "ties_okay": True},
        {"value_set": [7]},
    ),
    ("column_max_to_be_between", "id", {"max_value": 9}, {"max_value": 9, "strict_max": True}),
    ("column_mean_to_be_between", "id", {"min_value": 4.5}, {"min_value": 4.6}),
    ("column_median_to_be_between", "id", {"min_value": 4, "max_value": 5}, {"min_value": 6}),
    ("column_min_to_be_between", "id", {"min_value": 0}, {"min_value": 1}),
    ("column_stdev_to_be_between", "id", {"max_value": 4}, {"max_value": 1}),
    ("column_sum_to_be_between", "id", {"min_value": 45, "max_value": 45}, {"max_value": 44}),
    ("column_unique_value_count_to_be_between", "id", {"min_value": 10}, {"min_value": 11}),
    (
        "column_proportion_of_unique_values_to_be_between",
        "id",
        {"min_value": 1},
        {"max_value": 0.5},
    ),
    (
        "column_proportion_of_non_null_values_to_be_between",
        "a",
        {"max_value": 0.8},
        {"min_value": 0.9},
    ),
    (
        "column_quantile_values_to_be_between",
        "id",
        {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[4, 5]]}},
        {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[6, 7]]}},
    ),
    (
        "compound_columns_to_be_unique",
        None,
        {"column_list": ["id", "a"]},
        {"column_list": ["b", "c"]},
    ),
    ("table_row_count_to_be_between", None, {"min_value": 10}, {"min_value": 11}),
    ("table_row_count_to_equal", None, {"value": 10}, {"value": 9}),
    ("table_column_count_to_be_between", None, {"max_value": 4}, {"max_value": 3}),
    ("table_column_count_to_equal", None, {"value": 4}, {"value": 3}),
    ("table_columns_to_match_set", None, {"column_set": ["id", *"abc"]}, {"column_set": ["a"]}),
    (
        "table_columns_to_match_ordered_list",
        None,
        {"column_list": ["id", *"abc"]},
        {"column_list": ["a"]},
    ),
]


def test_every_set_type_can_pass_and_can_fail(frame: DataFrame) -> None:
    """All of the allow-list runs on Spark, and the verdicts come back in the order asked."""
    asked, expected = [], []
    for kind, column, met, unmet in SETS:
        asked.append(Expectation(f"expect_{kind}", column, met, "fail"))
        other = dict(unmet)
        asked.append(Expectation(f"expect_{kind}", other.pop("column", column), other, "warn"))
        expected += [True, False]
    assert {one.type for one in asked} == SET_TYPES
    verdict = validate(frame, asked, "group")
    assert [one.success for one in verdict.findings] == expected
    assert [(one.type, one.on_fail) for one in verdict.findings] == [
        (one.type, one.on_fail) for one in asked
    ]
    assert len(decide(verdict)) == len(SETS)


def test_one_expectation_may_stand_twice(frame: DataFrame) -> None:
    """The same expectation to fail at 5 and to warn at 20 gives two findings, not one."""
    kind, given = "expect_table_row_count_to_equal", {"value": 9}
    asked = [Expectation(kind, None, given, "fail"), Expectation(kind, None, given, "warn")] * 2
    assert validate(frame, asked, "group").findings == tuple(
        Finding(kind, None, one.on_fail, success=False) for one in asked
    )


@pytest.mark.parametrize(
    ("kind", "column", "given", "on_fail"),
    [
        ("expect_column_mean_to_be_between", "absent", {"min_value": 1}, "warn"),
        ("expect_column_values_to_match_regex", "s", {"regex": "("}, "warn"),
    ],
)
def test_what_gx_cannot_judge_never_passes(
    canaries: DataFrame, tmp_path: Path, kind: str, column: str, given: dict[str, Any], on_fail: Any
) -> None:
    """F55: a broken expectation ends with 70 and its name, and without a value."""
    sound = Expectation("expect_table_row_count_to_equal", None, {"value": 2}, "fail")
    with pytest.raises(MismatchError) as caught:
        validate(canaries, [sound, Expectation(kind, column, given, on_fail)], "group", tmp_path)
    assert kind in str(caught.value)
    assert column in str(caught.value)
    assert caught.value.exit_code == 70
    assert CANARY not in str(caught.value)
    assert not list(tmp_path.rglob("*.html"))


def _settings(spark: SparkSession) -> dict[str, str]:
    return {row["key"]: row["value"] for row in spark.sql("SET").collect()}


def test_a_frame_that_breaks_never_passes(spark: SparkSession) -> None:
    """F55: where the data itself cannot be read there is no verdict."""
    broken = spark.range(3).selectExpr("raise_error('x') AS a")
    asked = [Expectation("expect_column_values_to_not_be_null", "a", {}, "fail")]
    with pytest.raises(MismatchError):
        validate(broken, asked, "group")


def test_no_value_is_shown(canaries: DataFrame, tmp_path: Path, capsys: Any, caplog: Any) -> None:
    """F84: failing expectations on canaries leave none in findings, pages, terminal and logs."""
    asked = [
        Expectation("expect_column_values_to_be_between", "a", {"max_value": 1}, "fail"),
        Expectation("expect_column_values_to_match_regex", "s", {"regex": "^z"}, "fail"),
        Expectation("expect_column_values_to_not_be_null", "x", {}, "warn"),
        Expectation(
            "expect_column_distinct_values_to_be_in_set", "s", {"value_set": ["q"]}, "warn"
        ),
        Expectation("expect_column_max_to_be_between", "x", {"max_value": 1}, "warn"),
        Expectation("expect_column_sum_to_be_between", "a", {"max_value": 1}, "warn"),
        Expectation(
            "expect_column_most_common_value_to_be_in_set", "s", {"value_set": ["q"]}, "warn"
        ),
    ]
    caplog.set_level(logging.DEBUG, "great_expectations")
    verdict = validate(canaries, asked, "group", tmp_path)
    with pytest.raises(DataGateError) as caught:
        decide(verdict)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "")
    pages = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert verdict.docs in pages
    assert any("validations" in path.parts for path in pages)
    texts = [str(verdict), str(caught.value), caplog.text]
    texts += [path.read_text(errors="ignore") for path in pages]
    for canary in (CANARY, str(NUMBER), f"{NUMBER:,}", "7.3517"):
        assert not [text for text in texts if canary in text], canary


def test_the_session_is_left_as_it_was(spark: SparkSession, frame: DataFrame) -> None:
    """GX changes no setting, caches nothing, and leaves loggers and filters alone."""
    logger = logging.getLogger("great_expectations")
    before = (_settings(spark), _cached(spark), logger.propagate, [*warnings.filters])
    validate(frame, [Expectation("expect_column_values_to_be_unique", "id", {}, "fail")], "group")
    after = (_settings(spark), _cached(spark), logger.propagate, [*warnings.filters])
    assert after == before
    assert spark.getActiveSession() is not None


def _cached(spark: SparkSession) -> int:
    context: Any = spark.sparkContext
    return int(context._jsc.getPersistentRDDs().size())


def test_arguments_are_refused_before_any_data() -> None:
    """`check` needs no frame: bad arguments, a gate's on_fail and SQL are contract errors."""
    kind = "expect_column_values_to_be_between"
    with pytest.raises(ContractError, match="min_value"):
        check([Expectation(kind, "a", {"min_value": "x"}, "fail")])
    with pytest.raises(ContractError, match="belongs to a gate"):
        check([Expectation(kind, "a", {"min_value": 1}, "quarantine")])
    with pytest.raises(ContractError, match="SQL"):
        check([Expectation("expect_query_results_to_match_comparison", None, {}, "fail")])
    check([Expectation(kind, "a", {"min_value": 1}, "fail")])


@pytest.mark.parametrize("on_fail", ["fail", "warn"])
def test_decide(on_fail: Any) -> None:
    """Failed `fail` expectations stop with 65 in one line, failed `warn` ones are handed back."""
    good = Finding("expect_table_row_count_to_equal", None, "fail", success=True)
    bad = Finding("expect_column_values_to_be_unique", "a", on_fail, success=False)
    verdict = Verdict("group", (good, bad, bad))
    if on_fail == "warn":
        assert decide(verdict) == (bad, bad)
        return
    with pytest.raises(DataGateError) as caught:
        decide(verdict)
    assert caught.value.exit_code == 65
    assert str(caught.value).count("expect_column_values_to_be_unique on a") == 2
    assert "\n" not in str(caught.value)
    assert "row_count" not in str(caught.value)


WITHOUT = """
import sys, json
sys.modules["great_expectations"] = None
from penstock.contract import Expectation
from penstock.errors import UsageError
from penstock.quality import check, validate
rule = Expectation("expect_column_values_to_not_be_null", "a", {}, "quarantine")
none = validate(None, [], "group")
check([])
try:
    check([Expectation("expect_column_values_to_not_be_null", "a", {}, "fail")])
except UsageError as error:
    print(json.dumps([str(error), error.exit_code, len(none.findings), "pyspark" in sys.modules]))
"""


def test_without_great_expectations() -> None:
    """Groups without staged expectations need no extra; the others say which, with exit code 2."""
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    message, code, findings, spark_there = json.loads(answer.stdout)
    assert "penstock[quality]" in message
    assert (code, findings, spark_there) == (2, 0, False)
    assert issubclass(ContractError, UsageError)


def test_gx_is_imported_in_silence() -> None:
    """First use in a fresh process, warnings on: nothing on the terminal, analytics off."""
    script = (
        "import os; from penstock.contract import Expectation; from penstock.quality import check;"
        "check([Expectation('expect_column_values_to_be_unique', 'a', {}, 'fail')]);"
        "print(os.environ['GX_ANALYTICS_ENABLED'])"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "always", "-c", script], capture_output=True, text=True, check=True
    )
    assert (answer.stdout, answer.stderr) == ("false\n", "")
