"""Join two frames by their keys (facts: wrangler, 1.2 and 4, 'Join').

Null keys never match. Both key columns stay, so names that are there twice are numbered: steps
after the join know them by these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import reduce
from operator import or_
from typing import ClassVar

from pydantic import model_validator
from pyspark.sql import Column, DataFrame

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at
from penstock.wrangle.step import Step, listed, names


def unlike_names(columns: list[str]) -> list[str]:
    """Names, each there once: of one that is there twice, ``<name>_0``, ``<name>_1``, in order.

    Case does not tell names apart. A numbered name that is taken gets ``_dup`` until it is free.
    """
    folded = [one.lower() for one in columns]
    taken = {one for one in folded if folded.count(one) == 1}
    seen: dict[str, int] = {}
    made = []
    for name, fold in zip(columns, folded, strict=True):
        if folded.count(fold) == 1:
            made.append(name)
            continue
        new = f"{name}_{seen.get(fold, 0)}"
        seen[fold] = seen.get(fold, 0) + 1
        while new.lower() in taken:
            new += "_dup"
        taken.add(new.lower())
        made.append(new)
    return made


def join_frames(
    first: DataFrame, second: DataFrame, left: list[str], right: list[str], how: str
) -> DataFrame:
    """Join by ``first.left = second.right``; 'cross' by nothing.

    Columns go by their place while they are joined: names may be there twice.
    """
    one = first.select(*[at(key) for key in left], "*").toDF(
        *[f"k{n}" for n in range(len(left))], *[f"l{n}" for n in range(len(first.columns))]
    )
    two = second.select(*[at(key) for key in right], "*").toDF(
        *[f"m{n}" for n in range(len(right))], *[f"r{n}" for n in range(len(second.columns))]
    )
    if how == "cross":
        joined = one.crossJoin(two)
    else:
        joined = one.join(two, [one[f"k{n}"] == two[f"m{n}"] for n in range(len(left))], how)
    joined = joined.select(*[one for one in joined.columns if one[0] in "lr"])
    kept = first.columns if how in ("semi", "anti") else [*first.columns, *second.columns]
    return joined.toDF(*unlike_names(kept))


class How(Enum):
    """Which rows a join gives."""

    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    FULL = "full"
    SEMI = "semi"
    ANTI = "anti"
    CROSS = "cross"


_HOWS = {
    "inner": How.INNER,
    "left": How.LEFT,
    "leftouter": How.LEFT,
    "right": How.RIGHT,
    "rightouter": How.RIGHT,
    "full": How.FULL,
    "outer": How.FULL,
    "fullouter": How.FULL,
    "semi": How.SEMI,
    "leftsemi": How.SEMI,
    "anti": How.ANTI,
    "leftanti": How.ANTI,
    "cross": How.CROSS,
}
_WORDS = {
    How.INNER: "keep rows that match",
    How.LEFT: "keep all rows of the left",
    How.RIGHT: "keep all rows of the right",
    How.FULL: "keep all rows of both",
    How.SEMI: "keep rows of the left that match",
    How.ANTI: "keep rows of the left that do not match",
}


class Join(Step):
    """Join the second frame to the first.

    Args:
        left: Keys in the first.
        right: Keys in the second, in the same order; the same names where it is empty.
        how: Which rows to keep; 'cross' puts every row beside every other and has no keys.
    """

    kind: ClassVar[str] = "join"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("join_tables", ""), ("join_multi_keys", ""))
    takes: ClassVar[int] = 2
    waits_for: ClassVar[str] = "it reads a second data set"

    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    how: How = How.INNER

    @model_validator(mode="after")
    def _paired(self) -> Join:
        if (self.how is How.CROSS) == bool(self.left):
            raise ValueError(
                "a cross join has no keys" if self.left else f"a join ({self.how.value}) needs keys"
            )
        if self.right and len(self.left) != len(self.right):
            raise ValueError(f"{len(self.left)} keys on the left, {len(self.right)} on the right")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """One key by name, or a list of pairs."""
        how = _HOWS[str(parameters.get("join_type", "inner")).replace("_", "").lower()]
        if how is How.CROSS:
            return cls(how=how)
        pairs = parameters.get("join_keys") or []
        left = [one["left"] for one in pairs] or names(parameters.get("left_column"))
        right = [one["right"] for one in pairs] or names(parameters.get("right_column"))
        return cls(left=tuple(left), right=tuple(right), how=how)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [
            Call.of(
                join_frames,
                left=list(self.left),
                right=list(self.right or self.left),
                how=self.how.value,
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows that an inner or semi join drops because they have no key."""
        if self.how not in (How.INNER, How.SEMI):
            return {}
        keys = [at(one).isNull() for one in self.left if one in frame.columns]
        text = f"rows have no {listed(self.left)}, match nothing and are dropped"
        return {text: reduce(or_, keys)} if keys else {}

    def sentence(self) -> str:
        """One sentence."""
        if self.how is How.CROSS:
            return "Join every row of the left with every row of the right"
        right = self.right or self.left
        pairs = [a if a == b else f"{a} = {b}" for a, b in zip(self.left, right, strict=True)]
        return f"Join by {listed(pairs)}; {_WORDS[self.how]}"


STEPS: tuple[type[Step], ...] = (Join,)
