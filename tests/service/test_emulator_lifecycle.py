"""Limits and life cycle of feature groups of the embedded AWS, seen through boto3."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, definitions, refusal

DAY = "2024-03-01T00:00:00Z"
ROLE = "arn:aws:iam::000000000000:role/features"
INVALID = (400, "ValidationException")
EXCEEDED = (400, "ResourceLimitExceeded")


def _offline(**more: Any) -> dict[str, Any]:
    return {
        "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix/"}, **more},
        "RoleArn": ROLE,
    }


def _catalog() -> dict[str, str]:
    return {"TableName": "t", "Catalog": "AwsDataCatalog", "Database": "d"}


def _online(**more: Any) -> dict[str, Any]:
    return {"EnableOnlineStore": True, **more}


def _provisioned(read: int = 5, write: int = 5) -> dict[str, Any]:
    return {
        "ThroughputMode": "Provisioned",
        "ProvisionedReadCapacityUnits": read,
        "ProvisionedWriteCapacityUnits": write,
    }


def _named(prefix: str, count: int) -> dict[str, str]:
    return {f"{prefix}{n}": "Integral" for n in range(count)}


@pytest.mark.rule(
    "CreateFeatureGroup: at most 2,500 features", "DescribeFeatureGroup: 2,500 features a page"
)
def test_limits_of_a_group(aws: Aws) -> None:
    """2,500 features and no more, at creation and by additions of up to 100 at once."""
    many = definitions(id="String", t="String", **{f"f{n}": "Integral" for n in range(2_398)})
    aws.create(FeatureDefinitions=many)
    assert (
        refusal(lambda: aws.create("h", FeatureDefinitions=many + definitions(**_named("x", 101))))
        == INVALID
    )
    update = aws.control.update_feature_group
    hundred = definitions(**_named("x", 101))
    assert refusal(lambda: update(FeatureGroupName="g", FeatureAdditions=hundred)) == INVALID
    update(FeatureGroupName="g", FeatureAdditions=hundred[:100])
    last = definitions(last="String")
    assert refusal(lambda: update(FeatureGroupName="g", FeatureAdditions=last)) == INVALID
    found = aws.control.describe_feature_group(FeatureGroupName="g")
    assert len(found["FeatureDefinitions"]) == 2_500
    assert "NextToken" not in found


@pytest.mark.rule(
    "CreateFeatureGroup: 100 groups of an account",
    "CreateFeatureGroup: 40,000 provisioned units of a group, 80,000 of a Region",
)
def test_limits_of_an_account(aws: Aws) -> None:
    """100 groups; 40,000 provisioned units for a group and 80,000 for the Region."""
    for name in ("g", "h"):
        aws.create(name, ThroughputConfig=_provisioned(write=40_000))
    for units in (1, 40_001):
        asked = _provisioned(write=units)
        assert refusal(partial(aws.create, "i", ThroughputConfig=asked)) == EXCEEDED
    for number in range(98):
        aws.create(f"group-{number}")
    assert refusal(lambda: aws.create("i")) == EXCEEDED


@pytest.mark.rule("UpdateFeatureGroup: Standard becomes Standard_V2, nothing else moves")
def test_storage_moves_one_way(aws: Aws) -> None:
    """Standard becomes Standard_V2 and never goes back; nothing else moves."""
    aws.create()
    aws.create("memory", OnlineStoreConfig=_online(StorageType="InMemory"))
    aws.create("cold", OnlineStoreConfig={"EnableOnlineStore": False}, **_offline())
    update = aws.control.update_feature_group
    steps = [("g", "InMemory"), ("memory", "Standard_V2"), ("cold", "Standard_V2")]
    for name, storage in steps:
        change = {"StorageType": storage}
        call = partial(update, FeatureGroupName=name, OnlineStoreConfig=change)
        assert refusal(call) == INVALID
    update(FeatureGroupName="g", OnlineStoreConfig={"StorageType": "Standard_V2"})
    found = aws.control.describe_feature_group(FeatureGroupName="g")
    assert found["OnlineStoreConfig"]["StorageType"] == "Standard_V2"
    back = {"StorageType": "Standard"}
    assert refusal(lambda: update(FeatureGroupName="g", OnlineStoreConfig=back)) == INVALID


@pytest.mark.rule(
    "UpdateFeatureGroup: throughput can be changed, to on-demand once in 24 hours",
    "UpdateFeatureGroup: one update at a time",
)
def test_throughput_changes(tmp_path: Path) -> None:
    """One update at a time; a switch to on-demand once in 24 hours; described as it stands."""
    late = [0.0]
    with Emulator(tmp_path, create_delay=5, clock=lambda: time.time() + late[0]) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create()
        late[0] += 5

        def change(config: dict[str, Any]) -> None:
            aws.control.update_feature_group(FeatureGroupName="g", ThroughputConfig=config)

        change(_provisioned())
        assert refusal(lambda: change(_provisioned(write=9))) == INVALID
        late[0] += 5
        found = aws.control.describe_feature_group(FeatureGroupName="g")
        assert found["ThroughputConfig"] == _provisioned()
        change({"ThroughputMode": "OnDemand"})
        late[0] += 5
        change(_provisioned())
        late[0] += 5
        assert refusal(lambda: change({"ThroughputMode": "OnDemand"})) == INVALID


@pytest.mark.rule("DeleteFeatureGroup: Deleting, then gone")
def test_deletion_takes_its_time(tmp_path: Path) -> None:
    """With a delay a deleted group is Deleting, without records at once, then gone for good."""
    late = [0.0]
    with Emulator(tmp_path, create_delay=50, clock=lambda: time.time() + late[0]) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create()
        late[0] += 50
        aws.put(id="1", t=DAY)
        aws.control.delete_feature_group(FeatureGroupName="g")
        describe = aws.control.describe_feature_group
        assert describe(FeatureGroupName="g")["FeatureGroupStatus"] == "Deleting"
        assert refusal(aws.get) == (404, "ResourceNotFound")
        assert refusal(aws.create) == (400, "ResourceInUse")
        late[0] += 50
        assert refusal(lambda: describe(FeatureGroupName="g")) == (400, "ResourceNotFound")
        assert aws.control.list_feature_groups()["FeatureGroupSummaries"] == []
        aws.create()
        late[0] += 50
        assert aws.get() is None


@pytest.mark.rule("Glue table: an existing table ends in CreateFailed")
def test_an_existing_table_fails_the_creation(tmp_path: Path) -> None:
    """The group is Creating, then CreateFailed with its reason; it takes no records."""
    late = [0.0]
    with Emulator(tmp_path, create_delay=50, clock=lambda: time.time() + late[0]) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.glue.create_database(DatabaseInput={"Name": "d"})
        aws.glue.create_table(DatabaseName="d", TableInput={"Name": "t"})
        aws.create(**_offline(DataCatalogConfig=_catalog()))
        describe = aws.control.describe_feature_group
        found = describe(FeatureGroupName="g")
        assert found["FeatureGroupStatus"] == "Creating"
        assert "FailureReason" not in found
        late[0] += 50
        found = describe(FeatureGroupName="g")
        assert found["FeatureGroupStatus"] == "CreateFailed"
        assert "d.t already exists" in found["FailureReason"]
        assert refusal(lambda: aws.put(id="1", t=DAY)) == (400, "ValidationError")
        failed = aws.control.list_feature_groups(FeatureGroupStatusEquals="CreateFailed")
        assert len(failed["FeatureGroupSummaries"]) == 1
        aws.control.delete_feature_group(FeatureGroupName="g")


def test_a_group_is_made_again_at_once(aws: Aws) -> None:
    """The table of its predecessor stays and is not in the way of its own."""
    names = set()
    for _ in range(3):
        aws.create(**_offline())
        found = aws.control.describe_feature_group(FeatureGroupName="g")
        assert found["FeatureGroupStatus"] == "Created"
        names.add(found["OfflineStoreConfig"]["DataCatalogConfig"]["TableName"])
        aws.control.delete_feature_group(FeatureGroupName="g")
    assert len(names) == 3
    assert len(aws.glue.get_tables(DatabaseName="sagemaker_featurestore")["TableList"]) == 3


@pytest.mark.rule(
    "AddTags: tags are added and replaced, 50 at most",
    "ListTags: tags of a group by its ARN",
    "DeleteTags: tags are taken away",
)
def test_tags(aws: Aws) -> None:
    """Tags of the creation are listed; others are added, replaced and taken away; 50 at most."""
    aws.create(Tags=[{"Key": "a", "Value": "1"}])
    arn = aws.control.describe_feature_group(FeatureGroupName="g")["FeatureGroupArn"]
    control = aws.control
    more = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    assert control.add_tags(ResourceArn=arn, Tags=more)["Tags"] == more
    assert control.list_tags(ResourceArn=arn)["Tags"] == more
    control.delete_tags(ResourceArn=arn, TagKeys=["a", "c"])
    assert control.list_tags(ResourceArn=arn, MaxResults=50)["Tags"] == more[1:]
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    assert refusal(lambda: control.add_tags(ResourceArn=arn, Tags=many)) == INVALID
    other = f"{arn}-other"
    assert refusal(lambda: control.list_tags(ResourceArn=other)) == (400, "ResourceNotFound")


@pytest.mark.rule(
    "UpdateFeatureMetadata: a description and up to 25 parameters",
    "DescribeFeatureMetadata: what was said about a feature",
)
def test_feature_metadata(aws: Aws) -> None:
    """A feature has a description and up to 25 parameters, which are added and removed."""
    aws.create()
    feature = {"FeatureGroupName": "g", "FeatureName": "text"}
    update, describe = aws.control.update_feature_metadata, aws.control.describe_feature_metadata
    found = describe(**feature)
    assert (found["FeatureType"], found["FeatureGroupArn"][-3:]) == ("String", "p/g")
    assert "Parameters" not in found or found["Parameters"] == []
    added = [{"Key": f"k{n}", "Value": str(n)} for n in range(25)]
    update(**feature, Description="words", ParameterAdditions=added)
    update(**feature, ParameterRemovals=["k3", "nobody"])
    found = describe(**feature)
    assert found["Description"] == "words"
    assert found["Parameters"] == added[:3] + added[4:]
    two = [{"Key": "x", "Value": "1"}, {"Key": "y", "Value": "1"}]
    assert refusal(lambda: update(**feature, ParameterAdditions=two)) == INVALID
    lost = feature | {"FeatureName": "nobody"}
    assert refusal(lambda: describe(**lost)) == (400, "ResourceNotFound")


def test_a_new_default_time_to_live_is_for_later_records(aws: Aws) -> None:
    """Records that are there keep the expiry they have."""
    aws.create()
    day = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())
    aws.put(id="1", t=day)
    change = {"TtlDuration": {"Unit": "Weeks", "Value": 2}}
    aws.control.update_feature_group(FeatureGroupName="g", OnlineStoreConfig=change)
    aws.put(id="2", t=day)

    def expiry(identifier: str) -> bool:
        found = aws.runtime.get_record(
            FeatureGroupName="g",
            RecordIdentifierValueAsString=identifier,
            ExpirationTimeResponse="Enabled",
        )
        return "ExpiresAt" in found

    assert (expiry("1"), expiry("2")) == (False, True)
