"""Row-level expectations: verdicts against Great Expectations' own, refusals before any data.

The oracle is GX on pandas. Where pandas and Spark disagree inside GX (a null on one side of an
order, nulls in a sum, Unicode digits), rules follow Spark, because `fail` and `warn` run there;
those cases stand in tests/spark/test_quality.py. GX has LIKE for SQL databases only: there the
oracle is SQLite, one of its dialects.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.contract import Expectation
from penstock.expectation import ROW_TYPES, compile_row, keywords

Oracle = Callable[[pa.RecordBatch, Expectation], set[int]]

TEXT, LONG, DOUBLE, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
INSTANT, DAY = pa.timestamp("us", "UTC"), pa.date32()
LETTERS = "ab01AZ é😀ß\n\t\r%_\\.'\"\u0661"
# No NUL: pandas takes "" and "\x00" for one value (nunique), so GX on pandas is no oracle there.
texts = st.text(LETTERS, max_size=5) | st.sampled_from(["", "a", "ab", "a\n", "e\u0301"])
longs = st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1])
doubles = st.integers(-6, 6).map(lambda n: n / 2) | st.sampled_from(
    [-0.0, 5e-324, 1.7e308, -1.7e308]
)
instants = st.integers(-3, 3).map(
    lambda n: datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(hours=n)
)
days = st.integers(-3, 3).map(lambda n: date(2024, 1, 1) + timedelta(days=n))
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    TEXT: texts,
    LONG: longs,
    DOUBLE: doubles,
    BOOL: st.booleans(),
    INSTANT: instants,
    DAY: days,
}
UNTESTED_BY_PANDAS = {name for name in ROW_TYPES if "_like_pattern" in name}


@dataclass(frozen=True)
class Case:
    """A table and an expectation of it."""

    batch: pa.RecordBatch
    expectation: Expectation


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    """Row numbers that GX on pandas reports as unexpected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        import pandas as pd
        from great_expectations.expectations.expectation_configuration import (
            ExpectationConfiguration,
        )

        context: Any = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("oracle").add_dataframe_asset("oracle")
        batches = asset.add_batch_definition_whole_dataframe("oracle")

    def series(field: pa.Field, values: list[Any]) -> Any:
        return pd.Series(values, dtype="datetime64[us, UTC]" if field.type == INSTANT else object)

    def unexpected(batch: pa.RecordBatch, expectation: Expectation) -> set[int]:
        columns = {
            one.name: series(one, batch.column(one.name).to_pylist()) for one in batch.schema
        }
        asked = ExpectationConfiguration(type=expectation.type, kwargs=keywords(expectation))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = batches.get_batch({"dataframe": pd.DataFrame(columns)})
            found = read.validate(asked.to_domain_obj(), result_format="COMPLETE")
        assert found.result, found.exception_info
        return set(found.result.get("unexpected_index_list") or ())

    return unexpected


def _table(draw: st.DrawFn, *kinds: pa.DataType, nulls: str = "any") -> pa.RecordBatch:
    """Columns a, b, c…; ``nulls``: any, together (a row is null throughout or nowhere), none."""
    one = st.tuples(
        *(VALUES[kind] if nulls != "any" else st.none() | VALUES[kind] for kind in kinds)
    )
    row = one | st.just((None,) * len(kinds)) if nulls == "together" else one
    rows = draw(st.lists(row, max_size=30))
    arrays = [pa.array([r[i] for r in rows], kind) for i, kind in enumerate(kinds)]
    return pa.RecordBatch.from_arrays(arrays, names=list("abc"[: len(kinds)]))


def _fails(case: Case) -> set[int]:
    """Row numbers the compiled rule flags."""
    found = compile_row(case.expectation, case.batch.schema)(case.batch)
    assert found.type == pa.bool_()
    assert found.null_count == 0
    return {index for index, failed in enumerate(found.to_pylist()) if failed}


