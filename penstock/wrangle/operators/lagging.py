"""Lag features: what a series was before (facts: wrangler, 1.2 and 4, 'Time series').

How Data Wrangler names the columns is not known; ``<column>_lag_<n>`` is our rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.series import in_time, of_series, said_of
from penstock.wrangle.step import Step, chosen


def add_lags(
    frame: DataFrame,
    *,
    column: str,
    by: list[str],
    time: str,
    lags: dict[str, int],
    array: str,
    history: int,
) -> DataFrame:
    """A column's values so many rows before, by the name of the result; null where there is none.

    With ``array`` they are one column of that name, in the same order. Rows with less than
    ``history`` rows before them are dropped.
    """
    order = in_time(frame, by, time)
    past = {name: fn.lag(at(column), lag).over(order) for name, lag in lags.items()}
    made = {array: fn.array(*past.values())} if array else past
    if not history:
        return put(frame, made)
    placed = put(frame, {**made, "__place": fn.row_number().over(order)})
    return placed.where(fn.col("__place") > history).drop("__place")


class Lag(Step):
    """Put beside each row of a series what a column was in rows before.

    Args:
        column: Which.
        time: The column that orders the series.
        by: The columns that tell series apart; all rows are one without any.
        lag: How many rows before.
        window: Whether all lags from 1 on are wanted, not the last alone.
        flatten: Of a window: a column for each lag, not one array of them.
        drop: Whether rows with less than ``lag`` rows before them are dropped.
        output: Name of the result, ``<column>_lag`` by default; ``_<n>`` is put behind it where
            columns are made for lags.
    """

    kind: ClassVar[str] = "lag"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Lag features"),)
    waits_for: ClassVar[str] = "a series is known when all its rows are there"

    column: str
    time: str
    by: tuple[str, ...] = ()
    lag: Annotated[int, Field(ge=1, le=1000)]
    window: bool = False
    flatten: bool = True
    drop: bool = False
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Whether to flatten stands in a block named after the entire window."""
        block = chosen(parameters, choice)
        window = bool(block.get("entire_window", False))
        own = chosen(block, f"entire_window_{window}")
        settings: dict[str, Any] = {
            **of_series(block),
            "lag": block.get("lag", 1),
            "window": window,
            "flatten": bool(own.get("flatten", False)) or not window,
            "drop": bool(block.get("drop_rows", False)),
            "output": block.get("output_column") or "",
        }
        return cls(**settings)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        name = self.output or f"{self.column}_lag"
        lags = range(1, self.lag + 1) if self.window else (self.lag,)
        array = name if self.window and not self.flatten else ""
        return [
            Call.of(
                add_lags,
                column=self.column,
                by=list(self.by),
                time=self.time,
                lags={f"{name}_{one}": one for one in lags},
                array=array,
                history=self.lag if self.drop else 0,
            )
        ]

    def sentence(self) -> str:
        """One sentence."""
        which = f"its last {self.lag} values" if self.window else f"its value {self.lag} rows ago"
        less = "; drop rows that have none" if self.drop else ""
        return f"Put beside {self.column}{said_of(self.by)} {which}, by {self.time}{less}"


STEPS: tuple[type[Step], ...] = (Lag,)
