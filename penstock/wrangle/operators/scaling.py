"""Scale numbers: standard, robust, min-max, max-absolute (facts: wrangler, 1.2 and 4).

What Spark's scalers do, column by column, as plain arithmetic in their order of operations, so that
the last bit is theirs too. The result is double; NaN and null both give NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar

from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Summarizer
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as fn

from penstock.wrangle import trained as stored_state
from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.step import (
    Names,
    Share,
    Step,
    block_name,
    check_columns,
    chosen,
    listed,
    names,
    output_names,
)

_QUANTILE_ERROR = 0.001  # that of Spark's RobustScaler


def scale_columns(
    frame: DataFrame,
    columns: dict[str, str],
    offsets: dict[str, float],
    factors: dict[str, float],
    bases: dict[str, float],
) -> DataFrame:
    """``(value - offset) * factor + base`` as double, into the column named; null gives NaN."""
    made = {}
    for column, output in columns.items():
        value = fn.coalesce(at(column).cast("double"), fn.lit(float("nan")))
        made[output] = (value - offsets[column]) * factors[column] + bases[column]
    return put(frame, made)


class Scaler(Enum):
    """How to scale."""

    STANDARD = "standard"
    ROBUST = "robust"
    MIN_MAX = "min_max"
    MAX_ABSOLUTE = "max_absolute"


#: As ``.flow`` files name them, and the settings whose names differ there.
_SCALERS = {
    "Standard scaler": Scaler.STANDARD,
    "Robust scaler": Scaler.ROBUST,
    "Min-max scaler": Scaler.MIN_MAX,
    "Max absolute scaler": Scaler.MAX_ABSOLUTE,
}
#: Fields of Spark's stored models, and what we call them.
_PLACES = {
    "originalMin": "min",
    "originalMax": "max",
    "maxAbs": "absolute",
    "mean": "mean",
    "std": "std",
    "median": "median",
    "range": "range",
}
_BLOCK = "scale_values_parameters"
_RENAMED = {"min": "minimum", "max": "maximum"}


class Scale(Step):
    """Scale columns of numbers.

    Args:
        columns: Which.
        scaler: How.
        center: Of standard (by the mean) and robust (by the median): whether values are centred.
        scale: Of standard (by the standard deviation) and robust (by the range of the quantiles):
            whether values are divided.
        lower_quantile: Of robust.
        upper_quantile: Of robust.
        minimum: Of min-max: what the least value becomes.
        maximum: Of min-max: what the greatest becomes.
        output: Column of the result; a prefix with several columns; in place where it is empty.
    """

    kind: ClassVar[str] = "scale"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("process_numeric", "Scale values"),)
    fits: ClassVar[bool] = True

    columns: Names
    scaler: Scaler = Scaler.STANDARD
    center: bool = False
    scale: bool = True
    lower_quantile: Share = 0.25
    upper_quantile: Share = 0.75
    minimum: float = 0.0
    maximum: float = 1.0
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """``scaler`` names a block within the block."""
        block = chosen(parameters, choice)
        name = str(block.get("scaler", "Standard scaler"))
        own = chosen(block, name)
        columns, output = names(own.pop("input_column", "")), own.pop("output_column", "")
        settings = {_RENAMED.get(key, key): value for key, value in own.items()}
        return cls(columns=columns, scaler=_SCALERS[name], output=output, **settings)

    def fit(self, frame: DataFrame) -> State:
        """One pass over all columns; NaN and null of a column do not count in it."""
        check_columns(self.kind, self.columns, frame.columns)
        if self.scaler is Scaler.ROBUST:
            return self._quantiles(frame)
        standard = self.scaler is Scaler.STANDARD
        asked, found = (_moments, _spread) if standard else (_extremes, _range)
        row = frame.agg(*[asked(one) for one in self.columns]).first()
        assert row is not None  # an aggregate without groups is one row
        return {column: found(row[n]) for n, column in enumerate(self.columns)}

    def _quantiles(self, frame: DataFrame) -> State:
        places = [str(n) for n in range(len(self.columns))]
        pairs = zip(self.columns, places, strict=True)
        values = frame.select(*[_number(column).alias(place) for column, place in pairs])
        wanted = [self.lower_quantile, 0.5, self.upper_quantile]
        found = values.approxQuantile(places, wanted, _QUANTILE_ERROR)
        return {
            column: {"median": one[1], "range": one[2] - one[0]} if one else None
            for column, one in zip(self.columns, found, strict=True)
        }

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """A scaler model for each column."""
        written = chosen(parameters, "Scale values")
        name = str(written.get("scaler", "Standard scaler"))
        own = chosen(written, name)
        block = (trained.get(_BLOCK) or {}).get(block_name(name))
        return {
            column: _stored(one, {"input_column": column, **_hashed(self.scaler, own)})
            for column, one in stored_state.per_column(block, self.columns).items()
        }

    def calls(self, state: State) -> list[Call]:
        """One call for all columns."""
        lines = {one: self._line(state[one]) for one in self.columns}
        return [
            Call.of(
                scale_columns,
                columns=output_names(self.columns, self.output),
                offsets={one: line[0] for one, line in lines.items()},
                factors={one: line[1] for one, line in lines.items()},
                bases={one: line[2] for one, line in lines.items()},
            )
        ]

    def _line(self, found: Mapping[str, float] | None) -> tuple[float, float, float]:
        """Offset, factor and base of a column; one without any value stays as it is."""
        if found is None:
            return 0.0, 1.0, 0.0
        if self.scaler is Scaler.MIN_MAX:
            width, wanted = found["max"] - found["min"], self.maximum - self.minimum
            if not width:
                return 0.0, 0.0, (self.minimum + self.maximum) / 2
            return found["min"], wanted / width, self.minimum
        if self.scaler is Scaler.MAX_ABSOLUTE:
            greatest = found["absolute"]
            return 0.0, 1 / greatest if greatest else 1.0, 0.0
        standard = self.scaler is Scaler.STANDARD
        middle, width = (
            (found["mean"], found["std"]) if standard else (found["median"], found["range"])
        )
        factor = (1 / width if width else 0.0) if self.scale else 1.0
        return (middle if self.center else 0.0), factor, 0.0

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Nulls, and text that is no number."""
        return {
            f"values of {one} are null or no numbers and become NaN": at(one)
            .cast("double")
            .isNull()
            for one in self.columns
        }

    def sentence(self) -> str:
        """One sentence."""
        return f"Scale {listed(self.columns)} ({self.scaler.value.replace('_', '-')})"


