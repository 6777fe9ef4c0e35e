"""Rules of the gates against Great Expectations on Spark, which judges what fails or warns."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from penstock.contract import Expectation
from penstock.expectation import ROW_TYPES, STAGED_TYPES, compile_row, keywords

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

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
Given = tuple[str, str | None, dict[str, Any]]


def _cases() -> list[Expectation]:
    """Every row type GX has on Spark, with all that decides about nulls and ends."""
    cases = [*_value_cases(), *_text_cases(), *_pair_cases(), *_many_cases()]
    return [Expectation(f"expect_{kind}", column, given, "warn") for kind, column, given in cases]


def _value_cases() -> list[Given]:
    cases: list[Given] = []
    for column in "as":
        cases += [("column_values_to_not_be_null", column, {})]
        cases += [("column_values_to_be_null", column, {})]
    for strict in (True, False):
        ends = {"strict_min": strict, "strict_max": strict}
        for limits in ({"min_value": 1, "max_value": 2}, {"max_value": 0.5}):
            cases += [("column_values_to_be_between", one, {**limits, **ends}) for one in "ax"]
        cases += [("column_value_lengths_to_be_between", "s", {"min_value": 1, **ends})]
    cases += [("column_value_lengths_to_equal", "s", {"value": 2})]
    for kind in ("column_values_to_be_in_set", "column_values_to_not_be_in_set"):
        cases += [
            (kind, "a", {"value_set": [1, 2**63 - 1]}),
            (kind, "x", {"value_set": [0.0, 2.0]}),
        ]
        cases += [(kind, "s", {"value_set": ["", "é😀", "\x0b"]})]
    return cases


def _text_cases() -> list[Given]:
    cases: list[Given] = []
    for regex in (
        r"^\d$",
        r"^\s$",
        r"^[\s]$",
        "^a$",
        "^..$",
        r"^[\S ]+$",
        "[^a]b?$",
        r"\p{Lu}",
        "(?s).",
    ):
        cases += [("column_values_to_match_regex", "s", {"regex": regex})]
    cases += [("column_values_to_not_match_regex", "s", {"regex": "^a$"})]
    for match_on in ("any", "all"):
        listed = {"regex_list": ["a", "b$"], "match_on": match_on}
        cases += [("column_values_to_match_regex_list", "s", listed)]
    cases += [("column_values_to_not_match_regex_list", "s", {"regex_list": ["^a", "é"]})]
    cases += [("column_values_to_be_json_parseable", "s", {})]
    cases += [("column_values_to_match_json_schema", "j", {"json_schema": {"type": "object"}})]
    cases += [("column_values_to_match_strftime_format", "d", {"strftime_format": "%Y-%m-%d"})]
    return cases


def _pair_cases() -> list[Given]:
    cases: list[Given] = []
    for ignored in ("both_values_are_missing", "either_value_is_missing", "neither"):
        longs = {"column_A": "a", "column_B": "b", "ignore_row_if": ignored}
        cases += [("column_pair_values_to_be_equal", None, longs)]
        for or_equal in (True, False):
            given = {**longs, "or_equal": or_equal}
            cases += [("column_pair_values_a_to_be_greater_than_b", None, given)]
        pairs = {"value_pairs_set": [[1, 1], [None, 1], [3, None]]}
        cases += [("column_pair_values_to_be_in_set", None, {**longs, **pairs})]
    for left, right in ("st", "xy"):
        given = {"column_A": left, "column_B": right}
        cases += [("column_pair_values_to_be_equal", None, given)]
        cases += [("column_pair_values_a_to_be_greater_than_b", None, given)]
    return cases


def _many_cases() -> list[Given]:
    cases: list[Given] = []
    for ignored in ("all_values_are_missing", "any_value_is_missing", "never"):
        for columns in (["a", "b"], ["x", "y"]):
            given = {"column_list": columns, "ignore_row_if": ignored}
            cases += [("multicolumn_values_to_be_equal", None, given)]
            cases += [("select_column_values_to_be_unique_within_record", None, given)]
            cases += [("multicolumn_sum_to_equal", None, {**given, "sum_total": 1})]
    for kind in (
        "multicolumn_values_to_be_equal",
        "select_column_values_to_be_unique_within_record",
    ):
        cases += [(kind, None, {"column_list": ["s", "t", "j"]})]
    cases += [("multicolumn_sum_to_equal", None, {"column_list": ["a", "b", "id"], "sum_total": 4})]
    return cases


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    """TABLE as Spark sees it."""
    names = {TEXT: "string", LONG: "bigint", DOUBLE: "double"}
    schema = ", ".join(f"{one.name} {names[one.type]}" for one in TABLE.schema)
    rows = [tuple(row.values()) for row in TABLE.to_pylist()]
    return spark.createDataFrame(rows, schema).coalesce(1).cache()


@pytest.mark.prove
@pytest.mark.shows("3.5")
def test_rules_and_gx_on_spark_name_the_same_rows(frame: DataFrame) -> None:
    """An expectation means the same in the gate as over the staged set, nulls and extremes too."""
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
