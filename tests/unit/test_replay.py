"""Rows as events, when they are due, and how they are handed over: without Kafka and Kinesis."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Location, Settings
from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.errors import ContractError, DataGateError, PenstockError, TemporaryError, UsageError
from penstock.replay.avro import encoder
from penstock.replay.events import Event, Form
from penstock.replay.kinesis import GIVEN_UP_S, WAITING, KinesisSink
from penstock.replay.pacing import Pace
from penstock.replay.sending import STOPPED_S, Sent, Surroundings, replay
from penstock.replay.supply import Declared, Rows, Supply, declared, rows
from penstock.replay.target import KafkaTarget, KinesisTarget, target

_NOTHING = Declared()
KEYS = st.one_of(st.none(), st.sampled_from([b"a", b"b", b"c", b""]))


@dataclass
class Time:
    """A clock that moves when somebody sleeps."""

    now: float = 100.0

    def __call__(self) -> float:
        """Its reading."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let it move."""
        assert seconds > 0.0
        self.now += seconds


@dataclass
class Taken:
    """A sink that notes what it gets and when; it has room for so many between two looks."""

    clock: Callable[[], float] = float
    room: int = 10**9
    events: list[tuple[float, Event]] = field(default_factory=list)
    waiting: list[tuple[float, Event]] = field(default_factory=list)
    failure: PenstockError | None = None
    dead: bool = False

    @property
    def sent(self) -> int:
        """Those it was served."""
        return len(self.events)

    @property
    def pending(self) -> int:
        """Those it was not served yet."""
        return len(self.waiting)

    def send(self, event: Event) -> bool:
        """Take one while there is room."""
        if len(self.waiting) >= self.room:
            return False
        self.waiting.append((self.clock(), event))
        return True

    def serve(self) -> float:
        """All that waits has arrived, unless the other side is dead."""
        if self.dead or not self.waiting:
            return 0.01
        self.events += self.waiting
        self.waiting.clear()
        return 0.0


def _sent(events: Iterable[Event], pace: Pace, sink: Taken, time: Time, **more: Any) -> Sent:
    return replay(events, pace, sink, Surroundings(time, time.sleep, **more))


def _at(*moments: float) -> list[Event]:
    return [Event(None, str(n).encode(), at) for n, at in enumerate(moments)]


@given(
    st.floats(0.001, 1e6),
    st.lists(st.floats(0, 1e9), min_size=1).map(sorted),
    st.one_of(st.none(), st.floats(0.001, 1e6)),
)
def test_nothing_is_due_before_its_time_or_faster_than_the_rate(
    speed: float, since: list[float], rate: float | None
) -> None:
    """And never before what went before it."""
    pace = Pace(speed, rate)
    due = [pace.due(n, one) for n, one in enumerate(since)]
    assert due == sorted(due)
    for n, (one, at) in enumerate(zip(due, since, strict=True)):
        assert one >= at / speed
        assert rate is None or one >= n / rate
        assert one in (at / speed, 0.0 if rate is None else n / rate)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(value: float) -> None:
    """So is such a rate."""
    for pace in ({"speed": value}, {"rate": value}):
        with pytest.raises(UsageError, match="a number above 0"):
            Pace(**pace)


def test_events_are_spaced_as_their_times_are() -> None:
    """Two hours at 3,600 times their speed are two seconds."""
    time = Time()
    sink = Taken(time)
    ended = _sent(_at(7200.0, 7200.0, 10800.0, 14400.0), Pace(3600.0), sink, time)
    assert [round(when - 100.0, 6) for when, _ in sink.events] == [0.0, 0.0, 1.0, 2.0]
    assert [event.value for _, event in sink.events] == [b"0", b"1", b"2", b"3"]
    assert ended == Sent(4, 0, ended.seconds, stopped=False, failure=None)


def test_a_rate_holds_without_a_time() -> None:
    """The n-th is not sent before n / rate."""
    time = Time()
    sink = Taken(time)
    _sent([Event(None, b"x")] * 5, Pace(rate=4.0), sink, time)
    assert [round(when - 100.0, 6) for when, _ in sink.events] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_full_sink_is_served_and_nothing_is_lost() -> None:
    """What was not taken is handed in again, in order."""
    sink, time = Taken(room=3), Time()
    assert _sent(_at(*[0.0] * 20), Pace(), sink, time).sent == 20
    assert [event.value for _, event in sink.events] == [str(n).encode() for n in range(20)]


