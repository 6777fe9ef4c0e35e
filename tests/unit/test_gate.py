"""Every row of a batch leaves a gate by exactly one door, and the quarantine says why."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import encoding
from penstock.contract import (
    Column,
    ColumnType,
    Expectation,
    Feature,
    FeatureGroup,
    FeatureType,
    Source,
)
from penstock.gate import (
    BAD,
    FILE,
    ORIGIN,
    POSITION,
    PROBLEM,
    Bounds,
    FeatureGate,
    Gated,
    SourceGate,
)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LATEST = datetime(2024, 1, 10, tzinfo=timezone.utc)
OnFail = Literal["drop", "quarantine"]
MIDNIGHT = "2024-01-01T00:00:00Z"
TIMES = [
    *(f"2024-01-0{day}T00:00:00Z" for day in range(1, 6)),
    "2024-01-02T05:30:00+05:30",
    "1969-12-31T23:59:59Z",
    "2024",
    "12:30:00",
    "1700000000000",
    "2024-01-20T00:00:00Z",
    "",
    None,
]
NUMBERS = ["0", "5", "10", "1.5", "9223372036854775808", "x", None]
INSIDE = st.none() | st.sampled_from(range(1, 6)).map(
    lambda day: datetime(2024, 1, day, tzinfo=timezone.utc)
)
BOUNDS = st.builds(Bounds, INSIDE, INSIDE)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "", None]), st.sampled_from(TIMES), st.sampled_from(NUMBERS)
    ),
    max_size=25,
)


def between(column: str, on_fail: OnFail) -> Expectation:
    """0 to 5."""
    arguments = {"min_value": 0, "max_value": 5}
    return Expectation("expect_column_values_to_be_between", column, arguments, on_fail)


def group(*expectations: Expectation) -> FeatureGroup:
    """id, at and a whole number."""
    return FeatureGroup(
        name="g",
        record_identifier="id",
        event_time="at",
        features=(
            Feature("id", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature("n", FeatureType.INTEGRAL),
        ),
        expectations=expectations,
    )


def batch_of(
    rows: list[tuple[Any, ...]], names: tuple[str, ...] = ("id", "at", "n")
) -> pa.RecordBatch:
    """Text columns, file and position."""
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(names))]
    places = pa.array(range(100, 100 + len(rows)), pa.int64())
    files = pa.array(["f.csv"] * len(rows), pa.string())
    return pa.RecordBatch.from_arrays([*columns, files, places], [*names, FILE, POSITION])


def moment(text: str | None) -> datetime | None:
    """The instant a text names, by Python's own parser."""
    if text is None or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", text):
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def door(
    row: tuple[Any, ...], bounds: Bounds, on_fail: OnFail, *, feature: bool
) -> Literal["rows", "bad", "dropped", "outside"]:
    """Where a row must leave; written without the gate's ways of doing it."""
    identifier, time, number = row
    at = moment(time)
    if time is not None and at is None:
        return "bad"
    if feature and (at is None or at > LATEST or not identifier):
        return "bad"
    if number is not None and not (number.isdigit() and int(number) < 2**63):
        return "bad"
    if number is not None and int(number) > 5:
        return "bad" if on_fail == "quarantine" else "dropped"
    early = at is not None and bounds.start is not None and at < bounds.start
    late = at is not None and bounds.end is not None and at >= bounds.end
    return "outside" if early or late else "rows"


def check(gated: Gated, rows: list[tuple[Any, ...]], wanted: list[str]) -> None:
    """The equation, door by door, and which rows are put aside."""
    counted = Counter(wanted)
    assert gated.rows_in == len(rows)
    assert gated.rows_in == (
        gated.rows.num_rows + gated.bad.num_rows + gated.dropped + gated.outside
    )
    assert gated.rows.num_rows == counted["rows"]
    assert (gated.dropped, gated.outside) == (counted["dropped"], counted["outside"])
    places = [100 + n for n, one in enumerate(wanted) if one == "bad"]
    assert gated.bad.column("position").to_pylist() == places
    fit = [100 + n for n, one in enumerate(wanted) if one == "rows"]
    assert [one["position"] for one in gated.rows.column(ORIGIN).to_pylist()] == fit
    keys = gated.bad.column("row_key").to_pylist()
    assert len(set(keys)) == len(keys)


