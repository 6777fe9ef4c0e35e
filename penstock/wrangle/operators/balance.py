"""Rows of two labels in a given ratio (facts: wrangler, 4, 'Balance').

Which rows are drawn depends on the rows alone, not on their order or their partitions: each has a
number made of its values, and of rows that are equal each has one of its own; those below a bound
are drawn. The bound is found by the fit, so that as many are drawn as are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, keep
from penstock.wrangle.operators.counting import counts
from penstock.wrangle.step import Step, check_columns

Ratio = Annotated[float, Field(gt=0, le=1)]


def number_rows(frame: DataFrame, seed: int) -> DataFrame:
    """A column ``_draw``: a number for each row that is random but for its values."""
    texts = [fn.coalesce(at(one).cast("string"), fn.lit("\x00")) for one in frame.columns]
    same = fn.xxhash64(fn.lit(seed), *texts)
    frame = frame.withColumn("_same", same)
    place = fn.row_number().over(Window.partitionBy("_same").orderBy("_same"))
    return frame.withColumn("_draw", fn.xxhash64(fn.lit(seed), "_same", place)).drop("_same")


def draw_rows(
    frame: DataFrame, target: str, label: str, seed: int, below: int, copies: int
) -> DataFrame:
    """All rows of other labels; of this label each ``copies`` times, and once more if it is drawn.

    Args:
        frame: Of which.
        target: Column of labels.
        label: As text.
        seed: Of the draw.
        below: Rows whose number is not above this are drawn.
        copies: How often each row is there anyhow.
    """
    there = frame.columns
    ours = fn.coalesce(at(target).cast("string") == label, fn.lit(0) == 1)
    drawn = copies + fn.when(fn.col("_draw") <= below, 1).otherwise(0)
    often = fn.when(ours, drawn).otherwise(1)
    frame = number_rows(frame, seed).withColumn("_often", often)
    frame = frame.withColumn("_copy", fn.explode(fn.sequence(fn.lit(0), fn.col("_often"))))
    return keep(frame.where("_copy > 0"), there)


class Balance(Step):
    """Draw rows until the labels are in a ratio: more of the rarer, or fewer of the other.

    Args:
        target: Column of two labels.
        method: ``oversample`` repeats rows of the rarer label, all as often but one time more or
            less; ``undersample`` leaves out rows of the other.
        ratio: Rows of the rarer label by those of the other, after it.
        seed: Of the draw.
    """

    kind: ClassVar[str] = "balance"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (
        ("balance_data", "Random oversample"),
        ("balance_data", "Random undersample"),
    )
    fits: ClassVar[bool] = True
    waits_for: ClassVar[str] = "it counts all rows of both labels"

    target: str
    method: Literal["oversample", "undersample"] = "oversample"
    ratio: Ratio = 1.0
    seed: int = 0

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings stand beside the choice, not in a block."""
        return cls(
            target=parameters["target_column"],
            ratio=parameters.get("ratio", 1.0),
            method="oversample" if choice == "Random oversample" else "undersample",
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The target."""
        return (self.target,)

    def fit(self, frame: DataFrame) -> State:
        """Of which label rows are drawn, and the bound. Two jobs.

        Raises:
            UsageError: Not two labels, or they are in that ratio already.
        """
        check_columns(self.kind, self.reads, frame.columns)
        rare, common, few, many = labels_of(self.kind, frame, self.target, self.ratio)
        if self.method == "undersample":
            label, copies, wanted = common, 0, round(few / self.ratio)
        else:
            label, (copies, wanted) = rare, divmod(round(self.ratio * many), few)
        own = number_rows(frame, self.seed).where(at(self.target).cast("string") == label)
        last = own.select("_draw").orderBy("_draw").limit(wanted).agg(fn.max("_draw")).collect()
        below = last[0][0]
        return {"label": label, "copies": copies, "below": -(2**63) if below is None else below}

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [Call.of(draw_rows, target=self.target, seed=self.seed, **state)]

    def cautions(self) -> list[str]:
        """Rows that are there twice."""
        if self.method == "undersample":
            return []
        return [
            "rows are there several times: split before, or the same row is learnt from and tested"
        ]

    def sentence(self) -> str:
        """One sentence."""
        what = (
            "Repeat rows of the rarer" if self.method == "oversample" else "Drop rows of the other"
        )
        return f"{what} label of {self.target} until their ratio is {self.ratio:g}"


def labels_of(kind: str, frame: DataFrame, target: str, ratio: float) -> tuple[str, str, int, int]:
    """The rarer label and the other, with how many rows each has.

    Raises:
        UsageError: Not two labels, or the ratio is reached already.
    """
    found = counts(frame, [target])[target]
    if len(found) != 2:  # noqa: PLR2004 - a ratio is of two
        raise UsageError(
            f"{kind}: {target} has {len(found)} labels; exactly two can be balanced",
            "Drop rows of the others before",
        )
    (common, many), (rare, few) = found.items()
    if few / many >= ratio:
        raise UsageError(
            f"{kind}: {few} rows of {rare!r} by {many} of {common!r} are a ratio of "
            f"{few / many:.3g} already, not below {ratio:g}",
            "Leave the step out, or set ratio to more",
        )
    return rare, common, few, many


STEPS: tuple[type[Step], ...] = (Balance,)