def _single(kind: str, column: str = "a", **arguments: Any) -> Expectation:
    return Expectation(f"expect_column_value{kind}", column, arguments)


def _bounds(
    draw: st.DrawFn, values: st.SearchStrategy[Any], show: Callable[[Any], Any]
) -> dict[str, Any]:
    low, high = sorted((draw(values), draw(values)))
    given = {"min_value": show(low), "max_value": show(high)}
    given.pop(draw(st.sampled_from(["min_value", "max_value", ""])), None)
    return {**given, "strict_min": draw(st.booleans()), "strict_max": draw(st.booleans())}


@st.composite
def _nulls(draw: st.DrawFn, kind: str) -> Case:
    return Case(_table(draw, draw(st.sampled_from(list(VALUES)))), _single(kind))


@st.composite
def _between(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from([LONG, DOUBLE, INSTANT, DAY]))
    numbers = st.integers(-3, 3) | doubles.filter(lambda x: abs(x) != 5e-324)
    limits = VALUES[kind] if kind in (INSTANT, DAY) else numbers
    show = (lambda at: at.isoformat()) if kind in (INSTANT, DAY) else (lambda number: number)
    return Case(_table(draw, kind), _single("s_to_be_between", **_bounds(draw, limits, show)))


@st.composite
def _in_set(draw: st.DrawFn, kind: str) -> Case:
    column = draw(st.sampled_from([TEXT, LONG, DOUBLE, BOOL]))
    wanted = draw(st.lists(VALUES[column], min_size=1, max_size=4))
    return Case(_table(draw, column), _single(kind, value_set=wanted))


atoms = st.sampled_from(
    ["a", "b", "0", "é", "😀", ".", "[ab]", "[^a]", r"\.", r"\n", r"[0-9é]", "A"]
)
pieces = st.builds(
    str.__add__, atoms, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?"])
)
runs = st.lists(pieces, min_size=1, max_size=3).map("".join)
ends = st.builds("{}{}{}".format, st.sampled_from(["", "^"]), runs, st.sampled_from(["", "$"]))
patterns = ends | st.builds("(?:{})|({})".format, ends, ends) | ends.map("(?s){}".format)


@st.composite
def _regexes(draw: st.DrawFn, kind: str) -> Case:
    if not kind.endswith("_list"):
        return Case(_table(draw, TEXT), _single(kind, regex=draw(patterns)))
    more = {} if "not" in kind else {"match_on": draw(st.sampled_from(["any", "all"]))}
    several = draw(st.lists(patterns, min_size=1, max_size=3))
    return Case(_table(draw, TEXT), _single(kind, regex_list=several, **more))


@st.composite
def _lengths(draw: st.DrawFn, kind: str) -> Case:
    sizes = st.integers(0, 4)
    given = {"value": draw(sizes)} if kind.endswith("equal") else _bounds(draw, sizes, lambda n: n)
    return Case(_table(draw, TEXT), _single(kind, **given))


def _of_texts(draw: Any, known: list[str], more: st.SearchStrategy[str]) -> pa.RecordBatch:
    rows = draw(st.lists(st.none() | st.sampled_from(known) | more, max_size=30))
    return pa.RecordBatch.from_arrays([pa.array(rows, TEXT)], names=["a"])


JSON = [
    "1",
    "null",
    '"é"',
    "[1, 2]",
    '{"a": 1}',
    '{"a": "x"}',
    "{}",
    "[[]]",
    "true",
    "NaN",
    "-0.5e3",
]
NOT_JSON = ["", "{", "{'a': 1}", "[" * 100_000, "9" * 5_000]


@st.composite
def _parseable(draw: st.DrawFn) -> Case:
    return Case(_of_texts(draw, JSON + NOT_JSON, texts), _single("s_to_be_json_parseable"))