def test_a_stop_ends_the_wait_and_waits_for_what_is_on_its_way() -> None:
    """Not longer than it promises, where nobody answers any more."""
    time = Time()
    for dead, seconds, sent in ((False, 0.0, 1), (True, STOPPED_S, 0)):
        sink, began = Taken(time, dead=dead), time.now
        ended = _sent(
            _at(0.0, 1e6), Pace(1.0), sink, time, stopped=lambda b=began: time.now > b + 3.0
        )
        assert ended.stopped
        assert (ended.sent, ended.failed) == (sent, 1 - sent)
        assert seconds + 3.0 <= time.now - began < seconds + 3.2


def test_an_event_that_was_taken_counts_whenever_the_stop_comes() -> None:
    """Also between its sending and the next look."""
    for looks in range(30):
        time, asked = Time(), iter([False] * looks)
        sink = Taken(time, room=1)
        ended = _sent(_at(*[0.0] * 9), Pace(), sink, time, stopped=lambda a=asked: next(a, True))
        assert (ended.sent, ended.failed) == (len(sink.events), 0)


def test_a_failure_ends_it_at_once() -> None:
    """The rest is not even looked at."""
    sink, time = Taken(room=2, dead=True), Time()

    def events() -> Iterable[Event]:
        yield from _at(0.0, 0.0)
        sink.failure = TemporaryError("gone")
        yield from _at(0.0)
        raise AssertionError("it goes on")

    ended = _sent(events(), Pace(), sink, time)
    assert (ended.sent, ended.failed) == (0, 2)
    assert ended.failure is sink.failure


def test_somebody_hears_of_it_now_and_then() -> None:
    """Every five seconds, how many have arrived."""
    told: list[int] = []
    time = Time()
    _sent([Event(None, b"x")] * 21, Pace(rate=1.0), Taken(time), time, told=told.append)
    assert told == [5, 10, 15, 20]


def test_what_was_read_before_a_broken_file_arrives() -> None:
    """And the file is the reason why it ended."""
    sink, time = Taken(), Time()

    def events() -> Iterable[Event]:
        yield from _at(0.0, 0.0)
        raise DataGateError("truncated")

    ended = _sent(events(), Pace(), sink, time)
    assert (ended.sent, ended.failed, str(ended.failure)) == (2, 0, "truncated")


def _file(tmp_path: Path, name: str, data: bytes | None = None, **more: Any) -> Callable[..., Rows]:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    location = Location(format=more.pop("form", "csv"), path=name, **more)
    settings = Settings(project="p", lake="l", state="s", sources={"s": location})
    return lambda known=_NOTHING: rows(settings, tmp_path, "s", known)


def test_values_are_the_text_of_the_file(tmp_path: Path) -> None:
    """All columns, numbers with their digits, bytes that are no UTF-8; declared texts are null."""
    text = b'id,n,"a ""b""",t\n007,1.50,\xff\xe9,NA\n"x,y",,"l1\nl2",\xc3\xa9\n'
    found = _file(tmp_path, "f.csv", text)(Declared(null_texts=("NA",)))
    supply = Supply(found.batches(), Form(("id",)))
    first, second = supply
    assert first.value == b'{"id":"007","n":"1.50","a \\"b\\"":"\xff\xe9","t":null}'
    assert (first.key, second.key, first.at) == (b"007", b"x,y", None)
    assert json.loads(second.value) == {"id": "x,y", "n": "", 'a "b"': "l1\nl2", "t": "é"}
    assert supply.skipped == 0


def test_rows_that_cannot_be_read_are_counted_and_left_out(tmp_path: Path) -> None:
    """Those without a time only where time counts."""
    text = b"id,t\n1,2024-01-01T00:00:02Z\n2\n3,soon\n"
    text += b"4,2024-01-01T00:00:01Z\n5,2024-01-01T01:00:01+01:00\n"
    found = _file(tmp_path, "f.csv", text)()
    supply = Supply(found.batches(), Form(("id",)))
    assert [one.key for one in supply] == [b"1", b"3", b"4", b"5"]
    assert supply.skipped == 1
    supply = Supply(found.batches(), Form(("id",), "t"))
    assert [one.key for one in supply.by_time()] == [b"4", b"5", b"1"]
    assert supply.skipped == 2
    assert [one.key for one in Supply(found.batches(), Form(("id",), "t"), 2)] == [b"1", b"4"]


