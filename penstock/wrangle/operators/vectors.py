"""Assemble columns into a vector, and flatten vectors into columns (facts: wrangler, 1.2).

The identifiers and parameters of both were not observed in any flow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind, put
from penstock.wrangle.step import Names, Step, check_columns, chosen, listed, names

_MOST_COLUMNS = 10_000


def assemble_vector(frame: DataFrame, columns: list[str], output: str) -> DataFrame:
    """Numbers and vectors, one after another in a vector; null gives NaN.

    A null vector gives a vector that is shorter by its length.
    """
    from pyspark.ml.functions import array_to_vector

    pieces = [as_numbers(frame, one) for one in columns]
    return put(frame, {output: array_to_vector(fn.concat(*pieces))})


def as_numbers(frame: DataFrame, column: str) -> Column:
    """A number, vector or array as an array of doubles without nulls."""
    from pyspark.ml.functions import vector_to_array

    missing = fn.lit(float("nan"))
    if kind(frame, column) == "vector":
        return fn.coalesce(
            fn.when(at(column).isNotNull(), vector_to_array(at(column))),
            fn.array().cast("array<double>"),
        )
    if kind(frame, column).startswith("array"):
        whole = fn.coalesce(at(column).cast("array<double>"), fn.array().cast("array<double>"))
        return fn.transform(whole, lambda one: fn.coalesce(one, missing))
    return fn.array(fn.coalesce(at(column).cast("double"), missing))


def flatten_vector(frame: DataFrame, column: str, prefix: str, length: int) -> DataFrame:
    """Elements of a vector or array as columns ``<prefix>_0``, ``<prefix>_1``, …, of doubles.

    Args:
        frame: Rows.
        column: Vectors or arrays.
        prefix: Of the names.
        length: How many columns: what is longer is cut, what is shorter gives NaN, as null does.
    """
    values = as_numbers(frame, column)
    missing = fn.lit(float("nan"))
    return put(
        frame,
        {f"{prefix}_{n}": fn.coalesce(fn.get(values, fn.lit(n)), missing) for n in range(length)},
    )


class AssembleVector(Step):
    """Assemble numbers and vectors into one vector.

    Args:
        columns: Which, in order.
        output: Column of the result.
    """

    kind: ClassVar[str] = "assemble_vector"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_vectors", "Assemble"),)

    columns: Names
    output: Annotated[str, Field(min_length=1)]

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The menu's names in their usual spelling."""
        block = chosen(parameters, choice)
        columns = names(block.get("input_columns", block.get("input_column", "")))
        return cls(columns=columns, output=block["output_column"])

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(assemble_vector, columns=list(self.columns), output=self.output)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Assemble {listed(self.columns)} into the vector {self.output}"


class FlattenVector(Step):
    """Flatten a vector or array into columns of numbers.

    Args:
        column: Which.
        length: How many columns; the length of the first vector that is not null where it is 0.
        output: Prefix of their names; the column's where it is empty.
    """

    kind: ClassVar[str] = "flatten_vector"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_vectors", "Flatten"),)
    fits: ClassVar[bool] = True

    column: str
    length: Annotated[int, Field(ge=0, le=_MOST_COLUMNS)] = 0
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The menu's names in their usual spelling."""
        block = chosen(parameters, choice)
        return cls(
            column=names(block["input_column"])[0],
            length=block.get("number_of_outputs", 0),
            output=block.get("output_prefix") or block.get("output_column") or "",
        )

    def fit(self, frame: DataFrame) -> State:
        """The length."""
        check_columns(self.kind, [self.column], frame.columns)
        if self.length:
            return {"length": self.length}
        there = frame.where(at(self.column).isNotNull())
        row = there.select(fn.size(as_numbers(frame, self.column))).first()
        found = int(row[0]) if row is not None else 0
        if found > _MOST_COLUMNS:
            raise UsageError(
                f"{self.kind}: a vector of {self.column} has {found:,} elements: too many columns",
                f"Say how many are wanted with length, at most {_MOST_COLUMNS:,}",
            )
        return {"length": found}

    def calls(self, state: State) -> list[Call]:
        """One call."""
        prefix = self.output or self.column
        given = {"column": self.column, "prefix": prefix, "length": state["length"]}
        return [Call.of(flatten_vector, **given)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Vectors that are cut."""
        longer = fn.size(as_numbers(frame, self.column)) > state["length"]
        return {f"vectors of {self.column} are cut to {state['length']} elements": longer}

    def cautions(self) -> Sequence[str]:
        """That the first vector decides."""
        if self.length:
            return ()
        return (f"{self.column}: the first vector says how many columns there are; say length",)

    def sentence(self) -> str:
        """One sentence."""
        return f"Flatten {self.column} into columns"


STEPS: tuple[type[Step], ...] = (AssembleVector, FlattenVector)
