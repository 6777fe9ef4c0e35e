"""The two sides of reading a Kinesis stream in batches: the driver's tail and a range read again.

Kinesis cannot say where a shard ends, so the driver must read a batch to know its end. It then
hands the records themselves on: reading them again on executors would halve what a shard gives
(2 MiB a second, whoever reads). Only a batch that is repeated after a restart is read once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from penstock.errors import DataGateError, MismatchError
from penstock.streaming.kinesis_offsets import (
    Offset,
    Position,
    Shard,
    Span,
    advanced,
    childless,
    gone,
    readable,
    spans,
)
from penstock.streaming.kinesis_shard import MOST_RECORDS, Cursor, Record, gone_after
from penstock.streaming.kinesis_stream import CALL_S, Stream

LANES = 8  # shards that are read at the same time
REFRESH_S = 3600.0
_MAGIC = b"\xf3\x89\x9a\xc2"
_DIGEST = 16

Call = tuple[Cursor, int]
#: ``map``, or the same with threads.
Spread = Callable[[Callable[[Call], list[Record]], Sequence[Call]], Iterable[list[Record]]]


@dataclass(frozen=True)
class Bounds:
    """How large a batch gets.

    Args:
        records: At most so many.
        size: No call is made once so many bytes are there; a batch holds at most ``size`` and one
            answer (10 MiB) for each of ``LANES`` shards, a task at most ``size`` + 10 MiB.
        seconds: No call is begun later than that, even where a shard has more.
    """

    records: int = 100_000
    size: int = 16 * 1024 * 1024
    seconds: float = 1.0


@dataclass(frozen=True)
class Slice:
    """A span of a batch, with its records where the driver has them."""

    span: Span
    records: tuple[Record, ...] | None = None


class Tail:
    """What the driver knows of a stream: the offset that was planned last, and what lies after it.

    Memory: one batch ahead and one planned, each within :class:`Bounds`.

    Args:
        stream: The stream.
        starting: ``TRIM_HORIZON``, ``LATEST``, or an epoch millisecond, for a new query.
        bounds: Of a batch.
        keep_aggregated: Hand records of the KPL's aggregation on as they are.
        spread: How calls of several shards are made; ``map`` makes one after the other.
    """

    def __init__(
        self,
        stream: Stream,
        starting: str | int = "TRIM_HORIZON",
        bounds: Bounds | None = None,
        *,
        keep_aggregated: bool = False,
        spread: Spread = map,
    ) -> None:
        self._stream = stream
        self._starting = starting
        self._bounds = bounds or Bounds()
        self._keep_aggregated = keep_aggregated
        self._spread = spread
        self._initial: Offset | None = None
        self._base: Offset | None = None
        self._ahead: Offset | None = None
        self._shards: list[Shard] = []
        self._cursors: dict[str, Cursor] = {}
        self._pending: dict[str, list[Record]] = {}
        self._held: tuple[Offset, dict[str, tuple[Record, ...]]] | None = None
        self._checked = False
        self._listed = False
        self._refreshed = stream.timing.clock()

    def initial(self) -> Offset:
        """Where a new query begins; the same each time."""
        if self._initial is None:
            created = self._stream.created()
            at = self._starting if isinstance(self._starting, int) else None
            ended: dict[str, Position] = {}
            if self._starting == "LATEST":
                shards, second = self._stream.shards()
                at = second * 1000
                ended = {one.name: Position(closed=True) for one in shards if one.closed}
            self._initial = Offset(self._stream.name, created, at=at, shards=ended)
        return self._initial

    def latest(self) -> Offset:
        """Read ahead, and say what may be planned: the offset planned last where nothing is new.

        It lasts at most ``bounds.seconds`` and the calls under way; where all was read, about
        ``CALL_S``. A quiet stream gives an offset without records every ``REFRESH_S``,
        which says that it was watched.

        Raises:
            MismatchError: Records were trimmed before they were read, or the stream is another.
            DataGateError: A record is an aggregate of the KPL's.
            TemporaryError: Kinesis has not answered for minutes.
        """
        base = self._base = self._base or self.initial()
        if not self._listed:
            self._open(base)
        self._read_ahead()
        self._ahead = self._next(base)
        return self._ahead

    def planned(self, start: Offset, end: Offset) -> list[Slice]:
        """The slices of the batch between two offsets; reading goes on after the later one.

        Asked again, it answers the same. After a restart Spark asks for what it planned last, with
        equal offsets where that was committed: so the tail learns where to go on.

        Raises:
            MismatchError: The offsets are no neighbours.
        """
        found = spans(start, end)
        if self._base is None or end.step > self._base.step:
            self._advance(end)
        held = self._held[1] if self._held is not None and self._held[0] == end else {}
        return [Slice(span, held.get(span.shard)) for span in found]

    def committed(self, end: Offset) -> None:
        """Let go of the records up to an offset."""
        if self._held is not None and self._held[0].step <= end.step:
            self._held = None

    def _advance(self, end: Offset) -> None:
        if end == self._ahead:
            self._held = (end, {name: tuple(found) for name, found in self._pending.items()})
            self._listed = self._listed and not any(
                one.closed for one in self._positions().values()
            )
            self._refreshed = self._stream.timing.clock()
        else:
            # Another process read this far: what is here, if anything, lies elsewhere.
            self._cursors, self._held, self._listed = {}, None, False
        self._pending, self._ahead, self._base = {}, None, end

    def _open(self, base: Offset) -> None:
        """Cursors on the shards that may be read after ``base``."""
        if not self._checked:
            self._check(base)
        self._shards, _ = self._stream.shards()
        missing = gone(base, self._shards)
        for name, position in missing.items():
            self._stream.lost(name, gone_after(position))
        past = {name: replace(one, closed=True) for name, one in missing.items()}
        known = replace(base, shards={**base.shards, **past})
        for name, position in readable(known, self._shards).items():
            if name not in self._cursors:
                self._cursors[name] = Cursor(self._stream, name, position, at=base.at)
        self._cursors = {
            name: one for name, one in self._cursors.items() if not one.position.closed
        }
        self._listed = not childless(base, self._shards)
        if not self._listed:
            self._stream.timing.sleep(CALL_S)  # children may be listed a little later

    def _check(self, base: Offset) -> None:
        created = self._stream.created()
        if (base.stream, base.created) != (self._stream.name, created):
            message = (
                f"the checkpoint is of stream {base.stream}, created at {base.created}, and not of "
                f"{self._stream.name}, created at {created}"
            )
            raise MismatchError(message, "Give each query its own checkpoint")
        self._checked = True

    def _read_ahead(self) -> None:
        timing = self._stream.timing
        deadline = timing.clock() + self._bounds.seconds
        waiting = [one for one in self._cursors.values() if not one.position.closed]
        while waiting:
            room = self._bounds.records - sum(map(len, self._pending.values()))
            if room <= 0 or self._size() >= self._bounds.size:
                break
            share = min(MOST_RECORDS, max(1, room // len(waiting)))
            first = sorted(waiting, key=lambda one: one.due)[: min(LANES, room)]
            calls = [(one, share) for one in first if one.due <= deadline]
            if not calls:
                if not self._pending:  # else Spark would ask again a hundred times a second
                    timing.sleep(max(0.0, deadline - timing.clock()))
                break
            for (cursor, _), records in zip(calls, self._spread(_read, calls), strict=True):
                self._take(cursor.shard, records)
            waiting = [one for one in waiting if not one.at_tip]

    def _take(self, shard: str, records: list[Record]) -> None:
        if not self._keep_aggregated:
            for record in records:
                if aggregated(record.value):
                    message = (
                        f"shard {shard} of stream {self._stream.name}: the record with sequence "
                        f"number {record.sequence} is an aggregate of the Kinesis Producer Library"
                    )
                    remedy = (
                        "Set AggregationEnabled=false in its producer; aggregated=keep hands such "
                        "records on as they are"
                    )
                    raise DataGateError(message, remedy)
        if records:
            self._pending.setdefault(shard, []).extend(records)

    def _size(self) -> int:
        return sum(len(one.value) for found in self._pending.values() for one in found)

    def _positions(self) -> dict[str, Position]:
        return {name: one.position for name, one in self._cursors.items()}

    def _next(self, base: Offset) -> Offset:
        read = self._positions()
        quiet = self._stream.timing.clock() - self._refreshed < REFRESH_S
        if not self._pending and not any(one.closed for one in read.values()) and quiet:
            return base
        for name, records in self._pending.items():
            read[name] = replace(read[name], first=records[0].sequence)
        return advanced(base, self._shards, read)


def again(stream: Stream, span: Span) -> Iterator[Record]:
    """The records of a span, read from the shard once more: the very same.

    Raises:
        MismatchError: Some of them are trimmed meanwhile.
        TemporaryError: The shard has not answered for minutes.
    """
    cursor = Cursor(stream, span.shard, Position(after=span.first), again=True)
    last = int(span.last)
    while True:
        for record in cursor.read(MOST_RECORDS):
            if int(record.sequence) > last:
                stream.lost(span.shard, f"sequence number {span.last} is gone")
                return
            yield record
            if int(record.sequence) == last:
                return
        if cursor.at_tip:
            stream.lost(span.shard, f"sequence number {span.last} is gone")
            return


def aggregated(value: bytes) -> bool:
    """Whether a value is an aggregate of the KPL's: its magic bytes, a message, the MD5 of that."""
    if not value.startswith(_MAGIC) or len(value) < len(_MAGIC) + _DIGEST:
        return False
    message, digest = value[len(_MAGIC) : -_DIGEST], value[-_DIGEST:]
    return hashlib.md5(message, usedforsecurity=False).digest() == digest


def _read(call: Call) -> list[Record]:
    cursor, limit = call
    return cursor.read(limit)
