"""Split rows into parts (facts: wrangler, 1.2 and 4, 'Split').

A row's part follows from what is in it alone, by bounds that were learnt once. So the parts share
no row and leave none out, however often and over whatever partitions rows are computed again; and
rows that are equal in all their columns are in one part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import accumulate
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, Code, State, Value
from penstock.wrangle.columns import at
from penstock.wrangle.rows import row_share
from penstock.wrangle.step import Share, Step, check_columns, chosen, listed, names

#: The finest bounds that are looked for; the memory they take grows as its inverse.
_LEAST_ERROR = 0.0001
#: Data Wrangler's own limit is 1,000 too (facts: wrangler, 4).
MOST_STRATA = 1000


def part_by_share(
    frame: DataFrame, columns: list[str], seed: int, bounds: list[float], part: int
) -> DataFrame:
    """Rows whose hash over these columns, all where there are none, is in one part's range.

    Parts end at ``bounds``, the last excepted; a bound is in the part below it.
    """
    return frame.where(is_part(row_share(frame, columns, seed), bounds, part))


def part_by_share_in_strata(
    frame: DataFrame,
    column: str,
    seed: int,
    strata: dict[str, list[float]],
    missing: list[float],
    others: list[float],
    part: int,
) -> DataFrame:
    """The same, with bounds by the value of a column: as text; of null; of values not listed."""
    share, value = row_share(frame, [], seed), at(column).cast("string")
    known = fn.create_map(*[fn.lit(one) for pair in strata.items() for one in pair])
    found = known[value] if strata else fn.lit(others)
    bounds = fn.when(value.isNull(), fn.lit(missing)).otherwise(fn.coalesce(found, fn.lit(others)))
    places = range(len(others))
    above = [(share > bounds[place]).cast("int") for place in places]
    return frame.where(sum(above, fn.lit(0)) == part)


def is_part(value: Column, bounds: list[float], part: int) -> Column:
    """Whether a value is in a part: above the bound before it, up to its own."""
    low = value > bounds[part - 1] if part else fn.lit(True)  # noqa: FBT003 - Spark's literal
    return low & (value <= bounds[part]) if part < len(bounds) else low


Parts = Annotated[dict[str, Share], Field(min_length=2)]


class Parted(Step):
    """What all splits are told: how large the parts are, and a number to choose by."""

    parts: Parts
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Parted:
        if not math.isclose(sum(self.parts.values()), 1, abs_tol=1e-6):
            raise ValueError(f"the shares add up to {sum(self.parts.values()):g}, not to 1")
        return self

    @property
    def outputs(self) -> tuple[str, ...]:
        """The parts."""
        return tuple(self.parts)

    def calls(self, state: State) -> Sequence[Call | Code]:
        """What gives the first part."""
        return self.calls_of(self.outputs[0], state)

    @property
    def ends(self) -> list[float]:
        """Where the parts end, as shares of all rows; the last part's end is left out."""
        return [round(one, 12) for one in accumulate(list(self.parts.values())[:-1])]

    @property
    def told(self) -> str:
        """The parts, in words."""
        return ", ".join(f"{name} {share:.4g}" for name, share in self.parts.items())


class By(Enum):
    """What decides a row's part."""

    ROW = "row"
    STRATUM = "stratum"
    KEY = "key"


