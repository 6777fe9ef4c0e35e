"""Rows as Avro: the binary form of one record, without a header and without a registry's prefix.

That is what ``from_avro`` of Spark reads with the same schema. Text is turned into what a field
asks for; a text that is none of it makes a row that cannot be sent.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.encoding import instants
from penstock.errors import UsageError
from penstock.replay.events import Encode

_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_Convert = Callable[[Any], Any]  # ValueError where it is none


def encoder(path: Path, names: Sequence[str]) -> Encode:
    """How rows are written under the schema in a file (.avsc).

    Args:
        path: Of the schema: a record whose fields are columns of the source.
        names: The columns there are.

    Raises:
        UsageError: fastavro is not installed, or the schema is none, asks for a column that is not
            there, or has a type that a row of a file cannot have.
    """
    try:
        import fastavro
    except ImportError:
        raise UsageError("fastavro is not installed", "pip install 'penstock[stream]'") from None
    try:
        schema = fastavro.parse_schema(json.loads(path.read_text(encoding="utf-8")))
        fields = _fields(schema, names)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        fastavro.schema.SchemaParseException,
    ) as error:
        message = f"{path} is no Avro schema of a row: {error}"
        raise UsageError(
            message, "Write a record of the columns, flat, with unions of null"
        ) from None

    def encode(row: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        values = {name: convert(row[name]) for name, convert in fields.items()}
        fastavro.schemaless_writer(out, schema, values)
        return out.getvalue()

    return encode


def _fields(schema: Any, names: Sequence[str]) -> dict[str, _Convert]:
    """By column; raises ValueError."""
    if not isinstance(schema, Mapping) or schema["type"] != "record":
        raise ValueError("it is no record")
    if not schema["fields"]:
        raise ValueError("it has no field")
    absent = [one["name"] for one in schema["fields"] if one["name"] not in names]
    if absent:
        raise ValueError(f"the source has no column {absent[0]!r}")
    return {one["name"]: _converter(one["type"]) for one in schema["fields"]}


def _converter(kind: Any) -> _Convert:
    """Of one field; raises ValueError where we have none."""
    if isinstance(kind, list):
        others = [one for one in kind if one != "null"]
        if len(others) != 1:
            raise ValueError("a union must be of null and one other type")
        other = _converter(others[0])
        return lambda value: None if value is None else other(value)
    logical = kind.get("logicalType") if isinstance(kind, Mapping) else None
    plain = kind["type"] if isinstance(kind, Mapping) else kind
    if (logical or plain) not in _CONVERTERS:
        raise ValueError(f"a field of type {logical or plain} cannot be filled from a file")
    found = _CONVERTERS[logical or plain]

    def convert(value: Any) -> Any:
        if value is None:
            raise ValueError("a null where the schema has none")
        return found(value)

    return convert


def _whole(bits: int) -> _Convert:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not _WHOLE.fullmatch(str(value)):
            raise ValueError("no whole number")
        number = int(value)
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise ValueError("out of range")
        return number

    return convert


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise ValueError("no number")
    return float(value)


def _truth(value: Any) -> bool:
    if value not in (True, False, "true", "false"):
        raise ValueError("neither true nor false")
    return value in (True, "true")


def _instant(ticks: int) -> _Convert:
    """Ticks a second since the epoch, of a text with Z or an offset."""

    def convert(value: Any) -> int:
        (micros,) = instants.parsed(pa.array([str(value)]))[0].to_pylist()
        if micros is None:
            raise ValueError("no instant")
        return int(micros) * ticks // 1_000_000

    return convert


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


#: Avro's logical or plain type (Avro 1.12 specification) → what makes it of a row's value.
_CONVERTERS: dict[str, _Convert] = {
    "string": _text,
    "bytes": lambda value: _text(value).encode("utf-8", "surrogateescape"),
    "int": _whole(32),
    "long": _whole(64),
    "float": _fraction,
    "double": _fraction,
    "boolean": _truth,
    "date": lambda value: date.fromisoformat(str(value)),
    "timestamp-millis": _instant(1_000),
    "timestamp-micros": _instant(1_000_000),
}
