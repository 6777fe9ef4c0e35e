"""What a Glue table says, as pure functions: from a contract, to its next version, to a source.

A table of ours is marked by parameters of its own (``penstock.…``), among them the columns we
wrote, so that a column somebody else added can be told from one the contract lost. Evolution only
adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from penstock.config import Location, Settings
from penstock.contract import FeatureGroup
from penstock.encoding import STORAGE
from penstock.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from mypy_boto3_glue.type_defs import TableInputTypeDef

GROUP = "penstock.group"
MEANING = "penstock.meaning"
COLUMNS = "penstock.columns"
HOURS = ("year", "month", "day", "hour")  # partition keys of a Hive table
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
ICEBERG = "ICEBERG"  # as Iceberg's own catalogue of Glue writes it
#: Columns every offline table has after its features (AWS developer guide, offline store).
SYSTEM_COLUMNS = (
    ("api_invocation_time", "timestamp", "When the record was handed to the feature store"),
    ("write_time", "timestamp", "When the row was committed to this table"),
    ("is_deleted", "boolean", "The record was deleted at its event time"),
)
#: Fields of a Table that a TableInput takes back (Glue API model); the others are the service's.
WRITABLE = (
    "Name",
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
    "TargetTable",
)
MAX_COMMENT = 255  # Glue API model, CommentString
MAX_DESCRIPTION = 2_048  # Glue API model, DescriptionString

_SERDES: dict[str, Literal["csv", "json", "parquet"]] = {
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe": "parquet",
    "org.apache.hadoop.hive.serde2.OpenCSVSerde": "csv",
    "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe": "csv",
    "org.openx.data.jsonserde.JsonSerDe": "json",
    "org.apache.hive.hcatalog.data.JsonSerDe": "json",
    "org.apache.hadoop.hive.serde2.JsonSerDe": "json",
}


def table_name(group: str, settings: Settings) -> str:
    """Glue table of a feature group: what ``conf`` says, else its name in Glue's letters.

    Raises:
        ConfigError: The name starts with a digit and ``conf`` names no other.
    """
    name = settings.group(group).table or group.lower().replace("-", "_")
    if name[0].isdigit():
        message = f"feature group {group!r}: {name!r} is not a table name Athena takes"
        raise ConfigError(message, f"Set groups.{group}.table in conf")
    return name


def table_input(
    group: FeatureGroup,
    *,
    table: str,
    location: str,
    meaning: str,
    table_format: Literal["delta", "iceberg", "hive"] = "delta",
) -> TableInputTypeDef:
    """The Glue table of a group's offline store, as Athena and Spark read it.

    Of an Iceberg table it is what is added to the table that its commits have made. A Hive table is
    the one of the service's own offline stores (their developer guide): strings of two and four
    digits as partitions, Parquet below ``location``.

    Parameters and SerDe of a native Delta table are those of Athena's guide for tables made through
    the Glue API ("Synchronize Delta Lake metadata") together with those published of tables Glue's
    crawler made: Spark goes by the provider and the SerDe's ``path``, Athena also by
    ``table_type``, and both take the schema from the Delta log. Not verified on AWS.

    Args:
        group: The contract; its features become the columns, in lower case as Glue keeps them.
        table: Table name.
        location: URI of the table's folder.
        meaning: Hash of what decides the rows, for whoever asks which version wrote the table.
        table_format: The table format.
    """
    columns = _columns(group)
    ours = {
        GROUP: group.name,
        MEANING: meaning,
        COLUMNS: ",".join(column["Name"] for column in columns),
    }
    if table_format == "iceberg":
        return {
            "Name": table,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"table_type": ICEBERG, **ours},
            "StorageDescriptor": {"Columns": cast("Any", columns), "Location": location},
        }
    if table_format == "hive":
        return {
            "Name": table,
            "Description": _plain(group.description, MAX_DESCRIPTION),
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet", **ours},
            "PartitionKeys": [{"Name": one, "Type": "string"} for one in HOURS],
            "StorageDescriptor": {
                "Columns": cast("Any", columns),
                "Location": location,
                "InputFormat": f"{_PARQUET}.MapredParquetInputFormat",
                "OutputFormat": f"{_PARQUET}.MapredParquetOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": f"{_PARQUET}.serde.ParquetHiveSerDe",
                    "Parameters": {"serialization.format": "1"},
                },
            },
        }
    return {
        "Name": table,
        "Description": _plain(group.description, MAX_DESCRIPTION),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": table_format,
            "table_type": table_format,
            "spark.sql.sources.provider": table_format,
            **ours,
        },
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": cast("Any", columns),
            "Location": location,
            "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                "Parameters": {"serialization.format": "1", "path": location},
            },
        },
    }


def evolved(
    existing: Mapping[str, Any], wanted: Mapping[str, Any], where: str
) -> dict[str, Any] | None:
    """The table input that brings ``existing`` to ``wanted``, or None where nothing has to change.

    Columns are added at the end, as Delta adds them. Columns and parameters that others added stay.

    Args:
        existing: A Table as GetTable answers it.
        wanted: What :func:`table_input` says.
        where: ``database.table``, for messages.

    Raises:
        UsageError: The table is not ours, or a column would go or change type, or the table move.
    """
    _check_ours(existing, wanted, where)
    _check_additive(existing, wanted, where)
    before = {key: existing[key] for key in WRITABLE if key in existing}
    after = {**before, "TableType": wanted["TableType"]}
    after["Parameters"] = {**before.get("Parameters", {}), **wanted["Parameters"]}
    if not is_iceberg(wanted):
        if wanted["Description"] or before.get("Description"):
            after["Description"] = wanted["Description"]
        after["StorageDescriptor"] = _descriptor(
            before.get("StorageDescriptor", {}), wanted["StorageDescriptor"]
        )
    return None if after == before else after


def is_iceberg(table: Mapping[str, Any]) -> bool:
    """Whether its columns and files are told by Iceberg's own metadata."""
    return str(table.get("Parameters", {}).get("table_type", "")).upper() == ICEBERG


