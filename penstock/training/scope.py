"""What a build is made of: labels of a range of moments, rows that were written by an instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.encoding.instants import micros_of
from penstock.errors import UsageError
from penstock.training.asof import nanoseconds
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MOST = 2**63 - 1  # further instants are as good as none: no moment lies beyond 1678 to 2262


@dataclass(frozen=True)
class Scope:
    """Which labels, and which rows of the offline tables.

    Args:
        start: Labels whose moment is at or after it; None for all.
        end: Labels whose moment is before it; None for all.
        as_of: Rows of any offline table whose ``write_time`` is at or before it; None for all.

    Raises:
        UsageError: An instant has no zone, or the end is not after the start.
    """

    start: datetime | None = None
    end: datetime | None = None
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        for name, at in vars(self).items():
            if at is not None and at.utcoffset() is None:
                message = f"{name.replace('_', '-')} {at.isoformat()} has no time zone"
                raise UsageError(message, "Write it like 2013-07-01T00:00:00Z")
        if self.start is not None and self.end is not None and self.end <= self.start:
            message = f"the end {self.end.isoformat()} is not after the start"
            raise UsageError(message, f"Name one after {self.start.isoformat()}")

    def plain(self) -> dict[str, str | None]:
        """A JSON form: equal instants are equal texts."""
        return {
            name: at and at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
            for name, at in vars(self).items()
        }

    @property
    def ranges(self) -> bool:
        """Whether it leaves labels out by their moment."""
        return (self.start, self.end) != (None, None)

    @property
    def first(self) -> int:
        """Nanoseconds since the epoch of the earliest moment."""
        return -_MOST if self.start is None else _nanos(self.start)

    @property
    def after(self) -> int | None:
        """Nanoseconds since the epoch before which moments are; None where there is no end."""
        return None if self.end is None else _nanos(self.end)

    @property
    def written(self) -> int | None:
        """Nanoseconds since the epoch of the latest ``write_time``; None where any will do."""
        return None if self.as_of is None else _nanos(self.as_of)


EVERYTHING = Scope()


def within(labels: DataFrame, time: str, scope: Scope) -> DataFrame:
    """The labels whose moments are in the range. A label without a moment fails the build.

    Args:
        labels: One row a label.
        time: Their column of moments: timestamps, ISO text or epoch seconds.
        scope: The range.
    """
    if not scope.ranges:
        return labels
    work = _Within(labels.columns.index(time), scope)
    return labels.mapInArrow(settled(work), labels.schema)


@dataclass(frozen=True)
class _Within:
    """What a worker does with labels; ``place`` is that of the column of moments."""

    place: int
    scope: Scope

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            moments = nanoseconds(batch.column(self.place))
            kept = moments >= self.scope.first
            if self.scope.after is not None:
                kept &= moments < self.scope.after
            yield batch.filter(pa.array(kept))


def _nanos(at: datetime) -> int:
    return max(-_MOST, min(micros_of(at) * 1_000, _MOST))
