"""The contract of a feature group that holds a flow's result: names and types that the service has.

long and boolean become Integral, float, double and decimal Fractional, all else String; dates and
instants as ISO 8601 in UTC, lists, structs and vectors as text (facts: wrangler, 4, type mapping).
Names that the service refuses are changed, and how is written down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.contract import RESERVED, Feature, FeatureGroup, FeatureType
from penstock.errors import UsageError
from penstock.wrangle.step import check_columns

_WHOLE = ("tinyint", "smallint", "int", "bigint", "boolean")
_BROKEN = ("float", "double", "decimal")
_LONGEST = 64


@dataclass(frozen=True)
class Fitting:
    """A feature group and the columns its features come from.

    Args:
        group: The contract.
        columns: Column by feature.
    """

    group: FeatureGroup
    columns: dict[str, str]


def fitting(
    name: str, record_identifier: str, event_time: str, columns: Sequence[tuple[str, str]]
) -> Fitting:
    """The contract for columns.

    Args:
        name: Of the feature group.
        record_identifier: Column.
        event_time: Column.
        columns: Names and Spark's types, as ``DataFrame.dtypes``.

    Raises:
        UsageError: There is no such column.
    """
    there = [one for one, _ in columns]
    check_columns("record identifier", [record_identifier], there)
    check_columns("event time", [event_time], there)
    named: dict[str, str] = {}
    for column in there:
        named[feature_name(column, list(named))] = column
    by_column = {column: feature for feature, column in named.items()}
    types = dict(columns)
    features = tuple(
        Feature(feature, _type(types[column], is_time=column == event_time), _came(feature, column))
        for feature, column in named.items()
    )
    group = FeatureGroup(
        name=name,
        record_identifier=by_column[record_identifier],
        event_time=by_column[event_time],
        features=features,
    )
    return Fitting(group, named)


def feature_name(column: str, taken: Sequence[str]) -> str:
    """A column's name as the service takes it, unlike all taken ones.

    Letters, digits, ``-`` and ``_``, at most 64, a letter or digit at both ends (API reference,
    FeatureDefinition); the names of the offline store's own columns are reserved.
    """
    made = re.sub(r"[^A-Za-z0-9_-]+", "_", column).strip("_-")[:_LONGEST].strip("_-") or "feature"
    made = f"{made}_value" if made.lower() in RESERVED else made
    lower, base, number = {one.lower() for one in taken}, made, 2
    while made.lower() in lower:
        made, number = f"{base[: _LONGEST - 4]}_{number}", number + 1
    return made


def _type(kind: str, *, is_time: bool) -> FeatureType:
    if kind.startswith(_BROKEN) or (is_time and kind in _WHOLE):
        return FeatureType.FRACTIONAL
    return FeatureType.INTEGRAL if kind in _WHOLE else FeatureType.STRING


def _came(feature: str, column: str) -> str:
    return "" if feature == column else f"Column {column!r} of the flow."


def check_type(kind: str, column: str) -> None:
    """An event time can be made of a column.

    Raises:
        UsageError: It cannot.
    """
    if not kind.startswith((*_BROKEN, *_WHOLE[:4], "string", "date", "timestamp")):
        raise UsageError(f"event time: column {column!r} is {kind}", "Add a step event_time")
