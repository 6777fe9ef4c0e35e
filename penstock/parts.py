"""Rows of a frame as Parquet files in a Delta table's folder, written by tasks, not yet committed.

File names are of no other attempt, so what a task that failed left behind is nobody's.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from penstock.entries import Part
from penstock.storage import Storage
from penstock.worker import settled

GROUP_ROWS = 1 << 17  # of a row group
PART_ROWS = 8 * GROUP_ROWS
COLUMNS = 32  # that have statistics, as Delta's own writers do; the last three of a table as well
LETTERS = 64  # of text in statistics: longer text has none


def write(frame: DataFrame, schema: pa.Schema, folder: str, storage: Storage) -> list[Part]:
    """Write a frame's rows, a task a partition. Needs a commit to be seen.

    Args:
        frame: Columns of these names, of types that Arrow casts to those of ``schema``.
        schema: Of the files.
        folder: Of the table.
        storage: Where that is.
    """
    work = settled(PartTask(schema, folder, storage))
    found = frame.mapInArrow(work, "part string").collect()
    return [Part(**json.loads(row["part"])) for row in found]


@dataclass(frozen=True)
class PartTask:
    """What a task does.

    Args:
        schema: Of the files; the rows' types are cast to it.
        folder: Of the table.
        storage: Where that is.
    """

    schema: pa.Schema
    folder: str
    storage: Storage

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the rows; one column, ``part``, with a :class:`Part` as JSON for each file."""
        with _Parts(self) as parts:
            for batch in batches:
                if batch.num_rows:
                    parts.write(pa.Table.from_batches([batch]).cast(self.schema))
        made = [json.dumps(asdict(one)) for one in parts.done]
        yield pa.record_batch([pa.array(made, pa.string())], ["part"])


@dataclass
class _Parts:
    """Files of one task, one after the other."""

    work: PartTask
    done: list[Part] = field(default_factory=list)
    _held: list[pa.Table] = field(default_factory=list)
    _rows: int = 0  # held
    _file: _File | None = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._flush()
        self._close()

    def write(self, rows: pa.Table) -> None:
        self._held.append(rows)
        self._rows += rows.num_rows
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._file is None:
            self._file = _File(self.work)
        self._file.write(pa.concat_tables(self._held))
        self._held, self._rows = [], 0
        if self._file.rows >= PART_ROWS:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self.done.append(self._file.part())
            self._file = None


class _File:
    """One file."""

    def __init__(self, work: PartTask) -> None:
        self._name = f"part-{uuid.uuid4().hex}.snappy.parquet"
        self._sink = work.storage.create(f"{work.folder}/{self._name}")
        self._written: list[pq.FileMetaData] = []
        self._writer = pq.ParquetWriter(self._sink, work.schema, metadata_collector=self._written)
        self._statistics = Statistics(work.schema)
        self.rows = 0

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, GROUP_ROWS)
        self._statistics.add(rows)
        self.rows += rows.num_rows

    def part(self) -> Part:
        self._writer.close()
        size = self._sink.tell()
        self._sink.close()
        (written,) = self._written  # what the file says it has is counted, not what it was given
        return Part(self._name, size, self._statistics.text(written.num_rows))


class Statistics:
    """Least and greatest values and counts of nulls of the columns readers skip files by.

    Bounds may be wide but never narrow (Delta protocol, per-file statistics): instants are rounded
    outward to the milliseconds they are written with, and long text has no bounds.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = list(dict.fromkeys([*schema.names[:COLUMNS], *schema.names[-3:]]))
        self._nulls = dict.fromkeys(self._columns, 0)
        self._bounds: dict[str, tuple[Any, Any]] = {}

    def add(self, rows: pa.Table) -> None:
        """More rows."""
        for name in self._columns:
            column = rows.column(name)
            self._nulls[name] += column.null_count
            if column.null_count == rows.num_rows or pa.types.is_boolean(column.type):
                continue
            found = pc.min_max(column).as_py()
            pair = (found["min"], found["max"])
            old = self._bounds.get(name, pair)
            self._bounds[name] = (min(old[0], pair[0]), max(old[1], pair[1]))

    def text(self, rows: int) -> str:
        """As JSON, for so many rows."""
        least = {name: _below(one) for name, (one, _) in self._bounds.items()}
        greatest = {name: _above(one) for name, (_, one) in self._bounds.items()}
        made: Mapping[str, Any] = {
            "numRecords": rows,
            "minValues": {name: one for name, one in least.items() if one is not None},
            "maxValues": {name: one for name, one in greatest.items() if one is not None},
            "nullCount": self._nulls,
        }
        # delta-rs 1.6.6 takes escaped pairs of surrogates for something else, and skips files.
        return json.dumps(made, allow_nan=False, ensure_ascii=False)


def _below(value: Any) -> Any:
    if isinstance(value, datetime):
        return _instant(value)
    return _plain(-0.0 if value == 0 and isinstance(value, float) else value)


def _above(value: Any) -> Any:
    if isinstance(value, datetime):
        return _instant(value + timedelta(microseconds=999))
    return _plain(0.0 if value == 0 and isinstance(value, float) else value)


def _instant(value: datetime) -> str:
    """To the millisecond, cut off."""
    moment = value.astimezone(timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LETTERS else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
