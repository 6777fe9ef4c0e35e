"""Offline replication of the embedded AWS: rows become Parquet files in the service's layout."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from penstock.emulator import buckets
from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, definitions, record

DAY = "2024-03-01T05:06:07Z"
ROLE = "arn:aws:iam::000000000000:role/features"
OFFLINE: dict[str, Any] = {
    "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix/"}},
    "RoleArn": ROLE,
}
FILE = re.compile(r"year=\d{4}/month=\d\d/day=\d\d/hour=\d\d/\d{8}T\d{6}Z_[A-Za-z0-9]{16}\.parquet")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folder of the embedded AWS."""
    return tmp_path / "aws"


@pytest.fixture
def aws(data: Path) -> Iterator[Aws]:
    """Clients of an embedded AWS that replicates at once."""
    with Emulator(data, replication_delay=0) as running:
        yield Aws(running.url, running.access_key, running.secret_key)


def described(aws: Aws, name: str = "g") -> dict[str, Any]:
    """DescribeFeatureGroup."""
    found: dict[str, Any] = aws.control.describe_feature_group(FeatureGroupName=name)
    return found


def folder(aws: Aws, data: Path, name: str = "g") -> Path:
    """Where the files of a group lie."""
    storage = described(aws, name)["OfflineStoreConfig"]["S3StorageConfig"]
    return buckets.folder(data, storage["ResolvedOutputS3Uri"])


def rows(where: Path) -> list[dict[str, Any]]:
    """All rows below a folder, by event time and identifier."""
    found = [row for file in where.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=lambda row: (row["t"], row["id"]))


def wait(where: Path, count: int, seconds: float = 10) -> list[dict[str, Any]]:
    """The rows, once there are so many; whatever is there when time is up."""
    until = time.monotonic() + seconds
    while len(found := rows(where)) < count and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.mark.rule(
    "offline store: Parquet below year, month, day, hour of the event time",
    "offline store: files are named by their latest event time",
)
def test_files_lie_where_the_service_puts_them(aws: Aws, data: Path) -> None:
    """One file an hour of event time, named by the latest event time in it, strings padded."""
    aws.create("Group-1", **OFFLINE)
    entries = [
        {"FeatureGroupName": "Group-1", "Record": record(id=str(n), t=moment)}
        for n, moment in enumerate((
            "2024-03-01T05:06:07Z", "2024-03-01T05:59:59.123Z", "2024-03-01T06:00:00Z",
            "0999-12-31T23:00:00.5Z",
        ))
    ]  # fmt: skip
    aws.runtime.batch_write_record(Entries=entries)
    where = folder(aws, data, "Group-1")
    assert len(wait(where, 4)) == 4
    epoch = int(described(aws, "Group-1")["CreationTime"].timestamp())
    tail = f"000000000000/sagemaker/us-east-1/offline-store/Group-1-{epoch}/data"
    assert where == data / "buckets" / "bucket" / "prefix" / tail
    names = sorted(str(file.relative_to(where)) for file in where.rglob("*.parquet"))
    assert all(FILE.fullmatch(name) for name in names)
    assert [name.rpartition("_")[0] for name in names] == [
        "year=0999/month=12/day=31/hour=23/09991231T230000Z",
        "year=2024/month=03/day=01/hour=05/20240301T055959Z",
        "year=2024/month=03/day=01/hour=06/20240301T060000Z",
    ]
    assert not list((data / "unfinished").iterdir())


@pytest.mark.rule(
    "offline store: write_time, api_invocation_time and is_deleted",
    "offline store: a deletion is a row of identifier and event time",
)
def test_rows_have_types_and_system_columns(aws: Aws, data: Path) -> None:
    """Values are typed, what is left out is null, and three columns say what happened when."""
    aws.create(event_time="Fractional", **OFFLINE)
    before = datetime.now(timezone.utc)
    aws.put(id="1", t="1709269567.25", whole="-7", real="0.5", text="")
    aws.runtime.delete_record(
        FeatureGroupName="g", RecordIdentifierValueAsString="1", EventTime="1709269568"
    )
    first, second = wait(folder(aws, data), 2)
    times = [first.pop(name) for name in ("api_invocation_time", "write_time")]
    assert before.replace(microsecond=0) <= times[0] <= times[1]
    assert first == {
        "id": "1", "t": 1709269567.25, "text": "", "whole": -7, "real": 0.5, "is_deleted": False,
    }  # fmt: skip
    for name in ("api_invocation_time", "write_time"):
        second.pop(name)
    assert second == {
        "id": "1", "t": 1709269568.0, "text": None, "whole": None, "real": None, "is_deleted": True,
    }  # fmt: skip
    file = next(folder(aws, data).rglob("*.parquet"))
    assert "hour=05" in str(file)
    assert [f"{field.name} {field.type}" for field in pq.read_schema(file)] == [
        "id string", "t double", "text string", "whole int64", "real double",
        "write_time timestamp[us, tz=UTC]", "api_invocation_time timestamp[us, tz=UTC]",
        "is_deleted bool",
    ]  # fmt: skip


