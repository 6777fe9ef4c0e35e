"""What a feature group is and how it is fed: meaning only.

No bucket, no role, no rate stands here (that is ``conf/``), and nothing here needs Spark or AWS.
Everything is frozen and validated once, when it is built, so that a project with a mistake does
not import.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

from penstock import meaning
from penstock.errors import ContractError

#: Names of groups and features (AWS API reference, CreateFeatureGroup).
NAME_PATTERN = re.compile(r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}")
#: Columns the service and penstock keep for themselves (AWS API reference, FeatureDefinition; the
#: partition columns of the offline store's Hive layout).
RESERVED = frozenset(
    {"is_deleted", "write_time", "api_invocation_time", "year", "month", "day", "hour"}
)
#: Columns the gates add to a source's rows: file, position, both together, unreadable text.
OWN_COLUMNS = frozenset({"_file", "_position", "_source", "_problem"})
#: What a staged row says of itself beside its features: it deletes its record; it corrects a value
#: at an event time that is online already; it goes to the offline store alone; its own time to live
#: in seconds. A column that is absent says no, and no time to live. :data:`REPLACED`, its record is
#: removed before it is sent, stays within the selection.
DELETED, CORRECT, OFFLINE_ONLY, TTL_S = "_deleted", "_correct", "_offline_only", "_ttl_s"
REPLACED = "_replaced"
MAX_FEATURES = 2_500  # AWS developer guide, quotas
MAX_TTL_S = 2**31 - 1  # API model: TtlDuration.Value is a 32-bit integer, 1 or more

OnFail = Literal["fail", "warn", "drop", "quarantine"]


class FeatureType(str, Enum):
    """The service's three feature types."""

    INTEGRAL = "Integral"  # signed, 64 bits
    FRACTIONAL = "Fractional"  # IEEE 754 double, finite
    STRING = "String"  # UTF-8


class ColumnType(str, Enum):
    """Types a raw source column may have; text stays text until the source gate converts it."""

    STRING = "string"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # an instant; text must carry Z or an offset
    DATE = "date"


@dataclass(frozen=True)
class Expectation:
    """One expectation in Great Expectations' own name, and what happens where it fails.

    Args:
        type: Snake-case name, for example ``expect_column_values_to_be_between``.
        column: The column it looks at; None for table expectations.
        arguments: Keyword arguments of the expectation, JSON values only.
        on_fail: ``fail`` ends the run with exit 65 before anything is published; ``quarantine``
            moves the row aside; ``drop`` counts and forgets the row; ``warn`` only reports.
    """

    type: str
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    on_fail: OnFail = "quarantine"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"expect_[a-z_]+", self.type):
            message = f"{self.type!r} is not the name of an expectation"
            raise ContractError(message, "Use Great Expectations' snake-case name")
        if self.on_fail not in ("fail", "warn", "drop", "quarantine"):
            message = f"{self.type}: on_fail {self.on_fail!r} is unknown"
            raise ContractError(message, "Use fail, warn, drop or quarantine")
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))

    @property
    def is_single(self) -> bool:
        """Whether it looks at one column."""
        pair = self.type.startswith("expect_column_pair_")
        return self.type.startswith("expect_column_") and not pair

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.type, self.column, dict(self.arguments), self.on_fail))


@dataclass(frozen=True)
class Feature:
    """One feature: a name, one of the service's types, and what is expected of its values.

    Args:
        name: As the service takes it.
        type: One of the service's three.
        description: For people.
        expectations: About its values.
        pii: Its values tell of a person: reports show nothing made of them but counts.
        listed: Its values may be written out in reports: few and harmless texts, such as codes.
    """

    name: str
    type: FeatureType
    description: str = ""
    expectations: tuple[Expectation, ...] = ()
    pii: bool = False
    listed: bool = False

    def __post_init__(self) -> None:
        _check_name("feature", self.name)
        if self.pii and self.listed:
            message = f"feature {self.name!r} is pii and listed"
            raise ContractError(message, "What tells of a person is not written out: drop one")
        if self.name.lower() in RESERVED or self.name.startswith("_"):
            message = f"feature {self.name!r} bears a reserved name"
            raise ContractError(message, f"Reserved: {', '.join(sorted(RESERVED))}")


