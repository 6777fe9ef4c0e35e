"""What steps learn: kept only where it can be, and all of it that decides rows is in a meaning."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.wrangle.flow import Flow, Input, Node
from penstock.wrangle.linting import lint
from penstock.wrangle.operators.categories import OneHot
from penstock.wrangle.operators.scaling import Scale
from penstock.wrangle.running import Fitted, kept
from penstock.wrangle.source import Source
from penstock.wrangle.transform import FlowTransform, flow


@pytest.mark.parametrize("figure", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_not_finite(figure: float) -> None:
    """It is said when it is learnt, before any row is written."""
    with pytest.raises(UsageError, match="scale: what it learns is no finite number"):
        kept("scale", {"a": [{"std": figure}]})
    assert kept("scale", {"a": 1.0}) == {"a": 1.0}


def test_identifiers_are_no_numbers_of_categories() -> None:
    """A column for each number up to the greatest would be billions."""
    step = OneHot(columns=("a",), ordinal=True)
    assert step._state({"a": ["2", "0"]})["labels"] == {"a": ["0", "1", "2"]}
    with pytest.raises(UsageError, match="a holds 1999999999, which numbers no category of 2"):
        step._state({"a": ["0", "1999999999"]})


def test_state_of_a_file_is_part_of_the_meaning() -> None:
    """Another stored model makes other rows, so windows that were made with it are stale."""
    step = Node("t", Scale(columns=("a",)), (Input("s"),), trained={"m": 1})

    def meaning(node: Node) -> str:
        whole = Flow("f.flow", (Node("s", Source("s")), node))
        return FlowTransform(whole, Input("t"), Fitted(), {"s": "s"}, code=False).meaning_text

    assert meaning(step) == meaning(step)
    assert meaning(replace(step, trained={"m": 2})) != meaning(step)
    assert meaning(replace(step, trained={})) != meaning(step)


def test_a_flow_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names it."""
    (tmp_path / "lacking_flows").mkdir()
    (tmp_path / "lacking_flows" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="there is no such file in lacking_flows"):
        flow("lacking_flows", "a.yaml")
    sys.modules.pop("lacking_flows")


def test_an_account_is_told_where_strip_masks_it() -> None:
    """In the bucket's name; twelve digits of a key are none."""
    for path, told in (("s3://b-210987654321/x", 1), ("s3://b/210987654321.csv", 0)):
        found = lint(Flow("f.flow", (Node("s", Source("s", path=path)),)))
        assert sum("names an account" in str(one) for one in found) == told


def test_fitted_state_of_another_kind() -> None:
    """Says what to do."""
    for text in ("", "[]", "1", json.dumps({"a": 1}), json.dumps({"a": {"hash": ""}})):
        with pytest.raises(UsageError, match="not what 'penstock flow fit' writes"):
            Fitted.parse(text, "f.json")
