"""A flow that others wrote: what it cannot do, whatever is in it."""

from __future__ import annotations

import ast

import pytest

from penstock.wrangle.differing import diff
from penstock.wrangle.explaining import recipe
from penstock.wrangle.export.cells import _ticks, _verbatim
from penstock.wrangle.export.steps import written
from penstock.wrangle.flow import Flow, Input, Node
from penstock.wrangle.linting import lint
from penstock.wrangle.operators.column_set import DropColumns
from penstock.wrangle.operators.custom_code import PySparkCode
from penstock.wrangle.operators.formula import Formula
from penstock.wrangle.operators.row_set import FilterRows
from penstock.wrangle.source import Source
from penstock.wrangle.step import Step


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


@pytest.mark.parametrize(
    "text", ["reflected (1)", "a.using", "`identifier` = 1", "using - reflect"]
)
def test_names_like_it_are_names(text: str) -> None:
    """Columns may be called so."""
    assert Formula(formula=text, output="a").formula == text


def test_a_filter_by_the_clock_is_told() -> None:
    """As of other steps: each run keeps other rows."""
    (said,) = FilterRows(where="at > current_date()").cautions()
    assert "reads the clock" in said


_EVIL = "a\nprint('run')\r\nprint('run') \x1b[2J\u2028#"


def _evil_flow() -> Flow:
    source = Node("s", Source(_EVIL, path=f"{_EVIL}.csv"))
    step = Node(_EVIL, Formula(formula=f"1 --{_EVIL}", output=_EVIL), (Input("s"),), name=_EVIL)
    drop = Node("d", DropColumns(columns=(_EVIL,)), (Input(_EVIL),), name="```\n<img src=x>")
    return Flow("f.flow", (source, step, drop))


def test_its_text_begins_no_line_of_a_notebook() -> None:
    """Names, ids and formulas stand in comments and in strings; none of it is a statement."""
    flow = _evil_flow()
    calls = {Input(one.id): one.does.calls({}) for one in flow.nodes if isinstance(one.does, Step)}
    cells = written(flow, Input("d"), calls, flow.sources).cells
    called = [
        node.func.id
        for cell in cells
        for node in ast.walk(ast.parse(cell.text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert "print" not in called
    assert {"read_csv", "compute_column", "drop_columns"} <= set(called)


def test_its_text_controls_no_terminal() -> None:
    """What explain, lint and diff say are lines without control characters."""
    flow = _evil_flow()
    told = [*recipe(flow), *map(str, lint(flow))]
    told += [line for one in diff(flow, Flow("g.flow", flow.nodes[:1])) for line in one.lines]
    assert all(one.isprintable() for one in told)


@pytest.mark.parametrize("text", ["a", "a ``` b", "````\n`````"])
def test_back_ticks_end_no_text_of_markdown(text: str) -> None:
    """A run of back-ticks as long as the fence is nowhere in the text."""
    fence = _ticks(text, least=3)
    assert len(fence) >= 3
    assert fence not in text
    assert _verbatim("x`y") == "`` x`y ``"


@pytest.mark.parametrize("code", ["a = '\x00'", "(" * 5_000, "a = " + "-" * 200_000 + "1"])
def test_code_that_python_cannot_read(code: str) -> None:
    """Lint says so; it does not end by it."""
    (said,) = PySparkCode(code=code).cautions()
    assert said.startswith("the code is no Python")


def test_a_regular_expression_in_code_is_no_fault() -> None:
    """Python warns of its back-slash alone."""
    assert PySparkCode(code=r"df = df.filter(df.a.rlike('\d'))").cautions() == ()
