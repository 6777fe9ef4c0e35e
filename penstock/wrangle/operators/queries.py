"""Rows through a query, and a column through a Python function."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, put


def query_rows(frame: DataFrame, query: str) -> DataFrame:
    """What a query of Spark SQL gives; the rows are its table ``df``."""
    frame.createOrReplaceTempView("df")
    try:
        return frame.sparkSession.sql(query)
    finally:
        frame.sparkSession.catalog.dropTempView("df")


def apply_function(
    frame: DataFrame,
    function: Any,
    column: str,
    output: str,
    returns: str,
    *,
    series: bool,
) -> DataFrame:
    """A column by a Python function of another.

    Args:
        frame: Rows.
        function: A function of a pandas Series, or of one value.
        column: Its argument.
        output: Column of the result.
        returns: Type of what it returns, in Spark's words.
        series: Whether it is of a Series.
    """
    import warnings

    from pyspark.sql.pandas.functions import pandas_udf

    whole: Any = pandas_udf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark would rather have type hints
        made = whole(function, returns) if series else fn.udf(function, returns, useArrow=False)
    return put(frame, {output: made(at(column))})
