"""Group rows and aggregate them: ours; Data Wrangler's users write code (facts: wrangler, 1.2)."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State
from penstock.wrangle.columns import at
from penstock.wrangle.step import Step, listed


def group_rows(frame: DataFrame, keys: list[str], aggregates: list[dict[str, str]]) -> DataFrame:
    """One row for each value of the keys, null among them; one row of all where there are none.

    Missing values do not count; NaN is a number, and greatest, as in Spark.
    """
    columns = [
        aggregate_of(one["function"], one["column"], one["order"]).alias(one["output"])
        for one in aggregates
    ]
    return frame.groupBy(*[at(one).alias(one) for one in keys]).agg(*columns)


def aggregate_of(function: str, column: str, order: str) -> Column:
    """One aggregate of a group; where the order is equal, first is the least, last the greatest."""
    if function == "rows":
        return fn.count(fn.lit(1))
    value = at(column)
    if function in ("first", "last"):
        there = value.isNotNull() & at(order).isNotNull()
        pair = fn.when(there, fn.struct(at(order).alias("by"), value.alias("value")))
        return (fn.min(pair) if function == "first" else fn.max(pair))["value"]
    known = {
        "count": fn.count,
        "distinct": fn.count_distinct,
        "sum": fn.sum,
        "mean": fn.avg,
        "min": fn.min,
        "max": fn.max,
        "median": fn.median,
        "stddev": fn.stddev,
        "variance": fn.variance,
    }
    return known[function](value)


class Function(Enum):
    """What to make of a group's values."""

    ROWS = "rows"
    COUNT = "count"
    DISTINCT = "distinct"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    STDDEV = "stddev"
    VARIANCE = "variance"
    FIRST = "first"
    LAST = "last"


class Aggregate(BaseModel):
    """One column of the result.

    Args:
        function: 'rows' counts rows, 'count' values that are not null; deviation and variance are
            of a sample; 'first' and 'last' are by ``order``, of values that are not null.
        column: Of what; 'rows' has none.
        order: Of first and last: the column that orders.
        output: Name of the result, ``<column>_<function>`` by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    function: Function
    column: str = ""
    order: str = ""
    output: str = ""

    @model_validator(mode="after")
    def _of_a_column(self) -> Aggregate:
        if bool(self.column) == (self.function is Function.ROWS):
            raise ValueError("'rows' has no column; all others need one")
        if bool(self.order) != (self.function in (Function.FIRST, Function.LAST)):
            raise ValueError("'first' and 'last' need an order; no others have one")
        return self

    @property
    def name(self) -> str:
        """Of the result."""
        return self.output or "_".join(filter(None, (self.column, self.function.value)))


class Group(Step):
    """Group rows and aggregate each group.

    Args:
        by: The keys; none makes one row of all.
        aggregates: What to make of each group.
    """

    kind: ClassVar[str] = "group"
    waits_for: ClassVar[str] = "a group is whole when all rows are there"

    by: tuple[str, ...] = ()
    aggregates: Annotated[tuple[Aggregate, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _told_apart(self) -> Group:
        names = [*self.by, *[one.name for one in self.aggregates]]
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            raise ValueError(f"two columns are called {', '.join(twice)}")
        return self

    def calls(self, state: State) -> list[Call]:
        """One call."""
        aggregates = [
            {
                "function": one.function.value,
                "column": one.column,
                "output": one.name,
                "order": one.order,
            }
            for one in self.aggregates
        ]
        return [Call.of(group_rows, keys=list(self.by), aggregates=aggregates)]

    def sentence(self) -> str:
        """One sentence."""
        made = listed([one.name for one in self.aggregates])
        return f"Group by {listed(self.by)}: {made}" if self.by else f"Aggregate all rows: {made}"


STEPS: tuple[type[Step], ...] = (Group,)
