"""Feature groups made and evolved through boto3 against the embedded AWS."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from penstock import aws
from penstock.config import Settings
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.emulator.faults import Faults, Reply, Rule, denied
from penstock.emulator.server import Emulator
from penstock.errors import (
    ContractError,
    CredentialsError,
    PenstockError,
    TemporaryError,
    UsageError,
)
from penstock.provision import Waiting, check, create_request, difference, provision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUP = FeatureGroup(
    name="status",
    record_identifier="flight",
    event_time="at",
    features=(
        Feature("flight", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("delay", FeatureType.FRACTIONAL),
    ),
    description="One row\nper flight",
    tags=("daily",),
)
GATE = Feature("gate", FeatureType.STRING)
SERVICE = {
    "owner": "service",
    "s3_uri": "s3://bucket/offline",
    "role_arn": "arn:aws:iam::000000000000:role/feature-store",
}


def _settings(**group: Any) -> Settings:
    return Settings.model_validate(
        {"project": "p", "lake": "lake", "state": "state", "groups": {"status": group}}
    )


def _with(*features: Feature) -> FeatureGroup:
    return replace(GROUP, features=GROUP.features + features)


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Seconds, from zero."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)
        self.now += seconds


@dataclass(frozen=True)
class World:
    """The embedded AWS, its faults, clients of it, and a clock for waits that take no time."""

    sagemaker: Any
    glue: Any
    faults: Faults
    clock: Clock = field(default_factory=Clock)
    said: list[str] = field(default_factory=list)

    def waiting(self, timeout_s: float = 60.0) -> Waiting:
        """Waits on the clock of this world."""
        return Waiting(
            timeout_s, clock=self.clock, sleep=self.clock.sleep, progress=self.said.append
        )


@contextmanager
def _emulated(data: Path, create_delay: float) -> Iterator[World]:
    faults = Faults()
    with Emulator(data, faults=faults, create_delay=create_delay) as emulator:
        endpoint = aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
        yield World(aws.client(endpoint, "sagemaker"), aws.client(endpoint, "glue"), faults)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An embedded AWS where everything is done at once."""
    with _emulated(tmp_path, create_delay=0.0) as made:
        yield made


def _answering(**changes: Any) -> Callable[[Any], Rule]:
    """A rule by which DescribeFeatureGroup answers with changes to what it answered before."""

    def rule(described: Any) -> Rule:
        kept = {key: value for key, value in described.items() if key != "ResponseMetadata"}
        body = json.dumps({**kept, **changes}, default=lambda one: one.timestamp())
        return Rule(Reply("scripted", 200, body), operation="DescribeFeatureGroup")

    return rule


def test_a_group_is_made_once(world: World) -> None:
    """The first call creates, waits and makes the database; the second finds nothing to do."""
    settings = _settings()
    first = provision(world.sagemaker, world.glue, GROUP, settings, world.waiting())
    assert (first.action, first.database_created) == ("created", True)
    again = provision(world.sagemaker, world.glue, GROUP, settings, world.waiting())
    assert (again.action, again.added, again.database_created) == ("unchanged", (), False)
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    assert described["FeatureGroupStatus"] == "Created"
    assert described["OnlineStoreConfig"]["EnableOnlineStore"]
    assert "OfflineStoreConfig" not in described
    assert described["Description"] == "One row per flight"
    assert world.glue.get_database(Name="penstock")["Database"]["Name"] == "penstock"


def test_creation_and_update_are_waited_for(tmp_path: Path) -> None:
    """Where the service takes its time, both end with the group as the contract says."""
    with _emulated(tmp_path, create_delay=0.6) as world:
        said: list[str] = []
        patience = Waiting(30.0, progress=said.append)
        assert provision(world.sagemaker, None, GROUP, _settings(), patience).action == "created"
        assert said[0] == "status: Creating, 0 s"
        done = provision(world.sagemaker, None, _with(GATE), _settings(), patience)
        assert done.added == ("gate",)
        assert "status: updating, 0 s" in said
        assert check(world.sagemaker, _with(GATE), _settings()).agrees


