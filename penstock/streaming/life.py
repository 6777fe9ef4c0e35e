"""A query of Spark's from its start to its end: how it stands, and why it ended."""

from __future__ import annotations

import json
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from pyspark.errors import StreamingQueryException

from penstock.errors import MismatchError, PenstockError, TemporaryError
from penstock.foreign import said
from penstock.session import raised
from penstock.streaming.meter import Meter
from penstock.streaming.offsets import Offsets, events_between
from penstock.streaming.sink import Sink
from penstock.streaming.tail import Tail

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery
    from pyspark.sql.streaming.readwriter import DataStreamWriter

RESTARTS = 3  # of a query that fails in the same way without a batch between
#: Spark 4.1 fails in the metrics of its Kafka source after a batch that was replayed (SPARK-55271);
#: the batch is done, and a second start goes on. So many frames of it are looked at.
_FRAMES = 10
_GONE = re.compile(r"offset[= ]\d+|partition [\w.\-]+-\d+|TopicPartition[^,;]*")
_LOSS = ("Some data may have been lost", "was changed from", "some data may have been missed")


class Life:
    """One query, started again where Spark ends it for no good reason.

    Args:
        group: Name of the feature group.
        sink: What is called for each batch.
        tail: What lags behind.
        meter: Is told of the backlog, and of rows that come too late.
        stop: Once it is set, the query is stopped.
        ends: Whether it ends once it has caught up.
        piecemeal: Whether Spark ends it after each batch, as it does with Python sources.
    """

    def __init__(
        self,
        group: str,
        sink: Sink,
        tail: Tail,
        meter: Meter,
        stop: threading.Event,
        *,
        ends: bool,
        piecemeal: bool,
    ) -> None:
        self._group, self._sink, self._tail, self._meter = group, sink, tail, meter
        self._stop, self._ends, self._piecemeal = stop, ends, piecemeal

    def lived(self, writer: DataStreamWriter) -> Literal["caught up", "stopped"]:
        """Start it, and return once it has ended.

        Raises:
            Exception: What it failed with, as a person should know it.
        """
        failures, calls, sink = 0, -1, self._sink
        while True:
            query = writer.start()
            self._wait(query)
            if query.isActive:  # somebody asked for the end
                self._end(query)
                return "stopped"
            error = query.exception()
            if error is None and not self._ends:
                return "stopped"
            if error is None and (not self._piecemeal or sink.calls == calls):
                return "caught up"
            failures = failures + 1 if sink.calls == calls else 1
            calls = sink.calls
            if error is not None and (
                sink.error is not None or failures > RESTARTS or not passing(query)
            ):
                raise cause(self._group, error, sink.error)

    def _wait(self, query: StreamingQuery) -> None:
        """Until the query has ended, somebody asks for its end, or the offline store fails."""
        pause, seen = 0.1 if self._ends else 0.5, -1
        while query.isActive and not self._stop.wait(pause) and not self._tail.failed:
            last: Any = query.lastProgress
            self._meter.backlog = backlog(last)
            if last is not None and last["batchId"] != seen:
                seen = last["batchId"]
                self._meter.late += late(last)

    def _end(self, query: StreamingQuery) -> None:
        """Between two batches: one that begins now is turned away, so nobody waits for anybody."""
        self._sink.stopping = True
        with self._sink.busy:
            pass
        with suppress(Exception):
            query.stop()
        if self._sink.error is not None:
            raise cause(self._group, None, self._sink.error)


def backlog(last: Any) -> int | None:
    """Events that were there and not read yet, by a batch's progress; None where it is not told."""
    with suppress(LookupError, TypeError, ValueError, AttributeError):
        source = last["sources"][0]
        return events_between(_offsets(source["endOffset"]), _offsets(source["latestOffset"]))
    return None


def _offsets(told: Any) -> Offsets | None:
    found = json.loads(told) if isinstance(told, str) else told
    return found if isinstance(found, dict) else None


def late(last: Any) -> int:
    """Rows of a batch that came too late for their window, by its progress."""
    return sum(int(one["numRowsDroppedByWatermark"]) for one in last["stateOperators"])


def passing(query: StreamingQuery) -> bool:
    """Whether it ended by the defect of Spark that ends it after a batch that is done."""
    error = query._jsq.exception().get().cause()  # noqa: SLF001 - Python is told the message alone
    frames = list(error.getStackTrace())[:_FRAMES]
    return error.getClass().getSimpleName() == "NullPointerException" and any(
        "KafkaMicroBatchStream" in str(one) for one in frames
    )


def cause(
    group: str, error: StreamingQueryException | None, own: BaseException | None
) -> BaseException:
    """What a person should know of a query that failed."""
    if isinstance(own, PenstockError):
        return own
    text = f"{error}\n{own}"
    if any(one in text for one in _LOSS):
        told = ", ".join(dict.fromkeys(_GONE.findall(text)))
        message = f"{group}: events are gone that were not read yet{f' ({told})' if told else ''}"
        remedy = "Load them from elsewhere; then set fail_on_data_loss: false to go on without them"
        return MismatchError(message, remedy)
    known = raised(own if isinstance(own, Exception) else Exception(text))
    if known is not None:
        return known
    if own is not None:
        return own
    why = "it ended" if error is None else said(error)
    return TemporaryError(f"{group}: the stream failed: {why}", "Run the same command again")
