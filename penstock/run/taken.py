"""Rows of the quarantine beside other rows of the same identifier and event time.

Where the offline store has one with other values, the row comes too late to be sent as it is; where
a run staged one, the row needs no replay.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
from pyspark.sql.types import BooleanType, IntegerType, StringType, StructField, StructType

from penstock.contract import DELETED, FeatureGroup
from penstock.offline.comparison import TIE
from penstock.run.context import Context
from penstock.run.payload import KEY, keyed
from penstock.run.work import Work
from penstock.stage.spark import rows_schema


def taken_keys(context: Context, group: FeatureGroup, rows: pa.Table) -> list[str]:
    """Keys of rows whose identifier the offline store has at that event time with other values.

    In a run of their own they would be corrections, one of which stops the whole run.

    Args:
        context: Where.
        group: The contract.
        rows: What a transform would give, and :data:`KEY`.
    """
    table = context.table(group)
    stored = table.comparison() if rows.num_rows else None
    if stored is None:
        return []
    deleted = [] if group.deleted_when is None else [group.deleted_when]
    names = [KEY, *group.names, *deleted]
    schema = StructType(
        [
            StructField(KEY, StringType()),
            *rows_schema(group).fields,
            *(StructField(DELETED, BooleanType()) for _ in deleted),
            StructField(TIE, IntegerType()),
        ]
    )
    plain = [(*row.values(), 0) for row in rows.select(names).to_pylist()]
    fresh = stored.fresh(context.spark.createDataFrame(plain, schema))
    keys = (group.record_identifier, group.event_time)
    at = table.rows().select(*(F.col(f"`{name}`") for name in keys))
    found = fresh.join(at, [*keys], "left_semi")
    return sorted({row[KEY] for row in found.select(KEY).collect()})


def came_through(work: Work, keys: Sequence[str]) -> set[str]:
    """Those of the rows that this run staged a fit row for, of their identifier and event time."""
    files = [one.path for one in work.manifest.staged.rows]
    if not keys or not files:
        return set()
    entries = work.quarantine.payloads(work.group.name, keys)
    rows = keyed([one for one in entries if one["types"] is not None], work.group)
    names = [work.group.record_identifier, work.group.event_time]
    fields = rows_schema(work.group).fields
    own = {one.name: one for one in fields}
    schema = StructType([StructField(KEY, StringType()), *(own[name] for name in names)])
    plain = [tuple(row.values()) for row in rows.select([KEY, *names]).to_pylist()]
    spark = work.context.spark
    staged = spark.read.schema(rows_schema(work.group)).parquet(*files)
    staged = staged.select(*(F.col(f"`{name}`") for name in names))
    found = spark.createDataFrame(plain, schema).join(staged, names, "left_semi")
    return {row[KEY] for row in found.select(KEY).collect()}
