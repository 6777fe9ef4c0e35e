"""Fill what is missing in time series, along a column or inside a cell (facts: wrangler, 4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from pydantic import model_validator
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, keep, kind, put
from penstock.wrangle.operators.filling_cells import fill_cells
from penstock.wrangle.series import in_time, known_value, of_series, said_of
from penstock.wrangle.step import Step, chosen


def fill_series(
    frame: DataFrame,
    *,
    column: str,
    by: list[str],
    time: str,
    strategy: str,
    value: str,
    leftovers: str,
    output: str,
) -> DataFrame:
    """Fill a column's missing values by those before and after them in the same series."""
    known = known_value(frame, column)
    if strategy == "constant":
        return put(frame, {output: fn.coalesce(known, fn.lit(value).cast(kind(frame, column)))})
    if strategy == "most_common":
        joined = with_most_common(frame, known, by)
        filled = put(joined, {output: fn.coalesce(known, "__common")})
        filled = keep(filled, list(dict.fromkeys([*frame.columns, output])))
    else:
        order = in_time(frame, by, time)
        place = fn.row_number().over(order)
        if strategy == "time":
            place = fn.unix_micros(at(time).cast("timestamp"))
        placed = put(frame, {"__known": known, "__place": place.cast("double")})
        found = filled_between(order, strategy, leftovers)
        filled = put(placed, {output: found}).drop("__known", "__place")
    return filled.where(at(output).isNotNull()) if leftovers == "drop" else filled


def filled_between(order: WindowSpec, strategy: str, leftovers: str) -> Column:
    """``__known`` where there is one, else by those before and after it and their ``__place``.

    Nearest takes the one before where both are as far.
    """
    upto = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    onward = order.rowsBetween(Window.currentRow, Window.unboundedFollowing)
    known, place = fn.col("__known"), fn.col("__place")
    where = fn.when(known.isNotNull(), place)
    before = fn.last(known, ignorenulls=True).over(upto)
    after = fn.first(known, ignorenulls=True).over(onward)
    low = fn.last(where, ignorenulls=True).over(upto)
    high = fn.first(where, ignorenulls=True).over(onward)
    if strategy in ("linear", "time"):
        before, after, known = (one.cast("double") for one in (before, after, known))
    if strategy in ("forward", "backward"):
        found = before if strategy == "forward" else after
    elif strategy == "nearest":
        inner = fn.when(place - low <= high - place, before).otherwise(after)
        found = fn.when(low.isNotNull() & high.isNotNull(), inner)
    else:
        share = fn.coalesce((place - low) / fn.when(high > low, high - low), fn.lit(0.0))
        found = before + (after - before) * share
    found = fn.coalesce(known, found)
    return fn.coalesce(found, before, after) if leftovers == "fill" else found


def with_most_common(frame: DataFrame, known: Column, by: list[str]) -> DataFrame:
    """``__common``: the value a series has most often; of several, the least."""
    keys = [f"__by{n}" for n in range(len(by))]
    parts = [at(one).alias(key) for one, key in zip(by, keys, strict=True)]
    counts = frame.select(*parts, known.alias("__value")).where(fn.col("__value").isNotNull())
    counts = counts.groupBy(*keys, "__value").count()
    best = fn.min(fn.struct((-fn.col("count")).alias("count"), "__value"))["__value"]
    common = counts.groupBy(*keys).agg(best.alias("__common"))
    if not by:
        return frame.crossJoin(common)
    same = [at(one).eqNullSafe(fn.col(key)) for one, key in zip(by, keys, strict=True)]
    return frame.join(common, same, "left")


class Strategy(Enum):
    """What to fill with."""

    CONSTANT = "constant"
    MOST_COMMON = "most_common"
    FORWARD = "forward"
    BACKWARD = "backward"
    LINEAR = "linear"
    TIME = "time"
    NEAREST = "nearest"


class Leftovers(Enum):
    """What to do with values that a strategy cannot fill."""

    FILL = "fill"
    DROP = "drop"
    KEEP = "keep"


