"""Whether a record fits its group: a fast way for good ones, a careful way that says why not.

Both ways accept exactly the same records. The size of a record is the UTF-8 length of its feature
names and values (how the service counts its 350 KB is not documented).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, NamedTuple

from penstock.emulator.instants import number_key, text_key
from penstock.emulator.refusal import Refusal

MAX_IDENTIFIER_BYTES = 2_048  # AWS developer guide, quotas: 2 KB
MAX_RECORD_BYTES = 358_400  # quotas: 350 KB

Key = str | float
dumps = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

_INTEGRAL = re.compile(r"[+-]?[0-9]+")
_FRACTIONAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
#: What is plainly good: few enough digits that neither type can overflow, nothing JSON escapes.
_PLAIN = {
    "Integral": "[+-]?[0-9]{1,18}",
    "Fractional": r"[+-]?[0-9]{1,20}(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?",
    "String": r"[ !#-\[\]-~]*",
}
_QUICK: Mapping[str, Callable[[Any], object] | None] = {
    "Integral": re.compile(_PLAIN["Integral"]).fullmatch,
    "Fractional": re.compile(_PLAIN["Fractional"]).fullmatch,
    "String": None,
}
#: Orders of features that get a plan, per layout, and how many features one may have.
_MAX_PLANS = 64
_MAX_PLANNED = 500
_SAFE_DIGITS = 18  # any such count of digits is below 2**63
_QUICK_IDENTIFIER = MAX_IDENTIFIER_BYTES // 4  # characters that are 2 KB at most


@dataclass(frozen=True)
class Feature:
    """One feature definition: its type, and its collection if it is one."""

    name: str
    type: Literal["Integral", "Fractional", "String"]
    collection: Literal["List", "Set", "Vector"] | None = None
    dimension: int | None = None


@dataclass(frozen=True)
class Layout:
    """What records of a feature group look like; built once per version of the group.

    Args:
        features: By name.
        identifier: Name of the record identifier feature.
        event_time: Name of the event time feature.
    """

    features: Mapping[str, Feature]
    identifier: str
    event_time: str
    checks: Mapping[str, Callable[[Any], object] | None] = field(init=False)
    instant: Callable[[str], Key] = field(init=False)
    plans: dict[tuple[str, ...], _Plan | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        checks = {
            name: _never if feature.collection else _QUICK[feature.type]
            for name, feature in self.features.items()
        }
        object.__setattr__(self, "checks", checks)
        kind = self.features[self.event_time].type
        object.__setattr__(self, "instant", text_key if kind == "String" else number_key)


class Record:
    """A record whose names and values were cut out of its JSON; its items are made when asked for.

    Args:
        names: Of the features, in their order.
        values: Their values, single texts all.
    """

    __slots__ = ("names", "values")

    def __init__(self, names: tuple[str, ...], values: list[str]) -> None:
        self.names = names
        self.values = values

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The items as JSON has them."""
        return iter(
            {"FeatureName": name, "ValueAsString": value}
            for name, value in zip(self.names, self.values, strict=True)
        )


class Checked(NamedTuple):
    """A record that fits: identifier, event time, its ordering key, and the JSON text to keep."""

    identifier: str
    event_time: str
    instant: Key
    body: str


class _Plan(NamedTuple):
    """How to take records whose features come in one certain order.

    Args:
        matches: Whether the values, joined by a separator, are plainly good.
        template: The JSON text to keep, with %s for each value.
        identifier: Position of the record identifier.
        event_time: Position of the event time.
    """

    matches: Callable[[str], object]
    template: str
    identifier: int
    event_time: int


def quick(layout: Layout, record: Any) -> Checked | None:
    """The record if it is plainly good, else None: then ``careful`` decides."""
    try:
        names, values = _taken(record)
        plan = layout.plans.get(names) or _plan(layout, names)
        if plan is None or plan.matches("\x1f".join(values)) is None:
            return _unplanned(layout, names, values)
        identifier, event_time = values[plan.identifier], values[plan.event_time]
        instant = layout.instant(event_time)
    except (KeyError, TypeError, ValueError):
        return None
    return _checked(identifier, event_time, instant, plan.template % tuple(values))


def _taken(record: Any) -> tuple[tuple[str, ...], list[str]]:
    """Names and values; as ``_unplanned``, may raise for what is not plainly good."""
    if type(record) is Record:
        return record.names, record.values
    names = tuple([feature["FeatureName"] for feature in record])
    if sum(map(len, record)) != 2 * len(names):  # the two that are read here, no more
        raise ValueError
    return names, [feature["ValueAsString"] for feature in record]


def _plan(layout: Layout, names: tuple[str, ...]) -> _Plan | None:
    """A plan for an order that is met a second time; sparse records have too many orders."""
    plans = layout.plans
    if names not in plans:
        if len(plans) < _MAX_PLANS and len(names) <= _MAX_PLANNED:
            plans[names] = None
        return None
    features = [layout.features[name] for name in names]
    whole = len(set(names)) == len(names) and {layout.identifier, layout.event_time} <= set(names)
    if not whole or any(feature.collection for feature in features):
        return None
    made = plans[names] = _Plan(
        re.compile("\x1f".join(_PLAIN[feature.type] for feature in features)).fullmatch,
        "{" + ",".join(f'"{name}":"%s"' for name in names) + "}",
        names.index(layout.identifier),
        names.index(layout.event_time),
    )
    return made


