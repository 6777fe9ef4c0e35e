"""Where a reader of a Kinesis stream stands, to the record, and which shards may be read next.

An offset holds one position a shard. Kinesis does not tell the last sequence number of a shard, so
what ends a batch is what was really read; the offset then names the first and the last record of
each shard's range, and the same range can be read again at any time within the stream's retention.
Pure: the order of shards and the meaning of offsets, no calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.errors import MismatchError


@dataclass(frozen=True)
class Shard:
    """A shard as ListShards tells of it; a closed one takes no more records."""

    name: str
    parents: tuple[str, ...] = ()
    closed: bool = False


@dataclass(frozen=True)
class Position:
    """How far one shard was read.

    Args:
        after: Sequence number of the last record read; None before the first.
        first: Sequence number of the first record of the step that read ``after``; None where that
            step read nothing here.
        until: Everything that arrived up to this epoch second was read; None where nothing is
            promised (a start at the trim horizon, before the first record).
        closed: Read to its end.
    """

    after: str | None = None
    first: str | None = None
    until: int | None = None
    closed: bool = False


@dataclass(frozen=True)
class Offset:
    """What was read of a stream.

    Args:
        stream: Its name or ARN, as the option says it.
        created: Epoch second of its creation: a stream made again under the same name is another.
        step: Counts the offsets of a query; a batch lies between neighbours.
        at: Epoch millisecond to begin at; None is the trim horizon.
        shards: Position by shard; one that is absent was not begun.
    """

    stream: str
    created: int
    step: int = 0
    at: int | None = None
    shards: Mapping[str, Position] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, always in the same order: Spark compares offsets as text."""
        found: dict[str, Any] = {"stream": self.stream, "created": self.created, "step": self.step}
        if self.at is not None:
            found["at"] = self.at
        found["shards"] = {name: _plain(self.shards[name]) for name in sorted(self.shards)}
        return found

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Offset:
        """The other way round.

        Raises:
            MismatchError: It is no offset of this source.
        """
        try:
            shards = {name: Position(**one) for name, one in value["shards"].items()}
            return cls(value["stream"], value["created"], value["step"], value.get("at"), shards)
        except (KeyError, TypeError, AttributeError) as error:
            message = f"an offset of another source: {str(dict(value))[:200]}"
            raise MismatchError(message, "Give each query its own checkpoint") from error


@dataclass(frozen=True)
class Span:
    """Records of one shard from ``first`` to ``last``, both included (sequence numbers)."""

    shard: str
    first: str
    last: str


def spans(start: Offset, end: Offset) -> list[Span]:
    """What lies between two neighbouring offsets, one span a shard that gave records.

    Raises:
        MismatchError: The offsets are no neighbours, so that records between them would be lost or
            read twice.
    """
    if start == end:
        return []
    if (start.stream, start.created) != (end.stream, end.created) or end.step != start.step + 1:
        message = (
            f"offsets of stream {end.stream} do not follow one another: "
            f"step {start.step}, then {end.step}"
        )
        remedy = (
            "Give each query its own checkpoint, and leave "
            "spark.sql.streaming.triggerAvailableNowWrapper.enabled off"
        )
        raise MismatchError(message, remedy)
    found = []
    for name, position in end.shards.items():
        if position.first is None or position.after is None:
            continue
        found.append(Span(name, position.first, position.after))
    return found


def readable(offset: Offset, shards: Iterable[Shard]) -> dict[str, Position]:
    """Positions of the shards that may be read now: none whose parents are not at their end.

    Records of one key pass from a parent to its child, so this keeps the order of each key. A
    parent that is neither in the offset nor listed any more is past the retention.
    """
    listed = {shard.name: shard for shard in shards}
    found = {}
    for name, shard in listed.items():
        position = offset.shards.get(name)
        if position is None and all(_ended(one, offset, listed) for one in shard.parents):
            found[name] = Position(until=_inherited(offset, shard))
        elif position is not None and not position.closed:
            found[name] = replace(position, first=None)
    return found


def gone(offset: Offset, shards: Iterable[Shard]) -> dict[str, Position]:
    """Shards the offset was still reading that are listed no more: their records are trimmed."""
    names = {shard.name for shard in shards}
    return {
        name: position
        for name, position in offset.shards.items()
        if not position.closed and name not in names
    }


def childless(offset: Offset, shards: Iterable[Shard]) -> bool:
    """Whether a shard was read to its end whose children are not listed yet."""
    listed = list(shards)
    parents = {parent for shard in listed for parent in shard.parents}
    names = {shard.name for shard in listed}
    return any(
        position.closed and name in names and name not in parents
        for name, position in offset.shards.items()
    )


def advanced(offset: Offset, shards: Iterable[Shard], read: Mapping[str, Position]) -> Offset:
    """The next offset: ``read`` in place of what it was, shards that are past forgotten."""
    names = {shard.name for shard in shards}
    kept = {
        name: replace(position, first=None)
        for name, position in offset.shards.items()
        if name in names
    }
    return replace(offset, step=offset.step + 1, shards=kept | dict(read))


def _plain(position: Position) -> dict[str, Any]:
    known = {"after": position.after, "first": position.first, "until": position.until}
    found: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
    if position.closed:
        found["closed"] = True
    return found


def _ended(parent: str, offset: Offset, listed: Mapping[str, Shard]) -> bool:
    position = offset.shards.get(parent)
    return parent not in listed if position is None else position.closed


def _inherited(offset: Offset, shard: Shard) -> int | None:
    """A child's records begin where its parents' end: what was read of these is what it knows."""
    known = [offset.shards[one].until for one in shard.parents if one in offset.shards]
    told = [one for one in known if one is not None]
    if told:
        return min(told)
    return None if offset.at is None else offset.at // 1000
