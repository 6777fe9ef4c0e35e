"""Features of series: over a window that rolls, or of arrays (facts: wrangler, 1.2 and 4).

What each feature is, and its name, is tsfresh's. A window holds the rows before a row and not the
row itself, as AWS's guide says ('Use a Rolling Window'). Values that are missing are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.series import in_time, known_value, of_series, said_of
from penstock.wrangle.step import Step, chosen, listed


def add_rolling_features(
    frame: DataFrame,
    *,
    column: str,
    by: list[str],
    time: str,
    size: int,
    features: dict[str, str],
    array: str,
) -> DataFrame:
    """Features of the last rows before each row, by the name of the result; null before the first.

    With ``array`` they are one column of that name, in the same order.
    """
    before = in_time(frame, by, time).rowsBetween(-size, -1)
    window = fn.collect_list(known_value(frame, column).cast("double")).over(before)
    held = frame.withColumn("__window", window)
    return put_features(held, fn.col("__window"), features, array).drop("__window")


def add_array_features(
    frame: DataFrame, *, column: str, features: dict[str, str], array: str
) -> DataFrame:
    """Features of an array in each row; null where it holds no number."""
    numbers = fn.transform(at(column), lambda one: one.cast("double"))
    values = fn.filter(numbers, lambda one: one.isNotNull() & ~fn.isnan(one))
    return put_features(frame, values, features, array)


def put_features(
    frame: DataFrame, values: Column, features: dict[str, str], array: str
) -> DataFrame:
    """Features by the names of their columns, or all in one array."""
    held, found = fn.size(values) > 0, series_features(values)
    made = {name: fn.when(held, found[one]) for name, one in features.items()}
    return put(frame, {array: fn.when(held, fn.array(*made.values()))} if array else made)


def series_features(values: Column) -> dict[str, Column]:
    """Features of an array of doubles that is not empty, as in tsfresh; deviations are of n."""
    count = fn.size(values).cast("double")
    zero = fn.lit(0.0)
    total = fn.aggregate(values, zero, lambda sum_, one: sum_ + one)
    # A sum's last bit must not put the mean beside values that are all the same.
    mean = fn.greatest(fn.array_min(values), fn.least(fn.array_max(values), total / count))
    ordered = fn.array_sort(values)
    middle = (fn.size(values) - 1) / 2
    steps = fn.transform(
        values, lambda one, n: one - fn.when(n > 0, fn.get(values, n - 1)).otherwise(one)
    )
    squares = fn.aggregate(values, zero, lambda sum_, one: sum_ + one * one)
    spread = fn.aggregate(values, zero, lambda sum_, one: sum_ + (one - mean) * (one - mean))
    change = fn.aggregate(steps, zero, lambda sum_, one: sum_ + fn.abs(one))
    several = fn.when(count > 1, count - 1)
    last = fn.element_at(values, -1) - fn.element_at(values, 1)
    return {
        "sum_values": total,
        "median": (
            fn.get(ordered, fn.floor(middle).cast("int"))
            + fn.get(ordered, fn.ceil(middle).cast("int"))
        )
        / 2,
        "mean": mean,
        "length": count,
        "standard_deviation": fn.sqrt(spread / count),
        "variance": spread / count,
        "maximum": fn.array_max(values),
        "minimum": fn.array_min(values),
        "abs_energy": squares,
        "absolute_maximum": fn.array_max(fn.transform(values, fn.abs)),
        "absolute_sum_of_changes": change,
        "count_above_mean": fn.size(fn.filter(values, lambda one: one > mean)).cast("double"),
        "count_below_mean": fn.size(fn.filter(values, lambda one: one < mean)).cast("double"),
        "mean_abs_change": change / several,
        "mean_change": last / several,
        "root_mean_square": fn.sqrt(squares / count),
    }


class Feature(Enum):
    """A feature, as tsfresh calls it; the first eight are its minimal set, in its order."""

    SUM_VALUES = "sum_values"
    MEDIAN = "median"
    MEAN = "mean"
    LENGTH = "length"
    STANDARD_DEVIATION = "standard_deviation"
    VARIANCE = "variance"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ABS_ENERGY = "abs_energy"
    ABSOLUTE_MAXIMUM = "absolute_maximum"
    ABSOLUTE_SUM_OF_CHANGES = "absolute_sum_of_changes"
    COUNT_ABOVE_MEAN = "count_above_mean"
    COUNT_BELOW_MEAN = "count_below_mean"
    MEAN_ABS_CHANGE = "mean_abs_change"
    MEAN_CHANGE = "mean_change"
    ROOT_MEAN_SQUARE = "root_mean_square"


MINIMAL = tuple(Feature)[:8]


class _Featuring(Step):
    """What both are told.

    Args:
        column: Of what.
        features: Which; the eight of tsfresh's minimal set by default.
        flatten: Whether each is a column of its own, ``<output>__<feature>``; else one array.
        output: Name of the array, ``<column>__features`` by default, or what stands before the
            features, the column's name by default.
    """

    column: str
    features: Annotated[tuple[Feature, ...], Field(min_length=1)] = MINIMAL
    flatten: bool = True
    output: str = ""

    @model_validator(mode="after")
    def _once(self) -> _Featuring:
        if len(set(self.features)) < len(self.features):
            raise ValueError("a feature is there twice")
        return self

    @property
    def arguments(self) -> dict[str, Value]:
        """Of both functions."""
        before = self.output or self.column
        return {
            "column": self.column,
            "features": {f"{before}__{one.value}": one.value for one in self.features},
            "array": "" if self.flatten else self.output or f"{self.column}__features",
        }

    @property
    def said(self) -> str:
        """Which features."""
        return listed([one.value for one in self.features], most=8)


class RollingFeatures(_Featuring):
    """Put beside each row of a series features of the rows before it.

    Args:
        column: Of what.
        time: The column that orders the series.
        by: The columns that tell series apart; all rows are one without any.
        size: How many rows before; near the beginning of a series those there are.
        features: Which; the eight of tsfresh's minimal set by default.
        flatten: Whether each is a column of its own.
        output: As of the features of arrays.
    """

    kind: ClassVar[str] = "rolling_features"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Rolling window features"),)
    waits_for: ClassVar[str] = "a series is known when all its rows are there"

    time: str
    by: tuple[str, ...] = ()
    size: Annotated[int, Field(ge=1, le=100_000)]

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Strategies name sets of features."""
        block = chosen(parameters, choice)
        return cls(**of_series(block), size=block.get("window_size", 1), **_told(block))

    def calls(self, state: State) -> list[Call]:
        """One call."""
        series = {"by": list(self.by), "time": self.time, "size": self.size}
        return [Call.of(add_rolling_features, **series, **self.arguments)]

    def sentence(self) -> str:
        """One sentence."""
        return (
            f"Put beside {self.column}{said_of(self.by)} features of the {self.size} rows before, "
            f"by {self.time}: {self.said}"
        )


