"""Sort, shuffle, filter rows; drop duplicates and empty ones (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, is_missing, keep
from penstock.wrangle.operators.determinism import sql_chances
from penstock.wrangle.operators.formula import Expression
from penstock.wrangle.step import Names, Step, chosen, listed, names

_ALL_ROWS = "it needs all rows at once"


def sort_rows(frame: DataFrame, columns: list[str], descending: list[str]) -> DataFrame:
    """Rows by columns in this order; null comes first, and last in those that are descending."""
    return frame.orderBy(*[at(one).desc() if one in descending else at(one) for one in columns])


def shuffle_rows(frame: DataFrame, seed: int) -> DataFrame:
    """Rows in an order that depends on their values and the seed alone, not on partitions."""
    return frame.orderBy(fn.xxhash64(fn.lit(seed), *[at(one) for one in frame.columns]))


def drop_duplicate_rows(frame: DataFrame) -> DataFrame:
    """One of rows that are equal in all columns."""
    return frame.dropDuplicates()


def keep_newest_rows(frame: DataFrame, columns: list[str], newest_by: str) -> DataFrame:
    """One row for each value of the columns; nulls are one value.

    Args:
        frame: Rows.
        columns: Which make rows the same.
        newest_by: The row that is kept has the greatest value here; null counts as least. Ties,
            and all rows where it is empty, are decided by a hash of the row.
    """
    rank = "_rank_within_duplicates"
    newest = [at(newest_by).desc_nulls_last()] if newest_by else []
    whole = fn.xxhash64(*[at(one) for one in frame.columns])
    same = Window.partitionBy(*[at(one) for one in columns]).orderBy(*newest, whole)
    every = [at(one) for one in frame.columns]
    ranked = frame.select(*every, fn.row_number().over(same).alias(rank))
    return keep(ranked.where(fn.col(rank) == 1), frame.columns)


def drop_empty_rows(frame: DataFrame) -> DataFrame:
    """Without rows that have no value at all: null, blank text or NaN in every column."""
    empty = fn.expr("true")
    for one in frame.columns:
        empty = empty & is_missing(frame, one)
    return frame.where(~empty)


def filter_rows(frame: DataFrame, condition: str) -> DataFrame:
    """Rows for which an expression of Spark SQL is true; not those where it is null."""
    return frame.where(fn.expr(condition))


class SortRows(Step):
    """Sort rows.

    Args:
        columns: By which, in order; null comes first.
        descending: Those of them that are descending; null comes last.
    """

    kind: ClassVar[str] = "sort_rows"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_rows", "Sort"),)
    waits_for: ClassVar[str] = _ALL_ROWS

    columns: Names
    descending: tuple[str, ...] = ()

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """A list of conditions (newer), or one column with its order."""
        block = chosen(parameters, choice)
        found = [
            (column, str(one.get("order", "Ascending")))
            for one in block.get("conditions") or [block]
            for column in names(one.get("sort_by", one.get("column", "")))
        ]
        falling = tuple(column for column, order in found if order.lower().startswith("desc"))
        return cls(columns=tuple(column for column, _ in found), descending=falling)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        given = {"columns": list(self.columns), "descending": list(self.descending)}
        return [Call.of(sort_rows, **given)]

    def sentence(self) -> str:
        """One sentence."""
        said = [f"{one} (falling)" if one in self.descending else one for one in self.columns]
        return f"Sort by {listed(said)}"


class ShuffleRows(Step):
    """Shuffle rows.

    Args:
        seed: Another gives another order. Data Wrangler has none: each of its runs differs.
    """

    kind: ClassVar[str] = "shuffle_rows"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_rows", "Shuffle"),)
    waits_for: ClassVar[str] = _ALL_ROWS

    seed: int = 0

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """There are no parameters."""
        return cls()

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(shuffle_rows, seed=self.seed)]

    def sentence(self) -> str:
        """One sentence."""
        return "Shuffle the rows"


class DropDuplicates(Step):
    """Drop duplicate rows.

    Args:
        columns: Which make rows the same; all where there are none.
        newest_by: With columns: the row that is kept has the greatest value in this one.
    """

    kind: ClassVar[str] = "drop_duplicates"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_rows", "Drop duplicates"),)
    waits_for: ClassVar[str] = _ALL_ROWS

    columns: tuple[str, ...] = ()
    newest_by: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Whole rows."""
        return cls()

    def calls(self, state: State) -> list[Call]:
        """One call."""
        if not self.columns:
            return [Call.of(drop_duplicate_rows)]
        columns = list(self.columns)
        return [Call.of(keep_newest_rows, columns=columns, newest_by=self.newest_by)]

    def cautions(self) -> tuple[str, ...]:
        """Which of several rows is kept."""
        if self.columns and not self.newest_by:
            said = f"of rows with the same {listed(self.columns)} any one is kept: say newest_by"
            return (said,)
        return ()

    def sentence(self) -> str:
        """One sentence."""
        if not self.columns:
            return "Drop duplicate rows"
        newest = f", keep the newest by {self.newest_by}" if self.newest_by else ""
        return f"Drop rows with the same {listed(self.columns)}{newest}"


class DropEmpty(Step):
    """Drop rows without any value."""

    kind: ClassVar[str] = "drop_empty_rows"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_rows", "Drop empty"),)

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """There are no parameters."""
        return cls()

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(drop_empty_rows)]

    def sentence(self) -> str:
        """One sentence."""
        return "Drop rows without any value"


class FilterRows(Step):
    """Keep rows.

    Args:
        where: Expression of Spark SQL; rows are kept for which it is true.
    """

    # 'Filter' of new .flow files was never seen: its parameters are not known, so none is read.
    kind: ClassVar[str] = "filter_rows"

    where: Expression

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(filter_rows, condition=self.where)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows for which the condition is null."""
        return {f"rows are dropped, for {self.where} is null": fn.expr(self.where).isNull()}

    def cautions(self) -> tuple[str, ...]:
        """What it takes from the clock or from chance."""
        return sql_chances(self.where)

    def sentence(self) -> str:
        """One sentence."""
        return f"Keep rows where {self.where}"


STEPS: tuple[type[Step], ...] = (
    SortRows,
    ShuffleRows,
    DropDuplicates,
    DropEmpty,
    FilterRows,
)