def test_too_much_to_sort_is_said() -> None:
    """Before memory is full."""
    batch = pa.record_batch({"t": ["2024-01-01T00:00:00Z"] * 100})
    supply = Supply([batch], Form((), "t"))
    with pytest.raises(UsageError, match=r"too many to sort by time\. Use --speed max"):
        supply.by_time(1_000)
    assert len(supply.by_time(10_000)) == 100


def test_parquet_values_are_those_of_json(tmp_path: Path) -> None:
    """Instants in UTC, whatever their zone; what has no text is left out and said."""
    at = datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=timezone.utc)
    table = pa.table(
        {
            "n": pa.array([1, None], pa.int64()),
            "x": pa.array([0.5, float("nan")]),
            "b": [True, False],
            "t": pa.array([at, None], pa.timestamp("us", "America/New_York")),
            "d": pa.array([at.date(), None]),
            "l": [[1], []],
        }
    )
    pq.write_table(table, tmp_path / "f.parquet")
    found = _file(tmp_path, "f.parquet", form="parquet")()
    supply = Supply(found.batches(), Form(("n", "d")))
    (event,) = supply
    assert found.left_out == ("l",)
    assert supply.skipped == 1  # NaN is no JSON
    assert json.loads(event.value) == {
        "n": 1,
        "x": 0.5,
        "b": True,
        "t": "2024-01-02T03:04:05.000678Z",
        "d": "2024-01-02",
    }
    assert event.key == b"1|2024-01-02"


def test_json_lines_have_the_columns_that_are_declared_or_else_all(tmp_path: Path) -> None:
    """An absent key is null."""
    text = b'{"b": 1.50, "a": "x"}\n{"c": true}\n'
    found = _file(tmp_path, "f.json", text, form="json")
    both = [json.loads(one.value) for one in Supply(found().batches(), Form())]
    assert both == [{"a": "x", "b": "1.50", "c": None}, {"a": None, "b": None, "c": "true"}]
    known = Declared(("b", "a"))
    first, _ = Supply(found(known).batches(), Form())
    assert first.value == b'{"b":"1.50","a":"x"}'


_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "row",
    "fields": [
        {"name": "n", "type": ["null", "int"]},
        {"name": "x", "type": "double"},
        {"name": "b", "type": "boolean"},
        {"name": "d", "type": {"type": "int", "logicalType": "date"}},
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "s", "type": "string"},
    ],
}


def _encoder(tmp_path: Path, schema: Any, names: str = "nxbdtsz") -> Any:
    (tmp_path / "row.avsc").write_text(json.dumps(schema), encoding="utf-8")
    return encoder(tmp_path / "row.avsc", list(names))


def test_avro_is_what_the_schema_says_of_the_text(tmp_path: Path) -> None:
    """Columns it does not name are left out; a reader with the schema has the values."""
    row = {"n": "-7", "x": "1.50", "b": "true", "d": "2024-02-29", "s": "é", "z": "out"}
    row["t"] = "2024-02-29T01:00:00.000001+01:00"
    encode = _encoder(tmp_path, _SCHEMA)
    found = fastavro.schemaless_reader(io.BytesIO(encode(row)), _SCHEMA, None)
    assert found == {
        "n": -7,
        "x": 1.5,
        "b": True,
        "d": date(2024, 2, 29),
        "t": datetime(2024, 2, 29, 0, 0, 0, 1, tzinfo=timezone.utc),
        "s": "é",
    }
    read = fastavro.schemaless_reader(io.BytesIO(encode(row | {"n": None})), _SCHEMA, None)
    assert isinstance(read, dict)
    assert read["n"] is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("n", one) for one in ("1.0", "x", str(2**31), "", "١")),
        *(("x", one) for one in ("x", "1_0", " 1", None)),
        ("b", "yes"),
        ("d", "2024-02-30"),
        ("t", "2024-02-29T01:00:00"),
        ("s", "\udcff"),
        ("s", None),
    ],
)
def test_a_row_that_the_schema_does_not_fit_is_left_out(
    tmp_path: Path, name: str, text: str | None
) -> None:
    """Not guessed over, and not the end."""
    row = {"n": "1", "x": "1", "b": "false", "d": "2024-01-01", "t": "2024-01-01T00:00:00Z"}
    form = Form(encode=_encoder(tmp_path, _SCHEMA))
    good = {one: [value] for one, value in (row | {"s": "a"}).items()}
    (event,) = Supply([pa.record_batch(good)], form)
    assert event.value
    value = None if text is None else text.encode("utf-8", "surrogateescape")
    bad = good | {name: pa.array([value], pa.binary()).view(pa.string())}
    supply = Supply([pa.record_batch(bad)], form)
    assert list(supply) == []
    assert supply.skipped == 1


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("string", "it is no record"),
        ({"type": "record", "name": "r", "fields": []}, "it has no field"),
        ({"type": "nothing"}, "is no Avro schema"),
        (_SCHEMA | {"fields": [{"name": "q", "type": "int"}]}, "no column 'q'"),
        (
            _SCHEMA | {"fields": [{"name": "n", "type": {"type": "array", "items": "int"}}]},
            "a field of type array cannot be filled",
        ),
        (_SCHEMA | {"fields": [{"name": "n", "type": ["int", "string"]}]}, "null and one other"),
    ],
)
def test_a_schema_that_is_none_of_a_row_is_refused(tmp_path: Path, schema: Any, said: str) -> None:
    """In one line, before anything is sent."""
    with pytest.raises(UsageError, match=said):
        _encoder(tmp_path, schema)