@st.composite
def _json_schema(draw: st.DrawFn) -> Case:
    schemas: list[dict[str, Any]] = [
        {"type": "object", "required": ["a"]},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "integer"}},
        },
        {"type": ["number", "null"]},
        {"type": "array", "maxItems": 1},
        {},
    ]
    more = st.recursive(
        st.integers() | st.none() | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    )
    batch = _of_texts(draw, JSON, more.map(json.dumps))
    return Case(
        batch, _single("s_to_match_json_schema", json_schema=draw(st.sampled_from(schemas)))
    )


@st.composite
def _strftime(draw: st.DrawFn) -> Case:
    known = [
        "2024-02-29",
        "2023-02-29",
        "2024-2-9",
        "12:30:00",
        "24:00:00",
        "2024-02-29T12:30:00Z",
        " 2024-02-29",
    ]
    form = draw(st.sampled_from(["%Y-%m-%d", "%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "é%Y"]))
    return Case(
        _of_texts(draw, [*known, "é2024"], texts),
        _single("s_to_match_strftime_format", strftime_format=form),
    )


def _together(kind: str, **arguments: Any) -> Expectation:
    return Expectation(f"expect_{kind}", None, arguments)


PAIR = {"column_A": "a", "column_B": "b"}
pair_choices = st.sampled_from(["both_values_are_missing", "either_value_is_missing", "neither"])
many_choices = st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])


@st.composite
def _pair_equal(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(list(VALUES)))
    ignored = draw(pair_choices.filter(lambda one: one != "neither"))  # pandas: None is not None
    return Case(
        _table(draw, kind, kind),
        _together("column_pair_values_to_be_equal", **PAIR, ignore_row_if=ignored),
    )


@st.composite
def _pair_greater(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from([TEXT, LONG, DOUBLE, INSTANT, DAY]))
    ignored = draw(st.sampled_from(["both_values_are_missing", "either_value_is_missing"]))
    batch = _table(draw, kind, kind, nulls="together" if ignored.startswith("both") else "any")
    given = {**PAIR, "or_equal": draw(st.booleans()), "ignore_row_if": ignored}
    return Case(batch, _together("column_pair_values_a_to_be_greater_than_b", **given))


@st.composite
def _pair_in_set(draw: st.DrawFn) -> Case:
    kinds = draw(st.tuples(*[st.sampled_from([TEXT, LONG, DOUBLE])] * 2))
    pair = st.tuples(*(st.none() | VALUES[kind] for kind in kinds)).map(list)
    wanted = draw(st.lists(pair, min_size=1, max_size=4))
    given = {**PAIR, "value_pairs_set": wanted, "ignore_row_if": draw(pair_choices)}
    return Case(_table(draw, *kinds), _together("column_pair_values_to_be_in_set", **given))


@st.composite
def _sum_equal(draw: st.DrawFn) -> Case:
    kinds = [draw(st.sampled_from([LONG, DOUBLE]))] * draw(st.integers(2, 3))
    total = draw(st.integers(-3, 3) | st.sampled_from([0.5, 2.5, 1e300, -(2**53)]))
    batch = _table(draw, *kinds, nulls="none")
    return Case(
        batch,
        _together("multicolumn_sum_to_equal", column_list=batch.schema.names, sum_total=total),
    )


@st.composite
def _many(draw: st.DrawFn, kind: str) -> Case:
    column = draw(st.sampled_from([TEXT, LONG, DOUBLE, BOOL, DAY]))
    batch = _table(draw, *[column] * draw(st.integers(2, 3)))
    ignored = draw(many_choices)
    return Case(batch, _together(kind, column_list=batch.schema.names, ignore_row_if=ignored))


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {
    "expect_column_values_to_not_be_null": _nulls("s_to_not_be_null"),
    "expect_column_values_to_be_null": _nulls("s_to_be_null"),
    "expect_column_values_to_be_between": _between(),
    "expect_column_values_to_be_in_set": _in_set("s_to_be_in_set"),
    "expect_column_values_to_not_be_in_set": _in_set("s_to_not_be_in_set"),
    "expect_column_values_to_match_regex": _regexes("s_to_match_regex"),
    "expect_column_values_to_not_match_regex": _regexes("s_to_not_match_regex"),
    "expect_column_values_to_match_regex_list": _regexes("s_to_match_regex_list"),
    "expect_column_values_to_not_match_regex_list": _regexes("s_to_not_match_regex_list"),
    "expect_column_value_lengths_to_equal": _lengths("_lengths_to_equal"),
    "expect_column_value_lengths_to_be_between": _lengths("_lengths_to_be_between"),
    "expect_column_values_to_be_json_parseable": _parseable(),
    "expect_column_values_to_match_json_schema": _json_schema(),
    "expect_column_values_to_match_strftime_format": _strftime(),
    "expect_column_pair_values_to_be_equal": _pair_equal(),
    "expect_column_pair_values_a_to_be_greater_than_b": _pair_greater(),
    "expect_column_pair_values_to_be_in_set": _pair_in_set(),
    "expect_multicolumn_sum_to_equal": _sum_equal(),
    "expect_multicolumn_values_to_be_equal": _many("multicolumn_values_to_be_equal"),
    "expect_select_column_values_to_be_unique_within_record": _many(
        "select_column_values_to_be_unique_within_record"
    ),
}


def test_at_least_twenty_types_are_compared_with_gx_itself() -> None:
    """Every row type has an oracle, GX on pandas or SQLite; twenty have GX itself."""
    assert len(STRATEGIES) >= 20
    assert set(STRATEGIES) | UNTESTED_BY_PANDAS == ROW_TYPES


@pytest.mark.parametrize("kind", sorted(STRATEGIES))
def test_a_rule_flags_the_rows_gx_reports(kind: str, oracle: Oracle) -> None:
    """On any table with nulls, Unicode and extremes, the rule and GX name the same rows."""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STRATEGIES[kind])
    def compare(case: Case) -> None:
        assert case.expectation.type == kind
        assert _fails(case) == oracle(case.batch, case.expectation)

    compare()