@settings(max_examples=300, deadline=None)
@given(ROWS, BOUNDS, st.sampled_from(["drop", "quarantine"]))
def test_every_row_leaves_the_source_gate_by_one_door(
    rows: list[tuple[Any, ...]], bounds: Bounds, on_fail: OnFail
) -> None:
    """Rows, bad, dropped, outside: as a plain Python reference has it, whatever the batch."""
    source = Source(
        columns=(
            Column("id"),
            Column("at", ColumnType.TIMESTAMP),
            Column("n", ColumnType.LONG),
        ),
        time="at",
        expectations=(between("n", on_fail),),
    )
    gated = SourceGate("s", source, bounds).check(batch_of(rows))
    check(gated, rows, [door(row, bounds, on_fail, feature=False) for row in rows])


@settings(max_examples=300, deadline=None)
@given(ROWS, BOUNDS, st.sampled_from(["drop", "quarantine"]))
def test_every_row_leaves_the_feature_gate_by_one_door(
    rows: list[tuple[Any, ...]], bounds: Bounds, on_fail: OnFail
) -> None:
    """And a row without an event time that can be judged is put aside, never called outside."""
    gated = FeatureGate(group(between("n", on_fail)), bounds, LATEST).check(batch_of(rows))
    check(gated, rows, [door(row, bounds, on_fail, feature=True) for row in rows])


@pytest.mark.shows("3.5")
def test_an_identifier_of_2048_bytes_passes_and_one_more_does_not() -> None:
    """Bytes count, not characters; empty and null are NULL_KEY."""
    names = ["x" * 2048, "x" * 2049, "é" * 1024, "é" * 1024 + "x", "🦜" * 512, "x" * 3072, "", None]
    rows = [(name, MIDNIGHT, "1") for name in names]
    gated = FeatureGate(group(), Bounds(), LATEST).check(batch_of(rows))
    assert gated.rows.column("id").to_pylist() == [names[0], names[2], names[4]]
    found = gated.bad.select(["position", "column", "rule"]).to_pylist()
    wanted = {101: "OVERSIZE", 103: "OVERSIZE", 105: "OVERSIZE", 106: "NULL_KEY", 107: "NULL_KEY"}
    assert found == [{"position": n, "column": "id", "rule": rule} for n, rule in wanted.items()]


