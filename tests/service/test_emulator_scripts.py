"""Quotas, time windows, rotation and scripts in files: the rest of the fault language."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from penstock.emulator import actions, journal, script
from penstock.emulator.faults import (
    Faults,
    Quota,
    Rule,
    Target,
    closed,
    delayed,
    dripped,
    failing,
    hanging,
    refused,
    reset_after,
    rotated,
    throttled,
    turned,
    unprocessed,
)
from penstock.emulator.identity import key_pair
from penstock.emulator.quotas import Meter
from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, record, refusal

DAY = "2024-03-01T00:00:00Z"


class Hands:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def _entries(*identifiers: str, text: str = "") -> list[dict[str, Any]]:
    return [
        {"FeatureGroupName": "g", "Record": record(id=identifier, t=DAY, text=text)}
        for identifier in identifiers
    ]


@pytest.mark.rule("PutRecord: write units per identifier and account")
def test_a_quota_throttles_what_is_over_it(emulator: Emulator, aws: Aws) -> None:
    """Ten units at once, then the eleventh put is a throttle; a batch gives back what is over."""
    aws.create()
    quota = Quota(rate=1.0, burst=10.0)
    emulator.faults.add(quota)
    for n in range(10):
        aws.put(id=str(n), t=DAY)
    assert refusal(lambda: aws.put(id="over", t=DAY)) == (400, "ThrottlingException")
    emulator.faults.clear()
    emulator.faults.add(Quota(rate=10.0, burst=0.5))
    entries = _entries("a", "b", "c", text="x" * 2_000)
    answer = aws.runtime.batch_write_record(Entries=entries)
    assert (answer["Errors"], answer["UnprocessedEntries"]) == ([], entries[2:])
    assert emulator.faults.granted(quota) == (10, 1)
    assert [(e.identifier, e.applied, e.fault) for e in emulator.journal()[10:]] == [
        ("over", False, "throttled by quota"),
        ("c", False, "throttled by quota"),
        ("a", True, None),
        ("b", True, None),
    ]


def test_a_quota_can_throttle_whole_batches(emulator: Emulator, aws: Aws) -> None:
    """With batch=call nothing of a batch over the quota is applied."""
    aws.create()
    emulator.faults.add(Quota(rate=2.0, batch="call", shape="coded", retry_after=40))
    aws.runtime.batch_write_record(Entries=_entries("1", "2"))
    call = lambda: aws.runtime.batch_write_record(Entries=_entries("3"))  # noqa: E731 - reads best
    assert refusal(call) == (429, "ThrottlingException")
    assert aws.get("3") is None


@pytest.mark.parametrize(
    ("per", "expected"),
    [("all", [True, False, False]), ("group", [True, False, True]), ("identifier", [True] * 3)],
)
def test_what_shares_a_bucket(per: Any, expected: list[bool]) -> None:
    """All writes, those of a group, or those of an identifier draw on one bucket."""
    meter = Meter(Quota(rate=1.0, per=per))
    asked = [("g", "1"), ("g", "2"), ("h", "1")]
    assert [meter.take(group, identifier, 1, 0.0) for group, identifier in asked] == expected
    assert Meter(Quota(rate=0.0, group="g")).take("h", "1", 1, 0.0)


@given(
    st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 400)), max_size=80),
    st.floats(1, 2_000),
    st.floats(1, 2_000),
    st.floats(0.1, 3),
)
def test_quotas_grant_no_more_than_their_rate(
    asked: list[tuple[float, int]], first: float, second: float, change: float
) -> None:
    """What is granted never exceeds one burst, the rate over time, and one write in debt."""
    meter = Meter(Quota(rate=first, schedule=((change, second),)))
    now, budget, largest, begin = 50.0, first, 0, None
    for wait, units in asked:
        now += wait
        begin = now if begin is None else begin
        meter.take("g", "1", units, now)
        largest = max(largest, units)
        elapsed = now - begin
        earned = first * min(elapsed, change) + second * max(elapsed - change, 0)
        assert meter.granted <= max(budget, second) + earned + largest + 1e-6


def test_a_quota_changes_on_schedule() -> None:
    """500, then 100, then 500 units a second, counted from the first write."""
    meter = Meter(Quota(rate=500.0, schedule=((10.0, 100.0), (20.0, 500.0))))
    granted = []
    for second in range(30):
        before = meter.granted
        for tick in range(1_000):
            meter.take("g", str(tick), 1, 7.0 + second + tick / 1_000)
        granted.append(meter.granted - before)
    assert granted[0] == pytest.approx(1_000, abs=2)  # the full bucket on top
    assert granted[1:10] == pytest.approx([500] * 9, abs=2)
    assert granted[11:20] == pytest.approx([100] * 9, abs=2)
    assert granted[21:] == pytest.approx([500] * 9, abs=2)


def test_windows_and_single_matches() -> None:
    """Nth strikes once; after and until count from the first match of the rule."""
    clock = Hands()

    def struck(**when: Any) -> list[int]:
        clock.now = 100.0
        faults = Faults([Rule(failing(500), **when)], clock=clock)
        found = []
        for at in range(8):
            if faults.strike("PutRecord", [Target("g", "1", DAY)]).action:
                found.append(at)
            clock.now += 1
        return found

    assert struck(nth=3) == [2]
    assert struck(after=2, until=5) == [2, 3, 4]
    assert struck(until=1) == [0]
    assert struck(after=6, every=2) == [7]


def test_delays_add_up_and_let_other_rules_strike() -> None:
    """Latency and jitter are on top of what else happens; the same seed, the same jitter."""
    rules = [Rule(delayed(0.1)), Rule(delayed(0.2, jitter=0.1), seed=4), Rule(failing(500), nth=2)]
    target = [Target("g", "1", DAY)]
    strikes = [Faults(rules).strike("GetRecord", target) for _ in range(3)]
    assert len({one.delay for one in strikes}) == 1
    assert 0.3 <= strikes[0].delay <= 0.4
    faults = Faults(rules)
    assert [bool(faults.strike("GetRecord", target).action) for _ in range(3)] == [0, 1, 0]


def test_single_puts_can_be_poison(emulator: Emulator, aws: Aws) -> None:
    """An entry's fault on a call of one record is the fault of the call."""
    aws.create()
    emulator.faults.add(Rule(refused("ValidationError", "no"), identifier="poison"))
    emulator.faults.add(Rule(unprocessed(), identifier="later", first=1))
    assert refusal(lambda: aws.put(id="poison", t=DAY)) == (400, "ValidationError")
    assert refusal(lambda: aws.put(id="later", t=DAY)) == (400, "ThrottlingException")
    aws.put(id="later", t=DAY)
    assert [(e.identifier, e.applied, e.fault) for e in emulator.journal()] == [
        ("poison", False, "refused"),
        ("later", False, "unprocessed"),
        ("later", True, None),
    ]


