"""Scripted faults really happen, and the journal knows whether the call was applied."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from penstock.emulator.faults import (
    Action,
    Broken,
    Faults,
    Rule,
    Target,
    delayed,
    denied,
    expired,
    failing,
    garbage,
    hanging,
    refused,
    reset_after,
    reset_before,
    throttled,
    truncated,
    unprocessed,
    vanished,
)
from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, record, refusal

DAY = "2024-03-01T00:00:00Z"

REPLIES: list[tuple[Action, int, str]] = [
    (throttled(), 400, "ThrottlingException"),
    (throttled("coded"), 429, "ThrottlingException"),
    (throttled("provisioned"), 400, "ProvisionedThroughputExceededException"),
    (throttled("limit"), 400, "RequestLimitExceeded"),
    (throttled("null"), 400, "400"),
    (throttled("bare"), 429, "429"),
    (failing(500), 500, "InternalFailure"),
    (failing(502), 502, "502"),
    (failing(503), 503, "ServiceUnavailable"),
    (failing(504), 504, "504"),
    (failing(509), 509, "509"),
    (denied(), 403, "AccessDeniedException"),
    (expired(), 403, "ExpiredTokenException"),
    (vanished("g"), 400, "ValidationError"),
]


def _entries(*identifiers: str) -> list[dict[str, Any]]:
    return [
        {"FeatureGroupName": "g", "Record": record(id=identifier, t=DAY)}
        for identifier in identifiers
    ]


@pytest.mark.parametrize(("action", "status", "code"), REPLIES, ids=lambda one: str(one)[:40])
def test_replies(emulator: Emulator, aws: Aws, action: Action, status: int, code: str) -> None:
    """The client sees the shape, nothing is applied, the next call works."""
    aws.create()
    rule = Rule(action, operation="PutRecord", first=1)
    emulator.faults.add(rule)
    assert refusal(lambda: aws.put(id="1", t=DAY)) == (status, code)
    assert aws.get() is None
    aws.put(id="1", t=DAY)
    assert aws.get() == {"id": "1", "t": DAY}
    assert [entry.applied for entry in emulator.journal()] == [False, True]
    assert emulator.journal()[0].fault == getattr(action, "name", None)
    assert emulator.faults.strikes[rule] == 1


def test_retry_after_and_null_message(emulator: Emulator, aws: Aws) -> None:
    """The header is sent in milliseconds; the null shape is the bare JSON seen in the wild."""
    aws.create()
    emulator.faults.add(Rule(throttled("null", retry_after=1500)))
    with pytest.raises(ClientError) as caught:
        aws.get()
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-retry-after"] == "1500"
    assert "x-amzn-errortype" not in headers
    assert json.loads(str(getattr(throttled("null"), "body"))) == {"message": None}  # noqa: B009 - Reply's body


@pytest.mark.parametrize(("action", "applied"), [(reset_before(), False), (reset_after(), True)])
def test_resets(emulator: Emulator, aws: Aws, action: Broken, applied: bool) -> None:
    """Both resets look the same to the client; only the journal and the store tell them apart."""
    aws.create()
    emulator.faults.add(Rule(action, operation="BatchWriteRecord"))
    with pytest.raises(ConnectionClosedError) as caught:
        aws.runtime.batch_write_record(Entries=_entries("1", "2"))
    assert "ConnectionResetError(" in repr(caught.value.kwargs["error"])
    assert (aws.get() is not None) is applied
    assert [(e.identifier, e.applied) for e in emulator.journal()] == [
        ("1", applied),
        ("2", applied),
    ]


def test_truncated_answers(emulator: Emulator, aws: Aws) -> None:
    """Half of the body arrives, which boto3 takes for success without results; it was applied."""
    aws.create()
    emulator.faults.add(Rule(truncated(), operation="BatchWriteRecord"))
    answer = aws.runtime.batch_write_record(Entries=_entries("1"))
    assert set(answer) == {"ResponseMetadata"}
    assert aws.get() is not None
    emulator.faults.add(Rule(truncated(), operation="PutRecord"))
    with pytest.raises(ConnectionClosedError):
        aws.put(id="2", t=DAY)
    assert aws.get("2") is not None


def test_hang_and_delay(emulator: Emulator, aws: Aws) -> None:
    """A hang ends unanswered and unapplied; a delayed call is answered late. Others go on."""
    aws.create()
    emulator.faults.add(Rule(hanging(0.3), identifier="^hang$"))
    emulator.faults.add(Rule(delayed(0.3), identifier="^late$"))
    started = time.monotonic()
    with pytest.raises(ConnectionClosedError):
        aws.put(id="hang", t=DAY)
    assert time.monotonic() - started > 0.29
    started = time.monotonic()
    aws.put(id="late", t=DAY)
    assert time.monotonic() - started > 0.29
    started = time.monotonic()
    aws.put(id="other", t=DAY)
    assert time.monotonic() - started < 0.29
    assert [entry.applied for entry in emulator.journal()] == [False, True, True]


def test_garbage_looks_like_success(emulator: Emulator, aws: Aws) -> None:
    """The 200 of a proxy: boto3 reports success, there is no request id, nothing was applied."""
    aws.create()
    emulator.faults.add(Rule(garbage(), operation="PutRecord"))
    answer = aws.runtime.put_record(FeatureGroupName="g", Record=record(id="1", t=DAY))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "RequestId" not in answer["ResponseMetadata"]
    assert aws.get() is None


@pytest.mark.rule(
    "BatchWriteRecord: UnprocessedEntries",
)
def test_entries_of_a_batch(emulator: Emulator, aws: Aws) -> None:
    """Struck entries come back unprocessed or refused, exactly those; the others are applied."""
    aws.create()
    emulator.faults.add(Rule(refused("InternalFailure", "no"), identifier="poison"))
    emulator.faults.add(Rule(unprocessed(), operation="BatchWriteRecord", every=3))
    entries = _entries("1", "2", "3", "poison", "5", "6", "7")
    answer = aws.runtime.batch_write_record(Entries=entries)
    assert answer["UnprocessedEntries"] == [entries[2], entries[6]]
    assert [(e["Entry"], e["ErrorCode"]) for e in answer["Errors"]] == [
        (entries[3], "InternalFailure")
    ]
    listed = aws.runtime.list_records(FeatureGroupName="g")["RecordIdentifiers"]
    assert listed == ["1", "2", "5", "6"]
    emulator.faults.clear()
    assert aws.runtime.batch_write_record(Entries=entries)["UnprocessedEntries"] == []


@pytest.mark.rule(
    "BatchGetRecord: UnprocessedIdentifiers",
)
def test_identifiers_of_a_batch_get(emulator: Emulator, aws: Aws) -> None:
    """BatchGetRecord can leave identifiers unprocessed."""
    aws.create()
    aws.put(id="1", t=DAY)
    emulator.faults.add(Rule(unprocessed(), operation="BatchGetRecord", first=1))
    wanted = [{"FeatureGroupName": "g", "RecordIdentifiersValueAsString": ["1"]}]
    first = aws.runtime.batch_get_record(Identifiers=wanted)
    assert (first["Records"], first["UnprocessedIdentifiers"]) == ([], wanted)
    assert len(aws.runtime.batch_get_record(Identifiers=wanted)["Records"]) == 1


def test_control_plane_and_catalog(emulator: Emulator, aws: Aws) -> None:
    """Rules reach every service, by operation and by group."""
    emulator.faults.add(Rule(throttled(), operation="CreateFeatureGroup", group="g"))
    emulator.faults.add(Rule(failing(500), operation="GetDatabases"))
    assert refusal(aws.create) == (400, "ThrottlingException")
    aws.create("other")
    assert refusal(aws.glue.get_databases)[0] == 500


def _struck(rule: Rule, calls: int) -> list[int]:
    faults = Faults([rule])
    target = [Target("g", "id-1", DAY)]
    return [at for at in range(1, calls + 1) if faults.strike("PutRecord", target).action]


def test_when_rules_strike() -> None:
    """First n, every nth, a seeded share; only matching operation, group and identifier count."""
    hit = reset_before()
    assert _struck(Rule(hit, first=2), 5) == [1, 2]
    assert _struck(Rule(hit, every=3), 7) == [3, 6]
    assert _struck(Rule(hit, operation="GetRecord"), 3) == []
    assert _struck(Rule(hit, group="h"), 3) == []
    assert _struck(Rule(hit, identifier="^2"), 3) == []
    assert _struck(Rule(hit, identifier="id-[0-9]", first=1), 3) == [1]
    share = _struck(Rule(hit, probability=0.2, seed=3), 1_000)
    assert share == _struck(Rule(hit, probability=0.2, seed=3), 1_000)
    assert 150 < len(share) < 250
    assert share != _struck(Rule(hit, probability=0.2, seed=4), 1_000)