def test_a_csv_without_a_header_needs_a_pipeline(tmp_path: Path) -> None:
    """Its columns have the declared names."""
    found = _file(tmp_path, "f.csv", b"1,2\n", header=False)
    with pytest.raises(UsageError, match="no pipeline declares its columns"):
        found()
    (event,) = Supply(found(Declared(("x", "y"))).batches(), Form())
    assert event.value == b'{"x":"1","y":"2"}'


def test_a_wrong_name_is_said_before_anything_is_read(tmp_path: Path) -> None:
    """Of a source, of a column, of a file."""
    found = _file(tmp_path, "f.csv", b"a,b\n1,2\n")()
    for form in (Form(("c",)), Form((), "c")):
        with pytest.raises(UsageError, match=r"no column 'c'\. It has: a, b"):
            form.check(found.names)
    settings = Settings(
        project="p", lake="l", state="s", sources={"d": Location(format="delta", path="x")}
    )
    with pytest.raises(UsageError, match=r"there is no source 'x' in conf\. There are: d"):
        rows(settings, tmp_path, "x", Declared())
    with pytest.raises(UsageError, match="Only files can be replayed"):
        rows(settings, tmp_path, "d", Declared())


def _pipeline(name: str, source: Source) -> Pipeline:
    features = tuple(Feature(one, FeatureType.STRING) for one in ("id", "t"))
    return Pipeline(FeatureGroup(name, "id", "t", features), {"s": source})


def test_what_all_pipelines_say_of_a_source_counts() -> None:
    """Columns together, the one time; texts that mean null must be the same."""
    moment = Column("t", ColumnType.TIMESTAMP)
    first = _pipeline("a", Source((Column("id"), moment), ("NA",)))
    second = _pipeline("b", Source((Column("x"), moment), ("NA",), time="t"))
    assert declared("s", [first, second]) == Declared(("id", "t", "x"), ("NA",), "t")
    assert declared("other", [first, second]) == Declared()
    with pytest.raises(ContractError, match="differ in null_texts"):
        declared("s", [first, _pipeline("c", Source((Column("id"),)))])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("kafka://127.0.0.1:9092/flights", KafkaTarget("127.0.0.1:9092", "flights")),
        ("kafka://a:1,b:2/x.y_z-1", KafkaTarget("a:1,b:2", "x.y_z-1")),
        ("kinesis://flights", KinesisTarget("flights")),
    ],
)
def test_a_target_is_a_url(text: str, wanted: object) -> None:
    """Of two kinds."""
    assert target(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "flights", "kafka://a/flights", "kafka://a:1", "kafka://u:p@a:1/t", "kinesis://a/b"],
)
def test_anything_else_is_refused(text: str) -> None:
    """With what to write."""
    with pytest.raises(UsageError, match="Write kafka://HOST:PORT/TOPIC or kinesis://STREAM"):
        target(text)


@dataclass
class Stream:
    """Kinesis as its API reference has it: accepts some entries of a request, in any order."""

    refuse: Callable[[int, str], bool]  # number of the request and partition key
    requests: int = 0
    taken: list[tuple[str, bytes]] = field(default_factory=list)

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - AWS's names
        """Answers one by one."""
        assert StreamName == "s"
        assert 0 < len(Records) <= 500
        self.requests += 1
        told: list[dict[str, str]] = []
        for one in reversed(Records):
            key = one["PartitionKey"]
            assert 0 < len(key) <= 256
            if self.refuse(self.requests, key):
                told.append({"ErrorCode": "ProvisionedThroughputExceededException"})
            else:
                self.taken.append((key, one["Data"]))
                told.append({"SequenceNumber": "1"})
        told.reverse()
        return {"FailedRecordCount": len(told), "Records": told}


