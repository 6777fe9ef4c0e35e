"""Principal components: fewer columns that hold most of the variance (facts: wrangler, 4, 'PCA').

What Spark's StandardScaler and PCA find; a component's sign is arbitrary, so its largest weight is
made positive. The operator was not seen in public flows: its id and its settings' names are
guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, keep, put
from penstock.wrangle.operators.counting import is_number, number
from penstock.wrangle.step import Names, Step, check_columns, chosen, listed, names


def dot(values: Column, weights: list[float]) -> Column:
    """Sum of products of a list of numbers with weights, from first to last."""
    factors = fn.array(*[fn.lit(one) for one in weights])
    products = fn.zip_with(values, factors, lambda value, weight: value * weight)
    return fn.aggregate(products, fn.lit(0.0), lambda total, one: total + one)


def project(
    frame: DataFrame,
    columns: list[str],
    outputs: list[str],
    offsets: list[float],
    factors: list[float],
    weights: list[list[float]],
    style: str,
    drop: list[str],
) -> DataFrame:
    """Weighted sums of ``(value - offset) * factor``, at the end; what is missing gives NaN.

    Args:
        frame: Of which.
        columns: Which.
        outputs: Names of the sums, or the one of the vector.
        offsets: By column.
        factors: By column.
        weights: By sum, by column.
        style: ``columns`` or ``vector``.
        drop: Columns that go.
    """
    from pyspark.ml.functions import array_to_vector

    values = [
        (fn.coalesce(at(column).cast("double"), fn.lit(float("nan"))) - offset) * factor
        for column, offset, factor in zip(columns, offsets, factors, strict=True)
    ]
    kept = [one for one in frame.columns if one not in drop]
    frame = frame.withColumn("_values", fn.array(*values))
    sums = [dot(fn.col("_values"), one) for one in weights]
    if style == "vector":
        sums = [array_to_vector(fn.array(*sums))]
    frame = put(frame, dict(zip(outputs, sums, strict=True)))
    return keep(frame, [*kept, *[one for one in outputs if one not in kept]])


class Components(Step):
    """Put the principal components of columns of numbers in their place.

    Args:
        columns: Which. Rows where one is missing do not count in the fit, and get NaN.
        count: How many components; else as many as the variance takes.
        variance: Percentage of the variance that the components hold at least.
        center: Whether the mean is subtracted.
        scale: Whether values are divided by the standard deviation.
        style: ``columns``, ``<output>_0``, …; or ``vector``.
        output: Prefix of the columns, or the vector's name.
        keep_columns: Whether the columns stay.
    """

    kind: ClassVar[str] = "components"
    # Not observed: after the transform's name in the documentation, 'Dimensionality Reduction'.
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("dimensionality_reduction", "PCA"),)
    fits: ClassVar[bool] = True

    columns: Names
    count: Annotated[int, Field(ge=1)] | None = None
    variance: Annotated[float, Field(gt=0, le=100)] = 95.0
    center: bool = True
    scale: bool = True
    style: Literal["columns", "vector"] = "columns"
    output: str = "pca"
    keep_columns: bool = False

    @model_validator(mode="after")
    def _not_more_than_columns(self) -> Components:
        if self.count is not None and self.count > len(self.columns):
            raise ValueError(f"{len(self.columns)} columns have no {self.count} components")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Names of the settings are as the documentation words them; not observed."""
        block = chosen(parameters, choice)
        same = {"center": "center", "scale": "scale", "keep_input_columns": "keep_columns"}
        renamed = {
            **same,
            "number_of_principal_components": "count",
            "variance_threshold_percentage": "variance",
            "output_column": "output",
        }
        return cls(
            columns=names(block.get("input_columns") or block.get("input_column")),
            style="vector" if block.get("output_format") == "Vector" else "columns",
            **{renamed[key]: block[key] for key in renamed if block.get(key) not in (None, "")},
        )

    def fit(self, frame: DataFrame) -> State:
        """Offset and factor of each column, weights and share of the variance of each component.

        Two jobs.

        Raises:
            UsageError: A column of no numbers; fewer than two whole rows, or all alike.
        """
        from pyspark.ml.feature import PCA
        from pyspark.ml.functions import array_to_vector

        check_columns(self.kind, self.columns, frame.columns)
        text = [one for one in self.columns if not is_number(frame, one)]
        if text:
            raise UsageError(f"{self.kind}: {listed(text)} holds no numbers", "Parse it before")
        places = [f"c{n}" for n in range(len(self.columns))]
        values = frame.select(
            *[number(one).alias(place) for one, place in zip(self.columns, places, strict=True)]
        ).dropna()
        wanted = [one for place in places for one in (fn.mean(place), fn.stddev(place))]
        row = list(values.agg(*wanted).collect()[0])
        if not any(row[1::2]):
            raise UsageError(
                f"{self.kind}: {listed(self.columns)} have no two whole rows that differ",
                "Fill missing values before",
            )
        offsets = [one if self.center else 0.0 for one in row[::2]]
        factors = [(1 / one if one else 0.0) if self.scale else 1.0 for one in row[1::2]]
        scaled = [
            (fn.col(place) - offset) * factor
            for place, offset, factor in zip(places, offsets, factors, strict=True)
        ]
        vectors = values.select(array_to_vector(fn.array(*scaled)).alias("v"))
        found = PCA(k=len(places), inputCol="v").fit(vectors)
        shares = [float(one) for one in found.explainedVariance.toArray()]
        kept = self.count or _enough(shares, self.variance / 100)
        matrix = found.pc.toArray().T.tolist()
        return {
            "offsets": offsets,
            "factors": factors,
            "weights": [_signed(one) for one in matrix[:kept]],
            "shares": shares[:kept],
        }

    def calls(self, state: State) -> list[Call]:
        """One call."""
        weights = state["weights"]
        many = [f"{self.output}_{n}" for n in range(len(weights))]
        return [
            Call.of(
                project,
                columns=list(self.columns),
                outputs=[self.output] if self.style == "vector" else many,
                offsets=state["offsets"],
                factors=state["factors"],
                weights=weights,
                style=self.style,
                drop=[] if self.keep_columns else list(self.columns),
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows without components."""
        return {
            f"rows have no components, as {one} is missing": number(one).isNull()
            for one in self.columns
        }

    def sentence(self) -> str:
        """One sentence."""
        what = f"{self.count}" if self.count else f"{self.variance:g} % of the variance"
        return f"Reduce {listed(self.columns)} to principal components ({what})"


def _enough(shares: list[float], wanted: float) -> int:
    """How many of them hold the share; the last bit of a sum is forgiven."""
    total = 0.0
    for place, share in enumerate(shares):
        total += share
        if total >= wanted - 1e-12:
            return place + 1
    return len(shares)


def _signed(weights: list[float]) -> list[float]:
    """With the largest weight positive, of several the first."""
    largest = max(weights, key=abs)
    return [-one for one in weights] if largest < 0 else weights


STEPS: tuple[type[Step], ...] = (Components,)
