"""A flow that others wrote: what it cannot do, whatever is in it."""

from __future__ import annotations

import pytest

from penstock.wrangle.operators.formula import Formula
from penstock.wrangle.operators.row_set import FilterRows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reflect('java.lang.System', 'exit')", "calls Java"),
        ("Reflect /* a /* b */ */ ('java.lang.System', 'exit')", "calls Java"),
        ("try_reflect --\n('java.lang.System', 'exit')", "calls Java"),
        ("system.builtin.`java_method` ('java.lang.System', 'exit')", "calls Java"),
        ("identifier('ref' || 'lect')('java.lang.System', 'exit')", "makes up names"),
        ("reflect${system:line.separator}('java.lang.System', 'exit')", "reads settings"),
        ("'${env:HOME}'", "reads settings"),
        ("(select transform(1) using 'touch /tmp/x' as (a))", "runs a program"),
        ('(select transform(1) USING/**/"touch /tmp/x" as (a))', "runs a program"),
        ("(map 1 using r'touch /tmp/x')", "runs a program"),
    ],
)
def test_an_expression_is_no_code(text: str, said: str) -> None:
    """It runs without being asked for; so it calls nothing but Spark's own functions of values."""
    with pytest.raises(ValueError, match=said):
        Formula(formula=text, output="a")
    with pytest.raises(ValueError, match=said):
        FilterRows(where=f"{text} is null")


@pytest.mark.parametrize("text", ["reflected (1)", "a.using", "`identifier` = 1", "using - reflect"])
def test_names_like_it_are_names(text: str) -> None:
    """Columns may be called so."""
    assert Formula(formula=text, output="a").formula == text


def test_a_filter_by_the_clock_is_told() -> None:
    """As of other steps: each run keeps other rows."""
    (said,) = FilterRows(where="at > current_date()").cautions()
    assert "reads the clock" in said
