"""The Glue table of an offline store: whether the service makes one, its name and its columns.

| DisableGlueTableCreation | DataCatalogConfig | then |
|---|---|---|
| false | none | a table of a generated name |
| false | given | a table of this name; if there is one, the group ends as CreateFailed |
| true | given | somebody else's table: named by the group, never altered |
| true | none | no table |

Source: API reference of OfflineStoreConfig, AWS's notebook on catalogue configuration.
"""

from __future__ import annotations

from typing import Any

from penstock.emulator.catalog import Catalog
from penstock.emulator.definitions import CATALOG
from penstock.emulator.replication import Target

DATABASE = "sagemaker_featurestore"
PARTITION_KEYS = ("year", "month", "day", "hour")
SYSTEM_COLUMNS = (
    ("write_time", "timestamp"),
    ("api_invocation_time", "timestamp"),
    ("is_deleted", "boolean"),
)
_GLUE_TYPES = {"Integral": "bigint", "Fractional": "double", "String": "string"}
_HIVE = "org.apache.hadoop.hive.ql.io.parquet"


def name_table(document: dict[str, Any]) -> None:
    """Give a group that is made the DataCatalogConfig that Describe shows."""
    offline = document["OfflineStoreConfig"]
    offline.setdefault("DisableGlueTableCreation", False)
    offline.setdefault("TableFormat", "Glue")
    if offline["DisableGlueTableCreation"] or offline.get("DataCatalogConfig"):
        return
    name = document["FeatureGroupName"].replace("-", "_").lower()
    offline["DataCatalogConfig"] = {
        "TableName": f"{name}_{int(document['CreationTime'])}",
        "Catalog": CATALOG,
        "Database": DATABASE,
    }


def target_of(document: dict[str, Any]) -> Target:
    """Where the rows of a group with an offline store go."""
    offline = document["OfflineStoreConfig"]
    named = {} if offline["DisableGlueTableCreation"] else offline["DataCatalogConfig"]
    return Target(
        document["RecordIdentifierFeatureName"],
        document["EventTimeFeatureName"],
        tuple((one["FeatureName"], one["FeatureType"]) for one in document["FeatureDefinitions"]),
        offline["S3StorageConfig"]["ResolvedOutputS3Uri"],
        offline["TableFormat"] == "Iceberg",
        named.get("Database"),
        named.get("TableName"),
    )


def make_table(catalog: Catalog, target: Target) -> str | None:
    """Make the table, and its database if need be; returns why the group cannot be made.

    An Iceberg table gets its metadata by ``replication_iceberg``.
    """
    if target.database is None or target.table is None:
        return None
    catalog.add_database({"Name": target.database})
    if catalog.add_table(target.database, _table_input(target)):
        return None
    return f"The Glue table {target.database}.{target.table} already exists."


def add_columns(catalog: Catalog, target: Target) -> None:
    """Bring the columns of the table up to date; nothing happens to a table that is gone."""
    found = _described(catalog, target)
    if found is not None:
        storage = found["StorageDescriptor"] | {"Columns": _columns(target)}
        change = {"StorageDescriptor": storage}
        catalog.change_table(found["DatabaseName"], found["Name"], change)


def add_partition(catalog: Catalog, target: Target, values: list[str]) -> None:
    """Register a partition; nothing happens to a table that is gone."""
    found = _described(catalog, target)
    if found is None:
        return
    pairs = zip(PARTITION_KEYS, values, strict=True)
    where = "/".join([target.uri, *(f"{key}={value}" for key, value in pairs)])
    storage = found["StorageDescriptor"] | {"Location": where}
    catalog.add_partition(found, {"Values": values, "StorageDescriptor": storage})


def _described(catalog: Catalog, target: Target) -> dict[str, Any] | None:
    if target.database is None or target.table is None:
        return None
    return catalog.table(target.database, target.table)


def _columns(target: Target) -> list[dict[str, str]]:
    features = [(name.lower(), _GLUE_TYPES[kind]) for name, kind in target.features]
    return [{"Name": name, "Type": kind} for name, kind in (*features, *SYSTEM_COLUMNS)]


def _table_input(target: Target) -> dict[str, Any]:
    head = {"Name": target.table, "TableType": "EXTERNAL_TABLE"}
    if target.iceberg:
        where = target.uri.rpartition("/")[0]
        storage: dict[str, Any] = {"Columns": _columns(target), "Location": where}
        return head | {"Parameters": {"table_type": "ICEBERG"}, "StorageDescriptor": storage}
    storage = {
        "Columns": _columns(target),
        "Location": target.uri,
        "InputFormat": f"{_HIVE}.MapredParquetInputFormat",
        "OutputFormat": f"{_HIVE}.MapredParquetOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": f"{_HIVE}.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1"},
        },
    }
    keys = [{"Name": key, "Type": "string"} for key in PARTITION_KEYS]
    parameters = {"EXTERNAL": "TRUE", "classification": "parquet"}
    return head | {"Parameters": parameters, "PartitionKeys": keys, "StorageDescriptor": storage}
