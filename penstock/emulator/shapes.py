"""Checks and rendering derived from a botocore service model, so that no shape is typed by hand.

A check is a closure per shape, built once: required members, types, lengths, ranges, enums and
patterns. Problems come out as the service words them. Unknown members are problems too: a client
that misspells one should hear of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from penstock.emulator.refusal import Refusal

#: (value, path, problems): appends to problems what is wrong with the value at the path.
Check = Callable[[Any, str, list[str]], None]

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "blob": (str,),
}
_UTF16_PAIRS = r"\uD800\uDC00-\uDBFF\uDFFF"


class Shapes:
    """The shapes of one service.

    Args:
        model: The ``shapes`` of botocore's service model.
        special: Checks that stand in for those of the named shapes.
    """

    def __init__(
        self, model: Mapping[str, Any], special: Mapping[str, Check] | None = None
    ) -> None:
        self._model = model
        self._checks: dict[str, Check] = dict(special or {})

    def validate(self, shape: str, value: object, code: str) -> None:
        """Raise a Refusal with ``code`` when the value does not have the shape."""
        problems: list[str] = []
        self.check(shape)(value, "", problems)
        if problems:
            plural = "s" if len(problems) > 1 else ""
            text = f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"
            raise Refusal(code, text[:2048])

    def check(self, shape: str) -> Check:
        """The check of a shape; members that refer back are looked up when they are met."""
        found = self._checks.get(shape)
        if found is None:
            self._checks[shape] = self._later(shape)
            found = self._checks[shape] = self._build(self._model[shape])
        return found

    def _later(self, shape: str) -> Check:
        def check(value: Any, path: str, problems: list[str]) -> None:
            self._checks[shape](value, path, problems)

        return check

    def render(self, shape: str, value: Any) -> Any:
        """The JSON value of an answer: members of the shape only, timestamps as epoch seconds."""
        if value is None:
            return None
        model = self._model[shape]
        kind = model["type"]
        if kind == "structure":
            return {
                name: self.render(member["shape"], value[name])
                for name, member in model["members"].items()
                if value.get(name) is not None
            }
        if kind == "list":
            return [self.render(model["member"]["shape"], item) for item in value]
        if isinstance(value, datetime):
            return value.timestamp()
        return value

    def _build(self, model: Mapping[str, Any]) -> Check:
        kind = model["type"]
        if kind == "structure":
            return self._structure(model)
        if kind == "list":
            return _list(self.check(model["member"]["shape"]), *_bounds(model))
        if kind == "map":
            return _map(
                self.check(model["key"]["shape"]), self.check(model["value"]["shape"]), model
            )
        if kind == "string":
            return _string(model)
        return _scalar(_PYTHON[kind], model)

    def _structure(self, model: Mapping[str, Any]) -> Check:
        members = {
            name: (self.check(member["shape"]), name[0].lower() + name[1:])
            for name, member in model["members"].items()
        }
        required = tuple(model.get("required", ()))

        def check(value: Any, path: str, problems: list[str]) -> None:
            if type(value) is not dict:
                problems.append(_problem(path, "Member must be a structure"))
                return
            prefix = f"{path}." if path else ""
            for name, item in value.items():
                if name not in members:
                    problems.append(_problem(prefix + name, "Member is not known"))
                elif item is not None:
                    members[name][0](item, prefix + members[name][1], problems)
            problems += [
                _problem(prefix + members[name][1], "Member must not be null")
                for name in required
                if value.get(name) is None
            ]

        return check


def _problem(path: str, constraint: str) -> str:
    return f"Value at '{path}' failed to satisfy constraint: {constraint}"


def _bounds(model: Mapping[str, Any]) -> tuple[float, float]:
    return model.get("min", 0), model.get("max", float("inf"))


def _list(item_check: Check, low: float, high: float) -> Check:
    def check(value: Any, path: str, problems: list[str]) -> None:
        if type(value) is not list:
            problems.append(_problem(path, "Member must be a list"))
        elif not low <= len(value) <= high:
            text = f"Member must have length between {low} and {high}"
            problems.append(_problem(path, text))
        else:
            for index, item in enumerate(value, 1):
                item_check(item, f"{path}.{index}.member", problems)

    return check


def _map(key_check: Check, value_check: Check, model: Mapping[str, Any]) -> Check:
    low, high = _bounds(model)

    def check(value: Any, path: str, problems: list[str]) -> None:
        if type(value) is not dict:
            problems.append(_problem(path, "Member must be a map"))
            return
        if not low <= len(value) <= high:
            problems.append(_problem(path, f"Member must have size between {low} and {high}"))
        for key, item in value.items():
            key_check(key, path, problems)
            value_check(item, f"{path}.{key}", problems)

    return check


def _string(model: Mapping[str, Any]) -> Check:
    low, high = _bounds(model)
    enum = frozenset(model["enum"]) if "enum" in model else None
    pattern = _pattern(model.get("pattern"))

    def check(value: Any, path: str, problems: list[str]) -> None:
        if type(value) is not str:
            problems.append(_problem(path, "Member must be a string"))
        elif enum is not None:
            if value not in enum:
                text = f"Member must satisfy enum value set: [{', '.join(sorted(enum))}]"
                problems.append(_problem(path, text))
        elif not low <= len(value) <= high:
            text = f"Member must have length between {low} and {high}"
            problems.append(_problem(path, text))
        elif pattern is not None and pattern.fullmatch(value) is None:
            text = f"Member must satisfy regular expression pattern: {model['pattern']}"
            problems.append(_problem(path, text))

    return check


def _pattern(text: str | None) -> re.Pattern[str] | None:
    """Java's patterns; those with Unicode classes have no equal in ``re`` and are left out."""
    if text is None or text in {".*", "^.*$"} or r"\p{" in text:
        return None
    try:
        return re.compile(text.replace(_UTF16_PAIRS, "\U00010000-\U0010ffff"), re.DOTALL)
    except re.error:
        return None


def _scalar(types: tuple[type, ...], model: Mapping[str, Any]) -> Check:
    low, high = model.get("min", float("-inf")), model.get("max", float("inf"))
    numeric = int in types

    def check(value: Any, path: str, problems: list[str]) -> None:
        if type(value) not in types:
            problems.append(_problem(path, f"Member must be of type {model['type']}"))
        elif numeric and not low <= value <= high:
            problems.append(_problem(path, f"Member must be between {low} and {high}"))

    return check
