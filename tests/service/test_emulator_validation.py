"""What the embedded AWS accepts as a record: the rules botocore does not check."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from penstock.emulator.records import Feature, Layout, careful, quick
from penstock.emulator.refusal import Refusal
from tests.service.conftest import Aws, record, refusal

DAY = "2024-03-01T00:00:00Z"

ACCEPTED: list[dict[str, str]] = [
    {"whole": "9223372036854775807"},
    {"whole": "-9223372036854775808"},
    {"whole": "007"},
    {"real": "-0.0"},
    {"real": "1e308"},
    {"real": "17"},
    {"text": ""},
    {"text": "x" * 358_000},
    {"id": "é" * 1_024},
    {"t": "2024-02-29T23:59:59.123456789Z"},
    {"t": "2024-02-29T23:59:59.1Z"},
]
REFUSED: list[dict[str, str]] = [
    {"whole": "9223372036854775808"},
    {"whole": "-9223372036854775809"},
    {"whole": "1.5"},
    {"whole": "1.0"},
    {"whole": "1e3"},
    {"whole": ""},
    {"whole": " 1"},
    {"whole": "1_000"},
    {"whole": "٣"},
    {"real": "NaN"},
    {"real": "Infinity"},
    {"real": "-inf"},
    {"real": "1e309"},
    {"real": "0x10"},
    {"real": "1,5"},
    {"real": ""},
    {"real": "1_0.0"},
    {"text": "x" * 358_400},
    {"id": "é" * 1_024 + "x"},
    {"id": ""},
    {"t": "2024-02-30T00:00:00Z"},
    {"t": "2023-02-29T00:00:00Z"},
    {"t": "2024-02-29T24:00:00Z"},
    {"t": "2024-02-29T23:59:60Z"},
    {"t": "2024-02-29T00:00:00"},
    {"t": "2024-02-29T00:00:00+00:00"},
    {"t": "2024-02-29 00:00:00Z"},
    {"t": "2024-02-29T00:00:00.Z"},
    {"t": "2024-02-29T00:00:00.1234567890Z"},
    {"t": "2024-02-29"},
    {"t": "1709164800"},
    {"t": ""},
    {"other": "x"},
    {"is_deleted": "true"},
]


@pytest.fixture(scope="module")
def groups(shared: Aws) -> Aws:
    """Groups g (text event times) and f (numbers)."""
    shared.create("g")
    shared.create("f", event_time="Fractional")
    return shared


@pytest.mark.rule(
    "PutRecord: a record has at most 350 KB",
    "PutRecord: an identifier has at most 2 KB",
)
@pytest.mark.parametrize("change", ACCEPTED, ids=lambda one: str(one)[:40])
def test_accepted(groups: Aws, change: dict[str, str]) -> None:
    """These values are stored and come back."""
    sent = {"id": "ok", "t": DAY} | change
    groups.runtime.delete_record(
        FeatureGroupName="g",
        RecordIdentifierValueAsString=sent["id"],
        EventTime="9999-01-01T00:00:00Z",
        DeletionMode="HardDelete",
    )
    groups.put(**sent)
    assert groups.get(sent["id"]) == sent


@pytest.mark.rule(
    "PutRecord: values have the type of their feature",
    "PutRecord: text event times are ISO 8601 with T and Z",
    "PutRecord: an undefined feature is refused",
    "PutRecord: a record has at most 350 KB",
    "PutRecord: an identifier has at most 2 KB",
)
@pytest.mark.parametrize("change", REFUSED, ids=lambda one: str(one)[:40])
def test_refused(groups: Aws, change: dict[str, str]) -> None:
    """These values are refused: alone with 400, in a batch as the entry's error."""
    sent = {"id": "bad", "t": DAY} | change
    assert refusal(lambda: groups.put(**sent)) == (400, "ValidationError")
    good = {"FeatureGroupName": "g", "Record": record(id="neighbour", t=DAY)}
    bad = {"FeatureGroupName": "g", "Record": record(**sent)}
    answer = groups.runtime.batch_write_record(Entries=[bad, good])
    assert [one["Entry"] for one in answer["Errors"]] == [bad]
    if sent["id"] == "bad":
        assert groups.get("bad") is None
    assert groups.get("neighbour") is not None


@pytest.mark.rule(
    "PutRecord: numeric event times are epoch seconds",
)
@pytest.mark.parametrize("seconds", ["0", "-1.5", "1709164800.123", "1.7e9", "253402300799.9"])
def test_numeric_event_times(groups: Aws, seconds: str) -> None:
    """Fractional event times are epoch seconds of the years 0000 to 9999."""
    groups.put("f", id=seconds, t=seconds)
    assert groups.get(seconds, "f") == {"id": seconds, "t": seconds}