@dataclass(frozen=True)
class FeatureGroup:
    """The contract of one feature group.

    Args:
        name: Logical name; ``conf`` may map it to another physical name or an ARN.
        record_identifier: Name of the feature that identifies a record.
        event_time: Name of the feature that orders a record's versions; String or Fractional.
        features: All features, the two above included.
        description: For people.
        fraction_digits: Digits after the second in a String event time, one fixed number per group,
            because text of mixed precision does not sort: 0 or 9 (3 and 6: not verified on AWS).
        expectations: Expectations on the whole staged set.
        tags: Labels for ``ingest --tag``.
        deleted_when: Boolean column of the transform's output, no feature: true deletes the record
            as of the row's event time; only its identifier and event time count. Null is false.
        ttl: How long after its event time a record stays online, whole seconds; None: for ever.
        ttl_from: Column of the transform's output, no feature: whole seconds of that record's own
            ttl; null leaves it to ``ttl``.
    """

    name: str
    record_identifier: str
    event_time: str
    features: tuple[Feature, ...]
    description: str = ""
    fraction_digits: Literal[0, 3, 6, 9] = 0
    expectations: tuple[Expectation, ...] = ()
    tags: tuple[str, ...] = ()
    deleted_when: str | None = None
    ttl: timedelta | None = None
    ttl_from: str | None = None

    def __post_init__(self) -> None:
        _check_name("feature group", self.name)
        names = [one.name for one in self.features]
        if not names or len(names) > MAX_FEATURES:
            raise ContractError(
                f"feature group {self.name!r} has {len(names)} features", "1 to 2500"
            )
        twice = {
            name.lower() for name in names if [n.lower() for n in names].count(name.lower()) > 1
        }
        if twice:  # Glue and Athena fold case
            message = (
                f"feature group {self.name!r}: features that differ in case only: {sorted(twice)}"
            )
            raise ContractError(message)
        for role in (self.record_identifier, self.event_time):
            if role not in names:
                message = f"feature group {self.name!r}: {role!r} is not among its features"
                raise ContractError(message, "Add the feature, or correct the name")
        if self.feature(self.event_time).type is FeatureType.INTEGRAL:
            message = f"feature group {self.name!r}: event time {self.event_time!r} is Integral"
            raise ContractError(message, "The service takes String or Fractional")
        if self.fraction_digits not in (0, 3, 6, 9):
            raise ContractError(
                f"feature group {self.name!r}: fraction_digits must be 0, 3, 6 or 9"
            )
        if self.feature(self.record_identifier).listed:  # a record must be forgettable
            message = f"feature group {self.name!r}: its record identifier is listed"
            raise ContractError(message, "Identifiers are never written out in reports")
        self._check_controls()

    def feature(self, name: str) -> Feature:
        """The feature called ``name``; raises KeyError."""
        for one in self.features:
            if one.name == name:
                return one
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in contract order."""
        return tuple(one.name for one in self.features)

    @property
    def controls(self) -> tuple[str, ...]:
        """Columns of the transform's output that are no features: deletion, then time to live."""
        return tuple(one for one in (self.deleted_when, self.ttl_from) if one is not None)

    @property
    def forgets(self) -> bool:
        """Whether a record may leave the online store: by a deletion, or by its time to live."""
        return self.ttl is not None or bool(self.controls)

    @property
    def all_expectations(self) -> tuple[Expectation, ...]:
        """The features' expectations, bound to their feature as column, then the group's."""
        bound = [
            replace(one, column=feature.name) if one.column is None and one.is_single else one
            for feature in self.features
            for one in feature.expectations
        ]
        return (*bound, *self.expectations)

    @property
    def meaning(self) -> str:
        """Hash (16 hex digits) of what decides the rows; descriptions and tags do not."""
        return meaning.digest(meaning.plain(self))

    def _check_controls(self) -> None:
        folded = {name.lower() for name in (*self.names, *OWN_COLUMNS)}
        for name in self.controls:
            if not name or name.startswith("_") or name.lower() in folded:
                message = f"feature group {self.name!r}: {name!r} cannot say what becomes of a row"
                raise ContractError(message, "Name a column of its own that is no feature")
            folded.add(name.lower())
        seconds = None if self.ttl is None else self.ttl.total_seconds()
        if seconds is not None and (seconds != int(seconds) or not 1 <= seconds <= MAX_TTL_S):
            message = f"feature group {self.name!r}: a ttl of {seconds:g} s"
            raise ContractError(message, f"Whole seconds, 1 to {MAX_TTL_S}")


