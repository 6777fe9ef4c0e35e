"""Which candidates are sent: those that are not out of date, and which of them correct a value.

Two kinds stay behind. *Older*: the offline store knows a newer event of the identifier, a deletion
perhaps, and the online store, which forgets what it has removed, would take the old one. *Expired*:
event time plus time to live is over, so the record would be removed as soon as it came. A deletion
never expires.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import CORRECT, FeatureGroup
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
        folder: Where ``send-*`` goes.
    """

    group: FeatureGroup
    now: datetime
    folder: str

    def run(self, batches: Iterable[pa.RecordBatch], storage: Storage) -> Report:
        """Candidates with :data:`OLDER` and ``_correct`` in, files of those that are sent out."""
        tally = Tally()
        with Files(self.folder, storage, "send") as send:
            for batch in batches:
                send.write(self._kept(batch, tally))
        return tally.report(send=send.done())

    def _kept(self, batch: pa.RecordBatch, tally: Tally) -> pa.Table:
        older = batch.column(OLDER)
        over = pc.and_(expired(self.group, batch, self.now), pc.invert(older))
        table = pa.Table.from_batches([batch]).drop_columns([OLDER])
        kept = table.filter(pc.invert(pc.or_(older, over)))
        tally.count(
            rows_in=batch.num_rows,
            older=_true(older),
            expired=_true(over),
            corrected=_true(kept.column(CORRECT)),
            fit=kept.num_rows,
        )
        return kept


def _true(flags: pa.Array | pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