def test_the_wait_is_bounded_and_reported(world: World) -> None:
    """Polls grow by half up to their longest, each says what is waited for, the timeout ends it."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    creating = _answering(FeatureGroupStatus="Creating")(described)
    world.faults.add(creating)
    with pytest.raises(TemporaryError, match="not ready after 60 s: Creating") as caught:
        provision(world.sagemaker, None, GROUP, _settings(), world.waiting(60.0))
    assert caught.value.exit_code == 75
    assert world.clock.slept[:3] == pytest.approx([0.2, 0.3, 0.45])
    assert max(world.clock.slept) == 5.0
    assert sum(world.clock.slept) == pytest.approx(60.0)
    assert len(world.said) == len(world.clock.slept)
    world.faults.clear()
    again = provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert again.action == "unchanged"


def test_new_features_are_added(world: World) -> None:
    """Evolution adds what the group lacks, in as many requests as the service wants, and waits."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    wide = _with(*(Feature(f"f{n}", FeatureType.INTEGRAL) for n in range(150)))
    found = check(world.sagemaker, wide, _settings())
    assert len(found.additions) == 150
    assert found.lines()[0] == "+ f0 Integral"
    done = provision(world.sagemaker, None, wide, _settings(), world.waiting())
    assert (done.action, len(done.added)) == ("updated", 150)
    assert check(world.sagemaker, wide, _settings()).agrees


def test_features_only_aws_has_stay_and_are_said(world: World) -> None:
    """A contract that knows fewer features is no reason to touch the group."""
    provision(world.sagemaker, None, _with(GATE), _settings(), world.waiting())
    done = provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert (done.action, done.extra) == ("unchanged", ("gate",))
    assert check(world.sagemaker, GROUP, _settings()).lines() == ("~ gate (only on AWS)",)


@pytest.mark.parametrize(
    ("other", "finding"),
    [
        (replace(GROUP, record_identifier="at"), "record identifier is flight, not at"),
        (replace(_with(GATE), event_time="gate"), "event time is at, not gate"),
        (
            replace(GROUP, features=(*GROUP.features[:2], Feature("delay", FeatureType.STRING))),
            "delay is Fractional, not String",
        ),
    ],
)
def test_what_cannot_change_is_refused_with_the_difference(
    world: World, other: FeatureGroup, finding: str
) -> None:
    """Identifier, event time and types are for ever: one line, and nothing is written."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert finding in check(world.sagemaker, other, _settings()).conflicts
    with pytest.raises(ContractError, match=finding) as caught:
        provision(world.sagemaker, None, other, _settings(), world.waiting())
    assert "groups.status.physical" in caught.value.remedy
    assert check(world.sagemaker, GROUP, _settings()).agrees


def test_a_group_with_an_offline_store_of_its_own_is_refused(world: World) -> None:
    """Writing to the online store alone would silently stop the service's offline store."""
    request = create_request(
        GROUP, _settings(role_arn="arn:aws:iam::000000000000:role/feature-store")
    )
    request["OfflineStoreConfig"] = {"S3StorageConfig": {"S3Uri": "s3://bucket/offline"}}
    world.sagemaker.create_feature_group(**request)
    with pytest.raises(ContractError, match="offline store of its own"):
        provision(world.sagemaker, None, GROUP, _settings(), world.waiting())


@pytest.mark.shows("4.3")
@pytest.mark.shows("6.5")
def test_a_feed_that_would_end_is_refused_with_both_ways_out(world: World) -> None:
    """Either the service keeps its store, or somebody says that it is to go without."""
    world.sagemaker.create_feature_group(**create_request(GROUP, _settings(**SERVICE)))
    with pytest.raises(ContractError) as caught:
        provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert "groups.status.owner: service" in caught.value.remedy
    assert "groups.status.detach_offline: true" in caught.value.remedy
    for place in (SERVICE, {"detach_offline": True}):
        done = provision(world.sagemaker, None, GROUP, _settings(**place), world.waiting())
        assert done.action == "unchanged"


