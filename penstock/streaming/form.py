"""How the value of an event is written: as JSON, or as Avro, with its schema or a registry's id.

What comes out are the texts of the source's columns, which the source gate judges as it does those
of a file: numbers keep their digits, instants are ISO text in UTC.
"""

from __future__ import annotations

import base64
import functools
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, Protocol

from penstock.conf_stream import Avro
from penstock.errors import UsageError
from penstock.source.json_lines import values_of
from penstock.streaming.registry import Registry

_MAGIC = 0  # first byte of Confluent's wire format
_PREFIX = 5  # bytes before the record: that byte, and the schema's id, big-endian

Values = list["str | None"]


class Form(Protocol):
    """How values are written. Goes to Spark's tasks: it can be pickled."""

    def values(self, value: bytes, columns: Sequence[str]) -> Values | None:
        """Texts of the columns; None where the value is no row."""


@dataclass(frozen=True)
class Json:
    """One JSON object."""

    def values(self, value: bytes, columns: Sequence[str]) -> Values | None:
        """Texts of the columns; None where the value is no row."""
        return values_of(value.decode("utf-8", "surrogateescape"), columns)


@dataclass(frozen=True)
class AvroPlain:
    """The binary form of one record, nothing before it.

    Args:
        schema: JSON text of the schema it was written with.
    """

    schema: str

    def values(self, value: bytes, columns: Sequence[str]) -> Values | None:
        """Texts of the columns; None where the value is no row."""
        return _texts(_record(value, self.schema), columns)


@dataclass(frozen=True)
class AvroOfRegistry:
    """Confluent's wire format: a zero byte, the id of the schema in four bytes, then the record.

    Args:
        registry: Knows the schemas.
    """

    registry: Registry

    def values(self, value: bytes, columns: Sequence[str]) -> Values | None:
        """Texts of the columns; None where the value is no row, or nobody knows its schema.

        Raises:
            CredentialsError: The registry does not know us.
            TemporaryError: It does not answer.
        """
        if len(value) < _PREFIX or value[0] != _MAGIC:
            return None
        schema = self.registry.schema(int.from_bytes(value[1:_PREFIX], "big"))
        return None if schema is None else _texts(_record(value[_PREFIX:], schema), columns)


def form_of(avro: Avro | None, text: str | None) -> Form:
    """How the values of a stream are written.

    Args:
        avro: What ``conf`` says; None where they are JSON.
        text: Of the schema's file, where it names one.

    Raises:
        UsageError: fastavro is not installed, or the text is no schema of a record.
    """
    if avro is None:
        return Json()
    _check_installed()
    if avro.registry is not None:
        return AvroOfRegistry(Registry(avro.registry, avro.username, avro.password))
    assert text is not None  # a file or a registry is named
    if _parsed(text) is None:
        message = f"{avro.schema_file} is no Avro schema of a record"
        raise UsageError(message, "Write one: type record, with the fields of the events")
    return AvroPlain(text)


def _check_installed() -> None:
    try:
        import fastavro  # noqa: F401 - it is only looked whether it is there
    except ImportError:
        message = "fastavro, which reads Avro, is not installed"
        raise UsageError(message, "pip install 'penstock[stream]', on executors too") from None


@functools.lru_cache(maxsize=1_024)
def _parsed(schema: str) -> Any:
    """A schema of a record; None where the text is none."""
    import fastavro

    try:
        found = fastavro.parse_schema(json.loads(schema))
    except (ValueError, TypeError, KeyError, fastavro.schema.SchemaParseException):
        return None
    return found if isinstance(found, dict) and found.get("type") == "record" else None


def _record(data: bytes, schema: str) -> dict[str, Any] | None:
    """The record; None where the bytes are none, or more than one."""
    import fastavro

    parsed = _parsed(schema)
    if parsed is None:
        return None
    source = io.BytesIO(data)
    try:
        found: Any = fastavro.schemaless_reader(source, parsed, None)
    except Exception:  # noqa: BLE001 - bytes of others: whatever fastavro makes of them, they are no row
        return None
    return found if source.tell() == len(data) else None


def _texts(record: dict[str, Any] | None, columns: Sequence[str]) -> Values | None:
    """Of a record; None where a column holds what no column can: a record, a list."""
    if record is None:
        return None
    values = [record.get(name) for name in columns]
    if any(isinstance(one, (dict, list, tuple)) for one in values):
        return None
    return [None if one is None else _text(one) for one in values]


def _text(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(timezone.utc).replace(tzinfo=None)
        return f"{value.isoformat()}Z"
    for kind, written in _WRITTEN.items():
        if isinstance(value, kind):
            return written(value)
    return str(value)


#: How values are written that are not text yet. A local time stays local: the gate asks for a zone.
_WRITTEN: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    date: lambda value: value.isoformat(),
    time: lambda value: value.isoformat(),
    bytes: lambda value: base64.b64encode(value).decode(),
    float: repr,
    Decimal: lambda value: format(value, "f"),
}
