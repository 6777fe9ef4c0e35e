"""Errors of others: what they are and where, and not what they quote."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock import foreign
from penstock.errors import DataGateError, unknown
from penstock.session import raised

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CANARY = "+49 151 CANARY-77"


def _strict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for one in batch.column(0).to_pylist():
            int(one)
        yield batch


def _gated(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        message = f"readings: {batch.num_rows} rows were put aside"
        raise DataGateError(message, "Look at them")
    yield from ()


def _failed(act: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as failed:  # noqa: PT011 - whatever Spark's line raises
        act()
    assert isinstance(failed.value, Exception)
    return failed.value


def _logged(error: BaseException) -> str:
    record = logging.LogRecord("penstock", logging.ERROR, "", 1, "exit", (), None)
    record.exc_info = (type(error), error, error.__traceback__)
    logging.Formatter().format(record)  # another handler's: it keeps its text in the record
    assert "CANARY" in str(record.exc_text)
    return foreign.Formatter("%(message)s").format(record)


@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda rows: rows.select(fn.col("a").cast("long")).collect(), "CAST_INVALID_INPUT"),
        (lambda rows: rows.selectExpr("cast(a as date)").collect(), "use try_cast. Next"),
        (lambda rows: rows.mapInArrow(_strict, "a string").collect(), "ValueError) at "),
        (lambda rows: rows.select(fn.raise_error(fn.col("a"))).collect(), "Exception"),
        (lambda rows: rows.toPandas()["a"].astype(int), "ValueError at "),
    ],
)
def test_the_value_is_neither_said_nor_logged(
    spark: SparkSession, act: Callable[[DataFrame], object], said: str
) -> None:
    """Type, Spark's error class and a place in this file are; on every line of Spark."""
    rows = spark.createDataFrame([(CANARY,)], "a string")
    before = spark.conf.get("spark.sql.ansi.enabled")
    spark.conf.set("spark.sql.ansi.enabled", "true")
    try:
        error = _failed(lambda: act(rows))
    finally:
        spark.conf.set("spark.sql.ansi.enabled", str(before))
    assert "CANARY" in str(error)
    ours = unknown(error, "Next")
    assert said in str(ours)
    assert __file__ in str(ours)
    logged = _logged(ours)
    assert type(error).__name__ in logged
    assert "_failed" in logged
    assert "CANARY" not in str(ours) + logged


@pytest.mark.shows("4.3")
def test_a_query_that_is_wrong_keeps_its_name(spark: SparkSession) -> None:
    """No row was read: what Spark says is about the code."""
    rows = spark.createDataFrame([("1",)], "a string")
    assert "`levels`" in str(unknown(_failed(lambda: rows.select("levels")), ""))
    assert "near 'selct'" in str(unknown(_failed(lambda: spark.sql("selct 1")), ""))


def test_our_own_error_in_a_worker_keeps_its_text(spark: SparkSession) -> None:
    """It holds no values by rule."""
    rows = spark.createDataFrame([("1",)], "a string").coalesce(1)
    error = raised(_failed(lambda: rows.mapInArrow(_gated, "a string").collect()))
    assert isinstance(error, DataGateError)
    assert str(error) == "readings: 1 rows were put aside. Look at them"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "a.csv"), "[Errno 2] No such file: 'a.csv'"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (NameError("name 'x' is not defined"), "NameError: name 'x' is not defined"),
        (ValueError(CANARY), "ValueError"),
        (KeyError(CANARY), "KeyError"),
        (pa.ArrowInvalid(f"Could not convert {CANARY}"), "ArrowInvalid"),
    ],
)
def test_what_is_about_files_and_code_is_open_and_all_else_closed(
    error: Exception, said: str
) -> None:
    """The first line of the open ones; of the closed ones the type."""
    text = str(unknown(error, ""))
    assert text.endswith(said) if "CANARY" not in str(error) else text == said
