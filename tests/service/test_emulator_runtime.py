"""The seven runtime operations of the embedded AWS, seen through boto3."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, definitions, record, refusal, values_of

DAY = "2024-03-01T00:00:00Z"
LATER = "2024-03-02T00:00:00Z"


@pytest.mark.rule(
    "all: a group is named or given by its ARN",
    "all: names match without regard to case",
    "GetRecord: FeatureNames chooses the features",
    "PutRecord: a later event time overwrites",
)
@pytest.mark.parametrize("storage", ["Standard", "Standard_V2", "InMemory"])
def test_what_was_put_is_got(aws: Aws, storage: str) -> None:
    """A record comes back with the bytes it had, from every storage type, by name and by ARN."""
    aws.create("Group-1", OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": storage})
    sent = {"id": "a b/é&1", "t": DAY, "text": '"\\ \n\U0001f600', "whole": "-7", "real": "1.5e3"}
    aws.put("Group-1", **sent)
    assert aws.get("a b/é&1", "Group-1") == sent
    arn = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/group-1"
    assert aws.get("a b/é&1", arn) == sent
    aws.put(arn, **sent | {"t": LATER})
    got = aws.runtime.get_record(
        FeatureGroupName=arn, RecordIdentifierValueAsString="a b/é&1", FeatureNames=["t", "whole"]
    )
    assert values_of(got["Record"]) == {"t": LATER, "whole": "-7"}


@pytest.mark.rule(
    "all: an unknown group is 404, or 400 where the model lacks 404",
    "all: an ARN of elsewhere finds nothing",
    "GetRecord: no record is an empty answer",
    "BatchWriteRecord: an unknown group fails the call",
    "UpdateRecord: a missing or soft-deleted record is 404",
)
def test_absent_records_and_groups(aws: Aws) -> None:
    """No record is an empty answer; no group is 404, or 400 where the model lacks that error."""
    aws.create()
    assert aws.get("nobody") is None
    key = {"FeatureGroupName": "other", "RecordIdentifierValueAsString": "1"}
    entry = {"FeatureGroupName": "other", "Record": record(id="1", t=DAY)}
    calls: list[tuple[Any, int, str]] = [
        (lambda: aws.runtime.get_record(**key), 404, "ResourceNotFound"),
        (lambda: aws.put("other", id="1", t=DAY), 400, "ValidationError"),
        (lambda: aws.runtime.delete_record(**key, EventTime=DAY), 400, "ValidationError"),
        (lambda: aws.runtime.list_records(FeatureGroupName="other"), 404, "ResourceNotFound"),
        (lambda: aws.runtime.batch_write_record(Entries=[entry]), 404, "ResourceNotFound"),
        (
            lambda: aws.runtime.update_record(**key, Features=record(text="x")),
            404,
            "ResourceNotFound",
        ),
    ]
    for call, status, code in calls:
        assert refusal(call) == (status, code)
    foreign = "arn:aws:sagemaker:us-east-1:111111111111:feature-group/g"
    assert refusal(lambda: aws.get("1", foreign)) == (404, "ResourceNotFound")


@pytest.mark.rule(
    "PutRecord: an older event time is answered 200 and ignored online",
    "PutRecord: instants are compared, not texts",
    "PutRecord: a later event time overwrites",
)
@pytest.mark.parametrize(
    ("first", "second", "applied"),
    [
        (DAY, LATER, True),
        (LATER, DAY, False),
        (DAY, DAY, False),
        ("2024-03-01T00:00:00.5Z", "2024-03-01T00:00:00.500000000Z", False),
        ("2024-03-01T00:00:00.5Z", "2024-03-01T00:00:00.500000001Z", True),
        ("2024-03-01T00:00:00Z", "2024-03-01T00:00:00.000Z", False),
        ("2024-03-01T00:00:00.9Z", "2024-03-01T00:00:00.10Z", False),
        ("0000-02-29T00:00:00Z", "9999-12-31T23:59:59.999999999Z", True),
    ],
)
def test_newer_instants_win(shared: Aws, first: str, second: str, applied: bool) -> None:
    """Only a later instant overwrites, whatever the number of digits; every put is answered 200."""
    name = f"n{zlib.crc32((first + second).encode())}"
    shared.create(name)
    shared.put(name, id="1", t=first, text="old")
    shared.put(name, id="1", t=second, text="new")
    assert shared.get("1", name) == (
        {"id": "1", "t": second, "text": "new"}
        if applied
        else {"id": "1", "t": first, "text": "old"}
    )


@pytest.mark.rule(
    "PutRecord: numeric event times are epoch seconds",
)
def test_fractional_event_times_are_numbers(aws: Aws) -> None:
    """Epoch seconds order as numbers, not as text."""
    aws.create(event_time="Fractional")
    for seconds in ("999999999.5", "1e9", "1000000000.0", "999999999"):
        aws.put(id="1", t=seconds)
    assert aws.get() == {"id": "1", "t": "1e9"}


@pytest.mark.rule(
    "PutRecord: an equal event time is ignored or applied",
    "DeleteRecord: an equal event time deletes as ties say",
)
def test_ties_can_apply(tmp_path: Path) -> None:
    """With ties=apply an equal event time overwrites, for puts and for hard deletes."""
    with Emulator(tmp_path, ties="apply") as running:
        aws = Aws(running.url, running.access_key, running.secret_key)
        aws.create()
        aws.put(id="1", t=DAY, text="old")
        aws.put(id="1", t=DAY, text="new")
        assert aws.get() == {"id": "1", "t": DAY, "text": "new"}
        _delete(aws, DAY, "HardDelete")
        assert aws.get() is None


@pytest.mark.rule(
    "PutRecord: features left out are gone",
)
def test_put_overwrites_whole_records(aws: Aws) -> None:
    """Features left out of a newer put are gone."""
    aws.create()
    aws.put(id="1", t=DAY, text="x", whole="1")
    aws.put(id="1", t=LATER, whole="2")
    assert aws.get() == {"id": "1", "t": LATER, "whole": "2"}


def _delete(aws: Aws, event_time: str, mode: str) -> None:
    aws.runtime.delete_record(
        FeatureGroupName="g",
        RecordIdentifierValueAsString="1",
        EventTime=event_time,
        DeletionMode=mode,
    )


@pytest.mark.rule(
    "DeleteRecord: a soft delete hides the record and guards",
    "DeleteRecord: a stale soft delete changes nothing online",
    "ListRecords: soft-deleted records on request alone",
)
def test_soft_delete_leaves_a_guard(aws: Aws) -> None:
    """After a soft delete the record is hidden, listed on request, and older puts stay out."""
    aws.create()
    aws.put(id="1", t=DAY)
    _delete(aws, "2024-02-01T00:00:00Z", "SoftDelete")
    assert aws.get() == {"id": "1", "t": DAY}
    _delete(aws, LATER, "SoftDelete")
    assert aws.get() is None
    aws.put(id="1", t="2024-03-01T12:00:00Z")
    assert aws.get() is None
    assert aws.runtime.list_records(FeatureGroupName="g")["RecordIdentifiers"] == []
    listed = aws.runtime.list_records(FeatureGroupName="g", IncludeSoftDeletedRecords=True)
    assert listed["RecordIdentifiers"] == ["1"]
    aws.put(id="1", t="2024-03-03T00:00:00Z")
    assert aws.get() == {"id": "1", "t": "2024-03-03T00:00:00Z"}


@pytest.mark.rule(
    "DeleteRecord: a hard delete removes the record",
    "DeleteRecord: a stale hard delete is 400 and goes nowhere",
    "DeleteRecord: an equal event time deletes as ties say",
)
def test_hard_delete_leaves_nothing(aws: Aws) -> None:
    """A stale hard delete is refused; a newer one takes the row, and then an older put is new."""
    aws.create()
    aws.put(id="1", t=LATER)
    for stale in (DAY, LATER):
        assert refusal(lambda at=stale: _delete(aws, at, "HardDelete")) == (  # type: ignore[misc] # bound now
            400,
            "ValidationException",
        )
    _delete(aws, "2024-03-03T00:00:00Z", "HardDelete")
    assert aws.get() is None
    aws.put(id="1", t=DAY)
    assert aws.get() == {"id": "1", "t": DAY}


@pytest.mark.rule(
    "GetRecord: a record expires at event time plus TtlDuration",
    "GetRecord: an expired record is absent at once",
    "GetRecord: ExpiresAt is shown when asked for",
    "BatchWriteRecord: TtlDuration: entry, then request, then group",
    "ListRecords: expired records are not listed",
)
def test_time_to_live(aws: Aws) -> None:
    """ExpiresAt is event time plus duration: entry, request, group; expired is absent."""
    week = {"Unit": "Weeks", "Value": 52 * 1000}
    aws.create(OnlineStoreConfig={"EnableOnlineStore": True, "TtlDuration": week})
    year = {"Unit": "Days", "Value": 365 * 500}
    hour = {"Unit": "Hours", "Value": 1}

    def entry(identifier: str, **more: Any) -> dict[str, Any]:
        return {"FeatureGroupName": "g", "Record": record(id=identifier, t=DAY), **more}

    aws.put(id="group", t=DAY)
    aws.runtime.batch_write_record(
        Entries=[entry("entry", TtlDuration=hour), entry("request")], TtlDuration=year
    )
    assert aws.get("entry") is None
    wanted = ["group", "entry", "request"]
    found = aws.runtime.batch_get_record(
        Identifiers=[{"FeatureGroupName": "g", "RecordIdentifiersValueAsString": wanted}],
        ExpirationTimeResponse="Enabled",
    )
    expiry = {one["RecordIdentifierValueAsString"]: one["ExpiresAt"] for one in found["Records"]}
    day = datetime(2024, 3, 1, tzinfo=timezone.utc)
    assert expiry == {
        "group": f"{day + timedelta(weeks=52 * 1000):%Y-%m-%dT%H:%M:%SZ}",
        "request": f"{day + timedelta(days=365 * 500):%Y-%m-%dT%H:%M:%SZ}",
    }
    assert aws.runtime.list_records(FeatureGroupName="g")["RecordIdentifiers"] == [
        "group",
        "request",
    ]
    aws.put(id="entry", t="2024-02-01T00:00:00Z")
    assert aws.get("entry") is not None


@pytest.mark.rule(
    "PutRecord: TargetStores chooses the stores",
    "PutRecord: a store the group lacks is refused",
    "GetRecord: a group without an online store is refused",
)
def test_target_stores(aws: Aws) -> None:
    """OfflineStore alone leaves the online record; a store the group lacks is refused."""
    store: dict[str, Any] = {
        "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/prefix"}},
        "RoleArn": "arn:aws:iam::000000000000:role/features",
    }
    aws.create("both", **store)
    aws.put("both", options={"TargetStores": ["OfflineStore"]}, id="1", t=DAY)
    assert aws.get("1", "both") is None
    aws.put("both", options={"TargetStores": ["OnlineStore", "OfflineStore"]}, id="1", t=DAY)
    assert aws.get("1", "both") == {"id": "1", "t": DAY}
    aws.create("g")
    targets = {"TargetStores": ["OfflineStore"]}
    assert refusal(lambda: aws.put(options=targets, id="1", t=DAY)) == (400, "ValidationError")
    aws.create("cold", OnlineStoreConfig={"EnableOnlineStore": False}, **store)
    assert refusal(lambda: aws.get("1", "cold")) == (400, "ValidationError")


@pytest.mark.rule(
    "BatchWriteRecord: bad values fail their entry alone",
    "BatchWriteRecord: entries of one identifier apply in order",
)
def test_batch_write_answers_per_entry(aws: Aws) -> None:
    """Bad values fail their entry alone, which comes back; duplicates apply in order."""
    aws.create()
    good = {"FeatureGroupName": "g", "Record": record(id="1", t=DAY, text="a")}
    newer = {"FeatureGroupName": "g", "Record": record(id="1", t=LATER, text="b")}
    bad = {"FeatureGroupName": "g", "Record": record(id="2", t=DAY, whole="1.5")}
    answer = aws.runtime.batch_write_record(Entries=[newer, bad, good])
    assert [one["Entry"] for one in answer["Errors"]] == [bad]
    assert [one["ErrorCode"] for one in answer["Errors"]] == ["ValidationError"]
    assert answer["UnprocessedEntries"] == []
    assert aws.get("1") == {"id": "1", "t": LATER, "text": "b"}
    assert aws.get("2") is None


@pytest.mark.rule(
    "BatchWriteRecord: a broken shape fails the call",
    "BatchWriteRecord: 1 to 25 entries",
)
def test_broken_shape_fails_the_whole_batch(aws: Aws) -> None:
    """A record that breaks the model is 400 for the call and nothing of it is applied."""
    aws.create()
    good = {"FeatureGroupName": "g", "Record": record(id="1", t=DAY)}
    for broken in (
        {"FeatureGroupName": "g", "Record": record(id="2", **{"bad name": "x"})},
        {"FeatureGroupName": "bad name", "Record": record(id="2", t=DAY)},
        {"FeatureGroupName": "g", "Record": record(id="2", t=DAY), "TargetStores": ["Foo"]},
        {"FeatureGroupName": "g", "Record": record(id="2", t=DAY, text="x" * 358_401)},
    ):
        entries = [good, broken]
        call = lambda sent=entries: aws.runtime.batch_write_record(Entries=sent)  # noqa: E731 - bound now
        assert refusal(call) == (400, "ValidationError")
    assert refusal(lambda: aws.runtime.batch_write_record(Entries=[good] * 26))[0] == 400
    assert aws.get("1") is None


@pytest.mark.rule(
    "BatchGetRecord: what fails is an error per identifier",
    "BatchGetRecord: absent records are left out",
)
def test_batch_get(aws: Aws) -> None:
    """Found records only, the wanted features only; an unknown group is an error of its own."""
    aws.create()
    for identifier in ("1", "2", "3"):
        aws.put(id=identifier, t=DAY, text=identifier)
    answer = aws.runtime.batch_get_record(
        Identifiers=[
            {
                "FeatureGroupName": "g",
                "RecordIdentifiersValueAsString": ["3", "x", "1"],
                "FeatureNames": ["text"],
            },
            {"FeatureGroupName": "other", "RecordIdentifiersValueAsString": ["1"]},
        ]
    )
    found = {
        one["RecordIdentifierValueAsString"]: values_of(one["Record"]) for one in answer["Records"]
    }
    assert found == {"3": {"text": "3"}, "1": {"text": "1"}}
    assert [(e["FeatureGroupName"], e["ErrorCode"]) for e in answer["Errors"]] == [
        ("other", "ResourceNotFound")
    ]


@pytest.mark.rule(
    "ListRecords: pages of at most 100 with NextToken",
    "ListRecords: a token of another question is refused",
)
def test_list_records_pages(aws: Aws) -> None:
    """The paginator meets every identifier once; a token of another question is refused."""
    aws.create()
    names = [f"{at:03}" for at in range(25)]
    for at in range(0, 25, 5):
        entries = [
            {"FeatureGroupName": "g", "Record": record(id=name, t=DAY)}
            for name in names[at : at + 5]
        ]
        aws.runtime.batch_write_record(Entries=entries)
    first = aws.runtime.list_records(FeatureGroupName="g", MaxResults=10)
    assert first["RecordIdentifiers"] == names[:10]
    pages = aws.runtime.get_paginator("list_records").paginate(FeatureGroupName="g", MaxResults=10)
    assert [one for page in pages for one in page["RecordIdentifiers"]] == names
    for token in (first["NextToken"], "nonsense"):
        call = lambda given=token: aws.runtime.list_records(  # noqa: E731 - bound now
            FeatureGroupName="g", NextToken=given, IncludeSoftDeletedRecords=True
        )
        assert refusal(call) == (400, "ValidationError")


def _update(aws: Aws, identifier: str = "1", **more: Any) -> None:
    aws.runtime.update_record(
        FeatureGroupName="g", RecordIdentifierValueAsString=identifier, **more
    )


@pytest.mark.rule(
    "UpdateRecord: an older event time is 409",
    "UpdateRecord: an equal, later or no event time applies",
    "UpdateRecord: other features stay",
    "UpdateRecord: at most 100 features, none twice",
    "UpdateRecord: the identifier cannot change",
    "UpdateRecord: values are checked as in PutRecord",
    "UpdateRecord: TtlDuration needs the event time",
    "UpdateRecord: TargetStores must have OnlineStore",
    "UpdateRecord: a missing or soft-deleted record is 404",
)
def test_update_record(aws: Aws) -> None:
    """Named features change, others stay; an equal or no event time applies, an older conflicts."""
    online = {"EnableOnlineStore": True, "StorageType": "Standard_V2"}
    aws.create(OnlineStoreConfig=online)
    aws.put(id="1", t=DAY, text="x", whole="1")
    _update(aws, Features=record(whole="2"))
    assert aws.get() == {"id": "1", "t": DAY, "text": "x", "whole": "2"}
    _update(aws, Features=record(whole="3", t=DAY))
    _update(aws, Features=record(real="1.5", t=LATER))
    assert aws.get() == {"id": "1", "t": LATER, "text": "x", "whole": "3", "real": "1.5"}
    ttl = {"Unit": "Days", "Value": 1}
    for features, more, expected in (
        (record(whole="4", t=DAY), {}, (409, "ConflictException")),
        (record(whole="x"), {}, (400, "ValidationError")),
        (record(other="x"), {}, (400, "ValidationError")),
        (record(id="2"), {}, (400, "ValidationError")),
        (record(whole="4"), {"TtlDuration": ttl}, (400, "ValidationError")),
        (record(whole="4"), {"TargetStores": ["OfflineStore"]}, (400, "ValidationError")),
        (record(**{f"f{n}": "1" for n in range(101)}), {}, (400, "ValidationError")),
    ):
        call = lambda f=features, m=more: _update(aws, Features=f, **m)  # noqa: E731 - bound now
        assert refusal(call) == expected
    absent = lambda: _update(aws, "9", Features=record(whole="1"))  # noqa: E731 - reads best
    assert refusal(absent) == (404, "ResourceNotFound")
    aws.runtime.delete_record(
        FeatureGroupName="g", RecordIdentifierValueAsString="1", EventTime="2024-04-01T00:00:00Z"
    )
    assert refusal(lambda: _update(aws, Features=record(whole="1")))[0] == 404


@pytest.mark.rule(
    "UpdateRecord: Standard_V2 and InMemory alone",
)
def test_update_needs_its_tier(aws: Aws) -> None:
    """The Standard tier has no UpdateRecord."""
    aws.create()
    aws.put(id="1", t=DAY)
    assert refusal(lambda: _update(aws, Features=record(text="x"))) == (400, "ValidationError")


@pytest.mark.rule(
    "PutRecord: collections are lists, sets are unique, vectors have their dimension",
)
def test_collections(aws: Aws) -> None:
    """Lists, sets and vectors round-trip and keep their rules."""
    features: list[dict[str, Any]] = [
        *definitions(id="String", t="String"),
        {"FeatureName": "list", "FeatureType": "Integral", "CollectionType": "List"},
        {"FeatureName": "set", "FeatureType": "String", "CollectionType": "Set"},
        {
            "FeatureName": "vector",
            "FeatureType": "Fractional",
            "CollectionType": "Vector",
            "CollectionConfig": {"VectorConfig": {"Dimension": 2}},
        },
    ]
    aws.create(
        FeatureDefinitions=features,
        OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "InMemory"},
    )

    def put(**lists: list[str]) -> None:
        more = [{"FeatureName": name, "ValueAsStringList": v} for name, v in lists.items()]
        aws.runtime.put_record(FeatureGroupName="g", Record=record(id="1", t=DAY) + more)

    put(list=["1", "1"], set=["a", "b"], vector=["1.0", "2"])
    found = aws.runtime.get_record(FeatureGroupName="g", RecordIdentifierValueAsString="1")
    lists = [one["ValueAsStringList"] for one in found["Record"] if "ValueAsStringList" in one]
    assert lists == [["1", "1"], ["a", "b"], ["1.0", "2"]]
    for bad in ({"list": ["1.5"]}, {"set": ["a", "a"]}, {"vector": ["1"]}, {"id": ["1"]}):
        assert refusal(lambda sent=bad: put(**sent)) == (400, "ValidationError")  # type: ignore[misc] # bound now
    assert refusal(lambda: aws.put(id="1", t=LATER, list="1")) == (400, "ValidationError")


def test_the_journal_knows_what_was_applied(emulator: Emulator, aws: Aws) -> None:
    """One entry per record in order, applied or not, with the request id of its answer."""
    aws.create()
    aws.put(id="1", t=LATER)
    answer = aws.runtime.batch_write_record(
        Entries=[
            {"FeatureGroupName": "g", "Record": record(id="1", t=DAY)},
            {"FeatureGroupName": "g", "Record": record(id="2", t=DAY)},
        ]
    )
    found = [(e.operation, e.identifier, e.event_time, e.applied) for e in emulator.journal()]
    assert found == [
        ("PutRecord", "1", LATER, True),
        ("BatchWriteRecord", "1", DAY, False),
        ("BatchWriteRecord", "2", DAY, True),
    ]
    assert emulator.journal()[-1].request_id == answer["ResponseMetadata"]["RequestId"]
    assert len({e.payload_hash for e in emulator.journal()}) == 3
