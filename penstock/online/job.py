"""What travels to an executor and what comes back: values only, picklable, without a secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.aws import Endpoint
    from penstock.contract import FeatureType

Api = Literal["batch", "put"]

#: Requests in flight where nothing else is set: at 10 ms a call some 16,000 PutRecord calls or
#: 70,000 records in batches a second, about what one core can send (measured; not on AWS).
IN_FLIGHT: Mapping[Api, int] = {"put": 192, "batch": 32}


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
        in_flight: Requests under way at once, per process; None takes ``IN_FLIGHT`` of the
            operation in use, on the plain transport that of batches: each is a thread there.
        chunk_rows: Rows per marker.
        max_write_units_per_s: This process's share of the ceiling; None lets the replies rule.
        results: Folder of markers and rejects.
        target_stores: Stores the service writes to.
        deadline_s: After so long from its first sending a record is given up: exit 75.
        silence_s: So long in trouble without a single record accepted: exit 75.
        deletion: How rows with ``_deleted`` are deleted.
        transport: ``plain`` is the reference and the kill switch.
        expected_write_units_per_s: This process's share of the quota as it is believed to be: where
            the limiter begins, and no bound.
    """

    endpoint: Endpoint
    group: str
    features: tuple[str, ...]
    types: tuple[FeatureType, ...]
    record_identifier: str
    event_time: str
    api: Literal["auto", "batch", "put"]
    in_flight: int | None
    chunk_rows: int
    max_write_units_per_s: float | None
    results: str
    target_stores: tuple[str, ...] = ("OnlineStore",)
    deadline_s: float = 300.0
    silence_s: float = 120.0
    deletion: Literal["SoftDelete", "HardDelete"] = "SoftDelete"
    transport: Literal["fast", "plain"] = "fast"
    expected_write_units_per_s: float | None = None

    def slots(self, api: Api) -> int:
        """Requests that may be under way at once with an operation."""
        own = api if self.transport == "fast" else "batch"
        return IN_FLIGHT[own] if self.in_flight is None else self.in_flight

    @property
    def most_slots(self) -> int:
        """Requests that may be under way at once with any operation the job may use."""
        own: tuple[Api, ...] = ("batch", "put") if self.api == "auto" else (self.api,)
        return max(self.slots(one) for one in own)


@dataclass
class Figures:
    """What happened to rows, each figure counted where it happens and none by subtraction.

    A row ends in exactly one of accepted, skipped and rejected.

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
        skipped: Corrections and deletions that came too late: a newer value or a deletion won.
        latency: Calls that were answered, by the lower edge of their time's bucket in microseconds.
        in_flight: Most requests under way at once.
    """

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    repeated: int = 0
    throttled: int = 0
    ambiguous: int = 0
    calls: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    in_flight: int = 0

    @property
    def settled(self) -> int:
        """Rows that have their outcome."""
        return self.accepted + self.skipped + self.rejected

    def count(self, code: str, rows: int) -> None:
        """Add ``rows`` under an error code."""
        self.by_code[code] = self.by_code.get(code, 0) + rows

    def answered(self, seconds: float) -> None:
        """Count a call that took so long."""
        edge, latency = bucket(int(seconds * 1e6)), self.latency
        latency[edge] = latency.get(edge, 0) + 1

    @property
    def p50_ms(self) -> float | None:
        """Median time of a call, exact to 6 %; None where no call was answered."""
        return percentile_ms(self.latency, 0.50)

    @property
    def p99_ms(self) -> float | None:
        """Time that 99 % of the calls kept to, exact to 6 %."""
        return percentile_ms(self.latency, 0.99)

    def add(self, other: Figures) -> None:
        """Add every figure of ``other``; of ``in_flight`` the larger counts."""
        self.sent += other.sent
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.repeated += other.repeated
        self.throttled += other.throttled
        self.ambiguous += other.ambiguous
        self.calls += other.calls
        self.skipped += other.skipped
        self.in_flight = max(self.in_flight, other.in_flight)
        for code, rows in other.by_code.items():
            self.count(code, rows)
        for edge, calls in other.latency.items():
            self.latency[edge] = self.latency.get(edge, 0) + calls


def bucket(microseconds: int) -> int:
    """Lower edge of the bucket a time falls into: its four leading bits.

    Eight buckets to the power of two: a bucket's middle is within 6.3 % of all it holds.
    """
    low = microseconds.bit_length() - 4
    return max(0, microseconds if low <= 0 else microseconds >> low << low)


def percentile_ms(latency: Mapping[int, int], share: float) -> float | None:
    """The middle of the bucket below whose end that share of the calls lies; None without calls."""
    wanted, seen = share * sum(latency.values()), 0
    for edge in sorted(latency):
        seen += latency[edge]
        if seen >= wanted:
            width = 1 << max(0, edge.bit_length() - 4)
            return (edge + (width - 1) / 2) / 1000
    return None


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
