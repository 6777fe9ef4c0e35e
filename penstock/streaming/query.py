"""A stream from its start to its end: recovered first, then run by Spark until it is stopped."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame

from penstock.bucket import storage_of
from penstock.conf_streams import Stream
from penstock.contract import Pipeline
from penstock.errors import MismatchError, PenstockError, TemporaryError, UsageError
from penstock.gate import Bounds
from penstock.ledger.lease import check_free, held
from penstock.quarantine import Entry
from penstock.run.context import Context
from penstock.run.group import check_group
from penstock.run.holding import check_whole
from penstock.run.inputs import inputs_of
from penstock.run.mode import mode_of
from penstock.run.places import offline_path, state_folder
from penstock.run.tables import check_tables
from penstock.session import check_kafka, raised
from penstock.stage.report import check_files
from penstock.stage.spark import SourceStaging, source_schema
from penstock.streaming.committing import OfflineTail
from penstock.streaming.gating import Gating
from penstock.streaming.kafka_options import options
from penstock.streaming.messages import EVENT, HEADERS, messages_of
from penstock.streaming.meter import Meter, line_of
from penstock.streaming.places import Opened, check_not_older, lease_path, opened
from penstock.streaming.sink import Sink
from penstock.streaming.staging import Staging
from penstock.streaming.steps import Kind, kind_of
from penstock.streaming.tail import Tail
from penstock.ticker import ticking
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery
    from pyspark.sql.streaming.readwriter import DataStreamWriter

TOLD_S = 2.0  # from one look at the stream to the next
RESTARTS = 3  # of a query that fails in the same way without a batch between
#: Spark 4.1 fails in the metrics of its Kafka source after a batch that was replayed (SPARK-55271);
#: the batch is done, and a second start goes on.
_METRICS = ("KafkaMicroBatchStream.metrics", "KafkaMicroBatchStream$.metrics")
_LOSS = ("Some data may have been lost", "was changed from", "some data may have been missed")


@dataclass(frozen=True)
class Ended:
    """How a run of a stream ended.

    Args:
        group: Name of the feature group.
        why: ``caught up`` or ``stopped``.
        resumed: Batches that an earlier run had left unfinished.
        figures: Those of :meth:`penstock.streaming.meter.Meter.plain`.
    """

    group: str
    why: Literal["caught up", "stopped"]
    resumed: int
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line.

    Args:
        available_now: End once all that is there now is done.
        again: Events that were read before may be read again, by a new stream.
    """

    available_now: bool = False
    again: bool = False


def run_stream(context: Context, pipeline: Pipeline, asked: Asked) -> Ended:
    """Feed a group from its stream until it is stopped, or has caught up.

    An interrupt lets the batch end that is under way, and commits what waits. Killed at any point,
    the next run goes on: nothing is lost, and nothing is offline twice.

    Args:
        context: The surroundings.
        pipeline: What is run.
        asked: How.

    Raises:
        UsageError: There is no stream for the group, a step of its transform cannot stream, or its
            checkpoint is gone.
        MismatchError: Events are gone that were not read yet.
        TemporaryError: Somebody runs it already, or records are not being accepted.
    """
    group, settings, now = pipeline.group, context.settings, context.now().timestamp()
    stream, streamed = _stream(context, pipeline)
    _check_format(context, group.name)
    check_whole(context)
    lease = lease_path(state_folder(settings), group.name)
    if not context.takeover:
        check_free(context.storage, lease, now, f"the stream of {group.name!r}")
    check_group(context, group)
    with held(context.storage, lease, lambda: context.now().timestamp()):
        check_whole(context)
        found = _opened(context, pipeline, stream, again=asked.again)
        return _Run(context, pipeline, stream, streamed, found, asked).run()


