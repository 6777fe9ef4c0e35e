"""Take some of the rows (facts: wrangler, 1.2: first, random, stratified).

As in splits, what is in a row decides whether it is taken, so the sample is the same however rows
are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at
from penstock.wrangle.operators.splitting import MOST_STRATA
from penstock.wrangle.rows import row_hash
from penstock.wrangle.step import Step, block_name, check_columns, chosen, names


def take_first(frame: DataFrame, size: int) -> DataFrame:
    """The first rows, as they are read."""
    return frame.limit(size)


def take_random(frame: DataFrame, size: int, seed: int) -> DataFrame:
    """Exactly so many rows, all where there are fewer; in the order of their hashes."""
    hashed = frame.withColumn("__hash", row_hash(frame, [], seed))
    return hashed.orderBy("__hash").limit(size).drop("__hash")


def take_strata(
    frame: DataFrame, column: str, seed: int, sizes: dict[str, int], missing: int
) -> DataFrame:
    """So many rows of each value of a column, as text, and of null; none of values not listed."""
    value = at(column).cast("string")
    known = fn.create_map(*[fn.lit(one) for pair in sizes.items() for one in pair])
    size = fn.when(value.isNull(), missing).otherwise(known[value] if sizes else fn.lit(0))
    order = Window.partitionBy(value).orderBy(row_hash(frame, [], seed))
    placed = frame.withColumn("__place", fn.row_number().over(order))
    return placed.where(fn.col("__place") <= size).drop("__place")


class Method(Enum):
    """Which rows."""

    FIRST = "first"
    RANDOM = "random"
    STRATIFIED = "stratified"


_METHODS = {"limit": Method.FIRST, "random": Method.RANDOM, "stratified": Method.STRATIFIED}


class Sample(Step):
    """Take some of the rows.

    Args:
        size: How many.
        method: Which: the first; any; or of each value of a column as many as its share of all
            rows asks for, those with the greatest remainder rounded up.
        column: Of stratified.
        seed: Another number takes other rows.
    """

    kind: ClassVar[str] = "sample"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("sampling", ""),)
    fits: ClassVar[bool] = True
    waits_for: ClassVar[str] = "a sample is taken of all rows"

    size: Annotated[int, Field(ge=1)]
    method: Method = Method.RANDOM
    column: str = ""
    seed: int = 0

    @model_validator(mode="after")
    def _of_a_column(self) -> Sample:
        if bool(self.column) != (self.method is Method.STRATIFIED):
            raise ValueError("a column is of a stratified sample, and it needs one")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The method is a setting; its block, where there is one, is named after it."""
        name = str(parameters.get("sampling_method") or "Random")
        block = {**parameters, **chosen(parameters, name)}
        settings: dict[str, Any] = {
            "size": block.get("sample_size"),
            "method": _METHODS[block_name(name).partition("_")[0]],
            "column": next(iter(names(block.get("stratify_column"))), ""),
            "seed": block.get("seed") or 0,
        }
        return cls(**settings)

    def fit(self, frame: DataFrame) -> State:
        """How many rows of each stratum; nothing for the others."""
        if self.method is not Method.STRATIFIED:
            return {}
        check_columns(self.kind, [self.column], frame.columns)
        counts = frame.groupBy(at(self.column).cast("string")).count()
        found = {one[0]: int(one[1]) for one in counts.limit(MOST_STRATA + 2).collect()}
        if len(found) > MOST_STRATA:
            raise UsageError(
                f"sample: {self.column!r} has more than {MOST_STRATA:,} different values",
                "Take a random sample",
            )
        sizes = shared_out(self.size, found)
        missing = sizes.pop(None, 0)
        return {"sizes": sizes, "missing": missing}

    def calls(self, state: State) -> list[Call]:
        """One call."""
        if self.method is Method.FIRST:
            return [Call.of(take_first, size=self.size)]
        if self.method is Method.RANDOM:
            return [Call.of(take_random, size=self.size, seed=self.seed)]
        return [Call.of(take_strata, column=self.column, seed=self.seed, **state)]

    def cautions(self) -> Sequence[str]:
        """A sample in a flow is what its job writes."""
        return [f"{self.size:,} rows at most come out, of whatever number go in"]

    def sentence(self) -> str:
        """One sentence."""
        if self.method is Method.FIRST:
            return f"Take the first {self.size:,} rows"
        of = f", of each {self.column} its share" if self.column else ""
        return f"Take {self.size:,} rows at random{of}"


def shared_out(size: int, counts: Mapping[str | None, int]) -> dict[str | None, int]:
    """So many rows shared out by counts: whole parts first, then by the greatest remainder.

    Equal remainders go by the values' order, null first. Never more than there are.
    """
    total = sum(counts.values())
    size = min(size, total)
    order = sorted(counts, key=lambda one: (one is not None, one or ""))
    parts = {one: size * counts[one] // total for one in order}
    left = size - sum(parts.values())
    for one in sorted(order, key=lambda one: -(size * counts[one] % total))[:left]:
        parts[one] += 1
    return parts


STEPS: tuple[type[Step], ...] = (Sample,)
