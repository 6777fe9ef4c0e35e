"""What is to be known about a flow before it is trusted: a finding each, gravest first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from penstock.wrangle.explaining import in_line, short
from penstock.wrangle.flow import Destination, Flow, Node, Refused
from penstock.wrangle.source import Source
from penstock.wrangle.step import Stale, Step, stored_in

_BUCKET = re.compile(r"s3[an]?://[^/]+")
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")


class Gravity(Enum):
    """How bad a finding is, the gravest first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        gravity: An error keeps the flow, or a part of it, from running.
        node: Whose; None of the flow as a whole.
        text: What, and what to do.
    """

    gravity: Gravity
    node: Node | None
    text: str

    def __str__(self) -> str:
        where = f"[{short(self.node)}] " if self.node else ""
        return f"{self.gravity.value}: {where}{in_line(self.text)}"


def lint(flow: Flow) -> list[Finding]:
    """All findings; nothing is read or run."""
    found = [Finding(Gravity.WARNING, None, one) for one in flow.warnings]
    for node in flow.nodes:
        found += [Finding(gravity, node, text) for gravity, text in _of_node(node)]
    found += [Finding(Gravity.NOTE, None, one) for one in _of_flow(flow)]
    rank = list(Gravity)
    return sorted(found, key=lambda one: rank.index(one.gravity))


def _of_node(node: Node) -> Iterator[tuple[Gravity, str]]:
    does = node.does
    if isinstance(does, Refused):
        yield Gravity.ERROR, f"{does.operator}: {does.reason}"
    elif isinstance(does, Source):
        yield from _of_source(does)
    elif isinstance(does, Step):
        yield from ((Gravity.WARNING, one) for one in does.cautions())
        if does.holds_code:
            yield Gravity.NOTE, "holds code: it runs only with --allow-code"
        if node.trained and does.fits:
            yield from _of_state(node, does)


def _of_source(source: Source) -> Iterator[tuple[Gravity, str]]:
    if source.service:
        text = f"{source.name} is read from {source.service}: give its rows with --input"
        yield Gravity.WARNING, text
    bucket = _BUCKET.match(source.path)
    if bucket and _ACCOUNT.search(bucket[0]):
        yield Gravity.NOTE, f"{source.path} names an account: 'penstock flow strip' masks it"


def _of_state(node: Node, step: Step) -> Iterator[tuple[Gravity, str]]:
    try:
        stored_in(step, node.trained, node.parameters)
    except Stale as stale:
        yield Gravity.WARNING, f"{stale}: it will be fitted anew, and rows may differ"
    else:
        yield Gravity.NOTE, "stored state is used: it was learnt from a sample, maybe; --refit"


def _of_flow(flow: Flow) -> Iterator[str]:
    ends = [one for one in flow.nodes if isinstance(one.does, Destination)]
    results = len(flow.results)
    if results > 1 and not ends:
        yield f"{results} nodes are results: choose one with --node"
