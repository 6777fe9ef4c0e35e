"""Counting windows without writing anything: the same gates and transform as a run, and no files.

What passes the source gate stays in Spark's own cache while windows are counted; each of them sees
what its lookback shows it. What is counted is what a run would stage of the same sources, row for
row; only the expectations on a whole set are not asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
from pyspark import SparkContext, StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.backfill.counting import FIGURES, counting
from penstock.backfill.estimate import Count, Span, order, spread
from penstock.backfill.look import Look
from penstock.contract import Pipeline
from penstock.encoding.instants import micros_of
from penstock.errors import PenstockError
from penstock.gate import Bounds, SourceGate
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.inputs import FileInput, Input, bounds_of, inputs
from penstock.run.mode import Mode
from penstock.source.table import delta_rows
from penstock.stage.spark import MAX_TASKS, side_by_side, source_schema
from penstock.worker import settled

AT_ONCE = 3  # windows that the sources are read for together, where not all can be counted
FIRST_S = 60.0  # that the first window may take: without one there is no figure at all
_LOOK_SHARE = 0.5  # of the time, at most, for the first look
_WORTH_WARMING = 0.6  # of the files read when Spark is up: less, and there is time for it
_GROUP = "penstock-plan"
_CANCEL_S = 0.2


@dataclass(frozen=True)
class Measured:
    """What was counted.

    Args:
        counted: Name of a window → its count.
        weights: Name of every window → its size, to be compared with the others' alone; empty
            where every window was counted.
        seconds: How long it took.
    """

    counted: Mapping[str, Count]
    weights: Mapping[str, float]
    seconds: float


def measure_all(
    context: Context, pipeline: Pipeline, windows: Sequence[Window], mode: Mode
) -> Measured:
    """Count every window, however long it takes. Nothing is written.

    Args:
        context: The surroundings.
        pipeline: What would be run.
        windows: In order of time, none sharing time with another.
        mode: What a run would do to the stores.

    Raises:
        PenstockError: A source cannot be read, or the transform is wrong.
    """
    began, counted = context.monotonic(), dict[str, Count]()
    context.progress.step(pipeline.group.name, "reading the sources")
    with _cached(context, inputs(context, pipeline), ()) as frames:
        for one in windows:
            counted[one.name] = _counted(context, pipeline, frames, one, mode)
            context.progress.advance(pipeline.group.name, len(counted), len(windows))
    return Measured(counted, {}, context.monotonic() - began)


def measure_some(
    context: Context,
    pipeline: Pipeline,
    windows: Sequence[Window],
    mode: Mode,
    budget_s: float,
) -> Measured:
    """Count as many windows as there is time for, and compare the sizes of all. Writes nothing.

    Args:
        context: The surroundings.
        pipeline: What would be run.
        windows: In order of time, none sharing time with another.
        mode: What a run would do to the stores.
        budget_s: Seconds it may take, the start of Spark included. One window is counted all the
            same, unless that takes :data:`FIRST_S`.

    Raises:
        PenstockError: A source cannot be read, or the transform is wrong.
    """
    began = context.monotonic()

    def left() -> float:
        return budget_s - (context.monotonic() - began)

    pinned, counted = inputs(context, pipeline), dict[str, Count]()
    context.progress.step(pipeline.group.name, "reading the sources")
    first = [windows[n] for n in spread(len(windows))[:AT_ONCE]]
    look = Look(windows, first)

    def looked() -> bool:
        return left() < budget_s * (1 - _LOOK_SHARE)

    def warm() -> None:
        """Count what is read so far, for nothing but this: the next count is twice as quick."""
        batches = {one.name: look.so_far(one.name) for one in pinned}
        if not all(batches.values()):
            return
        frames = {one.name: _of_batches(context, one, batches[one.name]) for one in pinned}
        over = _limited(context.spark.sparkContext, looked)
        # Some rows are not the source: whatever a transform says of them is not what it says.
        with suppress(Exception), over:
            _counted(context, pipeline, frames, first[0], mode)

    _look(context, look, pinned, looked, warm)
    weights, by_name = look.weights, {one.name: one for one in windows}
    names = order(weights)
    started = context.monotonic()

    def ended() -> bool:
        first = not counted and context.monotonic() - started < FIRST_S
        return left() <= 0 and not first

    with _limited(context.spark.sparkContext, ended) as over:
        for some in _parts(names, [one.name for one in first], look.kept is not None):
            with _seen(context, look, pinned, [by_name[name] for name in some]) as frames:
                for name in some:
                    if over.is_set() or ended():
                        break
                    counted[name] = _counted(context, pipeline, frames, by_name[name], mode)
                    context.progress.advance(pipeline.group.name, len(counted), len(windows))
    return Measured(counted, weights, context.monotonic() - began)


def _parts(names: Sequence[str], first: Sequence[str], kept: bool) -> Iterator[list[str]]:  # noqa: FBT001 - one caller
    """Windows that are counted together, in their order; those whose rows are kept before all."""
    ahead = [name for name in names if kept and name in first]
    rest = [name for name in names if name not in ahead]
    if ahead:
        yield ahead
    for n in range(0, len(rest), AT_ONCE):
        yield rest[n : n + AT_ONCE]


def _look(
    context: Context,
    look: Look,
    pinned: Sequence[Input],
    stop: Callable[[], bool],
    warm: Callable[[], None],
) -> None:
    """Read files while Spark starts and warms up, then ask it for the sizes of tables."""
    failed: list[Exception] = []

    def read() -> None:
        try:
            look.read(pinned, stop)
        except Exception as error:  # noqa: BLE001 - raised again where it is heard
            failed.append(error)

    reader = threading.Thread(target=read, name="penstock-plan-look", daemon=True)
    reader.start()
    spark = context.spark
    if look.share < _WORTH_WARMING and reader.is_alive():
        warm()
    reader.join()
    if failed:
        raise failed[0]
    for one in pinned:
        if not isinstance(one, FileInput) and one.source.time is not None:
            rows, _ = delta_rows(spark, one.folder, one.version, one.source)
            look.ask(rows, one.source.time)


@contextmanager
def _limited(spark: SparkContext, ended: Callable[[], bool]) -> Iterator[threading.Event]:
    """Spark's work in here is cancelled when the time is over, and its failure then is no error.

    The event says that the time is over.
    """
    over, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(_CANCEL_S):
            if over.is_set() or ended():
                over.set()
                spark.cancelJobGroup(_GROUP)  # again and again: a job may begin just now

    watcher = threading.Thread(target=watch, name="penstock-plan", daemon=True)
    spark.setJobGroup(_GROUP, "penstock plan")
    watcher.start()
    try:
        yield over
    except PenstockError:
        raise
    except Exception:
        if not over.is_set():
            raise
    finally:
        done.set()
        watcher.join()
        for name in ("spark.jobGroup.id", "spark.job.description"):
            spark.setLocalProperty(name, None)  # type: ignore[arg-type]  # None takes it away


@contextmanager
def _cached(
    context: Context, pinned: Sequence[Input], some: Sequence[Window]
) -> Iterator[dict[str, DataFrame]]:
    """Typed rows of every source that these windows see (none named: all), kept by Spark."""
    frames = {}
    for one in pinned:
        frame = _typed(context, one)
        if some:
            seen = [_within(one.source.time, bounds_of(one.source, window)) for window in some]
            frame = frame.where(_either(seen))
        frames[one.name] = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frames
    finally:
        for frame in frames.values():
            frame.unpersist()


@contextmanager
def _seen(
    context: Context, look: Look, pinned: Sequence[Input], some: Sequence[Window]
) -> Iterator[dict[str, DataFrame]]:
    """The same for a few windows, from what is kept where that has them all."""
    if look.kept is not None and look.has(some):
        kept = look.kept
        yield {one.name: _of_batches(context, one, kept[one.name]) for one in pinned}
        return
    with _cached(context, pinned, some) as frames:
        yield frames


def _of_batches(context: Context, one: Input, batches: Sequence[pa.RecordBatch]) -> DataFrame:
    """Rows of the driver; they travel to Python's workers with the work itself."""
    parts = min(len(batches), context.spark.sparkContext.defaultParallelism)
    if not parts:
        return context.spark.createDataFrame([], source_schema(one.source))

    def given(numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number in numbers:
            for n in number.column("id").to_pylist():
                yield from batches[n::parts]

    numbers = context.spark.range(0, parts, 1, parts)
    return numbers.mapInArrow(settled(given), source_schema(one.source))


def _typed(context: Context, one: Input) -> DataFrame:
    """What passes the source gate, whatever its time."""
    gate = SourceGate(one.name, one.source, Bounds())
    if isinstance(one, FileInput):
        return _of_files(context, one, gate)
    rows, _ = delta_rows(context.spark, one.folder, one.version, one.source)

    def gated(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from gate.check(batch).rows.to_batches()

    return rows.mapInArrow(settled(gated), source_schema(one.source))


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
    return numbers.mapInArrow(settled(gated), source_schema(one.source))


def _counted(
    context: Context,
    pipeline: Pipeline,
    frames: Mapping[str, DataFrame],
    window: Window,
    mode: Mode,
) -> Count:
    """One window, as staging would find it."""
    seen = {
        name: frames[name].where(_within(source.time, bounds_of(source, window)))
        for name, source in pipeline.sources.items()
    }
    made = next(iter(seen.values()))
    if pipeline.transform is not None:
        made = pipeline.transform(**seen)
    tolerance = timedelta(seconds=context.settings.quality.future_tolerance_s)
    bounds = Bounds(window.start, window.end)
    work = counting(pipeline.group, bounds, context.now() + tolerance, mode)
    placed = side_by_side(made, pipeline.group, context.spark.sparkContext.defaultParallelism)
    counts = placed.mapInArrow(settled(work), ", ".join(f"{name} bigint" for name in FIGURES))
    row = counts.agg(*(fn.sum(name).alias(name) for name in FIGURES)).collect()[0]
    sums = {name: row[name] or 0 for name in FIGURES}
    units = Span(sums.pop("units_low"), sums["units_high"], sums.pop("units_high"))
    return Count(**{name: Span.exactly(one) for name, one in sums.items()}, write_units=units)


def _within(time: str | None, bounds: Bounds) -> Column:
    """Rows of a time, as the source gate lets them pass: a null is within every window."""
    if time is None or bounds.start is None or bounds.end is None:
        return fn.lit(True)  # noqa: FBT003 - a literal column
    at = fn.unix_micros(f"`{time}`")
    inside = (at >= micros_of(bounds.start)) & (at < micros_of(bounds.end))
    return fn.coalesce(inside, fn.lit(True))  # noqa: FBT003 - a literal column


def _either(conditions: Sequence[Column]) -> Column:
    whole = conditions[0]
    for one in conditions[1:]:
        whole = whole | one
    return whole
