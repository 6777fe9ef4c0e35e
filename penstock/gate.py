"""The two validation gates, as functions of Arrow batches.

The source gate turns raw columns into typed ones; the feature gate turns a transform's output into
rows as they are stored and sent. Both split a batch into rows that are fit and rows that are put
aside, each with the first rule it broke and where it came from. They run inside Spark's Python
workers and need no Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.aside import (
    BAD,
    FILE,
    ORIGIN,
    ORIGIN_TYPE,
    POSITION,
    PROBLEM,
    Place,
    origin,
    put_aside,
    rows_key,
)
from penstock.contract import (
    DELETED,
    MAX_TTL_S,
    TTL_S,
    Expectation,
    FeatureGroup,
    FeatureType,
    Source,
)
from penstock.encoding import Converted
from penstock.expectation import compile_row, split

__all__ = [
    "BAD",
    "FILE",
    "ORIGIN",
    "ORIGIN_TYPE",
    "POSITION",
    "PROBLEM",
    "SHAPE",
    "TTL",
    "Bounds",
    "FeatureGate",
    "Gated",
    "SourceGate",
    "rows_key",
]

SHAPE = "SHAPE"  # a row that does not parse, or has another number of fields than the header
TTL = "TTL"  # a time to live that is not 1 second or more, or more than the service takes


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


_NUMBER_BYTES = 24  # of -1.7976931348623157e+308
_LAST = datetime(9999, 1, 1, tzinfo=timezone.utc)


class SourceGate:
    """Raw rows of one declared source → typed columns plus ``_source`` (file and position).

    A batch in has the declared columns (text or typed), :data:`FILE` and :data:`POSITION`, and may
    have :data:`PROBLEM`: the raw text of a row that could not be read at all.

    Args:
        name: Of the source.
        source: The source.
        bounds: Rows whose time lies outside are counted and left out.
    """

    def __init__(self, name: str, source: Source, bounds: Bounds) -> None:
        self._name, self._source, self._bounds = name, source, bounds
        self._rules = _row_rules(source.expectations)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the fit rows."""
        columns = [(one.name, encoding.COLUMNS[one.type][0]) for one in self._source.columns]
        return pa.schema([*columns, (ORIGIN, ORIGIN_TYPE)])

    def check(self, batch: pa.RecordBatch, latest: datetime | None = None) -> Gated:
        """Split one batch; rows whose time lies after ``latest``, aware, are put aside."""
        converted = {
            one.name: encoding.CONVERTERS[one.type](batch.column(one.name))
            for one in self._source.columns
        }
        findings = _Findings(len(batch))
        if PROBLEM in batch.schema.names:
            findings.add(None, _where(pc.is_valid(batch.column(PROBLEM)), SHAPE))
        for name, column in converted.items():
            findings.add(name, column.rule)
        if latest is not None and self._source.time is not None:
            at = converted[self._source.time].values
            late = pc.greater(at, pa.scalar(latest, at.type))
            findings.add(self._source.time, _where(late, encoding.FUTURE))
        typed = pa.RecordBatch.from_arrays(
            [*(column.values for column in converted.values()), origin(batch)], schema=self.schema
        )
        dropped = findings.expect(self._rules, typed)
        outside = self._outside(converted, findings)
        return _split(batch, typed, findings, dropped, outside, self._place())

    def _outside(self, converted: dict[str, Converted], findings: _Findings) -> pa.Array:
        if self._source.time is None:
            return pa.repeat(pa.scalar(value=False), findings.size)
        inside = self._bounds.contains(converted[self._source.time].values)
        return pc.and_(findings.fit(), pc.invert(inside))

    def _place(self) -> Place:
        return Place("source", self._name, tuple(one.name for one in self._source.columns))


