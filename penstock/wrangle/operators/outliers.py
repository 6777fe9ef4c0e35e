"""Outliers: numbers far off the others, or beyond two bounds (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, is_missing, put
from penstock.wrangle.operators.counting import is_number, number
from penstock.wrangle.step import (
    Names,
    Share,
    Stale,
    Step,
    block_name,
    check_columns,
    chosen,
    listed,
    names,
    output_names,
)

_QUANTILE_ERROR = 0.001  # that of Data Wrangler


def clip_outliers(
    frame: DataFrame, columns: dict[str, str], bounds: dict[str, list[float]]
) -> DataFrame:
    """Values outside become the bound they pass, as double; null and NaN stay."""
    made = {}
    for column, output in columns.items():
        value = at(column).cast("double")
        low, high = bounds[column]
        made[output] = (
            fn.when(fn.isnan(value), value)
            .when(value < low, fn.lit(low))
            .when(value > high, fn.lit(high))
            .otherwise(value)
        )
    return put(frame, made)


def invalidate_outliers(
    frame: DataFrame, columns: dict[str, str], bounds: dict[str, list[float]]
) -> DataFrame:
    """Values outside become null; so does NaN, which Spark orders above all numbers."""
    made = {
        output: fn.when(at(column).between(*bounds[column]), at(column))
        for column, output in columns.items()
    }
    return put(frame, made)


def remove_outliers(
    frame: DataFrame, bounds: dict[str, list[float]], *, keep_missing: bool = False
) -> DataFrame:
    """Rows with all values inside; a row with null or NaN goes too, unless it is kept."""
    for column, (low, high) in bounds.items():
        inside = at(column).between(low, high)
        frame = frame.where(inside | is_missing(frame, column) if keep_missing else inside)
    return frame


class Fix(Enum):
    """What becomes of an outlier."""

    CLIP = "clip"
    REMOVE = "remove"
    INVALIDATE = "invalidate"


class Method(Enum):
    """How bounds are found."""

    STANDARD = "standard_deviation"
    ROBUST = "robust_standard_deviation"
    QUANTILE = "quantile"


_METHODS = {
    "Standard deviation numeric outliers": Method.STANDARD,
    "Robust standard deviation numeric outliers": Method.ROBUST,
    "Quantile numeric outliers": Method.QUANTILE,
}
#: The second is the one observed in flows; what is hashed of the others goes by it.
_HASHED = {
    Method.STANDARD: ("standard_deviations", "fix_method"),
    Method.ROBUST: ("lower_quantile", "upper_quantile", "standard_deviations", "fix_method"),
    Method.QUANTILE: ("lower_quantile", "upper_quantile", "fix_method"),
}
_QUANTILES = {Method.ROBUST: (0.25, 0.75), Method.QUANTILE: (0.01, 0.99)}


class _Bounded(Step):
    """What steps have in common that know bounds."""

    columns: Names
    fix: Fix = Fix.CLIP
    keep_missing: bool = False
    output: str = ""

    def _bounds(self, state: State) -> dict[str, list[float]]:
        """Lower and upper by column."""
        raise NotImplementedError

    def calls(self, state: State) -> list[Call]:
        """One call for all columns; one without any value stays as it is."""
        bounds = self._bounds(state)
        if not bounds:
            return []
        if self.fix is Fix.REMOVE:
            kept = {"keep_missing": True} if self.keep_missing else {}
            return [Call.of(remove_outliers, bounds=bounds, **kept)]
        function = clip_outliers if self.fix is Fix.CLIP else invalidate_outliers
        outputs = output_names(self.columns, self.output)
        return [Call.of(function, columns={one: outputs[one] for one in bounds}, bounds=bounds)]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """What goes though it is no outlier."""
        bounds = self._bounds(state)
        if self.fix is Fix.REMOVE and not self.keep_missing:
            return {
                f"rows go because {one} is null or NaN, which is no outlier": is_missing(frame, one)
                for one in bounds
            }
        if self.fix is Fix.INVALIDATE:
            return {
                f"values of {one} are NaN and become null": fn.isnan(at(one).cast("double"))
                for one in bounds
            }
        return {}


class Outliers(_Bounded):
    """Treat numbers far off the others.

    Args:
        columns: Which.
        method: ``standard_deviation``: so many of them off the mean; ``robust_standard_deviation``:
            the same, of the values between the quantiles; ``quantile``: outside of the quantiles.
        standard_deviations: How many.
        lower_quantile: Of robust (0.25) and quantile (0.01).
        upper_quantile: Of robust (0.75) and quantile (0.99).
        fix: ``clip`` to the bounds, as double; ``remove`` the row; ``invalidate``, make it null.
        keep_missing: Of ``remove``: rows with null and NaN stay. Data Wrangler removes them.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "outliers"
    flow: ClassVar[tuple[tuple[str, str], ...]] = tuple(
        ("handle_outliers", one) for one in _METHODS
    )
    fits: ClassVar[bool] = True

    method: Method = Method.STANDARD
    standard_deviations: Annotated[float, Field(gt=0)] = 4.0
    lower_quantile: Share | None = None
    upper_quantile: Share | None = None

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        wanted = ("standard_deviations", "lower_quantile", "upper_quantile")
        return cls(
            columns=names(block.get("input_column")),
            method=_METHODS[choice],
            fix=Fix(str(block.get("fix_method", "Clip")).lower()),
            output=block.get("output_column", ""),
            **{one: block[one] for one in wanted if one in block},
        )

    @property
    def _quantiles(self) -> list[float]:
        low, high = _QUANTILES[self.method]
        return [
            low if self.lower_quantile is None else self.lower_quantile,
            high if self.upper_quantile is None else self.upper_quantile,
        ]

    def fit(self, frame: DataFrame) -> State:
        """Bounds by column, null where there is no finite value.

        One pass over all columns; of ``remove``, where a column's bounds are those of the rows that
        the columns before it leave, as in Data Wrangler, one a column.
        """
        check_columns(self.kind, self.columns, frame.columns)
        text = [one for one in self.columns if not is_number(frame, one)]
        if text:
            raise UsageError(f"{self.kind}: {listed(text)} holds no numbers", "Parse it before")
        if self.fix is not Fix.REMOVE or len(self.columns) == 1:
            return self._found(frame, self.columns)
        found: dict[str, list[float] | None] = {}
        for column in self.columns:
            found |= self._found(frame, (column,))
            bounds = found[column]
            if bounds:
                frame = remove_outliers(frame, {column: bounds}, keep_missing=self.keep_missing)
        return found

    def _found(self, frame: DataFrame, columns: tuple[str, ...]) -> dict[str, list[float] | None]:
        places = [f"c{n}" for n in range(len(columns))]
        pairs = list(zip(columns, places, strict=True))
        values = frame.select(*[number(column).alias(place) for column, place in pairs])
        if self.method is Method.STANDARD:
            return dict(zip(columns, self._spread(values, places), strict=True))
        low_high = values.approxQuantile(places, self._quantiles, _QUANTILE_ERROR)
        if self.method is Method.QUANTILE:
            return {one: bounds or None for one, bounds in zip(columns, low_high, strict=True)}
        inner = values.select(
            *[
                (fn.when(fn.col(place).between(*bounds), fn.col(place)) if bounds else fn.lit(None))
                .cast("double")
                .alias(place)
                for place, bounds in zip(places, low_high, strict=True)
            ]
        )
        return dict(zip(columns, self._spread(inner, places), strict=True))

    def _spread(self, values: DataFrame, places: list[str]) -> list[list[float] | None]:
        """Mean ± so many deviations; a single value deviates by nothing."""
        wanted = [one for place in places for one in (fn.mean(place), fn.stddev(place))]
        row = list(values.agg(*wanted).collect()[0])
        return [
            None
            if mean is None
            else [
                mean - self.standard_deviations * (deviation or 0.0),
                mean + self.standard_deviations * (deviation or 0.0),
            ]
            for mean, deviation in zip(row[::2], row[1::2], strict=True)
        ]

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """Two bounds a column."""
        choice = next(name for name, one in _METHODS.items() if one is self.method)
        written = chosen(parameters, choice)
        hashed = {one: written.get(one) for one in _HASHED[self.method]}
        block = trained.get(block_name(choice)) or {}
        found = {}
        for column, one in stored_state.per_column(block, self.columns).items():
            stored_state.check_hash(one, hashed)
            low, high = one.get("lower_threshold"), one.get("upper_threshold")
            if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
                raise Stale(f"no bounds are stored for {column}")
            found[column] = [float(low), float(high)]
        return found

    def _bounds(self, state: State) -> dict[str, list[float]]:
        return {one: state[one] for one in self.columns if state[one]}

    def sentence(self) -> str:
        """One sentence."""
        how = self.method.value.replace("_", " ")
        if self.method is not Method.QUANTILE:
            how = f"{self.standard_deviations:g} times the {how}"
        return f"{self.fix.value.capitalize()} outliers of {listed(self.columns)} ({how})"


class Limits(_Bounded):
    """Treat numbers outside of two given bounds.

    Args:
        columns: Which.
        lower: The least that is none.
        upper: The greatest that is none.
        fix: ``clip`` to the bounds, as double; ``remove`` the row; ``invalidate``, make it null.
        keep_missing: Of ``remove``: rows with null and NaN stay. Data Wrangler removes them.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "limits"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("handle_outliers", "Min-max numeric outliers"),)

    lower: float
    upper: float

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Settings of the one block."""
        block = chosen(parameters, choice)
        return cls(
            columns=names(block.get("input_column")),
            lower=block["lower_threshold"],
            upper=block["upper_threshold"],
            fix=Fix(str(block.get("fix_method", "Clip")).lower()),
            output=block.get("output_column", ""),
        )

    def _bounds(self, state: State) -> dict[str, list[float]]:
        return {one: [self.lower, self.upper] for one in self.columns}

    def sentence(self) -> str:
        """One sentence."""
        what = f"{listed(self.columns)} outside of {self.lower:g} to {self.upper:g}"
        return f"{self.fix.value.capitalize()} values of {what}"


STEPS: tuple[type[Step], ...] = (Outliers, Limits)
