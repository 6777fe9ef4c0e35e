"""The table of runtime rules is kept, and rules that have no other test."""

from __future__ import annotations

import ast
import http.client
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from penstock.emulator.rules import RULES
from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, definitions, record, refusal, values_of

DAY = "2024-03-01T00:00:00Z"
LATER = "2024-03-02T00:00:00Z"
OFFLINE: dict[str, Any] = {
    "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix"}},
    "RoleArn": "arn:aws:iam::000000000000:role/features",
}


def _named(folder: Path) -> set[str]:
    """Every text in a ``rule`` mark of a test module beside this one."""
    found: set[str] = set()
    for file in folder.glob("test_emulator_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rule":
                found |= {one.value for one in node.args if isinstance(one, ast.Constant)}  # type: ignore[misc] # strings
    return found


def test_every_kept_rule_is_named_by_a_test() -> None:
    """No rule is called emulated without a test that says so; rules are told apart."""
    kept = {f"{one.operation}: {one.rule}" for one in RULES if one.emulated}
    assert kept - _named(Path(__file__).parent) == set()
    assert len({(one.operation, one.rule) for one in RULES}) == len(RULES) > 70
    assert all(one.note for one in RULES if not one.emulated)


def _waiting(data: Path) -> list[tuple[str, str, bool]]:
    """Identifier, event time, deletion of what waits for the offline store."""
    with closing(sqlite3.connect(data / "emulator.sqlite")) as connection:
        rows = connection.execute(
            "SELECT identifier, event_time, body IS NULL FROM replication_row ORDER BY position"
        )
        return [(row[0], row[1], bool(row[2])) for row in rows]


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[Aws, Path]]:
    """An embedded AWS whose offline rows wait; its group g has both stores."""
    data = tmp_path / "aws"
    with Emulator(data, replication_delay=3600.0) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        online = {"EnableOnlineStore": True, "StorageType": "Standard_V2"}
        aws.create(OnlineStoreConfig=online, **OFFLINE)
        yield aws, data


@pytest.mark.rule(
    "PutRecord: every write goes offline, historic ones too",
    "PutRecord: TargetStores chooses the stores",
)
def test_puts_go_offline(waiting: tuple[Aws, Path]) -> None:
    """Newer, equal and older puts wait for the offline store, and none that is for online alone."""
    aws, data = waiting
    for event_time in (LATER, DAY, LATER):
        aws.put(id="1", t=event_time)
    aws.put(options={"TargetStores": ["OnlineStore"]}, id="2", t=DAY)
    aws.put(options={"TargetStores": ["OfflineStore"]}, id="3", t=DAY)
    assert _waiting(data) == [
        ("1", LATER, False),
        ("1", DAY, False),
        ("1", LATER, False),
        ("3", DAY, False),
    ]
    assert aws.get("3") is None


@pytest.mark.rule(
    "DeleteRecord: a soft delete goes offline, stale or not",
    "DeleteRecord: a stale hard delete is 400 and goes nowhere",
)
def test_deletions_go_offline(waiting: tuple[Aws, Path]) -> None:
    """Soft deletes always leave a deletion offline, hard deletes when they win."""
    aws, data = waiting
    aws.put(options={"TargetStores": ["OnlineStore"]}, id="1", t=LATER)

    def delete(event_time: str, mode: str) -> None:
        aws.runtime.delete_record(
            FeatureGroupName="g",
            RecordIdentifierValueAsString="1",
            EventTime=event_time,
            DeletionMode=mode,
        )

    delete(DAY, "SoftDelete")
    assert refusal(lambda: delete(DAY, "HardDelete")) == (400, "ValidationException")
    assert _waiting(data) == [("1", DAY, True)]
    assert aws.get() == {"id": "1", "t": LATER}
    delete("2024-04-01T00:00:00Z", "HardDelete")
    assert _waiting(data)[1:] == [("1", "2024-04-01T00:00:00Z", True)]


