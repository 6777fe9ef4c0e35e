"""Expectations that are refused before any data, who judges what, and verdicts GX cannot give."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import pyarrow as pa
import pytest

from penstock.contract import Expectation
from penstock.errors import ContractError
from penstock.expectation import ROW_TYPES, SET_TYPES, STAGED_TYPES, compile_row, rules, split

LONG = pa.int64()
BATCH = pa.RecordBatch.from_arrays(
    [
        pa.array(["x", None]),
        pa.array([1, None], LONG),
        pa.array([0.5, None]),
        pa.array([1, None], LONG),
    ],
    names=["text", "long", "double", "other"],
)


def _fails(batch: pa.RecordBatch, expectation: Expectation) -> set[int]:
    found = compile_row(expectation, batch.schema)(batch).to_pylist()
    return {index for index, failed in enumerate(found) if failed}


def _single(kind: str, column: str = "a", **arguments: Any) -> Expectation:
    return Expectation(f"expect_column_value{kind}", column, arguments)


def _together(kind: str, **arguments: Any) -> Expectation:
    return Expectation(f"expect_{kind}", None, arguments)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^\d$", "\u0661", False),  # an Arabic digit: Java and RE2 say no, Python yes
        (r"^\s$", "\x0b", True),
        (r"^[\s]$", "\x0b", True),
        (r"^\S$", "\x0b", False),
        (r"^[\S]$", "\x0b", False),
        (r"^[^\s]$", "x", True),
        (r"^a$", "a\n", True),
        (r"^a$", "a\n\n", False),
        (r"^\p{Lu}+$", "ÉA", True),
        (r"^\x41\.$", "A.", True),
        ("(?i)ab", "xAB", True),
    ],
)
def test_regex_dialect(pattern: str, text: str, found: bool) -> None:
    """What is translated means what Java means by it."""
    batch = pa.RecordBatch.from_arrays([pa.array([text])], names=["a"])
    assert _fails(batch, _single("s_to_match_regex", regex=pattern)) == (set() if found else {0})


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b",
        "(?<!a)b",
        r"(a)\1",
        "a++",
        "(?P<n>a)",
        "(?<n>a)",
        "(?m)^a",
        "a(?i)b",
        r"a\Z",
        "[a&&b]",
        "[[:alpha:]]",
        "[]a]",
        "a{,2}",
        "a{",
        "(",
        "a**",
        r"[\b]",
        "a{1001}",
        "\ud800",
        "$a",
        "(a$)b",
        "[a--b]",
        "\\q",
    ],
)
def test_regexes_that_engines_read_apart_are_refused(pattern: str) -> None:
    """Before any data, with the pattern and a remedy, and never with a warning."""
    with pytest.raises(ContractError) as caught:
        compile_row(_single("s_to_match_regex", regex=pattern))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "expectation",
    [
        Expectation("expect_column_values_to_be_betwen", "long", {"min_value": 1}),
        _single("s_to_be_between", "long"),
        _single("s_to_be_between", "long", min_value="1"),
        _single("s_to_be_between", "long", min_value=2, max_value=1),
        _single("s_to_be_between", "long", min_value=True),
        _single("s_to_be_between", "long", min_value=float("nan")),
        _single("s_to_be_between", "long", min_value=1, mostly=0.9),
        _single("s_to_be_between", "long", min_value=1, row_condition="long > 0"),
        _single("s_to_be_between", "long", min_value={"$PARAMETER": "low"}),
        _single("s_to_be_between", "text", min_value="a"),
        _single("s_to_be_between", "absent", min_value=1),
        _single("s_to_be_in_set", "long", value_set=[]),
        _single("s_to_be_in_set", "long", value_set=[1, None]),
        _single("s_to_be_in_set", "long", value_set=[1, "a"]),
        _single("s_to_be_in_set", "long", value_set=["a"]),
        _single("s_to_match_regex", "long", regex="a"),
        _single("s_to_match_regex", "text", regex=1),
        _single("s_to_match_regex_list", "text", regex_list=["a"], match_on="some"),
        _single("s_to_match_like_pattern", "text", like_pattern="!a", escape="!"),
        _single("s_to_match_like_pattern", "text", like_pattern="a", escape="!!"),
        _single("_lengths_to_equal", "text"),
        _single("_lengths_to_equal", "text", value=-1),
        _single("_lengths_to_equal", "long", value=1),
        _single("s_to_match_strftime_format", "text", strftime_format="%D"),
        _single("s_to_match_json_schema", "text", json_schema={"$ref": "http://127.0.0.1/s.json"}),
        _single("s_to_match_json_schema", "text", json_schema={"type": "nothing"}),
        _together("column_pair_values_to_be_equal", column_A="long"),
        _together("column_pair_values_to_be_equal", column_A="long", column_B="long"),
        _together("column_pair_values_to_be_equal", column_A="long", column_B="text"),
        _together(
            "column_pair_values_to_be_equal",
            column_A="long",
            column_B="other",
            ignore_row_if="never",
        ),
        _together(
            "column_pair_values_to_be_in_set",
            column_A="long",
            column_B="other",
            value_pairs_set=[[1]],
        ),
        _together("multicolumn_sum_to_equal", column_list=["long", "other"]),
        _together("multicolumn_sum_to_equal", column_list=["long"], sum_total=1),
        _together("multicolumn_sum_to_equal", column_list=["long", "text"], sum_total=1),
        Expectation("expect_column_values_to_not_be_null"),
    ],
    ids=lambda one: f"{one.type[7:]}-{dict(one.arguments)}",
)
@pytest.mark.parametrize("on_fail", ["quarantine", "drop"])
def test_mistakes_stop_before_any_data(expectation: Expectation, on_fail: Any) -> None:
    """A wrong name, argument, column or type is the contract's error and names the expectation."""
    wrong = Expectation(expectation.type, expectation.column, expectation.arguments, on_fail)
    with pytest.raises(ContractError) as caught:
        split([wrong], BATCH.schema)
    assert caught.value.exit_code == 2
    assert "expect_" in caught.value.message


