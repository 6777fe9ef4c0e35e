"""The two validation gates, as functions of Arrow batches.

The source gate turns raw columns into typed ones; the feature gate turns a transform's output into
rows as they are stored and sent. Both split a batch into rows that are fit and rows that are put
aside, each with the first rule it broke and where it came from. They run inside Spark's Python
workers and need no Spark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import Expectation, FeatureGroup, FeatureType, Source
from penstock.encoding import Converted
from penstock.expectation import compile_row, split

FILE, POSITION, ORIGIN, PROBLEM = "_file", "_position", "_source", "_problem"
SHAPE = "SHAPE"  # a row that does not parse, or has another number of fields than the header

ORIGIN_TYPE = pa.struct([("file", pa.string()), ("position", pa.int64())])
#: A row put aside. ``position`` counts lines from 1 in text, rows from 0 in Parquet and Delta.
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
    ]
)


@dataclass(frozen=True)
class Gated:
    """One batch after a gate: ``rows_in = rows + bad + dropped + outside``, each counted by itself.

    Args:
        rows_in: Rows of the batch.
        rows: Fit rows.
        bad: Rows put aside, in the schema :data:`BAD`.
        dropped: Rows an expectation with ``on_fail: drop`` removed.
        outside: Rows that do not belong to the window.
    """

    rows_in: int
    rows: pa.Table
    bad: pa.Table
    dropped: int
    outside: int


@dataclass(frozen=True)
class Bounds:
    """Half-open range of instants ``[start, end)``; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def contains(self, instants: pa.Array) -> pa.Array:
        """Which timestamps lie inside; null is outside of nothing and counts as inside."""
        return self._within(instants, lambda at: pa.scalar(at, instants.type))

    def contains_event_time(self, values: pa.Array, kind: FeatureType, digits: int) -> pa.Array:
        """The same for event times in their stored form."""

        def bound(at: datetime) -> pa.Scalar:
            array = pa.array([at], pa.timestamp("us", "UTC"))
            return encoding.event_time(array, kind, digits, _LAST).values[0]

        return self._within(values, bound)

    def _within(self, values: pa.Array, bound: Callable[[datetime], pa.Scalar]) -> pa.Array:
        inside = pa.repeat(pa.scalar(value=True), len(values))
        if self.start is not None:
            inside = pc.and_(inside, pc.greater_equal(values, bound(self.start)))
        if self.end is not None:
            inside = pc.and_(inside, pc.less(values, bound(self.end)))
        return pc.fill_null(inside, fill_value=True)


_NUMBER_BYTES = pa.scalar(24, pa.int64())  # of -1.7976931348623157e+308
_LAST = datetime(9999, 1, 1, tzinfo=timezone.utc)