def test_everything_acknowledged_goes_offline(aws: Aws, data: Path) -> None:
    """Historic records and repeats too; what is aimed elsewhere or refused does not."""
    v2 = {"EnableOnlineStore": True, "StorageType": "Standard_V2"}
    aws.create(OnlineStoreConfig=v2, **OFFLINE)
    aws.put(id="1", t="2024-03-02T00:00:00Z", text="new")
    aws.put(id="1", t="2024-03-01T00:00:00Z", text="historic")
    aws.put(id="1", t="2024-03-02T00:00:00Z", text="repeat")
    aws.put(id="1", t="2024-03-03T00:00:00Z", options={"TargetStores": ["OnlineStore"]})
    aws.put(id="2", t="2024-03-03T00:00:00Z", options={"TargetStores": ["OfflineStore"]})
    runtime = aws.runtime
    runtime.update_record(
        FeatureGroupName="g",
        RecordIdentifierValueAsString="1",
        Features=record(text="updated", t="2024-03-04T00:00:00Z"),
    )
    delete = {"FeatureGroupName": "g", "RecordIdentifierValueAsString": "1"}
    runtime.delete_record(**delete, EventTime="2024-03-01T12:00:00Z")
    with pytest.raises(runtime.exceptions.ClientError):
        runtime.delete_record(**delete, EventTime="2024-03-01T13:00:00Z", DeletionMode="HardDelete")
    runtime.delete_record(**delete, EventTime="2024-03-05T00:00:00Z", DeletionMode="HardDelete")
    found = wait(folder(aws, data), 7)
    assert [(row["t"][8:13], row["id"], row["text"], row["is_deleted"]) for row in found] == [
        ("01T00", "1", "historic", False),
        ("01T12", "1", None, True),
        ("02T00", "1", "new", False),
        ("02T00", "1", "repeat", False),
        ("03T00", "2", None, False),
        ("04T00", "1", "updated", False),
        ("05T00", "1", None, True),
    ]
    assert aws.get("2") is None