class FillSeries(Step):
    """Fill what is missing in time series.

    Args:
        column: Which.
        inside: Whether each cell holds a series, as an array; else the column is one, along rows.
        time: The column that orders a series along rows.
        by: The columns that tell series along rows apart; all rows are one without any.
        strategy: With what: a constant; the value the series has most often, the least of several;
            the last one before; the first one after; between both by their distance in rows, or in
            time; the nearer of both.
        value: The constant.
        leftovers: What no strategy fills, such as what is before the first value of a series:
            'fill' with the nearest before, or else after; 'drop' the row; 'keep'.
        output: Name of the result; in place by default.
    """

    kind: ClassVar[str] = "fill_series"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Handle missing"),)
    waits_for: ClassVar[str] = "a series is known when all its rows are there"

    column: str
    inside: bool = False
    time: str = ""
    by: tuple[str, ...] = ()
    strategy: Strategy
    value: str = ""
    leftovers: Leftovers = Leftovers.FILL
    output: str = ""

    @model_validator(mode="after")
    def _of_a_kind(self) -> FillSeries:
        if self.inside == bool(self.time) or (self.inside and self.by):
            raise ValueError(
                "a series along rows has a time, one inside a cell neither that nor by"
            )
        if self.inside and self.strategy is Strategy.TIME:
            raise ValueError("a cell has no times to go by")
        return self

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Keys begin with ``hmac_`` along a column; those inside a cell were not observed."""
        block = chosen(parameters, choice)
        kind_ = str(block.get("hm_input_type") or "Along column")
        own = _bare(chosen(block, f"hm_input_type_{kind_}"))
        name = str(own.get("strategy") or "")
        details = _bare(own.get(f"strategy_{name}_parameters") or {})
        settings: dict[str, Any] = {
            "column": own.get("sequence_column") or "",
            "inside": not kind_.lower().startswith("along"),
            "strategy": _strategy(name, details),
            "value": str(details.get("custom_value", "")),
            "leftovers": _leftovers(str(own.get("leftovernans") or "")),
            "output": own.get("output_column") or "",
        }
        if not settings["inside"]:
            series = of_series(own)
            settings.update(by=series["by"], time=series.get("time", ""))
        return cls(**settings)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        told = {
            "column": self.column,
            "strategy": self.strategy.value,
            "value": self.value,
            "leftovers": self.leftovers.value,
            "output": self.output or self.column,
        }
        if self.inside:
            return [Call.of(fill_cells, **told)]
        return [Call.of(fill_series, by=list(self.by), time=self.time, **told)]

    def sentence(self) -> str:
        """One sentence."""
        words = {
            Strategy.CONSTANT: f"with {self.value}",
            Strategy.MOST_COMMON: "with the most common",
            Strategy.FORWARD: "with the last before",
            Strategy.BACKWARD: "with the first after",
            Strategy.NEAREST: "with the nearest",
        }
        how = words.get(self.strategy, "between those before and after")
        where = f"inside each {self.column}" if self.inside else f"along {self.column}"
        return f"Fill missing values {where}{said_of(self.by)} {how}"


def _bare(block: Mapping[str, Value]) -> dict[str, Value]:
    """Keys without what Data Wrangler puts before them: ``hmac_id_column`` is ``id_column``."""
    return {key.partition("_")[2]: one for key, one in block.items() if key.startswith("hm")}


def _strategy(name: str, details: Mapping[str, Value]) -> Strategy:
    """Of a name as people see it, 'Constant Value'.

    Raises:
        NotImplementedError: An interpolation of SciPy.
    """
    first = name.lower().split(" ", maxsplit=1)[0]
    known = {
        "constant": Strategy.CONSTANT,
        "most": Strategy.MOST_COMMON,
        "forward": Strategy.FORWARD,
        "backward": Strategy.BACKWARD,
    }
    if first in known:
        return known[first]
    technique = str(details.get("interpolation_technique") or "linear")
    between_ = {"linear": Strategy.LINEAR, "time": Strategy.TIME, "nearest": Strategy.NEAREST}
    if first != "interpolate" or technique not in between_:
        raise NotImplementedError(f"filling by {name} ({technique}) is not done")
    return between_[technique]


def _leftovers(text: str) -> Leftovers:
    """Only 'Fill with Forward/Backward feed' was observed."""
    if "drop" in text.lower():
        return Leftovers.DROP
    return Leftovers.FILL if not text or "fill" in text.lower() else Leftovers.KEEP


STEPS: tuple[type[Step], ...] = (FillSeries,)
