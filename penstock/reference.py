"""Two pages out of the records that read what people write.

``python -m penstock.reference > docs/configuration.md`` has every key of ``conf``, ``python -m
penstock.reference contract > docs/contract.md`` every field of a contract. ``make docs`` writes
both; tests fail when a file is older than the records.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from penstock.config import Settings
from penstock.contract import Column, Expectation, Feature, FeatureGroup, Pipeline, Source
from penstock.expectation import ROW_TYPES, SET_TYPES, allowed

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


_CONTRACT_HEAD = """\
# A contract

What a feature group is and how it is fed, as one module of `schemas/`. penstock takes every
`Pipeline` it finds there. A mistake is told before any data is read. Nothing in it says where data
lies: that is [configuration](configuration.md).

```python
from datetime import timedelta

from pyspark.sql import DataFrame

from penstock.contract import Column, ColumnType, Expectation, Feature, FeatureGroup
from penstock.contract import FeatureType, Pipeline, Source

PAYMENTS = Source(  # where it lies: sources.payments in conf
    columns=(
        Column("card"),
        Column("paid_at", ColumnType.TIMESTAMP),
        Column("amount", ColumnType.DOUBLE),
    ),
    null_texts=("", "NA"),
    time="paid_at",
)
POSITIVE = Expectation("expect_column_values_to_be_between", arguments={"min_value": 0})
GROUP = FeatureGroup(
    name="last_payment",
    record_identifier="card",
    event_time="paid_at",
    features=(
        Feature("card", FeatureType.STRING, "Token of the card.", pii=True),
        Feature("paid_at", FeatureType.STRING, "When it was paid, UTC."),
        Feature("amount", FeatureType.FRACTIONAL, "Dollars.", (POSITIVE,)),
    ),
    tags=("daily",),
)


def last_payment(payments: DataFrame) -> DataFrame:
    return payments.where("amount is not null").select(*GROUP.names, "_source")


PIPELINE = Pipeline(
    GROUP, {"payments": PAYMENTS}, last_payment, window="day", lateness=timedelta(hours=6)
)
```

The transform takes a DataFrame for each source, by its name; it belongs into `transforms/`, and
stands here so that all is on one page. A timestamp becomes the text that a String event time is.
`_source` is the source gate's: with it, a row that the feature gate puts aside is entered with its
file and line. Then:

    penstock provision last_payment
    penstock ingest last_payment

This page is generated: `python -m penstock.reference contract`, or `make docs`.
"""
#: What conf and Python write in different ways.
_PYTHON = {"list of": "tuple of", "`true`": "`True`", "`false`": "`False`"}
_EXPECTATIONS = """\
## Expectations by name

They bear Great Expectations' names and mean what they mean there. Nulls pass, but for the two about
null. An expectation of a feature looks at that feature; all others name their `column`, but for
those about a pair, several columns or the table, which name columns among their arguments.

Of one row each; `on_fail` may be any, with a LIKE pattern `quarantine` or `drop`. With `fail` and
`warn` they also take `mostly`, a share from 0 to 1.
"""
_SETS = """
Of the whole staged set; `on_fail` is `fail` or `warn`.
"""


def document() -> str:
    """The page of ``conf``, ending in a line feed."""
    return "\n".join([_HEAD, *_section(Settings, "")])


def contract() -> str:
    """The page of contracts, ending in a line feed."""
    kinds = (FeatureGroup, Feature, Source, Column, Pipeline, Expectation)
    lines = [line for kind in kinds for line in _declared(kind)]
    rows = [*_expected(ROW_TYPES), _SETS, *_expected(SET_TYPES)]
    return "\n".join([_CONTRACT_HEAD, *lines, _EXPECTATIONS, *rows, ""])


def _declared(kind: Any) -> Iterator[str]:
    """A dataclass: what it is, and its fields by its docstring."""
    said, _, arguments = inspect.cleandoc(kind.__doc__).partition("\n\nArgs:\n")
    meanings = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", arguments, re.MULTILINE))
    hints = get_type_hints(kind)
    yield f"## {kind.__name__}\n"
    yield _plain(said)
    yield ""
    yield "| field | value | default | means |"
    yield "|---|---|---|---|"
    for one in dataclasses.fields(kind):
        row = f"| `{one.name}` | {kind_of(hints[one.name], _by_name)} | {_default(one)} |"
        for word, python in _PYTHON.items():
            row = row.replace(word, python)
        yield f"{row} {_plain(meanings[one.name])} |"
    yield ""


def _default(one: dataclasses.Field[Any]) -> str:
    if one.default_factory is not dataclasses.MISSING:
        return value_of(one.default_factory(), _by_name)
    return (
        "must be given" if one.default is dataclasses.MISSING else value_of(one.default, _by_name)
    )


def _expected(names: frozenset[str]) -> Iterator[str]:
    yield "| expectation | arguments |"
    yield "|---|---|"
    for name in sorted(names):
        taken = sorted(allowed(name) - ({"mostly"} if name in ROW_TYPES else set()))
        yield f"| `{name}` | {', '.join(f'`{one}`' for one in taken)} |"


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
    return _plain(inspect.cleandoc(record.__doc__ or ""))


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _row(name: str, one: FieldInfo) -> str:
    default = (
        "must be given"
        if one.is_required()
        else value_of(one.get_default(call_default_factory=True))
    )
    meaning = (one.description or "").replace("|", "\\|")
    return f"| `{name}` | {kind_of(one.annotation)} | {default} | {meaning} |"


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


_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true`, `false`",
    timedelta: "`timedelta`",
    Any: "JSON value",
}


def _by_value(one: Enum) -> str:
    """As conf and flows have it."""
    return str(one.value)


def _by_name(one: Enum) -> str:
    """As Python has it."""
    return f"{type(one).__name__}.{one.name}"


def kind_of(kind: Any, told: Callable[[Enum], str] = _by_value) -> str:
    """What may be a key's value: its type, or the values there are, of an enumeration as told."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in args)
    if origin in (Union, types.UnionType):
        return " or ".join(kind_of(one, told) for one in args if one is not type(None))
    if origin is tuple:
        return f"list of {kind_of(args[0], told)}"
    if origin in (dict, Mapping):
        return f"name → {kind_of(args[1], told)}"
    if hasattr(kind, "__metadata__"):
        return kind_of(args[0], told)
    return "function" if origin is Callable else _single(kind, told)


def _single(kind: Any, told: Callable[[Enum], str]) -> str:
    if _is_record(kind):
        return f"{{{', '.join(kind.model_fields)}}}"
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return f"`{kind.__name__}`"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{told(one)}`" for one in kind)
    return _NAMES.get(kind, "text")


def value_of(value: Any, told: Callable[[Enum], str] = _by_value) -> str:
    """A default; empty where it says nothing."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value.is_integer():
        return f"`{int(value)}`"
    if isinstance(value, Enum):
        return f"`{told(value)}`"
    if value is None or value in ("", (), {}, timedelta(0)):
        return ""
    if isinstance(value, tuple) and isinstance(value[0], Enum):
        return ", ".join(value_of(one, told) for one in value)
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(contract() if sys.argv[1:] == ["contract"] else document())
