"""Drop, duplicate, rename, move and concatenate columns (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.step import Names, Step, block_name, chosen, listed, names


def drop_columns(frame: DataFrame, columns: list[str]) -> DataFrame:
    """Without these columns."""
    frame.select(*[at(one) for one in columns])  # says which is not there
    return frame.select(*[at(one) for one in frame.columns if one not in columns])


def duplicate_column(frame: DataFrame, column: str, output: str) -> DataFrame:
    """A column once more under another name."""
    return put(frame, {output: at(column)})


def rename_columns(frame: DataFrame, new_names: dict[str, str]) -> DataFrame:
    """Columns under new names, in their places."""
    frame.select(*[at(one) for one in new_names])  # says which is not there
    return frame.select(*[at(one).alias(new_names.get(one, one)) for one in frame.columns])


def move_columns(
    frame: DataFrame, columns: list[str], place: int | None, before: str, after: str
) -> DataFrame:
    """Columns moved together; they keep their order among themselves, as all others do.

    Args:
        frame: Rows.
        columns: Which.
        place: Where, counted from 0 among the columns that are not moved; None for the end.
        before: Or the column they go before.
        after: Or the column they go after.
    """
    frame.select(*[at(one) for one in [*columns, before, after] if one])  # says which is not there
    rest = [one for one in frame.columns if one not in columns]
    moved = [one for one in frame.columns if one in columns]
    if before or after:
        place = rest.index(before) if before else rest.index(after) + 1
    place = len(rest) if place is None else place
    return frame.select(*[at(one) for one in [*rest[:place], *moved, *rest[place:]]])


def join_texts(frame: DataFrame, columns: list[str], delimiter: str, output: str) -> DataFrame:
    """Texts of columns, joined; null is left out, and its delimiter with it."""
    texts = [at(one).cast("string") for one in columns]
    return put(frame, {output: fn.concat_ws(delimiter, *texts)})


class DropColumns(Step):
    """Drop columns.

    Args:
        columns: Which.
    """

    kind: ClassVar[str] = "drop_columns"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_columns", "Drop column"),)

    columns: Names

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """One column or several."""
        return cls(columns=names(chosen(parameters, choice)["column_to_drop"]))

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        return [Call.of(drop_columns, columns=list(self.columns))]

    def sentence(self) -> str:
        """One sentence."""
        return f"Drop {listed(self.columns)}"


class DuplicateColumn(Step):
    """Duplicate a column.

    Args:
        column: Which.
        output: Name of the new one.
    """

    kind: ClassVar[str] = "duplicate_column"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_columns", "Duplicate column"),)

    column: str
    output: str

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Like those of 'Rename column'; the block was not observed."""
        block = chosen(parameters, choice)
        return cls(column=names(block["input_column"])[0], output=block["new_name"])

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(duplicate_column, column=self.column, output=self.output)]

    def sentence(self) -> str:
        """One sentence."""
        return f"Duplicate {self.column} as {self.output}"


class RenameColumns(Step):
    """Rename columns.

    Args:
        columns: New names by the present ones.
    """

    kind: ClassVar[str] = "rename_columns"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_columns", "Rename column"),)

    columns: Annotated[Mapping[str, str], Field(min_length=1)]

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """A list of pairs (newer), then one pair (all flows seen)."""
        block = chosen(parameters, choice)
        pairs: list[Value] = [*(block.get("column_list") or block.get("columns") or []), block]
        return cls(
            columns={
                names(one["input_column"])[0]: one["new_name"]
                for one in pairs
                if one.get("input_column") and one.get("new_name")
            }
        )

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        return [Call.of(rename_columns, new_names=dict(self.columns))]

    def sentence(self) -> str:
        """One sentence."""
        return f"Rename {listed([f'{old} to {new}' for old, new in self.columns.items()])}"


class Place(Enum):
    """Where columns go."""

    START = "start"
    END = "end"
    INDEX = "index"
    BEFORE = "before"
    AFTER = "after"


#: As ``.flow`` files name them; of index, before and after the names follow the menu.
_MOVES = {
    "Move to start": Place.START,
    "Move to end": Place.END,
    "Move to index": Place.INDEX,
    "Move before": Place.BEFORE,
    "Move after": Place.AFTER,
}
_INDEX_KEYS = ("index", "target_index")
_TARGET_KEYS = ("target_column", "column")


class MoveColumns(Step):
    """Move columns.

    Args:
        columns: Which.
        to: Where.
        index: With ``index``: the place, counted from 0 among the columns that are not moved.
        target: With ``before`` and ``after``: the column.
    """

    kind: ClassVar[str] = "move_columns"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_columns", "Move column"),)

    columns: Names
    to: Place
    index: Annotated[int, Field(ge=0)] = 0
    target: str = ""

    @model_validator(mode="after")
    def _elsewhere(self) -> MoveColumns:
        if self.to in (Place.BEFORE, Place.AFTER) and self.target in ("", *self.columns):
            raise ValueError(f"columns go {self.to.value} a column that is not moved itself")
        return self

    @property
    def reads(self) -> tuple[str, ...]:
        """The target too."""
        return (*self.columns, *([self.target] if self.target else []))

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``move_type`` names a block within the block."""
        block = chosen(parameters, choice)
        name = str(block["move_type"])
        own = chosen(block, name)
        if name not in _MOVES:
            raise UsageError(f"move_type {name!r} ({block_name(name)}) is not known")
        return cls(
            columns=names(own["column_to_move"]),
            to=_MOVES[name],
            index=next((own[one] for one in _INDEX_KEYS if one in own), 0),
            target=next((names(own[one])[0] for one in _TARGET_KEYS if one in own), ""),
        )

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        places = {Place.START: 0, Place.INDEX: self.index}
        return [
            Call.of(
                move_columns,
                columns=list(self.columns),
                place=places.get(self.to),
                before=self.target if self.to is Place.BEFORE else "",
                after=self.target if self.to is Place.AFTER else "",
            )
        ]

    def sentence(self) -> str:
        """One sentence."""
        where = {
            Place.START: "to the start",
            Place.END: "to the end",
            Place.INDEX: f"to place {self.index}",
            Place.BEFORE: f"before {self.target}",
            Place.AFTER: f"after {self.target}",
        }
        return f"Move {listed(self.columns)} {where[self.to]}"


class ConcatenateColumns(Step):
    """Join the texts of columns.

    Args:
        columns: Which, in order.
        delimiter: Between them.
        output: Column of the result.
    """

    kind: ClassVar[str] = "concatenate_columns"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("manage_columns", "Concatenate columns"),)

    columns: Names
    delimiter: str = "_"
    output: str

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``left`` and ``right`` as the documentation says; the block was not observed."""
        block = chosen(parameters, choice)
        pair = [
            next(block[key] for key in (f"{one}_column", one) if key in block)
            for one in ("left", "right")
        ]
        return cls(
            columns=tuple(pair),
            delimiter=block.get("delimiter", "_"),
            output=next(block[key] for key in ("output_column", "new_name") if key in block),
        )

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [
            Call.of(
                join_texts,
                columns=list(self.columns),
                delimiter=self.delimiter,
                output=self.output,
            )
        ]

    def cautions(self) -> tuple[str, ...]:
        """Null is left out."""
        return (f"{self.output}: a null is left out, so ('a', null) and (null, 'a') give the same",)

    def sentence(self) -> str:
        """One sentence."""
        return f"Join {listed(self.columns)} with {self.delimiter!r} into {self.output}"


STEPS: tuple[type[Step], ...] = (
    DropColumns,
    DuplicateColumn,
    RenameColumns,
    MoveColumns,
    ConcatenateColumns,
)
