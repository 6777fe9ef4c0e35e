"""A transform over the rows of one batch after another: put together once a run.

Putting a transform together asks the JVM for each of its expressions, and analyses each step: for
the flights' own 0.3 to 0.7 s, more than all the rest of a small batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from penstock.contract import Pipeline
from penstock.gate import Bounds
from penstock.stage.report import Report
from penstock.stage.spark import source_schema, transformed, wanted_columns
from penstock.stage.tasks import gate_source
from penstock.storage import Storage
from penstock.streaming.plan import Plan

_ROWS = "rows-"  # how gate_source names files of fit rows


class Rows:
    """Rows of one batch at a time, in a folder of this run's own.

    Args:
        spark: The session.
        pipeline: What is run.
        streamed: Name of the source that is the stream.
        others: Typed rows of the other sources.
        folder: Absolute; nobody else writes there.
        storage: Where that is.
    """

    def __init__(
        self,
        spark: SparkSession,
        pipeline: Pipeline,
        streamed: str,
        others: Mapping[str, DataFrame],
        folder: str,
        storage: Storage,
    ) -> None:
        self._spark, self._pipeline, self._streamed = spark, pipeline, streamed
        self.others, self._folder, self._storage = others, folder, storage
        self._path = f"{folder}/{_ROWS}of-batch.parquet"
        self._plan = Plan(self._put_together, self._path, storage)

    def gate(self, batches: Iterable[pa.RecordBatch]) -> Report:
        """Put raw rows through the source gate; what passes takes the place of what was there."""
        forget_rows(self._storage, self._folder)
        source = self._pipeline.sources[self._streamed]
        return gate_source(self._streamed, source, Bounds(), batches, self._folder, self._storage)

    def transformed(self, gated: Report) -> pa.Table:
        """What the transform makes of the rows that passed: what the feature gate looks at.

        Raises:
            ContractError: It gives no DataFrame, or lacks a feature.
        """
        rows = self._as_they_are(gated)
        return rows if self._pipeline.transform is None else self._plan.run(rows)

    def _put_together(self) -> DataFrame:
        reader = self._spark.read.schema(source_schema(self._pipeline.sources[self._streamed]))
        # The gate wrote proleptic Gregorian days; Spark 3.5 would ask before 1900 and 1582.
        reader = reader.option("datetimeRebaseMode", "CORRECTED")
        rows = reader.parquet(self._path)
        made = transformed(self._pipeline, {**self.others, self._streamed: rows})
        return wanted_columns(made, self._pipeline.group)

    def _as_they_are(self, gated: Report) -> pa.Table:
        tables = []
        for one in gated.rows:
            with self._storage.open_input(one.path) as opened:
                tables.append(pq.read_table(opened))
        return pa.concat_tables(tables)


def forget_rows(storage: Storage, folder: str) -> None:
    """Remove the rows that a folder has; those that were put aside stay."""
    there = storage.list(folder)
    storage.delete_all([one for one in there if one.rsplit("/", 1)[-1].startswith(_ROWS)])
