"""Bring time series to even steps (facts: wrangler, 1.2 and 4, 'Resample').

As pandas does: values of one step are made one, steps that are empty are filled; days are UTC's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind
from penstock.wrangle.instants import DAY_US, FIXED_US, by_its_end, instant_at, unit_of, whole_part
from penstock.wrangle.rows import row_hash
from penstock.wrangle.series import known_value, of_series, said_of
from penstock.wrangle.step import Step, chosen


def resample_series(
    frame: DataFrame,
    *,
    by: list[str],
    time: str,
    unit: str,
    quantity: int,
    numbers: str,
    others: str,
    empty_numbers: str,
    empty_others: str,
) -> DataFrame:
    """A row for each step of each series, from its first to its last; columns in their order.

    Numbers become doubles. Rows without a time are left out.
    """
    values = {one: f"v{n}" for n, one in enumerate(frame.columns) if one not in (*by, time)}
    keys = {one: f"k{n}" for n, one in enumerate(by)}
    number = [one for one in values if kind(frame, one).partition("(")[0] in NUMBERS]
    binned = binned_rows(frame, keys, time, unit, quantity, values, number)
    merged = [
        merged_value(place, numbers if one in number else others).alias(place)
        for one, place in values.items()
    ]
    steps = binned.groupBy(*keys.values(), "bin").agg(fn.count("bin").alias("rows"), *merged)
    after = fn.lead("bin").over(Window.partitionBy(*keys.values()).orderBy("bin")) - quantity
    until = steps.withColumn("until", fn.coalesce(after, "bin"))
    step = fn.lit(quantity).cast("bigint")
    spread = until.select("*", fn.explode(fn.sequence("bin", "until", step)).alias("at"))
    order = Window.partitionBy(*keys.values()).orderBy("at")
    made = {one: fn.col(place) for one, place in keys.items()}
    for one, place in values.items():
        how = empty_numbers if one in number else empty_others
        made[one] = filled_step(place, order, how)
    wanted = "timestamp_ntz" if kind(frame, time) == "timestamp_ntz" else "timestamp"
    made[time] = instant_at(fn.col("at"), unit).cast(wanted)
    return spread.select(*[made[one].alias(one) for one in frame.columns])


def binned_rows(
    frame: DataFrame,
    keys: dict[str, str],
    time: str,
    unit: str,
    quantity: int,
    values: dict[str, str],
    number: list[str],
) -> DataFrame:
    """Rows with the number of their step, under names of our own.

    Steps of several units begin at the series' first; of units within a day, at its midnight.
    """
    instant = at(time).cast("timestamp")
    known = [
        (
            known_value(frame, one).cast("double") if one in number else known_value(frame, one)
        ).alias(place)
        for one, place in values.items()
    ]
    rows = frame.select(
        *[at(one).alias(place) for one, place in keys.items()],
        *known,
        instant.alias("instant"),
        row_hash(frame, [], 0).alias("hash"),
        unit_of(instant, unit).alias("bin"),
    ).where("instant is not null")
    if quantity == 1:
        return rows
    first = fn.min("bin").over(Window.partitionBy(*keys.values()))
    if unit in FIXED_US:
        units = max(DAY_US // FIXED_US[unit], 1)
        first = whole_part(first, units) * units
    rows = rows.withColumn("first", first)
    passed = fn.col("bin") - fn.col("first")
    steps = -whole_part(-passed, quantity) if by_its_end(unit) else whole_part(passed, quantity)
    return rows.withColumn("bin", fn.col("first") + steps * quantity).drop("first")


def merged_value(column: str, how: str) -> Column:
    """Values of one step made one; those that are missing do not count.

    Of several that are as common, the least; first and last are by time.
    """
    value = fn.col(column)
    if how == "most_common":
        return most_common_of(fn.collect_list(value))
    if how in ("first", "last"):
        placed = fn.when(value.isNotNull(), fn.struct("instant", "hash", value.alias("value")))
        return (fn.min(placed) if how == "first" else fn.max(placed))["value"]
    known = {"mean": fn.avg, "median": fn.median, "min": fn.min, "max": fn.max, "sum": fn.sum}
    return known[how](value)


def most_common_of(values: Column) -> Column:
    """The value an array holds most often; of several, the least; null of none."""
    each = fn.array_sort(fn.array_distinct(values))
    counts = fn.transform(each, lambda one: fn.size(fn.filter(values, lambda two: one == two)))
    # Spark 3.5 has array_position of literals alone, but for this way.
    place = fn.call_function("array_position", counts, fn.array_max(counts)) - 1
    return fn.get(each, place.cast("int"))


def filled_step(column: str, order: WindowSpec, how: str) -> Column:
    """A value at each step, ``at``; those of steps that are empty, or hold none, are filled.

    As in pandas, a line runs on from the last value and none leads to the first.
    """
    at_, value = fn.col("at"), fn.when(fn.col("at") == fn.col("bin"), fn.col(column))
    if how == "keep":
        return value
    upto = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    onward = order.rowsBetween(Window.currentRow, Window.unboundedFollowing)
    where = fn.when(value.isNotNull(), at_)
    before = fn.last(value, ignorenulls=True).over(upto)
    after = fn.first(value, ignorenulls=True).over(onward)
    if how in ("forward", "backward"):
        return before if how == "forward" else after
    low = fn.last(where, ignorenulls=True).over(upto)
    high = fn.first(where, ignorenulls=True).over(onward)
    if how == "nearest":
        inner = fn.when(at_ - low <= high - at_, before).otherwise(after)
        return fn.when(low.isNotNull() & high.isNotNull(), inner)
    line = before + (after - before) * ((at_ - low) / fn.when(high > low, high - low))
    return fn.coalesce(line, before)


#: Types whose values are numbers.
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
#: Units as flows may name them; 'Hourly' was observed, the others are after pandas' own names.
_UNITS = {
    "millisecond": "millisecond",
    "microsecond": "microsecond",
    "second": "second",
    "minute": "minute",
    "minutely": "minute",
    "hour": "hour",
    "day": "day",
    "daily": "day",
    "calendar day": "day",
    "week": "week",
    "month": "month_end",
    "month end": "month_end",
    "month start": "month_start",
    "quarter": "quarter_end",
    "quarter end": "quarter_end",
    "quarter start": "quarter_start",
    "year": "year_end",
    "annual": "year_end",
    "year end": "year_end",
    "year start": "year_start",
}


Unit = Literal[
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month_start",
    "month_end",
    "quarter_start",
    "quarter_end",
    "year_start",
    "year_end",
]


class Merge(Enum):
    """What values of one step become."""

    MEAN = "mean"
    MEDIAN = "median"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    FIRST = "first"
    LAST = "last"
    MOST_COMMON = "most_common"


class Gap(Enum):
    """What a step without a value becomes."""

    LINEAR = "linear"
    NEAREST = "nearest"
    FORWARD = "forward"
    BACKWARD = "backward"
    KEEP = "keep"


_GAPS = {"ffill": Gap.FORWARD, "pad": Gap.FORWARD, "bfill": Gap.BACKWARD, "backfill": Gap.BACKWARD}


class Resample(Step):
    """Bring time series to even steps.

    Args:
        time: The column of instants.
        by: The columns that tell series apart; all rows are one without any.
        unit: A step's unit.
        quantity: How many units a step is.
        numbers: What several numbers of one step become.
        others: What several other values become: the most common, the least of several; the first
            or the last.
        empty_numbers: What steps without a number get: a point of the line between those beside,
            in pandas' way; the nearest; the last before; the first after; nothing.
        empty_others: What steps without another value get: the last before, the first after,
            nothing.
    """

    kind: ClassVar[str] = "resample"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Resample"),)
    waits_for: ClassVar[str] = "a series is known when all its rows are there"

    time: str
    by: tuple[str, ...] = ()
    unit: Unit
    quantity: Annotated[int, Field(ge=1)] = 1
    numbers: Merge = Merge.MEAN
    others: Merge = Merge.MOST_COMMON
    empty_numbers: Gap = Gap.LINEAR
    empty_others: Gap = Gap.FORWARD

    @model_validator(mode="after")
    def _of_a_kind(self) -> Resample:
        if self.numbers is Merge.MOST_COMMON:
            raise ValueError("numbers have no most common value here")
        if self.others not in (Merge.MOST_COMMON, Merge.FIRST, Merge.LAST):
            raise ValueError(f"what is no number has no {self.others.value}")
        if self.empty_others in (Gap.LINEAR, Gap.NEAREST):
            raise ValueError("only numbers are interpolated")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Methods go by pandas' names."""
        block = chosen(parameters, choice)
        series = of_series(block)
        down, up = block.get("downsample") or {}, block.get("upsample") or {}
        settings: dict[str, Any] = {
            "by": series["by"],
            "time": series["time"],
            **frequency_of(block),
            "numbers": _merge(down.get("numeric"), "mean"),
            "others": _merge(down.get("non_numeric"), "most common"),
            "empty_numbers": _gap(up.get("numeric"), "linear"),
            "empty_others": _gap(up.get("non_numeric"), "ffill"),
        }
        return cls(**settings)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [
            Call.of(
                resample_series,
                by=list(self.by),
                time=self.time,
                unit=self.unit,
                quantity=self.quantity,
                numbers=self.numbers.value,
                others=self.others.value,
                empty_numbers=self.empty_numbers.value,
                empty_others=self.empty_others.value,
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows that are in no step."""
        return {
            f"rows have no {self.time} and are left out": at(self.time).cast("timestamp").isNull()
        }

    def sentence(self) -> str:
        """One sentence."""
        unit = self.unit.partition("_")[0]
        step = unit if self.quantity == 1 else f"{self.quantity} {unit}s"
        words = f"numbers by their {self.numbers.value}, gaps {self.empty_numbers.value}"
        return f"Bring the series{said_of(self.by)} to one row each {step} of {self.time}: {words}"


def frequency_of(block: Mapping[str, Value]) -> dict[str, Any]:
    """Unit and quantity of a frequency.

    Raises:
        NotImplementedError: A unit that is not there, such as business days.
    """
    frequency = block.get("frequency") or {}
    text = str(frequency.get("offset_description") or "").lower()
    unit = _UNITS.get(text) or _UNITS.get(text.removesuffix("ly")) or _UNITS.get(text.rstrip("s"))
    if unit is None:
        raise NotImplementedError(f"steps of {text!r} are not done")
    return {"unit": unit, "quantity": frequency.get("quantity") or 1}


def _merge(name: Value, default: str) -> str:
    text = str(name or default).lower().replace(" ", "_")
    if text not in {one.value for one in Merge}:
        raise NotImplementedError(f"values of one step by {text!r} are not done")
    return text


def _gap(name: Value, default: str) -> Gap:
    text = str(name or default).lower()
    known = {**_GAPS, "linear": Gap.LINEAR, "nearest": Gap.NEAREST}
    if text not in known:
        raise NotImplementedError(f"empty steps by {text!r} are not done")
    return known[text]


STEPS: tuple[type[Step], ...] = (Resample,)
