"""Rows told apart by what is in them, so that a choice of rows is the same however they lie.

Spark gives rows no order that lasts: computed anew, or over other partitions, a random number or a
place falls to other rows. A hash of the row does not; rows that are equal share it.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, kind


def row_hash(frame: DataFrame, columns: list[str], seed: int) -> Column:
    """64 bits over these columns of a row; over all of them where the list is empty.

    Spark does not hash maps: they count as their JSON.
    """
    values = [
        fn.to_json(at(one)) if "map<" in kind(frame, one) else at(one)
        for one in columns or frame.columns
    ]
    return fn.xxhash64(fn.lit(seed), *values)


def row_share(frame: DataFrame, columns: list[str], seed: int) -> Column:
    """The same as a number from 0 to below 1, spread evenly."""
    return fn.shiftrightunsigned(row_hash(frame, columns, seed), 11) * fn.lit(2.0**-53)
