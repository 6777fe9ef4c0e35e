"""The source gate inside Spark's tasks, for streams whose transform Spark itself carries on.

What such a task counts cannot come back with its rows, so it leaves a report in a folder, and the
driver takes up what is there when the batch is staged. A task that is repeated reads the same
events again: of two reports of one place the driver takes one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc

from penstock.contract import Source
from penstock.gate import BAD, Bounds, SourceGate
from penstock.stage.report import Report, Tally, report, total
from penstock.stage.tasks import Files
from penstock.storage import Storage
from penstock.streaming.messages import Messages

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Gating:
    """What a task does: events in, typed rows out.

    Args:
        name: Of the source.
        source: The source.
        messages: How events become rows.
        folder: Where reports go, and rows that are put aside.
        storage: Where that is.
        ahead: How far the source's time may lie after the event's own timestamp. One from far ahead
            would close all windows before it, for good, so it is put aside.
    """

    name: str
    source: Source
    messages: Messages
    folder: str
    storage: Storage
    ahead: timedelta

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows that pass, as the transform gets them."""
        gate, tally = SourceGate(self.name, self.source, Bounds()), Tally()
        place, newest = "", 0
        with Files(self.folder, self.storage, "bad", BAD) as bad:
            for events in batches:
                if events.num_rows:
                    place = place or _place(events)
                    newest = max(newest, _newest(events))
                latest = _EPOCH + timedelta(microseconds=_newest(events)) + self.ahead
                for rows in self.messages.rows(events):
                    gated = gate.check(rows, latest)
                    tally.count(
                        rows_in=gated.rows_in,
                        fit=gated.rows.num_rows,
                        quarantined=gated.bad.num_rows,
                        dropped=gated.dropped,
                        outside=gated.outside,
                    )
                    bad.write(gated.bad)
                    yield from gated.rows.to_batches()
        if place:
            left = Left(place, newest, tally.report(bad=bad.done()))
            path = f"{self.folder}/report-{uuid.uuid4().hex}.json"
            self.storage.put_if_absent(path, left.encoded())


@dataclass(frozen=True)
class Left:
    """What a task left behind.

    Args:
        place: Where it began to read.
        newest: Timestamp of its newest event, in microseconds.
        gated: What it counted, and its files.
    """

    place: str
    newest: int
    gated: Report

    def encoded(self) -> bytes:
        """As it is stored."""
        return json.dumps({**asdict(self), "gated": self.gated.plain()}).encode()


@dataclass(frozen=True)
class TakenUp:
    """All reports that were there, each place once.

    Args:
        gated: Their sum.
        newest: Timestamp of the newest event, in microseconds; None without a report.
        paths: Of the reports.
    """

    gated: Report
    newest: int | None
    paths: tuple[str, ...]


def taken_up(storage: Storage, folder: str) -> TakenUp:
    """The reports in a folder; they stay there."""
    paths = [one for one in storage.list(folder) if one.endswith(".json")]
    found = [json.loads(storage.read(one)) for one in paths]
    by_place = {one["place"]: Left(**{**one, "gated": report(one["gated"])}) for one in found}
    lefts = by_place.values()
    newest = max((one.newest for one in lefts), default=None)
    return TakenUp(total([one.gated for one in lefts]), newest, tuple(paths))


def _place(events: pa.RecordBatch) -> str:
    return "/".join(str(events.column(one)[0]) for one in ("file", "position"))


def _newest(events: pa.RecordBatch) -> int:
    at = events.column("timestamp")
    return int(pc.max(pc.cast(at, pa.timestamp("us", "UTC")).cast(pa.int64())).as_py() or 0)
