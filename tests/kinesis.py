"""Kinesis in memory with a clock of its own: shards, splits, merges, retention, limits, iterators.

As the API model and the developer guide describe it, and stricter than needed: a reader that calls
faster than a shard allows is throttled, and that is counted.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError

from penstock.streaming.kinesis_offsets import Offset
from penstock.streaming.kinesis_reader import Slice, Tail, again
from penstock.streaming.kinesis_shard import Record
from penstock.streaming.kinesis_stream import Stream, Timing

KEYS = 2**32
FIRST = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
BEGIN = 1_772_000_000.0


def refused(operation: str, code: str, status: int = 400) -> ClientError:
    """An error as boto3 raises it."""
    told: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(told, operation)


@dataclass
class Clock:
    """Stands still but for sleep."""

    now: float = BEGIN

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self.now += seconds

    def timing(self, draw: Callable[[], float] = lambda: 0.5) -> Timing:
        """What a reader is handed."""
        return Timing(lambda: self.now, lambda: self.now, self.sleep, draw)


@dataclass
class Part:
    """One shard."""

    low: int
    high: int
    parents: tuple[str, ...] = ()
    ended: float | None = None
    begun: float = BEGIN
    records: list[tuple[int, str, bytes, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """What an iterator stands for: the next record's sequence number is at least ``least``."""

    shard: str
    least: int
    given: float


