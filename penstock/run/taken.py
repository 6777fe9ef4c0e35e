"""Rows that come too late to be what they are: their event time is taken, with other values."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
from pyspark.sql.types import BooleanType, IntegerType, StringType, StructField, StructType

from penstock.contract import DELETED, FeatureGroup
from penstock.offline.comparison import TIE
from penstock.offline.table import OfflineTable
from penstock.run.context import Context
from penstock.run.payload import KEY
from penstock.run.places import offline_path
from penstock.stage.spark import rows_schema


def taken_keys(context: Context, group: FeatureGroup, rows: pa.Table) -> list[str]:
    """Keys of rows whose identifier the offline store has at that event time with other values.

    In a run of their own they would be corrections, one of which stops the whole run.

    Args:
        context: Where.
        group: The contract.
        rows: What a transform would give, and :data:`KEY`.
    """
    path = offline_path(context.settings, group.name)
    table = OfflineTable(context.spark, path, group, rows_schema(group))
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
    at = (
        context.spark.read.format("delta")
        .load(path)
        .select(*(F.col(f"`{name}`") for name in (group.record_identifier, group.event_time)))
    )
    found = fresh.join(at, [group.record_identifier, group.event_time], "left_semi")
    return sorted({row[KEY] for row in found.select(KEY).collect()})
