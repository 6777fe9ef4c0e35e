"""Give rows a record identifier: a column, or several joined; and say whether it is unique."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State
from penstock.wrangle.columns import at, put
from penstock.wrangle.step import Names, Step, check_columns, listed

#: AWS developer guide, quotas: a record identifier has at most 2 KB.
MOST_BYTES = 2_048


def join_identifier(frame: DataFrame, columns: list[str], delimiter: str, output: str) -> DataFrame:
    """Texts of columns, joined; null where any of them is null.

    Args:
        frame: Rows.
        columns: Which, in order.
        delimiter: Between them.
        output: Column of the result.
    """
    texts = [at(one).cast("string") for one in columns]
    joined = [piece for one in texts for piece in (fn.lit(delimiter), one)][1:]
    return put(frame, {output: fn.concat(*joined)})


class RecordIdentifier(Step):
    """Give rows a record identifier.

    Args:
        columns: One, or several that are joined.
        delimiter: Between them.
        unique: Whether no two rows may have the same; it is checked when the step is fitted.
        output: Column of the result.
    """

    kind: ClassVar[str] = "record_identifier"
    fits: ClassVar[bool] = True

    columns: Names
    delimiter: Annotated[str, Field(min_length=1)] = "_"
    unique: bool = False
    output: Annotated[str, Field(min_length=1)] = "record_id"

    def fit(self, frame: DataFrame) -> State:
        """How many rows, how many of them without identifier, how many identifiers twice or more.

        Raises:
            UsageError: ``unique``, and two rows have the same.
        """
        check_columns(self.kind, self.columns, frame.columns)
        if not self.unique:
            return {}
        made = join_identifier(frame, list(self.columns), self.delimiter, self.output)
        groups = made.groupBy(at(self.output).alias("identifier")).agg(fn.count("*").alias("rows"))
        several = fn.col("identifier").isNotNull() & (fn.col("rows") > 1)
        row = groups.agg(
            fn.count(fn.when(several, 1)),
            fn.coalesce(fn.sum(fn.when(several, fn.col("rows"))), fn.lit(0)),
        ).first()
        assert row is not None  # an aggregate without groups is one row
        if row[0]:
            raise UsageError(
                f"{self.kind}: {row[0]:,} identifiers of {listed(self.columns)} are those of "
                f"several rows, {row[1]:,} in all",
                "Add a column to it, or drop duplicates with newest_by before",
            )
        return {}

    def calls(self, state: State) -> list[Call]:
        """One call."""
        given = {"columns": list(self.columns), "delimiter": self.delimiter}
        return [Call.of(join_identifier, **given, output=self.output)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows without one, rows whose one is too long, and joins that could be read two ways."""
        missing, length, within = fn.expr("false"), fn.lit(0), fn.expr("false")
        for one in self.columns:
            text = at(one).cast("string")
            missing = missing | text.isNull() | (text == "")
            length = length + fn.octet_length(text) + len(self.delimiter.encode())
            within = within | fn.coalesce(text.contains(self.delimiter), fn.expr("false"))
        found = {
            f"rows have no {self.output}": missing,
            f"rows have a {self.output} of more than {MOST_BYTES:,} bytes": fn.coalesce(
                length - len(self.delimiter.encode()) > MOST_BYTES, fn.expr("false")
            ),
        }
        if len(self.columns) > 1:
            said = f"rows have {self.delimiter!r} within a part of {self.output}: two may be one"
            found[said] = within
        return found

    def cautions(self) -> Sequence[str]:
        """That it is not checked."""
        if self.unique:
            return ()
        return (f"{self.output}: whether it is unique is not checked; say unique",)

    def sentence(self) -> str:
        """One sentence."""
        unique = ", which must be unique" if self.unique else ""
        return f"Make {self.output} of {listed(self.columns)}{unique}"


STEPS: tuple[type[Step], ...] = (RecordIdentifier,)
