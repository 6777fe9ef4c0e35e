"""Missing values: impute, fill, flag, drop (facts: wrangler, 1.2 and 4).

Missing is null, blank text, and NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from math import isfinite
from typing import Annotated, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, is_missing, kind, put
from penstock.wrangle.operators.counting import counts, is_number, number
from penstock.wrangle.step import (
    Names,
    Stale,
    Step,
    check_columns,
    chosen,
    listed,
    names,
    output_names,
)

_MEDIAN_ERROR = 0.001  # that of Spark's Imputer
_BLOCK = "impute_parameters"


def fill_missing(
    frame: DataFrame,
    columns: dict[str, str],
    values: dict[str, str | float],
    *,
    double: bool = False,
) -> DataFrame:
    """Missing values become the column's value, cast to its type; into the column named.

    ``double`` makes all of them double.
    """
    made = {}
    for column, output in columns.items():
        type_name = "double" if double else kind(frame, column)
        value, whole = fn.lit(values[column]).cast(type_name), at(column).cast(type_name)
        # Where one mention of the column will do: Spark writes out the steps before for each.
        if kind(frame, column) == "string":
            made[output] = fn.when(is_missing(frame, column), value).otherwise(whole)
        elif type_name in ("double", "float"):
            made[output] = fn.coalesce(fn.nanvl(whole, value), value)
        else:
            made[output] = fn.coalesce(whole, value)
    return put(frame, made)


def flag_missing(frame: DataFrame, columns: dict[str, str]) -> DataFrame:
    """Whether a value is missing, as boolean, into the column named."""
    return put(frame, {output: is_missing(frame, one) for one, output in columns.items()})


def drop_missing(frame: DataFrame, columns: list[str]) -> DataFrame:
    """Rows without a missing value in these columns; in any, where none is named."""
    first, *rest = columns or frame.columns
    incomplete = is_missing(frame, first)
    for column in rest:
        incomplete |= is_missing(frame, column)
    return frame.where(~incomplete)


class Strategy(Enum):
    """What fills a gap."""

    MEAN = "mean"
    MEDIAN = "median"
    MODE = "mode"


_STRATEGIES = {"Mean": Strategy.MEAN, "Approximate Median": Strategy.MEDIAN}


class Impute(Step):
    """Fill missing values with what the others say.

    Args:
        columns: Which.
        strategy: ``mean`` or ``median`` of numbers (a whole number stays one: 2.33 becomes 2);
            ``mode``, the most frequent value; of several as frequent the first in order of text.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "impute"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("handle_missing", "Impute"),)
    fits: ClassVar[bool] = True

    columns: Names
    strategy: Strategy = Strategy.MEDIAN
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``column_type`` names a block within the block."""
        block = chosen(parameters, choice)
        numeric = block.get("column_type", "Numeric") == "Numeric"
        own = {**block, **chosen(block, str(block.get("column_type", "Numeric")))}
        strategy = _STRATEGIES[own.get("strategy", "Approximate Median")]
        return cls(
            columns=names(own.get("input_column")),
            strategy=strategy if numeric else Strategy.MODE,
            output=own.get("output_column", ""),
        )

    def fit(self, frame: DataFrame) -> State:
        """A value by column, null where there is none to learn from. One job."""
        check_columns(self.kind, self.columns, frame.columns)
        if self.strategy is Strategy.MODE:
            found = counts(frame, self.columns)
            return {"values": {one: next(iter(found[one]), None) for one in self.columns}}
        text = [one for one in self.columns if not is_number(frame, one)]
        if text:
            raise UsageError(
                f"{self.kind}: {listed(text)} holds no numbers, and has no {self.strategy.value}",
                "Parse it as a number before, or take the strategy 'mode'",
            )
        places = [f"c{n}" for n in range(len(self.columns))]
        values = frame.select(
            *[number(one).alias(place) for one, place in zip(self.columns, places, strict=True)]
        )
        if self.strategy is Strategy.MEDIAN:
            found_at = values.approxQuantile(places, [0.5], _MEDIAN_ERROR)
            figures = [one[0] if one else None for one in found_at]
        else:
            figures = list(values.agg(*[fn.mean(one) for one in places]).collect()[0])
        return {"values": dict(zip(self.columns, figures, strict=True))}

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """A model of Spark's for all columns; ``impute_value`` of old flows makes doubles."""
        numeric = self.strategy is not Strategy.MODE
        kind_of = "numeric_parameters" if numeric else "categorical_parameters"
        written = chosen(chosen(parameters, "Impute"), "Numeric") if numeric else {}
        block = trained.get(_BLOCK)
        if isinstance(block, Mapping):
            block = block.get(kind_of) or block
        hashed = {"strategy": written.get("strategy")} if numeric else {}
        if isinstance(block, Mapping) and block.get("imputer_model"):
            stored_state.check_hash(block, hashed)
            row = stored_state.model(block["imputer_model"]).rows[0]
            return {"values": _known({one: row.get(one) for one in self.columns})}
        own = stored_state.per_column(block, self.columns)
        for one in own.values():
            stored_state.check_hash(one, hashed)
        return {
            "values": _known({name: one.get("impute_value") for name, one in own.items()}),
            "double": numeric,
        }

    def calls(self, state: State) -> list[Call]:
        """One call for all columns; one without any value stays as it is."""
        known = {one: value for one, value in state["values"].items() if value is not None}
        outputs = output_names(self.columns, self.output)
        settings = {"double": True} if state.get("double") else {}
        columns = {one: outputs[one] for one in self.columns if one in known}
        return [Call.of(fill_missing, columns=columns, values=known, **settings)] if known else []

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Columns where there was nothing to learn."""
        return {
            f"values of {one} stay missing: there was none to learn from": is_missing(frame, one)
            for one in self.columns
            if state["values"][one] is None
        }

    def sentence(self) -> str:
        """One sentence."""
        return f"Fill missing values of {listed(self.columns)} with their {self.strategy.value}"


def _known(found: Mapping[str, Value]) -> Mapping[str, Value]:
    """Zero counts, which Data Wrangler takes for nothing."""
    lacking = [
        name
        for name, one in found.items()
        if one is None or (isinstance(one, float) and not isfinite(one))
    ]
    if lacking:
        raise Stale(f"no value is stored for {listed(lacking)}")
    return found


class FillMissing(Step):
    """Fill missing values with one value.

    Args:
        columns: Which.
        value: As text; cast to each column's type.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "fill_missing"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("handle_missing", "Fill missing"),)

    columns: Names
    value: Annotated[str, Field(coerce_numbers_to_str=True)]
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        return cls(
            columns=names(block.get("input_column")),
            value=block["fill_value"],
            output=block.get("output_column", ""),
        )

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        values = dict.fromkeys(self.columns, self.value)
        return [
            Call.of(fill_missing, columns=output_names(self.columns, self.output), values=values)
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """A value that is none of the column's type, or not quite."""
        lost = {}
        for column in self.columns:
            type_name = kind(frame, column)
            cast, wanted = fn.lit(self.value).cast(type_name), fn.lit(self.value).cast("double")
            missing = is_missing(frame, column)
            lost[f"values of {column} stay missing: '{self.value}' is no {type_name}"] = (
                missing & cast.isNull()
            )
            if is_number(frame, column):
                text = f"values of {column} become a {type_name} that is not quite {self.value}"
                lost[text] = missing & (cast.cast("double") != wanted)
        return lost

    def sentence(self) -> str:
        """One sentence."""
        return f"Fill missing values of {listed(self.columns)} with {self.value!r}"


class FlagMissing(Step):
    """Say in a column of its own whether a value is missing.

    Args:
        columns: Which.
        output: Column of the result; a prefix with several columns; ``<column>_indicator`` where it
            is empty.
    """

    kind: ClassVar[str] = "flag_missing"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("handle_missing", "Add indicator for missing"),)

    columns: Names
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        return cls(columns=names(block.get("input_column")), output=block.get("output_column", ""))

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        own = {one: f"{one}_indicator" for one in self.columns}
        outputs = output_names(self.columns, self.output) if self.output else own
        return [Call.of(flag_missing, columns=outputs)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Flag missing values of {listed(self.columns)}"


class DropMissing(Step):
    """Leave out rows with missing values.

    Args:
        columns: A row goes if one of these is missing; any column, where none is named.
    """

    kind: ClassVar[str] = "drop_missing"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("handle_missing", "Drop missing"),)

    columns: tuple[str, ...] = ()

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Old flows say ``dimension`` and nest the column in a block of its own."""
        block = chosen(parameters, choice)
        dimension = block.get("dimension")
        if dimension not in (None, "Drop Rows"):
            raise UsageError(f"dimension {dimension!r} is not known: rows can be dropped")
        own = {**block, **chosen(block, str(dimension))}
        return cls(columns=names(own.get("input_column")))

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(drop_missing, columns=list(self.columns))]

    def sentence(self) -> str:
        """One sentence."""
        return f"Drop rows where {listed(self.columns) or 'any column'} is missing"


STEPS: tuple[type[Step], ...] = (Impute, FillMissing, FlagMissing, DropMissing)
