"""Staged batches of a stream and what the service refused of them, without Spark and a service."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.aws import Endpoint
from penstock.contract import Column, Feature, FeatureGroup, FeatureType, Source
from penstock.encoding.instants import micros_of
from penstock.gate import Bounds
from penstock.online import SendJob
from penstock.online.body import encode, frame_of
from penstock.online.job import Figures
from penstock.online.marker import Markers
from penstock.online.outcome import Outcome, Verdict
from penstock.online.parcel import Chunk, Reject
from penstock.online.totals import OnlineTotals, fold
from penstock.run.figures import SourceFigures
from penstock.run.mode import Mode
from penstock.stage.tasks import FeatureTask, gate_source
from penstock.storage import LocalStorage
from penstock.streaming.batch import Batch, results_of
from penstock.streaming.messages import messages_of
from tests.events import Event, batch_of

GROUP = FeatureGroup(
    name="g",
    record_identifier="id",
    event_time="at",
    features=(
        Feature("id", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("n", FeatureType.INTEGRAL),
    ),
    deleted_when="gone",
)
SOURCE = Source(columns=tuple(Column(one) for one in ("id", "at", "n", "gone")))
STORAGE = LocalStorage()
START = datetime(2024, 5, 1, tzinfo=timezone.utc)
MODE = Mode("latest", "own", ("OnlineStore",))

#: Identifier, event time, value, whether it deletes.
Row = tuple[str, str, "int | None", bool]


def when(number: int) -> datetime:
    """When a batch was staged."""
    return START + timedelta(seconds=number, microseconds=500)


def day(number: int) -> str:
    """An event time."""
    return f"2024-04-{number:02d}T00:00:00Z"


def staged(
    folder: str, number: int, rows: Sequence[Row], bad: Sequence[bytes] = (), offset: int = 0
) -> Batch:
    """A batch as the driver stages it: ``rows`` pass the source gate, ``bad`` events do not."""
    below = f"{folder}/{number:010d}"
    events = batch_of(*(Event(offset + n, one) for n, one in enumerate(bad)))
    source = gate_source(
        "s", SOURCE, Bounds(), messages_of(SOURCE, {}).rows(events), f"{below}/source", STORAGE
    )
    columns: dict[str, Any] = {
        name: pa.array([row[n] for row in rows], kind)
        for n, (name, kind) in enumerate(
            (("id", pa.string()), ("at", pa.string()), ("n", pa.int64()), ("gone", pa.bool_()))
        )
    }
    latest = START + timedelta(days=1)
    task = FeatureTask(GROUP, Bounds(), latest, below, send=True, buffer_rows=len(rows) + 1)
    report = task.run([pa.RecordBatch.from_pydict(columns)], STORAGE)
    read = len(rows) + len(bad)
    return Batch(
        number=number,
        run="run",
        at=micros_of(when(number)),
        until=None,
        way="driver",
        mode=MODE,
        chunk_rows=100,
        source=SourceFigures("s", read, len(rows), source.quarantined, 0, 0),
        bad=tuple(one.path for one in source.bad),
        staged=report,
    )


def sent(folder: str, batch: Batch, refused: Collection[str] = ()) -> OnlineTotals:
    """What is marked once a batch was sent, the records of some identifiers refused."""
    results = results_of(f"{folder}/{batch.number:010d}")
    job = _job(batch, results)
    for path in batch.send:
        (rows,) = pq.read_table(path).combine_chunks().to_batches()
        bodies = encode(job, frame_of(job.group, job.target_stores), rows)
        chunk = Chunk(0, 0, rows, bodies)
        for n, identifier in enumerate(rows.column("id").to_pylist()):
            if identifier in refused:
                verdict = Verdict(Outcome.RECORD, "ValidationError", "not like this")
                chunk.rejects.append(Reject(n, verdict, 1, 0.0, 1.0))
        rejected = len(chunk.rejects)
        count = rows.num_rows
        chunk.figures = Figures(sent=count, accepted=count - rejected, rejected=rejected)
        markers = Markers(job, path, STORAGE)
        markers.put(chunk, 0.01)
        markers.close()
    return fold(STORAGE, results, batch.send, batch.chunk_rows)


def _job(batch: Batch, results: str) -> SendJob:
    return SendJob(
        endpoint=Endpoint("us-east-1", "http://127.0.0.1:9", None),
        group=GROUP.name,
        features=GROUP.names,
        types=tuple(one.type for one in GROUP.features),
        record_identifier=GROUP.record_identifier,
        event_time=GROUP.event_time,
        api="auto",
        in_flight=1,
        chunk_rows=batch.chunk_rows,
        max_write_units_per_s=None,
        results=results,
    )
