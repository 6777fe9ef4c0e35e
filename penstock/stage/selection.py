"""Which candidates are sent: those that are not out of date, and which of them correct a value.

Two kinds stay behind. *Older*: the offline store knows a newer event of the identifier, a deletion
perhaps, and the online store, which forgets what it has removed, would take the old one. *Expired*:
event time plus time to live is over, so the record would be removed as soon as it came. A deletion
never expires.

A row that replaces its record gets a companion that removes it: a deletion, later by a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import CORRECT, DELETED, REPLACED, FeatureGroup
from penstock.stage.expiry import expired
from penstock.stage.report import Report, Tally
from penstock.stage.tasks import Files
from penstock.storage import Storage

OLDER = "_older"


@dataclass(frozen=True)
class SelectionTask:
    """Keep the candidates that can win.

    Args:
        group: The contract.
        now: Aware instant that expiry is judged at.
        folder: Where ``send-*`` and ``gone-*`` go.
    """

    group: FeatureGroup
    now: datetime
    folder: str

    def run(self, batches: Iterable[pa.RecordBatch], storage: Storage) -> Report:
        """Candidates, judged, come in; files of those that are sent, and of removals, go out."""
        tally = Tally()
        with (
            Files(self.folder, storage, "send") as send,
            Files(self.folder, storage, "gone") as gone,
        ):
            for batch in batches:
                kept = self._kept(batch, tally)
                gone.write(self._removals(kept))
                send.write(kept.drop_columns([REPLACED]))
        return tally.report(send=send.done(), gone=gone.done())

    def _kept(self, batch: pa.RecordBatch, tally: Tally) -> pa.Table:
        older = batch.column(OLDER)
        over = pc.and_(expired(self.group, batch, self.now), pc.invert(older))
        table = pa.Table.from_batches([batch]).drop_columns([OLDER])
        kept = table.filter(pc.invert(pc.or_(older, over)))
        tally.count(
            rows_in=batch.num_rows,
            older=_true(older),
            expired=_true(over),
            corrected=_true(pc.or_(kept.column(CORRECT), kept.column(REPLACED))),
            replaced=_true(kept.column(REPLACED)),
            fit=kept.num_rows,
        )
        return kept

    def _removals(self, kept: pa.Table) -> pa.Table:
        return removals(self.group, kept.filter(kept.column(REPLACED)))


def removals(group: FeatureGroup, rows: pa.Table) -> pa.Table:
    """What removes the records of these rows, as a send file has it.

    Args:
        group: The contract.
        rows: Has the features; no other column is looked at.
    """
    at = group.event_time
    rows = rows.select(list(group.names)).combine_chunks()
    times = encoding.later(rows.column(at).combine_chunks(), group.feature(at).type)
    rows = rows.set_column(rows.schema.get_field_index(at), at, times)
    return rows.append_column(DELETED, pa.repeat(pa.scalar(True), rows.num_rows))  # noqa: FBT003 - a value of the column


def _true(flags: pa.Array | pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
