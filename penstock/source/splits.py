"""Pinned files cut into pieces that tasks read on their own.

A Parquet file is cut at its row groups, text is one piece a file. Reading happens in Python,
through Arrow, not through Spark's readers: so every row knows its place, text stays text, and
neither the session's time zone nor ANSI mode has a say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.config import Location
from penstock.contract import Source
from penstock.errors import DataGateError, MismatchError
from penstock.gate import FILE, POSITION
from penstock.source.delimited import csv_header, read_csv
from penstock.source.files import Pin
from penstock.source.json_lines import json_names, read_json
from penstock.source.text import BATCH_ROWS, check_columns, is_plain
from penstock.storage import Storage


@dataclass(frozen=True)
class Split:
    """One piece: a file; of Parquet one row group, and the index of its first row."""

    path: str
    row_group: int = 0
    first_row: int = 0


@dataclass(frozen=True)
class Reading:
    """How the pieces of one source are read; travels to executors.

    Args:
        format: csv, json or parquet.
        storage: Where the files are.
        columns: Declared columns.
        null_texts: Texts that mean null, in text formats.
    """

    format: str
    storage: Storage
    columns: tuple[str, ...]
    null_texts: tuple[str, ...]
    delimiter: str = ","
    header: bool = True

    def batches(self, split: Split) -> Iterator[pa.RecordBatch]:
        """The rows of one piece: declared columns, file and position.

        Raises:
            DataGateError: The file is truncated or corrupt.
        """
        if self.format == "csv":
            return read_csv(
                split.path,
                self.storage,
                self.columns,
                delimiter=self.delimiter,
                header=self.header,
                null_texts=self.null_texts,
            )
        if self.format == "json":
            return read_json(split.path, self.storage, self.columns, null_texts=self.null_texts)
        return _parquet_batches(split, self.storage, self.columns)


def cut(
    location: Location, source: Source, pinned: Sequence[Pin], storage: Storage
) -> tuple[Reading, list[Split], tuple[str, ...]]:
    """Check every file for the declared columns, and cut the files into pieces.

    Returns:
        How to read, the pieces, and the names of columns nobody declared, sorted.

    Raises:
        ContractError: A declared column is missing.
        DataGateError: A file is truncated or corrupt.
    """
    names = tuple(one.name for one in source.columns)
    reading = Reading(
        location.format, storage, names, source.null_texts, location.delimiter, location.header
    )
    with ThreadPoolExecutor(8) as pool:
        looked = list(pool.map(lambda pin: _look(reading, pin), pinned))
    extra = {name for _, more in looked for name in more}
    if reading.format == "json":
        extra = _json_extra(reading, pinned)
    return reading, [split for splits, _ in looked for split in splits], tuple(sorted(extra))


def parquet_schema(path: str, storage: Storage) -> pa.Schema:
    """The columns of a Parquet file, with their types.

    Raises:
        DataGateError: The file is truncated or corrupt.
    """
    try:
        with _opened(path, storage) as file:
            return file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(path, error) from None


def _look(reading: Reading, pin: Pin) -> tuple[list[Split], tuple[str, ...]]:
    if reading.format == "parquet":
        return _parquet_splits(reading, pin)
    if pin.size == 0 and is_plain(pin.path):
        return [], ()
    extra: tuple[str, ...] = ()
    if reading.format == "csv" and reading.header:
        there = csv_header(pin.path, reading.storage, reading.delimiter)
        extra = check_columns(pin.path, there, reading.columns) if there else ()
    return [Split(pin.path)], extra


def _json_extra(reading: Reading, pinned: Sequence[Pin]) -> set[str]:
    """Names nobody declared; reads rows, of all files, until every declared name has been seen."""
    there: set[str] = set()
    rows = (names for pin in pinned for names in json_names(pin.path, reading.storage))
    for names in rows:
        there |= names
        if there.issuperset(reading.columns):
            return there.difference(reading.columns)
    if there:
        place = (
            pinned[0].path if len(pinned) == 1 else f"{pinned[0].path} and {len(pinned) - 1} more"
        )
        check_columns(place, sorted(there), reading.columns)
    return set()


@contextmanager
def _opened(path: str, storage: Storage) -> Iterator[pq.ParquetFile]:
    """A file whose pages are checked where they have checksums.

    Spark 3 writes instants as INT96, days and nanoseconds; read as nanoseconds, years after 2262
    would wrap around.
    """
    with (
        storage.open_input(path) as opened,
        pq.ParquetFile(
            opened, page_checksum_verification=True, coerce_int96_timestamp_unit="us"
        ) as file,
    ):
        yield file


def _parquet_splits(reading: Reading, pin: Pin) -> tuple[list[Split], tuple[str, ...]]:
    try:
        with _opened(pin.path, reading.storage) as file:
            extra = check_columns(pin.path, file.schema_arrow.names, reading.columns)
            sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(pin.path, error) from None
    return [Split(pin.path, n, sum(sizes[:n])) for n in range(len(sizes))], extra


def _parquet_batches(
    split: Split, storage: Storage, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    position, given = split.first_row, 0
    try:
        with _opened(split.path, storage) as file:
            instants = _int96(file)
            for batch in file.iter_batches(BATCH_ROWS, [split.row_group], list(columns)):
                path = pa.repeat(pa.scalar(split.path), len(batch))
                rows = pa.array(range(position, position + len(batch)), pa.int64())
                position += len(batch)
                given += len(batch)
                values = [
                    _zoned(batch.column(name)) if name in instants else batch.column(name)
                    for name in columns
                ]
                yield pa.RecordBatch.from_arrays(
                    [*values, path, rows], names=[*columns, FILE, POSITION]
                )
            declared = file.metadata.row_group(split.row_group).num_rows
    except (pa.ArrowException, OSError) as error:
        raise _corrupt(split.path, error) from None
    if given != declared:
        message = f"{split.path}: row group {split.row_group} has {declared} rows, {given} given on"
        raise MismatchError(message, "Please report this as a defect")


def _int96(file: pq.ParquetFile) -> frozenset[str]:
    """Columns of the type that has no zone written down, and by all its writers means UTC."""
    schema = file.schema
    columns = (schema.column(n) for n in range(len(schema.names)))
    return frozenset(one.path for one in columns if one.physical_type == "INT96")


def _zoned(array: pa.Array) -> pa.Array:
    return array.cast(pa.timestamp(array.type.unit, "UTC"))


def _corrupt(path: str, error: Exception) -> DataGateError:
    message = f"{path}: truncated or corrupt: {error}"
    return DataGateError(message, "Fetch the file again; nothing was published")
