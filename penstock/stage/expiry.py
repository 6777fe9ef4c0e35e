"""Whose time to live is over: it runs from the event time, as the service counts.

``ExpiresAt = EventTime + TtlDuration`` (AWS API reference, PutRecord), so a record may be born
expired.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import DELETED, TTL_S, FeatureGroup
from penstock.encoding.instants import micros_of


def expired(group: FeatureGroup, rows: pa.RecordBatch | pa.Table, now: datetime) -> pa.Array:
    """Which rows' time to live was over at ``now``; a deletion has none."""
    default = None if group.ttl is None else int(group.ttl.total_seconds())
    seconds = pa.repeat(pa.scalar(default, pa.int64()), rows.num_rows)
    if TTL_S in rows.schema.names:
        seconds = pc.coalesce(_column(rows, TTL_S), seconds)
    micros = pc.add(_micros(_column(rows, group.event_time)), pc.multiply(seconds, 1_000_000))
    over = pc.fill_null(pc.less(micros, micros_of(now)), fill_value=False)
    if DELETED in rows.schema.names:
        over = pc.and_(over, pc.invert(_column(rows, DELETED)))
    return over


def _micros(event_times: pa.Array) -> pa.Array:
    """Event times in their stored form as microseconds since the epoch, cut off below."""
    if pa.types.is_floating(event_times.type):
        return pc.cast(pc.floor(pc.multiply(event_times, 1e6)), pa.int64())
    return pc.cast(encoding.to_instant(event_times).values, pa.int64())


def _column(rows: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    column = rows.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
