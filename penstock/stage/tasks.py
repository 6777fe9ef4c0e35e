"""What runs inside Spark's Python workers while a window is staged.

A task reads batches, puts them through its gate and writes Parquet files under names no other
attempt uses. It answers one :class:`Report`; a task that fails leaves files nobody refers to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.contract import OFFLINE_ONLY, FeatureGroup, Source
from penstock.gate import BAD, ORIGIN, Bounds, FeatureGate, Gated, SourceGate
from penstock.stage.expiry import expired
from penstock.stage.report import Report, Staged, Tally
from penstock.stage.versions import BUFFER_ROWS, TIE, Settled, Versions
from penstock.storage import Storage

FILE_ROWS = 100_000  # rows a staged file: enough for a good Parquet file, small enough to share out


def gate_source(
    name: str,
    source: Source,
    bounds: Bounds,
    batches: Iterable[pa.RecordBatch],
    folder: str,
    storage: Storage,
) -> Report:
    """Put raw batches through the source gate; writes ``rows-*`` and ``bad-*`` into ``folder``."""
    gate, tally = SourceGate(name, source, bounds), Tally()
    with Files(folder, storage, "rows") as rows, Files(folder, storage, "bad", BAD) as bad:
        for batch in batches:
            gated = gate.check(batch)
            _count(tally, gated)
            tally.count(fit=gated.rows.num_rows)
            rows.write(gated.rows)
            bad.write(gated.bad)
    return tally.report(rows=rows.done(), bad=bad.done())


@dataclass(frozen=True)
class FeatureTask:
    """Put a transform's output through the feature gate.

    Args:
        group: The contract.
        bounds: The window.
        latest: Event times after this are put aside.
        folder: Where ``rows-*``, ``bad-*`` and ``send-*`` go.
        send: Whether to write the latest row of each identifier for the online store.
        each: Write one row of each event time, the one that wins a tie.
        every_at: Given, every row is written for the service, which keeps the offline store; what
            has expired by then goes there alone.
        buffer_rows: Rows that come together before complete identifiers are written; where all do,
            their order is of no account.
    """

    group: FeatureGroup
    bounds: Bounds
    latest: datetime
    folder: str
    send: bool
    each: bool = False
    every_at: datetime | None = None
    buffer_rows: int = BUFFER_ROWS

    def run(self, batches: Iterable[pa.RecordBatch], storage: Storage) -> Report:
        """Gate the batches; rows of one identifier must come next to each other."""
        gate, tally = FeatureGate(self.group, self.bounds, self.latest), Tally()
        keys = (self.group.record_identifier, self.group.event_time)
        versions = Versions(*keys, self.buffer_rows)
        with (
            Files(self.folder, storage, "rows") as rows,
            Files(self.folder, storage, "bad", BAD) as bad,
            _Sends(self, storage) as sends,
        ):
            for batch in batches:
                gated = gate.check(batch)
                _count(tally, gated)
                bad.write(gated.bad)
                for settled in versions.add(gated.rows.drop_columns([ORIGIN])):
                    self._write(settled, tally, rows, sends)
            for settled in versions.finish():
                self._write(settled, tally, rows, sends)
        return tally.report(rows=rows.done(), bad=bad.done(), send=sends.done())

    def _write(self, settled: Settled, tally: Tally, rows: Files, sends: _Sends) -> None:
        tally.count(
            fit=settled.rows.num_rows,
            duplicates=settled.duplicates,
            ties=settled.ties,
            identifiers=settled.identifiers,
        )
        rows.write(settled.rows)
        sends.write(settled)


class _Sends:
    """Send files of a task. Of rows that tie, each goes into files of a phase of its own.

    Within a file identifier and event time name one row, and what wins the tie is sent last.
    """

    def __init__(self, task: FeatureTask, storage: Storage) -> None:
        self._task, self._storage = task, storage
        self._phases: dict[int, Files] = {}

    def __enter__(self) -> _Sends:
        return self

    def __exit__(self, *ended: object) -> None:
        for files in self._phases.values():
            files.close()

    def write(self, settled: Settled) -> None:
        if not self._task.send:
            return
        ties = settled.rows.column(TIE)
        if self._task.each:
            self._phase(0).write(settled.rows.filter(pc.equal(ties, 0)).drop_columns([TIE]))
            return
        if self._task.every_at is None:
            self._phase(0).write(settled.latest)
            return
        rows = self._flagged(settled, self._task.every_at)
        for phase in sorted(set(ties.unique().to_pylist())):
            self._phase(phase).write(rows.filter(pc.equal(ties, phase)))

    def done(self) -> tuple[Staged, ...]:
        return tuple(one for files in self._phases.values() for one in files.done())

    def _flagged(self, settled: Settled, at: datetime) -> pa.Table:
        """Every row; one that is not its identifier's latest, or expired, goes offline only."""
        rows = settled.rows.drop_columns([TIE])
        online = pc.and_(settled.last, pc.invert(expired(self._task.group, rows, at)))
        return rows.append_column(OFFLINE_ONLY, pc.invert(online))

    def _phase(self, phase: int) -> Files:
        if phase not in self._phases:
            self._phases[phase] = Files(self._task.folder, self._storage, "send", phase=phase)
        return self._phases[phase]


@dataclass
class Files:
    """Parquet files of at most :data:`FILE_ROWS` rows (and one batch), opened when rows come."""

    folder: str
    storage: Storage
    kind: str
    schema: pa.Schema | None = None
    phase: int = 0
    _tag: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    _done: list[Staged] = field(default_factory=list)
    _sink: pa.NativeFile | None = None
    _writer: pq.ParquetWriter | None = None
    _path: str = ""
    _rows: int = 0

    def __enter__(self) -> Files:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, rows: pa.Table) -> None:
        """Append rows."""
        if rows.num_rows == 0:
            return
        if self._writer is None:
            self._path = f"{self.folder}/{self.kind}-{self._tag}-{len(self._done):04d}.parquet"
            self._sink = self.storage.create(self._path)
            self._writer = pq.ParquetWriter(self._sink, self.schema or rows.schema)
        self._writer.write_table(rows)
        self._rows += rows.num_rows
        if self._rows >= FILE_ROWS:
            self.close()

    def done(self) -> tuple[Staged, ...]:
        """The files written, once all are closed."""
        return tuple(self._done)

    def close(self) -> None:
        """Finish the open file."""
        if self._writer is not None and self._sink is not None:
            self._writer.close()
            self._sink.close()
            self._done.append(Staged(self._path, self._rows, self.phase))
        self._writer, self._sink, self._rows = None, None, 0


def _count(tally: Tally, gated: Gated) -> None:
    tally.count(
        rows_in=gated.rows_in,
        quarantined=gated.bad.num_rows,
        dropped=gated.dropped,
        outside=gated.outside,
    )