@dataclass(frozen=True)
class Column:
    """A declared column of a raw source. What cannot be read as ``type`` is quarantined.

    Args:
        name: As the source has it.
        type: Text stays text until the source gate converts it; that of a TIMESTAMP must carry Z or
            an offset.
    """

    name: str
    type: ColumnType = ColumnType.STRING


@dataclass(frozen=True)
class Source:
    """A raw input as declared: columns are named, never inferred; where it lies is in ``conf``.

    Args:
        columns: The columns to read; a missing one stops the run (exit 2), an extra one is
            reported.
        null_texts: Texts that mean null in text formats.
        time: A timestamp column by which a window's read is narrowed; None reads all of it.
        lookback: How far before a window's start rows are still needed.
        expectations: Row expectations of the source gate.
    """

    columns: tuple[Column, ...]
    null_texts: tuple[str, ...] = ("",)
    time: str | None = None
    lookback: timedelta = timedelta(0)
    expectations: tuple[Expectation, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if not names or len({name.lower() for name in names}) != len(names):  # Spark folds case
            raise ContractError(f"a source's columns must be one or more, each once: {names}")
        taken = sorted(OWN_COLUMNS & {name.lower() for name in names})
        if taken:
            message = f"a source's column {taken[0]!r} bears a name penstock uses itself"
            raise ContractError(message, f"Rename it; taken: {', '.join(sorted(OWN_COLUMNS))}")
        if self.time is not None and (
            self.time not in names or self.column(self.time).type is not ColumnType.TIMESTAMP
        ):
            message = f"a source's time column {self.time!r} is not one of its timestamp columns"
            raise ContractError(message)

    def column(self, name: str) -> Column:
        """The column called ``name``; raises KeyError."""
        for one in self.columns:
            if one.name == name:
                return one
        raise KeyError(name)


#: DataFrames by the names of the pipeline's sources, as keyword arguments, to one DataFrame.
Transform = Callable[..., Any]
WindowSize = Literal["all", "hour", "day", "week", "month"]


@dataclass(frozen=True)
class Pipeline:
    """How a feature group is fed: sources, one transform, the size of its windows.

    Args:
        group: The contract of what comes out.
        sources: Source by name; the names are the transform's keyword arguments.
        transform: ``(**frames) -> DataFrame`` with the group's features as columns, pure. None
            passes the only source through.
        window: Natural size of a backfill window.
        lateness: How long after a window's end rows for it may still arrive.
    """

    group: FeatureGroup
    sources: Mapping[str, Source]
    transform: Transform | None = None
    window: WindowSize = "all"
    lateness: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", MappingProxyType(dict(self.sources)))
        if not self.sources:
            raise ContractError(f"pipeline {self.group.name!r} has no source")
        if self.transform is None and len(self.sources) != 1:
            message = (
                f"pipeline {self.group.name!r} has {len(self.sources)} sources and no transform"
            )
            raise ContractError(message)
        if self.transform is not None:
            wanted = set(inspect.signature(self.transform).parameters)
            if wanted != set(self.sources):
                message = (
                    f"pipeline {self.group.name!r}: the transform takes {sorted(wanted)}, "
                    f"the sources are {sorted(self.sources)}"
                )
                raise ContractError(message, "Name the parameters like the sources")

    @property
    def meaning(self) -> str:
        """Hash (16 hex digits) of what decides the rows: contract, sources, transform's module."""
        parts = [
            meaning.plain(self.group),
            {name: meaning.plain(source) for name, source in sorted(self.sources.items())},
            self.window,
            meaning.source_text(self.transform),
        ]
        return meaning.digest(parts)


def _check_name(kind: str, name: str) -> None:
    if not NAME_PATTERN.fullmatch(name):
        message = f"{kind} {name!r} is not a name the service takes"
        raise ContractError(
            message, "Letters, digits, - and _, at most 64, alphanumeric at both ends"
        )
