"""``docs/configuration.md``: every key of ``conf``, out of the records that read it.

``python -m penstock.reference > docs/configuration.md`` writes it; a test fails when the file is
older than the records.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from penstock.config import Settings

_HEAD = """\
# Configuration

Every key of `conf/`, in the order of the records that read it. `conf/base.yaml` comes first, then
`conf/ENV.adopted.yaml` where `penstock adopt` wrote one, then `conf/ENV.yaml`, then `--set
KEY=VALUE`. A key that is not below, or a value of another type, ends in one line with file, line
and remedy. Secrets are never values here: credentials come from botocore's own resolver, those of
Kafka are references (`env:NAME`, `file:/PATH`).

`NAME` stands for a name of yours: of a source, a feature group, a schedule, a region. This page is
generated: `python -m penstock.reference`, or `make docs`.
"""


def document() -> str:
    """The whole page, ending in a line feed."""
    return "\n".join([_HEAD, *_section(Settings, "")])


def _section(record: type[BaseModel], place: str) -> Iterator[str]:
    """A record: what it is, its own keys as a table, then the records below it."""
    fields = [(one.alias or name, one) for name, one in record.model_fields.items()]
    own = [(name, one) for name, one in fields if _below(one)[0] is None]
    if place:
        yield f"\n## `{place}`\n"
    yield _prose(record)
    if own:
        yield ""
        yield "| key | value | default | means |"
        yield "|---|---|---|---|"
        yield from (_row(name, one) for name, one in own)
    for name, one in fields:
        below, named = _below(one)
        if below is not None:
            inside = f"{place}.{name}" if place else name
            yield from _section(below, f"{inside}.NAME" if named else inside)


def _prose(record: type[BaseModel]) -> str:
    text = inspect.cleandoc(record.__doc__ or "")
    return " ".join(text.split()).replace("``", "`")


def _row(name: str, one: FieldInfo) -> str:
    default = (
        "must be given" if one.is_required() else _value(one.get_default(call_default_factory=True))
    )
    meaning = (one.description or "").replace("|", "\\|")
    return f"| `{name}` | {_type(one.annotation)} | {default} | {meaning} |"


def _below(one: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    """The record a key holds, if it holds one, and whether by names of the user's."""
    annotation: Any = one.annotation
    if get_origin(annotation) is dict:
        kind = get_args(annotation)[1]
        return (kind, True) if _is_record(kind) else (None, False)
    found = [kind for kind in (annotation, *get_args(annotation)) if _is_record(kind)]
    return (found[0], False) if found else (None, False)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


_NAMES = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}


def _type(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in args)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in args if one is not type(None))
    if origin is tuple:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"name → {_type(args[1])}"
    if hasattr(kind, "__metadata__"):
        return _type(args[0])
    return _NAMES.get(kind, "text")


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value.is_integer():
        return f"`{int(value)}`"
    if value in ("", (), {}):
        return ""
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(document())
