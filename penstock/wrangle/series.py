"""Time series within a frame: rows of one id, in the order of their instants.

Instants count as microseconds since 1970, so that no session's time zone moves a day's border.
Rows of one instant go by a hash of what is in them: an order, if not one that means anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as fn

from penstock.wrangle.call import Value
from penstock.wrangle.columns import at, is_missing, kind
from penstock.wrangle.rows import row_hash
from penstock.wrangle.step import names


def instant_of(frame: DataFrame, time: str) -> Column:
    """When a row is: a number as it stands, all else as a timestamp; null where it is none."""
    if kind(frame, time) in ("tinyint", "smallint", "int", "bigint", "float", "double"):
        return at(time)
    return at(time).cast("timestamp")


def in_time(frame: DataFrame, by: list[str], time: str) -> WindowSpec:
    """Rows of a series, one after another; all rows are one where there is no id."""
    order = [instant_of(frame, time), row_hash(frame, [], 0)]
    return Window.partitionBy(*[at(one) for one in by]).orderBy(*order)


def known_value(frame: DataFrame, column: str) -> Column:
    """A value; null where it is missing: NaN, blank text."""
    return fn.when(~is_missing(frame, column), at(column))


def of_series(block: Mapping[str, Value]) -> dict[str, Any]:
    """Id, time and column of a series, as ``.flow`` files name them."""
    found: dict[str, Any] = {"by": names(block.get("id_column"))}
    if block.get("timestamp_column"):
        found["time"] = str(block["timestamp_column"])
    if block.get("sequence_column"):
        found["column"] = str(block["sequence_column"])
    return found


def said_of(by: tuple[str, ...]) -> str:
    """Which series, in a sentence."""
    return f" of each {', '.join(by)}" if by else ""
