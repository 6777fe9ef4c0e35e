"""Rows of a frame as Parquet files in a Delta table's folder, written by tasks, not yet committed.

File names are of no other attempt, so what a task that failed left behind is nobody's.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.entries import Part
from penstock.layout import Layout
from penstock.storage import Storage
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

GROUP_ROWS = 1 << 17  # of a row group
PART_ROWS = 8 * GROUP_ROWS
COLUMNS = 32  # that have statistics, as Delta's own writers do; the last three of a table as well
LETTERS = 64  # of text in statistics: what follows is cut off
_LAST = 0x10FFFF  # greatest code point
_SURROGATES = range(0xD800, 0xE000)  # are no characters


def write(
    frame: DataFrame,
    schema: pa.Schema,
    folder: str,
    storage: Storage,
    layout: Layout | None = None,
) -> list[Part]:
    """Write a frame's rows, a task a partition. Needs a commit to be seen.

    Args:
        frame: Columns of these names, of types that Arrow casts to those of ``schema``.
        schema: Of the files.
        folder: Of the table.
        storage: Where that is.
        layout: How rows become files; where there is none, as they come.
    """
    if layout is not None:
        from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

        frame = frame.repartition(_hour(frame, layout.event_time))
        # The latest comes first, for a file is named by it; so those of a file are side by side.
        frame = frame.sortWithinPartitions(F.col(f"`{layout.event_time}`").desc())
    work = settled(PartTask(schema, folder, storage, layout))
    found = frame.mapInArrow(work, "part string").collect()
    return [_part(row["part"]) for row in found]


@dataclass(frozen=True)
class PartTask:
    """What a task does.

    Args:
        schema: Of the files; the rows' types are cast to it.
        folder: Of the table.
        storage: Where that is.
        layout: How rows become files; they come by event time then, the latest first.
    """

    schema: pa.Schema
    folder: str
    storage: Storage
    layout: Layout | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Write the rows; one column, ``part``, with a :class:`Part` as JSON for each file."""
        with _Parts(self) as parts:
            for batch in batches:
                if batch.num_rows:
                    parts.take(pa.Table.from_batches([batch]).cast(self.schema))
        made = [json.dumps(asdict(one)) for one in parts.done]
        yield pa.record_batch([pa.array(made, pa.string())], ["part"])

    def parts(self, batches: Iterable[pa.RecordBatch]) -> list[Part]:
        """Write the rows here, in this process."""
        return [_part(one) for made in self(batches) for one in made.column("part").to_pylist()]


def _part(text: str) -> Part:
    """As a task tells of it."""
    return Part(**json.loads(text))


@dataclass
class _Parts:
    """Files of one task, one after the other."""

    work: PartTask
    done: list[Part] = field(default_factory=list)
    _held: list[pa.Table] = field(default_factory=list)
    _rows: int = 0  # held
    _file: _File | None = None
    _key: str | None = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._flush()
        self._close()

    def take(self, rows: pa.Table) -> None:
        layout = self.work.layout
        if layout is None:
            self._add(rows)
            return
        keys = pc.run_end_encode(layout.keys(rows))
        start = 0
        for key, end in zip(keys.values.to_pylist(), keys.run_ends.to_pylist(), strict=True):
            if key != self._key:
                self._flush()
                self._close()
                self._key = key
            self._add(rows.slice(start, end - start))
            start = end

    def _add(self, rows: pa.Table) -> None:
        self._held.append(rows)
        self._rows += rows.num_rows
        if self._rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows = pa.concat_tables(self._held)
        if self._file is None:
            self._file = _File(self.work, self._name(rows))
        self._file.write(rows)
        self._held, self._rows = [], 0
        if self._file.rows >= PART_ROWS:
            self._close()

    def _name(self, rows: pa.Table) -> str:
        layout = self.work.layout
        if layout is None:
            return f"part-{uuid.uuid4().hex}.snappy.parquet"
        assert self._key is not None
        return layout.name(self._key, rows.column(layout.event_time)[0].as_py())

    def _close(self) -> None:
        if self._file is not None:
            self.done.append(self._file.part())
            self._file = None


class _File:
    """One file."""

    def __init__(self, work: PartTask, name: str) -> None:
        self._name = name
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
    outward to the milliseconds they are written with, long text to what it begins with. A bound
    that is missing must be so for all columns: delta-rs 1.6.6 hands Arrow's data sets a comparison
    with null for it, and a filter on that column then finds nothing.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = list(dict.fromkeys([*schema.names[:COLUMNS], *schema.names[-3:]]))
        self._nulls = dict.fromkeys(self._columns, 0)
        self._bounds: dict[str, tuple[Any, Any]] = {}
        self._unordered = False

    def add(self, rows: pa.Table) -> None:
        """More rows."""
        for name in self._columns:
            column = rows.column(name)
            self._nulls[name] += column.null_count
            if column.null_count == rows.num_rows:
                continue
            if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
                self._unordered = True  # for Spark it is the greatest value, for others none
                continue
            found = pc.min_max(column).as_py()
            pair = (found["min"], found["max"])
            old = self._bounds.get(name, pair)
            self._bounds[name] = (min(old[0], pair[0]), max(old[1], pair[1]))

    def text(self, rows: int) -> str:
        """As JSON, for so many rows."""
        least = {name: _below(one) for name, (one, _) in self._bounds.items()}
        greatest = {name: _above(one) for name, (_, one) in self._bounds.items()}
        made: dict[str, Any] = {"numRecords": rows, "nullCount": self._nulls}
        if not self._unordered and None not in (*least.values(), *greatest.values()):
            made |= {"minValues": least, "maxValues": greatest}
        # delta-rs 1.6.6 takes escaped pairs of surrogates for something else, and skips files.
        return json.dumps(made, allow_nan=False, ensure_ascii=False)


def _hour(frame: DataFrame, event_time: str) -> Column:
    """Rows of one hour are of one file; where they are written depends on it, not what they say."""
    from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
    from pyspark.sql.types import StringType

    name = F.col(f"`{event_time}`")
    if isinstance(frame.schema[event_time].dataType, StringType):
        return F.substring(name, 1, 13)
    return F.floor(name / 3600)


def _below(value: Any) -> Any:
    """The value or what is below it, as JSON has it; None where JSON has nothing that is."""
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, str):
        return value[:LETTERS]
    return _finite(-0.0 if value == 0 and isinstance(value, float) else value)


def _above(value: Any) -> Any:
    """The value or what is above it; as :func:`_below`."""
    if isinstance(value, datetime):
        return _instant(value + timedelta(microseconds=999))
    if isinstance(value, str):
        return value if len(value) <= LETTERS else _after(value[:LETTERS])
    return _finite(0.0 if value == 0 and isinstance(value, float) else value)


def _after(start: str) -> str | None:
    """The least text that is after all that begins so; None where there is none."""
    kept = start.rstrip(chr(_LAST))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    if following in _SURROGATES:
        following = _SURROGATES.stop
    return kept[:-1] + chr(following)


def _instant(value: datetime) -> str:
    """To the millisecond, cut off."""
    moment = value.astimezone(timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _finite(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None
