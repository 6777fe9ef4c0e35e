"""Fill what is missing in a series that a cell holds, as an array."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, kind, put


def fill_cells(
    frame: DataFrame, *, column: str, strategy: str, value: str, leftovers: str, output: str
) -> DataFrame:
    """Fill missing values of the arrays of a column; a cell that is null stays so.

    Interpolation gives doubles. A row in whose array something is missing still is dropped where
    ``leftovers`` says so.
    """
    wanted = kind(frame, column)
    if strategy == "linear":
        wanted = "array<double>"
    constant = fn.lit(value or None).cast(wanted.removeprefix("array<").removesuffix(">"))
    # No named function: Spark 4.1 reads the hints of one, and warns of those it does not know.
    filled = fn.udf(
        lambda values, given: (
            None if values is None else filled_values(values, strategy, given, leftovers)
        ),
        wanted,
        useArrow=False,  # values as Python's own, whatever the session says
    )
    made = put(frame, {output: filled(at(column), constant)})
    if leftovers != "drop":
        return made
    return made.where(fn.coalesce(fn.forall(at(output), fn.isnotnull), fn.expr("true")))


def filled_values(values: list[Any], strategy: str, constant: object, leftovers: str) -> list[Any]:
    """Values with the missing ones filled: None, NaN and blank text are missing."""
    known: list[Any] = [
        None if one is None or one != one or (isinstance(one, str) and not one.strip()) else one  # noqa: PLR0124 - NaN
        for one in values
    ]
    there = [n for n, one in enumerate(known) if one is not None]
    if strategy == "constant":
        return [constant if one is None else one for one in known]
    if strategy == "most_common":
        held = [one for one in known if one is not None]
        common = min(held, key=lambda one: (-held.count(one), one)) if held else None
        return [common if one is None else one for one in known]
    found = []
    for n, one in enumerate(known):
        low = max((place for place in there if place <= n), default=None)
        high = min((place for place in there if place >= n), default=None)
        before: Any = None if low is None else known[low]
        after: Any = None if high is None else known[high]
        if one is not None:
            found.append(float(one) if strategy == "linear" else one)
            continue
        filled = None
        if strategy == "forward":
            filled = before
        elif strategy == "backward":
            filled = after
        elif low is not None and high is not None:
            share = (n - low) / (high - low)
            nearest = before if n - low <= high - n else after
            filled = nearest if strategy == "nearest" else before + (after - before) * share
        if filled is None and leftovers == "fill":
            filled = after if before is None else before
        found.append(float(filled) if strategy == "linear" and filled is not None else filled)
    return found