class _Run:
    """One run."""

    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        stream: Stream,
        streamed: str,
        found: Opened,
        asked: Asked,
    ) -> None:
        self._context, self._pipeline, self._stream = context, pipeline, stream
        self._streamed, self._found, self._asked = streamed, found, asked
        self._run = uuid.uuid4().hex[:12]
        self._meter = Meter(context.now().timestamp())
        self._told = ""

    def run(self) -> Ended:
        pipeline, context, name = self._pipeline, self._context, self._pipeline.group.name
        context.progress.step(name, "reading the other sources")
        others = _others(context, pipeline, self._streamed, self._found, self._run)
        kind = kind_of(context.spark, pipeline, self._streamed, others)
        _tune(context, kind, resumed=self._found.resumed)
        tail, sink = self._made(others, kind)
        resumed = sink.resume()
        check_not_older(context.storage, self._found.places, tail.reached)
        if resumed:
            context.progress.note(name, f"finished {resumed} batches that were left")
        tail.start()
        why: Literal["caught up", "stopped"] = "stopped"
        try:
            context.progress.step(name, "reading the stream")
            with self._telling():
                why = self._until_ended(self._writer(sink, others, kind), sink)
        finally:
            tail.close()
            self._note(ended=True)
        figures = self._meter.plain(context.now().timestamp())
        return Ended(name, why, resumed, figures)

    def _made(self, others: Mapping[str, DataFrame], kind: Kind) -> tuple[Tail, Sink]:
        context, pipeline, places = self._context, self._pipeline, self._found.places
        group, settings = pipeline.group, context.settings
        mode = mode_of(group, settings, "latest", None)
        offline, compare = None, self._found.compare
        if mode.offline == "own":
            path = offline_path(settings, group.name)
            storage = storage_of(path, settings)
            offline = OfflineTail(group, path, storage, places.application, compare=compare)
        lag, run = self._stream.offline_lag_s, self._run
        tail = Tail(
            context,
            group,
            pipeline.meaning,
            places,
            offline,
            self._meter,
            lag,
            run,
            compare=compare,
        )
        messages = messages_of(pipeline.sources[self._streamed], self._stream.columns)
        staging = Staging(
            context=context,
            pipeline=pipeline,
            stream=self._stream,
            streamed=self._streamed,
            others=others,
            messages=messages,
            places=places,
            mode=mode,
            kind=kind,
            run=run,
        )
        return tail, Sink(staging, tail, self._meter)

    def _writer(self, sink: Sink, others: Mapping[str, DataFrame], kind: Kind) -> DataStreamWriter:
        context, stream, places = self._context, self._stream, self._found.places
        check_kafka(context.spark)
        reader = context.spark.readStream.format("kafka").options(**options(stream.kafka).all())
        names = [*EVENT, *([HEADERS] if stream.kafka.headers else [])]
        frame = reader.load().select(*names)
        if kind == "windows":
            frame = self._windows(frame, others)
        writer = frame.writeStream.foreachBatch(sink).outputMode("update")
        writer = writer.option("checkpointLocation", _hadoop(places.checkpoint))
        writer = writer.queryName(f"penstock {self._pipeline.group.name}")
        if self._asked.available_now:
            return writer.trigger(availableNow=True)
        return writer.trigger(processingTime=f"{round(stream.trigger_s * 1000)} milliseconds")

    def _windows(self, events: DataFrame, others: Mapping[str, DataFrame]) -> DataFrame:
        name, source = self._streamed, self._pipeline.sources[self._streamed]
        messages, folder = messages_of(source, self._stream.columns), self._found.places.gates
        work = Gating(name, source, messages, folder, self._context.storage)
        rows = events.mapInArrow(settled(work), source_schema(source))
        transform = self._pipeline.transform
        assert transform is not None  # without one a batch is of rows
        made: DataFrame = transform(**others, **{name: rows})
        return made

    def _until_ended(self, writer: DataStreamWriter, sink: Sink) -> Literal["caught up", "stopped"]:
        failures, calls = 0, -1
        while True:
            query = writer.start()
            try:
                self._wait(query)
            except KeyboardInterrupt:
                _stop(query, sink)
                return "stopped"
            if query.exception() is None:
                return "caught up" if self._asked.available_now else "stopped"
            failures = failures + 1 if sink.calls == calls else 1
            calls = sink.calls
            error = query.exception()
            if sink.error is not None or failures > RESTARTS or not _passing(error):
                raise _cause(self._pipeline.group.name, error, sink.error)

    def _wait(self, query: StreamingQuery) -> None:
        pause = threading.Event()
        while query.isActive:
            pause.wait(0.1 if self._asked.available_now else 0.5)
            self._meter.backlog = _backlog(query)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell how it goes, while it goes."""

        def tell() -> bool:
            self._note()
            return True

        with ticking("penstock-stream", TOLD_S, tell):
            yield

    def _note(self, *, ended: bool = False) -> None:
        """Write down how it goes, where that has changed, or to say that it goes on."""
        now = self._context.now()
        plain = self._meter.plain(now.timestamp())
        self._context.progress.live(self._pipeline.group.name, line_of(plain))
        state = "stopped" if ended else "running"
        figures = json.dumps({"run": self._run, "state": state, **plain}, sort_keys=True)
        if figures != self._told or ended:
            self._told = figures
            said = {**json.loads(figures), "at": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            self._context.storage.write(self._found.places.status, json.dumps(said).encode())


def _stream(context: Context, pipeline: Pipeline) -> tuple[Stream, str]:
    """What ``conf`` says of the stream, and which source it is."""
    name, streams = pipeline.group.name, context.settings.streams
    if name not in streams:
        message = f"conf does not say where the events of {name!r} come from"
        raise UsageError(message, f"Add streams.{name} with kafka: servers and topics")
    stream, sources = streams[name], list(pipeline.sources)
    if stream.source is None and len(sources) > 1:
        message = f"{name}: which of {', '.join(sources)} is the stream?"
        raise UsageError(message, f"Say streams.{name}.source")
    streamed = stream.source or sources[0]
    if streamed not in sources:
        message = f"{name}: its pipeline has no source {streamed!r}"
        raise UsageError(message, f"It has: {', '.join(sources)}")
    declared = [one.name for one in pipeline.sources[streamed].columns]
    unknown = [one for one in stream.columns if one not in declared]
    if unknown:
        message = f"{name}: source {streamed!r} has no column {unknown[0]!r}"
        raise UsageError(message, f"It has: {', '.join(declared)}")
    return stream, streamed


def _check_format(context: Context, group: str) -> None:
    settings = context.settings
    check_tables(settings, group)
    form = settings.offline.format
    if form != "delta" and settings.group(group).own_table:
        message = f"{group}: a stream writes Delta tables, and conf says offline.format: {form}"
        remedy = f"Set it to delta, or have the service write it: groups.{group}.owner: service"
        raise UsageError(message, remedy)


def _opened(context: Context, pipeline: Pipeline, stream: Stream, *, again: bool) -> Opened:
    settings, name = context.settings, pipeline.group.name
    reads = {"kafka": ",".join(sorted(stream.kafka.topics))}
    filled = context.log(pipeline.group).exists
    state = state_folder(settings)
    return opened(context.storage, state, name, reads, filled=filled, again=again)


def _others(
    context: Context, pipeline: Pipeline, streamed: str, found: Opened, run: str
) -> dict[str, DataFrame]:
    """Typed rows of the sources that are no stream, as they are now, kept by Spark."""
    rest = {name: one for name, one in pipeline.sources.items() if name != streamed}
    if not rest:
        return {}
    frames: dict[str, DataFrame] = {}
    folder = f"{found.places.folder}/others"
    context.storage.remove(folder)
    for one in inputs_of(context, rest):
        staging = SourceStaging(context.spark, context.storage, f"{folder}/{run}/{one.name}")
        report = one.stage(staging, Bounds())
        check_files(f"{pipeline.group.name}: source {one.name}", report, context.storage)
        one.check_read(report.rows_in)
        entry = Entry(pipeline.group.name, run, context.now())
        context.quarantine.add_staged([bad.path for bad in report.bad], entry)
        frames[one.name] = staging.typed(one.source, report).cache()
    return frames


def _tune(context: Context, kind: Kind, *, resumed: bool) -> None:
    """Settings by which small batches are quick. None of them changes a row."""
    conf, spark = context.spark.conf, context.spark.sparkContext
    conf.set("spark.sql.adaptive.enabled", "false")
    if kind == "windows" and not resumed:  # a checkpoint keeps the number it began with
        partitions = min(
            int(conf.get("spark.sql.shuffle.partitions") or 1), spark.defaultParallelism
        )
        conf.set("spark.sql.shuffle.partitions", str(partitions))


def _stop(query: StreamingQuery, sink: Sink) -> None:
    """Between two batches."""
    with sink.busy, suppress(Exception):
        query.stop()


def _backlog(query: StreamingQuery) -> int | None:
    """Events that are there and were not read yet; None where Spark does not tell."""
    last: Any = query.lastProgress
    with suppress(LookupError, TypeError, ValueError):
        return int(last["sources"][0]["metrics"]["maxOffsetsBehindLatest"])
    return None


def _passing(error: StreamingQueryException | None) -> bool:
    text = str(error)
    return "NullPointerException" in text and any(one in text for one in _METRICS)


def _cause(
    group: str, error: StreamingQueryException | None, own: BaseException | None
) -> BaseException:
    """What a person should know of a query that failed."""
    if isinstance(own, PenstockError):
        return own
    text = str(error)
    if any(one in text for one in _LOSS):
        told = next((line for line in text.splitlines() if "ffset" in line), "").strip()
        message = f"{group}: events are gone that were not read yet: {told}"
        remedy = "Load them from elsewhere; then set fail_on_data_loss: false to go on without them"
        return MismatchError(message, remedy)
    known = raised(own if isinstance(own, Exception) else Exception(text))
    if known is not None:
        return known
    if own is not None:
        return own
    first = next((one for one in text.splitlines() if one.strip()), "it ended")
    return TemporaryError(f"{group}: the stream failed: {first}", "Run the same command again")


def _hadoop(path: str) -> str:
    """As Hadoop's file systems call it."""
    return path.replace("s3://", "s3a://", 1) if path.startswith("s3://") else path
