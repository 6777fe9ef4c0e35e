"""Split rows in their order (facts: wrangler, 1.2 and 4, 'Split')."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind
from penstock.wrangle.operators.splitting import Parted, is_part, quantiles, settings_of
from penstock.wrangle.rows import row_share
from penstock.wrangle.step import Share, Step, check_columns, chosen, names


def part_by_value(
    frame: DataFrame, column: str, seed: int, bounds: list[list[float]], part: int
) -> DataFrame:
    """Rows by the order of a column, the hash of the row where values are equal; null is least."""
    value, share = order_of(frame, column), row_share(frame, [], seed)
    above = [
        ((value > bound[0]) | ((value == bound[0]) & (share > bound[1]))).cast("int")
        for bound in bounds
    ]
    return frame.where(sum(above, fn.lit(0)) == part)


def part_by_place(frame: DataFrame, bounds: list[int], part: int) -> DataFrame:
    """Rows by their place in the order they are read; the first is 1."""
    read = frame.withColumn("__read", fn.monotonically_increasing_id())
    placed = read.withColumn("__place", fn.row_number().over(Window.orderBy("__read")))
    found = placed.where(is_part(fn.col("__place"), [float(one) for one in bounds], part))
    return found.orderBy("__read").drop("__read", "__place")


def order_of(frame: DataFrame, column: str) -> Column:
    """A column's order as double: null least, NaN greatest; days and instants since 1970."""
    type_name, value = kind(frame, column), at(column)
    if type_name == "date":
        value = fn.unix_date(value)
    elif type_name.startswith("timestamp"):
        value = fn.unix_micros(value.cast("timestamp"))
    number = value.cast("double")
    greatest = fn.lit(1.7976931348623157e308)
    bounded = fn.least(fn.greatest(number, -greatest), greatest)
    return fn.when(value.isNull(), -greatest).when(fn.isnan(number), greatest).otherwise(bounded)


class SplitInOrder(Parted):
    """Split rows in their order: the first part holds the first of them.

    Args:
        parts: Names of the parts and their shares of the rows, which add up to 1.
        column: A column of numbers, days or instants that orders them; null is first. Without one,
            the order they are read in.
        split_ties: Whether rows of one value may be in two parts, so that the shares are met.
        error: How far a share may be off where there is a column; 0.0001 is the finest.
        seed: Decides which of the rows of one value go to which part.
    """

    kind: ClassVar[str] = "split_in_order"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("split", "Ordered split"),)
    fits: ClassVar[bool] = True
    waits_for: ClassVar[str] = "which rows are first is known when all are there"

    column: str = ""
    split_ties: bool = False
    error: Share = 0.0005

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """As of the other splits."""
        block = chosen(parameters, choice)
        column, *_ = (*names(block.get("input_column")), "")
        ties = bool(block.get("handle_duplicates", False))
        return cls(column=column, split_ties=ties, **settings_of(block))

    def fit(self, frame: DataFrame) -> State:
        """The bounds of the parts: values, and of their ties the share that is below."""
        if not self.column:
            count = frame.count()
            return {"bounds": [round(one * count) for one in self.ends]}
        check_columns(self.kind, [self.column], frame.columns)
        type_name = kind(frame, self.column)
        if type_name in ("string", "binary") or "<" in type_name:
            raise UsageError(
                f"split: {self.column!r} is {type_name}, which has no order here",
                "Order by numbers, days or instants",
            )
        rows = frame.select(
            order_of(frame, self.column).alias("value"),
            row_share(frame, [], self.seed).alias("share"),
        )
        values = quantiles(rows, "value", self.ends, self.error)
        if not self.split_ties:
            return {"bounds": [[one, 1.0] for one in values]}
        counts = [
            fn.count(fn.when(condition, 1))
            for one in values
            for condition in (fn.col("value") < one, fn.col("value") == one)
        ]
        total, *found = rows.agg(fn.count(fn.lit(1)), *counts).collect()[0]
        bounds = []
        for n, value in enumerate(values):
            below, equal = found[2 * n : 2 * n + 2]
            wanted = (self.ends[n] * total - below) / equal if equal else 1.0
            bounds.append([value, self._share_of_ties(rows, value, wanted)])
        return {"bounds": bounds}

    def _share_of_ties(self, rows: DataFrame, value: float, wanted: float) -> float:
        """Up to which hash the rows of one value are below a bound."""
        if wanted <= 0:
            return -1.0
        if wanted >= 1:
            return 1.0
        return quantiles(rows.where(fn.col("value") == value), "share", [wanted], self.error)[0]

    def calls_of(self, output: str, state: State) -> list[Call]:
        """One call."""
        part = self.outputs.index(output)
        if not self.column:
            return [Call.of(part_by_place, bounds=state["bounds"], part=part)]
        return [
            Call.of(
                part_by_value,
                column=self.column,
                seed=self.seed,
                bounds=state["bounds"],
                part=part,
            )
        ]

    def cautions(self) -> Sequence[str]:
        """Rows have no order that lasts."""
        if self.column:
            return []
        return ["the order of rows is that of the files as they are read: name a column instead"]

    def sentence(self) -> str:
        """One sentence."""
        return f"Split in the order of {self.column or 'the rows'} into {self.told}"


STEPS: tuple[type[Step], ...] = (SplitInOrder,)
