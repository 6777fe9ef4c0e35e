"""Events of a stream as raw rows of a source: the columns as text, and where each came from.

The value of an event is one JSON object. A row of the quarantine names topic and partition as its
file, ``kafka:flights/0``, and the offset as its position.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from penstock.contract import Source
from penstock.source.json_lines import encoded, values_of
from penstock.source.text import Row, batches

#: Columns a batch of events has.
EVENT = ("key", "value", "topic", "partition", "offset", "timestamp")
HEADERS = "headers"


@dataclass(frozen=True)
class Messages:
    """How events become rows.

    Args:
        columns: Declared columns of the source.
        null_texts: Texts that mean null.
        mapped: Column → what of the event it is where the value lacks it, as ``conf`` says.
    """

    columns: tuple[str, ...]
    null_texts: tuple[str, ...]
    mapped: Mapping[str, str]

    def rows(self, events: pa.RecordBatch | pa.Table) -> Iterator[pa.RecordBatch]:
        """Batches as the source gate takes them, in the order of the events.

        Args:
            events: Columns :data:`EVENT`, and :data:`HEADERS` where headers are mapped.
        """
        places = zip(
            events.column("topic").to_pylist(), events.column("partition").to_pylist(), strict=True
        )
        start = 0
        for place, same in itertools.groupby(places):
            count = sum(1 for _ in same)
            rows = self._rows(events.slice(start, count))
            yield from batches(file_of(*place), self.columns, rows, self.null_texts, encoded)
            start += count

    def _rows(self, events: pa.RecordBatch | pa.Table) -> Iterator[Row]:
        raw = zip(
            events.column("offset").to_pylist(),
            events.column("key").to_pylist(),
            events.column("value").to_pylist(),
            events.column("timestamp").to_pylist(),
            events.column("topic").to_pylist(),
            self._headers(events),
            strict=True,
        )
        for offset, key, value, at, topic, headers in raw:
            values, text = self._values(value)
            if values is None:
                yield offset, None, text
                continue
            if self.mapped:
                envelope = _Envelope(key, value, at, topic, headers)
                values = [
                    envelope.text(self.mapped[name]) if one is None and name in self.mapped else one
                    for name, one in zip(self.columns, values, strict=True)
                ]
            yield offset, values, None

    def _values(self, value: bytes | None) -> tuple[list[str | None] | None, str]:
        """The columns, None where the value is none that can be read; and its text."""
        if value is None:
            deletes = "deleted" in self.mapped.values()
            return ([None] * len(self.columns) if deletes else None), "null"
        text = value.decode("utf-8", "surrogateescape")
        return values_of(text, self.columns), text

    def _headers(self, events: pa.RecordBatch | pa.Table) -> Sequence[Any]:
        if HEADERS in events.schema.names:
            return list(events.column(HEADERS).to_pylist())
        return [None] * events.num_rows


@dataclass(frozen=True)
class _Envelope:
    """An event without the columns of its value."""

    key: bytes | None
    value: bytes | None
    at: datetime
    topic: str
    headers: list[dict[str, Any]] | None

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


def messages_of(source: Source, mapped: Mapping[str, str]) -> Messages:
    """How the events of a source become its rows."""
    return Messages(tuple(one.name for one in source.columns), source.null_texts, dict(mapped))


def file_of(topic: str, partition: int) -> str:
    """What the quarantine says instead of a file."""
    return f"kafka:{topic}/{partition}"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")