def test_the_closest_name_is_offered() -> None:
    """A misspelt type names its neighbour; a strange one lists what there is."""
    with pytest.raises(ContractError, match="Did you mean expect_column_values_to_be_between"):
        compile_row(Expectation("expect_column_values_to_be_betwen", "a"))
    with pytest.raises(ContractError, match="Known: expect_column_pair"):
        compile_row(Expectation("expect_x", "a"))


@pytest.mark.parametrize("on_fail", ["fail", "warn", "drop", "quarantine"])
def test_sql_is_refused(on_fail: Any) -> None:
    """No SQL from configuration, whatever follows; nor conditions, which GX evaluates."""
    arguments = {"base_query": "SELECT * FROM other_table"}
    query = Expectation("expect_query_results_to_match_comparison", None, arguments, on_fail)
    with pytest.raises(ContractError, match="SQL"):
        split([query])
    condition = {"row_condition": "a > 1", "condition_parser": "spark"}
    with pytest.raises(ContractError, match="condition_parser"):
        split([Expectation("expect_column_values_to_not_be_null", "a", condition, on_fail)])


def test_split() -> None:
    """Gates judge rows that go aside, GX what stops or warns; a set cannot go aside."""
    kind = "expect_column_values_to_not_be_null"
    aside = [Expectation(kind, "text", {}, "drop"), Expectation(kind, "text", {}, "quarantine")]
    stops = Expectation("expect_column_values_to_not_be_null", "text", {"mostly": 0.5}, "fail")
    warns = Expectation("expect_table_row_count_to_equal", None, {"value": 1}, "warn")
    parts = split([aside[0], stops, aside[1], warns], BATCH.schema)
    assert (parts.gate, parts.staged) == (tuple(aside), (stops, warns))
    assert pickle.loads(pickle.dumps(parts)) == parts
    for kind in SET_TYPES:
        with pytest.raises(ContractError, match="Use on_fail fail or warn"):
            split([Expectation(kind, "text", {}, "quarantine")])
    for kind in ROW_TYPES - STAGED_TYPES:
        with pytest.raises(ContractError, match="no LIKE on Spark"):
            split([Expectation(kind, "text", {}, "fail")])
    with pytest.raises(ContractError, match="no column 'absent'"):
        split(
            [Expectation("expect_column_values_to_be_unique", "absent", {}, "fail")], BATCH.schema
        )


