"""A stream from its start to its end: recovered first, then run by Spark until it is stopped."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyspark.sql import DataFrame

from penstock.bucket import storage_of
from penstock.conf_streams import Stream
from penstock.contract import Pipeline
from penstock.errors import TemporaryError, UsageError
from penstock.expectation import split
from penstock.ledger.lease import check_free, held
from penstock.run.context import Context
from penstock.run.group import check_group
from penstock.run.holding import check_whole
from penstock.run.ingest import explained
from penstock.run.mode import mode_of
from penstock.run.places import offline_path, state_folder
from penstock.session import spark_line
from penstock.stage.spark import source_schema, transformed
from penstock.storage import hadoop_path, is_s3
from penstock.streaming.admission import (
    check_stores,
    has_windows,
    messages_for,
    others_of,
    stream_of,
)
from penstock.streaming.committing import OfflineTail
from penstock.streaming.events import check_source, events_of
from penstock.streaming.gating import Gating
from penstock.streaming.life import Life
from penstock.streaming.messages import Messages
from penstock.streaming.meter import Meter
from penstock.streaming.offsets import last_batch
from penstock.streaming.places import (
    Opened,
    StreamPlaces,
    lease_path,
    opened,
    streams_of,
)
from penstock.streaming.rows import Rows, forget_rows
from penstock.streaming.sink import Sink
from penstock.streaming.staging import Staging
from penstock.streaming.steps import Kind, kind_of
from penstock.streaming.tail import Tail
from penstock.streaming.telling import Telling, check_metrics
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql.streaming.readwriter import DataStreamWriter

_MANAGER = "spark.sql.streaming.checkpointFileManagerClass"
_STREAMING = "org.apache.spark.sql.execution.streaming"


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
        metrics: File that gets figures as JSON lines while it runs.
    """

    available_now: bool = False
    again: bool = False
    metrics: Path | None = None


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
    with explained(context):
        return _run_stream(context, pipeline, asked, stop)


def _run_stream(context: Context, pipeline: Pipeline, asked: Asked, stop: threading.Event) -> Ended:
    group, settings, now = pipeline.group, context.settings, context.now().timestamp()
    stream, streamed = stream_of(context, pipeline)
    check_metrics(asked.metrics)
    check_stores(context, pipeline, again=asked.again)
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

    @functools.cached_property
    def _messages(self) -> Messages:
        source = self._pipeline.sources[self._streamed]
        return messages_for(self._context, self._stream, source)

    def run(self) -> Ended:
        pipeline, context, name = self._pipeline, self._context, self._pipeline.group.name
        check_source(context.spark, self._stream)
        context.progress.step(name, "reading the other sources")
        folder = f"{self._found.places.folder}/others"
        context.storage.remove(folder)
        others = others_of(context, pipeline, self._streamed, f"{folder}/{self._run}", self._run)
        kind = kind_of(context.spark, pipeline, self._streamed, others)
        self._say_what_is_not_asked(kind)
        _tune(context, kind, self._found)
        tail, sink = self._made(self._found.places, others, kind)
        tail.prepare()
        resumed = self._resume(others, kind) + sink.resume()
        self._forget_rows()
        if resumed:
            context.progress.note(name, f"finished {resumed} batches that were left")
        self._check_reached(tail)
        tail.start()
        why: Literal["caught up", "stopped"] = "stopped"
        metrics = self._asked.metrics
        telling = Telling(context, self._found.places, self._meter, self._run, metrics)
        try:
            context.progress.step(name, "reading the stream")
            with telling.going():
                why = self._life(sink, tail).lived(self._writer(sink, others, kind))
        finally:
            try:
                tail.close()
            finally:
                telling.note(ended=True)
        self._check_ours()
        context.storage.remove(self._found.places.gated)  # all that was in it is in both stores
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

    def _forget_rows(self) -> None:
        """Rows that runs had in hand which did not come to their end: one file each."""
        storage, gated = self._context.storage, self._found.places.gated
        for folder in storage.list(gated):
            forget_rows(storage, folder)

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
                compare=self._found.compare or has_windows(context, group.name),
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
        staging = Staging(
            context=context,
            pipeline=pipeline,
            stream=self._stream,
            streamed=self._streamed,
            others=others,
            messages=self._messages,
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
        writer = writer.option("checkpointLocation", hadoop_path(places.checkpoint))
        writer = writer.queryName(f"penstock {self._pipeline.group.name}")
        if self._asked.available_now:
            return writer.trigger(availableNow=True)
        return writer.trigger(processingTime=f"{round(stream.trigger_s * 1000)} milliseconds")

    def _life(self, sink: Sink, tail: Tail) -> Life:
        name, piecemeal = self._pipeline.group.name, self._stream.kinesis is not None
        ends = self._asked.available_now
        return Life(name, sink, tail, self._meter, self._stop, ends=ends, piecemeal=piecemeal)

    def _windows(self, events: DataFrame, others: Mapping[str, DataFrame]) -> DataFrame:
        name, source = self._streamed, self._pipeline.sources[self._streamed]
        messages, folder = self._messages, self._found.places.gates
        ahead = timedelta(seconds=self._context.settings.quality.future_tolerance_s)
        work = Gating(name, source, messages, folder, self._context.storage, ahead)
        rows = events.mapInArrow(settled(work), source_schema(source))
        return transformed(self._pipeline, {**others, name: rows})


def _opened(context: Context, pipeline: Pipeline, stream: Stream, *, again: bool) -> Opened:
    settings, name = context.settings, pipeline.group.name
    filled = context.log(pipeline.group).exists
    state = state_folder(settings)
    return opened(context.storage, state, name, stream.reads, filled=filled, again=again)


def _tune(context: Context, kind: Kind, found: Opened) -> None:
    """Settings by which small batches are quick. None of them changes a row."""
    conf, spark = context.spark.conf, context.spark.sparkContext
    conf.set("spark.sql.adaptive.enabled", "false")
    if not is_s3(found.places.checkpoint):
        # The other one starts a program of the system for each mode and link it asks for: 45
        # processes a batch instead of 15, a quarter of all its CPU seconds (measured).
        place = _STREAMING if spark_line() in ("3.5", "4.0") else f"{_STREAMING}.checkpointing"
        conf.set(_MANAGER, f"{place}.FileSystemBasedCheckpointFileManager")
    if kind == "windows" and not found.resumed:  # a checkpoint keeps the number it began with
        partitions = min(
            int(conf.get("spark.sql.shuffle.partitions") or 1), spark.defaultParallelism
        )
        conf.set("spark.sql.shuffle.partitions", str(partitions))
