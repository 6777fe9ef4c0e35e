"""Rows of the quarantine as a transform gave them: from an entry's JSON back to typed values.

The gate judges a value by its type as much as by its text, so an entry has the Arrow types beside
its payload. A value of a type that JSON cannot hold comes back as bytes, which no feature takes:
such a row stays where it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import DELETED, TTL_S, FeatureGroup
from penstock.errors import MismatchError
from penstock.gate import ORIGIN, ORIGIN_TYPE, Bounds, FeatureGate

KEY = "row_key"  # names a row's entry beside its features

_PLAIN: dict[str, pa.DataType] = {
    **{str(one): one for one in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{str(one): one for one in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    **{str(one): one for one in (pa.float32(), pa.float64(), pa.bool_(), pa.null())},
}
_DECIMAL = re.compile(r"decimal(128|256)\((\d+), (-?\d+)\)")
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(, tz=.+)?\]")
_DATES: dict[str, pa.DataType] = {str(one): one for one in (pa.date32(), pa.date64())}


@dataclass(frozen=True)
class Judged:
    """Entries after the gates of today.

    Args:
        rows: What a transform would give for the fit ones: features and controls, and :data:`KEY`.
        unfit: Key of each entry that is put aside again → the rule it breaks.
        dropped: Keys of those an expectation with ``on_fail: drop`` removes, or the transform.
    """

    rows: pa.Table
    unfit: Mapping[str, str]
    dropped: tuple[str, ...]


def judged(entries: Sequence[Mapping[str, Any]], group: FeatureGroup, latest: datetime) -> Judged:
    """Put entries through the feature gate.

    Args:
        entries: ``row_key``, ``payload``, ``types``.
        group: The contract.
        latest: Event times after this aware instant are unfit.

    Raises:
        MismatchError: A row left the gate by no door, or by two.
    """
    return gated(_batches(entries, (*group.names, *group.controls)), group, latest)


def gated(batches: Iterable[pa.RecordBatch], group: FeatureGroup, latest: datetime) -> Judged:
    """Put a transform's rows through the feature gate; the file of each is its entry's key.

    Of an entry that has several rows none is fit where one is not.

    Args:
        batches: Features, controls and origin.
        group: The contract.
        latest: Event times after this aware instant are unfit.

    Raises:
        MismatchError: A row left the gate by no door, or by two.
    """
    gate = FeatureGate(group, Bounds(), latest)
    unfit: dict[str, str] = {}
    met: dict[str, None] = {}
    tables = [_named(gate.schema.empty_table(), group)]
    for batch in batches:
        found = gate.check(batch)
        tables.append(_named(found.rows, group))
        unfit |= {row["file"]: row["rule"] for row in found.bad.to_pylist()}
        met |= dict.fromkeys(_keys(batch))
        left = len(batch) - found.rows.num_rows - found.bad.num_rows
        if left != found.dropped or found.outside:
            message = f"{group.name}: {left} rows left the gate unseen"
            raise MismatchError(message, "Nothing was sent; please report this as a defect")
    rows = without(pa.concat_tables(tables), unfit)
    fit = set(rows.column(KEY).to_pylist())
    dropped = sorted(key for key in met if key not in fit and key not in unfit)
    return Judged(rows, unfit, tuple(dropped))


def without(rows: pa.Table, keys: Collection[str]) -> pa.Table:
    """Rows but those of some entries."""
    return rows.filter(pc.invert(pc.is_in(rows.column(KEY), pa.array([*keys], pa.string()))))


def joined(some: Sequence[Judged]) -> Judged:
    """Several as one; at least one."""
    rows = pa.concat_tables([one.rows for one in some])
    unfit = {key: rule for one in some for key, rule in one.unfit.items()}
    return Judged(rows, unfit, tuple(key for one in some for key in one.dropped))


def keyed(entries: Sequence[Mapping[str, Any]], group: FeatureGroup) -> pa.Table:
    """Identifier, event time and :data:`KEY` of the entries that have both, as they are stored."""
    names = (group.record_identifier, group.event_time)
    features = tuple(replace(group.feature(name), expectations=()) for name in names)
    bare = FeatureGroup(group.name, *names, features, fraction_digits=group.fraction_digits)
    return judged(entries, bare, datetime.max.replace(tzinfo=timezone.utc)).rows


def _named(rows: pa.Table, group: FeatureGroup) -> pa.Table:
    """Controls under the names the contract has for them, the entry's key instead of the origin."""
    controls = {DELETED: group.deleted_when, TTL_S: group.ttl_from}
    keys = pc.struct_field(rows.column(ORIGIN), "file")
    rows = rows.drop_columns([ORIGIN])
    names = [controls.get(name) or name for name in rows.column_names]
    return rows.rename_columns(names).append_column(KEY, keys)


def _keys(batch: pa.RecordBatch) -> list[str]:
    keys: list[str] = pc.struct_field(batch.column(ORIGIN), "file").to_pylist()
    return keys


def _batches(
    entries: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Entries of the same types together: a column of a batch has one type."""
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        alike.setdefault(entry["types"], []).append(entry)
    for types, members in alike.items():
        kinds = json.loads(types)
        values = [json.loads(one["payload"]) for one in members]
        columns = [_array([row.get(name) for row in values], kinds.get(name)) for name in names]
        origin = [{"file": one["row_key"], "position": None} for one in members]
        arrays = [*columns, pa.array(origin, ORIGIN_TYPE)]
        yield pa.RecordBatch.from_arrays(arrays, names=[*names, ORIGIN])


def _array(values: list[Any], kind: str | None) -> pa.Array:
    """Values as the column they were; a feature that is new since is null."""
    if kind is None:
        return pa.nulls(len(values), pa.string())
    read = _reader(kind)
    try:
        return read(values)
    except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
        return _unreadable(values)


def _reader(kind: str) -> Callable[[list[Any]], pa.Array]:
    decimal, timestamp = _DECIMAL.fullmatch(kind), _TIMESTAMP.fullmatch(kind)
    if kind in _PLAIN:
        return lambda values: pa.array([_number(one) for one in values], _PLAIN[kind])
    if decimal is not None:
        made = pa.decimal128 if decimal[1] == "128" else pa.decimal256
        exact = made(int(decimal[2]), int(decimal[3]))
        return lambda values: pa.array([_decimal(one) for one in values], exact)
    if timestamp is not None:
        instant = pa.timestamp(timestamp[1], "UTC" if timestamp[2] else None)
        return lambda values: pc.cast(pa.array(values, pa.string()), instant)
    if kind in _DATES:
        day = _DATES[kind]
        return lambda values: pc.cast(pc.cast(pa.array(values, pa.string()), pa.date32()), day)
    return _texts if kind == "string" else _unreadable


def _texts(values: list[Any]) -> pa.Array:
    """Bytes that are not UTF-8 were written as lone surrogates."""
    raw = [None if one is None else one.encode("utf-8", "surrogateescape") for one in values]
    return pa.array(raw, pa.binary()).view(pa.string())


def _unreadable(values: list[Any]) -> pa.Array:
    return pa.array([None if one is None else b"" for one in values], pa.binary())


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinity: they were written as text."""
    return float(value) if isinstance(value, str) else value


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))
