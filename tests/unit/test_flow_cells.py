"""Cells of a flow's steps share one namespace: names of the flow take none of ours."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from penstock.wrangle.call import Call, Code
from penstock.wrangle.export.steps import Written, written
from penstock.wrangle.flow import Flow, Input, Node
from penstock.wrangle.operators.column_set import DropColumns
from penstock.wrangle.operators.custom_code import PySparkCode
from penstock.wrangle.operators.splitting import Split
from penstock.wrangle.source import Source
from penstock.wrangle.step import Step


def _written(wanted: str, *nodes: Node, state: Mapping[str, Any] | None = None) -> Written:
    flow = Flow("f.flow", nodes)
    calls: dict[Input, Sequence[Call | Code]] = {
        Input(one.id, output): one.does.calls_of(output, state or {})
        for one in nodes
        if isinstance(one.does, Step)
        for output in one.does.outputs
    }
    return written(flow, Input(wanted), calls, flow.sources)


def _source(name: str) -> Node:
    return Node(name, Source(f"{name}.csv", path=f"{name}.csv"))


@pytest.mark.parametrize(
    "name", ["at", "drop_columns", "lake", "conf", "json", "fn", "dict", "list", "class", "Kept"]
)
def test_a_source_takes_no_name_in_use(name: str) -> None:
    """Of our functions, of Python's own, of values that later cells read."""
    found = _written("d", _source(name), Node("d", DropColumns(columns=("a",)), (Input(name),)))
    assert found.variables[Input(name)] == f"{name.lower()}_rows"


def test_outputs_and_sources_have_variables_of_their_own() -> None:
    """Parts whose names differ by signs alone, sources that are called like steps or each other."""
    split = Split(parts={"a b": 0.5, "a-b": 0.25, "A_b": 0.25})
    nodes = (
        _source("step_3"),
        _source("Step 3"),
        Node("x", split, (Input("step_3"),)),
    )
    found = _written("x", *nodes, state={"bounds": [0.5, 0.75]})
    assert len({*found.variables.values()}) == len(found.variables)
    assert all(one.isidentifier() for one in found.variables.values())


@pytest.mark.parametrize(
    ("text", "hides"),
    [
        ("claims = df.groupBy('a').count()\ndf = claims", True),
        ("def at(name):\n    return name", True),
        ("from pyspark.sql.functions import *", True),
        ("import types", True),
        ("rows = df\ndf = rows", False),
    ],
)
def test_code_that_takes_our_names_gives_them_back(text: str, *, hides: bool) -> None:
    """Run with its cell alone: all names are what they were, and its result is there."""
    nodes = (
        _source("claims"),
        Node("d", DropColumns(columns=("a",)), (Input("claims"),)),
        Node("c", PySparkCode(code=text), (Input("d"),)),
    )
    cell = _written("c", *nodes).cells[-1].text
    assert ("globals()" in cell) is hides
    ast.parse(cell)


def test_names_are_what_they_were() -> None:
    """The cell is run: its own names beside ours, ours unchanged."""
    nodes = (
        _source("claims"),
        Node("c", PySparkCode(code="claims = at = 1\ndf = 7\nlen = 2"), (Input("claims"),)),
    )
    scope: dict[str, Any] = {"claims": 5, "at": 6}
    exec(_written("c", *nodes).cells[-1].text, scope)
    assert (scope["claims"], scope["at"], scope["step_2"]) == (5, 6, 7)
    assert scope["len"] is len
