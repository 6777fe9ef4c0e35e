"""Counting windows without writing anything: the same gates and transform as a run, and no files.

Sources go through the source gate once, for all windows, and stay in Spark's own cache meanwhile;
each window then sees what its lookback shows it. What is counted is what a run would stage of the
same sources, row for row; only the expectations on a whole set are not asked.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import SparkContext, StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as fn

from penstock.backfill.estimate import Count, Span, order
from penstock.contract import FeatureGroup, Pipeline
from penstock.errors import PenstockError
from penstock.gate import ORIGIN, Bounds, FeatureGate, SourceGate
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.inputs import FileInput, Input, bounds_of, inputs
from penstock.run.mode import Mode
from penstock.source.table import delta_rows
from penstock.stage.spark import MAX_TASKS, side_by_side, source_schema
from penstock.stage.versions import Versions

FRAMING = len('{"FeatureName":"","ValueAsString":""},')  # of a feature in the JSON that is sent
UNIT = 1024  # bytes of a write unit (AWS developer guide, quotas)
RESERVE = 1.5  # a window is begun when there is time for so many of the longest so far
_FIGURES = (
    *("rows", "identifiers", "quarantined", "records"),
    *("record_bytes", "units_low", "units_high", "table_bytes"),
)
_GROUP = "penstock-plan"
_CANCEL_S = 0.2


@dataclass(frozen=True)
class Measured:
    """What was counted.

    Args:
        counted: Name of a window → its count.
        weights: Name of every window → source rows of its time; seconds where no source has a time.
        seconds: How long it took.
        complete: Whether every window was counted.
    """

    counted: Mapping[str, Count]
    weights: Mapping[str, float]
    seconds: float
    complete: bool


def measure(
    context: Context,
    pipeline: Pipeline,
    windows: Sequence[Window],
    mode: Mode,
    budget_s: float | None,
) -> Measured:
    """Count windows, all of them or as many as there is time for. Nothing is written.

    Args:
        context: The surroundings.
        pipeline: What would be run.
        windows: In order of time, none sharing time with another.
        mode: What a run would do to the stores.
        budget_s: Seconds it may take, the start of Spark included; None takes what it takes.

    Raises:
        PenstockError: A source cannot be read, or the transform is wrong.
    """
    began = context.monotonic()
    spark = context.spark

    def left() -> float | None:
        return None if budget_s is None else budget_s - (context.monotonic() - began)

    counted: dict[str, Count] = {}
    weights: dict[str, float] = {}
    with _limited(spark.sparkContext, left()) as over, _cached(context, pipeline) as frames:
        try:
            context.progress.step(pipeline.group.name, "reading the sources")
            weights = _weights(pipeline, frames, windows)
            by_name, longest = {one.name: one for one in windows}, 0.0
            for name in order(weights) if budget_s is not None else weights:
                remaining = left()
                if over.is_set() or (remaining is not None and remaining < RESERVE * longest):
                    break
                one = context.monotonic()
                counted[name] = _counted(context, pipeline, frames, by_name[name], mode)
                longest = max(longest, context.monotonic() - one)
                context.progress.advance(pipeline.group.name, len(counted), len(windows))
        except PenstockError:
            raise
        except Exception:
            if not over.is_set():
                raise
    seconds = context.monotonic() - began
    return Measured(counted, weights, seconds, len(counted) == len(windows))


@contextmanager
def _limited(spark: SparkContext, seconds: float | None) -> Iterator[threading.Event]:
    """Spark's work in here is cancelled when the time is over; the event says that it is."""
    over, done = threading.Event(), threading.Event()
    if seconds is None:
        yield over
        return

    def watch() -> None:
        if done.wait(max(0.0, seconds)):
            return
        over.set()
        while not done.wait(_CANCEL_S):  # a job may begin just now
            spark.cancelJobGroup(_GROUP)

    watcher = threading.Thread(target=watch, name="penstock-plan", daemon=True)
    spark.setJobGroup(_GROUP, "penstock plan")
    watcher.start()
    try:
        yield over
    finally:
        done.set()
        watcher.join()
        for name in ("spark.jobGroup.id", "spark.job.description"):
            spark.setLocalProperty(name, None)  # type: ignore[arg-type]  # None takes it away


@contextmanager
def _cached(context: Context, pipeline: Pipeline) -> Iterator[dict[str, DataFrame]]:
    """The typed rows of every source, of all times, kept by Spark while they are needed."""
    pinned = inputs(context, pipeline)
    frames = {one.name: _typed(context, one) for one in pinned}
    for frame in frames.values():
        frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frames
    finally:
        for frame in frames.values():
            frame.unpersist()


