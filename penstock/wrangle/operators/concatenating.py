"""Put one frame under or beside another (facts: wrangler, 1.2 and 4, 'Concatenate')."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import ClassVar

from pydantic import model_validator
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at
from penstock.wrangle.operators.joining import unlike_names
from penstock.wrangle.step import Step, chosen


def put_under(
    first: DataFrame, second: DataFrame, *, once: bool, indicator: str, values: list[str]
) -> DataFrame:
    """Rows of both, by the names of their columns, which must be the same.

    With ``once``, equal rows are there once; of a row that both have, the indicator names the
    first. The indicator is a column of its own at the end; none where its name is empty.
    """
    names = first.columns
    both = first.withColumn("__from", fn.lit(0)).unionByName(second.withColumn("__from", fn.lit(1)))
    columns = [at(one) for one in names]
    if once:
        both = both.groupBy(*columns).agg(fn.min("__from").alias("__from"))
    if indicator:
        value = fn.when(fn.col("__from") == 0, values[0]).otherwise(values[1])
        columns.append(value.alias(indicator))
    return both.select(*columns)


def put_beside(first: DataFrame, second: DataFrame) -> DataFrame:
    """Columns of both, their rows put together in the order they are read; the rest is null."""
    place = Window.orderBy("__read")
    sides = []
    for frame, letter in ((first, "l"), (second, "r")):
        numbered = frame.toDF(*[f"{letter}{n}" for n in range(len(frame.columns))])
        read = numbered.withColumn("__read", fn.monotonically_increasing_id())
        sides.append(read.withColumn("__place", fn.row_number().over(place)).drop("__read"))
    beside = sides[0].join(sides[1], "__place", "full").orderBy("__place").drop("__place")
    return beside.toDF(*unlike_names([*first.columns, *second.columns]))


class Along(Enum):
    """Where the second frame goes."""

    ROWS = "rows"
    COLUMNS = "columns"


class ConcatenateDatasets(Step):
    """Put the second frame under the first, or beside it.

    Args:
        along: 'rows' puts it under: both must have the same columns. 'columns' puts it beside.
        distinct: Of rows: whether equal rows are kept once.
        indicator: Of rows: a column that says where a row came from; none where it is empty.
        first: What the indicator says of the first frame's rows.
        second: What it says of the second's.
    """

    kind: ClassVar[str] = "concatenate_datasets"
    #: Not observed in public flows: named by the rule, after the function that exports show.
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("concatenate_datasets", ""),
        ("concatenate_datasets", "row_wise"),
        ("concatenate_datasets", "column_wise"),
    )
    takes: ClassVar[int] = 2
    waits_for: ClassVar[str] = "it reads a second data set"

    along: Along = Along.ROWS
    distinct: bool = False
    indicator: str = ""
    first: str = "df1"
    second: str = "df2"

    @model_validator(mode="after")
    def _of_rows(self) -> ConcatenateDatasets:
        if self.along is Along.COLUMNS and (self.distinct or self.indicator):
            raise ValueError("distinct and indicator are of rows, not of columns")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings stand in the choice's block, or beside it."""
        if choice == "column_wise":
            return cls(along=Along.COLUMNS)
        block = chosen(parameters, choice) or parameters
        settings = {
            "distinct": block.get("apply_dedupe"),
            "indicator": block.get("indicator_col_name"),
            "first": block.get("df1_indicator"),
            "second": block.get("df2_indicator"),
        }
        return cls(**{key: value for key, value in settings.items() if value is not None})

    def calls(self, state: State) -> list[Call]:
        """One call."""
        if self.along is Along.COLUMNS:
            return [Call.of(put_beside)]
        return [
            Call.of(
                put_under,
                once=self.distinct,
                indicator=self.indicator,
                values=[self.first, self.second],
            )
        ]

    def cautions(self) -> Sequence[str]:
        """Rows have no order that lasts."""
        if self.along is Along.ROWS:
            return ()
        return ["rows are put together as they are read, in one task: better join by a key"]

    def sentence(self) -> str:
        """One sentence."""
        if self.along is Along.COLUMNS:
            return "Put the columns of the second beside those of the first, row by row"
        once = ", each row once" if self.distinct else ""
        told = f"; {self.indicator} says which it came from" if self.indicator else ""
        return f"Put the rows of the second under those of the first{once}{told}"


STEPS: tuple[type[Step], ...] = (ConcatenateDatasets,)
