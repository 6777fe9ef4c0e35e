"""A flow told as a recipe: where rows come from, and every step as a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.wrangle.flow import Analysis, Destination, Flow, Input, Node, Refused
from penstock.wrangle.source import Source
from penstock.wrangle.step import DEFAULT, Step

_MADE = re.compile(r"^([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def recipe(flow: Flow) -> list[str]:
    """The lines of the recipe.

    Steps are numbered in the order they run in. A step that goes on from the one above says
    nothing of where it reads; another says from which.
    """
    return [in_line(one) for one in _lines(flow)]


def in_line(text: str) -> str:
    """Text of a flow as a part of one line: what breaks or controls lines is in none.

    A flow is others' text: in a comment of a notebook a line break would begin code, and a terminal
    would do what control characters say.
    """
    return "".join(one if one.isprintable() else " " if one.isspace() else "\ufffd" for one in text)


def _lines(flow: Flow) -> Iterator[str]:
    order = [one for one in flow.order() if isinstance(one.does, (Source, Step, Refused))]
    numbers: dict[str, str] = {}
    yield f"{flow.name}: {_count(order, Source, 'source')}, {_count(order, Step, 'step')}"
    yield ""
    yield "Take"
    for node in order:
        if isinstance(node.does, Source):
            numbers[node.id] = node.does.name or short(node)
            yield f"  {numbers[node.id]}: {_origin(node.does)}"
    yield ""
    above = ""
    for node in order:
        if isinstance(node.does, Source):
            continue
        numbers[node.id] = f"step {len(numbers) + 1 - len(flow.sources)}"
        yield from _step(flow, node, numbers, above)
        above = node.id
    yield from _ends(flow, numbers)


def _step(flow: Flow, node: Node, numbers: dict[str, str], above: str) -> Iterator[str]:
    goes_on = [one.node for one in node.inputs] == [above]
    if not goes_on:
        yield f"From {' and '.join(place(flow, one, numbers) for one in node.inputs)}"
    number = numbers[node.id].removeprefix("step ")
    said = sentence(node)
    name = f" — {node.name}" if node.name and node.name not in said else ""
    yield f"  {number:>3}. {said}{name} [{short(node)}]"


def _ends(flow: Flow, numbers: dict[str, str]) -> Iterator[str]:
    yield ""
    for node in flow.nodes:
        if isinstance(node.does, Destination) and node.inputs:
            yield f"Write {place(flow, node.inputs[0], numbers)} to {node.does.path or 'a file'}"
    seen = [one for one in flow.nodes if isinstance(one.does, Analysis)]
    if seen:
        names = sorted({one.does.name for one in seen if isinstance(one.does, Analysis)})
        yield f"Not run: {len(seen)} analyses ({', '.join(names)})"


def sentence(node: Node) -> str:
    """What a node does, in one line."""
    return in_line(_sentence(node))


def _sentence(node: Node) -> str:
    if isinstance(node.does, Step):
        return node.does.sentence()
    if isinstance(node.does, Source):
        return f"Read {node.does.name}"
    if isinstance(node.does, Refused):
        return f"{node.does.operator}: not run: {node.does.reason}"
    return type(node.does).__name__


def place(flow: Flow, one: Input, numbers: dict[str, str]) -> str:
    """How the recipe names an output."""
    name = numbers.get(one.node) or short(flow.node(one.node))
    return name if one.output == DEFAULT else f"{name} ({one.output})"


def short(node: Node) -> str:
    """A node's id, or as much of a generated one as tells it from others."""
    made = _MADE.match(node.id)
    return made[1] if made else in_line(node.id)


def _origin(source: Source) -> str:
    if source.group:
        when = f"as of {source.as_of}" if source.as_of else "the latest of each record"
        return f"feature group {source.group}, {when}"
    if source.service:
        query = " ".join(source.query.split())
        return f"{source.service}: {query[:200]}"
    return f"{source.path} ({source.format})"


def _count(nodes: list[Node], kind: type, word: str) -> str:
    count = sum(isinstance(one.does, kind) for one in nodes)
    return f"{count} {word}{'' if count == 1 else 's'}"