class Fake:
    """One stream, and the four calls of a client.

    ``stuck``: an iterator at a trimmed place answers nothing for ever, instead of skipping.
    """

    def __init__(self, clock: Clock, shards: int = 2, *, stuck: bool = False) -> None:
        self.clock = clock
        self.stuck = stuck
        self.retention_h = 24
        self.created = BEGIN
        self.shards: dict[str, Part] = {}
        self.calls: Counter[str] = Counter()
        self.refusals: list[Exception] = []
        self.hollow = 0
        self.too_fast = 0
        self.hidden: set[str] = set()
        self._called: dict[str, list[float]] = defaultdict(list)
        self._read: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._places: dict[str, Place] = {}
        self._next = FIRST
        for number in range(shards):
            self._add(number * KEYS // shards, (number + 1) * KEYS // shards, ())

    # What producers and operators do

    def put(self, key: str, value: bytes) -> int:
        """Answers the sequence number."""
        place = zlib.crc32(key.encode()) % KEYS
        part = next(one for one in self.open().values() if one.low <= place < one.high)
        self._next += 1
        part.records.append((self._next, key, value, self.clock.now))
        return self._next

    def open(self) -> dict[str, Part]:
        """Shards that take records."""
        return {name: one for name, one in self.shards.items() if one.ended is None}

    def split(self, name: str) -> None:
        """Into two halves."""
        part = self.shards[name]
        middle = (part.low + part.high) // 2
        part.ended = self.clock.now
        self._add(part.low, middle, (name,))
        self._add(middle, part.high, (name,))

    def merge(self, one: str, other: str) -> None:
        """Two neighbours."""
        first, second = self.shards[one], self.shards[other]
        assert first.high == second.low
        first.ended = second.ended = self.clock.now
        self._add(first.low, second.high, (one, other))

    def expire(self) -> None:
        """Every iterator that is out."""
        self._places = {name: replace(one, given=-math.inf) for name, one in self._places.items()}

    # What a reader calls

    def describe_stream_summary(self, **_request: Any) -> Mapping[str, Any]:
        """Creation and retention."""
        told = {
            "RetentionPeriodHours": self.retention_h,
            "StreamCreationTimestamp": datetime.fromtimestamp(self.created, timezone.utc),
        }
        return {"StreamDescriptionSummary": told}

    def list_shards(self, **request: Any) -> Mapping[str, Any]:
        """Three a page."""
        self._refuse("ListShards")
        begin = int(request.get("NextToken", 0))
        names = [name for name, one in self.shards.items() if self._listed(name, one)]
        page = [self._told(name) for name in names[begin : begin + 3]]
        date = format_datetime(datetime.fromtimestamp(int(self.clock.now), timezone.utc))
        told: dict[str, Any] = {
            "Shards": page,
            "ResponseMetadata": {"HTTPHeaders": {"date": date}},
        }
        if begin + 3 < len(names):
            told["NextToken"] = str(begin + 3)
        return told

    def get_shard_iterator(self, **request: Any) -> Mapping[str, Any]:
        """Four of the five kinds."""
        self._refuse("GetShardIterator")
        name, kind = request["ShardId"], request["ShardIteratorType"]
        if name not in self.shards or not self._listed(name, self.shards[name]):
            raise refused("GetShardIterator", "ResourceNotFoundException")
        if kind == "AT_TIMESTAMP":
            assert request["Timestamp"] <= self.clock.now, "refused by the service"
            later = (one[0] for one in self.shards[name].records if one[3] >= request["Timestamp"])
            least = next(later, self._next + 1)
        elif kind == "TRIM_HORIZON":
            least = self._horizon(name)
        else:
            least = int(request["StartingSequenceNumber"]) + (kind == "AFTER_SEQUENCE_NUMBER")
        return {"ShardIterator": self._given(name, least)}

    def get_records(self, **request: Any) -> Mapping[str, Any]:
        """With every limit of the service."""
        place = self._places[request["ShardIterator"]]
        self.calls[place.shard] += 1
        self._refuse("GetRecords")
        if self.clock.now - place.given > 300:
            raise refused("GetRecords", "ExpiredIteratorException")
        self._limit(place.shard)
        part = self.shards[place.shard]
        horizon = self._horizon(place.shard)
        if self.stuck and place.least < horizon:
            return self._answer(place.shard, [], place.least, self.retention_h * 3600.0)
        least = max(place.least, horizon)
        if self.hollow:
            self.hollow -= 1
            return self._answer(place.shard, [], least, 1.0)
        found = [one for one in part.records if one[0] >= least][: request["Limit"]]
        found = found[: _fit(found)]
        self._read[place.shard].append((self.clock.now, sum(len(one[2]) for one in found)))
        following = found[-1][0] + 1 if found else least
        rest = [one for one in part.records if one[0] >= following]
        if part.ended is not None and not rest:
            return {"Records": [_plain(one) for one in found], "MillisBehindLatest": 0}
        behind = self.clock.now - rest[0][3] + 0.001 if rest else 0.0
        return self._answer(place.shard, found, following, behind)

    def _answer(
        self, name: str, found: list[tuple[int, str, bytes, float]], least: int, behind_s: float
    ) -> Mapping[str, Any]:
        return {
            "Records": [_plain(one) for one in found],
            "NextShardIterator": self._given(name, least),
            "MillisBehindLatest": math.ceil(behind_s * 1000),
        }

    def _limit(self, name: str) -> None:
        recent = [at for at in self._called[name] if at > self.clock.now - 0.999]
        size = sum(one for at, one in self._read[name] if at > self.clock.now - 4.999)
        if len(recent) >= 5 or size >= 10 * 1024 * 1024:
            self.too_fast += 1
            raise refused("GetRecords", "ProvisionedThroughputExceededException")
        self._called[name] = [*recent, self.clock.now]

    def _refuse(self, operation: str) -> None:
        if self.refusals:
            error = self.refusals.pop()
            if not isinstance(error, ClientError):
                raise error
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise refused(operation, error.response["Error"]["Code"], status)

    def _horizon(self, name: str) -> int:
        oldest = self.clock.now - self.retention_h * 3600
        kept = (one[0] for one in self.shards[name].records if one[3] >= oldest)
        return next(kept, self._next + 1) if self.shards[name].records else 0

    def _listed(self, name: str, part: Part) -> bool:
        oldest = self.clock.now - self.retention_h * 3600
        return name not in self.hidden and (part.ended is None or part.ended >= oldest)

    def _told(self, name: str) -> dict[str, Any]:
        part = self.shards[name]
        numbers = {"StartingSequenceNumber": str(FIRST)}
        if part.ended is not None:
            numbers["EndingSequenceNumber"] = str(self._next)
        named = zip(("ParentShardId", "AdjacentParentShardId"), part.parents, strict=False)
        return {"ShardId": name, "SequenceNumberRange": numbers, **dict(named)}

    def _add(self, low: int, high: int, parents: tuple[str, ...]) -> None:
        name = f"shardId-{len(self.shards):012d}"
        self.shards[name] = Part(low, high, parents, begun=self.clock.now)

    def _given(self, name: str, least: int) -> str:
        token = f"iterator {len(self._places)}"
        self._places[token] = Place(name, least, self.clock.now)
        return token


def _fit(found: list[tuple[int, str, bytes, float]]) -> int:
    """How many records are within 10 MiB."""
    size = 0
    for number, one in enumerate(found):
        size += len(one[2])
        if size > 10 * 1024 * 1024:
            return max(1, number)
    return len(found)


def _plain(one: tuple[int, str, bytes, float]) -> dict[str, Any]:
    number, key, value, at = one
    return {
        "SequenceNumber": str(number),
        "PartitionKey": key,
        "Data": value,
        "ApproximateArrivalTimestamp": datetime.fromtimestamp(at, timezone.utc),
    }


@dataclass
class Batch:
    """What one batch gave, shard by shard."""

    start: Offset
    end: Offset
    read: dict[str, list[Record]]


class Query:
    """What Spark does with a source: offsets logged first, then the batch, then its commit.

    Args:
        make: A new reader, as a new process makes one.
        stream: What executors read with.
    """

    def __init__(self, make: Callable[[], Tail], stream: Stream) -> None:
        self._make = make
        self._stream = stream
        self.tail = make()
        self.logged: list[Offset] = []
        self.batches: list[Batch] = []

    def latest(self) -> Offset:
        """Plan the next batch, and log it if there is anything new."""
        end = Offset.from_json(self.tail.latest().to_json())
        if end != self._start():
            self.logged.append(end)
        return end

    def run(self) -> bool:
        """Run what is logged and not committed; whether there was any."""
        if len(self.logged) == len(self.batches):
            return False
        end = self.logged[-1]
        start = self.logged[-2] if len(self.logged) > 1 else self.tail.initial()
        self.batches.append(Batch(start, end, self._slices(self.tail.planned(start, end))))
        self.tail.committed(end)
        return True

    def batch(self) -> bool:
        """Plan and run."""
        if len(self.logged) == len(self.batches):
            self.latest()
        return self.run()

    def restart(self) -> None:
        """A new process, which is told of the last offset in the log."""
        self.tail = self._make()
        if self.logged:
            assert self.tail.planned(self.logged[-1], self.logged[-1]) == []

    def repeated(self) -> dict[str, list[Record]]:
        """The last batch once more, from the shards."""
        last = self.batches[-1]
        parts = self.tail.planned(last.start, last.end)
        return self._slices([Slice(one.span) for one in parts])

    def _start(self) -> Offset:
        return self.logged[-1] if self.logged else self.tail.initial()

    def _slices(self, parts: list[Slice]) -> dict[str, list[Record]]:
        found = {}
        for part in parts:
            records = part.records
            found[part.span.shard] = list(
                again(self._stream, part.span) if records is None else records
            )
        return found
