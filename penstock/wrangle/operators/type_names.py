"""Text as dates, numbers and truth values: one rule for all steps that cast."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as fn

#: Data Wrangler's names of types, and Spark's of what they are there.
SPARK_TYPES = {
    "bool": "boolean",
    "date": "date",
    "datetime": "timestamp",
    "float": "double",
    "long": "bigint",
    "string": "string",
}


def parsed(value: Column, wanted: str, pattern: str) -> Column:
    """A value as bool, date, datetime, float, long or string; null where it does not read as one.

    Args:
        value: Any column; a pattern is for text.
        wanted: Type.
        pattern: How a date or an instant is written, in Spark's letters; ISO 8601 where it is
            empty.
    """
    if wanted == "date" and pattern:
        return fn.to_date(value, pattern)
    if wanted == "datetime" and pattern:
        return fn.to_timestamp(value, pattern)
    return value.cast(SPARK_TYPES[wanted])


def unlike(value: Column, wanted: str, pattern: str) -> Mapping[str, Column]:
    """What a cast of text loses: by what happens, where it does.

    Text that says null (``NA``, ``null``, blank) loses nothing.
    """
    if wanted not in SPARK_TYPES or wanted == "string":
        return {}
    some = value.isNotNull() & ~value.rlike(r"(?i)^\s*(null|none|nil|na|n/a|nan)?\s*$")
    result = parsed(value, wanted, pattern)
    losses = {f"do not read as {wanted} and become null": some & result.isNull()}
    if wanted == "long":
        cut = some & (result.cast("double") != value.cast("double"))
        losses["lose what is after the point"] = fn.coalesce(cut, fn.expr("false"))
    return losses
