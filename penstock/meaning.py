"""The semantic hash: what decides the rows of a pipeline, and nothing else.

Descriptions and tags are left out; the text of a transform's module and of the project's modules it
uses is in it, because a changed helper changes rows as a changed transform does.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from types import ModuleType
from typing import Any

#: What people read of rows, and what reports show of them, decides none.
_UNHEARD = frozenset({"description", "tags", "pii", "listed"})
#: Fields that came later, and what they are where they are not used: the hash stays what it was.
_LATER: Mapping[str, Any] = {"deleted_when": None, "ttl": None, "ttl_from": None, "recent": 1}


def digest(plain: Any) -> str:
    """Hash of a JSON value, 16 hex digits."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """A JSON form without descriptions and tags: a changed comment is not a changed meaning."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(one) for name, one in _fields(value)}
    return value


def source_text(transform: Callable[..., Any] | None) -> str:
    """Texts of the transform's module and of the project's modules it uses, by name.

    A helper of a transform changes its rows as it does itself; other packages are known by version.
    One that is data says itself what it means: ``meaning_text``.
    """
    if transform is None:
        return ""
    if hasattr(transform, "meaning_text"):
        return str(transform.meaning_text)
    module = inspect.getmodule(transform)
    if module is None:
        return inspect.getsource(transform)
    found: dict[str, ModuleType] = {}
    _collect(module, module.__name__.split(".")[0], found)
    texts = [inspect.getsource(found[name]) for name in sorted(found)]
    return "".join([f"{transform.__module__}.{transform.__qualname__}\n", *texts])


def _collect(module: ModuleType, package: str, found: dict[str, ModuleType]) -> None:
    """Modules of ``package`` that names in ``module`` come from, and theirs in turn."""
    if module.__name__ in found or module.__name__.split(".")[0] != package:
        return
    found[module.__name__] = module
    for value in list(vars(module).values()):
        used = value if isinstance(value, ModuleType) else inspect.getmodule(value)
        if used is not None:
            _collect(used, package, found)


def _fields(value: Any) -> list[tuple[str, Any]]:
    pairs = [(name, getattr(value, name)) for name in value.__dataclass_fields__]
    return [
        (name, one)
        for name, one in pairs
        if name not in _UNHEARD and not (name in _LATER and one == _LATER[name])
    ]
