"""Categories as numbers: ordinal and one-hot (facts: wrangler, 1.2 and 4).

Labels are numbered by how often they occur, the most frequent first, as Spark's StringIndexer
numbers them. A value is invalid if it is missing, or was not there when the step was fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar, Literal

from pydantic import field_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at
from penstock.wrangle.operators.counting import counts
from penstock.wrangle.operators.labels import (
    index_categories,
    keep_known,
    label_of,
    one_hot_columns,
    one_hot_vectors,
    refuse_unknown,
)
from penstock.wrangle.operators.naming import column_names
from penstock.wrangle.step import (
    Names,
    Stale,
    Step,
    check_columns,
    chosen,
    listed,
    names,
    of_vectors,
    output_names,
)


class Invalid(Enum):
    """What becomes of a value without a label."""

    SKIP = "skip"
    ERROR = "error"
    KEEP = "keep"
    NAN = "nan"


_INVALID = {
    "Skip": Invalid.SKIP,
    "Error": Invalid.ERROR,
    "Keep": Invalid.KEEP,
    "Replace with NaN": Invalid.NAN,
}
#: Categories that are numbered from 0 on: an identifier would ask for billions.
_MOST_NUMBERED = 100_000
_ORDINAL, _ONE_HOT = "ordinal_encode_parameters", "one_hot_encode_parameters"


class _Encode(Step):
    """What both encoders have in common: labels, and what to do without one."""

    fits: ClassVar[bool] = True

    columns: Names
    invalid: Invalid
    output: str = ""

    @property
    def _numbered(self) -> bool:
        """Whether values are numbers of categories already."""
        return False

    def _key(self, column: str) -> Column:
        """What is counted to find labels."""
        return label_of(at(column), ordinal=self._numbered)

    def _state(self, labels: Mapping[str, list[str]]) -> State:
        return {"labels": labels}

    def fit(self, frame: DataFrame) -> State:
        """Labels by column. One job.

        Of ``skip``, rows that an earlier column leaves out do not count, as in Data Wrangler.
        """
        check_columns(self.kind, self.columns, frame.columns)
        keys, there = [], fn.lit(1) == 1
        for column in self.columns:
            label = self._key(column)
            keys.append(fn.when(there, label))
            if self.invalid is Invalid.SKIP:
                there &= label.isNotNull()
        found = counts(frame, self.columns, keys)
        return self._state({column: list(one) for column, one in found.items()})

    def _stored(self, trained: Value, hashed: Mapping[str, Value]) -> State:
        labels = {}
        for column, block in stored_state.per_column(trained, self.columns).items():
            stored_state.check_hash(block, hashed)
            found = stored_state.model(block.get("string_indexer_model"))
            if found.kind != "StringIndexerModel" or not found.rows:
                raise Stale(f"no labels are stored for {column}")
            row = found.rows[0]
            labels[column] = list(row["labelsArray"][0] if "labelsArray" in row else row["labels"])
        return self._state(labels)

    def _before(self, state: State) -> list[Call]:
        """What is done about values without a label, before anything else."""
        functions = {Invalid.SKIP: keep_known, Invalid.ERROR: refuse_unknown}
        own = {"labels": state["labels"], "ordinal": self._numbered}
        return [Call.of(one, **own) for what, one in functions.items() if what is self.invalid]

    def _unknown(self, column: str, state: State) -> Column:
        known = label_of(at(column), ordinal=self._numbered).isin(state["labels"][column])
        return ~fn.coalesce(known, fn.lit(0) == 1)

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows left out."""
        if self.invalid is not Invalid.SKIP:
            return {}
        return {
            f"rows go because {one} is missing or no category": self._unknown(one, state)
            for one in self.columns
        }


