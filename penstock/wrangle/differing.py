"""What changed between two flows, in the words of the recipe.

Nodes are the same by their id; those whose ids are not in both, by what they do and what they read.
A step that reads another because one between was added or removed has not moved.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import ndiff
from enum import Enum

from penstock.wrangle.call import Value
from penstock.wrangle.explaining import in_line, sentence, short
from penstock.wrangle.flow import Analysis, Destination, Flow, Input, Node, Refused
from penstock.wrangle.source import Source
from penstock.wrangle.step import Step


class What(Enum):
    """What happened to a node."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(frozen=True)
class Change:
    """One change of one node.

    Args:
        what: What happened.
        before: The node as it was; None where it was added.
        after: The node as it is; None where it was removed.
        settings: Of a change: name, value before, value after.
        reads: Of a move: what it read before, and reads now, as sentences.
    """

    what: What
    before: Node | None
    after: Node | None
    settings: tuple[tuple[str, Value, Value], ...] = ()
    reads: tuple[str, str] = ("", "")

    @property
    def lines(self) -> list[str]:
        """In the words of the recipe."""
        return [in_line(one) for one in self._lines]

    @property
    def _lines(self) -> list[str]:
        node = self.after or self.before
        assert node is not None  # one of them is there
        first = f"{self.what.value} [{short(node)}] {_words(node)}"
        if self.what is What.MOVED:
            return [first, f"    after: {self.reads[0]} -> {self.reads[1]}"]
        was = _words(self.before) if self.before else ""
        if self.what is What.CHANGED and was != _words(node):
            first = f"{self.what.value} [{short(node)}] {was} -> {_words(node)}"
        return [first, *(f"    {line}" for one in self.settings for line in _changed(*one))]


def diff(before: Flow, after: Flow) -> list[Change]:
    """All changes: removed, then in the order of the newer flow what was added, changed or moved.

    Two changes where a node was changed and moved. What steps learnt is not compared.
    """
    pairs = _pairs(before, after)
    old = {theirs: ours for ours, theirs in pairs.items()}
    moved = _moved(before, after, pairs)
    removed = [one for one in before.order() if one.id not in pairs]
    changes = [Change(What.REMOVED, one, None) for one in removed]
    for node in after.order():
        if node.id not in old:
            changes.append(Change(What.ADDED, None, node))
            continue
        was = before.node(old[node.id])
        settings = tuple(_settings(was, node))
        if settings:
            changes.append(Change(What.CHANGED, was, node, settings))
        if was.id in moved:
            reads = _reads(before, was), _reads(after, node)
            changes.append(Change(What.MOVED, was, node, reads=reads))
    return changes


def _pairs(before: Flow, after: Flow) -> dict[str, str]:
    """Ids of nodes that are the same, old → new.

    First those of one id; then, until there are no more, those of one kind that read the same and
    are told the same, that are told the same, that read the same.
    """
    newer = {one.id for one in after.nodes}
    pairs = {one.id: one.id for one in before.nodes if one.id in newer}
    count = -1
    while len(pairs) > count:
        count = len(pairs)
        for alike in (_all_same, _told_same, _reads_same):
            for node in before.order():
                taken = set(pairs.values())
                free = [one for one in after.order() if one.id not in taken]
                like = [
                    one for one in free if _kind(one) == _kind(node) and alike(node, one, pairs)
                ]
                if like and node.id not in pairs:
                    pairs[node.id] = min(like, key=lambda one: len(list(_settings(node, one)))).id
    return pairs


def _all_same(old: Node, new: Node, pairs: Mapping[str, str]) -> bool:
    return _reads_same(old, new, pairs) and _told_same(old, new, pairs)


def _reads_same(old: Node, new: Node, pairs: Mapping[str, str]) -> bool:
    return list(new.inputs) == [Input(pairs.get(one.node, ""), one.output) for one in old.inputs]


def _told_same(old: Node, new: Node, pairs: Mapping[str, str]) -> bool:  # noqa: ARG001 - as above
    return not list(_settings(old, new))


def _kind(node: Node) -> str:
    """What a node is; of a source, which."""
    does = node.does
    if isinstance(does, Step):
        return does.kind
    if isinstance(does, (Source, Analysis)):
        return f"{type(does).__name__} {does.name}"
    return f"Refused {does.operator}" if isinstance(does, Refused) else type(does).__name__


