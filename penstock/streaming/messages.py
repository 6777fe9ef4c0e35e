"""Events of a stream as raw rows of a source: the columns as text, and where each came from.

The value of an event is one JSON object, or one Avro record. A row of the quarantine names topic
and partition as its file, ``kafka:flights/0``, and the offset as its position; each row has its
event beside it, so that one that is put aside can be read again in another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from penstock.aside import EVENT as WHOLE
from penstock.contract import Source
from penstock.encoding import flat
from penstock.source.json_lines import encoded
from penstock.source.text import placed, text_array, undecoded
from penstock.streaming.form import Form, Json

#: Columns a batch of events has: where it is from, as the quarantine says it, and its number there.
EVENT = ("key", "value", "file", "position", "topic", "timestamp")
HEADERS = "headers"
_ROWS = 16_384  # of a batch


@dataclass(frozen=True)
class Messages:
    """How events become rows.

    Args:
        columns: Declared columns of the source.
        null_texts: Texts that mean null.
        mapped: Column → what of the event it is where the value lacks it, as ``conf`` says.
        form: How values are written.
    """

    columns: tuple[str, ...]
    null_texts: tuple[str, ...]
    mapped: Mapping[str, str]
    form: Form = Json()  # noqa: RUF009 - it is frozen

    def rows(self, events: pa.RecordBatch | pa.Table) -> Iterator[pa.RecordBatch]:
        """Batches as the source gate takes them, in the order of the events.

        Args:
            events: Columns :data:`EVENT`, and :data:`HEADERS` where headers are mapped.
        """
        for start in range(0, events.num_rows, _ROWS):
            some = events.slice(start, _ROWS)
            read = [self._row(*event) for event in self._events(some)]
            empty = [None] * len(self.columns)
            by_column = zip(*(empty if one is None else one for one, _ in read), strict=True)
            rows = placed(
                _plain(some.column("file"), pa.string()),
                self.columns,
                [text_array(values, encoded) for values in by_column],
                _plain(some.column("position"), pa.int64()),
                self.null_texts,
                text_array([problem for _, problem in read], undecoded),
            )
            yield rows.append_column(WHOLE, _whole(some))

    def _events(self, events: pa.RecordBatch | pa.Table) -> Iterator[tuple[Any, ...]]:
        names = ("key", "value", "timestamp", "topic") if self.mapped else ("value",)
        columns = [events.column(name).to_pylist() for name in names]
        if HEADERS in events.schema.names and self.mapped:
            columns.append(events.column(HEADERS).to_pylist())
        return zip(*columns, strict=True)

    def _row(self, *event: Any) -> tuple[list[str | None] | None, str | None]:
        """The columns, None where the value is none that can be read; and then its text."""
        if not self.mapped:
            values, text = self._values(event[0])
            return values, text if values is None else None
        envelope = _Envelope(*event)
        values, text = self._values(envelope.value)
        if values is None:
            return None, text
        found = [
            envelope.text(self.mapped[name]) if one is None and name in self.mapped else one
            for name, one in zip(self.columns, values, strict=True)
        ]
        return found, None

    def _values(self, value: bytes | None) -> tuple[list[str | None] | None, str]:
        """The columns, None where the value is none that can be read; and its text."""
        if value is None:
            deletes = "deleted" in self.mapped.values()
            return ([None] * len(self.columns) if deletes else None), "null"
        return self.form.values(value, self.columns), value.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class _Envelope:
    """An event without the columns of its value."""

    key: bytes | None
    value: bytes | None
    at: datetime
    topic: str
    headers: list[dict[str, Any]] | None = None

    def text(self, what: str) -> str | None:
        if what == "key":
            return _text(self.key)
        if what == "deleted":
            return "true" if self.value is None else "false"
        if what == "timestamp":
            return self.at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
        if what == "topic":
            return self.topic
        name = what.removeprefix("header:")
        found = [one["value"] for one in self.headers or () if one["key"] == name]
        return _text(found[-1]) if found else None  # Kafka keeps all; the last one counts


def messages_of(source: Source, mapped: Mapping[str, str], form: Form | None = None) -> Messages:
    """How the events of a source become its rows; their values are JSON unless told otherwise."""
    columns = tuple(one.name for one in source.columns)
    return Messages(columns, source.null_texts, dict(mapped), form or Json())


def _whole(events: pa.RecordBatch | pa.Table) -> pa.StructArray:
    """The events as one column; nothing is copied."""
    at = _plain(events.column("timestamp"), pa.timestamp("us", "UTC")).cast(pa.int64())
    arrays = {
        "key": _plain(events.column("key"), pa.binary()),
        "value": _plain(events.column("value"), pa.binary()),
        "at": at,
        "topic": _plain(events.column("topic"), pa.string()),
    }
    if HEADERS in events.schema.names:
        headers = events.column(HEADERS)
        whole = headers.combine_chunks() if isinstance(headers, pa.ChunkedArray) else headers
        arrays[HEADERS] = whole
    return pa.StructArray.from_arrays([*arrays.values()], names=[*arrays])


def _plain(column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return flat(whole).cast(kind)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")
