"""Cast columns to a type, and say what becomes of values that are none of it.

Facts: wrangler, 1.2 and 4, 'cast_single'. Data Wrangler casts one column a step; ours casts many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, kind
from penstock.wrangle.operators.type_names import SPARK_TYPES, parsed, unlike
from penstock.wrangle.step import Names, Step, listed, names

#: Column that says what was no value of the type: '' where all is well.
ERROR_SUFFIX = "_typecast_error"


def cast_columns(
    frame: DataFrame,
    columns: list[str],
    to: str,
    pattern: str,
    *,
    otherwise: str | None,
    say: bool,
) -> DataFrame:
    """Columns as a type, in place; those that are of it already stay as they are.

    Args:
        frame: Rows.
        columns: Which.
        to: bool, date, datetime, float, long or string.
        pattern: How text writes a date or an instant; ISO 8601 where it is empty.
        otherwise: What a value becomes that is none of the type.
        say: Whether ``<column>_typecast_error`` comes after the column, with the text of such a
            value, and '' for others; null for null.
    """
    frame.select(*[at(one) for one in columns])  # says which is not there
    spark_type = SPARK_TYPES[to]
    made = []
    for name, type_name in frame.dtypes:
        if name not in columns or type_name == spark_type:
            made.append(at(name))
            continue
        result = parsed(at(name), to, pattern if type_name == "string" else "")
        lost = at(name).isNotNull() & result.isNull()
        other = fn.lit(otherwise).cast(spark_type)
        made.append(fn.when(lost, other).otherwise(result).alias(name))
        if say:
            word = fn.when(lost, at(name).cast("string")).when(result.isNotNull(), fn.lit(""))
            made.append(word.alias(name + ERROR_SUFFIX))
    return frame.select(*made)


def drop_uncastable(frame: DataFrame, columns: list[str], to: str, pattern: str) -> DataFrame:
    """Rows whose values all are of the type, and none is null; the columns are cast."""
    wanted = [one for one in columns if kind(frame, one) != SPARK_TYPES[to]]
    result = cast_columns(frame, columns, to, pattern, otherwise=None, say=False)
    for name in wanted:
        result = result.where(at(name).isNotNull())
    return result


class Method(Enum):
    """What becomes of a value that is none of the type."""

    REPLACE_NULL = "replace_null"
    REPLACE_NULL_WITH_NEW_COL = "replace_null_with_new_col"
    REPLACE_VALUE = "replace_value"
    REPLACE_VALUE_WITH_NEW_COL = "replace_value_with_new_col"
    DROP = "drop"


class Type(Enum):
    """What to cast to."""

    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    FLOAT = "float"
    LONG = "long"
    STRING = "string"


_VALUES = (Method.REPLACE_VALUE, Method.REPLACE_VALUE_WITH_NEW_COL)
_SAYS = (Method.REPLACE_NULL_WITH_NEW_COL, Method.REPLACE_VALUE_WITH_NEW_COL)


class Cast(Step):
    """Cast columns.

    Args:
        columns: Which.
        to: Type.
        uncastable: What becomes of a value that is none of it.
        value: What replaces it, with ``replace_value…``.
        date_pattern: How text writes dates, in Spark's letters. ISO 8601 where it is empty, which
            is our default; Data Wrangler's is ``dd-MM-yyyy``.
        datetime_pattern: The same of instants.
    """

    kind: ClassVar[str] = "cast"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("cast_single_data_type", ""),)

    columns: Names
    to: Type
    uncastable: Method = Method.REPLACE_NULL
    value: str | None = None
    date_pattern: str = ""
    datetime_pattern: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``original_data_type`` is for display only."""
        value = parameters.get("replace_value")
        return cls(
            columns=names(parameters["column"]),
            to=Type(str(parameters["data_type"]).lower()),
            uncastable=Method(parameters.get("non_castable_data_handling_method", "replace_null")),
            value=None if value is None else str(value),
            date_pattern=parameters.get("date_formatting") or "dd-MM-yyyy",
            datetime_pattern=parameters.get("datetime_formatting") or "",
        )

    @property
    def _pattern(self) -> str:
        return {Type.DATE: self.date_pattern, Type.DATETIME: self.datetime_pattern}.get(self.to, "")

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        given = {"columns": list(self.columns), "to": self.to.value, "pattern": self._pattern}
        if self.uncastable is Method.DROP:
            return [Call.of(drop_uncastable, **given)]
        other = self.value if self.uncastable in _VALUES else None
        say = self.uncastable in _SAYS
        return [Call.of(cast_columns, **given, otherwise=other, say=say)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Values that become null, rows dropped, decimals cut; NaN as long becomes 0."""
        found: dict[str, Column] = {}
        for name in self.columns:
            type_name = kind(frame, name)
            if type_name == "string" and self.uncastable in (Method.REPLACE_NULL, Method.DROP):
                for said, lost in unlike(at(name), self.to.value, self._pattern).items():
                    found[f"values of {name} {said}"] = lost
            elif type_name in ("double", "float") and self.to is Type.LONG:
                found |= _cut(name)
            if self.uncastable is Method.DROP and type_name != SPARK_TYPES[self.to.value]:
                found[f"rows are dropped, for {name} is null"] = at(name).isNull()
        return found

    def cautions(self) -> Sequence[str]:
        """Data Wrangler's date format is not that of ISO 8601."""
        if self.to is Type.DATE and self.date_pattern == "dd-MM-yyyy":
            return (f"{listed(self.columns)}: text is read as dd-MM-yyyy; ISO dates become null",)
        return ()

    def sentence(self) -> str:
        """One sentence."""
        return f"Cast {listed(self.columns)} to {self.to.value}"


def _cut(name: str) -> Mapping[str, Column]:
    value = at(name)
    nan = fn.coalesce(fn.isnan(value), fn.expr("false"))
    whole = value.cast("bigint").cast("double") == value.cast("double")
    return {
        f"values of {name} are NaN and become 0": nan,
        f"values of {name} lose what is after the point": ~nan
        & ~fn.coalesce(whole, fn.expr("true")),
    }


STEPS: tuple[type[Step], ...] = (Cast,)