class SourceGate:
    """Raw rows of one declared source → typed columns plus ``_source`` (file and position).

    A batch in has the declared columns (text or typed), :data:`FILE` and :data:`POSITION`, and may
    have :data:`PROBLEM`: the raw text of a row that could not be read at all.
    """

    def __init__(self, name: str, source: Source, bounds: Bounds) -> None:
        self._name, self._source, self._bounds = name, source, bounds
        self._rules = _row_rules(source.expectations)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the fit rows."""
        columns = [(one.name, encoding.COLUMNS[one.type][0]) for one in self._source.columns]
        return pa.schema([*columns, (ORIGIN, ORIGIN_TYPE)])

    def check(self, batch: pa.RecordBatch) -> Gated:
        """Split one batch."""
        converted = {
            one.name: encoding.CONVERTERS[one.type](batch.column(one.name))
            for one in self._source.columns
        }
        findings = _Findings(len(batch))
        if PROBLEM in batch.schema.names:
            findings.add(None, _where(pc.is_valid(batch.column(PROBLEM)), SHAPE))
        for name, column in converted.items():
            findings.add(name, column.rule)
        typed = pa.RecordBatch.from_arrays(
            [*(column.values for column in converted.values()), _origin(batch)], schema=self.schema
        )
        dropped = findings.expect(self._rules, typed)
        outside = self._outside(converted, findings)
        return _split(batch, typed, findings, dropped, outside, self._place())

    def _outside(self, converted: dict[str, Converted], findings: _Findings) -> pa.Array:
        if self._source.time is None:
            return pa.repeat(pa.scalar(value=False), findings.size)
        inside = self._bounds.contains(converted[self._source.time].values)
        return pc.and_(findings.fit(), pc.invert(inside))

    def _place(self) -> _Place:
        return _Place("source", self._name, tuple(one.name for one in self._source.columns))


class FeatureGate:
    """A transform's output → rows as they are stored and sent: the features, and ``_source``.

    Args:
        group: The contract.
        bounds: The window; rows outside are counted and left out.
        latest: Event times after this aware instant are put aside.
    """

    def __init__(self, group: FeatureGroup, bounds: Bounds, latest: datetime) -> None:
        self._group, self._bounds, self._latest = group, bounds, latest
        self._rules = _row_rules(group.all_expectations)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the fit rows."""
        features = [(one.name, encoding.STORAGE[one.type][0]) for one in self._group.features]
        return pa.schema([*features, (ORIGIN, ORIGIN_TYPE)])

    def check(self, batch: pa.RecordBatch) -> Gated:
        """Split one batch that has at least the group's features as columns."""
        converted = {one.name: self._convert(one.name, batch) for one in self._group.features}
        findings = _Findings(len(batch))
        for name in (self._group.record_identifier, self._group.event_time):
            findings.add(name, _where(pc.is_null(batch.column(name)), encoding.NULL_KEY))
        for name, column in converted.items():
            findings.add(name, column.rule)
        identifier = converted[self._group.record_identifier].values
        findings.add(self._group.record_identifier, _identifier_rule(identifier))
        arrays = [column.values for column in converted.values()]
        size = _record_bytes(list(converted), arrays)
        findings.add(None, _where(pc.greater(size, encoding.MAX_RECORD_BYTES), encoding.OVERSIZE))
        typed = pa.RecordBatch.from_arrays([*arrays, _origin(batch)], schema=self.schema)
        dropped = findings.expect(self._rules, typed)
        event_time = self._group.feature(self._group.event_time)
        inside = self._bounds.contains_event_time(
            converted[event_time.name].values, event_time.type, self._group.fraction_digits
        )
        outside = pc.and_(findings.fit(), pc.invert(inside))
        place = _Place("feature", self._group.name, self._group.names)
        return _split(batch, typed, findings, dropped, outside, place)

    def _convert(self, name: str, batch: pa.RecordBatch) -> Converted:
        feature, array = self._group.feature(name), batch.column(name)
        if name == self._group.event_time:
            digits = self._group.fraction_digits
            return encoding.event_time(array, feature.type, digits, self._latest)
        return encoding.FEATURES[feature.type](array)


