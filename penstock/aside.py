"""Rows a gate puts aside: where each came from, what it held, and the rules it broke.

An entry's key depends on the row and its origin alone, so that the same bad row met twice is the
same entry. Needs no Spark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding

FILE, POSITION, ORIGIN, PROBLEM = "_file", "_position", "_source", "_problem"
EVENT = "_event"  # an event of a stream, whole: key, value, at (microseconds), topic, headers
ORIGIN_TYPE = pa.struct([("file", pa.string()), ("position", pa.int64())])
#: A row put aside. ``position`` counts lines from 1 in text, rows from 0 in Parquet and Delta;
#: ``types`` has the Arrow type of each value of a payload that can be replayed, as JSON; ``event``
#: what a row of a stream was made from, see :func:`event_of`.
BAD = pa.schema(
    [
        ("row_key", pa.string()),
        ("stage", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("column", pa.string()),
        ("rule", pa.string()),
        ("findings", pa.string()),
        ("payload", pa.string()),
        ("types", pa.string()),
        ("event", pa.string()),
    ]
)

#: Broken rules of a row by its number: column or None, and rule; the first one counts.
Findings = Callable[[int], list[tuple[str | None, str]]]


@dataclass(frozen=True)
class Place:
    """Which gate, of what, and the columns an entry's payload has."""

    stage: str
    source: str
    columns: tuple[str, ...]


def put_aside(batch: pa.RecordBatch, unfit: pa.Array, findings: Findings, place: Place) -> pa.Table:
    """The unfit rows of a batch as entries, in the schema :data:`BAD`."""
    rows = pc.indices_nonzero(unfit)
    if not len(rows):
        return BAD.empty_table()
    aside = batch.take(rows)
    payloads = _payloads(aside, place.columns)
    told = zip(rows.to_pylist(), origin(aside).to_pylist(), payloads, _events(aside), strict=True)
    types = None if place.stage == "source" else payload_types(batch, place.columns)
    found = [
        {**_bad_row(findings(row), source, text, place), "event": event}
        for row, source, text, event in told
    ]
    return pa.Table.from_pylist([{**one, "types": types} for one in found], BAD)


def payload_types(batch: pa.RecordBatch, columns: Sequence[str]) -> str:
    """Arrow types of a payload's values: JSON alone does not tell a date from a text."""
    kinds = {name: str(encoding.flat(batch.column(name)).type) for name in columns}
    return json.dumps(kinds)


def rows_key(parts: Sequence[object]) -> str:
    """A short stable key of a row put aside."""
    text = json.dumps([str(part) for part in parts], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _bad_row(
    found: list[tuple[str | None, str]],
    came_from: dict[str, Any] | None,
    payload: str,
    place: Place,
) -> dict[str, Any]:
    file, position = None, None
    if came_from:
        file, position = came_from["file"], came_from["position"]
    column, rule = found[0]
    return {
        "row_key": rows_key([place.stage, place.source, file, position, payload]),
        "stage": place.stage,
        "source": place.source,
        "file": file,
        "position": position,
        "column": column,
        "rule": rule,
        "findings": json.dumps([f"{one or '*'}:{broken}" for one, broken in found]),
        "payload": payload,
    }


def _payloads(batch: pa.RecordBatch, columns: Sequence[str]) -> list[str]:
    """Each row as JSON; bytes that are not UTF-8 survive as escapes of lone surrogates."""
    plain = [_plain(batch.column(name)) for name in columns]
    found = [
        json.dumps(dict(zip(columns, row, strict=True)), default=str)
        for row in zip(*plain, strict=True)
    ]
    if PROBLEM in batch.schema.names:
        raw = _plain(batch.column(PROBLEM))
        return [
            one if text is None else json.dumps({PROBLEM: text})
            for text, one in zip(raw, found, strict=True)
        ]
    return found


def _events(batch: pa.RecordBatch) -> list[str | None]:
    """Each row's event as JSON. A value that is the payload's problem is left out: it is there."""
    if EVENT not in batch.schema.names:
        return [None] * batch.num_rows
    unread = batch.column(PROBLEM).is_valid().to_pylist()
    return [
        json.dumps(
            {
                name: _text(one)
                for name, one in event.items()
                if not (name == "value" and alone and one is not None)
            }
        )
        for event, alone in zip(batch.column(EVENT).to_pylist(), unread, strict=True)
    ]


def event_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The event of an entry that has one, as it came: bytes where it had bytes."""
    told = json.loads(entry["event"])
    if "value" not in told:
        told["value"] = json.loads(entry["payload"])[PROBLEM]
    headers = told.get("headers")
    if headers is not None:
        headers = [{**one, "value": _raw(one["value"])} for one in headers]
    return {**told, "key": _raw(told["key"]), "value": _raw(told["value"]), "headers": headers}


def _text(value: Any) -> Any:
    """Bytes as text that can be had back, at any depth."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [_text(one) for one in value]
    return {key: _text(one) for key, one in value.items()} if isinstance(value, dict) else value


def _raw(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _plain(array: pa.Array) -> list[object]:
    """Values as JSON can hold them; what Python cannot hold is shown as Arrow prints it."""
    array = encoding.flat(array)
    kind = array.type
    if pa.types.is_string(kind):
        raw = pc.cast(array, pa.binary()).to_pylist()
        return [None if one is None else one.decode("utf-8", "surrogateescape") for one in raw]
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # The zone is the session's: a key must not depend on it.
        array = pc.cast(array, pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return list(pc.cast(array, pa.string()).to_pylist())
    try:
        found = array.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        return [f"a value of type {kind}" if one.is_valid else None for one in array]
    if pa.types.is_floating(kind):
        return [one if one is None or isfinite(one) else str(one) for one in found]
    return list(found)


def origin(batch: pa.RecordBatch) -> pa.Array:
    """Where each row came from, as :data:`ORIGIN_TYPE`; null where nobody knows."""
    names = batch.schema.names
    if ORIGIN in names:
        return pc.cast(batch.column(ORIGIN), ORIGIN_TYPE)
    if FILE in names:
        file = pc.cast(batch.column(FILE), pa.string())
        return pa.StructArray.from_arrays(
            [file, pc.cast(batch.column(POSITION), pa.int64())], fields=list(ORIGIN_TYPE)
        )
    return pa.nulls(len(batch), ORIGIN_TYPE)