@pytest.mark.rule(
    "Glue table: made under a generated name",
    "Glue table: string, bigint, double and partition keys of type string",
    "Glue table: partitions are registered",
)
def test_the_glue_table(aws: Aws, data: Path) -> None:
    """Generated names, documented columns and formats; partitions point at their folders."""
    aws.create("Group-1", **OFFLINE)
    aws.put("Group-1", id="1", t=DAY)
    wait(folder(aws, data, "Group-1"), 1)
    group = described(aws, "Group-1")
    catalog = group["OfflineStoreConfig"]["DataCatalogConfig"]
    epoch = int(group["CreationTime"].timestamp())
    assert catalog == {
        "TableName": f"group_1_{epoch}",
        "Catalog": "AwsDataCatalog",
        "Database": "sagemaker_featurestore",
    }
    where = {"DatabaseName": catalog["Database"], "TableName": catalog["TableName"]}
    table = aws.glue.get_table(DatabaseName=catalog["Database"], Name=catalog["TableName"])["Table"]
    storage = table["StorageDescriptor"]
    assert [f"{one['Name']} {one['Type']}" for one in storage["Columns"]] == [
        "id string", "t string", "text string", "whole bigint", "real double",
        "write_time timestamp", "api_invocation_time timestamp", "is_deleted boolean",
    ]  # fmt: skip
    keys = [("year", "string"), ("month", "string"), ("day", "string"), ("hour", "string")]
    assert [(one["Name"], one["Type"]) for one in table["PartitionKeys"]] == keys
    assert table["TableType"] == "EXTERNAL_TABLE"
    assert storage["SerdeInfo"]["SerializationLibrary"].endswith("serde.ParquetHiveSerDe")
    assert storage["InputFormat"].endswith("MapredParquetInputFormat")
    uri = group["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
    assert storage["Location"] == uri
    until = time.monotonic() + 10
    while not (found := aws.glue.get_partitions(**where)["Partitions"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    (part,) = found
    assert part["Values"] == ["2024", "03", "01", "05"]
    assert part["StorageDescriptor"]["Location"] == f"{uri}/year=2024/month=03/day=01/hour=05"


@pytest.mark.rule(
    "Glue table: made under your names, its database too",
    "Glue table: your own table is associated and never altered",
    "Glue table: none with DisableGlueTableCreation alone",
)
def test_who_makes_the_glue_table(aws: Aws, data: Path) -> None:
    """Named and made, brought and left alone, or none at all: data comes all the same."""
    named = {"TableName": "t", "Catalog": "AwsDataCatalog", "Database": "d"}
    offline = OFFLINE["OfflineStoreConfig"]
    configs = {
        "made": {"DataCatalogConfig": named},
        "brought": {
            "DataCatalogConfig": named | {"TableName": "mine"}, "DisableGlueTableCreation": True,
        },
        "none": {"DisableGlueTableCreation": True},
    }  # fmt: skip
    for name, config in configs.items():
        aws.create(name, OfflineStoreConfig=offline | config, RoleArn=ROLE)
        assert described(aws, name)["FeatureGroupStatus"] == "Created"
        aws.put(name, id="1", t=DAY)
    for name in configs:
        assert len(wait(folder(aws, data, name), 1)) == 1
    assert [one["Name"] for one in aws.glue.get_tables(DatabaseName="d")["TableList"]] == ["t"]
    shown = described(aws, "brought")["OfflineStoreConfig"]["DataCatalogConfig"]
    assert shown["TableName"] == "mine"
    assert "DataCatalogConfig" not in described(aws, "none")["OfflineStoreConfig"]
    tables = aws.glue.get_databases()["DatabaseList"]
    assert [one["Name"] for one in tables] == ["d"]


@pytest.mark.rule("Glue table: added features become columns")
def test_added_features_become_columns(aws: Aws, data: Path) -> None:
    """In the table at once, in files written from then on."""
    aws.create(**OFFLINE)
    aws.put(id="1", t=DAY)
    wait(folder(aws, data), 1)
    aws.control.update_feature_group(
        FeatureGroupName="g", FeatureAdditions=definitions(More="Integral")
    )
    aws.put(id="2", t=DAY, More="3")
    first, second = wait(folder(aws, data), 2)
    assert "More" not in first
    assert second["More"] == 3
    catalog = described(aws)["OfflineStoreConfig"]["DataCatalogConfig"]
    table = aws.glue.get_table(DatabaseName=catalog["Database"], Name=catalog["TableName"])
    columns = [one["Name"] for one in table["Table"]["StorageDescriptor"]["Columns"]]
    assert columns[5] == "more"


@pytest.mark.rule(
    "DeleteFeatureGroup: offline data and Glue tables stay",
    "DeleteFeatureGroup: what was acknowledged still goes offline",
)
def test_data_and_table_outlive_the_group(aws: Aws, data: Path) -> None:
    """What was acknowledged before DeleteFeatureGroup is still written; nothing is deleted."""
    aws.create(**OFFLINE)
    where = folder(aws, data)
    catalog = described(aws)["OfflineStoreConfig"]["DataCatalogConfig"]
    aws.put(id="1", t=DAY)
    aws.control.delete_feature_group(FeatureGroupName="g")
    assert len(wait(where, 1)) == 1
    aws.glue.get_table(DatabaseName=catalog["Database"], Name=catalog["TableName"])


@pytest.mark.rule("offline store: OfflineStoreStatus Blocked and BlockedReason")
def test_a_store_that_cannot_be_written_is_blocked(aws: Aws, data: Path) -> None:
    """Describe and List say Blocked and why; when the cause is gone the rows come, once each."""
    (data / "buckets").mkdir()
    obstacle = data / "buckets" / "bucket"
    obstacle.write_text("a file where the bucket should be")
    aws.create(**OFFLINE)
    aws.put(id="1", t=DAY)
    until = time.monotonic() + 10
    while (status := described(aws)["OfflineStoreStatus"])["Status"] != "Blocked":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "bucket" in status["BlockedReason"]
    blocked = aws.control.list_feature_groups(OfflineStoreStatusEquals="Blocked")
    assert len(blocked["FeatureGroupSummaries"]) == 1
    aws.put(id="2", t=DAY)
    obstacle.unlink()
    assert [row["id"] for row in wait(folder(aws, data), 2, 20)] == ["1", "2"]
    while described(aws)["OfflineStoreStatus"]["Status"] != "Active":
        assert time.monotonic() < until + 20
        time.sleep(0.05)


@pytest.mark.rule("offline store: rows come later, by a buffer")
def test_rows_wait_for_the_delay(data: Path) -> None:
    """Not before the delay of the oldest; a server that ends writes what waits."""
    with Emulator(data, replication_delay=3_600) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create(**OFFLINE)
        where = folder(aws, data)
        aws.put(id="1", t=DAY)
        assert wait(where, 1, 1) == []
    assert len(rows(where)) == 1
