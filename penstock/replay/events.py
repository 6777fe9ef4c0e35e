"""Rows as events: the value as JSON, the key out of columns, the moment out of one.

Text goes out as the bytes that stand in the file, also those that are not UTF-8, and a number in
text stays text: what reads the stream finds what it would find in the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.errors import UsageError

_MICROS = 1_000_000
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

#: One row by column → the bytes that are sent; ValueError where it cannot be said.
Encode = Callable[[dict[str, Any]], bytes]


@dataclass(frozen=True, slots=True)
class Event:
    """One row on its way.

    Args:
        key: UTF-8; None where there is none, and with it no order.
        value: What is sent.
        at: Its moment, in seconds since the epoch; None where nobody asked for it.
    """

    key: bytes | None
    value: bytes
    at: float | None = None

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value)


def as_json(row: dict[str, Any]) -> bytes:
    """A JSON object; ValueError for a number that JSON does not know."""
    return _JSON.encode(row).encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Form:
    """How rows become events.

    Args:
        key: Columns of the key; several are joined by ``|``.
        time: Column of the moment; None: there is none.
        encode: Writes the value.
    """

    key: tuple[str, ...] = ()
    time: str | None = None
    encode: Encode = as_json

    def check(self, names: Sequence[str]) -> None:
        """Raise UsageError where a column is not there."""
        wanted = (*self.key, *(() if self.time is None else (self.time,)))
        absent = [one for one in wanted if one not in names]
        if absent:
            message = f"the source has no column {absent[0]!r}"
            raise UsageError(message, f"It has: {', '.join(names)}")

    def events(self, batch: pa.RecordBatch) -> Iterator[Event | None]:
        """An event a row, in order; None for a row that cannot be one.

        That is a row whose time is not an instant, or that the encoder cannot write.
        """
        columns = [_values(batch.column(n)) for n in range(batch.num_columns)]
        names, moments = batch.schema.names, self._moments(batch)
        for values, at in zip(zip(*columns, strict=True), moments, strict=True):
            if self.time is not None and at is None:
                yield None
                continue
            row = dict(zip(names, values, strict=True))
            try:
                yield Event(self._key(row), self.encode(row), at)
            except ValueError:
                yield None

    def _moments(self, batch: pa.RecordBatch) -> list[float | None]:
        if self.time is None:
            return [None] * len(batch)
        found = encoding.to_instant(batch.column(batch.schema.names.index(self.time))).values
        micros = pc.cast(found, pa.int64()).to_pylist()
        return [None if one is None else one / _MICROS for one in micros]

    def _key(self, row: dict[str, Any]) -> bytes | None:
        parts = [row[name] for name in self.key]
        if all(one is None for one in parts):
            return None
        texts = ("" if one is None else one if isinstance(one, str) else str(one) for one in parts)
        return "|".join(texts).encode("utf-8", "surrogateescape")


def _values(array: pa.Array) -> list[Any]:
    """Python values that JSON has: text, whole numbers, fractions, truth, null."""
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        raw = array.cast(pa.large_binary() if pa.types.is_large_string(kind) else pa.binary())
        return [_text(one) for one in raw.to_pylist()]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values: list[Any] = array.to_pylist()
        return values
    if pa.types.is_timestamp(kind):
        utc = array if kind.tz is None else array.cast(pa.timestamp(kind.unit, "UTC"))
        array = pc.replace_substring(utc.cast(pa.string()), " ", "T")
    written: list[Any] = array.cast(pa.string()).to_pylist()
    return written


def can_be_sent(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type can: everything but what is nested or has no text."""
    types = pa.types
    flat = types.is_primitive(kind) and not types.is_interval(kind)
    text = types.is_string(kind) or types.is_large_string(kind)
    return flat or text or types.is_decimal(kind) or types.is_null(kind)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogateescape")