def _unplanned(layout: Layout, names: Sequence[str], values: Sequence[str]) -> Checked | None:
    """As ``quick``; may raise KeyError, TypeError or ValueError for what is not plainly good."""
    kept: dict[str, str] = dict(zip(names, values, strict=True))
    for name, value in kept.items():
        check = layout.checks[name]
        if check is not None and check(value) is None:
            return None
    "".join(values)  # TypeError unless every value is text
    identifier, event_time = kept[layout.identifier], kept[layout.event_time]
    instant = layout.instant(event_time)
    if len(kept) != len(values):
        return None
    return _checked(identifier, event_time, instant, dumps(kept))


def _checked(identifier: str, event_time: str, instant: Key, body: str) -> Checked | None:
    """None for what needs its bytes counted, or may hold half a surrogate pair."""
    if not 0 < len(identifier) <= _QUICK_IDENTIFIER or len(body) > MAX_RECORD_BYTES:
        return None
    return None if "\\ud" in body else Checked(identifier, event_time, instant, body)


def careful(layout: Layout, record: Iterable[dict[str, Any]]) -> Checked:
    """The record, or the reason why not. Its JSON shape must have been checked.

    Raises:
        Refusal: ValidationError that names the feature, never its value.
    """
    values = feature_values(layout, record)
    for name, role in ((layout.identifier, "record identifier"), (layout.event_time, "event time")):
        if name not in values:
            raise invalid(f"The {role} feature [{name}] is missing from the record.")
    size = sum(_bytes(name) + _size(value) for name, value in values.items())
    if size > MAX_RECORD_BYTES:
        raise invalid(f"The record is {size} bytes; at most {MAX_RECORD_BYTES} are allowed.")
    identifier = check_identifier(values[layout.identifier])
    event_time = values[layout.event_time]
    return Checked(identifier, event_time, event_instant(layout, event_time), dumps(values))


def feature_values(layout: Layout, record: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Name to value of each feature, every one checked against its definition."""
    values: dict[str, Any] = {}
    for item in record:
        name = item["FeatureName"]
        feature = layout.features.get(name)
        if feature is None:
            raise invalid(f"The feature [{name}] is not defined in the feature group.")
        if name in values:
            raise invalid(f"The feature [{name}] is given more than once.")
        values[name] = _value(feature, item)
    return values


def event_instant(layout: Layout, text: str) -> Key:
    """Ordering key of an event time given as text."""
    try:
        return layout.instant(text)
    except ValueError:
        kind = layout.features[layout.event_time].type
        form = "yyyy-MM-dd'T'HH:mm:ss[.SSSSSSSSS]Z" if kind == "String" else "Unix epoch seconds"
        raise invalid(f"The event time feature [{layout.event_time}] must be {form}.") from None


def check_identifier(identifier: str) -> str:
    """The identifier, if it is not empty and at most 2 KB of UTF-8."""
    if not 0 < _bytes(identifier) <= MAX_IDENTIFIER_BYTES:
        text = f"The record identifier must have 1 to {MAX_IDENTIFIER_BYTES} bytes."
        raise invalid(text)
    return identifier


def invalid(text: str) -> Refusal:
    """The runtime's refusal of a record; exact texts of the service are not recorded."""
    return Refusal("ValidationError", text)


def _value(feature: Feature, item: dict[str, Any]) -> Any:
    single, several = item.get("ValueAsString"), item.get("ValueAsStringList")
    wanted, other = (several, single) if feature.collection else (single, several)
    if wanted is None or other is not None:
        member = "ValueAsStringList" if feature.collection else "ValueAsString"
        raise invalid(f"The feature [{feature.name}] must be given as {member} alone.")
    check = _CHECKS[feature.type]
    for value in wanted if feature.collection else (wanted,):
        if not check(value):
            raise invalid(f"The value of feature [{feature.name}] is not of type {feature.type}.")
        _bytes(value)
    _check_collection(feature, wanted)
    return wanted


def _check_collection(feature: Feature, values: Any) -> None:
    if feature.collection == "Set" and len(set(values)) != len(values):
        raise invalid(f"The values of feature [{feature.name}] are not unique.")
    if feature.collection == "Vector" and len(values) != feature.dimension:
        raise invalid(f"The feature [{feature.name}] must have {feature.dimension} values.")


def _bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise invalid("A value is not valid UTF-8.") from None


def _size(value: Any) -> int:
    return sum(map(_bytes, value)) if isinstance(value, list) else _bytes(value)


def _is_integral(value: Any) -> bool:
    if _INTEGRAL.fullmatch(value) is None:
        return False
    if len(value) <= _SAFE_DIGITS:
        return True
    digits = value.lstrip("+-0")
    return len(digits) <= _SAFE_DIGITS + 1 and -(2**63) <= int(value) < 2**63


def _is_fractional(value: Any) -> bool:
    return _FRACTIONAL.fullmatch(value) is not None and isfinite(float(value))


def _is_string(value: Any) -> bool:
    return type(value) is str


def _never(value: Any) -> None:
    """Collections always take the careful way."""


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "Integral": _is_integral,
    "Fractional": _is_fractional,
    "String": _is_string,
}
