"""Format and check text: Python's ``str`` is the definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from penstock.wrangle.operators.text_check import Check, CheckText
from penstock.wrangle.operators.text_format import SYMBOLS, FormatText
from penstock.wrangle.step import Step
from tests.wrangling import applied, frame, step_of, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TEXTS = ("heLLo wORLD", " x\u00a0", "", "ÉTÉ 42", "12", "a-b_c!", "١²", None)


def _found(spark: SparkSession, *steps: Step) -> list[list[Any]]:
    rows = frame(spark, "`a.b` string", *[(one,) for one in _TEXTS])
    for step in steps:
        rows = applied(step, rows)
    return [list(one) for one in zip(*[row[1:] for row in rows.collect()], strict=True)]


def _each(function: Any) -> list[Any]:
    return [None if one is None else function(one) for one in _TEXTS]


@pytest.mark.shows("8.1")
def test_formats(spark: SparkSession) -> None:
    """Source: ``str``; widths cut (docs, Format string); symbols of facts: wrangler, 1.2."""
    settings: tuple[dict[str, Any], ...] = (
        {"to": "lower_case"},
        {"to": "upper_case"},
        {"to": "title_case"},
        {"to": "capitalize"},
        {"to": "swap_case"},
        {"to": "left_pad", "width": 4, "fill": "*"},
        {"to": "right_pad", "width": 4, "fill": "*"},
        {"to": "center", "width": 5, "fill": "*"},
        {"to": "center", "width": 8, "fill": "*"},
        {"to": "prepend_zeros", "width": 4},
        {"to": "strip_left", "characters": "ha"},
        {"to": "strip_right"},
        {"to": "strip"},
        {"to": "add_prefix", "prefix": "<"},
        {"to": "add_suffix", "suffix": ">"},
        {"to": "remove_symbols"},
    )
    steps = [FormatText(columns=("a.b",), output=f"o{n}", **one) for n, one in enumerate(settings)]
    assert _found(spark, *steps) == [
        _each(str.lower),
        _each(str.upper),
        _each(str.title),
        _each(str.capitalize),
        _each(str.swapcase),
        _each(lambda one: one.rjust(4, "*")[:4]),
        _each(lambda one: one.ljust(4, "*")[:4]),
        _each(lambda one: one.center(5, "*")[:5]),
        _each(lambda one: one.center(8, "*")[:8]),
        _each(lambda one: one.rjust(4, "0")[:4]),
        _each(lambda one: one.lstrip("ha")),
        _each(str.rstrip),
        _each(str.strip),
        _each(lambda one: "<" + one),
        _each(lambda one: one + ">"),
        _each(lambda one: "".join(each for each in one if each not in SYMBOLS)),
    ]


@pytest.mark.shows("8.1")
def test_checks(spark: SparkSession) -> None:
    """Source: ``str``; 1 and 0 (facts: wrangler, 1.2); null is 0, own rule."""
    methods = {
        "alphanumeric": str.isalnum,
        "alpha": str.isalpha,
        "digit": str.isdigit,
        "space": str.isspace,
        "title": str.istitle,
        "lowercase": str.islower,
        "uppercase": str.isupper,
        "numeric": str.isnumeric,
        "decimal": str.isdecimal,
    }
    steps = [CheckText(columns=("a.b",), whether=Check(one), output=one) for one in methods]
    more = [
        CheckText(columns=("a.b",), whether=Check.STARTS_WITH, text="he", output="s"),
        CheckText(columns=("a.b",), whether=Check.ENDS_WITH, text="!", output="e"),
        CheckText(columns=("a.b",), whether=Check.LENGTH, output="l"),
    ]
    *found, starts, ends, length = _found(spark, *steps, *more)
    for one, method in zip(found, methods.values(), strict=True):
        assert one == [int(text is not None and method(text)) for text in _TEXTS]
    assert starts == [1, 0, 0, 0, 0, 0, 0, 0]
    assert ends == [0, 0, 0, 0, 0, 1, 0, 0]
    assert length == _each(len)


@pytest.mark.shows("8.1")
def test_as_flows_say_it(spark: SparkSession) -> None:
    """Source: public flows 01 and 05; a prefix for several columns (facts: wrangler, 1.2)."""
    rows = frame(spark, "d string, e string", (" ?N/A ", "b/c"))
    block = {"input_column": "d"}
    strip = step_of(
        "format_string",
        operator="Strip left and right",
        strip_left_and_right_parameters=block,
        lower_case_parameters={},
    )
    symbols = {"symbols": SYMBOLS, "input_column": ["d", "e"], "output_column": "new"}
    remove = step_of("format_string", operator="Remove symbols", remove_symbols_parameters=symbols)
    assert table(applied(remove, applied(strip, rows))) == (
        ["d string", "e string", "new_d string", "new_e string"],
        [("?N/A", "b/c", "NA", "bc")],
    )
