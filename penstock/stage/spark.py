"""Staging as Spark jobs: gates run in tasks, the driver gets their reports and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from penstock import encoding
from penstock.contract import DELETED, TTL_S, FeatureGroup, FeatureType, Pipeline, Source
from penstock.errors import ContractError
from penstock.gate import ORIGIN, Bounds
from penstock.session import raised
from penstock.source.splits import Reading, Split
from penstock.stage.report import Report, report, total
from penstock.stage.selection import SelectionTask
from penstock.stage.tasks import FeatureTask, gate_source
from penstock.storage import Storage
from penstock.worker import settled

MAX_TASKS = 1_000  # tasks of one source; more pieces than that share tasks

_TYPES: dict[str, DataType] = {
    "string": StringType(),
    "bigint": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "timestamp": TimestampType(),
    "date": DateType(),
}
_ORIGIN = StructType([StructField("file", StringType()), StructField("position", LongType())])


class SourceStaging:
    """Puts one source through the source gate into a folder of typed Parquet files.

    Args:
        spark: The session.
        storage: Where the folder is.
        folder: Empty or abandoned folder of this attempt.
    """

    def __init__(self, spark: SparkSession, storage: Storage, folder: str) -> None:
        self._spark = spark
        self.storage, self.folder = storage, folder

    def files(
        self, name: str, source: Source, bounds: Bounds, reading: Reading, splits: Sequence[Split]
    ) -> Report:
        """Stage pinned files; a task a piece."""
        if not splits:
            return Report()
        storage, folder = self.storage, self.folder

        def work(pieces: Iterable[Split]) -> Iterator[Report]:
            batches = (batch for piece in pieces for batch in reading.batches(piece))
            yield gate_source(name, source, bounds, batches, folder, storage)

        slices = min(len(splits), MAX_TASKS)
        rdd = self._spark.sparkContext.parallelize(splits, slices)
        with own_errors():
            return total(rdd.mapPartitions(settled(work)).collect())

    def frame(
        self,
        name: str,
        source: Source,
        bounds: Bounds,
        frame: DataFrame,
        rows: Callable[[pa.RecordBatch], Iterator[pa.RecordBatch]] | None = None,
    ) -> Report:
        """Stage a DataFrame that has the declared columns, a file and a position.

        Where ``rows`` is given, its batches are what that makes such rows of.
        """
        storage, folder = self.storage, self.folder

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            if rows is not None:
                batches = (one for batch in batches for one in rows(batch))
            yield _answer(gate_source(name, source, bounds, batches, folder, storage))

        return _collected(frame, work)

    def typed(self, source: Source, staged: Report) -> DataFrame:
        """What was staged, as the transform gets it: declared columns, typed, and ``_source``."""
        schema = source_schema(source)
        if not staged.rows:
            return self._spark.createDataFrame([], schema)
        # The gate wrote proleptic Gregorian days; Spark 3.5 would ask before 1900 and 1582.
        reader = self._spark.read.schema(schema).option("datetimeRebaseMode", "CORRECTED")
        return reader.parquet(*(one.path for one in staged.rows))


def source_schema(source: Source) -> StructType:
    """Spark schema of a source's typed rows."""
    columns = [
        StructField(one.name, _TYPES[encoding.COLUMNS[one.type][1]]) for one in source.columns
    ]
    return StructType([*columns, StructField(ORIGIN, _ORIGIN)])


def rows_schema(group: FeatureGroup) -> StructType:
    """Spark schema of the group's features as they are staged and stored."""
    return StructType(
        [StructField(one.name, _TYPES[encoding.STORAGE[one.type][1]]) for one in group.features]
    )


def staged_schema(group: FeatureGroup) -> StructType:
    """Spark schema of features and controls as they are staged."""
    deleted = [StructField(DELETED, BooleanType())] if group.deleted_when is not None else []
    ttl = [StructField(TTL_S, LongType())] if group.ttl_from is not None else []
    return StructType([*rows_schema(group).fields, *deleted, *ttl])