class ArrayFeatures(_Featuring):
    """Features of the array in each row.

    Args:
        column: A column of arrays of numbers.
        features: Which; the eight of tsfresh's minimal set by default.
        flatten: Whether each is a column of its own, ``<output>__<feature>``; else one array.
        output: Name of the array, ``<column>__features`` by default, or what stands before the
            features, the column's name by default.
    """

    kind: ClassVar[str] = "array_features"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Extract features"),)

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Strategies name sets of features."""
        block = chosen(parameters, choice)
        return cls(column=block.get("sequence_column", ""), **_told(block))

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(add_array_features, **self.arguments)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Put beside the arrays of {self.column} their features: {self.said}"


def _told(block: Mapping[str, Value]) -> dict[str, Any]:
    """Of both operators' blocks.

    Raises:
        NotImplementedError: A set of features, or one of a manual set, that is not there.
    """
    strategy = str(block.get("strategy") or "Minimal subset")
    found: dict[str, Any] = {
        "flatten": bool(block.get("flatten", False)),
        "output": block.get("output_column") or "",
    }
    if strategy.lower().startswith("minimal"):
        return found
    if not strategy.lower().startswith("manual"):
        raise NotImplementedError(
            f"strategy {strategy!r}: penstock knows the minimal subset and single features"
        )
    # Not observed in public flows: named as blocks of time series are.
    own = chosen(block, f"strategy_{strategy}")
    wanted = [str(one) for one in own.get("features") or block.get("features") or ()]
    known = {one.value for one in Feature}
    lacking = [one for one in wanted if one not in known]
    if lacking or not wanted:
        raise NotImplementedError(f"features that penstock does not know: {listed(lacking)}")
    return {**found, "features": tuple(wanted)}


STEPS: tuple[type[Step], ...] = (ArrayFeatures, RollingFeatures)