def test_the_services_own_offline_store_is_made(world: World) -> None:
    """With owner: service, where conf says; no database of ours; a place and a role are needed."""
    done = provision(world.sagemaker, world.glue, GROUP, _settings(**SERVICE), world.waiting())
    assert (done.action, done.database_created) == ("created", False)
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    store = described["OfflineStoreConfig"]
    assert store["S3StorageConfig"]["S3Uri"] == SERVICE["s3_uri"]
    assert store["DisableGlueTableCreation"] is False
    offline = create_request(GROUP, _settings(**SERVICE, stores="offline"))
    assert "OnlineStoreConfig" not in offline
    for lacking in SERVICE.keys() - {"owner"}:
        place = {name: one for name, one in SERVICE.items() if name != lacking}
        with pytest.raises(UsageError, match=r"groups\.status\.s3_uri and \.role_arn"):
            create_request(GROUP, _settings(**place))
    plain = difference(GROUP, _settings(**SERVICE), {**described, "OfflineStoreConfig": None})
    assert plain.conflicts == ("it has no offline store of its own, which owner: service needs",)


def test_a_group_penstock_alone_writes_is_not_made(world: World) -> None:
    """stores: offline leaves SageMaker alone; stores: online leaves the catalogue alone."""
    offline, online = _settings(stores="offline"), _settings(stores="online", physical="other")
    assert not provision(
        world.sagemaker, world.glue, GROUP, online, world.waiting()
    ).database_created
    done = provision(world.sagemaker, world.glue, GROUP, offline, world.waiting())
    assert (done.action, done.database_created) == ("unchanged", True)
    assert check(world.sagemaker, GROUP, offline).agrees
    (only,) = world.sagemaker.list_feature_groups()["FeatureGroupSummaries"]
    assert only["FeatureGroupName"] == "other"


def test_a_group_of_somebody_elses_is_compared_only(world: World) -> None:
    """manage: false: unchanged where it agrees; else exit 2 with all that differs; no write."""
    theirs = _settings(manage=False)
    absent = check(world.sagemaker, GROUP, theirs)
    assert (absent.absent, absent.agrees) == (True, False)
    assert absent.lines() == (
        "! not there, and its owner's to make (manage: false): feature group",
    )
    with pytest.raises(UsageError) as caught:
        provision(world.sagemaker, world.glue, GROUP, theirs, world.waiting())
    assert str(caught.value) == (
        "there is no feature group 'status', and groups.status.manage is false. "
        "Whoever owns it must make it, or set groups.status.manage: true"
    )
    assert not world.sagemaker.list_feature_groups()["FeatureGroupSummaries"]

    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    before = _settled_description(world)
    done = provision(world.sagemaker, None, GROUP, theirs, world.waiting())
    assert (done.action, done.added) == ("unchanged", ())
    assert check(world.sagemaker, GROUP, theirs).agrees

    wants = replace(_with(GATE), ttl=timedelta(days=1), record_identifier="gate")
    assert check(world.sagemaker, wants, theirs).lines() == (
        "! not there, and its owner's to make (manage: false): gate String",
        "! not there, and its owner's to make (manage: false): time to live 86400 s",
        "! record identifier is flight, not gate",
    )
    with pytest.raises(ContractError) as refused:
        provision(world.sagemaker, None, wants, theirs, world.waiting())
    assert refused.value.exit_code == 2
    assert refused.value.message == (
        "feature group 'status' on AWS differs, and groups.status.manage is false: "
        "gate String; time to live 86400 s; record identifier is flight, not gate"
    )
    assert _settled_description(world) == before
    taken = provision(world.sagemaker, None, _with(GATE), _settings(), world.waiting())
    assert taken.added == ("gate",)


def _settled_description(world: World) -> Any:
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    return {key: one for key, one in described.items() if key != "ResponseMetadata"}


