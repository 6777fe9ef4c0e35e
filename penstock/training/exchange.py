"""Rows of two tables brought together by key, packed: one row of Spark's carries many of ours.

Most of what a join of many rows costs in Spark is that each row goes from the JVM to Python on its
own (measured: 24 of 34 CPU seconds at 10^7 rows of nine columns). So a table that lies in Parquet
files is read by the Python workers themselves; rows are put in order of the partition they belong
to and cut into Arrow batches, and it is those that Spark moves. Needs nothing that Spark 3.5 lacks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.entries import Files
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

KEY = "_key"
HELD_ROWS, HELD_BYTES = 1 << 17, 1 << 26  # by a task, about, before it packs them
#: Spark hands on 10,000 rows at once (spark.sql.execution.arrow.maxRecordsPerBatch), of which Arrow
#: wants less than 2 GiB a column.
PACK_BYTES = 1 << 16
PIECE_BYTES = 1 << 25  # of a file, about, that one task reads
MAX_TASKS = 1_000  # of one table; more pieces than that share tasks
_SLOT, _SIDE, _SCHEMA, _ROWS = "_slot", "_side", "_schema", "_rows"
_PACKED = f"{_SLOT} int, {_SIDE} int, {_SCHEMA} binary, {_ROWS} binary"
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads numbers that lie close


@dataclass(frozen=True)
class Column:
    """A column of a table in files.

    Args:
        name: In the files; an older one may lack it, which makes nulls.
        type: What it is read as; an instant as a number counts microseconds.
    """

    name: str
    type: pa.DataType


def packed(frame: DataFrame, side: int, partitions: int) -> DataFrame:
    """The rows of a frame that has a column ``_key``, packed; rows without a key go by turns."""
    return frame.mapInArrow(settled(_Packing(side, _slots(partitions))), _PACKED)


def packed_files(
    spark: SparkSession, files: Files, columns: Mapping[str, Column], side: int, partitions: int
) -> DataFrame:
    """The rows of a table in files, packed likewise.

    Args:
        spark: The session.
        files: The table.
        columns: What is read, by the names it has from then on; one is ``_key``.
        side: Which of the tables that meet.
        partitions: How many.
    """
    pieces = [
        (path, n, count)
        for path, size in files.sizes.items()
        for count in (-(-size // PIECE_BYTES) or 1,)
        for n in range(count)
    ]
    slices = max(1, min(len(pieces), MAX_TASKS))
    rows = spark.sparkContext.parallelize(pieces, slices)
    frame = spark.createDataFrame(rows, "path string, number int, of int")
    work = _Reading(files, dict(columns), _Packing(side, _slots(partitions)))
    return frame.mapInArrow(settled(work), _PACKED)


def exchanged(tables: Sequence[DataFrame], partitions: int) -> DataFrame:
    """Packed tables, with the rows of one key in one partition; :func:`unpacked` reads them."""
    both = tables[0]
    for one in tables[1:]:
        both = both.unionByName(one)
    return both.repartition(partitions, _SLOT)


def unpacked(batches: Iterable[pa.RecordBatch], sides: int) -> list[pa.Table | None]:
    """What a task has of each table; None where it has nothing."""
    schemas: dict[bytes, pa.Schema] = {}
    found: list[list[pa.RecordBatch]] = [[] for _ in range(sides)]
    for batch in batches:
        columns = (batch.column(_SIDE).to_pylist(), batch.column(_SCHEMA), batch.column(_ROWS))
        for side, schema, rows in zip(*columns, strict=True):
            named = schema.as_py()
            if named not in schemas:
                schemas[named] = pa.ipc.read_schema(pa.py_buffer(named))
            found[side].append(pa.ipc.read_record_batch(rows.as_buffer(), schemas[named]))
    return [pa.Table.from_batches(one) if one else None for one in found]


@dataclass
class _Packing:
    """What a task does with its rows."""

    side: int
    slots: tuple[int, ...]
    _held: list[pa.RecordBatch] = field(default_factory=list)

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = size = 0
        for batch in batches:
            self._held.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= HELD_ROWS or size >= HELD_BYTES:
                yield self._packs()
                rows = size = 0
        if rows:
            yield self._packs()

    def _packs(self) -> pa.RecordBatch:
        """All rows held, as batches of one partition each."""
        table: Any = pa.Table.from_batches(self._held).combine_chunks()
        self._held = []
        parts = _parts(table[KEY].combine_chunks(), len(self.slots))
        order = np.argsort(parts, kind="stable")  # of 16 bits: by radix
        parts = parts[order]
        table = table.take(pa.array(order)).combine_chunks()
        step = max(1, PACK_BYTES * table.num_rows // max(table.nbytes, 1))
        bounds = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), table.num_rows]
        slots, rows = [], []
        for first, end in pairwise(bounds):
            for start in range(first, end, step):
                (one,) = table.slice(start, min(step, end - start)).to_batches()
                slots.append(self.slots[parts[start]])
                rows.append(one.serialize().to_pybytes())
        columns = [
            pa.array(slots, pa.int32()),
            pa.repeat(pa.scalar(self.side, pa.int32()), len(rows)),
            pa.array([table.schema.serialize().to_pybytes()] * len(rows), pa.binary()),
            pa.array(rows, pa.binary()),
        ]
        return pa.record_batch(columns, [_SLOT, _SIDE, _SCHEMA, _ROWS])


@dataclass
class _Reading:
    """What a task does with its pieces of files."""

    files: Files
    columns: dict[str, Column]
    packing: _Packing

    def __call__(self, pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (one for batch in pieces for piece in batch.to_pylist() for one in self._read(piece))
        return self.packing(rows)

    def _read(self, piece: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        with (
            self.files.storage.open_input(piece["path"]) as opened,
            pq.ParquetFile(opened, coerce_int96_timestamp_unit="us") as file,
        ):
            there = set(file.schema_arrow.names)
            wanted = [one.name for one in self.columns.values() if one.name in there]
            groups = list(range(piece["number"], file.num_row_groups, piece["of"]))
            for batch in file.iter_batches(HELD_ROWS, groups, wanted):
                columns = [_column(batch, one) for one in self.columns.values()]
                yield pa.record_batch(columns, list(self.columns))


def _column(batch: pa.RecordBatch, wanted: Column) -> pa.Array:
    if wanted.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, wanted.type)
    found = batch.column(wanted.name)
    if pa.types.is_timestamp(found.type) and pa.types.is_integer(wanted.type):
        found = found.cast(pa.timestamp("us", found.type.tz))
    return found.cast(wanted.type)


def _parts(keys: pa.Array, partitions: int) -> Any:
    """Partition of each row, by a hash of its key that is the same for all tables."""
    if pa.types.is_integer(keys.type):
        hashes = keys.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    else:
        encoded: Any = keys.dictionary_encode()
        values = _hashes(encoded.dictionary)
        hashes = values[encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
    turns = np.arange(len(keys), dtype=np.uint64)
    known = keys.is_valid().to_numpy(zero_copy_only=False)
    mixed = np.where(known, (hashes * _MIX) >> np.uint64(32), turns)
    return (mixed % np.uint64(partitions)).astype(np.uint16 if partitions < 1 << 16 else np.uint64)


def _hashes(values: pa.Array) -> Any:
    """Of distinct texts or doubles; there is at least one."""
    if not len(values):
        return np.zeros(1, np.uint64)
    if pa.types.is_floating(values.type):
        return (values.to_numpy(zero_copy_only=False) + 0.0).view(np.uint64)  # -0.0 is 0.0
    found = (zlib.crc32(one) for one in values.cast(pa.binary()).to_pylist())
    return np.fromiter(found, np.uint64, len(values))


def _slots(partitions: int) -> tuple[int, ...]:
    """A number for each partition, by whose hash Spark puts rows there.

    Were it another one, rows would still meet; some partitions would be larger than others.
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < partitions:
        found.setdefault(_murmur(number) % partitions, number)
        number += 1
    return tuple(found[n] for n in range(partitions))


def _murmur(number: int) -> int:
    """Spark's hash of an int column: Murmur3 x86_32 with seed 42 (its ``Murmur3Hash``), signed."""
    mask = 0xFFFFFFFF
    mixed = number * 0xCC9E2D51 & mask
    mixed = (mixed << 15 | mixed >> 17) & mask
    made = 42 ^ (mixed * 0x1B873593 & mask)
    made = (made << 13 | made >> 19) & mask
    made = ((made * 5 + 0xE6546B64) & mask) ^ 4  # ^ the length in bytes
    made = (made ^ made >> 16) * 0x85EBCA6B & mask
    made = (made ^ made >> 13) * 0xC2B2AE35 & mask
    made ^= made >> 16
    return made - (1 << 32) if made >> 31 else made