def _settings(before: Node, after: Node) -> Iterator[tuple[str, Value, Value]]:
    if _operator(before) != _operator(after):
        yield "operator", _operator(before), _operator(after)
        return
    old, new = _plain(before), _plain(after)
    for key in sorted(old.keys() | new.keys(), key=[*old, *new].index):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _operator(node: Node) -> str:
    return node.does.kind if isinstance(node.does, Step) else type(node.does).__name__


def _plain(node: Node) -> Mapping[str, Value]:
    """A node's settings by name."""
    does = node.does
    if isinstance(does, Refused):
        return {"called": node.name, **node.parameters}
    if isinstance(does, Step):
        return {"called": node.name, **json.loads(does.model_dump_json())}
    found = asdict(does)
    settings = found.pop("settings", {})  # a source has none
    if isinstance(does, Destination) and "output_path" in settings:
        found.pop("path")  # the same
    called = {} if isinstance(does, Analysis) else {"called": node.name}
    return {**called, **found, **settings}


def _moved(before: Flow, after: Flow, pairs: Mapping[str, str]) -> set[str]:
    """Old ids of nodes that read others than before, as few as explain it.

    What follows such a node as it did before went along, and is not told of.
    """
    order = {one.id: n for n, one in enumerate(after.order())}
    common = [one.id for one in before.order() if one.id in pairs]
    kept = _rising([order[pairs[one]] for one in common])
    steady = {common[n] for n in kept}
    gone = {one.id for one in before.nodes} - pairs.keys()
    new = {one.id for one in after.nodes} - set(pairs.values())

    def reads_alike(node: str, moved: set[str]) -> bool:
        old = _through(before, node, gone | moved)
        known = [Input(pairs.get(one.node, ""), one.output) for one in old]
        return known == _through(after, pairs[node], new | {pairs[one] for one in moved})

    heads: set[str] = set()
    moved: set[str] = set()
    while True:
        differ = [
            one
            for one in common
            if one not in moved and not reads_alike(one, set()) and not reads_alike(one, moved)
        ]
        if not differ:
            return heads
        heads.add(next((one for one in differ if one not in steady), differ[0]))
        moved |= heads
        for one in common:  # in the order they run: what follows one that moved went along with it
            follows = {each.node for each in before.node(one).inputs} & moved
            if follows and one not in steady and reads_alike(one, set()):
                moved.add(one)


def _through(flow: Flow, node: str, skipped: set[str]) -> list[Input]:
    """What a node reads, through nodes that are skipped: each by its first input."""
    found = []
    for one in flow.node(node).inputs:
        read = one
        while read.node in skipped:
            inputs = flow.node(read.node).inputs
            if not inputs:
                break
            read = inputs[0]
        found.append(Input("") if read.node in skipped else read)
    return found


def _rising(numbers: list[int]) -> list[int]:
    """Places of the longest run of rising numbers, leaving others out."""
    tails: list[int] = []
    places: list[int] = []
    before: list[int] = []
    for n, number in enumerate(numbers):
        at = bisect_left(tails, number)
        tails[at : at + 1] = [number]
        places[at : at + 1] = [n]
        before.append(places[at - 1] if at else -1)
    found = [places[-1]] if places else []
    while found and before[found[-1]] >= 0:
        found.append(before[found[-1]])
    return found[::-1]


def _reads(flow: Flow, node: Node) -> str:
    return " and ".join(_words(flow.node(one.node)) for one in node.inputs) or "nothing"


def _words(node: Node) -> str:
    """What a node does; of what is no step, what it is for."""
    if isinstance(node.does, Analysis):
        return f"Analyse: {node.does.name}"
    if isinstance(node.does, Destination):
        return f"Write to {node.does.path or 'a file'}"
    return sentence(node)


def _changed(key: str, before: Value, after: Value) -> Iterator[str]:
    """One setting: parts of a mapping one by one; of text of several lines, the lines."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for part in {**before, **after}:
            if before.get(part) != after.get(part):
                yield from _changed(f"{key}.{part}", before.get(part), after.get(part))
    elif "\n" in f"{before}{after}" and isinstance(before, str) and isinstance(after, str):
        yield f"{key}:"
        lines = ndiff(before.splitlines(), after.splitlines())
        yield from (f"  {one}" for one in lines if one.startswith(("+ ", "- ")))
    else:
        yield f"{key}: {_said(before)} -> {_said(after)}"


def _said(value: Value) -> str:
    return "not set" if value in (None, "") else json.dumps(value, ensure_ascii=False)
