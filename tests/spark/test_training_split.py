"""Strata on Spark: dealt out by what rows hold, wherever they lie and in whatever order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from penstock.dataset import Dataset, StratifiedSplit
from penstock.errors import UsageError
from penstock.training.split import part

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}
SIZES: dict[Any, int] = {"a": 40, "é'`": 7, "b": 3, "c": 1, None: 10}
COLUMNS = ("n", "kind of")


def parts(frame: DataFrame, on: str = "kind of") -> list[tuple[Any, ...]]:
    """Each row with its part behind."""
    dataset = Dataset("d", "b", "at", (), split=StratifiedSplit(on, SHARES))
    return [tuple(row) for row in frame.withColumn("part", part(frame, dataset, COLUMNS)).collect()]


def dealt_evenly(rows: list[tuple[Any, ...]], sizes: dict[Any, int], place: int) -> bool:
    """Whether each part's count of each stratum is within 1 of its share."""
    counts = Counter((row[place], row[-1]) for row in rows)
    return sum(counts.values()) == sum(sizes.values()) and all(
        abs(counts[kind, name] - share * size) <= 1
        for kind, size in sizes.items()
        for name, share in SHARES.items()
    )


def test_each_stratum_is_dealt_out_the_same_way_again(spark: SparkSession) -> None:
    """Null is a stratum; neither order nor partitions nor new features move a row."""
    kinds = [kind for kind, size in SIZES.items() for _ in range(size)]
    frame = spark.createDataFrame(list(enumerate(kinds)), "n int, `kind of` string")
    first = parts(frame)
    assert dealt_evenly(first, SIZES, 1)
    shuffled = frame.orderBy("n", ascending=False).repartition(5).selectExpr("*", "rand() AS more")
    assert {row[0]: row[-1] for row in parts(shuffled)} == {row[0]: row[-1] for row in first}
    assert {row[-1] for row in first} == set(SHARES)
    assert len({row[-1] for row in first if row[0] < 20}) > 1  # not in the order they came


def test_equal_rows_are_dealt_out_too(spark: SparkSession) -> None:
    """A hash of the row would put all of them into one part."""
    frame = spark.createDataFrame([(1, "a")] * 12, "n int, `kind of` string")
    assert dealt_evenly(parts(frame), {"a": 12}, 1)


def test_a_stratum_of_two_zeros_is_one(spark: SparkSession) -> None:
    """0.0 and -0.0 are equal to Spark, and start at one place."""
    frame = spark.createDataFrame(
        [(n, 0.0 if n % 2 else -0.0) for n in range(9)], "n int, z double"
    )
    assert dealt_evenly(parts(frame, "z"), {0.0: 9}, 1)


def test_a_column_that_is_not_there_is_one_line(spark: SparkSession) -> None:
    """What there is instead."""
    frame = spark.createDataFrame([(1, "a")], "n int, `kind of` string")
    with pytest.raises(UsageError, match="no column 'town' to split by"):
        parts(frame, "town")
