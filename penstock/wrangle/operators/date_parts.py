"""Parts of an instant as numbers, plain or around a circle (facts: wrangler, 4).

Ordinal values of month, day, week, day of year and quarter count from 0 unless ``one_based``. Weeks
are those of ISO 8601. Cyclic gives each part but the year as a point on the unit circle, its sine
first: circles and order are those of DateTimeVectorizer in sagemaker-scikit-learn-extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind, put
from penstock.wrangle.step import Step, chosen, names

#: Parts in the order of the result, by what they are called there.
PARTS = (
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "week_of_year",
    "day_of_year",
    "quarter",
)
#: How many values a part has: the length of its circle.
CIRCLES = {
    "month": 12,
    "day": 31,
    "hour": 24,
    "minute": 60,
    "second": 60,
    "week_of_year": 53,
    "day_of_year": 366,
    "quarter": 4,
}
#: Numbers from here on count in the unit before, the first in seconds (facts: wrangler, 4).
MAGNITUDES = ((2**54, 1_000_000_000), (2**44, 1_000_000), (2**34, 1_000))
_MICROS = 1_000_000


def add_date_parts(
    frame: DataFrame,
    column: str,
    parts: list[str],
    prefix: str,
    date_format: str,
    *,
    cyclic: bool,
    vector: bool,
    one_based: bool,
) -> DataFrame:
    """Parts of an instant, at the end of the frame.

    Args:
        frame: Rows.
        column: Instants, dates, text, or numbers since 1970 in seconds, milli-, micro- or
            nanoseconds, whichever their size says.
        parts: Which, in order.
        prefix: Columns are called ``<prefix>_<part>``; the vector ``<prefix>``.
        date_format: Python's, of text; any that pandas reads where it is empty.
        cyclic: Whether parts but the year are two numbers, ``_1`` the sine and ``_2`` the cosine.
        vector: Whether the result is one column of Spark's vectors.
        one_based: Whether what counts from 1 in calendars does so here.
    """
    from pyspark.ml.functions import array_to_vector

    instant = as_instant(at(column), kind(frame, column), date_format)
    made = {}
    for part in parts:
        for name, value in numbers_of(instant, part, cyclic=cyclic, one_based=one_based).items():
            made[f"{prefix}_{name}"] = value
    if not vector:
        return put(frame, made)
    missing = fn.lit(float("nan"))
    whole = fn.array(*[fn.coalesce(one.cast("double"), missing) for one in made.values()])
    return put(frame, {prefix: array_to_vector(whole)})


def as_instant(value: Column, type_name: str, date_format: str) -> Column:
    """A column as a timestamp; null where it says none."""
    if type_name in ("timestamp", "date", "timestamp_ntz"):
        return value.cast("timestamp")
    if type_name != "string":
        number = value.cast("double")
        found = fn.timestamp_micros((number * 1_000_000).cast("bigint"))
        for least, per_second in reversed(MAGNITUDES):
            micros = fn.floor(number * (1_000_000 / per_second)).cast("bigint")
            found = fn.when(fn.abs(number) >= least, fn.timestamp_micros(micros)).otherwise(found)
        return fn.when(~fn.isnan(number), found)
    return fn.timestamp_micros(parse_text(date_format)(value))


def parse_text(date_format: str) -> Any:
    """A function of columns: text as microseconds since 1970, as pandas reads it.

    The zone in a text counts; text without one is in UTC.
    """
    import warnings

    from pyspark.sql.pandas.functions import PandasUDFType, pandas_udf

    def parsed(texts: Any) -> Any:
        import warnings

        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Before 2.0 each value was read on its own without being asked.
            mixed = "mixed" if int(pd.__version__.split(".")[0]) > 1 else None
            found = pd.to_datetime(texts, errors="coerce", format=date_format or mixed, utc=True)
        micros = found.dt.tz_localize(None).astype("datetime64[us]").astype("int64")
        return micros.astype("Int64").where(found.notna())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark would rather have type hints
        return pandas_udf(parsed, "bigint", PandasUDFType.SCALAR)


def numbers_of(instant: Column, part: str, *, cyclic: bool, one_based: bool) -> dict[str, Column]:
    """A part as one number, or as two on a circle."""
    reads = {
        "year": fn.year,
        "month": fn.month,
        "day": fn.dayofmonth,
        "hour": fn.hour,
        "minute": fn.minute,
        "second": fn.second,
        "week_of_year": fn.weekofyear,
        "day_of_year": fn.dayofyear,
        "quarter": fn.quarter,
    }
    from_one = ("month", "day", "week_of_year", "day_of_year", "quarter")
    value = reads[part](instant)
    if part == "year":
        return {part: value.cast("double")}
    zero_based = value - 1 if part in from_one else value
    if not cyclic:
        return {part: (value if one_based else zero_based).cast("double")}
    angle = zero_based * (2 * 3.141592653589793 / CIRCLES[part])
    return {f"{part}_1": fn.sin(angle), f"{part}_2": fn.cos(angle)}


class Mode(Enum):
    """What numbers a part becomes."""

    ORDINAL = "ordinal"
    CYCLIC = "cyclic"


class Shape(Enum):
    """Whether the result is columns or one vector."""

    COLUMNS = "columns"
    VECTOR = "vector"


class DateParts(Step):
    """Extract parts of an instant.

    Args:
        column: Instants, dates, text, or numbers since 1970 in seconds, milli-, micro- or
            nanoseconds, whichever their size says.
        parts: Which.
        mode: What numbers they become.
        shape: Columns or one vector.
        date_format: Python's ``strptime`` format of text; any that pandas reads where it is empty.
        one_based: With ordinal: whether month, day, week, day of year and quarter count from 1.
        output: Prefix of the columns, ``<output>_<part>``; or the vector.
    """

    kind: ClassVar[str] = "date_parts"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("featurize_date_time", "Extract columns"),
        ("time_series", "Featurize datetime"),
    )

    column: str
    parts: Annotated[tuple[str, ...], Field(min_length=1)]
    mode: Mode = Mode.ORDINAL
    shape: Shape = Shape.COLUMNS
    date_format: str = ""
    one_based: bool = False
    output: str = ""

    @field_validator("parts")
    @classmethod
    def _known(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [one for one in parts if one not in PARTS]
        if unknown:
            raise ValueError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
        return tuple(one for one in PARTS if one in parts)

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """A switch for each part; ``infer_datetime_format`` changes nothing but speed here."""
        block = chosen(parameters, choice)
        return cls(
            column=names(block["input_column"])[0],
            parts=tuple(one for one in PARTS if block.get(one)),
            mode=Mode(str(block.get("output_mode", "Ordinal")).lower()),
            shape=Shape(str(block.get("output_format", "Columns")).lower()),
            date_format=block.get("date_time_format") or "",
            one_based=bool(block.get("use_one_indexing")),
            output=block.get("output_column") or "",
        )

    def calls(self, state: State) -> list[Call]:
        """One call for all parts."""
        return [
            Call.of(
                add_date_parts,
                column=self.column,
                parts=list(self.parts),
                prefix=self.output or self.column,
                date_format=self.date_format,
                cyclic=self.mode is Mode.CYCLIC,
                vector=self.shape is Shape.VECTOR,
                one_based=self.one_based,
            )
        ]

    def cautions(self) -> tuple[str, ...]:
        """That January is 0."""
        if self.mode is Mode.ORDINAL and not self.one_based:
            return (f"{self.output or self.column}: months, days, weeks and quarters count from 0",)
        return ()

    def sentence(self) -> str:
        """One sentence."""
        said = ", ".join(one.replace("_", " ") for one in self.parts)
        return f"Extract {said} of {self.column}"


STEPS: tuple[type[Step], ...] = (DateParts,)