def test_a_group_of_somebody_elses_that_is_being_made_is_waited_for(tmp_path: Path) -> None:
    """Its owner may be at it in this moment."""
    with _emulated(tmp_path, create_delay=0.6) as world:
        world.sagemaker.create_feature_group(**create_request(GROUP, _settings()))
        patience = Waiting(30.0, progress=world.said.append)
        done = provision(world.sagemaker, None, GROUP, _settings(manage=False), patience)
    assert done.action == "unchanged"
    assert world.said[0] == "status: Creating, 0 s"


def test_the_time_to_live_follows_the_contract(world: World) -> None:
    """Made with it, changed with it, equal in any unit; what only AWS has is in the way."""
    keeps = replace(GROUP, ttl=timedelta(days=14))
    provision(world.sagemaker, None, keeps, _settings(), world.waiting())
    assert _ttl(world) == {"Unit": "Seconds", "Value": 14 * 86_400}
    assert check(world.sagemaker, keeps, _settings()).agrees
    longer = replace(GROUP, ttl=timedelta(days=28))
    assert check(world.sagemaker, longer, _settings()).lines() == ("+ time to live 2419200 s",)
    done = provision(world.sagemaker, None, longer, _settings(), world.waiting())
    assert (done.action, done.added) == ("updated", ())
    assert _ttl(world) == {"Unit": "Seconds", "Value": 28 * 86_400}
    found = difference(longer, _settings(), _describe_in_weeks(world, 4))
    assert found.agrees
    assert check(world.sagemaker, GROUP, _settings()).conflicts == (
        "its records expire after 2419200 s, the contract has no ttl",
    )


def _ttl(world: World) -> Any:
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    return described["OnlineStoreConfig"]["TtlDuration"]


def _describe_in_weeks(world: World, weeks: int) -> Any:
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    ttl = {"TtlDuration": {"Unit": "Weeks", "Value": weeks}}
    return {**described, "OnlineStoreConfig": {**described["OnlineStoreConfig"], **ttl}}


def test_collections_and_stores_are_compared(world: World) -> None:
    """A collection is not the plain type; another tier or no online store is in the way."""
    memory = create_request(GROUP, _settings(storage_type="InMemory"))
    memory["FeatureDefinitions"][2]["CollectionType"] = "List"
    world.sagemaker.create_feature_group(**memory)
    assert check(world.sagemaker, GROUP, _settings()).conflicts == (
        "delay is List of Fractional, not Fractional",
        "its storage type is InMemory, not Standard",
    )
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    offline_only = {**described, "OnlineStoreConfig": {"EnableOnlineStore": False}}
    assert "it has no online store" in difference(GROUP, _settings(), offline_only).conflicts


def test_check_writes_nothing(world: World) -> None:
    """The difference of an absent group is that it is absent, also afterwards."""
    for _ in range(2):
        found = check(world.sagemaker, GROUP, _settings(physical="other-name"))
        assert (found.absent, found.physical, found.agrees) == (True, "other-name", False)
    assert found.lines() == ("+ feature group",)
    assert not world.sagemaker.list_feature_groups()["FeatureGroupSummaries"]


def test_conf_decides_name_key_role_and_tier() -> None:
    """What is environment comes from conf and leaves the contract alone."""
    role, key = "arn:aws:iam::000000000000:role/feature-store", "alias/feature-store"
    settings = _settings(
        physical="prod-status", kms_key=key, role_arn=role, storage_type="Standard_V2"
    )
    assert create_request(GROUP, settings) == {
        "FeatureGroupName": "prod-status",
        "RecordIdentifierFeatureName": "flight",
        "EventTimeFeatureName": "at",
        "FeatureDefinitions": [
            {"FeatureName": "flight", "FeatureType": "String"},
            {"FeatureName": "at", "FeatureType": "String"},
            {"FeatureName": "delay", "FeatureType": "Fractional"},
        ],
        "OnlineStoreConfig": {
            "EnableOnlineStore": True,
            "StorageType": "Standard_V2",
            "SecurityConfig": {"KmsKeyId": key},
        },
        "RoleArn": role,
        "Description": "One row per flight",
        "Tags": [{"Key": "penstock:group", "Value": "status"}, {"Key": "daily", "Value": ""}],
    }