class Split(Parted):
    """Split rows at random.

    Args:
        parts: Names of the parts and their shares of the rows, which add up to 1.
        by: 'row' takes rows; 'stratum' the same share of the rows of every value of a column;
            'key' all rows of a key together, so that no key is in two parts.
        columns: Of stratum: the one column. Of key: the key.
        error: How far a share may be off; 0.0001 is the finest. Of key, shares are of the keys.
        seed: Another number makes other parts.
    """

    kind: ClassVar[str] = "split"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("split", "Randomized split"),
        ("split", "Stratified split"),
        ("split", "Split by key"),
    )
    fits: ClassVar[bool] = True

    by: By = By.ROW
    columns: tuple[str, ...] = ()
    error: Share = 0.0005

    @model_validator(mode="after")
    def _told_by_what(self) -> Split:
        wanted = {By.ROW: (0, 0), By.STRATUM: (1, 1), By.KEY: (1, 1000)}[self.by]
        if not wanted[0] <= len(self.columns) <= wanted[1]:
            raise ValueError(f"a split by {self.by.value} and {len(self.columns)} columns")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Splits are a list of names and percentages, which are shares."""
        block = chosen(parameters, choice)
        by = {"Stratified split": By.STRATUM, "Split by key": By.KEY}.get(choice, By.ROW)
        column = {By.STRATUM: "input_column", By.KEY: "key_columns"}.get(by, "")
        return cls(by=by, columns=names(block.get(column)), **settings_of(block))

    def fit(self, frame: DataFrame) -> State:
        """The bounds of the parts; of keys they are the shares themselves, whatever the rows."""
        check_columns(self.kind, self.columns, frame.columns)
        if self.by is By.KEY:
            return {"bounds": self.ends}
        if self.by is By.STRATUM:
            return self._strata(frame)
        shares = frame.select(row_share(frame, [], self.seed).alias("share"))
        return {"bounds": quantiles(shares, "share", self.ends, self.error)}

    def _strata(self, frame: DataFrame) -> State:
        (column,) = self.columns
        # Less than a part in 10^9: 0.55 of 100 rows are 55, not 56 for the last bit of 55.
        ends = [one - 1e-9 for one in self.ends]
        accuracy = int(1 / max(self.error, _LEAST_ERROR))
        shares = frame.select(
            at(column).cast("string").alias("stratum"),
            row_share(frame, [], self.seed).alias("share"),
        )
        bounds = fn.percentile_approx("share", ends, accuracy)
        found = shares.groupBy("stratum").agg(bounds).limit(MOST_STRATA + 2).collect()
        strata = {one[0]: list(one[1]) for one in found}
        missing = strata.pop(None, self.ends)
        if len(strata) > MOST_STRATA:
            raise UsageError(
                f"split: {column!r} has more than {MOST_STRATA:,} different values",
                "Split by key, or by row",
            )
        return {
            "strata": dict(sorted(strata.items())),
            "missing": missing,
            "others": self.ends,
        }

    def calls_of(self, output: str, state: State) -> list[Call]:
        """One call."""
        part = self.outputs.index(output)
        if self.by is By.STRATUM:
            arguments = {"column": self.columns[0], "seed": self.seed, **state, "part": part}
            return [Call.of(part_by_share_in_strata, **arguments)]
        columns, bounds = list(self.columns), state["bounds"]
        return [Call.of(part_by_share, columns=columns, seed=self.seed, bounds=bounds, part=part)]

    def cautions(self) -> Sequence[str]:
        """Where shares are not met."""
        if self.by is By.KEY:
            return ["shares are of the keys: where some have many rows, shares of rows differ"]
        return ["rows equal in every column go to one part together"]

    def sentence(self) -> str:
        """One sentence."""
        by = {By.ROW: "", By.STRATUM: f", each {listed(self.columns)} alike"}.get(
            self.by, f", all rows of a {listed(self.columns)} together"
        )
        return f"Split at random into {self.told}{by}"


def quantiles(rows: DataFrame, column: str, shares: list[float], error: float) -> list[float]:
    """Values up to which these shares of the rows lie; the shares themselves without rows.

    Runs a job. ``error`` is how far a share may be off; below 0.0001 it counts as that.
    """
    found = rows.approxQuantile(column, shares, max(error, _LEAST_ERROR))
    return [float(one) for one in found] or list(shares)


def settings_of(block: Mapping[str, Value]) -> dict[str, Any]:
    """Of all splits."""
    splits = block.get("splits") or []
    parts = {str(one["name"]): float(one["percentage"]) for one in splits}
    if len(parts) < len(splits):
        raise UsageError("two parts of one name")
    found: dict[str, Any] = {"parts": parts}
    if block.get("error") is not None:
        found["error"] = min(float(block["error"]), 1.0)  # as Data Wrangler's documentation says
    if block.get("seed") is not None:
        found["seed"] = int(block["seed"])
    return found


class DataSet(Step):
    """A name for what a step gives: ``.flow`` files name the parts of a split so.

    Args:
        name: The data set's.
    """

    kind: ClassVar[str] = "data_set"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("identity", ""),)

    name: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The name may be missing."""
        return cls(name=str(parameters.get("name") or ""))

    def calls(self, state: State) -> list[Call]:
        """Nothing."""
        return []

    def sentence(self) -> str:
        """One sentence."""
        return f"Call it {self.name}" if self.name else "Take it as a data set"


STEPS: tuple[type[Step], ...] = (DataSet, Split)