def _kinesis(stream: Any, time: Time) -> KinesisSink:
    return KinesisSink(stream, KinesisTarget("s"), time, random=lambda: 0.5)


@given(st.lists(KEYS, max_size=60), st.data())
def test_kinesis_gets_everything_and_each_key_in_order(
    keys: list[bytes | None], data: st.DataObject
) -> None:
    """Whatever is refused, as long as something is accepted one day."""
    refused = data.draw(st.lists(st.sets(st.sampled_from("abc")), max_size=10))
    stream = Stream(lambda n, key: n <= len(refused) and key in refused[n - 1])
    time = Time()
    events = [Event(key, str(n).encode()) for n, key in enumerate(keys)]
    ended = replay(events, Pace(), _kinesis(stream, time), Surroundings(time, time.sleep))
    assert (ended.sent, ended.failed, ended.failure) == (len(events), 0, None)
    assert sorted(value for _, value in stream.taken) == sorted(one.value for one in events)
    for key in ("a", "b", "c"):
        numbers = [int(value) for one, value in stream.taken if one == key]
        assert numbers == sorted(numbers)


def test_kinesis_is_asked_in_full_requests_and_not_again_at_once() -> None:
    """500 entries each; after a refusal it waits, longer each time."""
    asked: list[float] = []
    time = Time()

    def refuse(request: int, _key: str) -> bool:
        asked.append(time.now)
        return request <= 3

    stream = Stream(refuse)
    events = [Event(str(n).encode(), b"x") for n in range(WAITING)]
    ended = replay(events, Pace(), _kinesis(stream, time), Surroundings(time, time.sleep))
    assert ended.sent == WAITING
    assert stream.requests == 5
    moments = sorted(set(asked))
    waits = [round(b - a, 3) for a, b in pairwise(moments)]
    assert waits == [0.037, 0.075, 0.15]


def test_a_small_event_does_not_overtake_a_large_one_of_its_key() -> None:
    """One that has no room in a request keeps those behind it waiting; larger ones go alone."""
    stream, time = Stream(lambda _n, _key: False), Time()
    sizes = [(b"b", 4 << 20), (b"a", 3 << 20), (b"a", 1), (b"c", 6 << 20), (b"c", 2)]
    events = [Event(key, b"x" * size) for key, size in sizes]
    replay(events, Pace(), _kinesis(stream, time), Surroundings(time, time.sleep))
    assert [len(value) for key, value in stream.taken if key == "a"] == [3 << 20, 1]
    assert [len(value) for key, value in stream.taken if key == "c"] == [6 << 20, 2]
    assert stream.requests == 5


def test_kinesis_that_takes_nothing_is_given_up() -> None:
    """With one line that says for how long."""
    time = Time()
    stream = Stream(lambda _n, _key: True)
    sink = _kinesis(stream, time)
    ended = replay(_at(0.0), Pace(), sink, Surroundings(time, time.sleep))
    assert isinstance(ended.failure, TemporaryError)
    assert "accepted nothing for 120 s" in str(ended.failure)
    assert (ended.sent, ended.failed) == (0, 1)
    assert GIVEN_UP_S <= ended.seconds < GIVEN_UP_S + 2.0


def test_what_kinesis_says_for_good_ends_it() -> None:
    """A stream that is not there is a wrong word, not a reason to wait."""

    class Absent:
        def put_records(self, **_all: Any) -> dict[str, Any]:
            told = {"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}
            raise ClientError(told, "PutRecords")  # type: ignore[arg-type]  # a part of an answer

    time = Time()
    ended = replay(_at(0.0), Pace(), _kinesis(Absent(), time), Surroundings(time, time.sleep))
    assert isinstance(ended.failure, UsageError)
    assert "there is no Kinesis stream 's'" in str(ended.failure)


def test_a_key_that_is_too_long_for_kinesis_goes_by_its_hash() -> None:
    """The same for all its events."""
    time = Time()
    stream = Stream(lambda _n, _key: False)
    events = [Event(b"k" * 300, b"1"), Event(b"k" * 300, b"2"), Event(b"k" * 301, b"3")]
    replay(events, Pace(), _kinesis(stream, time), Surroundings(time, time.sleep))
    found = {value: key for key, value in stream.taken}
    assert found[b"1"] == found[b"2"] != found[b"3"]
