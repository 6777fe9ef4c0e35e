"""What mends a difference, as send files have it: pure, on whole columns.

Missing and stale records are put as any run puts them: the service ignores what is older than what
it has. A value at an equal event time is corrected as ``ingest --correct delete-put`` does it: by
an update where the group's type has one and it can set every value, else the record is removed and
put anew. What offline says is deleted is deleted as of that event time. What offline does not know,
and a record whose time to live is over, is removed for good and leaves nothing behind. A record
that is newer online is never touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import CORRECT, DELETED, FeatureGroup, FeatureType
from penstock.offline.comparison import MAX_CORRECTED
from penstock.reconcile.verdict import (
    DIFFERENT,
    EXTRA,
    MISSING,
    STALE,
    UNKNOWN,
    Verdicts,
)


@dataclass(frozen=True)
class Mends:
    """Rows of send files.

    Args:
        gone: Records that are removed for good before anything is put.
        send: Records that are put, corrected or deleted.
        returns: How many of the removed ones are put anew.
    """

    gone: pa.Table
    send: pa.Table
    returns: int


def mends(group: FeatureGroup, rows: pa.RecordBatch, found: Verdicts, *, updates: bool) -> Mends:
    """What mends the rows that differ.

    Args:
        group: The contract.
        rows: What was compared.
        found: What was found of it.
        updates: Whether the group's type has UpdateRecord.
    """
    missing, stale, different, extra, unknown = (
        pc.equal(found.kind, one) for one in (MISSING, STALE, DIFFERENT, EXTRA, UNKNOWN)
    )
    over = found.over
    alive = pc.invert(over)
    update = _updatable(group, rows, found) if updates else _none(rows)
    fit = pc.and_(pc.and_(different, alive), update)
    anew = pc.and_(pc.and_(different, alive), pc.invert(update))
    puts = pc.or_(missing, pc.and_(stale, alive))
    ended = pc.and_(pc.or_(stale, different), over)
    # A deletion at the record's own event time would not apply: it must be later.
    late = pc.fill_null(pc.equal(found.order, 0), fill_value=False)
    # Of another writer's spelling, such as 01 of an Integral, no send file can speak.
    unknown = pc.and_(unknown, pc.is_valid(rows.column(group.record_identifier)))
    return Mends(
        _deletions(group, rows, found, pc.or_(anew, pc.or_(ended, unknown))),
        pa.concat_tables(
            [
                _table(group, rows, pc.or_(puts, anew)),
                _table(group, rows, fit, CORRECT),
                _table(group, rows, pc.and_not(extra, late), DELETED),
                _deletions(group, rows, found, pc.and_(extra, late)),
            ]
        ),
        _count(anew),
    )


def _updatable(group: FeatureGroup, rows: pa.RecordBatch, found: Verdicts) -> pa.Array:
    """Whether UpdateRecord can set every value: none becomes null, and there are not too many."""
    values = pa.repeat(pa.scalar(0, pa.int64()), rows.num_rows)
    for name in group.names:
        if name != group.record_identifier:
            values = pc.add(values, pc.cast(pc.is_valid(rows.column(name)), pa.int64()))
    same = pc.fill_null(pc.equal(found.order, 0), fill_value=False)
    fits = pc.and_(pc.less_equal(values, MAX_CORRECTED), pc.invert(found.nulled))
    return pc.and_(fits, same)


def _deletions(
    group: FeatureGroup, rows: pa.RecordBatch, found: Verdicts, chosen: pa.Array
) -> pa.Table:
    """Deletions a moment later than what is online; what has no readable event time stays."""
    kind = group.feature(group.event_time).type
    times = found.at
    if kind is FeatureType.FRACTIONAL:
        times = encoding.FEATURES[kind](times).values
    times = encoding.later(times, kind)
    place = rows.schema.get_field_index(group.event_time)
    later = rows.set_column(place, group.event_time, times)
    return _table(group, later, pc.and_(chosen, pc.is_valid(times)), DELETED)


def _table(
    group: FeatureGroup, rows: pa.RecordBatch, chosen: pa.Array, control: str | None = None
) -> pa.Table:
    """Chosen rows with both control columns, one of which may say yes."""
    table = pa.Table.from_batches([rows]).select(list(group.names)).filter(chosen)
    for name in (DELETED, CORRECT):
        flags = pa.repeat(pa.scalar(name == control), table.num_rows)
        table = table.append_column(name, flags)
    return table


def _none(rows: pa.RecordBatch) -> pa.Array:
    return pa.repeat(pa.scalar(False), rows.num_rows)  # noqa: FBT003 - a value of the column


def _count(flags: pa.Array) -> int:
    return int(pc.sum(flags).as_py() or 0)