@pytest.mark.rule(
    "PutRecord: numeric event times are epoch seconds",
)
@pytest.mark.parametrize("seconds", ["1709164800123", "NaN", "1e999", DAY, "", "-62167219201"])
def test_wrong_numeric_event_times(groups: Aws, seconds: str) -> None:
    """Milliseconds, text and what is not finite are refused."""
    assert refusal(lambda: groups.put("f", id="1", t=seconds)) == (400, "ValidationError")


@pytest.mark.rule(
    "PutRecord: identifier and event time must be there",
    "PutRecord: a feature given twice is refused",
)
@pytest.mark.parametrize(
    "features",
    [
        record(t=DAY),
        record(id="1"),
        [*record(id="1", t=DAY), *record(text="a"), *record(text="a")],
        [*record(id="1", t=DAY), {"FeatureName": "text"}],
        [*record(id="1", t=DAY), {"FeatureName": "text", "ValueAsStringList": ["a"]}],
        [*record(id="1", t=DAY), {"FeatureName": "bad name", "ValueAsString": "a"}],
    ],
    ids=["no id", "no time", "twice", "no value", "list", "name"],
)
def test_records_that_are_none(groups: Aws, features: list[dict[str, Any]]) -> None:
    """Identifier and event time must be there, each feature once and with one plain value."""
    call = lambda: groups.runtime.put_record(FeatureGroupName="g", Record=features)  # noqa: E731 - reads best
    assert refusal(call) == (400, "ValidationError")


@pytest.mark.rule(
    "all: enums, patterns, lengths and ranges of the model",
    "GetRecord: an undefined FeatureName is refused",
    "DeleteRecord: EventTime has the form of the group's",
)
def test_enums_and_names(groups: Aws) -> None:
    """Enums and name patterns of the model are enforced."""
    runtime, key = groups.runtime, {"RecordIdentifierValueAsString": "1"}
    calls: list[Any] = [
        lambda: groups.put(options={"TargetStores": ["Foo"]}, id="1", t=DAY),
        lambda: groups.put(options={"TtlDuration": {"Unit": "Y", "Value": 1}}, id="1", t=DAY),
        lambda: groups.put(options={"TtlDuration": {"Unit": "Days", "Value": 0}}, id="1", t=DAY),
        lambda: groups.get("1", "bad name!"),
        lambda: groups.get("1", "g" * 200),
        lambda: runtime.get_record(FeatureGroupName="g", **key, FeatureNames=["other"]),
        lambda: runtime.get_record(FeatureGroupName="g", **key, ExpirationTimeResponse="x"),
        lambda: runtime.delete_record(FeatureGroupName="g", **key, EventTime="yesterday"),
        lambda: runtime.delete_record(FeatureGroupName="g", **key, EventTime=DAY, DeletionMode="x"),
        lambda: runtime.list_records(FeatureGroupName="g", MaxResults=101),
    ]
    for call in calls:
        assert refusal(call) == (400, "ValidationError")


def test_messages_hold_no_values(groups: Aws) -> None:
    """A refusal names the feature and never its value."""
    with pytest.raises(groups.runtime.exceptions.ClientError) as caught:
        groups.put(id="1", t=DAY, whole="secret-canary")
    assert "[whole]" in str(caught.value)
    assert "secret-canary" not in str(caught.value)


def test_quick_and_careful_agree() -> None:
    """The fast way takes no record the careful way refuses, and keeps the same text of it."""
    names = ("id", "t", "text", "whole", "real")
    kinds: tuple[Any, ...] = ("String", "String", "String", "Integral", "Fractional")
    features = {n: Feature(n, kind) for n, kind in zip(names, kinds, strict=True)}
    layout = Layout(features, "id", "t")
    rng = random.Random(7)
    values = [
        "1",
        "-0",
        DAY,
        "",
        "x",
        "é",
        "\\ud800",
        "\U0001f600",
        "1e5",
        "nan",
        "9" * 19,
        "\ud800",
    ]
    seen = {"both": 0, "careful alone": 0, "neither": 0}
    for _ in range(20_000):
        chosen = rng.choices([*names, "other"], k=rng.randint(1, 6))
        sent = [{"FeatureName": n, "ValueAsString": rng.choice(values)} for n in chosen]
        if rng.random() < 0.7:
            sent += [one for one in record(id="1", t=DAY) if one["FeatureName"] not in chosen]
        try:
            slow = careful(layout, sent)
        except Refusal:
            slow = None
        fast = quick(layout, sent)
        assert fast is None or fast == slow
        seen["both" if fast else "careful alone" if slow else "neither"] += 1
    assert min(seen.values()) > 100
    assert sum(plan is not None for plan in layout.plans.values()) > 10
    assert json.loads(careful(layout, record(id="1", t=DAY)).body) == {"id": "1", "t": DAY}
