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
import pyarrow.parquet as pq

from penstock.contract import FeatureGroup, Source
from penstock.gate import BAD, ORIGIN, Bounds, FeatureGate, Gated, SourceGate
from penstock.stage.report import Report, Staged, Tally
from penstock.stage.versions import Settled, Versions
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
    """

    group: FeatureGroup
    bounds: Bounds
    latest: datetime
    folder: str
    send: bool

    def run(self, batches: Iterable[pa.RecordBatch], storage: Storage) -> Report:
        """Gate the batches; rows of one identifier must come next to each other."""
        gate, tally = FeatureGate(self.group, self.bounds, self.latest), Tally()
        versions = Versions(self.group.record_identifier, self.group.event_time)
        files = [Files(self.folder, storage, name) for name in ("rows", "send")]
        with files[0] as rows, files[1] as send, Files(self.folder, storage, "bad", BAD) as bad:
            for batch in batches:
                gated = gate.check(batch)
                _count(tally, gated)
                bad.write(gated.bad)
                for settled in versions.add(gated.rows.drop_columns([ORIGIN])):
                    self._write(settled, tally, rows, send)
            for settled in versions.finish():
                self._write(settled, tally, rows, send)
        return tally.report(rows=rows.done(), bad=bad.done(), send=send.done())

    def _write(self, settled: Settled, tally: Tally, rows: Files, send: Files) -> None:
        tally.count(
            fit=settled.rows.num_rows,
            duplicates=settled.duplicates,
            ties=settled.ties,
            identifiers=settled.identifiers,
        )
        rows.write(settled.rows)
        if self.send:
            send.write(settled.latest)


@dataclass
class Files:
    """Parquet files of at most :data:`FILE_ROWS` rows (and one batch), opened when rows come."""

    folder: str
    storage: Storage
    kind: str
    schema: pa.Schema | None = None
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
        self._close()

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
            self._close()

    def done(self) -> tuple[Staged, ...]:
        """The files written, once all are closed."""
        return tuple(self._done)

    def _close(self) -> None:
        if self._writer is not None and self._sink is not None:
            self._writer.close()
            self._sink.close()
            self._done.append(Staged(self._path, self._rows))
        self._writer, self._sink, self._rows = None, None, 0


def _count(tally: Tally, gated: Gated) -> None:
    tally.count(
        rows_in=gated.rows_in,
        quarantined=gated.bad.num_rows,
        dropped=gated.dropped,
        outside=gated.outside,
    )
