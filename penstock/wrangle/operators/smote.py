"""SMOTE: new rows of the rarer label between those there are (facts: wrangler, 4, 'Balance').

Nearest neighbours are exact, among the rows of the label. Numbers of a new row lie on the line from
a row to one of its neighbours; all else is copied from one of the two, the nearer the likelier
(Data Wrangler's documentation, 'SMOTE').
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame, types
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.operators.balance import Ratio, labels_of, number_rows
from penstock.wrangle.operators.counting import number
from penstock.wrangle.step import Step, check_columns, listed

_MOST_ROWS = 100_000  # of the rarer label: each is compared with each, on one core


def add_between(
    frame: DataFrame,
    target: str,
    label: str,
    wanted: int,
    numbers: dict[str, str],
    neighbors: int,
    seed: int,
    *,
    normalize: bool = False,
) -> DataFrame:
    """All rows, and ``wanted`` new ones of this label.

    Args:
        frame: Of which.
        target: Column of labels.
        label: As text.
        wanted: How many new ones.
        numbers: Columns of numbers, with the type each has after it; whole numbers are rounded.
        neighbors: How many of the nearest rows a new one may lie towards.
        seed: Of what is drawn.
        normalize: Whether nearness is measured in deviations of each column.
    """

    def nearest(points: Any, most: int) -> Any:
        import numpy as np

        squares = (points * points).sum(axis=1)
        found = []
        for start in range(0, len(points), 512):
            part = points[start : start + 512]
            distances = squares[start : start + 512, None] + squares - 2 * part @ points.T
            rows = np.arange(len(part))
            distances[rows, start + rows] = np.inf
            near = np.argpartition(distances, most - 1, axis=1)[:, :most]
            order = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
            found.append(np.take_along_axis(near, order, axis=1))
        return np.concatenate(found)

    def between(rows: Any) -> Any:
        import numpy as np

        rows = rows.sort_values("_draw", ignore_index=True).drop(columns="_draw")
        values = rows[places].to_numpy(dtype="float64")
        points = values - values.mean(axis=0)
        if normalize:
            spread = points.std(axis=0)
            points = points / np.where(spread == 0, 1, spread)
        most = min(neighbors, len(rows) - 1)
        near = nearest(points, most)
        random = np.random.RandomState(seed)
        drawn = random.randint(0, len(rows) * most, size=wanted)
        step = random.uniform(size=wanted)
        one = drawn // most
        other = near[one, drawn % most]
        made = rows.iloc[np.where(random.uniform(size=wanted) < step, other, one)]
        made = made.reset_index(drop=True)
        line = values[one] + step[:, None] * (values[other] - values[one])
        return made.assign(**dict(zip(places, line.T, strict=True)))

    there = put(frame, {name: at(name).cast(kind) for name, kind in numbers.items()})
    ours = number_rows(frame, seed).where(at(target).cast("string") == label)
    ours = put(ours, {name: at(name).cast("double") for name in numbers})
    # Spark takes a dot in the name of a column given to pandas for one of a field.
    plain = [f"c{n}" for n in range(len(frame.columns))]
    places = [place for place, name in zip(plain, frame.columns, strict=True) if name in numbers]
    ours = ours.toDF(*plain, "_draw")
    schema = types.StructType(ours.schema.fields[:-1])
    new = ours.groupBy().applyInPandas(between, schema).toDF(*frame.columns)
    whole = [name for name, kind in numbers.items() if kind not in ("float", "double")]
    new = put(new, {name: fn.round(at(name)) for name in whole})
    new = put(new, {name: at(name).cast(kind) for name, kind in numbers.items()})
    return there.unionByName(new)


class Smote(Step):
    """Make new rows of the rarer of two labels until they are in a ratio.

    Args:
        target: Column of two labels.
        ratio: Rows of the rarer label by those of the other, after it.
        neighbors: How many of the nearest rows a new one may lie towards.
        normalize: Whether nearness is measured in deviations of each column, not in its own unit.
        keep_types: Whether numbers keep their types. Data Wrangler makes all of them float with 32
            bits, ids and times too; the target stays.
        seed: Of what is drawn.
    """

    kind: ClassVar[str] = "smote"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("balance_data", "SMOTE"),)
    fits: ClassVar[bool] = True
    waits_for: ClassVar[str] = "it compares all rows of a label"

    target: str
    ratio: Ratio = 1.0
    neighbors: Annotated[int, Field(ge=1)] = 5
    normalize: bool = False
    keep_types: bool = False
    seed: int = 0

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings stand beside the choice, not in a block."""
        own = parameters.get("smote_params") or {}
        return cls(
            target=parameters["target_column"],
            ratio=parameters.get("ratio", 1.0),
            neighbors=own.get("num_neighbors", 5),
            normalize=own.get("normalize") or False,
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """The target."""
        return (self.target,)

    def fit(self, frame: DataFrame) -> State:
        """Of which label, how many, and the columns of numbers with their types. Two jobs.

        Raises:
            UsageError: Not two labels, or the ratio is reached; vectors; no numbers, or some that
                are missing; fewer than two rows of the label, or more than can be compared.
        """
        check_columns(self.kind, self.reads, frame.columns)
        vectors = [name for name, kind in frame.dtypes if kind == "vector"]
        if vectors:
            raise UsageError(
                f"{self.kind}: {listed(vectors)} is a vector", "Encode into columns instead"
            )
        numbers = {
            one.name: one.dataType.simpleString() if self.keep_types else "float"
            for one in frame.schema
            if isinstance(one.dataType, types.NumericType) and one.name != self.target
        }
        if not numbers:
            raise UsageError(f"{self.kind}: there is no column of numbers beside {self.target}")
        label, _, few, many = labels_of(self.kind, frame, self.target, self.ratio)
        if not 1 < few <= _MOST_ROWS:
            raise UsageError(
                f"{self.kind}: {few} rows of {label!r}; 2 to {_MOST_ROWS} can be compared",
                "Take 'balance' instead",
            )
        self._check_missing(frame.where(at(self.target).cast("string") == label), list(numbers))
        return {"label": label, "wanted": round(self.ratio * many) - few, "numbers": numbers}

    def _check_missing(self, rows: DataFrame, numbers: list[str]) -> None:
        gaps = [fn.max(number(one).isNull()) for one in numbers]
        found = rows.agg(*gaps).collect()[0]
        lacking = [one for one, gap in zip(numbers, found, strict=True) if gap]
        if lacking:
            raise UsageError(
                f"{self.kind}: values of {listed(lacking)} are missing or infinite",
                "Fill or drop them before",
            )

    def calls(self, state: State) -> list[Call]:
        """One call."""
        settings = {"normalize": True} if self.normalize else {}
        return [
            Call.of(
                add_between,
                target=self.target,
                **state,
                neighbors=self.neighbors,
                seed=self.seed,
                **settings,
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Digits of whole numbers that 32 bits do not hold."""
        schema = {one.name: one.dataType for one in frame.schema}
        return {
            f"whole numbers of {name} change, as a float has 24 bits for their digits": at(name)
            != at(name).cast("float").cast(schema[name])
            for name, kind in state["numbers"].items()
            if kind == "float" and isinstance(schema[name], types.IntegralType)
        }

    def cautions(self) -> list[str]:
        """What new rows are no good for."""
        made_up = (
            "new rows are none that happened: split before, and keep them out of feature groups, "
            "whose record ids would be made up"
        )
        shorter = "all numbers become float with 32 bits; with 'keep_types: true' they stay"
        return [made_up] if self.keep_types else [made_up, shorter]

    def sentence(self) -> str:
        """One sentence."""
        return f"Make rows of the rarer label of {self.target} until their ratio is {self.ratio:g}"


STEPS: tuple[type[Step], ...] = (Smote,)
