"""Flatten structures into columns, and explode arrays into rows (facts: wrangler, 1.2 and 4).

The identifiers and parameters of both were not observed in any flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn
from pyspark.sql.types import StructType

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind, put
from penstock.wrangle.step import Step, check_columns, names


def flatten_structure(
    frame: DataFrame, column: str, keys: list[str], schema: str, output: str
) -> DataFrame:
    """Keys of a structure, or of a JSON text, as columns ``<output>_<key>``.

    Args:
        frame: Rows.
        column: Which.
        keys: Those of the first level, in order.
        schema: Of JSON text, in Spark's words; empty where the column is a structure.
        output: Prefix of the names.
    """
    whole = fn.from_json(at(column), schema) if schema else at(column)
    return put(frame, {f"{output}_{key}": whole.getField(key) for key in keys})


def explode_array(frame: DataFrame, column: str, output: str, *, keep_empty: bool) -> DataFrame:
    """A row for each element of an array, which comes in a column at the end.

    Args:
        frame: Rows.
        column: Which.
        output: Column of the elements.
        keep_empty: Whether a row without elements stays, with null; else it is dropped.
    """
    explode = fn.explode_outer if keep_empty else fn.explode
    return put(frame, {output: explode(at(column))})


class FlattenStructure(Step):
    """Flatten the first level of a structure, or of JSON text, into columns.

    Args:
        column: Which.
        output: Prefix of their names; the column's where it is empty.
    """

    kind: ClassVar[str] = "flatten_structure"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("flatten_structured", ""),  # by the rule of names; not observed
    )
    fits: ClassVar[bool] = True

    column: str
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The usual names."""
        column = names(parameters["input_column"])[0]
        return cls(column=column, output=parameters.get("output_column") or "")

    def fit(self, frame: DataFrame) -> State:
        """The keys; of JSON text those of all rows, with types that fit all of them."""
        check_columns(self.kind, [self.column], frame.columns)
        if kind(frame, self.column) == "string":
            return _keys_of_json(frame, self.column)
        found = frame.schema[self.column].dataType
        if not isinstance(found, StructType):
            raise UsageError(
                f"{self.kind}: {self.column} is {found.simpleString()}: no structure, no JSON text"
            )
        return {"keys": found.names, "schema": ""}

    def calls(self, state: State) -> list[Call]:
        """One call."""
        output = self.output or self.column
        return [Call.of(flatten_structure, column=self.column, output=output, **state)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Texts that are no JSON."""
        if not state["schema"]:
            return {}
        whole = fn.from_json(at(self.column), state["schema"], {"mode": "PERMISSIVE"})
        fields = [whole.getField(key).isNull() for key in state["keys"]]
        empty = fields[0] if fields else fn.expr("true")
        for one in fields[1:]:
            empty = empty & one
        return {f"texts of {self.column} give no value": at(self.column).isNotNull() & empty}

    def sentence(self) -> str:
        """One sentence."""
        return f"Flatten {self.column} into columns by its keys"


class ExplodeArray(Step):
    """Make a row of each element of an array.

    Args:
        column: Which.
        output: Column of the elements; ``<column>_flatten`` where it is empty.
        keep_empty: Whether rows without elements stay, with null.
    """

    kind: ClassVar[str] = "explode_array"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("explode_array", ""),  # by the rule of names; not observed
    )

    column: str
    output: str = ""
    keep_empty: bool = False

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The usual names."""
        column = names(parameters["input_column"])[0]
        return cls(column=column, output=parameters.get("output_column") or "")

    def calls(self, state: State) -> list[Call]:
        """One call."""
        output = self.output or f"{self.column}_flatten"
        given = {"column": self.column, "output": output, "keep_empty": self.keep_empty}
        return [Call.of(explode_array, **given)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows that are dropped."""
        if self.keep_empty:
            return {}
        empty = at(self.column).isNull() | (fn.size(at(self.column)) == 0)
        return {f"rows are dropped, for {self.column} has no elements": empty}

    def sentence(self) -> str:
        """One sentence."""
        return f"Make a row of each element of {self.column}"


def _keys_of_json(frame: DataFrame, column: str) -> State:
    """Keys of all texts, sorted as Spark sorts them; what is no JSON has none."""
    texts = frame.where(at(column).isNotNull()).select(at(column)).rdd.map(lambda row: row[0])
    found = frame.sparkSession.read.json(texts, mode="DROPMALFORMED").schema
    nested = any("struct" in field.dataType.simpleString() for field in found)
    quoted = [
        f"`{field.name.replace('`', '``')}` {field.dataType.simpleString()}" for field in found
    ]
    # Spark's short words do not quote names within structures; its JSON does.
    return {"keys": found.names, "schema": found.json() if nested else ", ".join(quoted)}


STEPS: tuple[type[Step], ...] = (FlattenStructure, ExplodeArray)