def test_an_arn_is_never_created(world: World) -> None:
    """A group of another account can be used, not made."""
    arn = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/elsewhere"
    with pytest.raises(UsageError, match="there is no feature group arn:"):
        provision(world.sagemaker, None, GROUP, _settings(physical=arn), world.waiting())


def test_a_group_is_found_by_its_arn(world: World) -> None:
    """An ARN in conf names the group that is there."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    arn = world.sagemaker.describe_feature_group(FeatureGroupName="status")["FeatureGroupArn"]
    done = provision(world.sagemaker, None, GROUP, _settings(physical=arn), world.waiting())
    assert (done.action, done.physical) == ("unchanged", arn)


def test_a_failed_creation_says_why(world: World) -> None:
    """The service's reason stands in the one line."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    failed = _answering(FeatureGroupStatus="CreateFailed", FailureReason="no such key")
    world.faults.add(failed(described))
    with pytest.raises(PenstockError, match="CreateFailed: no such key") as caught:
        provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert caught.value.exit_code == 70


def test_a_failed_update_stops_who_made_it_only(world: World) -> None:
    """An old failure left the group as it was; one of ours is said with the service's reason."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    update = {"Status": "Failed", "FailureReason": "no room"}
    world.faults.add(_answering(LastUpdateStatus=update)(described))
    assert (
        provision(world.sagemaker, None, GROUP, _settings(), world.waiting()).action == "unchanged"
    )
    with pytest.raises(PenstockError, match="its last update failed: no room"):
        provision(world.sagemaker, None, _with(GATE), _settings(), world.waiting())


def test_additions_that_lag_behind_are_waited_for(world: World) -> None:
    """A description that is ready but old does not end the wait."""
    provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    described = world.sagemaker.describe_feature_group(FeatureGroupName="status")
    old = _answering(LastUpdateStatus={"Status": "Successful"})(described)
    world.faults.add(replace(old, first=20))
    done = provision(world.sagemaker, None, _with(GATE), _settings(), world.waiting(300.0))
    assert done.added == ("gate",)
    assert any("features not visible yet" in line for line in world.said)


def test_a_lost_race_is_no_error(world: World) -> None:
    """Where somebody else creates the group between look and creation, theirs is taken."""
    request = create_request(GROUP, _settings())
    absent = Reply(
        "absent", 400, json.dumps({"__type": "ResourceNotFound", "message": "not there"})
    )
    world.faults.add(Rule(absent, operation="DescribeFeatureGroup", first=1))
    world.sagemaker.create_feature_group(**request)
    done = provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert done.action == "unchanged"


@pytest.mark.parametrize(
    ("operation", "reply", "kind", "said"),
    [
        ("DescribeFeatureGroup", denied(), CredentialsError, "AccessDenied"),
        ("CreateFeatureGroup", denied(), CredentialsError, "AccessDenied"),
        (
            "CreateFeatureGroup",
            Reply("limit", 400, '{"__type": "ResourceLimitExceeded", "message": "4 in parallel"}'),
            TemporaryError,
            "4 in parallel",
        ),
        (
            "CreateFeatureGroup",
            Reply("invalid", 400, '{"__type": "ValidationException", "message": "bad role"}'),
            UsageError,
            "bad role",
        ),
    ],
)
def test_refusals_are_told_apart(
    world: World, operation: str, reply: Reply, kind: type[PenstockError], said: str
) -> None:
    """Not allowed, no room now, and never: three exit codes, AWS's own words in the line."""
    world.faults.add(Rule(reply, operation=operation))
    with pytest.raises(kind, match=said) as caught:
        provision(world.sagemaker, None, GROUP, _settings(), world.waiting())
    assert type(caught.value) is kind
    assert caught.value.remedy
