"""A Delta table as a source, pinned to one version."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from penstock.contract import Source
from penstock.gate import FILE, POSITION
from penstock.source.text import check_columns


def current_version(spark: SparkSession, folder: str) -> int:
    """The newest version of the Delta table in ``folder``."""
    from delta.tables import DeltaTable

    newest = DeltaTable.forPath(spark, folder).history(1).collect()
    return int(newest[0]["version"])


def delta_rows(
    spark: SparkSession, folder: str, version: int, source: Source
) -> tuple[DataFrame, tuple[str, ...]]:
    """Rows of one version: declared columns and file; and names nobody declared.

    The position is null: Delta does not say which row of its file a row is (tried on 4.2).

    Raises:
        ContractError: A declared column is missing.
    """
    table = spark.read.format("delta").option("versionAsOf", version).load(folder)
    names = [one.name for one in source.columns]
    extra = check_columns(folder, table.columns, names)
    columns = [f"`{name}`" for name in names]
    place = [f"_metadata.file_path as {FILE}", f"cast(null as bigint) as {POSITION}"]
    return table.selectExpr(*columns, *place), tuple(sorted(extra))
