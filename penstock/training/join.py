"""One lookup as a Spark job: rows of both sides meet by identifier, the as-of step runs inside.

Both sides are hash-partitioned by the record identifier in one shuffle; a Python worker holds one
partition at a time (labels and the features looked up, as Arrow), so memory follows the rows of the
fullest partition: raise ``spark.sql.shuffle.partitions`` for more and smaller ones. Every label
comes out once, in no particular order. Needs nothing that Spark 3.5 lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock import encoding
from penstock.contract import FeatureGroup
from penstock.dataset import Lookup
from penstock.entries import Files
from penstock.errors import UsageError
from penstock.query import SPARK
from penstock.stage.spark import rows_schema, shuffle_partitions
from penstock.training.asof import NONE, Events, Labels, Longs, found, nanoseconds
from penstock.training.exchange import KEY, Column, exchanged, packed, packed_files, unpacked
from penstock.worker import settled

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

OUT_ROWS = 65_536  # of one Arrow batch handed back to Spark


@dataclass(frozen=True)
class Plan:
    """What one lookup does in a worker.

    Args:
        lookup: What is looked up.
        labels: Columns of the labels.
        chosen: The features that are taken.
        number: Which lookup of the data set.
    """

    lookup: Lookup
    labels: tuple[str, ...]
    chosen: tuple[str, ...]
    number: int

    @property
    def ends(self) -> tuple[str, ...]:
        """What is behind the names of the features of each event, the newest one's first."""
        return ("", *(f"_{nth}" for nth in range(2, self.lookup.recent + 1)))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns the labels get: all of the newest event, then all of the one before it."""
        return tuple(self.lookup.prefix + name + end for end in self.ends for name in self.chosen)

    @property
    def age(self) -> str:
        """Column of the newest found row's age in seconds; null where none was found."""
        return f"_age_{self.number}"

    @property
    def later(self) -> str:
        """Column that says whether the newest row of all lies in the label's future."""
        return f"_later_{self.number}"


def plan_of(lookup: Lookup, group: FeatureGroup, columns: Sequence[str], number: int) -> Plan:
    """What a lookup does to labels of these columns. Pure.

    Raises:
        UsageError: It names a column or feature that is not there, or one that is there already.
    """
    where = f"lookup of {group.name!r}"
    if lookup.on not in columns:
        message = f"{where}: the labels have no column {lookup.on!r}"
        raise UsageError(message, f"They have: {', '.join(columns)}")
    missing = [name for name in lookup.features if name not in group.names]
    if missing:
        message = f"{where}: there is no feature {missing[0]!r}"
        raise UsageError(message, f"There are: {', '.join(group.names)}")
    others = tuple(name for name in group.names if name != group.record_identifier)
    plan = Plan(lookup, tuple(columns), lookup.features or others, number)
    taken = {name.lower(): "the labels have a column {!r} already" for name in columns}
    for name in plan.names:
        if name.lower() in taken:
            message = f"{where}: {taken[name.lower()].format(name)}"
            raise UsageError(message, "Give the lookup a prefix, or name the features it takes")
        taken[name.lower()] = "it has two columns {!r}"
    return plan


def looked_up(
    labels: DataFrame,
    time: str,
    plan: Plan,
    group: FeatureGroup,
    events: DataFrame | Files,
    written: int | None = None,
) -> DataFrame:
    """The labels with the plan's features, its age and its later column.

    Args:
        labels: One row a label.
        time: Their column of moments: timestamp or ISO text.
        plan: From :func:`plan_of`.
        group: The contract of ``events``.
        events: The offline table, with its system columns; from files it is read sooner.
        written: Only rows whose ``write_time`` is at or before it, nanoseconds since the epoch.
    """
    left, schema = _left(labels, time, plan), rows_schema(group)
    kinds = (dict(left.dtypes)[KEY], schema[group.record_identifier].dataType.simpleString())
    if len(set(kinds)) > 1:
        message = f"lookup of {group.name!r}: {plan.lookup.on!r} is {kinds[0]}, not {kinds[1]}"
        raise UsageError(message, "Cast it where the labels are made")
    spark = labels.sparkSession
    partitions, columns = shuffle_partitions(spark), _columns(plan, group)
    if isinstance(events, Files):
        right = packed_files(spark, events, columns, 1, partitions)
    else:
        right = packed(_right(events, columns), 1, partitions)
    both = exchanged([packed(left, 0, partitions), right], partitions)
    empty = pa.schema([(name, one.type) for name, one in columns.items()]).empty_table()
    return both.mapInArrow(settled(_Work(plan, empty, written)), _schema(labels, schema, plan))