@pytest.mark.parametrize("applied", [True, False])
def test_closed_without_an_answer(emulator: Emulator, aws: Aws, applied: bool) -> None:
    """FIN instead of an answer, before or after the write; the journal says it was withheld."""
    aws.create()
    emulator.faults.add(Rule(closed(applied=applied), operation="PutRecord"))
    with pytest.raises(ConnectionClosedError):
        aws.put(id="1", t=DAY)
    (entry,) = emulator.journal()
    assert (entry.applied, entry.answered) == (applied, False)
    assert (aws.get() is not None) is applied


def test_answers_drip(emulator: Emulator, aws: Aws) -> None:
    """The first bytes come one by one; the client that waits gets all, and others go on."""
    aws.create()
    emulator.faults.add(Rule(dripped(bytes_per_second=400.0), operation="GetRecord", first=1))
    started = time.monotonic()
    assert aws.get() is None
    assert 0.2 < time.monotonic() - started < 3
    assert aws.get() is None


def test_keys_rotate(emulator: Emulator, aws: Aws) -> None:
    """Every third call the key changes; the old one has expired, the file has the new one."""
    aws.create()
    emulator.faults.add(Rule(rotated(), operation="PutRecord", every=3))
    aws.put(id="1", t=DAY)
    aws.put(id="2", t=DAY)
    for _ in range(2):
        assert refusal(lambda: aws.put(id="3", t=DAY)) == (403, "ExpiredTokenException")
    pair = key_pair(emulator.credentials_file.parent)
    assert pair.access_key != emulator.access_key
    assert pair.file.stat().st_mode & 0o777 == 0o600
    fresh = Aws(emulator.url, pair.access_key, pair.secret_key)
    fresh.put(id="3", t=DAY)
    assert fresh.get("3") is not None
    assert refusal(lambda: Aws(emulator.url, "AKIAOTHER", "x").get()) == (
        403,
        "UnrecognizedClientException",
    )


