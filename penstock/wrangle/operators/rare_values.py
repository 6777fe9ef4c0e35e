"""Rare values become one (facts: wrangler, 1.2 and 4, 'Rare')."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.operators.counting import occurrences
from penstock.wrangle.step import (
    Names,
    Share,
    Stale,
    Step,
    check_columns,
    chosen,
    listed,
    names,
    output_names,
)


def replace_rare(
    frame: DataFrame, columns: dict[str, str], common: dict[str, list[str | None]], value: str
) -> DataFrame:
    """Values that are not common become ``value``, as text; null too, unless null is common."""
    made = {}
    for column, output in columns.items():
        text = at(column).cast("string")
        kept = text.isin([one for one in common[column] if one is not None])
        if None in common[column]:
            kept |= text.isNull()
        made[output] = fn.when(kept, text).otherwise(value)
    return put(frame, made)


_RARE = "replace_rare_values_parameters"


class ReplaceRare(Step):
    """Replace values that are rare by one text.

    A value is common if it occurs more often than the greater of the two thresholds.

    Args:
        columns: Which. The result is text.
        value: What rare values become; null too, unless null is common.
        absolute_threshold: So many rows.
        fraction_threshold: This share of all rows.
        most: How many values are common at most, the most frequent; of several as frequent the
            first in order of text. 0: no limit.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "replace_rare"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("handle_outliers", "Replace rare values"),)
    fits: ClassVar[bool] = True

    columns: Names
    value: str = "other"
    absolute_threshold: Annotated[int, Field(ge=0)] = 0
    fraction_threshold: Share = 0.0
    most: Annotated[int, Field(ge=0)] = 0
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        renamed = {"replacement_string": "value", "max_common_categories": "most"}
        same = ("absolute_threshold", "fraction_threshold")
        found = {renamed.get(key, key): block[key] for key in (*renamed, *same) if key in block}
        return cls(
            columns=names(block.get("input_column")),
            output=block.get("output_column", ""),
            **found,
        )

    def fit(self, frame: DataFrame) -> State:
        """Common values by column, as text. One job."""
        check_columns(self.kind, self.columns, frame.columns)
        rows = occurrences(frame, [at(one).cast("string") for one in self.columns])
        found: dict[str, list[str | None]] = {}
        for place, column in enumerate(self.columns):
            own = [(value, count) for at_place, value, count in rows if at_place == place]
            least = max(
                self.fraction_threshold * sum(figure for _, figure in own), self.absolute_threshold
            )
            often = [one for one in own if one[1] > least]
            often.sort(key=lambda one: (-one[1], one[0] is not None, one[0] or ""))
            found[column] = [value for value, _ in often][: self.most or None]
        return found

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """Common values of each column."""
        written = chosen(parameters, "Replace rare values")
        wanted = (
            "replacement_string",
            "absolute_threshold",
            "fraction_threshold",
            "max_common_categories",
        )
        found = {}
        for column, one in stored_state.per_column(trained.get(_RARE) or {}, self.columns).items():
            stored_state.check_hash(one, {key: written.get(key) for key in wanted})
            common = one.get("common_categories")
            if not isinstance(common, list):
                raise Stale(f"no common values are stored for {column}")
            found[column] = [_text(value) for value in common]
        return found

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        return [
            Call.of(
                replace_rare,
                columns=output_names(self.columns, self.output),
                common={one: state[one] for one in self.columns},
                value=self.value,
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Gaps that are gaps no longer."""
        return {
            f"missing values of {one} become {self.value!r} as rare values do": at(one).isNull()
            for one in self.columns
            if None not in state[one]
        }

    def sentence(self) -> str:
        """One sentence."""
        return f"Let rare values of {listed(self.columns)} be {self.value!r}"


def _text(value: Value) -> str | None:
    """A value of JSON as Spark's cast to text writes it."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


STEPS: tuple[type[Step], ...] = (ReplaceRare,)
