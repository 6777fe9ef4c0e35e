"""Events of a stream as Spark hands them over, without Spark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

AT = datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
SCHEMA = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("topic", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
    ]
)
_HEADER = pa.struct([("key", pa.string()), ("value", pa.binary())])


@dataclass(frozen=True)
class Event:
    """One event; ``value`` is bytes, None of a tombstone, or what is to be JSON."""

    offset: int
    value: Any
    key: bytes | None = b"k"
    topic: str = "flights"
    partition: int = 0
    at: datetime = AT
    headers: Sequence[tuple[str, bytes | None]] = field(default_factory=tuple)

    @property
    def file(self) -> str:
        """Topic and partition, as the quarantine says it."""
        return f"kafka:{self.topic}/{self.partition}"

    @property
    def raw(self) -> bytes | None:
        """The value's bytes."""
        if self.value is None or isinstance(self.value, bytes):
            return self.value
        return json.dumps(self.value).encode()


def batch_of(*events: Event, headers: bool = False) -> pa.RecordBatch:
    """Their columns, as a stream's query selects them; with headers if they are read."""
    columns = [
        [one.key for one in events],
        [one.raw for one in events],
        [one.file for one in events],
        [one.offset for one in events],
        [one.topic for one in events],
        [one.at for one in events],
    ]
    arrays = [pa.array(each, one.type) for each, one in zip(columns, SCHEMA, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    if not headers:
        return batch
    told = [[{"key": k, "value": v} for k, v in one.headers] or None for one in events]
    return batch.append_column("headers", pa.array(told, pa.list_(_HEADER)))