def transformed(pipeline: Pipeline, frames: Mapping[str, DataFrame]) -> DataFrame:
    """What a pipeline's transform makes of its sources; without one, its only source.

    Raises:
        ContractError: It gives no DataFrame.
    """
    if pipeline.transform is None:
        return next(iter(frames.values()))
    made = pipeline.transform(**frames)
    if not isinstance(made, DataFrame):
        name = pipeline.group.name
        raise ContractError(f"{name}: the transform gave no DataFrame but {type(made)}")
    return made


def shuffle_partitions(spark: SparkSession) -> int:
    """How many parts the session shuffles rows into."""
    return int(spark.conf.get("spark.sql.shuffle.partitions") or 1)


def stage_selection(
    frame: DataFrame, task: SelectionTask, partitions: int, storage: Storage
) -> Report:
    """Write the candidates that are sent into files of their own; a task a partition."""
    placed = frame.repartition(partitions, F.col(f"`{task.group.record_identifier}`"))

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield _answer(task.run(batches, storage))

    return _collected(placed, work)


def stage_features(
    frame: DataFrame, task: FeatureTask, partitions: int, storage: Storage
) -> Report:
    """Put a transform's output through the feature gate, the rows of an identifier side by side.

    The frame is evaluated once.

    Raises:
        ContractError: A feature is missing among its columns.
    """
    placed = side_by_side(frame, task.group, partitions)

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield _answer(task.run(batches, storage))

    return _collected(placed, work)


def side_by_side(frame: DataFrame, group: FeatureGroup, partitions: int) -> DataFrame:
    """What the feature gate looks at of a transform's output, an identifier's rows together.

    Raises:
        ContractError: A feature is missing among its columns.
    """
    chosen = wanted_columns(frame, group)
    key = _placed_by(chosen, group)
    return chosen.repartition(partitions, key).sortWithinPartitions(key)


def wanted_columns(frame: DataFrame, group: FeatureGroup) -> DataFrame:
    """What the feature gate looks at of a transform's output.

    Raises:
        ContractError: A feature is missing among its columns.
    """
    chosen_names = [*group.names, *group.controls]
    missing = [name for name in chosen_names if name not in frame.columns]
    if missing:
        message = f"{group.name}: the transform gives no column {missing[0]!r}"
        raise ContractError(message, f"It gives: {', '.join(frame.columns)}")
    wanted = [*chosen_names, *([ORIGIN] if ORIGIN in frame.columns else [])]
    return frame.select(*(f"`{name}`" for name in wanted))


def extra_columns(frame: DataFrame, group: FeatureGroup) -> tuple[str, ...]:
    """Columns of a transform's output that nobody asked for, sorted."""
    return tuple(sorted(set(frame.columns) - {*group.names, *group.controls, ORIGIN}))


def _placed_by(frame: DataFrame, group: FeatureGroup) -> Column:
    """What brings the rows of an identifier together: ``1``, ``01`` and ``+1`` are one Integral.

    Only the place of a row depends on it, never its value.
    """
    feature = group.feature(group.record_identifier)
    name = f"`{feature.name}`"
    kind = frame.schema[feature.name].dataType
    if feature.type is FeatureType.STRING or not isinstance(kind, StringType):
        return F.col(name)
    return F.expr(f"try_cast({name} AS {encoding.STORAGE[feature.type][1]})")


@contextmanager
def own_errors() -> Iterator[None]:
    """What a task raised of ours, without Spark's wrapping, so that a run can tell what it is."""
    try:
        yield
    except Exception as error:
        ours = raised(error)
        if ours is None:
            raise
        raise ours from error


def _answer(made: Report) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"report": [json.dumps(made.plain())]})


def _collected(frame: DataFrame, work: object) -> Report:
    with own_errors():
        rows = frame.mapInArrow(settled(work), "report string").collect()  # type: ignore[arg-type]  # pyspark's alias is invariant
    return total([report(json.loads(row["report"])) for row in rows])
