"""What runs inside Spark's Python workers while stores are compared.

A task reads offline rows, asks the online store for the same identifiers, and writes what differs
into Parquet files. It answers one :class:`Compared`, in which there are counts and names of files.

Memory: :data:`SLICE_ROWS` rows or :data:`SLICE_BYTES` of them, whichever is less, as they are in
Arrow, as they come in JSON and as texts; and Spark's own batch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import FeatureGroup
from penstock.online.asking import ReadJob
from penstock.online.lookup import records
from penstock.reconcile.mending import mends
from penstock.reconcile.verdict import DIFFERING, Verdicts, identifiers, text, verdicts
from penstock.stage.report import Staged
from penstock.stage.tasks import Files
from penstock.storage import Storage

SLICE_ROWS = 2_000
SLICE_BYTES = 16 * 1024 * 1024
_KINDS = ("found", "send", "gone")


@dataclass(frozen=True)
class Compared:
    """What a task, or all of them, found.

    Args:
        kinds: Records by kind.
        returns: Records that are removed and put anew.
        found: Files of what differs.
        send: Files of what is put, corrected or deleted to mend it.
        gone: Files of what is removed first.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    returns: int = 0
    found: tuple[Staged, ...] = ()
    send: tuple[Staged, ...] = ()
    gone: tuple[Staged, ...] = ()

    @property
    def differing(self) -> int:
        """Records that differ."""
        return sum(self.kinds[one] for one in DIFFERING)

    def encoded(self) -> str:
        """As JSON; :func:`total` reads it back."""
        files = {one: [[f.path, f.rows] for f in getattr(self, one)] for one in _KINDS}
        return json.dumps({"kinds": self.kinds, "returns": self.returns, **files})


def total(reports: Sequence[str]) -> Compared:
    """The sum of what tasks answered, files sorted by path."""
    plain: list[dict[str, Any]] = [json.loads(one) for one in reports]
    kinds: Counter[str] = Counter()
    for one in plain:
        kinds.update(one["kinds"])
    files = {
        name: tuple(Staged(path, rows) for one in plain for path, rows in one[name])
        for name in _KINDS
    }
    ordered = {name: tuple(sorted(some, key=lambda f: f.path)) for name, some in files.items()}
    return Compared(kinds, sum(one["returns"] for one in plain), **ordered)


@dataclass(frozen=True)
class CompareTask:
    """Compare offline rows with what is online.

    Args:
        group: The contract.
        job: How the online store is asked.
        folder: Where files go.
        now: Aware instant that times to live are judged at.
        mend: Whether to write what mends the differences.
        updates: Whether the group's type has UpdateRecord.
    """

    group: FeatureGroup
    job: ReadJob
    folder: str
    now: datetime
    mend: bool = False
    updates: bool = False

    def run(self, batches: Iterable[pa.RecordBatch], storage: Storage) -> Compared:
        """Compare the rows of one partition."""
        kinds: Counter[str] = Counter()
        returns = 0
        with (
            Files(self.folder, storage, "found") as found,
            Files(self.folder, storage, "send") as send,
            Files(self.folder, storage, "gone") as gone,
        ):
            for rows in _slices(batches):
                online = records(self.job, identifiers(self.group, rows).to_pylist())
                verdict = verdicts(self.group, rows, online, self.now)
                kinds.update(verdict.kind.to_pylist())
                found.write(self._differences(rows, verdict))
                if self.mend:
                    made = mends(self.group, rows, verdict, updates=self.updates)
                    send.write(made.send)
                    gone.write(made.gone)
                    returns += made.returns
        return Compared(kinds, returns, found.done(), send.done(), gone.done())

    def _differences(self, rows: pa.RecordBatch, verdict: Verdicts) -> pa.Table:
        """Rows that differ: no value of theirs but identifier and event times."""
        group = self.group
        stored = rows.column(group.event_time)
        table = pa.table(
            {
                "identifier": verdict.identifier,
                "key": rows.column(group.record_identifier),
                "kind": verdict.kind,
                "features": verdict.features,
                "online_at": verdict.at,
                "offline_at": text(group.feature(group.event_time).type, stored),
            }
        )
        return table.filter(pc.is_in(verdict.kind, pa.array(DIFFERING)))


def _slices(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of a bounded number of rows and bytes."""
    for batch in batches:
        if batch.num_rows:
            row = max(1, batch.nbytes // batch.num_rows)
            size = max(1, min(SLICE_ROWS, SLICE_BYTES // row))
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)
