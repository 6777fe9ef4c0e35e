"""The difference of two flows is what a person changed, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.wrangle.differing import What, diff
from penstock.wrangle.flow import Destination, Flow, Input, Node, Refused
from penstock.wrangle.operators.joining import Join
from penstock.wrangle.operators.scaling import Scale, Scaler
from penstock.wrangle.operators.splitting import DataSet
from penstock.wrangle.source import Source


def _chain(names: Sequence[str]) -> Flow:
    """A source and a step for each name, one after another."""
    nodes = [Node("in", Source("claims", path="claims.csv"))]
    for name in names:
        nodes.append(Node(name, Scale(columns=(name,)), (Input(nodes[-1].id),)))
    return Flow("test", tuple(nodes))


def _said(before: Flow, after: Flow) -> list[str]:
    return [
        f"{one.what.value} {(one.after or one.before).id}"  # type: ignore[union-attr]  # one is there
        for one in diff(before, after)
    ]


@pytest.mark.shows("8.5")
def test_added_removed_and_moved() -> None:
    """What reads another for what was put in or taken out between has not moved."""
    flow = _chain("abcd")
    assert _said(flow, flow) == []
    assert _said(flow, _chain("abxcd")) == ["added x"]
    assert _said(flow, _chain("acd")) == ["removed b"]
    assert _said(flow, _chain("acbd")) == ["moved b"]
    assert _said(flow, _chain("bcda")) == ["moved a"]
    assert _said(flow, _chain("dxab")) == ["removed c", "moved d", "added x"]
    assert _said(flow, _chain("cdab")) == ["moved a"]  # and b with it
    (moved,) = diff(flow, _chain("bcda"))
    assert moved.lines == [
        "moved [a] Scale a (standard)",
        "    after: Read claims -> Scale d (standard)",
    ]


@pytest.mark.shows("8.5")
def test_settings_before_and_after() -> None:
    """In the words of the recipe, and setting by setting."""
    before = _chain("ab")
    step = replace(before.nodes[2], does=Scale(columns=("b",), scaler=Scaler.ROBUST, output="c"))
    source = replace(before.nodes[0], does=Source("claims", path="other.csv"))
    (first, second) = diff(before, Flow("test", (source, before.nodes[1], step)))
    assert first.lines == ["changed [in] Read claims", '    path: "claims.csv" -> "other.csv"']
    assert second.lines == [
        "changed [b] Scale b (standard) -> Scale b (robust)",
        '    scaler: "standard" -> "robust"',
        '    output: not set -> "c"',
    ]
    other = replace(before.nodes[2], does=DataSet(name="x"))
    (change,) = diff(before, Flow("test", (*before.nodes[:2], other)))
    assert change.lines[1] == '    operator: "scale" -> "data_set"'
    refused = [
        replace(other, does=Refused("code", "not run"), parameters={"b": {"code": text, "n": 1}})
        for text in ("a = 1\nb = 2", "a = 1\nb = 3\nc = 4")
    ]
    old, new = (Flow("test", (*before.nodes[:2], one)) for one in refused)
    assert diff(old, new)[0].lines[1:] == [
        "    b.code:",
        "      - b = 2",
        "      + b = 3",
        "      + c = 4",
    ]
    named = replace(before.nodes[2], name="scaled")
    (change,) = diff(before, Flow("test", (*before.nodes[:2], named)))
    assert change.settings == (("called", "", "scaled"),)


@pytest.mark.shows("8.5")
def test_ids_made_anew() -> None:
    """Nodes whose ids differ are the same where they do the same and read the same."""
    flow = _chain("abc")
    ids = {one.id: f"new-{one.id}" for one in flow.nodes}
    nodes = tuple(
        replace(one, id=ids[one.id], inputs=tuple(Input(ids[each.node]) for each in one.inputs))
        for one in flow.nodes
    )
    assert diff(flow, Flow("test", nodes)) == []
    changed = replace(nodes[3], does=Scale(columns=("z",)))
    (change,) = diff(flow, Flow("test", (*nodes[:3], changed)))
    assert (change.what, change.settings) == (What.CHANGED, (("columns", ["c"], ["z"]),))


@pytest.mark.shows("8.5")
def test_branches() -> None:
    """A join that reads its sides the other way round has moved; a destination that is new says."""
    two = (Node("l", Source("left")), Node("r", Source("right")))
    join = Node("j", Join(left=("k",)), (Input("l"), Input("r")))
    out = Node("o", Destination("s3://b/x"), (Input("j"),))
    before = Flow("test", (*two, join, out))
    turned = replace(join, inputs=join.inputs[::-1])
    assert _said(before, Flow("test", (*two, turned, out))) == ["moved j"]
    further = replace(out, does=Destination("s3://b/y"))
    (change,) = diff(before, Flow("test", (*two, join, further)))
    assert change.settings == (("path", "s3://b/x", "s3://b/y"),)
    # The order of nodes in the file means nothing.
    assert diff(before, Flow("test", (out, join, *two[::-1]))) == []


@pytest.mark.shows("8.5")
@given(st.permutations("abcdef"), st.permutations("abcdef"), st.integers(0, 6), st.integers(0, 6))
def test_every_node_is_told_of_once(
    one: Sequence[str], two: Sequence[str], some: int, more: int
) -> None:
    """Added and removed are those of one flow alone; no moves where the common order is kept."""
    before, after = one[:some], two[:more]
    changes = diff(_chain(before), _chain(after))
    told = [(change.what, (change.after or change.before).id) for change in changes]  # type: ignore[union-attr]  # one is there
    assert len(set(told)) == len(told)
    added = {id_ for what, id_ in told if what is What.ADDED}
    removed = {id_ for what, id_ in told if what is What.REMOVED}
    # A node that does the same in the same place under another id is changed, not replaced.
    assert added <= set(after) - set(before)
    assert removed <= set(before) - set(after)
    assert len(removed) - len(added) == len(set(before)) - len(set(after))
    common = [each for each in before if each in after]
    kept = [each for each in after if each in before]
    moved = {id_ for what, id_ in told if what is What.MOVED}
    assert bool(moved) == (common != kept)
    assert len(moved) < max(len(common), 1)


@pytest.mark.shows("8.5")
def test_ids_made_anew_and_a_step_put_in() -> None:
    """What follows a new step is found again by what it does, where the ids do not tell."""
    flow, longer = _chain("abc"), _chain("axbc")
    nodes = tuple(
        replace(one, id=f"n{one.id}", inputs=tuple(Input(f"n{each.node}") for each in one.inputs))
        for one in longer.nodes
    )
    assert _said(flow, Flow("test", nodes)) == ["added nx"]
