"""Rows of CSV and JSON Lines files, as text, with the line each one starts on.

Nothing is inferred and nothing is lost: values stay the text they are until the source gate
converts them, bytes that are not UTF-8 stay those bytes, and a row that cannot be read at all
comes out as a problem row. Files are read whole by one task, in bounded memory: a quoted line
break makes CSV unsplittable.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError, DataGateError, MismatchError
from penstock.gate import FILE, POSITION, PROBLEM

BATCH_ROWS = 16_384

_Row = tuple[int, "Sequence[object] | None", str | None]  # line, values in column order, problem


def open_text(path: str) -> IO[str]:
    """A file as text lines, decompressed by its ending: .gz, .bz2, .zip (one member).

    Raises:
        DataGateError: A .zip that is broken or has not exactly one member.
    """
    return io.TextIOWrapper(
        _decompressed(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
    )


def csv_header(path: str, delimiter: str) -> list[str]:
    """Names in a CSV's first line; empty for an empty file."""
    with _explained(path), open_text(path) as file:
        return next(csv.reader(file, delimiter=delimiter), [])


def read_csv(
    path: str, columns: Sequence[str], *, delimiter: str, header: bool, null_texts: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of the declared columns of one CSV (RFC 4180; quotes doubled inside quotes).

    Args:
        path: The file.
        columns: Declared columns; without a header they are the file's columns in order.
        delimiter: Between columns.
        header: The first line names the columns.
        null_texts: Texts that mean null.

    Raises:
        DataGateError: The file is truncated or corrupt.
    """
    with _explained(path), open_text(path) as file:
        rows = _csv_rows(file, columns, delimiter, header=header)
        yield from _batches(path, columns, rows, null_texts)


def read_json(
    path: str, columns: Sequence[str], *, null_texts: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of the declared columns of one JSON Lines file; an absent key is null.

    Numbers keep the text they were written in; nested values become problem rows.

    Raises:
        DataGateError: The file is truncated or corrupt.
    """
    with _explained(path), open_text(path) as file:
        yield from _batches(path, columns, _json_rows(file, columns), null_texts)


class _explained:  # noqa: N801 - reads as a clause of the with statement
    """Turns what a broken file raises into one line that names it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        broken = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile)
        if isinstance(error, broken) or (isinstance(error, OSError) and error.errno is None):
            message = f"{self._path}: truncated or corrupt: {error}"
            raise DataGateError(message, "Fetch the file again; nothing was published") from None


def _decompressed(path: str) -> IO[bytes]:
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.endswith(".bz2"):
        return cast("IO[bytes]", bz2.open(path, "rb"))
    if path.endswith(".zip"):
        archive = zipfile.ZipFile(path)
        members = [one for one in archive.namelist() if not one.endswith("/")]
        if len(members) != 1:
            message = f"{path}: holds {len(members)} files"
            raise DataGateError(message, "A .zip source must hold exactly one")
        return archive.open(members[0])
    return open(path, "rb")  # noqa: PTH123 - closed by the text wrapper around it


def _csv_rows(
    file: Iterable[str], columns: Sequence[str], delimiter: str, *, header: bool
) -> Iterator[_Row]:
    csv.field_size_limit(sys.maxsize)  # the limit of a record is the gate's to judge
    seen = _Remembered(file)
    reader = csv.reader(seen, delimiter=delimiter, strict=True)
    names = next(reader, None) if header else list(columns)
    if names is None:
        return
    places = [names.index(name) for name in columns]
    width = len(names)
    while True:
        line = reader.line_num + 1
        seen.forget()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise EOFError(f"the quote opened on line {line} is never closed") from None
            yield line, None, seen.text
            continue
        if not fields:
            continue  # an empty line is no row
        if len(fields) != width:
            yield line, None, seen.text
        else:
            yield line, [fields[place] for place in places], None


def _json_rows(file: Iterable[str], columns: Sequence[str]) -> Iterator[_Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        except (ValueError, RecursionError):
            yield number, None, line
            continue
        values = [found.get(name) for name in columns] if isinstance(found, dict) else [found, {}]
        if any(isinstance(value, (dict, list)) for value in values):
            yield number, None, line
        else:
            yield number, [_json_text(value) for value in values], None


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def _json_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


class _Remembered:
    """Lines of a file, remembering those of the row being read, for the quarantine."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._kept: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._kept.append(line)
        return line

    def forget(self) -> None:
        self._kept.clear()

    @property
    def text(self) -> str:
        return "".join(self._kept)


def _batches(
    path: str, columns: Sequence[str], rows: Iterator[_Row], null_texts: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    counted, given = _Counted(rows), 0
    while taken := list(itertools.islice(counted, BATCH_ROWS)):
        yield _batch(path, columns, taken, null_texts)
        given += len(taken)
    if given != counted.rows:
        message = f"{path}: {counted.rows} rows were parsed, {given} given on"
        raise MismatchError(message, "Please report this as a defect")


class _Counted:
    """Counts rows as they leave the parser, apart from whoever puts them together."""

    def __init__(self, rows: Iterator[_Row]) -> None:
        self._from = rows
        self.rows = 0

    def __iter__(self) -> Iterator[_Row]:
        return self

    def __next__(self) -> _Row:
        row = next(self._from)
        self.rows += 1
        return row


def _batch(
    path: str, columns: Sequence[str], rows: list[_Row], null_texts: Sequence[str]
) -> pa.RecordBatch:
    empty: Sequence[object] = [None] * len(columns)
    by_column = list(
        zip(*(empty if values is None else values for _, values, _ in rows), strict=True)
    )
    arrays = [_nulled(text_array(values), null_texts) for values in by_column]
    arrays.append(pa.repeat(pa.scalar(path), len(rows)))
    arrays.append(pa.array([line for line, _, _ in rows], pa.int64()))
    arrays.append(text_array([problem for _, _, problem in rows]))
    return pa.RecordBatch.from_arrays(arrays, names=[*columns, FILE, POSITION, PROBLEM])


def text_array(values: Sequence[Any]) -> pa.Array:
    """A string array that may hold bytes that are not UTF-8, for the gate to find."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        raw = [None if one is None else _bytes(one) for one in values]
        return pa.array(raw, pa.binary()).view(pa.string())


def _bytes(text: str) -> bytes:
    """Undecodable bytes as they were; lone surrogates as the invalid UTF-8 they would be."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _nulled(array: pa.Array, null_texts: Sequence[str]) -> pa.Array:
    if not null_texts:
        return array
    return pc.if_else(pc.is_in(array, pa.array(null_texts, pa.string())), None, array)


def check_columns(path: str, there: Sequence[str], declared: Sequence[str]) -> tuple[str, ...]:
    """Names in the file that are not declared.

    Raises:
        ContractError: A declared column is missing or stands twice.
    """
    wrong = [name for name in declared if there.count(name) != 1]
    if wrong:
        state = "is missing" if wrong[0] not in there else "stands twice"
        message = f"{path}: declared column {wrong[0]!r} {state}"
        raise ContractError(message, f"The file has: {', '.join(there)}")
    return tuple(name for name in there if name not in declared)
