"""The quarantine: one Delta table with every row that was put aside, and why.

A row is entered once and never changed. Its key is where it came from and what it held, so a bad
row that is met again, in a later run or through lookback, adds nothing. What is decided about it
later is in the ledger's decisions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock import encoding
from penstock.aside import BAD
from penstock.commits import Log, beaten
from penstock.contract import DELETED, TTL_S, FeatureGroup
from penstock.entries import Transaction
from penstock.errors import MismatchError
from penstock.parts import PartTask, write
from penstock.storage import Storage

#: Columns of the table, in order. ``position`` counts lines from 1 in text, rows from 0 elsewhere;
#: ``types`` has the Arrow types of a payload that can be replayed, as JSON; ``event`` the event of
#: a stream that a row of a source was made from (:func:`penstock.aside.event_of`).
SCHEMA = (
    "row_key string, feature_group string, stage string, source string, file string, "
    "position bigint, column string, rule string, findings string, payload string, "
    "run string, quarantined_at timestamp, types string, event string"
)
_STAGED = (
    "row_key string, stage string, source string, file string, position bigint, column string, "
    "rule string, findings string, payload string, types string, event string"
)
_ENTERED = ("stage", "source", "file", "position", "column", "rule", "findings", "payload")
#: What is read of entries where their values are not asked for.
HEAD = ("row_key", "stage", "source", "file", "rule", "run", "quarantined_at")
_TEXT = ("row_key", "feature_group", "stage", "source", "file")
_TABLE = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        ("position", pa.int64()),
        *((name, pa.string()) for name in ("column", "rule", "findings", "payload", "run")),
        ("quarantined_at", pa.timestamp("us", "UTC")),
        ("types", pa.string()),
        ("event", pa.string()),
    ]
)
#: Columns that tables of older versions lack.
_LATER = ("types", "event")
ATTEMPTS = 10  # of an entry that meets those of other drivers
#: Windows that run side by side meet the same bad row through lookback: it is entered once.
_ENTERING = threading.Lock()


@dataclass(frozen=True)
class Entry:
    """Who enters rows, and when: group, run and an aware instant."""

    group: str
    run: str
    at: datetime


class Quarantine:
    """The quarantine table in folder ``path`` of ``storage``; made with the first row."""

    def __init__(self, spark: SparkSession, path: str, storage: Storage) -> None:
        self._spark, self.path, self._storage = spark, path, storage
        self._log = Log(path, storage)

    @property
    def exists(self) -> bool:
        """Whether anything was ever put aside."""
        return self._log.exists

    def rows(self) -> DataFrame:
        """All entries; empty where there is no table."""
        if not self.exists:
            return self._spark.createDataFrame([], SCHEMA)
        found = self._spark.read.format("delta").load(self.path)
        lacking = [one for one in _LATER if one not in found.columns]
        return found.withColumns({one: F.lit(None).cast("string") for one in lacking})

    def heads(self, group: str) -> list[dict[str, Any]]:
        """The entries of a group, oldest first, without their values.

        :data:`HEAD`, and ``streamed``: whether it has the event of a stream it was made from.
        """
        streamed = F.col("event").isNotNull().alias("streamed")
        rows = self.rows().where(F.col("feature_group") == group).select(*HEAD, streamed)
        return [one.asDict() for one in rows.orderBy("quarantined_at", "row_key").collect()]

    def payloads(self, group: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Key, stage, payload, types and event of entries, in the order of their keys."""
        wanted = self._spark.createDataFrame([(key,) for key in keys], "row_key string")
        rows = self.rows().where(F.col("feature_group") == group)
        rows = rows.join(F.broadcast(wanted), "row_key", "left_semi")
        chosen = rows.select("row_key", "stage", "payload", *_LATER).orderBy("row_key")
        return [one.asDict() for one in chosen.collect()]

    def add_staged(self, files: Sequence[str], entry: Entry) -> None:
        """Enter rows a gate put aside; those that are there already add nothing.

        Raises:
            MismatchError: A row is not in the table afterwards.
        """
        if files:
            self._add(self._staged(files), entry)

    def add_rejects(self, files: Sequence[str], group: FeatureGroup, entry: Entry) -> None:
        """Enter rows the service refused: rule is its code, the features are the payload.

        Raises:
            MismatchError: A row is not in the table afterwards.
        """
        if files:
            self._add(self._refused(files, group), entry)

    def reached(self, application: str) -> int:
        """Greatest version of a transaction's name that is in; -1 where there is none."""
        found = self._log.reached(application)
        return -1 if found is None else found

    def add_files(
        self,
        files: Sequence[str],
        storage: Storage,
        entry: Entry,
        transaction: Transaction,
        *,
        again: bool,
    ) -> int:
        """Enter the rows of files a gate wrote, once a transaction; needs no Spark.

        Args:
            files: Paths.
            storage: Where they are.
            entry: Who enters them.
            transaction: Name of the append.
            again: Whether the rows may be there already; where not, it is not looked.

        Returns:
            How many rows were entered.

        Raises:
            TemporaryError: Others came first again and again.
        """
        rows = _entries(files, storage, entry)
        self._log.widen(_TABLE)
        task = PartTask(_TABLE, self.path, self._storage)
        for _ in range(ATTEMPTS):
            read = self._log.version()
            fresh = rows
            if again and read is not None:
                fresh = self._unknown(rows, entry.group, read)
            parts = task.parts(fresh.to_batches())
            if self._log.append(parts, _TABLE, transaction, read=read, blind=not again):
                return len(fresh)
        raise beaten(self.path, ATTEMPTS)

    def _unknown(self, rows: pa.Table, group: str, version: int) -> pa.Table:
        """Rows whose keys a group has not in a version of the table.

        What the source gate put aside has the same key in each group that reads the source.
        """
        keys = rows.column("row_key")
        found = self._log.table(version).to_pyarrow_dataset()
        wanted = (ds.field("feature_group") == group) & ds.field("row_key").isin(keys.unique())
        there = found.to_table(columns=["row_key"], filter=wanted)
        return rows.filter(pc.invert(pc.is_in(keys, there.column("row_key").combine_chunks())))

    def refusals(
        self, files: Sequence[str], group: FeatureGroup
    ) -> list[tuple[str, str, tuple[Any, ...]]]:
        """Rows the service refused: key of the entry, code, and the features in contract order."""
        if not files:
            return []
        found = self._refused(files, group).select("row_key", "rule", "features").collect()
        return [(row["row_key"], row["rule"], tuple(row["features"])) for row in found]

    def _staged(self, files: Sequence[str]) -> DataFrame:
        return self._spark.read.schema(_STAGED).parquet(*files)

    def _refused(self, files: Sequence[str], group: FeatureGroup) -> DataFrame:
        refused = self._spark.read.option("mergeSchema", "true").parquet(*files)
        values = _values(group, refused.columns)
        payload = F.to_json(
            F.struct(*(F.col(f"`{column}`").alias(name) for name, column in values))
        )
        key = F.sha2(F.concat_ws("|", F.lit(group.name), F.lit("online"), payload), 256)
        return refused.select(
            F.substring(key, 1, 32).alias("row_key"),
            F.lit("online").alias("stage"),
            F.lit(group.name).alias("source"),
            F.lit(None).cast("string").alias("file"),
            F.lit(None).cast("bigint").alias("position"),
            F.lit(None).cast("string").alias("column"),
            F.col("_code").alias("rule"),
            F.col("_message").alias("findings"),
            payload.alias("payload"),
            F.lit(_types(group)).alias("types"),
            F.lit(None).cast("string").alias("event"),
            F.struct(*(F.col(f"`{name}`") for name in group.names)).alias("features"),
        )

    def _add(self, rows: DataFrame, entry: Entry) -> None:
        with _ENTERING:
            self._append(rows, entry)
            self._check(rows, entry)

    def _append(self, rows: DataFrame, entry: Entry) -> None:
        self._log.widen(_TABLE)
        for _ in range(ATTEMPTS):
            read = self._log.version()
            known = self.rows().where(F.col("feature_group") == entry.group).select("row_key")
            fresh = rows.dropDuplicates(["row_key"]).join(known, "row_key", "left_anti")
            micros = int(entry.at.timestamp() * 1_000_000)
            complete = fresh.select(
                "row_key",
                F.lit(entry.group).alias("feature_group"),
                *_ENTERED,
                F.lit(entry.run).alias("run"),
                F.timestamp_micros(F.lit(micros)).alias("quarantined_at"),
                *_LATER,
            )
            parts = write(complete.coalesce(1), _TABLE, self.path, self._storage)
            if not parts or self._log.append(parts, _TABLE, read=read, blind=False):
                return
        raise beaten(self.path, ATTEMPTS)

    def _check(self, rows: DataFrame, entry: Entry) -> None:
        """The table is asked whether it has every row, not who wrote it."""
        lost = rows.join(self.rows().select("row_key"), "row_key", "left_anti").count()
        if lost:
            message = f"{entry.group}: {lost} rows that were put aside are not in the quarantine"
            raise MismatchError(message, "Please report this as a defect; nothing is marked done")


