"""What differs between two nested values, a line a leaf: ``key: old → new``.

For requests beside what a service answers. Lists are compared whole: their order is theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """One line for each leaf that is not the same in both, in order of its dotted key."""
    old, new = _flat(there), _flat(wanted)
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            before, after = (json.dumps(one.get(key), default=str) for one in (old, new))
            yield f"{key}: {before} → {after}"


def parsed(text: str) -> Any:
    """JSON in a text as what it says, so that it is compared by that; other texts as they are."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by dotted key; an empty mapping is one."""
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for key, below in value.items():
        found |= _flat(below, f"{path}.{key}" if path else str(key))
    return found
