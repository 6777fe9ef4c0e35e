"""Give rows an event time: from a column, from several, or one instant for all of them.

Data Wrangler has no such step, and people take the clock: 7 of 35 public flows (facts: wrangler,
0). Then the same rows come out later at every run, and an old state hides a newer one. Here the
instant for all rows is a setting, which a person gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field, ValidationError, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.errors import UsageError
from penstock.wrangle.call import Call, State
from penstock.wrangle.columns import at, kind, put
from penstock.wrangle.flow import Flow, Node
from penstock.wrangle.step import Step

_PARTS = ("year", "month", "day", "hour", "minute", "second")


def add_event_time(
    frame: DataFrame,
    column: str,
    parts: dict[str, str],
    pattern: str,
    zone: str,
    instant: str,
    write: str,
    output: str,
) -> DataFrame:
    """An event time, from a column, or from parts, or the same for all rows.

    Args:
        frame: Rows.
        column: Instants, dates, text, or epoch seconds; empty where it does not come from one.
        parts: Columns of year, month and day, and of hour, minute, second if any.
        pattern: How text writes it, in Spark's letters; ISO 8601 where it is empty.
        zone: IANA name of the zone that text without one, and parts, are in.
        instant: Of all rows, ISO 8601 with Z or an offset.
        write: text (UTC, seconds), text_millis (UTC, milliseconds), or seconds (since 1970).
        output: Column of the result.
    """
    if column:
        found = instant_of_column(frame, column, pattern, zone)
    elif parts:
        found = instant_of_parts(parts, zone)
    else:
        found = fn.lit(instant).cast("timestamp")
    if write == "seconds":
        return put(frame, {output: fn.unix_micros(found) / 1_000_000})
    wanted = "yyyy-MM-dd'T'HH:mm:ss" + (".SSS'Z'" if write == "text_millis" else "'Z'")
    # In the zone of the session that makes the plan, UTC. Not by current_timezone(): Spark asks for
    # that when the rows are computed, which may be in another session's zone.
    return put(frame, {output: fn.date_format(found, wanted)})


def instant_of_column(frame: DataFrame, column: str, pattern: str, zone: str) -> Column:
    """A column as a timestamp; null where it says none."""
    type_name, value = kind(frame, column), at(column)
    if type_name in ("timestamp", "date", "timestamp_ntz"):
        return value.cast("timestamp")
    if type_name != "string":
        micros = fn.round(value.cast("double") * 1_000_000).cast("bigint")
        return fn.timestamp_micros(micros)
    if pattern:
        found = fn.to_timestamp(value, pattern)
        zoned = fn.lit(any(letter in pattern for letter in "XxZVOz"))
    else:
        found = value.cast("timestamp")
        zoned = value.rlike(r"(Z|[+-]\d{2}:?\d{2})\s*$")
    return fn.when(zoned, found).otherwise(fn.to_utc_timestamp(found, zone))


def instant_of_parts(parts: dict[str, str], zone: str) -> Column:
    """A timestamp of columns of numbers; null where they say none, as hour 24."""
    number = {one: at(column).cast("int") for one, column in parts.items()}
    day = fn.make_date(number["year"], number["month"], number["day"])
    micros = fn.datediff(day, fn.lit("1970-01-01").cast("date")).cast("bigint") * 86_400_000_000
    for part, most, seconds in (("hour", 24, 3_600), ("minute", 60, 60), ("second", 60, 1)):
        if part in number:
            value = fn.when(number[part].between(0, most - 1), number[part])
            micros = micros + value.cast("bigint") * (seconds * 1_000_000)
    return fn.to_utc_timestamp(fn.timestamp_micros(micros), zone)


class Write(Enum):
    """How the service gets it."""

    TEXT = "text"
    TEXT_MILLIS = "text_millis"
    SECONDS = "seconds"


class EventTime(Step):
    """Give rows an event time; exactly one of ``column``, ``parts`` and ``instant`` says which.

    Args:
        column: Instants, dates, text, or epoch seconds.
        pattern: How its text writes it, in Spark's letters; ISO 8601 where it is empty.
        parts: Columns by part: year, month, day, and hour, minute, second if there are.
        instant: One for all rows, ISO 8601 with Z or an offset: what a person gives, no clock.
        zone: IANA name of the zone that text without one, and parts, are in.
        write: UTC text to the second or to the millisecond (String), or epoch seconds (Fractional).
        output: Column of the result.
    """

    kind: ClassVar[str] = "event_time"

    column: str = ""
    pattern: str = ""
    parts: Mapping[str, str] = {}
    instant: Annotated[
        str, Field(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))?$")
    ] = ""
    zone: str = "UTC"
    write: Write = Write.TEXT
    output: Annotated[str, Field(min_length=1)] = "event_time"

    @model_validator(mode="after")
    def _one_origin(self) -> EventTime:
        if bool(self.column) + bool(self.parts) + bool(self.instant) > 1:
            raise ValueError("event time comes from one of column, parts and instant")
        unknown = [one for one in self.parts if one not in _PARTS]
        lacking = [one for one in _PARTS[:3] if self.parts and one not in self.parts]
        if unknown or lacking:
            raise ValueError(f"parts are {', '.join(_PARTS)}, and the first three are needed")
        return self

    def calls(self, state: State) -> list[Call]:
        """One call.

        Raises:
            UsageError: Nothing says which.
        """
        if not (self.column or self.parts or self.instant):
            raise UsageError(
                f"{self.kind}: nothing says when the rows are of",
                "Name a column, columns of its parts, or an instant such as 2026-01-31T00:00:00Z",
            )
        return [
            Call.of(
                add_event_time,
                column=self.column,
                parts=dict(self.parts),
                pattern=self.pattern,
                zone=self.zone,
                instant=self.instant,
                write=self.write.value,
                output=self.output,
            )
        ]

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Rows that have none."""
        if self.instant:
            return {}
        found = (
            instant_of_column(frame, self.column, self.pattern, self.zone)
            if self.column
            else instant_of_parts(dict(self.parts), self.zone)
        )
        return {f"rows have no {self.output}": found.isNull()}

    def sentence(self) -> str:
        """One sentence."""
        if self.parts:
            return f"Make {self.output} of {', '.join(self.parts.values())}"
        return f"Make {self.output} of {self.column or self.instant or '(not said)'}"


def given_instant(flow: Flow, instant: str) -> Flow:
    """The flow with an instant for its event_time steps that name nothing.

    Raises:
        UsageError: It has none, or the instant is no ISO 8601 with Z or an offset.
    """
    nodes = [_given(node, instant) for node in flow.nodes]
    if nodes == list(flow.nodes):
        raise UsageError(f"{flow.name}: no event_time step waits for an instant")
    return replace(flow, nodes=tuple(nodes))


def _given(node: Node, instant: str) -> Node:
    step = node.does
    if not isinstance(step, EventTime) or step.column or step.parts or step.instant:
        return node
    try:
        return replace(node, does=EventTime(**{**dict(step), "instant": instant}))
    except ValidationError as error:
        raise UsageError(
            f"{instant!r} is no instant", "Write it as 2026-01-31T00:00:00Z"
        ) from error


STEPS: tuple[type[Step], ...] = (EventTime,)
