"""What travels to an executor and what comes back: values only, picklable, without a secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from penstock.aws import Endpoint
    from penstock.contract import FeatureType

Api = Literal["batch", "put"]


@dataclass(frozen=True)
class SendJob:
    """How the files of one run are sent; the same for every file.

    Args:
        endpoint: Where AWS is.
        group: Physical name or ARN of the feature group.
        features: Names in contract order, which are the columns of a staged file.
        types: Their types, in the same order.
        record_identifier: The feature that identifies a record; never null in a send file.
        event_time: The feature that orders versions; never null in a send file.
        api: ``auto`` starts with BatchWriteRecord and falls back to PutRecord once per process.
        in_flight: Requests under way at once, per process.
        chunk_rows: Rows per marker.
        max_write_units_per_s: This process's share of the ceiling; None lets the replies rule.
        results: Folder of markers and rejects.
        target_stores: Stores the service writes to.
        deadline_s: After so long from its first sending a record is given up: exit 75.
        silence_s: So long in trouble without a single record accepted: exit 75.
    """

    endpoint: Endpoint
    group: str
    features: tuple[str, ...]
    types: tuple[FeatureType, ...]
    record_identifier: str
    event_time: str
    api: Literal["auto", "batch", "put"]
    in_flight: int
    chunk_rows: int
    max_write_units_per_s: float | None
    results: str
    target_stores: tuple[str, ...] = ("OnlineStore",)
    deadline_s: float = 300.0
    silence_s: float = 120.0


@dataclass
class Figures:
    """What happened to rows, each figure counted where it happens and none by subtraction.

    Args:
        sent: Rows handed to the transport for the first time.
        accepted: Rows the service acknowledged.
        rejected: Rows it refused for good.
        repeated: Rows handed over again, once per repetition.
        throttled: Rows answered with a throttle, once per answer.
        ambiguous: Rows in calls that left this process and got no answer that counts: the service
            may or may not have applied them. They are sent again, which is harmless.
        calls: HTTP requests.
        by_code: Rows refused or put off, by the service's error code, once per answer.
    """

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    repeated: int = 0
    throttled: int = 0
    ambiguous: int = 0
    calls: int = 0
    by_code: dict[str, int] = field(default_factory=dict)

    def count(self, code: str, rows: int) -> None:
        """Add ``rows`` under an error code."""
        self.by_code[code] = self.by_code.get(code, 0) + rows

    def add(self, other: Figures) -> None:
        """Add every figure of ``other``."""
        self.sent += other.sent
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.repeated += other.repeated
        self.throttled += other.throttled
        self.ambiguous += other.ambiguous
        self.calls += other.calls
        for code, rows in other.by_code.items():
            self.count(code, rows)


@dataclass(frozen=True)
class FileOutcome:
    """What one attempt at one file did; the markers, not this, are what a run is judged by.

    Args:
        file: Path of the staged file.
        rows: Rows in it.
        chunks: Chunks this attempt finished and marked.
        skipped: Chunks that had a marker already.
        figures: Totals of this attempt's chunks.
        api: The operation in use at the end.
        seconds: Wall time.
    """

    file: str
    rows: int
    chunks: int
    skipped: int
    figures: Figures
    api: Api
    seconds: float
