"""One shard of a Kinesis stream, read forwards: pace, throttles, iterators, trimmed records.

A sequence number that is past the retention gives no error: the iterator stands at the oldest
record there is, or answers nothing for ever. So an iterator begins AT the last record read, which
must come again; where it does not, records may be lost, unless all that is recent was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.streaming.kinesis_offsets import Position
from penstock.streaming.kinesis_stream import CALL_S, Patience, Stream

MOST_RECORDS = 10_000  # a call
MOST_BYTES_S = 2 * 1024 * 1024  # a shard and second
SHORTEST_RETENTION_S = 24 * 3600
MARGIN_S = 60  # between our clock and Kinesis's


class Record(NamedTuple):
    """What a producer put; ``arrived_us`` is Kinesis's approximate time in epoch microseconds."""

    key: str | None
    value: bytes
    sequence: str
    arrived_us: int


class Cursor:
    """A place in a shard that moves on with each call.

    Args:
        stream: Its stream.
        shard: Name of the shard.
        position: What was read; its sequence number is asked for again, to see that it is there.
        at: Epoch millisecond to begin at where nothing was read; None is the trim horizon.
        again: Whether the record at the position is wanted too (a range that is read again).
    """

    def __init__(
        self,
        stream: Stream,
        shard: str,
        position: Position,
        *,
        at: int | None = None,
        again: bool = False,
    ) -> None:
        self.shard = shard
        self.position = position
        self.due = stream.timing.clock()
        self.at_tip = False
        self._stream = stream
        self._at = at
        self._again = again
        self._patience = Patience(stream.timing, f"shard {shard} of stream {stream.name}")
        self._iterator: str | None = None
        self._anchor: str | None = None
        self._horizon = False

    def read(self, limit: int) -> list[Record]:
        """The next records, at most ``limit``, after one call of GetRecords.

        One more may come where the record read last is trimmed, which is asked for again.

        Waits until the shard's limits allow a call (:attr:`due`). None come where the call was
        throttled, the iterator had expired, or this part of the shard is empty; :attr:`at_tip`
        says that nothing is left at the moment.

        Raises:
            MismatchError: Records were trimmed before they were read.
            TemporaryError: The shard has not answered for minutes.
            CredentialsError: Not allowed.
            ConfigError: The stream does not exist.
        """
        timing = self._stream.timing
        self.at_tip = False
        timing.sleep(max(0.0, self.due - timing.clock()))
        begun, wall = timing.clock(), timing.wall()
        try:
            if self._iterator is None or self._overtaken():
                self._open()
            # One more for the record that was read before, else a limit of one gets nowhere.
            more = 1 if self._anchor is not None and not self._again else 0
            answer = self._stream.client.get_records(
                ShardIterator=self._iterator, Limit=min(limit + more, MOST_RECORDS)
            )
        except (ClientError, BotoCoreError) as error:
            self._failed(error)
            return []
        self._patience.succeeded()
        records = [_record(one) for one in answer["Records"]]
        size = sum(len(one.value) + len(one.key or "") for one in records)
        self.due = max(begun + CALL_S, timing.clock() + size / MOST_BYTES_S)
        return self._taken(records, answer, wall)

    def _open(self) -> None:
        after, until = self.position.after, self.position.until
        request: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        self._anchor = None
        if self._horizon:
            pass
        elif after is not None:
            self._anchor = after
            request = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        else:
            if until is not None:
                self._see_covered("the records it begins with")
            if self._at is not None:
                request = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._at / 1000}
        answer = self._stream.client.get_shard_iterator(
            **self._stream.which, ShardId=self.shard, **request
        )
        self._iterator = answer["ShardIterator"]

    def _overtaken(self) -> bool:
        """Whether the iterator's place may be trimmed by now: then it would skip without a word."""
        until, wall = self.position.until, self._stream.timing.wall()
        if self.position.after is None or until is None:
            return False
        if until >= wall - SHORTEST_RETENTION_S + MARGIN_S:
            return False
        return until < wall - self._stream.retention_s() + MARGIN_S

    def _failed(self, error: Exception) -> None:
        code = aws.code(error) if isinstance(error, ClientError) else ""
        timing = self._stream.timing
        asked = isinstance(error, ClientError) and error.operation_name == "GetShardIterator"
        if code == "ExpiredIteratorException":  # five minutes after it was given
            self._iterator = None
            self.due = timing.clock() + CALL_S
        elif self._anchor is not None and asked and code == "InvalidArgumentException":
            self._stream.lost(self.shard, f"sequence number {self._anchor} is not known: {error}")
            self._from_horizon()
        elif code == "ResourceNotFoundException":
            self._stream.lost(self.shard, gone_after(self.position))
            self._close()
        else:
            self.due = timing.clock() + self._patience.wait(error)

    def _taken(self, records: list[Record], answer: Mapping[str, Any], wall: float) -> list[Record]:
        behind_s = (answer.get("MillisBehindLatest") or 0) / 1000
        self._iterator = answer.get("NextShardIterator")
        if not records and self._iterator and behind_s >= SHORTEST_RETENTION_S:
            if behind_s >= self._stream.retention_s() and not self._horizon:
                self._see_covered(f"the records after {self.position.after}")
                self._from_horizon()  # no record is ever given at a place that is trimmed
            return []
        self._prove(records, ended=not self._iterator or behind_s == 0)
        records = self._new(records)
        if records:
            self._horizon = self._again = False
            self._read_to(records[-1])
        if self._iterator is None:
            self._close()
        elif behind_s == 0 and self._anchor is None:
            self.at_tip = True
            self._until(wall)
        return records

    def _prove(self, records: list[Record], *, ended: bool) -> None:
        """See that the record the iterator was opened at is there."""
        if self._anchor is None or not (records or ended):
            return
        if not records or records[0].sequence != self._anchor:
            self._see_covered(f"the records from sequence number {self._anchor} on")
        self._anchor = None

    def _new(self, records: list[Record]) -> list[Record]:
        after = self.position.after
        if after is None:
            return records
        least = int(after) if self._again else int(after) + 1
        return [one for one in records if int(one.sequence) >= least]

    def _see_covered(self, what: str) -> None:
        """Nothing is lost where everything up to a time within the retention was read."""
        until = self.position.until
        kept_s = self._stream.retention_s()
        if until is None or until < self._stream.timing.wall() - kept_s + MARGIN_S:
            what = f"{what} may be trimmed: the stream keeps {kept_s / 3600:.0f} h"
            self._stream.lost(self.shard, what)

    def _from_horizon(self) -> None:
        self._iterator, self._horizon, self._anchor = None, True, None
        self.due = self._stream.timing.clock() + CALL_S

    def _read_to(self, last: Record) -> None:
        self.position = replace(self.position, after=last.sequence)
        self._until(last.arrived_us / 1_000_000)

    def _until(self, second: float) -> None:
        self.position = replace(self.position, until=int(second))

    def _close(self) -> None:
        self.position = replace(self.position, closed=True)
        self.at_tip = True


def gone_after(position: Position) -> str:
    """What is lost with a shard that is no more."""
    if position.after is None:
        return "it is gone, and nothing of it was read"
    return f"it is gone, with all after sequence number {position.after}"


def _record(told: Mapping[str, Any]) -> Record:
    arrived = told["ApproximateArrivalTimestamp"].timestamp()
    return Record(
        told.get("PartitionKey"), bytes(told["Data"]), told["SequenceNumber"], round(arrived * 1e6)
    )
