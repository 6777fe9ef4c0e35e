"""Rows to pandas and back, as a step of pandas code needs it.

Types of what comes back: whole numbers bigint, decimals double, text string, and dates, instants
and truth values theirs. A column of several kinds of values becomes text, one without any value
becomes '' (facts: wrangler, 4). Our own rule: NaN, which is pandas' word for missing, becomes null.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession, types

_ARROW = "spark.sql.execution.arrow.pyspark.enabled"


def to_pandas(frame: DataFrame) -> Any:
    """The rows as a pandas DataFrame: all of them, in the memory of this process."""
    before = frame.sparkSession.conf.get(_ARROW)
    frame.sparkSession.conf.set(_ARROW, "true")
    try:
        return frame.toPandas()
    finally:
        frame.sparkSession.conf.set(_ARROW, before or "false")


def from_pandas(rows: Any, spark: SparkSession) -> DataFrame:
    """A pandas DataFrame as rows; its index is left behind.

    Raises:
        TypeError: It is no DataFrame.
    """
    import pandas as pd

    if not isinstance(rows, pd.DataFrame):
        raise TypeError(f"df must stay a pandas DataFrame; it is {type(rows)}")
    fields, columns = [], {}
    for place, name in enumerate(rows.columns):
        columns[str(place)], kind = as_column(rows.iloc[:, place].reset_index(drop=True))
        fields.append(types.StructField(str(name), kind))
    schema = types.StructType(fields)
    if not len(rows) or not fields:
        return spark.createDataFrame([], schema)
    before = spark.conf.get(_ARROW)
    spark.conf.set(_ARROW, "true")
    try:
        return spark.createDataFrame(pd.DataFrame(columns), schema)
    finally:
        spark.conf.set(_ARROW, before or "false")


def as_column(series: Any) -> tuple[Any, types.DataType]:
    """A pandas Series as Spark takes it, and its type there."""
    import pandas as pd

    kind = series.dtype
    plain = not isinstance(kind, pd.api.extensions.ExtensionDtype)
    if plain and pd.api.types.is_bool_dtype(kind):
        return series, types.BooleanType()
    if plain and pd.api.types.is_integer_dtype(kind):
        return series.astype("int64"), types.LongType()
    if plain and pd.api.types.is_float_dtype(kind):
        return series.astype("float64"), types.DoubleType()
    if pd.api.types.is_datetime64_any_dtype(kind):
        zoned = getattr(kind, "tz", None) is not None
        utc = series.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else series
        return utc, types.TimestampType()
    values = [None if pd.api.types.is_scalar(one) and pd.isna(one) else one for one in series]
    return as_objects(values)


def as_objects(values: list[Any]) -> tuple[Any, types.DataType]:
    """Python values as a Series of one kind, and its type in Spark."""
    import datetime as dt
    import decimal
    import numbers

    import numpy as np
    import pandas as pd

    there = [one for one in values if one is not None]
    if not there:
        return pd.Series([""] * len(values), dtype=object), types.StringType()
    if all(isinstance(one, dt.datetime) for one in there):
        return as_column(pd.to_datetime(pd.Series(values), utc=True))
    if all(isinstance(one, (list, tuple, np.ndarray)) for one in there):
        return as_arrays(values)
    kinds = (
        ((bool, np.bool_), bool, types.BooleanType()),
        (numbers.Integral, int, types.LongType()),
        (numbers.Real, float, types.DoubleType()),
        (dt.date, lambda one: one, types.DateType()),
        (decimal.Decimal, lambda one: one, types.DecimalType(38, 18)),
        ((bytes, bytearray), bytes, types.BinaryType()),
    )
    mixed = any(isinstance(one, bool) for one in there) or any(
        isinstance(one, dt.datetime) for one in there
    )
    for known, make, kind in kinds:
        if all(isinstance(one, known) for one in there) and (known == kinds[0][0] or not mixed):
            return as_series(values, make), kind
    return as_series(values, str), types.StringType()


def as_arrays(values: list[Any]) -> tuple[Any, types.DataType]:
    """Lists as a Series of lists of one kind, and its type in Spark."""
    within = as_objects([item for one in values if one is not None for item in one])[1]
    text = isinstance(within, types.StringType)
    made = as_series(values, lambda one: [str(item) if text else item for item in one])
    return made, types.ArrayType(within)


def as_series(values: list[Any], make: Any) -> Any:
    """Values made the same, null kept."""
    import pandas as pd

    return pd.Series([None if one is None else make(one) for one in values], dtype=object)