@pytest.mark.shows("3.5")
def test_a_record_of_350_kb_passes_and_one_byte_more_does_not() -> None:
    """Names and values count as UTF-8, the larger of the readings; null features do not count."""
    wide = FeatureGroup(
        name="g",
        record_identifier="id",
        event_time="at",
        features=(
            Feature("id", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature("text", FeatureType.STRING),
            Feature("other", FeatureType.STRING),
            Feature("n", FeatureType.FRACTIONAL),
        ),
    )
    room = encoding.MAX_RECORD_BYTES - len("id" + "a" + "at" + MIDNIGHT + "text")
    texts = ["x" * room, "x" * (room + 1), "é" * (room // 2), "é" * (room // 2 + 1)]
    columns = {
        "id": ["a"] * 4,
        "at": [MIDNIGHT] * 4,
        "text": texts,
        "other": pa.nulls(4, pa.string()),
        "n": pa.nulls(4, pa.float64()),
    }
    gate = FeatureGate(wide, Bounds(), LATEST)
    gated = gate.check(pa.RecordBatch.from_pydict(columns))
    assert gated.rows.column("text").to_pylist() == [texts[0], texts[2]]
    assert gated.bad.column("rule").to_pylist() == ["OVERSIZE", "OVERSIZE"]
    columns["n"] = pa.array([1.0] * 4)
    assert gate.check(pa.RecordBatch.from_pydict(columns)).rows.num_rows == 0


def test_the_first_rule_stands_and_all_are_listed() -> None:
    """One row, one entry, however many rules it breaks."""
    gated = FeatureGate(group(), Bounds(), LATEST).check(batch_of([("", "2024", "1.5")]))
    (entry,) = gated.bad.to_pylist()
    assert (entry["column"], entry["rule"]) == ("at", "EVENT_TIME")
    assert json.loads(entry["findings"]) == ["at:EVENT_TIME", "n:TYPE", "id:NULL_KEY"]


def _nasty() -> dict[str, pa.Array]:
    """Values Python or JSON cannot hold as they are."""
    ticks = pa.array([2**62, 1, None], pa.int64())
    return {
        "ns": ticks.view(pa.timestamp("ns", "UTC")),
        "s": ticks.view(pa.timestamp("s", "UTC")),
        "naive": ticks.view(pa.timestamp("ms")),
        "duration": ticks.view(pa.duration("ns")),
        "day": pa.array([2**31 - 1, 1, None], pa.int32()).view(pa.date32()),
        "double": pa.array([float("nan"), float("-inf"), None]),
        "bytes": pa.array([b"\xff", b"", None], pa.binary()),
        "text": pa.array([b"\xff\x00", b"", None], pa.binary()).view(pa.string()),
        "list": pa.array([[2**62], [1], None], pa.list_(pa.int64())).cast(
            pa.list_(pa.timestamp("ns"))
        ),
        "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "words": pa.array(["a", "b", None]).dictionary_encode(),
    }


@pytest.mark.shows("3.5")
@pytest.mark.parametrize("kind", _nasty())
def test_any_value_can_be_put_aside(kind: str) -> None:
    """The payload is JSON whatever the value was, and null where there was none."""
    source = Source(columns=(Column("v", ColumnType.BOOLEAN), Column("k", ColumnType.LONG)))
    batch = pa.RecordBatch.from_arrays([_nasty()[kind], pa.array(["x"] * 3)], ["v", "k"])
    gated = SourceGate("s", source, Bounds()).check(batch)
    payloads = [_strict(one) for one in gated.bad.column("payload").to_pylist()]
    assert [sorted(one) for one in payloads] == [["k", "v"]] * 3
    assert [one["v"] is None for one in payloads] == [False, False, True]


def _strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_bytes_that_are_no_text_can_be_had_back() -> None:
    """From the payload's escapes, byte for byte."""
    raw = b"caf\xe9 \xed\xa0\x80"
    column = pa.array([raw], pa.binary()).view(pa.string())
    gated = SourceGate("s", Source(columns=(Column("v"),)), Bounds()).check(
        pa.RecordBatch.from_arrays([column], ["v"])
    )
    (entry,) = gated.bad.to_pylist()
    assert entry["rule"] == "ENCODING"
    assert json.loads(entry["payload"])["v"].encode("utf-8", "surrogateescape") == raw


def test_a_key_does_not_depend_on_the_zone_of_a_session() -> None:
    """Spark hands instants over in the session's zone: the same row must have the same key."""
    source = Source(columns=(Column("t", ColumnType.LONG),))

    def key(zone: str) -> Any:
        column = pa.array([1_700_000_000_000_000]).view(pa.timestamp("us", zone))
        batch = pa.RecordBatch.from_arrays(
            [column, pa.array(["f"]), pa.array([0])], ["t", FILE, POSITION]
        )
        return SourceGate("s", source, Bounds()).check(batch).bad.column("row_key").to_pylist()

    assert key("UTC") == key("Asia/Kolkata") == key("America/Los_Angeles")


def test_a_row_that_does_not_parse_is_kept_as_it_was() -> None:
    """Its text is the payload, SHAPE the rule; its other columns are no reason."""
    names = ("k", PROBLEM)
    batch = batch_of([(None, "1;2;3\n"), ("1", None)], names)
    source = Source(columns=(Column("k", ColumnType.LONG),))
    gated = SourceGate("s", source, Bounds()).check(batch)
    (entry,) = gated.bad.to_pylist()
    assert (entry["column"], entry["rule"], entry["position"]) == (None, "SHAPE", 100)
    assert json.loads(entry["payload"]) == {PROBLEM: "1;2;3\n"}
    assert gated.rows.column("k").to_pylist() == [1]
    assert gated.bad.schema.equals(BAD)


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**12), 10**12), st.sampled_from([0, 9]), st.booleans())
def test_windows_meet_without_gap_or_overlap(border: int, digits: Any, text: bool) -> None:
    """Around any border, before and after 1970, each event is in exactly one of two windows."""
    border = border % (54 * 365 * 86_400 * 10**6)
    edge = EPOCH + timedelta(microseconds=border // 10**6 * 10**6)
    moments = [edge + timedelta(microseconds=n) for n in (-(10**6), -1, 0, 1, 10**6)]
    stamps = pa.array(moments, pa.timestamp("us", "UTC"))
    kind = FeatureType.STRING if text else FeatureType.FRACTIONAL
    values = encoding.event_time(stamps, kind, digits, LATEST).values
    before = Bounds(None, edge).contains_event_time(values, kind, digits).to_pylist()
    after = Bounds(edge, None).contains_event_time(values, kind, digits).to_pylist()
    assert before == [True, True, False, False, False]
    assert after == [not one for one in before]
    assert Bounds(None, edge).contains(stamps).to_pylist() == before