def _number(column: str) -> Column:
    """As double; null where it is none."""
    value = at(column).cast("double")
    return fn.when(~fn.isnan(value), value)


def _extremes(column: str) -> Column:
    """Least and greatest, which are no matter of arithmetic: plain aggregates will do."""
    value = _number(column)
    return fn.struct(fn.min(value).alias("min"), fn.max(value).alias("max"))


def _range(row: Row) -> State | None:
    """Of one column's extremes; None without any value."""
    if row["min"] is None:
        return None
    return {
        "min": row["min"],
        "max": row["max"],
        "absolute": max(abs(row["min"]), abs(row["max"])),
    }


def _moments(column: str) -> Column:
    """Spark's own summary, as its StandardScaler takes it; what is no number weighs nothing."""
    value = _number(column)
    vector = array_to_vector(fn.array(fn.coalesce(value, fn.lit(0.0))))
    weight = value.isNotNull().cast("double")
    return Summarizer.metrics("mean", "std", "count").summary(vector, weight)


def _spread(row: Row) -> State | None:
    """Of one column's summary; None without any value."""
    if not row["count"]:
        return None
    return {name: float(row[name][0]) for name in ("mean", "std")}


def _hashed(scaler: Scaler, own: Mapping[str, Value]) -> dict[str, Value]:
    """Settings that Data Wrangler hashes beside the column, as they are written."""
    wanted = {
        Scaler.STANDARD: ("center", "scale"),
        Scaler.ROBUST: ("center", "scale", "lower_quantile", "upper_quantile"),
        Scaler.MIN_MAX: ("min", "max"),
        Scaler.MAX_ABSOLUTE: (),
    }
    return {one: own.get(one) for one in wanted[scaler]}


def _stored(block: Mapping[str, Value], hashed: Mapping[str, Value]) -> State:
    stored_state.check_hash(block, hashed)
    row = stored_state.model(block.get("scaler_model")).rows[0]
    return {_PLACES[key]: stored_state.dense(one)[0] for key, one in row.items()}


STEPS: tuple[type[Step], ...] = (Scale,)
