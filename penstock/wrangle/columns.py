"""Columns by any name, and where a new one goes.

Names in flows hold dots, blanks and back-ticks, which Spark reads as syntax unless quoted. The
order of columns is part of a flow's result.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn


def at(name: str) -> Column:
    """The column of exactly this name."""
    return fn.col("`" + name.replace("`", "``") + "`")


def put(frame: DataFrame, columns: dict[str, Column]) -> DataFrame:
    """Columns by name: in place where there is one of that name, at the end where there is none.

    Spark does not tell `age` from `Age`, so there must not be both: the new spelling takes the
    place of the old, as in ``DataFrame.withColumn``.
    """
    named = {name.lower(): column.alias(name) for name, column in columns.items()}
    kept = [named.pop(name.lower(), at(name)) for name in frame.columns]
    return frame.select(*kept, *named.values())


def keep(frame: DataFrame, names: list[str]) -> DataFrame:
    """These columns, in this order."""
    return frame.select(*[at(name) for name in names])


def kind(frame: DataFrame, name: str) -> str:
    """Spark's name of a column's type, as in ``DataFrame.dtypes``.

    Raises:
        AnalysisException: No such column.
    """
    return dict(frame.dtypes).get(name) or frame.select(at(name)).dtypes[0][1]


def is_missing(frame: DataFrame, name: str) -> Column:
    """Whether a value is missing: null; blank text; NaN (facts: wrangler, 4)."""
    column, type_name = at(name), kind(frame, name)
    if type_name == "string":
        return column.isNull() | (fn.trim(column) == "")
    if type_name in ("double", "float"):
        return column.isNull() | fn.isnan(column)
    return column.isNull()
