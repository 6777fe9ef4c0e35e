"""Events become raw rows: each one once, with topic, partition and offset; digits are kept."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.aside import EVENT
from penstock.contract import Column, ColumnType, Source
from penstock.gate import FILE, POSITION, PROBLEM
from penstock.streaming.messages import Messages, messages_of
from tests.events import Event, batch_of

COLUMNS = (Column("id"), Column("n", ColumnType.LONG), Column("note"))
SOURCE = Source(columns=COLUMNS, null_texts=())
PLAIN = messages_of(SOURCE, {})


def rows_of(messages: Messages, *events: Event, headers: bool = False) -> list[dict[str, Any]]:
    """What the source gate is given."""
    found = messages.rows(batch_of(*events, headers=headers))
    return [row for batch in found for row in batch.to_pylist()]


def values_of(messages: Messages, *events: Event, headers: bool = False) -> list[Any]:
    """The declared columns of each row; None where the row could not be read."""
    return [
        tuple(row[name] for name in messages.columns) if row[PROBLEM] is None else None
        for row in rows_of(messages, *events, headers=headers)
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"n": 12345678901234567890123}', "12345678901234567890123"),
        (b'{"n": 0.10}', "0.10"),
        (b'{"n": 1E400}', "1E400"),
        (b'{"n": -0}', "-0"),
        (b'{"n": NaN}', "NaN"),
        (b'{"n": true}', "true"),
        (b'{"n": false}', "false"),
        (b'{"n": null}', None),
        (b"{}", None),
        (b'{"n": ""}', ""),
        (b'{"n": "\\u00e9 \\ud83e\\udd9c"}', "é 🦜"),
        (b' \r\n{"other": {"nested": [1]}, "n": "5"}\n', "5"),
        (b'{"n": "%s"}' % (b"x" * 1_000_000), "x" * 1_000_000),
    ],
)
def test_a_value_is_the_text_it_was_written_as(value: bytes, text: str | None) -> None:
    """Numbers keep their digits; a nested value is no problem where nobody declared it."""
    assert values_of(PLAIN, Event(0, value)) == [(None, text, None)]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"nonsense",
        b'{"n": 1',
        b'{"n": 1} {"n": 2}',
        b"[1, 2]",
        b'[{"n": 1}]',
        b"7",
        b'"text"',
        b"null",
        b'{"n": [1]}',
        b'{"n": {"deep": 1}}',
        b'{"n": 1, "n": 2}',
        b'\xef\xbb\xbf{"n": 1}',
        b'{"n": 1}\x00',
        b"\xff\xfe",
        b"[" * 100_000,
        b"x" * 1_000_000,
    ],
)
def test_what_is_no_flat_object_is_a_problem_with_its_bytes(value: bytes) -> None:
    """The event is not lost: its value stands where the gate finds it, byte for byte."""
    (batch,) = PLAIN.rows(batch_of(Event(41, value, partition=3)))
    kept = batch.column(PROBLEM).cast(pa.binary()).to_pylist()
    assert kept == [value]
    assert batch.drop_columns([PROBLEM, EVENT]).to_pylist() == [
        {"id": None, "n": None, "note": None, FILE: "kafka:flights/3", POSITION: 41}
    ]


def test_bytes_that_are_no_text_stay_no_text() -> None:
    """Within a string they are left to the gate, which puts the row aside; others are not hurt."""
    events = [
        Event(0, b'{"id": "caf\xe9"}'),
        Event(1, {"id": "café"}),
        Event(2, b'{"id":"\\ud800"}'),
    ]
    (batch,) = PLAIN.rows(batch_of(*events))
    raw = batch.column("id").cast(pa.binary()).to_pylist()
    assert raw[1] == "café".encode()
    for one in (raw[0], raw[2]):
        with pytest.raises(UnicodeDecodeError):
            one.decode()
    assert batch.column(PROBLEM).null_count == 3


def test_texts_that_mean_null_do_so() -> None:
    """In the value, and where the key stands in for it."""
    source = Source(columns=COLUMNS, null_texts=("NA", "-"))
    messages = messages_of(source, {"note": "key"})
    found = values_of(messages, Event(0, {"id": "NA", "n": "-"}, key=b"NA"), Event(1, {"id": "N"}))
    assert found == [(None, None, None), ("N", None, "k")]


ENVELOPE = {"id": "key", "at": "timestamp", "topic": "topic", "gone": "deleted", "who": "header:by"}
MAPPED = Messages(("id", "at", "topic", "gone", "who"), (), ENVELOPE)
HEADERS = (("by", b"first"), ("by", b"last"), ("other", b"x"))


def test_the_envelope_fills_what_the_value_lacks() -> None:
    """Of two headers of a name the last one counts; the instant is in UTC."""
    zone = timezone(timedelta(hours=5, minutes=30))
    event = Event(0, {}, key=b"7", at=datetime(2024, 5, 1, 17, 30, tzinfo=zone), headers=HEADERS)
    (found,) = values_of(MAPPED, event, headers=True)
    assert found == ("7", "2024-05-01T12:00:00Z", "flights", "false", "last")


def test_the_value_comes_before_the_envelope() -> None:
    """Also where it is empty text, zero or false."""
    value = {"id": "", "at": 0, "topic": "t", "gone": False, "who": "me"}
    (found,) = values_of(MAPPED, Event(0, value, headers=HEADERS), headers=True)
    assert found == ("", "0", "t", "false", "me")


def test_an_envelope_that_has_nothing_gives_null() -> None:
    """No key, no header of the name, a header without a value, headers that nobody read."""
    nothing = [
        Event(0, {}, key=None),
        Event(1, {}, key=None, headers=(("by", None),)),
        Event(2, {}, key=None, headers=(("else", b"x"),)),
    ]
    found = values_of(MAPPED, *nothing, headers=True) + values_of(MAPPED, nothing[0])
    assert [(one[0], one[4]) for one in found] == [(None, None)] * 4


def test_a_tombstone_deletes_where_the_contract_says_how() -> None:
    """The key says whose; without a mapping of ``deleted`` it is a row that cannot be read."""
    (found,) = values_of(MAPPED, Event(5, None, key=b"7"))
    assert found == ("7", "2024-05-01T12:00:00.250000Z", "flights", "true", None)
    keyed = messages_of(SOURCE, {"id": "key"})
    (row,) = rows_of(keyed, Event(5, None, key=b"7"))
    assert (row["id"], row[PROBLEM], row[POSITION]) == (None, "null", 5)


def test_a_value_that_cannot_be_read_is_not_filled_up() -> None:
    """The envelope alone would make a row nobody sent."""
    (row,) = rows_of(MAPPED, Event(0, b"nonsense"))
    assert [row[name] for name in MAPPED.columns] == [None] * 5
    assert row[PROBLEM] == "nonsense"


def test_a_key_that_is_no_text_does_not_stop_the_batch() -> None:
    """Keys are often binary."""
    (batch,) = MAPPED.rows(batch_of(Event(0, {}, key=b"\xff\x00\x01"), Event(1, {}, key=b"ok")))
    raw = batch.column("id").cast(pa.binary()).to_pylist()
    assert raw[1] == b"ok"
    with pytest.raises(UnicodeDecodeError):
        raw[0].decode()


VALUES = (
    st.none()
    | st.binary(max_size=12)
    | st.dictionaries(
        st.sampled_from(["id", "n", "note", "else"]),
        st.none() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=1),
    )
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 2), VALUES, st.none() | st.binary()),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.booleans(), st.integers(1, 50))
def test_no_event_is_lost_and_none_made(
    some: list[tuple[str, int, Any, bytes | None]], deletes: bool, size: int
) -> None:
    """Topics and partitions interleaved, batches cut anywhere: the same places in the same order.

    A row that can be read has the value's texts; one that cannot has its bytes.
    """
    events = [Event(n, v, key, topic, part) for n, (topic, part, v, key) in enumerate(some)]
    messages = messages_of(SOURCE, {"note": "deleted"} if deletes else {})
    rows = [
        row
        for start in range(0, len(events), size)
        for batch in messages.rows(batch_of(*events[start : start + size]))
        for row in _raw(batch).to_pylist()
    ]
    places = [(row[FILE].decode(), row[POSITION]) for row in rows]
    assert places == [(f"kafka:{one.topic}/{one.partition}", one.offset) for one in events]
    for event, row in zip(events, rows, strict=True):
        if row[PROBLEM] is not None:
            assert row[PROBLEM] == (b"null" if event.raw is None else event.raw)
        elif event.raw is None:
            assert deletes
            assert (row["id"], row["n"], row["note"]) == (None, None, b"true")
        else:
            assert row["n"] == _text(json.loads(event.raw).get("n"))


def _raw(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Texts as their bytes."""
    kinds = [pa.binary() if pa.types.is_string(one.type) else one.type for one in batch.schema]
    return batch.cast(pa.schema(list(zip(batch.schema.names, kinds, strict=True))))


def _text(value: Any) -> bytes | None:
    return None if value is None else str(value).encode()
