"""A stream brings to both stores what a batch of the same events brings, whatever is among them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.contract import Column, ColumnType, Pipeline, Source
from penstock.emulator.server import Emulator
from penstock.errors import MismatchError, UsageError
from penstock.run.quarantined import Choice, quarantined
from penstock.run.replay import Replayed, replay
from penstock.streaming.reentry import EventReentry
from schemas.flight_status import PIPELINE as FLIGHT_STATUS
from schemas.route_traffic import PIPELINE as ROUTE_TRAFFIC
from tests.avro import SCHEMA, binary, served, wired
from tests.flights import path
from tests.kafka import Broker, started
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE, SOURCE
from tests.streams import Event, Fed, events_of, flights, send

FLIGHTS = 1_500
Row = dict[str, Any]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests of this file; each has topics of its own."""
    with started(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


@pytest.fixture
def batch(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A second laboratory, for what a batch gives."""
    with Emulator(data=tmp_path / "batch-aws", region="us-east-1") as emulator:
        yield replace(lab, emulator=emulator, root=tmp_path / "batch")


def written(rows: list[Row], file: Path) -> Path:
    """Rows as JSON Lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def fed(lab: Lab, pipeline: Pipeline, broker: Broker, topic: str, **conf: Any) -> Fed:
    """A flights pipeline, its topic made."""
    broker.create_topic(topic, partitions=2)
    airports = {"airports": path("airports.csv")} if len(pipeline.sources) > 1 else {}
    named = {"source": "flights"} if airports else {}
    return Fed(lab, pipeline, broker, topic, airports, {**named, **conf})


@pytest.mark.shows("7.1")
@pytest.mark.shows("7.6")
def test_flight_status_equals_the_batch(lab: Lab, batch: Lab, broker: Broker) -> None:
    """Both stores, after two runs of the stream, one of them by Spark's tasks."""
    rows, half = flights(FLIGHTS), FLIGHTS // 2
    wanted = written(rows, batch.root / "flights.json")
    sources = {"flights": {"format": "json", "path": str(wanted)}, "airports": path("airports.csv")}
    batch.ingest(FLIGHT_STATUS, sources)
    stream = fed(lab, FLIGHT_STATUS, broker, "status", kafka={"max_rows": 400})
    send(broker, "status", events_of(rows[:half], "flight"))
    first = stream.run()
    send(broker, "status", events_of(rows[half:], "flight"))
    second = replace(stream, conf={**stream.conf, "small_rows": 0}).run()
    assert (first.figures["events"], second.figures["events"]) == (half, FLIGHTS - half)
    assert first.figures["batches"] > 1
    group = FLIGHT_STATUS.group
    assert lab.features(group) == batch.features(group)
    identifiers = batch.online_identifiers(group)
    assert lab.online_identifiers(group) == identifiers
    some = identifiers[::37]
    assert lab.online(group, *some) == batch.online(group, *some)
    assert lab.table(group)["Name"] == "flight_status"


@pytest.mark.shows("7.1")
@pytest.mark.shows("7.6")
def test_the_last_row_of_each_hour_equals_the_batch(lab: Lab, batch: Lab, broker: Broker) -> None:
    """``route_traffic``: several micro-batches; each update is strictly newer, none is lost."""
    rows = flights(FLIGHTS)
    sources = {
        "flights": {"format": "json", "path": str(written(rows, batch.root / "flights.json"))},
        "airports": path("airports.csv"),
    }
    batch.ingest(ROUTE_TRAFFIC, sources)
    stream = fed(lab, ROUTE_TRAFFIC, broker, "traffic", kafka={"max_rows": 500})
    send(broker, "traffic", events_of(rows, "flight"))
    ended = stream.run()
    assert ended.figures["events"] == FLIGHTS
    group = ROUTE_TRAFFIC.group
    found = lab.features(group)
    last: dict[tuple[str, str], Row] = {}
    for row in found:
        hour = (row["route"], row["window_start"])
        assert hour not in last or row["event_time"] > last[hour]["event_time"]
        last[hour] = row
    assert len(found) > len(last)  # some hours came in more than one batch
    wanted = {(row["route"], row["window_start"]): row for row in batch.features(group)}
    assert last == wanted
    identifiers = batch.online_identifiers(group)
    assert lab.online(group, *identifiers) == batch.online(group, *identifiers)


def test_late_events_and_those_of_a_minute_make_newer_rows(lab: Lab, broker: Broker) -> None:
    """Three events of one hour in three micro-batches: same minute, then an earlier one."""
    stream = fed(lab, ROUTE_TRAFFIC, broker, "late")
    base = {**flights(1)[0], "dep_delay": "0", "arr_delay": "1"}
    for minute, count in (("830", 1), ("830", 2), ("810", 3)):
        send(broker, "late", events_of([{**base, "arr_time": minute}], "flight"))
        assert stream.run().figures["events"] == 1
        rows = lab.features(ROUTE_TRAFFIC.group)
        assert [row["flights"] for row in rows] == list(range(1, count + 1))
    times = [row["event_time"] for row in rows]
    assert times == sorted(set(times))
    online = lab.online(ROUTE_TRAFFIC.group, rows[0]["route"])[rows[0]["route"]]
    assert online is not None
    assert (online["flights"], online["event_time"]) == ("3", times[-1])


def readings(count: int, first: int = 0) -> list[Row]:
    """Rows of sensors that are fit."""
    return [
        {
            "sensor": f"s{n % 50:02d}",
            "at": f"2024-01-{1 + n // 1_000:02d}T{n // 60 % 24:02d}:{n % 60:02d}:00Z",
            "level": n,
            "share": n / 4,
        }
        for n in range(first, first + count)
    ]


def poison() -> list[tuple[str, Event]]:
    """Events that are no rows, each with the rule it breaks."""
    good = readings(1, 900)[0]

    def event(**changed: Any) -> Event:
        return ("p", json.dumps({**good, **changed}).encode(), None)

    return [
        ("SHAPE", ("p", b'{"sensor": "a", ', None)),
        ("SHAPE", ("p", b"\xff\xfe not text", None)),
        ("SHAPE", ("p", None, None)),
        ("SHAPE", ("p", b'["a"]', None)),
        ("TYPE", event(level="many")),
        ("NULL_KEY", event(sensor=None)),
        ("OVERSIZE", event(sensor="x" * 900_000)),
        ("FUTURE", event(at="2999-01-01T00:00:00Z")),
        ("TYPE", event(at="12:30:00")),
    ]


@pytest.mark.shows("7.4")
def test_poison_is_put_aside_with_its_place_and_the_stream_goes_on(
    lab: Lab, broker: Broker
) -> None:
    """One event in twenty: each in the quarantine once, with topic, partition and offset."""
    bad = poison()
    good = events_of(readings(20 * len(bad) - len(bad)), "sensor")
    mixed = list(good)
    for n, (_, one) in enumerate(bad):
        mixed.insert(20 * n + 7, one)
    stream = fed(lab, PIPELINE, broker, "poison", kafka={"max_rows": 50})
    places = send(broker, "poison", mixed)
    ended = stream.run()
    assert (ended.figures["events"], ended.figures["put_aside"]) == (len(mixed), len(bad))
    assert len(lab.offline(GROUP)) == len(good)
    wanted = sorted(
        (f"kafka:poison/{partition}", offset)
        for (partition, offset), one in zip(places, mixed, strict=True)
        if one in [event for _, event in bad]
    )
    entries = lab.quarantine()
    assert sorted((one["file"], one["position"]) for one in entries) == wanted
    by_place = {(one["file"], one["position"]): one["rule"] for one in entries}
    rules = {
        by_place[f"kafka:poison/{partition}", offset]
        for (partition, offset), one in zip(places, mixed, strict=True)
        if one in [event for _, event in bad]
    }
    assert rules >= {"SHAPE", "NULL_KEY", "OVERSIZE"}
    assert stream.run().figures["events"] == 0
    assert lab.quarantine() == entries


@pytest.mark.prove
@pytest.mark.shows("7.4")
def test_events_come_back_once_under_a_mended_contract(lab: Lab, broker: Broker) -> None:
    """Into both stores, beside a stream that goes on; those still bad have their new reason."""
    rows = readings(40)
    aside = [
        *({**row, "share": "n/a"} for row in rows[:3]),
        {**rows[3], "share": "n/a", "level": "many"},
        {**rows[4], "share": "n/a", "sensor": "x" * 3_000},
    ]
    broken = [("p", b"{", None), ("p", None, None)]
    stream = fed(lab, PIPELINE, broker, "mended")
    send(broker, "mended", [*events_of(aside, "sensor"), *broken, *events_of(rows[5:], "sensor")])
    assert stream.run().figures["put_aside"] == 7
    mended = replace(PIPELINE, sources={"readings": replace(SOURCE, null_texts=("n/a",))})
    context = lab.context(stream.settings)

    def again(**choice: Any) -> Replayed:
        chosen = Choice(GROUP.name, **choice)
        return replay(context, mended, chosen, by="ann", reentry=EventReentry(context, mended))

    done = again(stage="source")
    assert dict(done.outcomes) == {"accepted": 3, "unfit": 4}
    assert dict(done.rules) == {"TYPE": 1, "OVERSIZE": 1, "SHAPE": 2}
    wanted = [{**row, "share": None} for row in rows[:3]]
    assert lab.features(GROUP) == sorted([*wanted, *rows[5:]], key=lambda row: row["sensor"])
    online = lab.online(GROUP, *(row["sensor"] for row in wanted))
    assert [one and one["level"] for one in online.values()] == ["0", "1", "2"]
    stand = [one.verdict.standing for one in quarantined(stream.settings, Choice(GROUP.name))]
    assert sorted(stand) == ["open"] * 4 + ["replayed"] * 3
    before = lab.offline(GROUP)
    second = again()
    assert (dict(second.outcomes), second.runs) == ({"unfit": 4}, ())
    assert lab.offline(GROUP) == before
    # The producer sends a mended event as well: it adds nothing, and the stream goes on.
    send(broker, "mended", events_of([*wanted[:1], *readings(1, 50)], "sensor"))
    ended = stream.run()
    assert (ended.figures["offline"], ended.figures["present"]) == (1, 1)


def avro(rows: list[Row]) -> list[Row]:
    """Rows whose instants are Avro's."""
    return [{**row, "at": datetime.fromisoformat(row["at"].replace("Z", "+00:00"))} for row in rows]


def test_events_in_avro(lab: Lab, broker: Broker, tmp_path: Path) -> None:
    """By a registry, read by the driver and by tasks; then by a file of the schema alone."""
    rows = readings(60)
    found = sorted(rows, key=lambda row: (row["sensor"], row["at"]))
    with served() as registry:
        registry.schemas[7] = SCHEMA
        stream = fed(lab, PIPELINE, broker, "avro", avro={"registry": registry.url})
        events = [(row["sensor"], wired(7, row), None) for row in avro(rows)]
        bad = [("p", wired(8, avro(rows)[0]), None), ("p", b"{}", None), ("p", None, None)]
        send(broker, "avro", [*events[:30], *bad])
        first = stream.run()
        assert (first.figures["events"], first.figures["put_aside"]) == (33, 3)
        send(broker, "avro", events[30:])
        second = replace(stream, conf={**stream.conf, "small_rows": 0}).run()
        assert (second.figures["events"], second.figures["put_aside"]) == (30, 0)
        assert lab.features(GROUP) == found
    assert {one["rule"] for one in lab.quarantine()} == {"SHAPE"}
    # Mended: the schema is known by now. What is no Avro stays.
    with served() as registry:
        registry.schemas[8] = SCHEMA
        context = lab.context(replace(stream, conf={"avro": {"registry": registry.url}}).settings)
        reentry = EventReentry(context, PIPELINE)
        done = replay(context, PIPELINE, Choice(GROUP.name), by="ann", reentry=reentry)
    assert dict(done.outcomes) == {"accepted": 1, "unfit": 2}
    assert lab.features(GROUP) == found
    file = tmp_path / "reading.avsc"
    file.write_text(json.dumps(SCHEMA), encoding="utf-8")
    plain = fed(lab, PIPELINE, broker, "plain", avro={"schema_file": str(file)})
    send(broker, "plain", [(None, binary(row), None) for row in avro(readings(5, 60))])
    assert plain.run(again=True).figures["accepted"] == 5


@pytest.mark.shows("7.2")
def test_t42_checkpoint_loss(lab: Lab, broker: Broker) -> None:
    """Refused with the way out; read again from the start, nothing is added."""
    stream = fed(lab, PIPELINE, broker, "lost")
    send(broker, "lost", events_of(readings(300), "sensor"))
    stream.run()
    before = lab.offline(GROUP)
    lab.context(stream.settings).storage.remove(stream.places.checkpoint)
    with pytest.raises(UsageError, match="--allow-reprocess"):
        stream.run()
    send(broker, "lost", events_of(readings(50, 300), "sensor"))
    ended = stream.run(again=True)
    assert (ended.figures["events"], ended.figures["offline"]) == (350, 50)
    assert ended.figures["present"] == 300
    after = lab.offline(GROUP)
    assert [row for row in after if row in before] == before
    assert len(after) == 350
    assert stream.run().figures["events"] == 0  # the new stream goes on


@pytest.mark.shows("7.2")
def test_t39_kafka_retention_gap(lab: Lab, broker: Broker) -> None:
    """Events that are gone before they were read: exit 70, naming offsets; told to, it goes on."""
    stream = fed(lab, PIPELINE, broker, "gap")
    send(broker, "gap", [(key, value, 0) for key, value, _ in events_of(readings(40), "sensor")])
    stream.run()
    more = events_of(readings(40, 40), "sensor")
    send(broker, "gap", [(key, value, 0) for key, value, _ in more])
    broker.delete_records("gap", {0: 60})
    with pytest.raises(MismatchError, match=r"(?s)gone.*(40|60)"):
        stream.run()
    assert len(lab.offline(GROUP)) == 40
    careless = {**stream.conf, "kafka": {"fail_on_data_loss": False}}
    ended = replace(stream, conf=careless).run()
    assert ended.figures["events"] == 20
    assert sorted(row["level"] for row in lab.offline(GROUP)) == [*range(40), *range(60, 80)]


GONE = Pipeline(
    replace(GROUP, deleted_when="gone"),
    {
        "readings": Source(
            (
                Column("sensor"),
                Column("at", ColumnType.TIMESTAMP),
                Column("level", ColumnType.LONG),
                Column("share", ColumnType.DOUBLE),
                Column("gone", ColumnType.BOOLEAN),
            )
        )
    },
)


def test_a_null_value_deletes_the_record_of_its_key(lab: Lab, broker: Broker) -> None:
    """Kafka's tombstone: the key is the identifier, its timestamp the time of the deletion."""
    mapped = {"sensor": "key", "at": "timestamp", "gone": "deleted"}
    stream = fed(lab, GONE, broker, "gone", columns=mapped)
    rows = [{"level": 1, "share": 0.5}, {"level": 2, "share": 0.25}]
    send(broker, "gone", [(f"s{n}", json.dumps(row).encode(), None) for n, row in enumerate(rows)])
    stream.run()
    online = lab.online(GONE.group, "s0", "s1")
    assert {name: one and one["level"] for name, one in online.items()} == {"s0": "1", "s1": "2"}
    send(broker, "gone", [("s0", None, None)])
    assert stream.run().figures["accepted"] == 1
    online = lab.online(GONE.group, "s0", "s1")
    assert {name: one and one["level"] for name, one in online.items()} == {"s0": None, "s1": "2"}
    deleted = [row["sensor"] for row in lab.offline(GONE.group) if row["is_deleted"]]
    assert deleted == ["s0"]


def test_a_stream_is_told_by_status_figures(lab: Lab, broker: Broker) -> None:
    """Freshness, rate, backlog, the offline store's lag are written down, and a page at the end."""
    stream = fed(lab, PIPELINE, broker, "told")
    send(broker, "told", events_of(readings(20), "sensor"))
    stream.run(metrics=lab.root / "metrics.jsonl")
    said: Mapping[str, Any] = json.loads(Path(stream.places.status).read_text(encoding="utf-8"))
    assert (said["state"], said["events"], said["offline"]) == ("stopped", 20, 20)
    assert 0 < said["freshness_s"]["p50"] <= said["freshness_s"]["max"]
    assert said["offline_behind_s"] == 0
    (page,) = (lab.root / "lake" / "reports" / PIPELINE.group.name).glob("*-stream-1.html")
    plain = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert plain["figures"]["events"] == said["events"]
    assert not Path(stream.places.gated).exists()  # rows in hand go with the run
    lines = (lab.root / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(one) for one in lines]
    assert {name: one for name, one in told[-1].items() if name in said} == {
        name: one for name, one in said.items() if name != "at"
    }
    assert told[-1]["group"] == "readings"
    assert len({one["run"] for one in told}) == 1
    with pytest.raises(UsageError, match="metrics cannot be written"):
        stream.run(metrics=lab.root / "no" / "metrics.jsonl")


def test_what_is_no_stream_is_refused_before_it_starts(lab: Lab, broker: Broker) -> None:
    """A source that is not named, a column nobody declared, other topics than before."""
    with pytest.raises(UsageError, match=r"streams.flight_status.source"):
        Fed(lab, FLIGHT_STATUS, broker, "refused", {}, {}).run()
    with pytest.raises(UsageError, match="no column 'colour'"):
        Fed(lab, PIPELINE, broker, "refused", {}, {"columns": {"colour": "key"}}).run()
    stream = fed(lab, PIPELINE, broker, "refused")
    stream.run()
    with pytest.raises(UsageError, match="is now to read kafka others"):
        replace(stream, topic="others").run()
