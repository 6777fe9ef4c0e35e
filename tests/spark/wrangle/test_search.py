"""Search and edit text: Spark's functions, or Python's own, are the definition."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from penstock.wrangle.operators.search import Edit, EditText
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TEXTS = ("a-b-c", "abcabc", "", "x(1) y(22) é(3)", "a|b", "abc\tdef  g", None)


def _found(spark: SparkSession, *steps: dict[str, Any]) -> list[list[Any]]:
    """Results of several steps over the texts, one Spark job for all of them."""
    rows = frame(spark, "`a.b` string", *[(one,) for one in _TEXTS])
    for n, settings in enumerate(steps):
        rows = applied(EditText(columns=("a.b",), output=f"o{n}", **settings), rows)
    return [list(one) for one in zip(*[row[1:] for row in rows.collect()], strict=True)]


def _each(function: Any) -> list[Any]:
    return [None if one is None else function(one) for one in _TEXTS]


@pytest.mark.shows("8.1")
def test_places(spark: SparkSession) -> None:
    """Source: Python's ``find`` and ``rfind`` (facts: wrangler, 4: -1 as double)."""
    found = _found(
        spark,
        {"do": "find", "text": "c"},
        {"do": "find", "text": "b", "start": 2},
        {"do": "find", "text": "bc", "start": 1, "end": 2},
        {"do": "find_last", "text": "c"},
        {"do": "find_last", "text": "bc", "end": 5},
        {"do": "find_last", "text": "a", "start": 3},
    )
    wanted = [
        _each(lambda one: float(one.find("c"))),
        _each(lambda one: float(one.find("b", 2))),
        _each(lambda one: float(one.find("bc", 1, 2))),
        _each(lambda one: float(one.rfind("c"))),
        _each(lambda one: float(one.rfind("bc", 0, 5))),
        _each(lambda one: float(one.rfind("a", 3))),
    ]
    assert found == wanted


@pytest.mark.shows("8.1")
def test_patterns(spark: SparkSession) -> None:
    """Source: Python's ``re`` where facts: wrangler, 4 says so, else what Java's patterns mean."""
    found = _found(
        spark,
        {"do": "replace", "pattern": "([a-b])", "replacement": "<$1>"},
        {"do": "matches", "pattern": "A", "case": False},
        {"do": "matches", "pattern": "b", "null_matches": True},
        {"do": "find_all", "pattern": r"\w\(\d+\)"},
        {"do": "find_all", "pattern": r"(\d)\)"},
        {"do": "extract", "pattern": r"(\w)\((\d+)", "group": 2},
        {"do": "void_matches", "pattern": "a|b", "loose": True},
        {"do": "void_matches", "pattern": "a.*"},
        {"do": "void_others", "pattern": "a.*"},
    )
    assert found == [
        ["<a>-<b>-c", "<a><b>c<a><b>c", "", "x(1) y(22) é(3)", "<a>|<b>", "<a><b>c\tdef  g", None],
        [True, True, False, False, True, True, None],
        [*[re.match("b", one) is not None for one in _TEXTS[:-1]], True],
        _each(lambda one: re.findall(r"\w\(\d+\)", one)),
        _each(lambda one: re.findall(r"(\d)\)", one)),
        ["", "", "", "1", "", "", None],
        [None, None, "", "x(1) y(22) é(3)", None, None, None],  # ^a|b$: anything that begins with a
        [None, None, "", "x(1) y(22) é(3)", None, None, None],
        ["a-b-c", "abcabc", None, None, "a|b", "abc\tdef  g", None],
    ]
    assert EditText(columns=("x",), do=Edit.VOID_MATCHES, pattern="a|b", loose=True).cautions()
    step = EditText(columns=("x",), do=Edit.MATCHES, pattern="a", null_matches=True)
    assert list(step.losses(spark.range(1), {})) == ["nulls of x count as a match"]


@pytest.mark.shows("8.1")
def test_pieces(spark: SparkSession) -> None:
    """Source: facts: wrangler, 4: positions from 1, delimiters outermost and literal, and docs."""
    found = _found(
        spark,
        {"do": "split"},
        {"do": "split", "delimiter": "|"},
        {"do": "split", "delimiter": "-", "limit": 1},
        {"do": "extract_between", "left": "(", "right": ")"},
        {"do": "extract_place", "position": 2, "length": 3},
        {"do": "replace_between", "left": "(", "right": ")", "replacement": "$1\\"},
        {"do": "replace_place", "position": 2, "length": 3, "replacement": "__"},
    )
    assert found == [
        _each(lambda one: re.split(r"\s+", one)),
        _each(lambda one: one.split("|")),
        _each(lambda one: one.split("-", 1)),
        ["", "", "", "1) y(22) é(3", "", "", None],
        _each(lambda one: one[1:4]),
        _each(lambda one: "x($1\\)" if "(" in one else one),
        _each(lambda one: one[:1] + "__" + one[4:]),
    ]


@pytest.mark.shows("8.1")
def test_as_a_flow_says_it(spark: SparkSession) -> None:
    """Source: public flow 26: a list of one column, in place."""
    block = {"input_column": ["s"], "pattern": "charged off", "replacement": "default"}
    step = step_of(
        "search_and_edit",
        operator="Find and replace substring",
        find_and_replace_substring_parameters=block,
    )
    rows = frame(spark, "s string, t int", ("charged off", 1), (None, 2))
    assert table(applied(step, rows)) == (["s string", "t int"], [("default", 1), (None, 2)])
    with pytest.raises(ValueError, match="find needs text"):
        EditText(columns=("s",), do=Edit.FIND)
