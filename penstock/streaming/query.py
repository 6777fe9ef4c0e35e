"""A stream from its start to its end: recovered first, then run by Spark until it is stopped."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame

from penstock.bucket import storage_of
from penstock.conf_streams import Stream
from penstock.contract import Pipeline
from penstock.errors import MismatchError, PenstockError, TemporaryError, UsageError
from penstock.expectation import split
from penstock.gate import Bounds
from penstock.ledger.history import Ledger
from penstock.ledger.lease import check_free, held
from penstock.quarantine import Entry
from penstock.run.context import Context
from penstock.run.group import check_group
from penstock.run.holding import check_whole
from penstock.run.ingest import explained
from penstock.run.inputs import inputs_of
from penstock.run.mode import mode_of
from penstock.run.places import offline_path, state_folder
from penstock.run.tables import check_tables
from penstock.session import raised
from penstock.stage.report import check_files
from penstock.stage.spark import SourceStaging, source_schema
from penstock.streaming.committing import OfflineTail
from penstock.streaming.events import check_source, events_of
from penstock.streaming.gating import Gating
from penstock.streaming.messages import messages_of
from penstock.streaming.meter import Meter
from penstock.streaming.offsets import Offsets, events_between, last_batch
from penstock.streaming.places import (
    Opened,
    StreamPlaces,
    lease_path,
    opened,
    streams_of,
)
from penstock.streaming.rows import Rows
from penstock.streaming.sink import Sink
from penstock.streaming.staging import Staging
from penstock.streaming.standing import line_of
from penstock.streaming.steps import Kind, kind_of
from penstock.streaming.tail import Tail
from penstock.ticker import ticking
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery
    from pyspark.sql.streaming.readwriter import DataStreamWriter

TOLD_S = 2.0  # from one look at the stream to the next
SMALL = 100_000  # rows of a source that is no stream, for one task
RESTARTS = 3  # of a query that fails in the same way without a batch between
#: Spark 4.1 fails in the metrics of its Kafka source after a batch that was replayed (SPARK-55271);
#: the batch is done, and a second start goes on. So many frames of it are looked at.
_FRAMES = 10
_GONE = re.compile(r"offset[= ]\d+|partition [\w.\-]+-\d+|TopicPartition[^,;]*")
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


def run_stream(
    context: Context, pipeline: Pipeline, asked: Asked, stop: threading.Event | None = None
) -> Ended:
    """Feed a group from its stream until it is stopped, or has caught up.

    Killed at any point, the next run goes on: nothing is lost, and nothing is offline twice.

    Args:
        context: The surroundings.
        pipeline: What is run.
        asked: How.
        stop: Once it is set, the batch that is under way ends, what waits is committed, and it
            returns.

    Raises:
        UsageError: There is no stream for the group, a step of its transform cannot stream, or its
            checkpoint is gone.
        MismatchError: Events are gone that were not read yet.
        TemporaryError: Somebody runs it already, or records are not being accepted.
    """
    stop = threading.Event() if stop is None else stop
    return explained(context, lambda: _run_stream(context, pipeline, asked, stop))


def _run_stream(context: Context, pipeline: Pipeline, asked: Asked, stop: threading.Event) -> Ended:
    group, settings, now = pipeline.group, context.settings, context.now().timestamp()
    stream, streamed = _stream(context, pipeline)
    _check_stores(context, pipeline, again=asked.again)
    check_whole(context)
    lease = lease_path(state_folder(settings), group.name)
    if not context.takeover:
        what = f"the stream of {group.name!r}"
        check_free(context.storage, lease, now, what, "Stop it there, or run with --takeover")
    check_group(context, group)
    with held(context.storage, lease, lambda: context.now().timestamp()) as is_ours:

        def check_ours() -> None:
            if not is_ours():
                message = f"{group.name}: the stream was taken over, or this process slept"
                raise TemporaryError(message, "Run the same command again where it is to run")

        check_whole(context)
        found = _opened(context, pipeline, stream, again=asked.again)
        return _Run(context, pipeline, stream, streamed, found, asked, check_ours, stop).run()


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
        check_ours: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        self._context, self._pipeline, self._stream = context, pipeline, stream
        self._streamed, self._found, self._asked = streamed, found, asked
        self._check_ours, self._stop = check_ours, stop
        self._run = uuid.uuid4().hex[:12]
        self._meter = Meter(context.now().timestamp())
        self._told = ""

    def run(self) -> Ended:
        pipeline, context, name = self._pipeline, self._context, self._pipeline.group.name
        check_source(context.spark, self._stream)
        context.progress.step(name, "reading the other sources")
        others = _others(context, pipeline, self._streamed, self._found, self._run)
        kind = kind_of(context.spark, pipeline, self._streamed, others)
        self._say_what_is_not_asked(kind)
        _tune(context, kind, resumed=self._found.resumed)
        tail, sink = self._made(self._found.places, others, kind)
        tail.prepare()
        resumed = self._resume(others, kind) + sink.resume()
        if resumed:
            context.progress.note(name, f"finished {resumed} batches that were left")
        self._check_reached(tail)
        tail.start()
        why: Literal["caught up", "stopped"] = "stopped"
        try:
            context.progress.step(name, "reading the stream")
            with self._telling():
                why = self._until_ended(self._writer(sink, others, kind), sink, tail)
        finally:
            try:
                tail.close()
            finally:
                self._note(ended=True)
        figures = self._meter.plain(context.now().timestamp())
        return Ended(name, why, resumed, figures)

    def _resume(self, others: Mapping[str, DataFrame], kind: Kind) -> int:
        """Finish what older streams of the group had staged: nobody else will."""
        state, group = state_folder(self._context.settings), self._pipeline.group.name
        count = 0
        for places in streams_of(self._context.storage, state, group):
            if places != self._found.places:
                _, sink = self._made(places, others, kind)
                count += sink.resume()
        return count

    def _check_reached(self, tail: Tail) -> None:
        """A checkpoint from before would bring other events under numbers that are done."""
        places, group = self._found.places, self._pipeline.group.name
        planned = last_batch(self._context.storage, places.checkpoint)
        if planned < tail.reached:
            why = f"its checkpoint is at batch {planned}, its stores are at {tail.reached}"
            message = f"{group}: {why} ({places.checkpoint})"
            remedy = "Restore a newer one; or delete it and start with --allow-reprocess"
            raise UsageError(message, remedy)

    def _say_what_is_not_asked(self, kind: Kind) -> None:
        wanted = self._pipeline.group.all_expectations
        left = len(split(wanted).staged)
        if left:
            what = "that look at a whole set, or warn or fail, are not asked in a stream"
            self._context.progress.note(
                self._pipeline.group.name, f"{left} of {len(wanted)} expectations {what}"
            )
        time = self._pipeline.sources[self._streamed].time
        if kind == "windows" and time is None:
            message = f"{self._pipeline.group.name}: source {self._streamed!r} has no time column"
            remedy = "Declare Source(time=…): an event from far ahead would close all windows"
            raise UsageError(message, remedy)

    def _made(
        self, places: StreamPlaces, others: Mapping[str, DataFrame], kind: Kind
    ) -> tuple[Tail, Sink]:
        context, pipeline = self._context, self._pipeline
        group, settings = pipeline.group, context.settings
        mode = mode_of(group, settings, "latest", None)
        offline = None
        if mode.offline == "own":
            path = offline_path(settings, group.name)
            offline = OfflineTail(
                group,
                path,
                storage_of(path, settings),
                context.storage,
                places.application,
                compare=self._found.compare or _has_windows(context, group.name),
            )
        tail = Tail(
            context,
            group,
            pipeline.meaning,
            places,
            offline,
            self._meter,
            self._stream.offline_lag_s,
            self._run,
            self._check_ours,
            again=self._found.again,
        )
        messages = messages_of(pipeline.sources[self._streamed], self._stream.columns)
        staging = Staging(
            context=context,
            pipeline=pipeline,
            stream=self._stream,
            streamed=self._streamed,
            others=others,
            messages=messages,
            rows=Rows(
                context.spark,
                pipeline,
                self._streamed,
                others,
                f"{places.gated}/{self._run}",
                context.storage,
            ),
            places=places,
            mode=mode,
            kind=kind,
            run=self._run,
        )
        return tail, Sink(staging, tail, self._meter)

    def _writer(self, sink: Sink, others: Mapping[str, DataFrame], kind: Kind) -> DataStreamWriter:
        context, stream, places = self._context, self._stream, self._found.places
        again = self._found.again  # all that is there, whatever a first start was to read
        frame = events_of(context.spark, stream, context.endpoint, again=again)
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
        ahead = timedelta(seconds=self._context.settings.quality.future_tolerance_s)
        work = Gating(name, source, messages, folder, self._context.storage, ahead)
        rows = events.mapInArrow(settled(work), source_schema(source))
        transform = self._pipeline.transform
        assert transform is not None  # without one a batch is of rows
        made: DataFrame = transform(**others, **{name: rows})
        return made

    def _until_ended(
        self, writer: DataStreamWriter, sink: Sink, tail: Tail
    ) -> Literal["caught up", "stopped"]:
        failures, calls = 0, -1
        while True:
            query = writer.start()
            self._wait(query, tail)
            if query.isActive:  # somebody asked for the end
                _stop(query, sink)
                if sink.error is not None:
                    raise _cause(self._pipeline.group.name, None, sink.error)
                return "stopped"
            error = query.exception()
            if error is None and not self._asked.available_now:
                return "stopped"
            if error is None and (self._stream.kinesis is None or sink.calls == calls):
                return "caught up"
            failures = failures + 1 if sink.calls == calls else 1
            calls = sink.calls
            if error is None:  # of a Python source Spark reads one batch at a time
                continue
            if sink.error is not None or failures > RESTARTS or not _passing(query):
                raise _cause(self._pipeline.group.name, error, sink.error)

    def _wait(self, query: StreamingQuery, tail: Tail) -> None:
        """Until the query has ended, somebody asks for its end, or the offline store fails."""
        pause, seen = 0.1 if self._asked.available_now else 0.5, -1
        while query.isActive and not self._stop.wait(pause):
            if tail.failed:
                return
            last: Any = query.lastProgress
            self._meter.backlog = _backlog(last)
            if last is not None and last["batchId"] != seen:
                seen = last["batchId"]
                self._meter.late += _late(last)

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
        raise UsageError(message, f"Add streams.{name} with kafka: servers and topics, or kinesis")
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


def _check_stores(context: Context, pipeline: Pipeline, *, again: bool) -> None:
    """What a stream cannot keep right is refused."""
    settings, group = context.settings, pipeline.group.name
    check_tables(settings, group)
    form, place = settings.offline.format, settings.group(group)
    if form != "delta" and place.own_table:
        message = f"{group}: a stream writes Delta tables, and conf says offline.format: {form}"
        remedy = f"Set it to delta, or have the service write it: groups.{group}.owner: service"
        raise UsageError(message, remedy)
    if pipeline.group.deleted_when is not None and settings.online.deletion == "hard":
        message = f"{group}: after online.deletion: hard, late events would bring records back"
        raise UsageError(message, "Set online.deletion: soft: it keeps the time of the deletion")
    if again and place.owner == "service":
        message = f"{group}: the service would store again all events that are read again"
        raise UsageError(message, "Restore the checkpoint; owner: service has no --allow-reprocess")


def _opened(context: Context, pipeline: Pipeline, stream: Stream, *, again: bool) -> Opened:
    settings, name = context.settings, pipeline.group.name
    filled = context.log(pipeline.group).exists
    state = state_folder(settings)
    return opened(context.storage, state, name, stream.reads, filled=filled, again=again)


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
        one.check()
        entry = Entry(pipeline.group.name, run, context.now())
        context.quarantine.add_staged([bad.path for bad in report.bad], entry)
        rows = staging.typed(one.source, report)
        # In one part a small source is grouped and joined without a shuffle for each batch.
        frames[one.name] = (rows.coalesce(1) if report.fit <= SMALL else rows).cache()
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
    """Between two batches: one that begins now is turned away, so that nobody waits for anybody."""
    sink.stopping = True
    with sink.busy:
        pass
    with suppress(Exception):
        query.stop()


def _backlog(last: Any) -> int | None:
    """Events that were there and not read yet, by a batch's progress; None where it is not told."""
    with suppress(LookupError, TypeError, ValueError, AttributeError):
        source = last["sources"][0]
        return events_between(_offsets(source["endOffset"]), _offsets(source["latestOffset"]))
    return None


