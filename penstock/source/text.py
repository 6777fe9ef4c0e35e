"""Text files, and their rows as text, with the line each one starts on.

Nothing is inferred and nothing is lost: values stay the text they are until the source gate
converts them, bytes that are not UTF-8 stay those bytes, and a row that cannot be read at all
comes out as a problem row. Files are read whole by one task, in bounded memory: a quoted line
break makes CSV unsplittable.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError, DataGateError, MismatchError
from penstock.gate import FILE, POSITION, PROBLEM
from penstock.storage import Storage

BATCH_ROWS = 16_384

Row = tuple[int, "Sequence[object] | None", str | None]  # line, values in column order, problem
Encode = Callable[[str], bytes]
_PACKED = (".gz", ".bz2", ".zip")


def open_text(path: str, storage: Storage) -> IO[str]:
    """A file as text lines, decompressed by its ending: .gz, .bz2, .zip (one member).

    Raises:
        DataGateError: A .zip that is broken or has not exactly one member.
    """
    return io.TextIOWrapper(
        open_bytes(path, storage), encoding="utf-8-sig", errors="surrogateescape", newline=""
    )


def is_plain(path: str) -> bool:
    """Whether a file is read as it is: without bytes it is empty, a packed one is truncated."""
    return not path.endswith(_PACKED)


def undecoded(text: str) -> bytes:
    """The bytes of a file that :func:`open_text` read, those that are not UTF-8 included."""
    return text.encode("utf-8", "surrogateescape")


class _UnreadableError(Exception):
    """A file that is whole but cannot be unpacked."""


class explained:  # noqa: N801 - reads as a clause of the with statement
    """Turns what a broken file raises into one line that names it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        broken = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, _UnreadableError)
        if isinstance(error, broken) or (isinstance(error, OSError) and error.errno is None):
            message = f"{self._path}: truncated or corrupt: {error}"
            raise DataGateError(message, "Fetch the file again; nothing was published") from None


def open_bytes(path: str, storage: Storage) -> IO[bytes]:
    """A file decompressed by its ending, for reads in order; raises as :func:`open_text`."""
    if not is_plain(path) and not storage.stamp(path).size:
        raise EOFError("a packed file of no bytes")
    opened = storage.open_bytes(path)
    if path.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(opened, "rb"))
    if path.endswith(".bz2"):
        return cast("IO[bytes]", bz2.open(opened, "rb"))
    if path.endswith(".zip"):
        archive = zipfile.ZipFile(opened)
        members = [one for one in archive.namelist() if not one.endswith("/")]
        if len(members) != 1:
            message = f"{path}: holds {len(members)} files"
            raise DataGateError(message, "A .zip source must hold exactly one")
        try:
            return archive.open(members[0])
        except (RuntimeError, NotImplementedError) as error:  # a password, an unknown method
            raise _UnreadableError(str(error)) from None
    return opened


def batches(
    path: str,
    columns: Sequence[str],
    rows: Iterator[Row],
    null_texts: Sequence[str],
    encode: Encode = undecoded,
) -> Iterator[pa.RecordBatch]:
    """Parsed rows as batches: the columns, file and line, and the text of problem rows.

    Args:
        path: The file.
        columns: Declared columns, in the order of the rows' values.
        rows: From the parser.
        null_texts: Texts that mean null.
        encode: Bytes of a value that holds lone surrogates.

    Raises:
        MismatchError: A row was lost on the way.
    """
    counted, given = _Counted(rows), 0
    while taken := list(itertools.islice(counted, BATCH_ROWS)):
        yield _batch(path, columns, taken, null_texts, encode)
        given += len(taken)
    if given != counted.rows:
        message = f"{path}: {counted.rows} rows were parsed, {given} given on"
        raise MismatchError(message, "Please report this as a defect")


class _Counted:
    """Counts rows as they leave the parser, apart from whoever puts them together."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._from = rows
        self.rows = 0

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = next(self._from)
        self.rows += 1
        return row


def _batch(
    path: str,
    columns: Sequence[str],
    rows: list[Row],
    null_texts: Sequence[str],
    encode: Encode,
) -> pa.RecordBatch:
    empty: Sequence[object] = [None] * len(columns)
    by_column = list(
        zip(*(empty if values is None else values for _, values, _ in rows), strict=True)
    )
    lines = pa.array([line for line, _, _ in rows], pa.int64())
    problems = text_array([problem for _, _, problem in rows], undecoded)
    values = [text_array(values, encode) for values in by_column]
    return placed(path, columns, values, lines, null_texts, problems)


def placed(
    path: str | pa.Array,
    columns: Sequence[str],
    values: Sequence[pa.Array],
    lines: pa.Array,
    null_texts: Sequence[str],
    problems: pa.Array | None = None,
) -> pa.RecordBatch:
    """Values of the columns as a batch, with file, line, and text of problem rows."""
    rows = len(lines)
    arrays = [_nulled(one, null_texts) for one in values]
    arrays += [pa.repeat(pa.scalar(path), rows) if isinstance(path, str) else path, lines]
    arrays.append(pa.nulls(rows, pa.string()) if problems is None else problems)
    return pa.RecordBatch.from_arrays(arrays, names=[*columns, FILE, POSITION, PROBLEM])


def text_array(values: Sequence[Any], encode: Encode) -> pa.Array:
    """A string array that may hold bytes that are not UTF-8, for the gate to find."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        raw = [None if one is None else encode(one) for one in values]
        return pa.array(raw, pa.binary()).view(pa.string())


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