def _entries(files: Sequence[str], storage: Storage, entry: Entry) -> pa.Table:
    """Rows of files as the table has them; of those with one key the first."""
    tables = []
    for path in files:
        with storage.open_input(path) as opened:
            tables.append(pq.read_table(opened, schema=BAD))
    found, firsts = pa.concat_tables(tables), dict[str, int]()
    for n, key in enumerate(found.column("row_key").to_pylist()):
        firsts.setdefault(key, n)
    rows = found.take(pa.array(sorted(firsts.values()), pa.int64()))
    for name, value in (
        ("feature_group", pa.scalar(entry.group)),
        ("run", pa.scalar(entry.run)),
        ("quarantined_at", pa.scalar(entry.at, pa.timestamp("us", "UTC"))),
    ):
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    return rows.select(_TABLE.names).cast(_TABLE)


def _values(group: FeatureGroup, columns: Sequence[str]) -> list[tuple[str, str]]:
    """What a refused row's payload holds: name as the transform gives it, and column of the file.

    A refused deletion must not come back as a record of nulls, so what controls a row is kept too.
    """
    controls = [(group.deleted_when, DELETED), (group.ttl_from, TTL_S)]
    kept = [(name, column) for name, column in controls if name and column in columns]
    return [*((name, name) for name in group.names), *kept]


def _types(group: FeatureGroup) -> str:
    kinds = {one.name: str(encoding.STORAGE[one.type][0]) for one in group.features}
    controls = [(group.deleted_when, "bool"), (group.ttl_from, "int64")]
    return json.dumps(kinds | {name: kind for name, kind in controls if name})
