"""Rows of JSON Lines files, as text: numbers keep the digits they were written in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from penstock.source.text import Row, batches, explained, open_text
from penstock.storage import Storage

_BLANK = " \t\r\n"  # what JSON itself takes for nothing
_Object = dict[str, Any]


def read_json(
    path: str, storage: Storage, columns: Sequence[str], *, null_texts: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of the declared columns of one JSON Lines file; an absent key is null.

    A line that is no JSON object, names a key twice, or nests a value in a declared column is a
    problem row.

    Raises:
        DataGateError: The file is truncated or corrupt.
    """
    with explained(path), open_text(path, storage) as file:
        yield from batches(path, columns, _rows(file, columns), null_texts, encoded)


def json_names(path: str, storage: Storage) -> Iterator[set[str]]:
    """The keys of each row that can be read; raises like :func:`read_json`."""
    with explained(path), open_text(path, storage) as file:
        for line in file:
            found = _object(line)
            if found is not None:
                yield set(found)


def _rows(file: Iterable[str], columns: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip(_BLANK):
            continue
        values = values_of(line, columns)
        yield number, values, line if values is None else None


def values_of(text: str, columns: Sequence[str]) -> list[str | None] | None:
    """The columns of one JSON object, as text; None where it is no row, or nests one of them."""
    found = _object(text)
    if found is None:
        return None
    values = [found.get(name) for name in columns]
    if any(isinstance(value, (dict, list)) for value in values):
        return None
    return [_text(value) for value in values]


def _object(line: str) -> _Object | None:
    try:
        found = json.loads(
            line,
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_Number,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> _Object:
    """Which of two values of one key is meant, nobody can say."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def encoded(text: str) -> bytes:
    """Escaped lone surrogates as the invalid UTF-8 they would be; two never make one character."""
    return text.encode("utf-8", "surrogatepass")