class FeatureGate:
    """A transform's output → rows as they are stored and sent: features, controls, ``_source``.

    Controls are ``_deleted`` and ``_ttl_s``, each where the contract names a column for it. Of a
    deleted row only identifier and event time are looked at; its other features become null.

    Args:
        group: The contract.
        bounds: The window; rows outside are counted and left out.
        latest: Event times after this aware instant are put aside.
    """

    def __init__(self, group: FeatureGroup, bounds: Bounds, latest: datetime) -> None:
        self._group, self._bounds, self._latest = group, bounds, latest
        self._keys = (group.record_identifier, group.event_time)
        self._rules = _row_rules(group.all_expectations)
        if group.deleted_when is not None:
            keys = set(self._keys)
            self._rules = [
                (one, fails if _columns(one) <= keys else _of_the_living(fails))
                for one, fails in self._rules
            ]

    @property
    def schema(self) -> pa.Schema:
        """Schema of the fit rows."""
        features = [(one.name, encoding.STORAGE[one.type][0]) for one in self._group.features]
        return pa.schema([*features, *control_fields(self._group), (ORIGIN, ORIGIN_TYPE)])

    def check(self, batch: pa.RecordBatch) -> Gated:
        """Split one batch that has at least the group's features and controls as columns."""
        findings = _Findings(len(batch))
        for name in self._keys:
            findings.add(name, _where(pc.is_null(batch.column(name)), encoding.NULL_KEY))
        deleted = self._deleted(batch, findings)
        converted = {one.name: self._convert(one.name, batch) for one in self._group.features}
        if deleted is not None:
            converted = {
                name: column if name in self._keys else _spared(column, deleted)
                for name, column in converted.items()
            }
        for name, column in converted.items():
            findings.add(name, column.rule)
        identifier = converted[self._group.record_identifier].values
        findings.add(self._group.record_identifier, _identifier_rule(identifier))
        arrays = [column.values for column in converted.values()]
        size = _record_bytes(list(converted), arrays)
        findings.add(None, _where(pc.greater(size, encoding.MAX_RECORD_BYTES), encoding.OVERSIZE))
        arrays += [deleted] if deleted is not None else []
        arrays += self._ttl(batch, deleted, findings)
        typed = pa.RecordBatch.from_arrays([*arrays, origin(batch)], schema=self.schema)
        dropped = findings.expect(self._rules, typed)
        event_time = self._group.feature(self._group.event_time)
        inside = self._bounds.contains_event_time(
            converted[event_time.name].values, event_time.type, self._group.fraction_digits
        )
        outside = pc.and_(findings.fit(), pc.invert(inside))
        place = Place("feature", self._group.name, (*self._group.names, *self._group.controls))
        return _split(batch, typed, findings, dropped, outside, place)

    def _deleted(self, batch: pa.RecordBatch, findings: _Findings) -> pa.Array | None:
        """Which rows delete their record; None where none can."""
        name = self._group.deleted_when
        if name is None:
            return None
        column = encoding.to_boolean(batch.column(name))
        findings.add(name, column.rule)
        return pc.fill_null(column.values, fill_value=False)

    def _ttl(
        self, batch: pa.RecordBatch, deleted: pa.Array | None, findings: _Findings
    ) -> list[pa.Array]:
        """Seconds each row stays online, as the one column it makes; a deleted row has none."""
        name = self._group.ttl_from
        if name is None:
            return []
        column = encoding.to_long(batch.column(name))
        column = column if deleted is None else _spared(column, deleted)
        findings.add(name, column.rule)
        seconds = column.values
        unfit = pc.or_(pc.less(seconds, 1), pc.greater(seconds, MAX_TTL_S))
        findings.add(name, _where(unfit, TTL))
        return [seconds]

    def _convert(self, name: str, batch: pa.RecordBatch) -> Converted:
        feature, array = self._group.feature(name), batch.column(name)
        if name == self._group.event_time:
            digits = self._group.fraction_digits
            return encoding.event_time(array, feature.type, digits, self._latest)
        return encoding.FEATURES[feature.type](array)


def control_fields(group: FeatureGroup) -> list[tuple[str, pa.DataType]]:
    """The controls a group's staged rows carry."""
    deleted = [(DELETED, pa.bool_())] if group.deleted_when is not None else []
    return deleted + ([(TTL_S, pa.int64())] if group.ttl_from is not None else [])


_Fails = Callable[[pa.RecordBatch], pa.Array]
_Rule = tuple[Expectation, _Fails]


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
    place: Place,
) -> Gated:
    fit = findings.fit()
    kept = pc.and_(fit, pc.invert(pc.or_(dropped, outside)))
    return Gated(
        rows_in=len(batch),
        rows=pa.Table.from_batches([typed.filter(kept)]),
        bad=put_aside(batch, pc.invert(fit), findings.of, place),
        dropped=pc.sum(dropped).as_py() or 0,
        outside=pc.sum(pc.and_(outside, pc.invert(dropped))).as_py() or 0,
    )


def _row_rules(expectations: Sequence[Expectation]) -> list[_Rule]:
    return [(one, compile_row(one)) for one in split(expectations).gate]


def _columns(expectation: Expectation) -> set[str]:
    """Every column an expectation looks at."""
    arguments = expectation.arguments
    named = [expectation.column, arguments.get("column_A"), arguments.get("column_B")]
    return {one for one in (*named, *arguments.get("column_list", ())) if one is not None}


def _of_the_living(fails: _Fails) -> _Fails:
    return lambda typed: pc.and_(fails(typed), pc.invert(typed.column(DELETED)))


def _spared(column: Converted, deleted: pa.Array) -> Converted:
    """Nothing is asked of a deleted row's value, and nothing is kept of it."""
    values, rule = (pc.if_else(deleted, None, one) for one in (column.values, column.rule))
    return Converted(values, rule)


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
