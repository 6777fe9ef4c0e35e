"""Series as arrays: gathered from rows, and brought to one length (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind, put
from penstock.wrangle.rows import row_hash
from penstock.wrangle.series import instant_of, of_series
from penstock.wrangle.step import Names, Share, Step, check_columns, chosen, listed, names


def gather_series(
    frame: DataFrame, *, by: list[str], time: str, columns: list[str], start: str, end: str
) -> DataFrame:
    """One row a series: columns as arrays in time, missing values among them, and its two ends.

    ``columns`` may be empty: all but the ids and the time. Ends are left out where unnamed.
    """
    wanted = columns or [one for one in frame.columns if one not in (*by, time)]
    values = [at(one).alias(f"v{n}") for n, one in enumerate(wanted)]
    row = fn.struct(
        instant_of(frame, time).alias("instant"), row_hash(frame, [], 0).alias("hash"), *values
    )
    keys = [at(one).alias(one) for one in by]
    ordered = fn.array_sort(fn.collect_list(row))
    gathered = frame.groupBy(*keys).agg(ordered.alias("__rows"))
    rows = fn.col("__rows")
    made = [rows[f"v{n}"].alias(name) for n, name in enumerate(wanted)]
    limits = {start: fn.array_min(rows["instant"]), end: fn.array_max(rows["instant"])}
    ends = [value.alias(name) for name, value in limits.items() if name]
    return gathered.select(*[at(one) for one in by], *made, *ends)


def level_lengths(frame: DataFrame, *, column: str, length: int, output: str) -> DataFrame:
    """Arrays cut, or filled up, to one length: with NaN where they hold doubles, else with null."""
    full = fn.concat(at(column), fn.array_repeat(nothing_in(frame, column), length))
    return put(frame, {output: fn.slice(full, 1, length)})


def flatten_lengths(frame: DataFrame, *, column: str, outputs: list[str]) -> DataFrame:
    """Each place of the arrays as a column; what is missing as above, null of a null array."""
    array, nothing = at(column), nothing_in(frame, column)
    places = {}
    for n, name in enumerate(outputs):
        held = fn.when(fn.size(array) > n, fn.get(array, fn.lit(n))).otherwise(nothing)
        places[name] = fn.when(array.isNotNull(), held)
    return put(frame, places)


def nothing_in(frame: DataFrame, column: str) -> Column:
    """What fills up an array: NaN or null, of the type it holds."""
    element = kind(frame, column).removeprefix("array<").removesuffix(">")
    return fn.lit(float("nan") if element in ("double", "float") else None).cast(element)


class GatherSeries(Step):
    """Gather the rows of each series into one, its columns as arrays in time.

    Args:
        by: The columns that tell series apart.
        time: The column that orders a series.
        columns: Which columns become arrays; all others by default. What is neither is dropped.
        ends: Whether the first and the last time are added.
    """

    kind: ClassVar[str] = "gather_series"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Group by"),)
    waits_for: ClassVar[str] = "a series is known when all its rows are there"

    by: Names
    time: str
    columns: tuple[str, ...] = ()
    ends: bool = False

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Not observed in public flows: keys as of the other time series operators."""
        block = chosen(parameters, choice)
        series = of_series(block)
        ends = block.get("include_start_timestamp") or block.get("include_end_timestamp")
        settings: dict[str, Any] = {
            "by": series["by"],
            "time": series.get("time", ""),
            "columns": names(block.get("sequence_column")),
            "ends": bool(ends),
        }
        return cls(**settings)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [
            Call.of(
                gather_series,
                by=list(self.by),
                time=self.time,
                columns=list(self.columns),
                start="Start_time" if self.ends else "",
                end="End_time" if self.ends else "",
            )
        ]

    def sentence(self) -> str:
        """One sentence."""
        what = listed(self.columns) if self.columns else "all columns"
        return f"Gather each {listed(self.by)} into one row: {what} as arrays, by {self.time}"


class LevelLengths(Step):
    """Bring arrays to one length, which is learnt: longer ones are cut, shorter ones filled up.

    Args:
        column: A column of arrays.
        quantile: The least length that at least this share of the arrays do not exceed.
        flatten: Whether each place becomes a column, ``<output>_<n>`` from 0 on.
        output: Name of the result; in place by default, where it is not flattened.
    """

    kind: ClassVar[str] = "level_lengths"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Standardize length"),)
    fits: ClassVar[bool] = True

    column: str
    quantile: Annotated[Share, Field(gt=0)] = 1.0
    flatten: bool = False
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Not observed in public flows: keys as of the other time series operators."""
        block = chosen(parameters, choice)
        return cls(
            column=block.get("sequence_column") or "",
            quantile=block.get("cutoff_quantile", 1.0),
            flatten=bool(block.get("flatten", False)),
            output=block.get("output_column") or "",
        )

    def fit(self, frame: DataFrame) -> State:
        """The length; 0 without any array."""
        check_columns(self.kind, [self.column], frame.columns)
        lengths = frame.where(at(self.column).isNotNull()).groupBy(fn.size(at(self.column)))
        counts = sorted((int(one[0]), int(one[1])) for one in lengths.count().collect())
        total, passed = sum(count for _, count in counts), 0
        for length, count in counts:
            passed += count
            if passed >= self.quantile * total:
                return {"length": length}
        return {"length": 0}

    def calls(self, state: State) -> list[Call]:
        """One call."""
        name = self.output or self.column
        length = int(state["length"])
        if self.flatten:
            outputs = [f"{name}_{n}" for n in range(length)]
            return [
                Call.of(flatten_lengths, column=self.column, outputs=outputs),
            ]
        return [Call.of(level_lengths, column=self.column, length=length, output=name)]

    def sentence(self) -> str:
        """One sentence."""
        made = ", a column for each place" if self.flatten else ""
        return f"Bring arrays of {self.column} to the length of {self.quantile:.4g} of them{made}"


STEPS: tuple[type[Step], ...] = (GatherSeries, LevelLengths)