def test_a_bound_of_another_type_is_refused_though_gx_would_judge_it() -> None:
    """Text against a number: on Spark without ANSI mode it would pass unseen."""
    schema = pa.schema([("s", pa.string())])
    asked = Expectation("expect_column_values_to_be_between", "s", {"min_value": 1}, "fail")
    with pytest.raises(ContractError, match="s"):
        split([asked], schema)


def test_allowed_arguments_are_gxs_own() -> None:
    """Each type and each argument on the allow-list exists in the installed GX."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from great_expectations.expectations.registry import get_expectation_impl

        allowed = {**rules._ROW_ARGUMENTS, **rules._SET_ARGUMENTS}
        assert set(allowed) == ROW_TYPES | SET_TYPES >= STAGED_TYPES
        for kind, names in allowed.items():
            assert set(names) <= set(get_expectation_impl(kind).__fields__), kind


def test_verdicts_gx_cannot_give() -> None:
    """Text that is no JSON fails a JSON schema; a bound beyond 64 bits is compared exactly."""
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["{", "1", None]), pa.array([2**63 - 1, 0, None])], names=["a", "b"]
    )
    assert _fails(batch, _single("s_to_match_json_schema", json_schema={})) == {0}
    assert _fails(batch, _single("s_to_be_between", "b", max_value=2**63 - 2)) == {0}
    assert _fails(batch, _single("s_to_be_between", "b", min_value=2**64)) == {0, 1}
    assert _fails(batch, _single("s_to_be_between", "b", min_value=-(2**64))) == set()


def test_nulls_across_columns() -> None:
    """As GX on Spark: an order with a null passes, a null counts 0 and equals only null."""
    columns = [pa.array([None, 1, None], LONG), pa.array([1, None, None], LONG)]
    batch = pa.RecordBatch.from_arrays(columns, names=["a", "b"])
    pair = {"column_A": "a", "column_B": "b", "ignore_row_if": "neither"}
    many = {"column_list": ["a", "b"], "ignore_row_if": "never"}
    assert _fails(batch, _together("column_pair_values_a_to_be_greater_than_b", **pair)) == set()
    assert _fails(batch, _together("column_pair_values_to_be_equal", **pair)) == {0, 1}
    assert _fails(batch, _together("multicolumn_sum_to_equal", **many, sum_total=1)) == {2}
    assert _fails(batch, _together("multicolumn_values_to_be_equal", **many)) == {0, 1}
    distinct = "select_column_values_to_be_unique_within_record"
    assert _fails(batch, _together(distinct, **many)) == {2}


def test_both_zeros_are_one_value() -> None:
    """Arrow's sets tell -0.0 from 0.0; expectations do not."""
    batch = pa.RecordBatch.from_arrays([pa.array([0.0, -0.0, 1.0])], names=["a"])
    for zero in (0.0, -0.0, 0):
        assert _fails(batch, _single("s_to_be_in_set", value_set=[zero])) == {2}


def test_a_rule_refuses_a_batch_of_another_schema() -> None:
    """Without a schema at compile time the first batch is checked the same way."""
    rule = compile_row(_single("s_to_match_regex", "long", regex="a"))
    with pytest.raises(ContractError, match="looks at text, not at int64"):
        rule(BATCH)
