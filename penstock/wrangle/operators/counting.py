"""How often values occur, and which columns hold numbers: what several families fit by."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, types
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, is_missing


def is_number(frame: DataFrame, column: str) -> bool:
    """Whether a column's type is one of numbers."""
    return isinstance(frame.schema[column].dataType, types.NumericType)


def number(column: str) -> Column:
    """As double; null where it is none, infinite or not a number."""
    value = at(column).cast("double")
    finite = ~fn.isnan(value) & (fn.abs(value) != float("inf"))
    return fn.when(finite, value)


def counts(
    frame: DataFrame, columns: Sequence[str], keys: Sequence[Column] = ()
) -> dict[str, dict[str, int]]:
    """Values that are not missing as text, by column, with how often they occur. One job.

    The most frequent first; of several as frequent the first in order of text, as Java orders it:
    so does Spark's StringIndexer (facts: wrangler, 4).

    Args:
        frame: Of which.
        columns: Which.
        keys: What to count of each, as text, null where it does not count; else the values.
    """
    texts = keys or [fn.when(~is_missing(frame, one), at(one).cast("string")) for one in columns]
    rows = [
        (place, value, count)
        for place, value, count in occurrences(frame, texts)
        if value is not None
    ]
    found: dict[str, dict[str, int]] = {one: {} for one in columns}
    for place, value, count in sorted(rows, key=lambda one: (-one[2], one[1].encode("utf-16-be"))):
        found[columns[place]][value] = count
    return found


def occurrences(frame: DataFrame, texts: Sequence[Column]) -> list[tuple[int, str | None, int]]:
    """Place in ``texts``, value, and how many rows have it, in no order. One job."""
    if len(texts) == 1:  # spares an array of each row
        values = frame.select(fn.lit(0).alias("place"), texts[0].alias("value"))
    else:
        values = frame.select(fn.posexplode(fn.array(*texts)).alias("place", "value"))
    return [tuple(one) for one in values.groupBy("place", "value").count().collect()]


__all__ = ["counts", "is_number", "number", "occurrences"]