@pytest.mark.rule("UpdateRecord: the whole record goes offline")
def test_updates_go_offline_whole(waiting: tuple[Aws, Path]) -> None:
    """The merged record waits for the offline store."""
    aws, data = waiting
    aws.put(id="1", t=DAY, text="x", whole="1")
    aws.runtime.update_record(
        FeatureGroupName="g", RecordIdentifierValueAsString="1", Features=record(whole="2")
    )
    with closing(sqlite3.connect(data / "emulator.sqlite")) as connection:
        (text,) = connection.execute(
            "SELECT body FROM replication_row ORDER BY position DESC LIMIT 1"
        ).fetchone()
    assert text == f'{{"id":"1","t":"{DAY}","text":"x","whole":"2"}}'


@pytest.mark.rule(
    "PutRecord: a record's TtlDuration overrides the group's",
    "PutRecord: a new default TtlDuration is for later records only",
)
def test_defaults_of_time_to_live(aws: Aws) -> None:
    """What is stored keeps the duration it was stored with."""
    days = {"Unit": "Days", "Value": 365 * 200}
    aws.create(OnlineStoreConfig={"EnableOnlineStore": True, "TtlDuration": days})
    aws.put(id="default", t=DAY)
    aws.put(options={"TtlDuration": {"Unit": "Weeks", "Value": 52 * 300}}, id="own", t=DAY)
    aws.control.update_feature_group(
        FeatureGroupName="g",
        OnlineStoreConfig={"TtlDuration": {"Unit": "Days", "Value": 365 * 400}},
    )
    aws.put(id="later", t=DAY)

    def year(identifier: str) -> str:
        found = aws.runtime.get_record(
            FeatureGroupName="g",
            RecordIdentifierValueAsString=identifier,
            ExpirationTimeResponse="Enabled",
        )
        return str(found["ExpiresAt"][:4])

    assert [year(one) for one in ("default", "own", "later")] == ["2224", "2323", "2423"]
    assert "ExpiresAt" not in aws.runtime.get_record(
        FeatureGroupName="g", RecordIdentifierValueAsString="own"
    )