def _sqlite_likes(text: str | None, pattern: str, escape: str | None) -> bool | None:
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA case_sensitive_like = ON")
        more = ("", []) if escape is None else (" ESCAPE ?", [escape])
        answer = database.execute(
            f"SELECT ? LIKE ?{more[0]}", [text, pattern, *more[1]]
        ).fetchone()[0]
    database.close()
    return None if answer is None else bool(answer)


like_parts = st.sampled_from(["%", "_", "a", "A", "é", "😀", ".", "[", "\n", "!%", "!_", "!!"])
like_patterns = st.lists(like_parts, max_size=5).map("".join)


@pytest.mark.parametrize("kind", sorted(UNTESTED_BY_PANDAS))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_like_is_sqls_like(kind: str, data: st.DataObject) -> None:
    """LIKE with escape, over the whole text, by code point and case, as SQLite answers it."""
    batch = _of_texts(
        data.draw, ["", "a", "A", "a%", "é😀", "a\n"], texts.map(lambda s: s.replace("\0", ""))
    )
    several = data.draw(st.lists(like_patterns, min_size=1, max_size=3))
    match_on = (
        data.draw(st.sampled_from(["any", "all"]))
        if "_to_match" in kind and "list" in kind
        else "any"
    )
    given: dict[str, Any] = {"escape": "!", "like_pattern_list": several, "match_on": match_on}
    if "list" not in kind:
        several = several[:1]
        given = {"escape": "!", "like_pattern": several[0]}
    elif "not" in kind:
        del given["match_on"]
    expected = set()
    for index, text in enumerate(batch.column("a").to_pylist()):
        answers = [_sqlite_likes(text, pattern, "!") for pattern in several]
        found = any(answers) if match_on == "any" else all(answers)
        if text is not None and found == ("_not_" in kind):
            expected.add(index)
    assert _fails(Case(batch, Expectation(kind, "a", given))) == expected
