"""Feature groups of the embedded AWS, seen through boto3."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, definitions, refusal

DAY = "2024-03-01T00:00:00Z"
ROLE = "arn:aws:iam::000000000000:role/features"
INVALID = (400, "ValidationException")


def _offline(**more: Any) -> dict[str, Any]:
    return {
        "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix/"}, **more},
        "RoleArn": ROLE,
    }


def _catalog(**change: str) -> dict[str, str]:
    return {"TableName": "t", "Catalog": "AwsDataCatalog", "Database": "d"} | change


def _online(**more: Any) -> dict[str, Any]:
    return {"EnableOnlineStore": True, **more}


def _provisioned(read: int = 5, write: int = 5) -> dict[str, Any]:
    return {
        "ThroughputMode": "Provisioned",
        "ProvisionedReadCapacityUnits": read,
        "ProvisionedWriteCapacityUnits": write,
    }


def _vector(name: str, dimension: int = 2) -> dict[str, Any]:
    return {
        "FeatureName": name,
        "FeatureType": "Fractional",
        "CollectionType": "Vector",
        "CollectionConfig": {"VectorConfig": {"Dimension": dimension}},
    }


def _named(prefix: str, count: int) -> dict[str, str]:
    return {f"{prefix}{n}": "Integral" for n in range(count)}


@pytest.mark.rule(
    "DescribeFeatureGroup: by name or ARN",
    "DescribeFeatureGroup: what was sent, and what the service adds",
    "CreateFeatureGroup: the ARN has the name in lower case",
)
def test_described_as_created(aws: Aws) -> None:
    """Describe echoes what was sent, adds what the service adds, and takes name and ARN."""
    catalog = {"TableName": "t", "Catalog": "AwsDataCatalog", "Database": "d"}
    sent = _offline(
        DataCatalogConfig=catalog, TableFormat="Iceberg", DisableGlueTableCreation=False
    )
    aws.create("Group-1", Description="one", Tags=[{"Key": "a", "Value": "b"}], **sent)
    arn = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/group-1"
    found = aws.control.describe_feature_group(FeatureGroupName=arn)
    assert found["FeatureGroupArn"] == arn
    assert found["FeatureGroupName"] == "Group-1"
    assert found["FeatureGroupStatus"] == "Created"
    assert found["OfflineStoreStatus"]["Status"] in {"Active", "Blocked"}
    assert found["Description"] == "one"
    assert found["RoleArn"] == ROLE
    assert [one["FeatureName"] for one in found["FeatureDefinitions"]] == [
        "id", "t", "text", "whole", "real",
    ]  # fmt: skip
    offline = found["OfflineStoreConfig"]
    assert offline["DataCatalogConfig"] == catalog
    assert offline["TableFormat"] == "Iceberg"
    epoch = int(found["CreationTime"].timestamp())
    assert offline["S3StorageConfig"]["ResolvedOutputS3Uri"] == (
        f"s3://bucket/prefix/000000000000/sagemaker/us-east-1/offline-store/Group-1-{epoch}/data"
    )


@pytest.mark.rule(
    "CreateFeatureGroup: a name is taken once",
    "DescribeFeatureGroup: an unknown group is ResourceNotFound",
)
def test_create_twice_and_missing(aws: Aws) -> None:
    """ResourceInUse and ResourceNotFound carry the recorded texts."""
    aws.create()
    with pytest.raises(
        aws.control.exceptions.ResourceInUse, match="FeatureGroup with name g already"
    ):
        aws.create()
    for call in (aws.control.describe_feature_group, aws.control.delete_feature_group):
        with pytest.raises(aws.control.exceptions.ResourceNotFound, match=r"with name \[x\]"):
            call(FeatureGroupName="x")


@pytest.mark.rule(
    "CreateFeatureGroup: Creating, then Created",
    "CreateFeatureGroup: 4 creations at a time",
    "UpdateFeatureGroup: LastUpdateStatus InProgress, then Successful",
    "UpdateFeatureGroup: new features count when the update is done",
)
def test_creation_takes_its_time(tmp_path: Path) -> None:
    """With a delay a group is Creating, then Created; until then it refuses; four at once."""
    late = [0.0]
    clock = lambda: time.time() + late[0]  # noqa: E731 - reads best
    with Emulator(tmp_path, create_delay=100, clock=clock) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        for name in ("g", "h", "i", "j"):
            aws.create(name)
        describe = aws.control.describe_feature_group
        assert describe(FeatureGroupName="g")["FeatureGroupStatus"] == "Creating"
        assert refusal(lambda: aws.put(id="1", t=DAY)) == (400, "ValidationError")
        assert refusal(lambda: aws.create("k")) == (400, "ResourceLimitExceeded")
        late[0] = 100
        assert describe(FeatureGroupName="g")["FeatureGroupStatus"] == "Created"
        aws.put(id="1", t=DAY)
        added = definitions(more="String")
        aws.control.update_feature_group(FeatureGroupName="g", FeatureAdditions=added)
        assert describe(FeatureGroupName="g")["LastUpdateStatus"] == {"Status": "InProgress"}
        assert refusal(lambda: aws.put(id="2", t=DAY, more="x")) == (400, "ValidationError")
        late[0] = 200
        assert describe(FeatureGroupName="g")["LastUpdateStatus"] == {"Status": "Successful"}
        aws.put(id="2", t=DAY, more="x")
        assert aws.get("2") == {"id": "2", "t": DAY, "more": "x"}


@pytest.mark.rule(
    "CreateFeatureGroup: names, lengths, enums and patterns of the model",
    "CreateFeatureGroup: at least one of the two stores",
    "CreateFeatureGroup: identifier and event time are among the features",
    "CreateFeatureGroup: the event time is String or Fractional",
    "CreateFeatureGroup: Iceberg needs a String event time",
    "CreateFeatureGroup: a feature is defined once",
    "CreateFeatureGroup: InMemory takes no offline store",
    "CreateFeatureGroup: an offline store needs a role",
    "CreateFeatureGroup: collections need the InMemory online store",
    "CreateFeatureGroup: reserved feature names",
)
@pytest.mark.parametrize(
    "change",
    [
        {"FeatureGroupName": "bad name"},
        {"RecordIdentifierFeatureName": "nobody"},
        {"EventTimeFeatureName": "whole"},
        {"FeatureDefinitions": definitions(id="String", t="String", write_time="String")},
        {"FeatureDefinitions": definitions(id="String", t="Text")},
        {"FeatureDefinitions": definitions(id="String", t="String") * 2},
        {"OnlineStoreConfig": {"EnableOnlineStore": False}},
        {"OnlineStoreConfig": {"EnableOnlineStore": True, "StorageType": "Fast"}},
        {"OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix"}}},
        {"OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "bucket"}}, "RoleArn": ROLE},
        {"RoleArn": "arn:aws:iam::1:role/short-account-number"},
        {"event_time": "Fractional", **_offline(TableFormat="Iceberg")},
        {
            "OnlineStoreConfig": {"EnableOnlineStore": True, "StorageType": "InMemory"},
            **_offline(),
        },
        {
            "FeatureDefinitions": [
                *definitions(id="String", t="String"),
                {"FeatureName": "list", "FeatureType": "String", "CollectionType": "List"},
            ]
        },
        {"ThroughputConfig": {"ThroughputMode": "Provisioned"}},
    ],
    ids=lambda one: str(sorted(one))[:50],
)
def test_creations_against_the_rules(shared: Aws, change: dict[str, Any]) -> None:
    """The documented rules of a definition are enforced."""
    assert refusal(lambda: shared.create("refused", **change)) == INVALID
    with pytest.raises(shared.control.exceptions.ResourceNotFound):
        shared.control.describe_feature_group(FeatureGroupName="refused")


@pytest.mark.rule(
    "CreateFeatureGroup: one Vector, Fractional, of 1 to 8,192 values",
    "CreateFeatureGroup: TtlDuration has unit and value",
    "CreateFeatureGroup: Provisioned has units and the Standard store",
    "CreateFeatureGroup: at most 50 tags",
    "Glue table: Iceberg needs DisableGlueTableCreation to be false",
    "Glue table: lower-case names, AwsDataCatalog",
)
@pytest.mark.parametrize(
    "change",
    [
        _offline(DisableGlueTableCreation=True, TableFormat="Iceberg"),
        _offline(DataCatalogConfig=_catalog(Catalog="Other")),
        _offline(DataCatalogConfig=_catalog(TableName="with-hyphen")),
        _offline(DataCatalogConfig=_catalog(TableName="1st")),
        _offline(DataCatalogConfig=_catalog(TableName="t" * 253)),
        _offline(DataCatalogConfig=_catalog(Database="Upper")),
        {"OnlineStoreConfig": _online(TtlDuration={"Unit": "Days"})},
        {"OnlineStoreConfig": _online(TtlDuration={"Unit": "Days", "Value": 0})},
        {"OnlineStoreConfig": _online(TtlDuration={"Unit": "Years", "Value": 1})},
        {"ThroughputConfig": _provisioned() | {"ThroughputMode": "OnDemand"}},
        {
            "ThroughputConfig": _provisioned(),
            "OnlineStoreConfig": _online(StorageType="Standard_V2"),
        },
        {"FeatureDefinitions": definitions(id="String", t="String", IS_DELETED="String")},
        {"FeatureDefinitions": definitions(id="String", t="String", **{"x" * 65: "String"})},
        {"FeatureDefinitions": []},
        {
            "OnlineStoreConfig": _online(StorageType="InMemory"),
            "FeatureDefinitions": [
                *definitions(id="String", t="String"),
                {"FeatureName": "v", "FeatureType": "String", "CollectionType": "Vector",
                 "CollectionConfig": {"VectorConfig": {"Dimension": 2}}},
            ],
        },
        {
            "OnlineStoreConfig": _online(StorageType="InMemory"),
            "FeatureDefinitions": [
                *definitions(id="String", t="String"), _vector("v"), _vector("w"),
            ],
        },
        {
            "OnlineStoreConfig": _online(StorageType="InMemory"),
            "FeatureDefinitions": [*definitions(id="String", t="String"), _vector("v", 8_193)],
        },
        {"Description": "x" * 129},
        {"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]},
    ],
    ids=lambda one: str(one)[-60:],
)  # fmt: skip
def test_creations_against_more_rules(shared: Aws, change: dict[str, Any]) -> None:
    """Catalogue names, times to live, throughput, collections and limits of the model."""
    assert refusal(lambda: shared.create("refused", **change)) == INVALID


@pytest.mark.rule(
    "UpdateFeatureGroup: one kind of change at a time",
    "UpdateFeatureGroup: features are added, 1 to 100 at once",
    "UpdateFeatureGroup: a TtlDuration is set, or taken away by nulls",
)
def test_updates_add_only(aws: Aws) -> None:
    """Features can be added once; one kind of change a call; a null time to live takes it away."""
    aws.create()
    update = aws.control.update_feature_group
    added = definitions(more="Integral")
    update(FeatureGroupName="g", FeatureAdditions=added)
    aws.put(id="1", t=DAY, more="1")
    assert aws.get() == {"id": "1", "t": DAY, "more": "1"}
    assert refusal(lambda: update(FeatureGroupName="g", FeatureAdditions=added)) == INVALID
    day = {"TtlDuration": {"Unit": "Days", "Value": 1}}
    both = {"FeatureAdditions": definitions(last="String"), "OnlineStoreConfig": day}
    assert refusal(lambda: update(FeatureGroupName="g", **both)) == INVALID
    assert refusal(lambda: update(FeatureGroupName="g")) == INVALID
    describe = aws.control.describe_feature_group
    update(FeatureGroupName="g", OnlineStoreConfig=day)
    assert describe(FeatureGroupName="g")["OnlineStoreConfig"]["TtlDuration"]["Value"] == 1
    assert aws.get() is not None
    update(FeatureGroupName="g", OnlineStoreConfig={"TtlDuration": {}})
    assert "TtlDuration" not in describe(FeatureGroupName="g")["OnlineStoreConfig"]


@pytest.mark.rule("DeleteFeatureGroup: online records are gone at once")
def test_delete_takes_the_records(aws: Aws) -> None:
    """A group made again under its old name is empty."""
    aws.create()
    aws.put(id="1", t=DAY)
    aws.control.delete_feature_group(FeatureGroupName="g")
    assert refusal(aws.get) == (404, "ResourceNotFound")
    aws.create()
    assert aws.get() is None


@pytest.mark.rule(
    "ListFeatureGroups: filters by name, status, offline status and creation",
    "ListFeatureGroups: sorted as asked for",
    "ListFeatureGroups: pages of 1 to 100",
)
def test_list_pages_and_filters(aws: Aws) -> None:
    """The paginator meets each group once, in the order asked for."""
    names = [f"group-{n}" for n in range(7)]
    for name in names:
        aws.create(name)
    aws.create("cold", OnlineStoreConfig={"EnableOnlineStore": False}, **_offline())
    pages = aws.control.get_paginator("list_feature_groups").paginate(
        NameContains="group", SortBy="Name", SortOrder="Descending", MaxResults=3
    )
    found = [one["FeatureGroupName"] for page in pages for one in page["FeatureGroupSummaries"]]
    assert found == names[::-1]
    active = aws.control.list_feature_groups(OfflineStoreStatusEquals="Active")
    assert [one["FeatureGroupName"] for one in active["FeatureGroupSummaries"]] == ["cold"]
    call = lambda: aws.control.list_feature_groups(SortBy="Size")  # noqa: E731 - reads best
    assert refusal(call) == INVALID