@pytest.mark.parametrize("expiry", ["forget", "guard"])
@pytest.mark.rule(
    "PutRecord: an expired record no longer guards, or still does",
    "PutRecord: expiry deletes the record and adds a deletion offline",
    "GetRecord: an expired record is absent at once",
)
def test_expiry(tmp_path: Path, expiry: Any) -> None:
    """An expired record is swept away, offline too; its event time guards as the setting says."""
    with Emulator(tmp_path, expiry=expiry, replication_delay=3600.0, patience=0.2) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create(**OFFLINE)
        ttl = {"TtlDuration": {"Unit": "Seconds", "Value": 1}, "TargetStores": ["OnlineStore"]}
        aws.put(options=ttl, id="waits", t=LATER)
        aws.put(options=ttl, id="swept", t=LATER)
        assert (aws.get("waits"), aws.get("swept")) == (None, None)
        online = {"TargetStores": ["OnlineStore"]}
        aws.put(options=online, id="waits", t=DAY)
        before = aws.get("waits")
        deadline = time.monotonic() + 5
        while not (gone := _waiting(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert gone[-1] == ("swept", "2024-03-02T00:00:01Z", True)
        aws.put(options=online, id="swept", t=DAY)
        after = aws.get("swept")
    assert [one is not None for one in (before, after)] == [expiry == "forget"] * 2


@pytest.mark.rule("all: a group that is not Created is refused")
def test_groups_that_are_not_created(tmp_path: Path) -> None:
    """While a group is made, each operation is refused with 400."""
    with Emulator(tmp_path, create_delay=60.0) as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create()
        key = {"FeatureGroupName": "g", "RecordIdentifierValueAsString": "1"}
        entry = {"FeatureGroupName": "g", "Record": record(id="1", t=DAY)}
        calls: list[Any] = [
            lambda: aws.put(id="1", t=DAY),
            aws.get,
            lambda: aws.runtime.delete_record(**key, EventTime=DAY),
            lambda: aws.runtime.update_record(**key, Features=record(text="x")),
            lambda: aws.runtime.list_records(FeatureGroupName="g"),
            lambda: aws.runtime.batch_write_record(Entries=[entry]),
        ]
        for call in calls:
            assert refusal(call) == (400, "ValidationError")


@pytest.mark.rule("all: unknown members of a request are refused")
def test_unknown_members(shared: Aws) -> None:
    """A misspelt member is heard of."""
    shared.create("misspelt")
    entry = {"FeatureGroupName": "misspelt", "Record": record(id="1", t=DAY), "Ttl": 1}
    # botocore drops what its model does not know, so the request is made by hand.
    url, body = f"{shared.url}/BatchWriteRecord", json.dumps({"Entries": [entry]}).encode()
    request = AWSRequest("POST", url, data=body)
    SigV4Auth(shared.credentials, "sagemaker", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=5)
    connection.request("POST", "/BatchWriteRecord", body, dict(request.headers.items()))
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"entries.1.member.Ttl" in answer.read()
    connection.close()


@pytest.mark.rule("BatchGetRecord: 1 to 100 groups of 1 to 100 identifiers")
def test_sizes_of_batch_get(shared: Aws) -> None:
    """100 groups of 100 identifiers are answered; 101 of either, or none, are refused."""
    shared.create("many")
    shared.put("many", id="7", t=DAY)

    def get(groups: int, identifiers: int) -> Any:
        one = {
            "FeatureGroupName": "many",
            "RecordIdentifiersValueAsString": [str(n) for n in range(identifiers)],
        }
        return shared.runtime.batch_get_record(Identifiers=[one] * groups)

    assert len(get(100, 100)["Records"]) == 100
    for groups, identifiers in ((101, 1), (1, 101), (0, 1), (1, 0)):
        call = lambda g=groups, i=identifiers: get(g, i)  # noqa: E731 - bound now
        assert refusal(call) == (400, "ValidationError")


@pytest.mark.rule(
    "UpdateRecord: at most 100 features, none twice",
    "UpdateRecord: other features stay",
)
def test_updates_of_many_features(shared: Aws) -> None:
    """100 features are updated at once; 101 or one twice are refused."""
    names = {f"f{n}": "String" for n in range(101)}
    shared.create(
        "wide",
        FeatureDefinitions=definitions(id="String", t="String", **names),
        OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "InMemory"},
    )
    shared.put("wide", id="1", t=DAY, f100="stays")

    def update(features: list[dict[str, str]]) -> None:
        shared.runtime.update_record(
            FeatureGroupName="wide", RecordIdentifierValueAsString="1", Features=features
        )

    many = record(**dict.fromkeys(list(names)[:100], "x"))
    update(many)
    assert shared.get("1", "wide") == values_of(record(id="1", t=DAY, f100="stays") + many)
    for bad in ([*many, *record(f100="x")], [*record(f1="x"), *record(f1="y")]):
        assert refusal(lambda sent=bad: update(sent)) == (400, "ValidationError")  # type: ignore[misc] # bound now


@pytest.mark.rule(
    "all: an ARN of elsewhere finds nothing",
    "all: a group is named or given by its ARN",
)
def test_arns(shared: Aws) -> None:
    """A group's own ARN finds it, another group's finds the other, one of elsewhere nothing."""
    for name in ("Here-1", "there"):
        shared.create(name)
        shared.put(name, id=name, t=DAY)
    home = "arn:aws:sagemaker:us-east-1:000000000000:feature-group"
    assert shared.get("Here-1", f"{home}/here-1") is not None
    assert shared.get("Here-1", f"{home}/there") is None
    assert shared.get("there", f"{home}/THERE") is not None
    for elsewhere in (
        "arn:aws:sagemaker:us-east-1:111111111111:feature-group",
        "arn:aws:sagemaker:eu-west-1:000000000000:feature-group",
        "arn:aws-cn:sagemaker:us-east-1:000000000000:feature-group",
    ):
        foreign = f"{elsewhere}/there"
        assert refusal(lambda arn=foreign: shared.get("there", arn)) == (404, "ResourceNotFound")  # type: ignore[misc] # bound now
        assert refusal(lambda arn=foreign: shared.put(arn, id="1", t=DAY)) == (  # type: ignore[misc] # bound now
            400,
            "ValidationError",
        )
    no_arn = "arn:aws:sagemaker:us-east-1:0:feature-group/there"
    assert refusal(lambda: shared.get("there", no_arn)) == (400, "ValidationError")