def location_of(table: Mapping[str, Any], where: str) -> Location:
    """Where and in which format a registered table lies, as a source's location.

    Raises:
        UsageError: A view, a format that is not read, or partitions registered one by one.
    """
    found = _format(table)
    descriptor = table.get("StorageDescriptor", {})
    serde = descriptor.get("SerdeInfo", {}).get("Parameters", {})
    # Spark may write a placeholder as the location of its own tables; the SerDe has the true path.
    path = serde.get("path") or descriptor.get("Location")
    if found is None or not path or table.get("TableType") == "VIRTUAL_VIEW":
        raise _unreadable(where, "is no table of CSV, JSON, Parquet or native Delta files")
    if table.get("PartitionKeys") and found != "delta":
        raise _unreadable(where, "is partitioned, and its partitions may lie anywhere")
    delimiter, header = _csv(table, serde)
    return Location(format=found, path=path, table=where, delimiter=delimiter, header=header)


def _columns(group: FeatureGroup) -> list[dict[str, str]]:
    features = [
        _column(one.name.lower(), STORAGE[one.type][2], one.description) for one in group.features
    ]
    return features + [_column(*one) for one in SYSTEM_COLUMNS]


def _column(name: str, kind: str, comment: str) -> dict[str, str]:
    column = {"Name": name, "Type": kind}
    text = _plain(comment, MAX_COMMENT)
    return {**column, "Comment": text} if text else column


def _plain(text: str, limit: int) -> str:
    """One line, as Glue's patterns want it."""
    return " ".join(text.split())[:limit]


