"""What AWS documents, asserted alike on the embedded AWS and on a real account."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from tests.aws.conftest import DEFINITIONS, World, code, eventually, fresh, record

pytestmark = pytest.mark.shows("4.6")

EARLY, DAY, LATE = (f"2024-03-0{day}T00:00:00Z" for day in (1, 2, 3))


def test_the_group_is_described_as_created(world: World) -> None:
    """Status, features, stores; the ARN has the name in lower case and finds the group."""
    found = world.settled()
    assert found["FeatureGroupStatus"] == "Created"
    assert found["FeatureGroupName"] == world.group
    assert world.arn.endswith(f":feature-group/{world.group.lower()}")
    assert found["FeatureGroupArn"] == world.arn
    types = {one["FeatureName"]: one["FeatureType"] for one in found["FeatureDefinitions"]}
    assert DEFINITIONS.items() <= types.items()
    assert found["OnlineStoreConfig"]["StorageType"] == "Standard_V2"
    by_arn = world.control.describe_feature_group(FeatureGroupName=world.arn)
    assert by_arn["FeatureGroupName"] == world.group


def test_what_was_put_is_got(world: World) -> None:
    """Every byte of it, by name and by ARN, and only the features that are asked for."""
    name = f"a b/é&1 {fresh()}"
    sent = {"id": name, "t": DAY, "text": '"\\ \n\U0001f600', "n": "-7", "x": "1.5"}
    world.runtime.put_record(FeatureGroupName=world.arn, Record=record(**sent))
    eventually(partial(world.get, name), wanted=sent)
    eventually(
        lambda: sorted(world.get(name, FeatureNames=["n", "t"]).items()),
        wanted=[("n", "-7"), ("t", DAY)],
    )


def test_an_older_record_is_ignored_without_a_word(world: World) -> None:
    """A put overwrites the whole record if its event time is later, and answers 200 if not."""
    name = fresh()
    world.put(name, DAY, text="first", n="1")
    world.put(name, EARLY, text="historic")
    eventually(partial(world.get, name), wanted={"id": name, "t": DAY, "text": "first", "n": "1"})
    world.put(name, LATE, text="newer")
    eventually(partial(world.get, name), wanted={"id": name, "t": LATE, "text": "newer"})


def test_what_is_not_there(world: World) -> None:
    """No record is an empty answer; no group is an error of each operation."""
    assert world.get(fresh()) == {}
    absent = f"absent-{fresh()[:20]}"
    key = {"FeatureGroupName": absent, "RecordIdentifierValueAsString": "1"}
    assert code(lambda: world.runtime.get_record(**key)) == "ResourceNotFound"
    put = partial(world.runtime.put_record, FeatureGroupName=absent, Record=record(id="1", t=DAY))
    assert code(put) == "ValidationError"
    describe = partial(world.control.describe_feature_group, FeatureGroupName=absent)
    assert code(describe) == "ResourceNotFound"


@pytest.mark.parametrize(
    "change",
    [{"n": "1.5"}, {"x": "many"}, {"t": "yesterday"}, {"t": "1709337600"}, {"nobody": "1"}],
    ids=str,
)
def test_values_that_do_not_fit_are_refused(world: World, change: dict[str, str]) -> None:
    """Types, the form of event times and the features of the group are checked."""
    values = {"id": fresh(), "t": DAY} | change
    put = partial(world.runtime.put_record, FeatureGroupName=world.group, Record=record(**values))
    assert code(put) == "ValidationError"
    assert world.get(values["id"]) == {}


@pytest.mark.parametrize("missing", ["id", "t"])
def test_identifier_and_event_time_are_required(world: World, missing: str) -> None:
    """A record without either is refused."""
    values = {"id": fresh(), "t": DAY}
    values.pop(missing)
    put = partial(world.runtime.put_record, FeatureGroupName=world.group, Record=record(**values))
    assert code(put) == "ValidationError"


def test_batches(world: World) -> None:
    """25 entries are written; a bad one fails alone; 26 are refused; what is there is got."""
    names = [fresh() for _ in range(25)]
    records = [record(id=name, t=DAY, n=str(n)) for n, name in enumerate(names)]
    records[7] = record(id=names[7], t=DAY, n="no number")
    entries = [{"FeatureGroupName": world.group, "Record": one} for one in records]
    answer = world.runtime.batch_write_record(Entries=entries)
    assert answer["UnprocessedEntries"] == []
    assert [one["Entry"]["Record"] for one in answer["Errors"]] == [records[7]]
    wanted = [{"FeatureGroupName": world.group, "RecordIdentifiersValueAsString": names}]

    def got() -> set[str]:
        found = world.runtime.batch_get_record(Identifiers=wanted)
        return {one["RecordIdentifierValueAsString"] for one in found["Records"]}

    eventually(got, wanted=set(names) - {names[7]})
    over = partial(world.runtime.batch_write_record, Entries=[*entries, entries[0]])
    assert code(over) == "ValidationError"


def test_a_soft_delete_hides_and_guards(world: World) -> None:
    """A record that is older than the deletion does not come back, a newer one does."""
    name = fresh()
    world.put(name, EARLY)
    key = {"FeatureGroupName": world.group, "RecordIdentifierValueAsString": name}
    world.runtime.delete_record(**key, EventTime=DAY)
    eventually(partial(world.get, name), wanted={})
    world.put(name, LATE)
    eventually(partial(world.get, name), wanted={"id": name, "t": LATE})


def test_a_hard_delete_removes(world: World) -> None:
    """An older one than the record is refused; a later one takes the record away."""
    name = fresh()
    world.put(name, DAY)
    eventually(lambda: world.get(name) != {}, wanted=True)
    key = {"FeatureGroupName": world.group, "RecordIdentifierValueAsString": name}
    delete = partial(world.runtime.delete_record, **key, DeletionMode="HardDelete")
    assert code(partial(delete, EventTime=EARLY)) == "ValidationError"
    assert world.get(name) != {}
    delete(EventTime=LATE)
    eventually(partial(world.get, name), wanted={})


def test_updates_change_what_they_name(world: World) -> None:
    """Other features stay; an older event time is a conflict; no record is ResourceNotFound."""
    name = fresh()
    world.put(name, DAY, text="kept", n="1")
    update: Any = partial(world.runtime.update_record, FeatureGroupName=world.group)
    key = {"RecordIdentifierValueAsString": name}
    update(**key, Features=record(n="2"))
    eventually(partial(world.get, name), wanted={"id": name, "t": DAY, "text": "kept", "n": "2"})
    update(**key, Features=record(n="3", t=LATE))
    eventually(lambda: world.get(name)["n"], wanted="3")
    older = partial(update, **key, Features=record(n="4", t=EARLY))
    assert code(older) == "ConflictException"
    other = {"RecordIdentifierValueAsString": fresh()}
    assert code(partial(update, **other, Features=record(n="5"))) == "ResourceNotFound"


def test_records_expire_by_event_time(world: World) -> None:
    """ExpiresAt is event time plus duration, shown when it is asked for."""
    name, now = fresh(), datetime.now(timezone.utc).replace(microsecond=0)
    duration = {"TtlDuration": {"Unit": "Hours", "Value": 2}}
    world.put(name, now.strftime("%Y-%m-%dT%H:%M:%SZ"), options=duration)
    eventually(lambda: world.get(name) != {}, wanted=True)
    key = {"FeatureGroupName": world.group, "RecordIdentifierValueAsString": name}
    assert "ExpiresAt" not in world.runtime.get_record(**key)
    shown = world.runtime.get_record(**key, ExpirationTimeResponse="Enabled")["ExpiresAt"]
    moment = datetime.fromisoformat(shown.replace("Z", "+00:00"))
    assert moment == now + timedelta(hours=2)


def test_identifiers_are_listed(world: World) -> None:
    """Page by page, deleted ones on request alone."""
    names = {fresh() for _ in range(3)}
    for name in names:
        world.put(name, DAY)
    gone = next(iter(names))
    key = {"FeatureGroupName": world.group, "RecordIdentifierValueAsString": gone}
    world.runtime.delete_record(**key, EventTime=LATE)

    def listed(*, deleted: bool) -> set[str]:
        pages = world.runtime.get_paginator("list_records").paginate(
            FeatureGroupName=world.group,
            IncludeSoftDeletedRecords=deleted,
            PaginationConfig={"PageSize": 2},
        )
        return {one for page in pages for one in page["RecordIdentifiers"]} & names

    eventually(partial(listed, deleted=False), wanted=names - {gone}, seconds=60)
    eventually(partial(listed, deleted=True), wanted=names, seconds=60)


def test_groups_change_by_addition(world: World) -> None:
    """A feature is added once; two kinds of change at a time are refused; names are taken once."""
    update = partial(world.control.update_feature_group, FeatureGroupName=world.group)
    world.settled()
    added = [{"FeatureName": f"f{fresh()[:10]}", "FeatureType": "Integral"}]
    day = {"TtlDuration": {"Unit": "Weeks", "Value": 500}}
    assert code(partial(update, FeatureAdditions=added, OnlineStoreConfig=day)) == "ValidationError"
    update(FeatureAdditions=added)
    names = {one["FeatureName"] for one in world.settled()["FeatureDefinitions"]}
    assert added[0]["FeatureName"] in names
    assert code(partial(update, FeatureAdditions=added)) == "ValidationError"
    again = partial(
        world.control.create_feature_group,
        FeatureGroupName=world.group,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="t",
        FeatureDefinitions=[
            {"FeatureName": name, "FeatureType": kind} for name, kind in DEFINITIONS.items()
        ],
        OnlineStoreConfig={"EnableOnlineStore": True},
    )
    assert code(again) == "ResourceInUse"


def test_groups_are_found_and_annotated(world: World) -> None:
    """ListFeatureGroups finds the group by a part of its name; tags and metadata are kept."""
    part = world.group[-12:]
    found = world.control.list_feature_groups(NameContains=part)["FeatureGroupSummaries"]
    assert [one["FeatureGroupName"] for one in found] == [world.group]
    tags = world.control.list_tags(ResourceArn=world.arn)["Tags"]
    assert {"Key": "penstock", "Value": "conformance"} in tags
    feature = {"FeatureGroupName": world.group, "FeatureName": "text"}
    world.control.update_feature_metadata(
        **feature, Description="words", ParameterAdditions=[{"Key": "k", "Value": "v"}]
    )
    described = world.control.describe_feature_metadata
    eventually(lambda: described(**feature).get("Description"), wanted="words", seconds=60)
    assert described(**feature)["Parameters"] == [{"Key": "k", "Value": "v"}]
