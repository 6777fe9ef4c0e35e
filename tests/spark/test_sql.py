"""Queries in Athena's dialect on Delta tables: joined groups, and what Spark refuses."""

from __future__ import annotations

import logging
from io import StringIO
from typing import TYPE_CHECKING

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.session import quiet
from penstock.sql import Known, run, statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Known]:
    """Two tables of a lake whose path has a quote, a blank and a backtick in it."""
    folder = tmp_path_factory.mktemp("an offline 'lake' `here`")
    return [
        _table(folder, "flights", {"tail": ["a", "a", "b", None], "legs": [1, 2, 3, 4]}),
        _table(folder, "aircraft", {"tail": ["a", "b"], "Made": [1999, None]}),
    ]


def _table(folder: Path, name: str, columns: Mapping[str, Sequence[str | int | None]]) -> Known:
    rows = pa.table(columns)
    deltalake.write_deltalake(str(folder / name), rows)
    types = {one.name: "varchar" if one.type == pa.string() else "bigint" for one in rows.schema}
    return Known(name, f"lake_{name}", str(folder / name), types)


def test_groups_are_joined_as_athena_would(spark: SparkSession, known: list[Known]) -> None:
    """An outer join, whole numbers divided, nulls last, names whatever their case."""
    text = """
        SELECT f.tail, sum(f.legs) / 2 AS halves, max(a.made) AS made
        FROM flights f LEFT JOIN "lake"."lake_aircraft" a ON f.tail = a.tail
        GROUP BY 1 ORDER BY f.tail
    """
    rows = run(spark, statement(text, known, "lake")).collect()
    assert [tuple(one) for one in rows] == [("a", 1, 1999), ("b", 1, None), (None, 2, None)]


def test_what_spark_refuses_is_said_in_one_line(spark: SparkSession, known: list[Known]) -> None:
    """An unknown column, with its name."""
    with pytest.raises(UsageError, match="nowhere") as caught:
        run(spark, statement("SELECT nowhere FROM flights", known, "lake"))
    assert "\n" not in caught.value.message


def test_a_table_that_is_not_ingested_is_said(spark: SparkSession, tmp_path: Path) -> None:
    """A missing folder, an empty one and one of other files."""
    for name in ("missing", "empty", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "missing").rmdir()
    pq.write_table(pa.table({"tail": ["a"]}), tmp_path / "other" / "part.parquet")
    for name in ("missing", "empty", "other"):
        table = Known("flights", "lake_flights", str(tmp_path / name), {"tail": "varchar"})
        with pytest.raises(UsageError, match="no offline table of 'flights'") as caught:
            run(spark, statement("SELECT tail FROM flights", [table], "lake"))
        assert caught.value.remedy == "Ingest the feature group first"


def test_spark_says_nothing_beside(spark: SparkSession, known: list[Known]) -> None:
    """Of SQL, an expression in a step, a column: Spark 4 would write Java's stack to the screen."""
    quiet(spark)
    said = StringIO()
    loggers = [logging.getLogger(f"{kind}QueryContextLogger") for kind in ("SQL", "DataFrame")]
    handler = logging.StreamHandler(said)
    for one in loggers:
        one.addHandler(handler)
    rows = spark.read.format("delta").load(known[0].path)
    with pytest.raises(UsageError, match="nothere"):
        run(spark, statement("SELECT nothere FROM flights", known, "lake"))
    for wrong in (fn.expr("nosuch + 1"), fn.col("nosuch") + 1):
        with pytest.raises(AnalysisException, match="nosuch"):
            rows.select(wrong)
    for one in loggers:
        one.removeHandler(handler)
    assert said.getvalue() == ""
