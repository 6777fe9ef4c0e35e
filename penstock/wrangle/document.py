"""Our YAML of flows.

    sources:
      claims: {path: data/claims.csv}
      history: {group: flight_status, as_of: "2013-06-01T00:00:00Z"}
    steps:
      - infer_types: {}
        from: claims
      - fill_missing: {columns: [age], value: 0}      # of the step before
        name: clean
      - join: {left: [id], right: [id], how: left}
        from: [clean, history]

A step reads the one before it unless ``from`` names others; ``from: split.train`` names one of
several outputs. Steps without a name are called after what they do and their place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from penstock.errors import UsageError
from penstock.wrangle import catalogue, data_wrangler
from penstock.wrangle.call import Value
from penstock.wrangle.flow import Flow, Input, Node
from penstock.wrangle.misfit import misfit
from penstock.wrangle.source import FORMATS, Source
from penstock.wrangle.step import DEFAULT, Step

_MOST_BYTES = 1 << 20
_SOURCE_KEYS = {one.name for one in fields(Source)} - {"name", "service", "query"}
#: What is no text.
_KINDS: dict[str, type] = {
    **dict.fromkeys(("header", "multiline", "nested", "filename"), bool),
    "skip": int,
}
_WORDS: dict[type, str] = {str: "text", bool: "true or false", int: "whole number"}
#: Beside a step's own name.
_STEP_KEYS = {"name", "from"}


def load(path: Path) -> Flow:
    """The flow of a file: Data Wrangler's where it ends in ``.flow``, else our YAML.

    Raises:
        UsageError: No such file, or it is no flow; says where.
    """
    try:
        return parse(path.read_bytes(), path.name)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def parse(text: bytes, name: str) -> Flow:
    """The flow of a file's content.

    Raises:
        UsageError: It is none; says where.
    """
    if name.endswith(".flow"):
        return data_wrangler.parse(text, name)
    if len(text) > _MOST_BYTES:
        raise UsageError(f"{name}: larger than {_MOST_BYTES} bytes", "Keep data out of flows")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or "does not parse"
        raise UsageError(f"{place}: bad YAML: {problem}") from error
    except (ValueError, RecursionError) as error:  # such as 2013-02-30, which YAML takes for a date
        raise UsageError(f"{name}: bad YAML: {error}") from error
    return of(document, name)


def of(document: Value, name: str) -> Flow:
    """The flow of a parsed document.

    Raises:
        UsageError: It is none; says which part.
    """
    if not isinstance(document, Mapping):
        raise UsageError(f"{name}: no flow: it has no sources and steps")
    _no_others(name, document, {"sources", "steps"})
    sources = document.get("sources") or {}
    steps = document.get("steps") or []
    if not isinstance(sources, Mapping) or not isinstance(steps, list):
        raise UsageError(f"{name}: sources go by name, steps are a list")
    nodes = [_source(name, str(key), one) for key, one in sources.items()]
    if not nodes:
        raise UsageError(f"{name}: it has no sources", "Add sources: {NAME: {path: FILE}}")
    for number, one in enumerate(steps, start=1):
        nodes.append(_step(name, number, one, nodes))
    return Flow(name, tuple(nodes))


def _source(flow: str, name: str, written: Value) -> Node:
    place = f"{flow}: source {name!r}"
    if not isinstance(written, Mapping):
        raise UsageError(f"{place}: neither {{path: …}} nor {{group: …}}")
    _no_others(place, written, _SOURCE_KEYS)
    settings: dict[str, Any] = dict(written)
    if bool(settings.get("path")) == bool(settings.get("group")):
        raise UsageError(f"{place}: it needs either a path or a group")
    as_of = settings.get("as_of", "")
    settings["as_of"] = as_of.isoformat() if isinstance(as_of, date) else str(as_of)
    for key, value in settings.items():
        wanted = _KINDS.get(key, str)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise UsageError(f"{place}: {key} is {value!r}, which is no {_WORDS[wanted]}")
    suffix = str(settings.get("path", "")).rsplit(".", 1)[-1]
    settings.setdefault("format", suffix if suffix in FORMATS else "csv")
    if settings["format"] not in FORMATS:
        raise UsageError(f"{place}: format {settings['format']!r}", f"One of {', '.join(FORMATS)}")
    return Node(name, Source(name=name, **settings))


def _step(flow: str, number: int, written: Value, before: Sequence[Node]) -> Node:
    place = f"{flow}: step {number}"
    if not isinstance(written, Mapping):
        raise UsageError(f"{place}: a step is a mapping such as {{drop_columns: {{columns: [a]}}}}")
    own = [key for key in written if key not in _STEP_KEYS]
    if len(own) != 1:
        raise UsageError(f"{place}: it has {len(own)} operators ({', '.join(map(str, own))})")
    step = _settings(place, str(own[0]), written[own[0]] or {})
    inputs = written.get("from", before[-1].id)
    known = {one.id for one in before}
    listed = inputs if isinstance(inputs, list) else [inputs]
    return Node(
        str(written.get("name") or f"{own[0]}_{number}"),
        step,
        tuple(_input(str(one), known) for one in listed),
    )


def _settings(place: str, kind: str, settings: Value) -> Step:
    known = catalogue.by_kind()
    if kind not in known:
        near = get_close_matches(kind, known, 3)
        said = f"Did you mean {' or '.join(near)}?" if near else "'penstock flow steps' lists them"
        raise UsageError(f"{place}: no operator {kind!r}", said)
    if not isinstance(settings, Mapping):
        raise UsageError(f"{place} ({kind}): its settings go by name")
    try:
        return known[kind].model_validate(dict(settings))
    except ValidationError as error:
        wrong = misfit(error, known[kind])
        raise UsageError(f"{place} ({kind}): {wrong.message}", wrong.remedy) from error


def _input(text: str, known: Collection[str]) -> Input:
    """A node, whose name may have a dot in it, or one of its outputs."""
    if text in known:
        return Input(text)
    node, _, output = text.rpartition(".") if "." in text else (text, "", "")
    return Input(node, output or DEFAULT)


def _no_others(place: str, written: Mapping[Any, Value], known: set[str]) -> None:
    others = [str(one) for one in written if one not in known]
    if others:
        raise UsageError(
            f"{place}: unknown {', '.join(map(repr, others))}",
            f"Known: {', '.join(sorted(known))}",
        )