def rows_key(parts: Sequence[object]) -> str:
    """A short stable key of a row put aside."""
    text = json.dumps([str(part) for part in parts], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Place:
    stage: str
    source: str
    columns: tuple[str, ...]


_Rule = tuple[Expectation, Callable[[pa.RecordBatch], pa.Array]]


class _Findings:
    """Which rule each row of a batch broke first, and all the others."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._columns: list[tuple[str | None, pa.Array]] = []

    def add(self, column: str | None, rule: pa.Array) -> None:
        if rule.null_count < len(rule):
            self._columns.append((column, rule))

    def fit(self) -> pa.Array:
        """True where no rule is broken so far."""
        fit = pa.repeat(pa.scalar(value=True), self.size)
        for _, rule in self._columns:
            fit = pc.and_(fit, pc.is_null(rule))
        return fit

    def expect(self, rules: Sequence[_Rule], typed: pa.RecordBatch) -> pa.Array:
        """Apply row expectations to rows that are fit; answers which rows are dropped."""
        fit, dropped = self.fit(), pa.repeat(pa.scalar(value=False), self.size)
        for expectation, fails in rules:
            failed = pc.and_(fit, pc.fill_null(fails(typed), fill_value=False))
            if expectation.on_fail == "drop":
                dropped = pc.or_(dropped, failed)
            else:
                self.add(expectation.column, _where(failed, expectation.type))
        return pc.and_(dropped, self.fit())

    def of(self, row: int) -> list[tuple[str | None, str]]:
        found = [(column, rule[row].as_py()) for column, rule in self._columns]
        return [(column, rule) for column, rule in found if rule is not None]


def _split(
    batch: pa.RecordBatch,
    typed: pa.RecordBatch,
    findings: _Findings,
    dropped: pa.Array,
    outside: pa.Array,
    place: _Place,
) -> Gated:
    fit = findings.fit()
    kept = pc.and_(fit, pc.invert(pc.or_(dropped, outside)))
    return Gated(
        rows_in=len(batch),
        rows=pa.Table.from_batches([typed.filter(kept)]),
        bad=pa.Table.from_pylist(_bad_rows(batch, pc.invert(fit), findings, place), BAD),
        dropped=pc.sum(dropped).as_py() or 0,
        outside=pc.sum(pc.and_(outside, pc.invert(dropped))).as_py() or 0,
    )


def _bad_rows(
    batch: pa.RecordBatch, unfit: pa.Array, findings: _Findings, place: _Place
) -> list[dict[str, Any]]:
    rows = pc.indices_nonzero(unfit)
    if not len(rows):
        return []
    aside = batch.take(rows)
    told = zip(
        rows.to_pylist(), _origin(aside).to_pylist(), _payloads(aside, place.columns), strict=True
    )
    return [_bad_row(findings.of(row), origin, text, place) for row, origin, text in told]


def _bad_row(
    found: list[tuple[str | None, str]],
    origin: dict[str, Any] | None,
    payload: str,
    place: _Place,
) -> dict[str, Any]:
    file, position = (origin["file"], origin["position"]) if origin else (None, None)
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


def _origin(batch: pa.RecordBatch) -> pa.Array:
    names = batch.schema.names
    if ORIGIN in names:
        return pc.cast(batch.column(ORIGIN), ORIGIN_TYPE)
    if FILE in names:
        file = pc.cast(batch.column(FILE), pa.string())
        return pa.StructArray.from_arrays(
            [file, pc.cast(batch.column(POSITION), pa.int64())], fields=list(ORIGIN_TYPE)
        )
    return pa.nulls(len(batch), ORIGIN_TYPE)


def _row_rules(expectations: Sequence[Expectation]) -> list[_Rule]:
    return [(one, compile_row(one)) for one in split(expectations).gate]


def _identifier_rule(identifier: pa.Array) -> pa.Array:
    if not pa.types.is_string(identifier.type):
        return pa.nulls(len(identifier), pa.string())
    size = pc.binary_length(identifier)
    empty = _where(pc.equal(size, 0), encoding.NULL_KEY)
    return pc.coalesce(
        empty, _where(pc.greater(size, encoding.MAX_IDENTIFIER_BYTES), encoding.OVERSIZE)
    )


def _record_bytes(names: Sequence[str], arrays: Sequence[pa.Array]) -> pa.Array:
    """UTF-8 bytes of names and values of each row; nulls are not sent, a number has 24 at most.

    How the service counts is not documented; this is the larger of the readings.
    """
    total = pa.repeat(pa.scalar(0, pa.int64()), len(arrays[0]))
    for name, array in zip(names, arrays, strict=True):
        text = pa.types.is_string(array.type)
        size = pc.cast(pc.binary_length(array), pa.int64()) if text else _NUMBER_BYTES
        size = pc.if_else(pc.is_valid(array), pc.add(size, len(name.encode())), 0)
        total = pc.add(total, pc.fill_null(size, 0))
    return total


def _where(unfit: pa.Array, rule: str) -> pa.Array:
    unfit = pc.fill_null(unfit, fill_value=False)
    return pc.if_else(unfit, pa.scalar(rule), pa.scalar(None, pa.string()))
