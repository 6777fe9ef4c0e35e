"""Timestamps of time series: whether they are any, and new ones (facts: wrangler, 1.2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, Field
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as fn

from penstock.wrangle.call import Call, State, Value
from penstock.wrangle.columns import at, put
from penstock.wrangle.instants import DAY_US, FIXED_US, instant_at, unit_of
from penstock.wrangle.operators.resampling import Unit, frequency_of
from penstock.wrangle.rows import row_hash
from penstock.wrangle.series import instant_of
from penstock.wrangle.step import Step, chosen, names


def validate_timestamps(
    frame: DataFrame, *, time: str, policy: str, cast: bool, output: str
) -> DataFrame:
    """Rows whose time is none are dropped, marked in a column, or end the job.

    With ``cast`` the column becomes a timestamp.
    """
    instant = at(time).cast("timestamp")
    if policy == "drop":
        frame = frame.where(instant.isNotNull())
    elif policy == "fail":
        text = fn.lit(f"a row has no valid {time}")
        frame = frame.where(instant.isNotNull() | fn.raise_error(text).cast("boolean"))
    made = {time: instant} if cast else {}
    return put(frame, {**made, output: instant.isNull()} if policy == "mark" else made)


def add_instants(
    frame: DataFrame, *, start: str, unit: str, quantity: int, order: str, output: str
) -> DataFrame:
    """A timestamp for each row, so many units after that of the row before it.

    The first is ``start``; of weeks and months, the first such day from ``start`` on, at its hour.
    """
    from datetime import datetime, timedelta

    since = datetime.fromisoformat(start) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    begin = since // timedelta(microseconds=1)
    if order:
        # Text that is no instant goes by its letters.
        by = [instant_of(frame, order), at(order), row_hash(frame, [], 0)]
        placed = frame.withColumn("__place", fn.row_number().over(Window.orderBy(*by)))
    else:
        read = frame.withColumn("__read", fn.monotonically_increasing_id())
        place = fn.row_number().over(Window.orderBy("__read"))
        placed = read.withColumn("__place", place).orderBy("__read").drop("__read")
    later = (fn.col("__place") - 1).cast("bigint") * quantity
    if unit in FIXED_US:
        moment = fn.timestamp_micros(later * FIXED_US[unit] + begin)
    else:
        clock = begin % DAY_US
        day = fn.timestamp_micros(fn.lit(begin - clock))
        first = unit_of(day, unit)
        first = first + (instant_at(first, unit) < day).cast("bigint")
        moment = fn.timestamp_micros(fn.unix_micros(instant_at(first + later, unit)) + clock)
    return put(placed, {output: moment}).drop("__place")


class Policy(Enum):
    """What happens to a row whose time is none."""

    DROP = "drop"
    MARK = "mark"
    FAIL = "fail"


#: 'drop' was observed; AWS's guide tells of the others: drop, identify, throw an error.
_POLICIES = {
    "drop": Policy.DROP,
    "indicate": Policy.MARK,
    "indicator": Policy.MARK,
    "identify": Policy.MARK,
    "mark": Policy.MARK,
    "error": Policy.FAIL,
    "raise": Policy.FAIL,
    "throw": Policy.FAIL,
}


class ValidateTimestamps(Step):
    """Find rows whose time is missing or is no timestamp.

    Args:
        time: The column.
        policy: 'drop' them; 'mark' them, true in a new column; 'fail' ends the job at the first.
        cast: Whether text becomes a timestamp.
        output: Of mark: the new column, ``<time>_invalid`` by default.
    """

    kind: ClassVar[str] = "validate_timestamps"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Validate timestamps"),)

    time: str
    policy: Policy = Policy.DROP
    cast: bool = False
    output: str = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Whether text is cast was not observed."""
        block = chosen(parameters, choice)
        return cls(
            time=block.get("timestamp_column") or "",
            policy=_POLICIES[str(block.get("policy") or "drop").lower().split(" ")[0]],
            cast=bool(block.get("cast_to_datetime", False)),
            output=block.get("output_column") or "",
        )

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [
            Call.of(
                validate_timestamps,
                time=self.time,
                policy=self.policy.value,
                cast=self.cast,
                output=self.output or f"{self.time}_invalid",
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows that are dropped."""
        if self.policy is not Policy.DROP:
            return {}
        return {f"rows have no valid {self.time} and are dropped": _invalid(self.time)}

    def sentence(self) -> str:
        """One sentence."""
        verb = {Policy.DROP: "Drop", Policy.MARK: "Mark", Policy.FAIL: "Refuse"}[self.policy]
        return f"{verb} rows whose {self.time} is no timestamp"


class DatetimeRange(Step):
    """Give rows timestamps that follow each other evenly.

    Args:
        start: The first row's instant.
        unit: A step's unit.
        quantity: How many units a step is.
        order: A column that orders the rows, text that is no instant by its letters; the order they
            are read in without one.
        output: Name of the new column.
    """

    kind: ClassVar[str] = "datetime_range"
    flow: ClassVar[tuple[tuple[str, str], ...]] = (("time_series", "Datetime range"),)
    waits_for: ClassVar[str] = "which rows are first is known when all are there"

    start: AwareDatetime
    unit: Unit
    quantity: Annotated[int, Field(ge=1)] = 1
    order: str = ""
    output: str

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """Not observed in public flows: keys as of the other time series operators."""
        block = chosen(parameters, choice)
        start = str(block.get("start_timestamp") or block.get("starting_timestamp") or "")
        order, *_ = (*names(block.get("timestamp_column")), "")
        settings: dict[str, Any] = {
            "start": start if "+" in start or start.endswith("Z") else f"{start}Z",
            **frequency_of(block),
            "order": order,
            "output": block.get("output_column") or "",
        }
        return cls(**settings)

    def calls(self, state: State) -> list[Call]:
        """One call."""
        return [
            Call.of(
                add_instants,
                start=self.start.isoformat(),
                unit=self.unit,
                quantity=self.quantity,
                order=self.order,
                output=self.output,
            )
        ]

    def cautions(self) -> list[str]:
        """Rows have no order that lasts."""
        if self.order:
            return []
        return ["the order of rows is that of the files as they are read: name a column instead"]

    def sentence(self) -> str:
        """One sentence."""
        unit = self.unit.partition("_")[0]
        step = unit if self.quantity == 1 else f"{self.quantity} {unit}s"
        return f"Add {self.output}, one {step} after another from {self.start.isoformat()}"


def _invalid(column: str) -> Column:
    return at(column).cast("timestamp").isNull()


STEPS: tuple[type[Step], ...] = (DatetimeRange, ValidateTimestamps)