def _check_ours(existing: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    group = wanted["Parameters"][GROUP]
    owner = existing.get("Parameters", {}).get(GROUP)
    if owner != group:
        whose = f"belongs to feature group {owner!r}" if owner else "was not made by penstock"
        message = f"Glue table {where} {whose}; it is left alone"
        remedy = f"Set groups.{group}.table to another name in conf, or drop the table"
        raise UsageError(message, remedy)


def _check_additive(existing: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    before, after = _types(existing), _types(wanted)
    ours = existing["Parameters"].get(COLUMNS, "").split(",")
    findings = [f"-{name} {before[name]}" for name in ours if name in before.keys() - after.keys()]
    findings += [
        f"{name} {before[name]} -> {kind}"
        for name, kind in after.items()
        if before.get(name, kind) != kind
    ]
    old, new = (one.get("StorageDescriptor", {}).get("Location", "") for one in (existing, wanted))
    if old.rstrip("/") != new.rstrip("/"):
        findings.append(f"location {old} -> {new}")
    if findings:
        message = f"Glue table {where} would lose or change what is there: {', '.join(findings)}"
        remedy = "Undo the change, or drop the table (its files stay) and run again"
        raise UsageError(message, remedy)


def _types(table: Mapping[str, Any]) -> dict[str, str]:
    columns = table.get("StorageDescriptor", {}).get("Columns", [])
    return {one["Name"].lower(): one.get("Type", "").strip().lower() for one in columns}


def _descriptor(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    serde = before.get("SerdeInfo", {})
    parameters = {**serde.get("Parameters", {}), **wanted["SerdeInfo"]["Parameters"]}
    return {
        **before,
        **{key: wanted[key] for key in ("Location", "InputFormat", "OutputFormat")},
        "SerdeInfo": {**serde, **wanted["SerdeInfo"], "Parameters": parameters},
        "Columns": _merged(before.get("Columns", []), wanted["Columns"]),
    }


def _merged(before: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns in their present order, ours with our comment, new ones after them."""
    ours = {one["Name"]: one for one in wanted}
    there = {one["Name"].lower() for one in before}
    kept = [{**one, **_comment(ours.get(one["Name"].lower()))} for one in before]
    return kept + [one for one in wanted if one["Name"] not in there]


def _comment(column: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"Comment": column["Comment"]} if column and "Comment" in column else {}


def _format(table: Mapping[str, Any]) -> Literal["csv", "json", "parquet", "delta"] | None:
    """What the parameters say, else what the SerDe is; Iceberg, Hudi and manifests are None."""
    parameters = {key: value.lower() for key, value in table.get("Parameters", {}).items()}
    descriptor = table.get("StorageDescriptor", {})
    if "Symlink" in descriptor.get("InputFormat", ""):
        return None
    for key in ("table_type", "spark.sql.sources.provider", "classification"):
        said = parameters.get(key)
        if said in ("csv", "json", "parquet", "delta"):
            return cast("Literal['csv', 'json', 'parquet', 'delta']", said)
        if said in ("iceberg", "hudi", "orc", "avro") or (said and key.startswith("spark.")):
            return None
    return _SERDES.get(_library(table))


def _library(table: Mapping[str, Any]) -> str:
    serde = table.get("StorageDescriptor", {}).get("SerdeInfo", {})
    return str(serde.get("SerializationLibrary", ""))


def _csv(table: Mapping[str, Any], serde: Mapping[str, str]) -> tuple[str, bool]:
    """Delimiter and header: Spark's options where it made the table, else Hive's SerDes."""
    parameters = table.get("Parameters", {})
    if "spark.sql.sources.provider" in parameters:
        delimiter = serde.get("sep") or serde.get("delimiter") or ","
        return delimiter, serde.get("header", "false").lower() == "true"
    hive = "\x01" if _library(table).endswith("LazySimpleSerDe") else ","  # Hive's own: Ctrl-A
    delimiter = serde.get("field.delim") or serde.get("separatorChar") or hive
    return delimiter, parameters.get("skip.header.line.count", "0") != "0"


def _unreadable(where: str, why: str) -> UsageError:
    remedy = "Name the source's format and path in conf instead of its table"
    return UsageError(f"Glue table {where} {why}", remedy)
