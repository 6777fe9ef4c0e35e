"""The one table of types, and the strict conversions it needs, on Arrow arrays.

Source gate and feature gate convert with the same functions, on executors and on the driver alike.
They depend on nothing but their arguments: no Spark expression is involved, so neither the
session's time zone nor ANSI mode can change a result.

A conversion never guesses and never throws on data: it answers the values and, for each row,
whether the value was fit. Unfit values come back as null beside the name of the rule they broke.
"""

from __future__ import annotations

import pyarrow as pa

from penstock.contract import ColumnType, FeatureType
from penstock.encoding.converted import (
    ENCODING,
    EVENT_TIME,
    FUTURE,
    NON_FINITE,
    NULL_KEY,
    OVERSIZE,
    RANGE,
    TYPE,
    Converted,
    flat,
)
from penstock.encoding.numerics import MAX_EXACT_DOUBLE, double_text, to_boolean, to_double, to_long
from penstock.encoding.texts import to_text
from penstock.encoding.times import MIN_EPOCH_SECONDS, event_time, later, order, to_date, to_instant

__all__ = [
    "COLUMNS",
    "CONVERTERS",
    "ENCODING",
    "EVENT_TIME",
    "FEATURES",
    "FUTURE",
    "MAX_EXACT_DOUBLE",
    "MAX_IDENTIFIER_BYTES",
    "MAX_RECORD_BYTES",
    "MIN_EPOCH_SECONDS",
    "NON_FINITE",
    "NULL_KEY",
    "OVERSIZE",
    "RANGE",
    "STORAGE",
    "TYPE",
    "Converted",
    "double_text",
    "event_time",
    "flat",
    "later",
    "order",
    "to_boolean",
    "to_date",
    "to_double",
    "to_instant",
    "to_long",
    "to_text",
]

#: Feature type → (Arrow type staged and stored offline, Spark type, Glue type). Glue types as the
#: service registers them (AWS developer guide, offline store data types).
STORAGE: dict[FeatureType, tuple[pa.DataType, str, str]] = {
    FeatureType.STRING: (pa.string(), "string", "string"),
    FeatureType.INTEGRAL: (pa.int64(), "bigint", "bigint"),
    FeatureType.FRACTIONAL: (pa.float64(), "double", "double"),
}
#: Column type of a source → (Arrow type, Spark type).
COLUMNS: dict[ColumnType, tuple[pa.DataType, str]] = {
    ColumnType.STRING: (pa.string(), "string"),
    ColumnType.LONG: (pa.int64(), "bigint"),
    ColumnType.DOUBLE: (pa.float64(), "double"),
    ColumnType.BOOLEAN: (pa.bool_(), "boolean"),
    ColumnType.TIMESTAMP: (pa.timestamp("us", "UTC"), "timestamp"),
    ColumnType.DATE: (pa.date32(), "date"),
}

MAX_IDENTIFIER_BYTES = 2_048  # AWS developer guide, quotas: record identifier 2 KB
MAX_RECORD_BYTES = 358_400  # quotas: 350 KB a record; API model: 358,400 characters a value

CONVERTERS = {
    ColumnType.STRING: to_text,
    ColumnType.LONG: to_long,
    ColumnType.DOUBLE: to_double,
    ColumnType.BOOLEAN: to_boolean,
    ColumnType.TIMESTAMP: to_instant,
    ColumnType.DATE: to_date,
}
FEATURES = {
    FeatureType.STRING: to_text,
    FeatureType.INTEGRAL: to_long,
    FeatureType.FRACTIONAL: to_double,
}
