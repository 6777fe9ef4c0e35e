"""The quarantine: one Delta table with every row that was put aside, and why.

A row is entered once. Its key is where it came from and what it held, so a bad row that is met
again, in a later run or through lookback, adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.contract import FeatureGroup
from penstock.errors import MismatchError

#: Columns of the table, in order. ``position`` counts lines from 1 in text, rows from 0 elsewhere.
SCHEMA = (
    "row_key string, feature_group string, stage string, source string, file string, "
    "position bigint, column string, rule string, findings string, payload string, "
    "run string, quarantined_at timestamp"
)
_STAGED = (
    "row_key string, stage string, source string, file string, position bigint, column string, "
    "rule string, findings string, payload string"
)


@dataclass(frozen=True)
class Entry:
    """Who enters rows, and when: group, run and an aware instant."""

    group: str
    run: str
    at: datetime


class Quarantine:
    """The quarantine table in folder ``path``; made with the first row."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark, self.path = spark, path

    @property
    def exists(self) -> bool:
        """Whether anything was ever put aside."""
        return any((Path(self.path) / "_delta_log").glob("[0-9]*.json"))

    def rows(self) -> DataFrame:
        """All entries; empty where there is no table."""
        if not self.exists:
            return self._spark.createDataFrame([], SCHEMA)
        return self._spark.read.format("delta").load(self.path)

    def add_staged(self, files: Sequence[str], entry: Entry) -> None:
        """Enter rows a gate put aside; those that are there already add nothing.

        Raises:
            MismatchError: A row is not in the table afterwards.
        """
        if files:
            self._add(self._spark.read.schema(_STAGED).parquet(*files), entry)

    def add_rejects(self, files: Sequence[str], group: FeatureGroup, entry: Entry) -> None:
        """Enter rows the service refused: rule is its code, the features are the payload.

        Raises:
            MismatchError: A row is not in the table afterwards.
        """
        if not files:
            return
        refused = self._spark.read.parquet(*files)
        payload = F.to_json(F.struct(*(F.col(f"`{name}`") for name in group.names)))
        key = F.sha2(
            F.concat_ws("|", F.lit(entry.group), F.lit("online"), F.col("_code"), payload), 256
        )
        rows = refused.select(
            F.substring(key, 1, 32).alias("row_key"),
            F.lit("online").alias("stage"),
            F.lit(entry.group).alias("source"),
            F.lit(None).cast("string").alias("file"),
            F.lit(None).cast("bigint").alias("position"),
            F.lit(None).cast("string").alias("column"),
            F.col("_code").alias("rule"),
            F.col("_message").alias("findings"),
            payload.alias("payload"),
        )
        self._add(rows, entry)

    def _add(self, rows: DataFrame, entry: Entry) -> None:
        known = self.rows().where(F.col("feature_group") == entry.group).select("row_key")
        fresh = rows.dropDuplicates(["row_key"]).join(known, "row_key", "left_anti")
        micros = int(entry.at.timestamp() * 1_000_000)
        complete = fresh.select(
            "row_key",
            F.lit(entry.group).alias("feature_group"),
            *("stage", "source", "file", "position", "column", "rule", "findings", "payload"),
            F.lit(entry.run).alias("run"),
            F.timestamp_micros(F.lit(micros)).alias("quarantined_at"),
        )
        complete.coalesce(1).write.format("delta").mode("append").save(self.path)
        self._check(rows, entry)

    def _check(self, rows: DataFrame, entry: Entry) -> None:
        """The table is asked whether it has every row, not who wrote it."""
        lost = rows.join(self.rows().select("row_key"), "row_key", "left_anti").count()
        if lost:
            message = f"{entry.group}: {lost} rows that were put aside are not in the quarantine"
            raise MismatchError(message, "Please report this as a defect; nothing is marked done")
