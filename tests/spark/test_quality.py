"""Great Expectations on Spark: verdicts, failures that are not passes, silence, and no values shown."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from penstock.contract import Expectation
from penstock.errors import ContractError, DataGateError, MismatchError, UsageError
from penstock.expectation import ROW_TYPES, SET_TYPES, STAGED_TYPES, compile_row, keywords
from penstock.quality import Finding, Verdict, check, decide, validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

CANARY = "canary-7f3a"
NUMBER = 735173517351
TEXT, LONG, DOUBLE = pa.string(), pa.int64(), pa.float64()
#: Nulls on either side, extremes, Unicode, line ends: what engines like to disagree about.
TABLE = pa.table(
    {
        "id": pa.array(range(10), LONG),
        "a": pa.array([1, None, 3, None, -(2**63), 2**63 - 1, 0, 2**53 + 1, 2, 1], LONG),
        "b": pa.array([1, 1, None, None, 2**63 - 1, 2**63 - 1, 0, 2**53, -2, 2], LONG),
        "x": pa.array([0.5, None, 1.5, None, -1.7e308, 1.7e308, -0.0, 5e-324, 2.0, 1.0], DOUBLE),
        "y": pa.array([0.5, 1.0, None, None, 1.7e308, 1.7e308, 0.0, 0.0, -2.0, 2.0], DOUBLE),
        "s": pa.array(["ab", None, "é😀", None, "", "a\n", "\u0661", "A b", "\x0b", "😀"], TEXT),
        "t": pa.array(["ab", "x", None, None, "a", "a\n", "1", "B", "\t", "\uffff"], TEXT),
        "j": pa.array(
            ['{"a":1}', None, "[1]", "null", '"é"', "1", "{}", "0", "true", "[[]]"], TEXT
        ),
        "d": pa.array(["2024-02-29", None, "2023-02-29", "", "2024-1-1", *["x"] * 5], TEXT),
    }
)
PAIRS: dict[str, dict[str, str]] = {
    "long": {"column_A": "a", "column_B": "b"},
    "text": {"column_A": "s", "column_B": "t"},
    "double": {"column_A": "x", "column_B": "y"},
}


def _cases() -> list[Expectation]:
    """Every row type GX has on Spark, with all that decides about nulls and ends."""
    cases: list[tuple[str, str | None, dict[str, Any]]] = []
    for column in TABLE.column_names:
        cases += [("column_values_to_not_be_null", column, {})]
        cases += [("column_values_to_be_null", column, {})]
    for strict in (True, False):
        ends = {"strict_min": strict, "strict_max": strict}
        for limits in ({"min_value": 1, "max_value": 2}, {"min_value": 1}, {"max_value": 0.5}):
            cases += [("column_values_to_be_between", one, {**limits, **ends}) for one in "abxy"]
        cases += [("column_value_lengths_to_be_between", "s", {"min_value": 1, **ends})]
        cases += [("column_value_lengths_to_be_between", "t", {"max_value": 2, **ends})]
    cases += [("column_value_lengths_to_equal", "s", {"value": size}) for size in (0, 1, 2)]
    for kind in ("column_values_to_be_in_set", "column_values_to_not_be_in_set"):
        cases += [
            (kind, "a", {"value_set": [1, 2**63 - 1]}),
            (kind, "x", {"value_set": [0.0, 2.0]}),
        ]
        cases += [(kind, "s", {"value_set": ["", "é😀", "\x0b"]})]
    for regex in (
        r"^\d$",
        r"^\s$",
        r"^[\s]$",
        "^a$",
        "^..$",
        "é",
        r"\S",
        "[^a]b?$",
        r"\p{Lu}",
        "(?s).",
    ):
        cases += [("column_values_to_match_regex", one, {"regex": regex}) for one in "st"]
        cases += [("column_values_to_not_match_regex", "s", {"regex": regex})]
    for match_on in ("any", "all"):
        listed = {"regex_list": ["a", "b$"], "match_on": match_on}
        cases += [("column_values_to_match_regex_list", "s", listed)]
    cases += [("column_values_to_not_match_regex_list", "s", {"regex_list": ["^a", "é"]})]
    cases += [("column_values_to_be_json_parseable", one, {}) for one in "jst"]
    cases += [("column_values_to_match_json_schema", "j", {"json_schema": {"type": "object"}})]
    cases += [("column_values_to_match_strftime_format", "d", {"strftime_format": "%Y-%m-%d"})]
    for ignored in ("both_values_are_missing", "either_value_is_missing", "neither"):
        for pair in PAIRS.values():
            more = {**pair, "ignore_row_if": ignored}
            cases += [("column_pair_values_to_be_equal", None, more)]
            for or_equal in (True, False):
                given = {**more, "or_equal": or_equal}
                cases += [("column_pair_values_a_to_be_greater_than_b", None, given)]
        more = {**PAIRS["long"], "ignore_row_if": ignored}
        pairs = {"value_pairs_set": [[1, 1], [None, 1], [3, None]]}
        cases += [("column_pair_values_to_be_in_set", None, {**more, **pairs})]
    for ignored in ("all_values_are_missing", "any_value_is_missing", "never"):
        for columns in (["a", "b"], ["s", "t"], ["x", "y"], ["a", "b", "id"]):
            given = {"column_list": columns, "ignore_row_if": ignored}
            cases += [("multicolumn_values_to_be_equal", None, given)]
            cases += [("select_column_values_to_be_unique_within_record", None, given)]
            if columns[0] != "s":
                cases += [("multicolumn_sum_to_equal", None, {**given, "sum_total": 1})]
    return [Expectation(f"expect_{kind}", column, given, "warn") for kind, column, given in cases]


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    """TABLE as Spark sees it."""
    names = {TEXT: "string", LONG: "bigint", DOUBLE: "double"}
    schema = ", ".join(f"{one.name} {names[one.type]}" for one in TABLE.schema)
    rows = [tuple(row.values()) for row in TABLE.to_pylist()]
    return spark.createDataFrame(rows, schema).coalesce(1).cache()


@pytest.fixture
def canaries(spark: SparkSession) -> DataFrame:
    """A canary in every column."""
    rows = [(CANARY, NUMBER, float(NUMBER)), ("b", 2, 2.0)]
    return spark.createDataFrame(rows, "s string, a bigint, x double")


def test_rules_and_gx_on_spark_name_the_same_rows(frame: DataFrame) -> None:
    """An expectation means the same in the gate as over the staged set, nulls and extremes included."""
    cases = _cases()
    assert {one.type for one in cases} == ROW_TYPES & STAGED_TYPES
    batch = TABLE.combine_chunks().to_batches()[0]
    found = _unexpected(frame, cases)
    for index, case in enumerate(cases):
        failed = compile_row(case, TABLE.schema)(batch).to_pylist()
        assert [row for row, one in enumerate(failed) if one] == found[index], case


def _unexpected(frame: DataFrame, cases: list[Expectation]) -> dict[int, list[int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.expectations.expectation_configuration import (
            ExpectationConfiguration,
        )

        context: Any = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_spark("s", persist=False).add_dataframe_asset("s")
        read = asset.add_batch_definition_whole_dataframe("s").get_batch({"dataframe": frame})
        asked = [
            ExpectationConfiguration(type=one.type, kwargs=keywords(one), meta={"at": at})
            for at, one in enumerate(cases)
        ]
        form = {"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]}
        suite = gx.ExpectationSuite(name="s", expectations=asked)
        results = read.validate(suite, result_format=form).results
    return {
        one.expectation_config.meta["at"]: sorted(
            row["id"] for row in one.result["unexpected_index_list"] or ()
        )
        for one in results
    }


SETS: list[tuple[str, str | None, dict[str, Any], dict[str, Any]]] = [
    # type, column, arguments that are met, arguments that are not
    ("column_values_to_be_unique", "id", {}, {"column": "b"}),
    ("column_distinct_values_to_be_in_set", "id", {"value_set": [*range(20)]}, {"value_set": [1]}),
    ("column_distinct_values_to_contain_set", "id", {"value_set": [1, 2]}, {"value_set": [11]}),
    ("column_distinct_values_to_equal_set", "id", {"value_set": [*range(10)]}, {"value_set": [1]}),
    ("column_most_common_value_to_be_in_set", "b", {"value_set": [1], "ties_okay": True}, {"value_set": [7]}),
    ("column_max_to_be_between", "id", {"max_value": 9}, {"max_value": 9, "strict_max": True}),
    ("column_mean_to_be_between", "id", {"min_value": 4.5}, {"min_value": 4.6}),
    ("column_median_to_be_between", "id", {"min_value": 4, "max_value": 5}, {"min_value": 6}),
    ("column_min_to_be_between", "id", {"min_value": 0}, {"min_value": 1}),
    ("column_stdev_to_be_between", "id", {"max_value": 4}, {"max_value": 1}),
    ("column_sum_to_be_between", "id", {"min_value": 45, "max_value": 45}, {"max_value": 44}),
    ("column_unique_value_count_to_be_between", "id", {"min_value": 10}, {"min_value": 11}),
    ("column_proportion_of_unique_values_to_be_between", "id", {"min_value": 1}, {"max_value": 0.5}),
    ("column_proportion_of_non_null_values_to_be_between", "a", {"max_value": 0.8}, {"min_value": 0.9}),
    (
        "column_quantile_values_to_be_between", "id",
        {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[4, 5]]}},
        {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[6, 7]]}},
    ),
    ("compound_columns_to_be_unique", None, {"column_list": ["id", "a"]}, {"column_list": ["b", "b"]}),
    ("table_row_count_to_be_between", None, {"min_value": 10}, {"min_value": 11}),
    ("table_row_count_to_equal", None, {"value": 10}, {"value": 9}),
    ("table_column_count_to_be_between", None, {"max_value": 9}, {"max_value": 8}),
    ("table_column_count_to_equal", None, {"value": 9}, {"value": 8}),
    ("table_columns_to_match_set", None, {"column_set": TABLE.column_names}, {"column_set": ["a"]}),
    ("table_columns_to_match_ordered_list", None, {"column_list": TABLE.column_names}, {"column_list": ["a"]}),
]  # fmt: skip


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
    ("kind", "column", "given"),
    [
        ("expect_column_mean_to_be_between", "absent", {"min_value": 1}),
        ("expect_column_values_to_be_between", "s", {"min_value": 1}),
        ("expect_column_values_to_match_regex", "s", {"regex": "("}),
        ("expect_column_values_to_match_json_schema", "s", {"json_schema": {}}),
    ],
)
@pytest.mark.parametrize("on_fail", ["fail", "warn"])
def test_what_gx_cannot_judge_never_passes(
    canaries: DataFrame, tmp_path: Path, kind: str, column: str, given: dict[str, Any], on_fail: Any
) -> None:
    """F55: a broken expectation ends with 70 and its name, without a value, beside one that passes."""
    sound = Expectation("expect_table_row_count_to_equal", None, {"value": 2}, "fail")
    with pytest.raises(MismatchError) as caught:
        validate(canaries, [sound, Expectation(kind, column, given, on_fail)], "group", tmp_path)
    assert kind in str(caught.value)
    assert column in str(caught.value)
    assert caught.value.exit_code == 70
    assert CANARY not in str(caught.value)
    assert not list(tmp_path.rglob("*.html"))


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
        Expectation("expect_column_distinct_values_to_be_in_set", "s", {"value_set": ["q"]}, "warn"),
        Expectation("expect_column_max_to_be_between", "x", {"max_value": 1}, "warn"),
        Expectation("expect_column_sum_to_be_between", "a", {"max_value": 1}, "warn"),
        Expectation("expect_column_most_common_value_to_be_in_set", "s", {"value_set": ["q"]}, "warn"),
    ]  # fmt: skip
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
    """Great Expectations changes no setting, caches nothing and leaves loggers and filters alone."""
    logger = logging.getLogger("great_expectations")
    before = (spark.conf.getAll, _cached(spark), logger.propagate, [*warnings.filters])
    validate(frame, [Expectation("expect_column_values_to_be_unique", "id", {}, "fail")], "group")
    after = (spark.conf.getAll, _cached(spark), logger.propagate, [*warnings.filters])
    assert after == before
    assert spark.getActiveSession() is not None


def _cached(spark: SparkSession) -> int:
    context: Any = spark.sparkContext
    return int(context._jsc.getPersistentRDDs().size())


def test_arguments_are_refused_before_any_data() -> None:
    """`check` needs no frame: what GX would not take, a gate's on_fail, and SQL are contract errors."""
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