class Ordinal(_Encode):
    """Number the categories of columns, the most frequent 0.

    Args:
        columns: Which.
        invalid: ``skip`` the row, ``error``, ``keep`` as the number after the last, or ``nan``.
        type: ``double``, as Data Wrangler; ``integer`` gives long, and null for NaN.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "ordinal"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("encode_categorical", "Ordinal encode"),)

    invalid: Invalid = Invalid.NAN
    type: Literal["double", "integer"] = "double"

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        return cls(
            columns=names(block.get("input_column")),
            invalid=_INVALID[block.get("invalid_handling_strategy", "Replace with NaN")],
            output=block.get("output_column", ""),
        )

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """A StringIndexerModel for each column."""
        written = chosen(parameters, "Ordinal encode").get("invalid_handling_strategy")
        return self._stored(trained.get(_ORDINAL), {"invalid_handling_strategy": written})

    def calls(self, state: State) -> list[Call]:
        """Rows are left out or refused, then one call for all columns."""
        return [
            *self._before(state),
            Call.of(
                index_categories,
                columns=output_names(self.columns, self.output),
                labels=state["labels"],
                invalid="keep" if self.invalid is Invalid.KEEP else "nan",
                type_name="double" if self.type == "double" else "bigint",
            ),
        ]

    def cautions(self) -> list[str]:
        """What a cast does to NaN."""
        if self.invalid is not Invalid.NAN or self.type != "double":
            return []
        said = (
            f"missing and new values of {listed(self.columns)} become NaN, which a cast to long "
            "makes 0, the most frequent category; 'type: integer' makes them null"
        )
        return [said]

    def sentence(self) -> str:
        """One sentence."""
        return f"Number the categories of {listed(self.columns)}"


class OneHot(_Encode):
    """A number for each category: 1 where a value is of it, else 0.

    Args:
        columns: Which.
        invalid: ``skip`` the row, ``error``, or ``keep``: zero in all columns; in a vector a place
            of its own after the last.
        drop_last: A vector without its last place.
        style: ``columns``, ``<column>_<category>`` at the end instead of the column, of which none
            may be there; or ``vector``, a sparse one, in place.
        ordinal: The columns hold numbers of categories already.
        type: Of columns: ``double``, as Data Wrangler; ``integer`` gives long.
        safe_names: Of columns: whether names are made ones a feature group accepts. Which label
            has which column is part of the state.
        output: Prefix of the columns, or the vector's name, after which the column stays; with
            several columns ``<output>_<column>``.
    """

    kind: ClassVar[str] = "one_hot"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("encode_categorical", "One-hot encode"),)

    invalid: Invalid = Invalid.KEEP
    drop_last: bool = False
    style: Literal["columns", "vector"] = "columns"
    ordinal: bool = False
    type: Literal["double", "integer"] = "double"
    safe_names: bool = False

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block. The last category is dropped unless it says not to."""
        block = chosen(parameters, choice)
        return cls(
            columns=names(block.get("input_column")),
            invalid=_INVALID[block.get("invalid_handling_strategy", "Keep")],
            drop_last=block.get("drop_last", True),
            style="vector" if block.get("output_style", "Vector") == "Vector" else "columns",
            ordinal=block.get("input_already_ordinal_encoded", False),
            output=block.get("output_column", ""),
        )

    @field_validator("invalid")
    @classmethod
    def _no_nan(cls, given: Invalid) -> Invalid:
        if given is Invalid.NAN:
            raise ValueError("it is 'skip', 'error' or 'keep'")
        return given

    @property
    def _numbered(self) -> bool:
        return self.ordinal

    def _key(self, column: str) -> Column:
        """Blank text is missing, so it has no label."""
        label = super()._key(column)
        return fn.when(fn.trim(label) != "", label)

    @property
    def _outputs(self) -> dict[str, str]:
        return output_names(self.columns, self.output)

    def _state(self, labels: Mapping[str, list[str]]) -> State:
        """Labels, and of columns the name each label's has."""
        if self.ordinal:
            labels = {one: _numbers(one, found) for one, found in labels.items()}
        if self.style == "vector":
            return {"labels": labels}
        pairs = [(one, label) for one in self.columns for label in labels[one]]
        wanted = [f"{self._outputs[column]}_{label}" for column, label in pairs]
        made = column_names(wanted, safe=self.safe_names)
        found: dict[str, dict[str, str]] = {one: {} for one in self.columns}
        for (column, label), name in zip(pairs, made, strict=True):
            found[column][label] = name
        return {"labels": labels, "names": found}

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """A StringIndexerModel for each column; the OneHotEncoderModel beside it says no more."""
        written = chosen(parameters, "One-hot encode")
        hashed = {one: written.get(one) for one in ("invalid_handling_strategy", "drop_last")}
        return self._stored(trained.get(_ONE_HOT), hashed)

    def calls(self, state: State) -> list[Call]:
        """Rows are left out or refused, then one call for all columns."""
        own = self._vectors(state) if self.style == "vector" else self._columns(state)
        return [*self._before(state), own]

    def _vectors(self, state: State) -> Call:
        self._check_places(state)
        return Call.of(
            one_hot_vectors,
            columns=self._outputs,
            labels=state["labels"],
            ordinal=self._numbered,
            invalid=self.invalid is Invalid.KEEP,
            drop_last=self.drop_last,
        )

    def _columns(self, state: State) -> Call:
        made = {one: state["names"][one] for one in self.columns}
        lost = [] if self.invalid is Invalid.KEEP or not self.drop_last else made.values()
        columns = {one: {name: label for label, name in own.items()} for one, own in made.items()}
        return Call.of(
            one_hot_columns,
            columns=columns,
            ordinal=self._numbered,
            type_name="double" if self.type == "double" else "bigint",
            empty=[list(one.values())[-1] for one in lost if one],
            drop=[] if self.output else list(self.columns),
        )

    def _check_places(self, state: State) -> None:
        for column in self.columns:
            places = len(state["labels"][column]) + (self.invalid is Invalid.KEEP)
            if self.drop_last and places <= 1:
                raise UsageError(
                    f"{self.kind}: {column} has no two categories, and the last is dropped",
                    "Set drop_last: false",
                )

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """What is no longer told apart."""
        lost = dict(super().losses(frame, state))
        if self.style == "vector":
            return lost
        for column in self.columns:
            made = state["names"][column]
            if self.invalid is Invalid.KEEP:
                text = f"rows have 0 in all columns of {column}, which is missing or no category"
                lost[text] = self._unknown(column, state)
            elif self.drop_last and made:
                text = f"values of {list(made.values())[-1]} become null, as the last is dropped"
                lost[text] = fn.lit(1) == 1
            lost |= self._renamed(column, made)
        return lost

    def _renamed(self, column: str, made: Mapping[str, str]) -> dict[str, Column]:
        """Labels that differ in capitals only would share a column."""
        own = {} if self.safe_names else made
        return {
            f"rows with {label!r} in {column} have their 1 in {name}, as the column's name "
            "differs from another in capitals only": label_of(at(column), ordinal=self._numbered)
            == label
            for label, name in own.items()
            if name != f"{self._outputs[column]}_{label}"
        }

    def cautions(self) -> list[str]:
        """What makes a vector of little use."""
        return of_vectors(self.style)

    def sentence(self) -> str:
        """One sentence."""
        return f"One-hot encode {listed(self.columns)} ({self.style})"


def _numbers(column: str, found: list[str]) -> list[str]:
    """All numbers to the greatest that occurs.

    Raises:
        UsageError: That is no number of a category.
    """
    there = [int(one) for one in found if not one.startswith("-")]
    if max(there, default=0) >= _MOST_NUMBERED:
        raise UsageError(
            f"one_hot: {column} holds {max(there)}, which numbers no category of {len(there)}",
            "Set ordinal: false",
        )
    return [str(one) for one in range(max(there, default=-1) + 1)]


STEPS: tuple[type[Step], ...] = (Ordinal, OneHot)