def _typed(context: Context, one: Input) -> DataFrame:
    """What passes the source gate, whatever its time."""
    gate = SourceGate(one.name, one.source, Bounds())
    if isinstance(one, FileInput):
        return _of_files(context, one, gate)
    rows, _ = delta_rows(context.spark, one.folder, one.version, one.source)

    def gated(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from gate.check(batch).rows.to_batches()

    return rows.mapInArrow(gated, source_schema(one.source))


def _of_files(context: Context, one: FileInput, gate: SourceGate) -> DataFrame:
    splits, reading = one.splits, one.reading
    if not splits:
        return context.spark.createDataFrame([], source_schema(one.source))

    def gated(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for n in batch.column("id").to_pylist():
                for piece in reading.batches(splits[n]):
                    yield from gate.check(piece).rows.to_batches()

    numbers = context.spark.range(0, len(splits), 1, min(len(splits), MAX_TASKS))
    return numbers.mapInArrow(gated, source_schema(one.source))


def _weights(
    pipeline: Pipeline, frames: Mapping[str, DataFrame], windows: Sequence[Window]
) -> dict[str, float]:
    """Source rows of each window's own time; its seconds where no source has a time."""
    found = dict.fromkeys((one.name for one in windows), 0.0)
    times = {name: one.time for name, one in pipeline.sources.items() if one.time is not None}
    for name, time in times.items():
        rows = frames[name].select(fn.unix_micros(f"`{time}`").alias("at"))
        made = rows.mapInArrow(_placed(windows), "n int, rows bigint")
        for row in made.groupBy("n").agg(fn.sum("rows").alias("rows")).collect():
            found[windows[row["n"]].name] += row["rows"]
    if not times:
        return {one.name: (_end(one) - _start(one)).total_seconds() for one in windows}
    return found


def _placed(
    windows: Sequence[Window],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """How many instants fall into each window, by its number."""
    starts = [_micros(_start(one)) for one in windows]
    ends = [_micros(_end(one)) for one in windows]

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            seen = pc.value_counts(batch.column("at"))
            found: dict[int, int] = {}
            for one in seen.to_pylist():
                n = -1 if one["values"] is None else bisect.bisect_right(starts, one["values"]) - 1
                if n >= 0 and one["values"] < ends[n]:
                    found[n] = found.get(n, 0) + one["counts"]
            if found:
                columns = [pa.array(list(found), pa.int32()), pa.array(found.values(), pa.int64())]
                yield pa.RecordBatch.from_arrays(columns, names=["n", "rows"])

    return work


def _counted(
    context: Context,
    pipeline: Pipeline,
    frames: Mapping[str, DataFrame],
    window: Window,
    mode: Mode,
) -> Count:
    """One window, as staging would find it."""
    seen = {
        name: _within(frames[name], source.time, bounds_of(source, window))
        for name, source in pipeline.sources.items()
    }
    made = next(iter(seen.values()))
    if pipeline.transform is not None:
        made = pipeline.transform(**seen)
    tolerance = timedelta(seconds=context.settings.quality.future_tolerance_s)
    bounds = Bounds(window.start, window.end)
    work = _counting(pipeline.group, bounds, context.now() + tolerance, mode)
    partitions = int(context.spark.conf.get("spark.sql.shuffle.partitions") or 1)
    placed = side_by_side(made, pipeline.group, partitions)
    counts = placed.mapInArrow(work, ", ".join(f"{name} bigint" for name in _FIGURES))
    row = counts.agg(*(fn.sum(name).alias(name) for name in _FIGURES)).collect()[0]
    sums = {name: row[name] or 0 for name in _FIGURES}
    units = Span(sums.pop("units_low"), sums["units_high"], sums.pop("units_high"))
    return Count(**{name: Span.exactly(one) for name, one in sums.items()}, write_units=units)


def _within(frame: DataFrame, time: str | None, bounds: Bounds) -> DataFrame:
    """Rows of a time, as the source gate lets them pass: a null is within every window."""
    if time is None or bounds.start is None or bounds.end is None:
        return frame
    at = fn.unix_micros(f"`{time}`")
    inside = (at >= _micros(bounds.start)) & (at < _micros(bounds.end))
    return frame.where(fn.coalesce(inside, fn.lit(True)))  # noqa: FBT003 - a literal column


def _counting(
    group: FeatureGroup, bounds: Bounds, latest: datetime, mode: Mode
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What a staging task does, with figures instead of files."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        gate = FeatureGate(group, bounds, latest)
        versions = Versions(group.record_identifier, group.event_time)
        found = dict.fromkeys(_FIGURES, 0)

        def add(rows: pa.Table, candidates: pa.Table, identifiers: int) -> None:
            found["rows"] += rows.num_rows
            found["identifiers"] += identifiers
            found["table_bytes"] += _parquet_bytes(rows)
            sent = {"latest": candidates, "service": rows, "never": rows.slice(0, 0)}[mode.online]
            for name, figure in _sizes(group, sent).items():
                found[name] += figure

        for batch in batches:
            gated = gate.check(batch)
            found["quarantined"] += gated.bad.num_rows
            for one in versions.add(gated.rows.drop_columns([ORIGIN])):
                add(one.rows, one.latest, one.identifiers)
        for one in versions.finish():
            add(one.rows, one.latest, one.identifiers)
        yield pa.RecordBatch.from_pydict({name: [found[name]] for name in _FIGURES})

    return work


def _sizes(group: FeatureGroup, rows: pa.Table) -> dict[str, int]:
    """Records, bytes of their names and values, and units: of those, and of their JSON."""
    size = pa.repeat(pa.scalar(0, pa.int64()), rows.num_rows)
    whole = size
    for name in group.names:
        text = pc.cast(rows.column(name).combine_chunks(), pa.string())
        length = pc.add(pc.cast(pc.binary_length(text), pa.int64()), len(name.encode()))
        size = pc.add(size, pc.fill_null(length, 0))
        whole = pc.add(whole, pc.fill_null(pc.add(length, FRAMING), 0))
    return {
        "records": rows.num_rows,
        "record_bytes": pc.sum(size).as_py() or 0,
        "units_low": _units(size),
        "units_high": _units(whole),
    }


def _units(sizes: pa.Array) -> int:
    """Begun units of 1 KB, one at least for each record."""
    begun = pc.divide(pc.add(sizes, UNIT - 1), UNIT)
    return int(pc.sum(pc.max_element_wise(begun, 1)).as_py() or 0)


def _parquet_bytes(rows: pa.Table) -> int:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    return int(sink.getvalue().size)


def _start(window: Window) -> datetime:
    assert window.start is not None
    return window.start


def _end(window: Window) -> datetime:
    assert window.end is not None
    return window.end


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
