"""The graph of a flow: nodes, what they read, and the order to run them in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.errors import UsageError
from penstock.wrangle.call import Value
from penstock.wrangle.source import Source
from penstock.wrangle.step import DEFAULT, Step


@dataclass(frozen=True)
class Input:
    """What a node reads: another node's output."""

    node: str
    output: str = DEFAULT


@dataclass(frozen=True)
class Destination:
    """Where a flow says its rows go. Running a flow writes where ``--output`` says instead.

    Args:
        path: As written in the flow.
        settings: The rest, as written.
    """

    path: str
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """A visualisation. Nothing reads it, and running a flow passes it by.

    Args:
        name: Operator, such as ``histogram``.
        settings: As written.
    """

    name: str
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A node that penstock does not run; only what needs it fails.

    Args:
        operator: As written.
        reason: Why, and what to do.
    """

    operator: str
    reason: str


@dataclass(frozen=True)
class Node:
    """A node.

    Args:
        id: Unique in the flow.
        does: What it is.
        inputs: In their order: of a join, left and right.
        name: What people call it; may be empty.
        parameters: Of a ``.flow`` file, as written there.
        trained: State stored in a ``.flow`` file, as written there.
    """

    id: str
    does: Step | Source | Destination | Analysis | Refused
    inputs: tuple[Input, ...] = ()
    name: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    trained: Mapping[str, Value] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.name} ({self.id})" if self.name else self.id


@dataclass(frozen=True)
class Flow:
    """A flow: nodes in the order of its file, which need not be the order to run them in.

    Args:
        name: Its file's name, for messages.
        nodes: All of them.
        warnings: What reading it found odd, a sentence each.

    Raises:
        UsageError: Two nodes of one id, an input or output that is not there, or a circle.
    """

    name: str
    nodes: tuple[Node, ...]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[str, Node] = {}
        for node in self.nodes:
            if node.id in seen:
                raise UsageError(f"{self.name}: two nodes are called {node.id!r}")
            seen[node.id] = node
        for node in self.nodes:
            for one in node.inputs:
                if one.node not in seen:
                    raise UsageError(
                        f"{self.name}: node {node.label} reads {one.node!r}, which is not there"
                    )
                self._check(node, one, seen[one.node])
        self.order()

    def _check(self, node: Node, read: Input, one: Node) -> None:
        """What it reads is one of the other's outputs."""
        if isinstance(one.does, Step) and read.output not in one.does.outputs:
            raise UsageError(
                f"{self.name}: node {node.label} reads {read.output!r} of {one.label}",
                f"That has: {', '.join(one.does.outputs)}",
            )

    def node(self, name: str) -> Node:
        """A node by its id, the beginning of it, or its name.

        Raises:
            UsageError: None, or several; lists them.
        """
        exact = [one for one in self.nodes if name in (one.id, one.name)]
        found = exact or [one for one in self.nodes if name and one.id.startswith(name)]
        if len(found) != 1:
            known = ", ".join(one.label for one in self.nodes)
            what = "no node" if not found else f"{len(found)} nodes"
            raise UsageError(f"{self.name}: {what} {name!r}", f"Its nodes: {known}")
        return found[0]

    def order(self, wanted: Iterable[str] = ()) -> tuple[Node, ...]:
        """Nodes so that each comes after what it reads; else as in the file.

        Args:
            wanted: Ids of nodes: only these and what they need. All where there are none.

        Raises:
            UsageError: A circle; says through which nodes.
        """
        by_id = {one.id: one for one in self.nodes}
        done: dict[str, Node] = {}
        for start in tuple(wanted) or tuple(by_id):
            self._walk(by_id, start, done)
        return tuple(done.values())

    def _walk(self, by_id: Mapping[str, Node], start: str, done: dict[str, Node]) -> None:
        """Depth first, without recursion: flows have chains of a hundred steps and more."""
        path: list[str] = [start]
        while path:
            node = by_id[path[-1]]
            nexts = [one.node for one in node.inputs if one.node not in done]
            if not nexts:
                done[node.id] = node
                path.pop()
                continue
            if nexts[0] in path:
                circle = " -> ".join([*path[path.index(nexts[0]) :], nexts[0]])
                raise UsageError(f"{self.name}: nodes read each other in a circle: {circle}")
            path.append(nexts[0])

    @property
    def sources(self) -> dict[str, Source]:
        """Where rows come from, by the id of its node."""
        return {one.id: one.does for one in self.nodes if isinstance(one.does, Source)}

    @property
    def results(self) -> tuple[Input, ...]:
        """Outputs of steps and sources that no other step reads, in the order of the file.

        Destinations and analyses read without changing: what they read still is a result. A step
        that penstock refuses is one: what it would have made is not what it reads.
        """
        read = {
            (one.node, one.output)
            for node in self.nodes
            if isinstance(node.does, (Step, Refused))
            for one in node.inputs
        }
        found = [
            Input(node.id, output)
            for node in self.nodes
            if isinstance(node.does, (Step, Source, Refused))
            for output in (node.does.outputs if isinstance(node.does, Step) else (DEFAULT,))
        ]
        return tuple(one for one in found if (one.node, one.output) not in read)

    def result(self, name: str = "") -> Input:
        """The output to compute: a node by name, with ``NODE.OUTPUT`` for one of several outputs.

        Without a name, what a destination reads where there is one, else the only result.

        Raises:
            UsageError: Several could be meant; lists them.
        """
        if name:
            return self._named(name)
        written = {
            one for node in self.nodes if isinstance(node.does, Destination) for one in node.inputs
        }
        found = tuple(written) if len(written) == 1 else self.results
        if len(found) != 1:
            known = ", ".join(
                one.node + (f".{one.output}" if one.output != DEFAULT else "") for one in found
            )
            raise UsageError(
                f"{self.name}: {len(found)} nodes are results", f"Choose with --node: {known}"
            )
        return found[0]

    def _named(self, name: str) -> Input:
        whole = [one for one in self.nodes if name in (one.id, one.name)]
        base, _, output = (name, "", "") if whole else name.partition(".")
        node = self.node(base)
        if isinstance(node.does, (Destination, Analysis)):
            return node.inputs[0]
        there = node.does.outputs if isinstance(node.does, Step) else (DEFAULT,)
        if output and output not in there:
            raise UsageError(
                f"{self.name}: node {node.label} has no output {output!r}",
                f"It has: {', '.join(there)}",
            )
        if not output and len(there) > 1:
            raise UsageError(
                f"{self.name}: node {node.label} has {len(there)} outputs",
                f"Choose with --node: {', '.join(f'{base}.{one}' for one in there)}",
            )
        return Input(node.id, output or there[0])
