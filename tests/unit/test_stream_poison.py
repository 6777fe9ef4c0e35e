"""Each kind of poison ends in the quarantine with its topic, partition and offset, once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from penstock.aside import event_of
from penstock.contract import Column, ColumnType, Feature, FeatureGroup, FeatureType, Source
from penstock.encoding.instants import micros_of
from penstock.gate import BAD, Bounds, FeatureGate, SourceGate
from penstock.streaming.messages import Messages, messages_of
from tests.events import AT, Event, batch_of

SOURCE = Source(
    columns=(
        Column("id"),
        Column("at", ColumnType.TIMESTAMP),
        Column("n", ColumnType.LONG),
        Column("x", ColumnType.DOUBLE),
        Column("ok", ColumnType.BOOLEAN),
        Column("note"),
    )
)
GROUP = FeatureGroup(
    name="g",
    record_identifier="id",
    event_time="at",
    features=(
        Feature("id", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("n", FeatureType.INTEGRAL),
        Feature("note", FeatureType.STRING),
    ),
)
MESSAGES = messages_of(SOURCE, {})
NOW = "2024-05-01T12:00:00Z"
FIT = {"id": "a", "at": NOW, "n": 1, "x": 0.5, "ok": True, "note": "fine"}
#: What is wrong, column and rule it is put aside for; in the order of the offsets.
AT_SOURCE: list[tuple[Any, str | None, str]] = [
    (b"nonsense", None, "SHAPE"),
    (b"", None, "SHAPE"),
    (None, None, "SHAPE"),
    (b"x" * 1_000_000, None, "SHAPE"),
    (b'{"id": "a", "id": "b"}', None, "SHAPE"),
    ([FIT], None, "SHAPE"),
    ({**FIT, "note": {"deep": 1}}, None, "SHAPE"),
    (b"\xff\xfe\x00", None, "SHAPE"),
    ({**FIT, "n": 1.5}, "n", "TYPE"),
    ({**FIT, "n": "many"}, "n", "TYPE"),
    ({**FIT, "n": 2**63}, "n", "RANGE"),
    ({**FIT, "x": "much"}, "x", "TYPE"),
    ({**FIT, "ok": "perhaps"}, "ok", "TYPE"),
    ({**FIT, "at": "yesterday"}, "at", "EVENT_TIME"),
    (b'{"note": "caf\xe9"}', "note", "ENCODING"),
]
AT_FEATURES: list[tuple[Any, str | None, str]] = [
    ({**FIT, "id": None}, "id", "NULL_KEY"),
    ({**FIT, "id": ""}, "id", "NULL_KEY"),
    ({**FIT, "id": "x" * 3_000}, "id", "OVERSIZE"),
    ({**FIT, "at": None}, "at", "NULL_KEY"),
    ({**FIT, "at": "2999-01-01T00:00:00Z"}, "at", "FUTURE"),
    ({**FIT, "note": "x" * 1_000_000}, None, "OVERSIZE"),
]
EVERY = [*AT_SOURCE, *AT_FEATURES]
EVENTS = [Event(100 + n, one, partition=n % 3) for n, (one, _, _) in enumerate(EVERY)]


def gated(*events: Event, messages: Messages = MESSAGES) -> tuple[list[Any], list[Any]]:
    """Rows that are fit at both gates, and those put aside, in the order of their offsets."""
    source = SourceGate("flights", SOURCE, Bounds())
    features = FeatureGate(GROUP, Bounds(), AT + timedelta(minutes=5))
    fit, bad = [], []
    for raw in messages.rows(batch_of(*events)):
        first = source.check(raw)
        assert first.rows_in == first.rows.num_rows + first.bad.num_rows
        bad.append(first.bad)
        for typed in first.rows.to_batches():
            second = features.check(typed)
            fit.append(second.rows)
            bad.append(second.bad)
    aside = pa.concat_tables(bad).sort_by("position")
    assert aside.schema.equals(BAD)
    return [row for one in fit for row in one.to_pylist()], aside.to_pylist()


def test_each_poison_is_put_aside_where_it_stands() -> None:
    """Good events between them pass, every one."""
    good = [Event(500 + n, FIT, partition=n % 3) for n in range(len(EVENTS))]
    mixed = [one for pair in zip(EVENTS, good, strict=True) for one in pair]
    fit, bad = gated(*mixed)
    assert [one["_source"]["position"] for one in fit] == [one.offset for one in good]
    assert [(one["file"], one["position"]) for one in bad] == [
        (f"kafka:flights/{one.partition}", one.offset) for one in EVENTS
    ]
    assert [(one["column"], one["rule"]) for one in bad] == [
        (name, rule) for _, name, rule in EVERY
    ]
    stages = ["source"] * len(AT_SOURCE) + ["feature"] * len(AT_FEATURES)
    assert [one["stage"] for one in bad] == stages
    assert len({one["row_key"] for one in bad}) == len(EVERY)


def test_its_key_does_not_depend_on_the_batch() -> None:
    """Read again one by one, backwards, or after a restart: the same entry."""
    _, together = gated(*EVENTS)
    alone = [row for event in EVENTS for row in gated(event)[1]]
    backwards = gated(*reversed(EVENTS))[1]
    keys = [one["row_key"] for one in together]
    assert [one["row_key"] for one in alone] == keys
    assert [one["row_key"] for one in backwards] == keys


@pytest.mark.parametrize(
    "other",
    [Event(101, b"bad"), Event(100, b"bad", partition=1), Event(100, b"bad", topic="b")],
)
def test_the_same_bytes_elsewhere_are_another_entry(other: Event) -> None:
    """Another offset, partition or topic."""
    _, bad = gated(Event(100, b"bad"), other)
    assert len({one["row_key"] for one in bad}) == 2
    assert {json.loads(one["payload"])["_problem"] for one in bad} == {"bad"}


def test_bytes_that_are_no_text_can_be_had_back() -> None:
    """Of a value that is no JSON, from the payload's escapes."""
    raw = b"\xff\x00caf\xe9"
    _, (entry,) = gated(Event(0, raw))
    text = json.loads(entry["payload"])["_problem"]
    assert text.encode("utf-8", "surrogateescape") == raw


def test_an_entry_has_its_event_whole() -> None:
    """Key, value, time, topic and headers, byte for byte, from the entry alone."""
    headers = (("by", b"\xff"), ("by", None), ("é", b""))
    raw = [
        None,
        b"",
        b"\xff\x00caf\xe9",
        b'{"n": "x"}',
        "🦜\ud83e".encode("utf-8", "surrogatepass"),
    ]
    events = [
        Event(n, one, key=key, headers=headers)
        for n, (one, key) in enumerate((one, key) for one in raw for key in (None, b"\x80k"))
    ]
    gate = SourceGate("flights", SOURCE, Bounds())
    rows = [gate.check(one) for one in MESSAGES.rows(batch_of(*events, headers=True))]
    found = [event_of(one) for gated in rows for one in gated.bad.to_pylist()]
    assert [(one["key"], one["value"]) for one in found] == [(one.key, one.raw) for one in events]
    for one in found:
        assert (one["at"], one["topic"]) == (micros_of(AT), "flights")
        assert [(each["key"], each["value"]) for each in one["headers"]] == list(headers)
    _, bad = gated(Event(0, b"{"))
    assert event_of(bad[0])["headers"] is None
