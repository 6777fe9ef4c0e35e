"""The graph of a flow: order, circles, results, and what names mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.wrangle import document
from penstock.wrangle.flow import Analysis, Destination, Flow, Input, Node, Refused
from penstock.wrangle.operators.scaling import Scale
from penstock.wrangle.source import Source

_STEP = Scale(columns=("a",))


def _node(name: str, *inputs: str, does: object = _STEP) -> Node:
    return Node(name, does, tuple(Input(one) for one in inputs))  # type: ignore[arg-type]  # tests give any


def _flow(*nodes: Node) -> Flow:
    return Flow("f.flow", nodes)


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_each_comes_after_what_it_reads(count: int, random: object) -> None:
    """Whatever the order of the file; each once."""
    nodes = [
        _node(str(n), *{str(random.randrange(n)) for _ in range(2)})  # type: ignore[attr-defined]  # a Random
        if n
        else _node("0", does=Source("s"))
        for n in range(count)
    ]
    random.shuffle(nodes)  # type: ignore[attr-defined]  # as above
    order = [one.id for one in _flow(*nodes).order()]
    assert sorted(order) == sorted(one.id for one in nodes)
    place = {name: n for n, name in enumerate(order)}
    assert all(place[each.node] < place[one.id] for one in nodes for each in one.inputs)


def test_a_chain_of_thousands() -> None:
    """No recursion: a long flow is no deep stack."""
    nodes = [_node(str(n), str(n + 1)) for n in range(5_000)]
    flow = _flow(*nodes, _node("5000", does=Source("s")))
    assert [one.id for one in flow.order()][:2] == ["5000", "4999"]


def test_a_circle_is_told() -> None:
    """With its nodes."""
    with pytest.raises(UsageError, match="a -> b -> a"):
        _flow(_node("a", "b"), _node("b", "a"))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ((_node("a", "z"),), "reads 'z', which is not there"),
        ((_node("a", does=Source("s")), _node("a", does=Source("s"))), "two nodes are called 'a'"),
    ],
)
def test_what_is_no_graph(nodes: tuple[Node, ...], said: str) -> None:
    """One line says which node."""
    with pytest.raises(UsageError, match=said):
        _flow(*nodes)


def test_results_and_their_names() -> None:
    """What nobody reads on is a result; analyses and destinations read without changing."""
    source = _node("0", does=Source("s"))
    look = _node("look", "a", does=Analysis("histogram"))
    two = _flow(source, _node("a", "0"), _node("b", "0"), look)
    assert two.results == (Input("a"), Input("b"))
    with pytest.raises(UsageError, match=r"2 nodes are results\. Choose with --node: a, b"):
        two.result()
    assert two.result("b") == Input("b")
    assert two.result("look") == Input("a")
    with pytest.raises(UsageError, match="no node 'c'"):
        two.result("c")
    wrote = _flow(source, _node("a", "0"), _node("b", "0"), _node("d", "b", does=Destination("x")))
    assert wrote.result() == Input("b")


def test_a_step_that_is_refused_is_a_result() -> None:
    """What it reads is none: running the flow must not give that in its place."""
    source, refused = _node("0", does=Source("s")), Refused("sagemaker.spark.new_0.1", "unknown")
    flow = _flow(source, _node("a", "0"), _node("b", "a", does=refused))
    assert flow.result() == Input("b")
    assert _flow(source, _node("b", "0", does=refused), _node("a", "b")).result() == Input("a")


def test_our_yaml() -> None:
    """A step reads the one before it, or what it says."""
    flow = document.parse(
        b"""
sources:
  claims: {path: claims.csv}
  old: {group: claims_history, as_of: 2013-06-01T00:00:00Z}
steps:
  - scale: {columns: [age], scaler: min_max}
    from: claims
  - scale: {columns: [total]}
    name: last
""",
        "f.yaml",
    )
    assert [one.id for one in flow.nodes] == ["claims", "old", "scale_1", "last"]
    assert flow.node("last").inputs == (Input("scale_1"),)
    assert flow.sources["old"].group == "claims_history"
    assert flow.sources["old"].as_of == "2013-06-01T00:00:00+00:00"
    assert flow.result("last") == Input("last")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no flow"),
        ("sources: {}\nsteps: []", "it has no sources"),
        (
            "sources: {a: {path: x}}\nsteps: [{scael: {}}]",
            "Did you mean scale",
        ),
        (
            "sources: {a: {path: x}}\nsteps: [{scale: {}}]",
            r"step 1 \(scale\): lacks columns\. See 'pen",
        ),
        (
            "sources: {a: {path: x}}\nsteps: [{scale: {column: [b]}}]",
            r"\(scale\): unknown setting 'column'\. Did you mean columns\?",
        ),
        (
            "sources: {a: {path: x}}\nsteps: [{scale: {columns: [b], x: 1}}]",
            r"unknown setting 'x'\. See 'penstock flow steps scale'",
        ),
        (
            "sources: {a: {path: x}}\nsteps: [{scale: {columns: [b], scaler: big}}]",
            r"\(scale\): scaler: must be 'standard', 'robust', 'min_max' or 'max_absolute'\. See",
        ),
        ("sources: {a: {path: x}}\nsteps: [{scale: {}, one: {}}]", "it has 2 operators"),
        ("sources: {a: {path: x, group: y}}", "either a path or a group"),
        ("sources: {a: {path: x, format: xls}}", "format 'xls'. One of csv"),
        ("sources: {a: {path: x, pth: x}}", "unknown 'pth'"),
        ("sources: {a: {path: x, header: maybe}}", "header is 'maybe', which is no true or false"),
        ("sources: {a: {path: x, skip: true}}", "skip is True, which is no whole number"),
        ("sources: {a: {path: [x]}}", r"path is \['x'\], which is no text"),
        ("sources: {a: {path: x, delimiter: 1}}", "delimiter is 1, which is no text"),
        ("sources: {a: {group: x, as_of: 2013-02-30}}", "f.yaml: bad YAML"),
        ("[" * 1_000, "f.yaml: bad YAML"),
        ("sources: {a: [", r"f.yaml:\d+: bad YAML"),
    ],
)
def test_what_is_wrong_with_it(text: str, said: str) -> None:
    """Says which part, and what to write."""
    with pytest.raises(UsageError, match=said):
        document.parse(text.encode(), "f.yaml")