def column(frame: DataFrame, name: str) -> SparkColumn:
    """A column by its name, whatever characters are in it."""
    return frame[SPARK.identifier(name)]


def _left(labels: DataFrame, time: str, plan: Plan) -> DataFrame:
    own = [column(labels, name).alias(f"_l{n}") for n, name in enumerate(plan.labels)]
    key, moment = column(labels, plan.lookup.on).alias("_key"), column(labels, time)
    return labels.select(key, moment.alias("_moment"), *own)


def _columns(plan: Plan, group: FeatureGroup) -> dict[str, Column]:
    """What is read of the offline table, and what it is called in a worker."""

    def feature(name: str) -> Column:
        return Column(name, encoding.STORAGE[group.feature(name).type][0])

    return {
        KEY: feature(group.record_identifier),
        "_at": feature(group.event_time),
        "_invoked": Column("api_invocation_time", pa.int64()),
        "_written": Column("write_time", pa.int64()),
        "_deleted": Column("is_deleted", pa.bool_()),
        **{f"_f{n}": feature(name) for n, name in enumerate(plan.chosen)},
    }


def _right(events: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
    from pyspark.sql import functions as fn

    def read(wanted: Column) -> SparkColumn:
        found = column(events, wanted.name)
        instant = events.schema[wanted.name].dataType.typeName() == "timestamp"
        return fn.unix_micros(found) if instant else found

    return events.select(*(read(one).alias(name) for name, one in columns.items()))


def _schema(labels: DataFrame, events: StructType, plan: Plan) -> StructType:
    from pyspark.sql.types import BooleanType, DoubleType, StructField, StructType

    kinds = [events[name].dataType for name in plan.chosen] * plan.lookup.recent
    features = [StructField(name, kind) for name, kind in zip(plan.names, kinds, strict=True)]
    own = [StructField(plan.age, DoubleType()), StructField(plan.later, BooleanType())]
    return StructType([*labels.schema.fields, *features, *own])


@dataclass(frozen=True)
class _Work:
    """What a worker does with one partition; ``empty`` are no events at all."""

    plan: Plan
    empty: pa.Table
    written: int | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        labels, events = unpacked(batches, 2)
        if labels is not None:
            answer = self._answer(labels, self.empty if events is None else events)
            yield from answer.to_batches(max_chunksize=OUT_ROWS)

    def _answer(self, labels: Any, events: Any) -> Any:
        plan = self.plan
        if self.written is not None:
            events = events.filter(pc.less_equal(events["_written"], self.written // 1_000))
        moments = nanoseconds(labels["_moment"].combine_chunks())
        times = nanoseconds(events["_at"].combine_chunks())
        deleted = _numpy(events["_deleted"])
        features = events.select([f"_f{n}" for n in range(len(plan.chosen))])
        answer = found(
            Labels(labels[KEY].combine_chunks().cast(events[KEY].type), moments),
            Events(
                events[KEY].combine_chunks(),
                times,
                _numpy(events["_invoked"]),
                _numpy(events["_written"]),
                deleted,
                features,
            ),
            before=plan.lookup.before,
            written=plan.lookup.written,
            recent=plan.lookup.recent,
        )
        fitting = [
            _fitting(rows, moments, times, deleted, plan.lookup)
            for rows in (answer.rows, *answer.older)
        ]
        taken = [
            one
            for rows, _ in fitting
            for one in features.take(pa.array(rows, mask=rows == NONE)).columns
        ]
        own = labels.select([f"_l{n}" for n in range(len(plan.labels))])
        columns = [*own.columns, *taken, fitting[0][1], pa.array(answer.later)]
        return pa.table(columns, names=[*plan.labels, *plan.names, plan.age, plan.later])


def _fitting(
    rows: Longs, moments: Longs, times: Longs, deleted: Any, lookup: Lookup
) -> tuple[Longs, pa.Array]:
    """Rows that are neither deleted nor too old, and their ages in seconds."""
    if not len(times):
        return rows, pa.nulls(len(rows), pa.float64())
    at = np.maximum(rows, 0)
    ages = moments - times[at]
    fits = (rows != NONE) & ~deleted[at]
    if lookup.oldest is not None:
        fits &= ages <= lookup.oldest
    return np.where(fits, rows, NONE), pa.array(ages / 1e9, mask=~fits)


def _numpy(column: Any) -> Any:
    return column.combine_chunks().to_numpy(zero_copy_only=False)
