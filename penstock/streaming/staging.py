"""STAGE for a batch of a stream: the same gates and the same transform as for a window of files.

A small batch is read, gated and written by the driver, in tens of milliseconds: no Python worker is
asked. A large one is by Spark's tasks, as a batch of files is. The rows are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from penstock.conf_streams import Stream
from penstock.contract import CORRECT, REPLACED, Pipeline
from penstock.encoding.instants import micros_of
from penstock.errors import MismatchError
from penstock.gate import Bounds
from penstock.run.context import Context
from penstock.run.figures import SourceFigures, source_figures
from penstock.run.mode import Mode
from penstock.stage.report import Report, check_files
from penstock.stage.selection import OLDER, SelectionTask
from penstock.stage.spark import (
    SourceStaging,
    shuffle_partitions,
    stage_features,
    transformed,
    wanted_columns,
)
from penstock.stage.tasks import FeatureTask
from penstock.storage import Storage
from penstock.streaming.batch import Batch
from penstock.streaming.gating import taken_up
from penstock.streaming.messages import Messages
from penstock.streaming.offsets import Offsets
from penstock.streaming.places import StreamPlaces
from penstock.streaming.plan import collected
from penstock.streaming.rows import Rows
from penstock.streaming.steps import Kind

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Staging:
    """How the batches of one stream are staged.

    Args:
        context: The surroundings.
        pipeline: What is run.
        stream: What ``conf`` says.
        streamed: Name of the source that is the stream.
        others: Typed rows of the other sources.
        messages: How events become rows.
        rows: The transform, for batches the driver stages.
        places: Where the stream lies.
        mode: What is done to which store.
        kind: Whether batches are events, or rows that Spark's windows gave.
        run: Identifier of this run.
    """

    context: Context
    pipeline: Pipeline
    stream: Stream
    streamed: str
    others: Mapping[str, DataFrame]
    messages: Messages
    rows: Rows
    places: StreamPlaces
    mode: Mode
    kind: Kind
    run: str

    def stage(
        self, frame: DataFrame, number: int, until: Offsets | None, events: int | None
    ) -> tuple[Batch, Longs]:
        """Stage a batch; it counts once its manifest is kept.

        Args:
            frame: What Spark gives: events, or rows of windows; evaluated once.
            number: Of the batch.
            until: Offsets at its end; None where Spark tells none.
            events: How many it has at most; None where nobody can tell.

        Returns:
            The batch, and when its events came to the stream, in microseconds: all of them, or of
            windows the newest.

        Raises:
            ContractError: The transform's output lacks a feature.
            MismatchError: Rows were lost between two counts.
        """
        folder, now = self.places.batch(number), self.context.now()
        if self.kind == "windows":
            staged, source, bad, stamps = self._windows(frame, folder, now)
            way = "driver"
        elif events is not None and events <= self.stream.small_rows:
            staged, source, bad, stamps = self._by_driver(frame, folder, now)
            way = "driver"
        else:
            staged, source, bad, stamps = self._by_tasks(frame, folder, now)
            way = "tasks"
        what = f"{self.pipeline.group.name}: batch {number}"
        check_files(what, staged, self.context.storage, online=self.mode.online)
        self._check_read(what, source, staged, events)
        staged, gone = self._living(staged, folder, now)
        batch = Batch(
            number=number,
            run=self.run,
            at=micros_of(now),
            until=until,
            way=way,
            mode=self.mode,
            chunk_rows=self.context.settings.online.chunk_rows,
            source=source,
            bad=bad,
            staged=staged,
            expired=gone,
        )
        return batch, stamps

    def _check_read(
        self, what: str, source: SourceFigures, staged: Report, events: int | None
    ) -> None:
        """Nothing came from nowhere, and without a transform what passed came to the next gate."""
        more = events is not None and source.read > events
        if more or (self.pipeline.transform is None and source.passed != staged.rows_in):
            message = (
                f"{what}: {events} events, {source.read} read, {source.passed} passed the source "
                f"gate, {staged.rows_in} came to the next"
            )
            raise MismatchError(message, "Nothing was sent; please report this as a defect")

    def _by_driver(self, frame: DataFrame, folder: str, now: datetime) -> _Found:
        storage = self.context.storage
        events = collected(frame)
        gated = self.rows.gate(self.messages.rows(events))
        check_files(f"{self.pipeline.group.name}: source {self.streamed}", gated, storage)
        made = self.rows.transformed(gated) if gated.fit else None
        staged = Report() if made is None else self._gated(made, folder, now)
        return staged, *self._told(gated), stamps_of(events)

    def _by_tasks(self, frame: DataFrame, folder: str, now: datetime) -> _Found:
        storage, source = self.context.storage, self.pipeline.sources[self.streamed]
        staging = SourceStaging(self.context.spark, storage, f"{folder}/source")
        gated = staging.frame(self.streamed, source, Bounds(), frame, self.messages.rows)
        check_files(f"{self.pipeline.group.name}: source {self.streamed}", gated, storage)
        staged = Report()
        if gated.fit:
            partitions = shuffle_partitions(self.context.spark)
            frames = {**self.others, self.streamed: staging.typed(source, gated)}
            made = transformed(self.pipeline, frames)
            staged = stage_features(made, self._task(folder, now), partitions, storage)
        return staged, *self._told(gated), np.empty(0, np.int64)

    def _windows(self, frame: DataFrame, folder: str, now: datetime) -> _Found:
        staged = self._gated(collected(wanted_columns(frame, self.pipeline.group)), folder, now)
        left = taken_up(self.context.storage, self.places.gates)
        stamps = np.array([] if left.newest is None else [left.newest], np.int64)
        return staged, *self._told(left.gated), stamps

    def _gated(self, made: pa.Table, folder: str, now: datetime) -> Report:
        """The feature gate, in this process."""
        task = replace(self._task(folder, now), buffer_rows=made.num_rows + 1)
        return task.run(made.to_batches(), self.context.storage)

    def _task(self, folder: str, now: datetime) -> FeatureTask:
        tolerance = timedelta(seconds=self.context.settings.quality.future_tolerance_s)
        return FeatureTask(
            group=self.pipeline.group,
            bounds=Bounds(),
            latest=now + tolerance,
            folder=folder,
            send=self.mode.online != "never",
            every_at=now if self.mode.online == "service" else None,
        )

    def _told(self, gated: Report) -> tuple[SourceFigures, tuple[str, ...]]:
        return source_figures(self.streamed, gated, ()), tuple(one.path for one in gated.bad)

    def _living(self, staged: Report, folder: str, now: datetime) -> tuple[Report, int]:
        """Without candidates whose time to live is over, and how many these were."""
        group = self.pipeline.group
        timed = group.ttl is not None or group.ttl_from is not None
        if not timed or self.mode.online != "latest" or not staged.send:
            return staged, 0
        storage, task = self.context.storage, SelectionTask(group, now, folder)
        made = task.run(_judged(staged, storage), storage)
        return replace(staged, send=made.send), made.expired


_Found = tuple[Report, SourceFigures, tuple[str, ...], Longs]


def stamps_of(events: pa.Table) -> Longs:
    """When the events came to the stream, in microseconds."""
    at = pc.cast(pc.cast(events.column("timestamp"), pa.timestamp("us", "UTC")), pa.int64())
    found: Longs = at.combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _judged(staged: Report, storage: Storage) -> Iterator[pa.RecordBatch]:
    """Candidates as a selection takes them; a stream knows of none that is older or corrects."""
    for one in staged.send:
        with storage.open_input(one.path) as opened:
            for batch in pq.ParquetFile(opened).iter_batches():
                no = pa.repeat(pa.scalar(False), batch.num_rows)  # noqa: FBT003 - a value of the column
                names = [*batch.schema.names, OLDER, CORRECT, REPLACED]
                yield pa.RecordBatch.from_arrays([*batch.columns, no, no, no], names=names)