def test_a_group_changes_its_status(emulator: Emulator, aws: Aws) -> None:
    """Describe shows the status and the runtime refuses, for that group and as long as told."""
    aws.create()
    aws.create("other")
    emulator.faults.add(Rule(turned("Deleting"), group="g", first=2))
    found = aws.control.describe_feature_group(FeatureGroupName="g")
    assert found["FeatureGroupStatus"] == "Deleting"
    aws.put("other", id="1", t=DAY)
    assert refusal(lambda: aws.put(id="1", t=DAY)) == (400, "ValidationError")
    aws.put(id="1", t=DAY)
    found = aws.control.describe_feature_group(FeatureGroupName="g")
    assert found["FeatureGroupStatus"] == "Created"


def test_a_script_in_the_data_folder_is_in_force_at_once(emulator: Emulator, aws: Aws) -> None:
    """What is put there strikes the next call, what replaces it the one after, and it can go."""
    aws.create()
    data = emulator.credentials_file.parent
    for status in (500, 503):
        rule = {"operation": "PutRecord", "action": {"kind": "failing", "status": status}}
        file = script.place(data, {"rules": [rule], "quotas": [{"rate": 1000}]})
        assert refusal(lambda: aws.put(id="1", t=DAY))[0] == status
    file.write_text("{")
    with pytest.raises(ClientError, match="fault script cannot be read"):
        aws.get()
    file.unlink()
    aws.put(id="1", t=DAY)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"rule": []}',
        '{"rules": [{"action": {"kind": "explode"}}]}',
        '{"rules": [{"action": {"kind": "failing", "states": 500}}]}',
        '{"rules": [{"operation": "PutRecord"}]}',
        '{"rules": [{"action": {"kind": "denied"}, "evry": 2}]}',
        '{"rules": [{"action": {"kind": "denied"}, "every": "2"}]}',
        '{"rules": [{"action": {"kind": "denied"}, "identifier": "("}]}',
        '{"quotas": [{"rate": "x"}]}',
        '{"quotas": [{"rate": 1, "per": "shard"}]}',
        '{"quotas": [{"rate": 1, "schedule": [5]}]}',
    ],
)
def test_what_is_no_script(text: str) -> None:
    """A misspelt member, kind or value is an error, never a fault that does not happen."""
    with pytest.raises(script.ScriptError):
        script.parse(text)


def test_every_action_can_be_written_as_json() -> None:
    """Each function that makes an action is a kind; arguments arrive."""
    kinds = [
        {"kind": "delayed", "seconds": 1, "jitter": 0.5},
        {"kind": "hanging", "seconds": 2},
        {"kind": "throttled", "shape": "null", "retry_after": 5},
        {"kind": "vanished", "name": "g", "status": 404},
        {"kind": "refused", "code": "InternalFailure", "message": "x"},
        {"kind": "closed", "applied": True},
        *({"kind": name} for name in ("denied", "expired", "rotated", "turned", "garbage")),
        *({"kind": name} for name in ("reset_before", "reset_after", "truncated", "dripped")),
        {"kind": "unprocessed"},
        {"kind": "failing", "status": 509},
    ]
    rules = [{"every": 3, "seed": 1, "after": 1.5, "action": kind} for kind in kinds]
    found, _ = script.parse(json.dumps({"rules": rules}))
    assert [type(one.action) for one in found[:3]] == [
        actions.Delay,
        actions.Broken,
        actions.Reply,
    ]
    assert found[0].action == delayed(1, 0.5)
    assert found[1].action == hanging(2)
    assert found[2].action == throttled("null", 5)
    assert {type(one.action) for one in found} == set(get_args(actions.Action))


def test_the_journal_is_exported(emulator: Emulator, aws: Aws, tmp_path: Path) -> None:
    """As JSON lines, while the server runs, with what a script did."""
    aws.create()
    emulator.faults.add(Rule(reset_after(), operation="PutRecord", first=1))
    with pytest.raises(ConnectionClosedError):
        aws.put(id="1", t=DAY)
    aws.put(id="2", t=DAY)
    data = emulator.credentials_file.parent
    assert journal.export(data, tmp_path / "journal.jsonl") == 2
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").open()]
    told = [(one["identifier"], one["applied"], one["answered"], one["fault"]) for one in lines]
    assert told == [("1", True, False, "reset after"), ("2", True, True, None)]
    assert [one.identifier for one in journal.read(data, after=1)] == ["2"]