def _offsets(told: Any) -> Offsets | None:
    found = json.loads(told) if isinstance(told, str) else told
    return found if isinstance(found, dict) else None


def _late(last: Any) -> int:
    """Rows of a batch that came too late for their window, by its progress."""
    return sum(int(one["numRowsDroppedByWatermark"]) for one in last["stateOperators"])


def _has_windows(context: Context, group: str) -> bool:
    """Whether runs have brought rows of the group, or may be about to."""
    return bool(Ledger(context.storage, state_folder(context.settings), group).windows())


def _passing(query: StreamingQuery) -> bool:
    """Whether it ended by the defect of Spark that ends it after a batch that is done."""
    error = query._jsq.exception().get().cause()  # noqa: SLF001 - Python is told the message alone
    frames = list(error.getStackTrace())[:_FRAMES]
    return error.getClass().getSimpleName() == "NullPointerException" and any(
        "KafkaMicroBatchStream" in str(one) for one in frames
    )


def _cause(
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
    first = next((one for one in text.splitlines() if one.strip()), "it ended")
    return TemporaryError(f"{group}: the stream failed: {first}", "Run the same command again")


def _hadoop(path: str) -> str:
    """As Hadoop's file systems call it."""
    return path.replace("s3://", "s3a://", 1) if path.startswith("s3://") else path
