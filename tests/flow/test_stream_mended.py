"""Events that a stream put aside come back under a mended contract, once, into both stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import functions as fn

from penstock.aside import BAD
from penstock.config import Settings
from penstock.contract import Pipeline
from penstock.gate import Bounds, SourceGate
from penstock.quarantine import Entry
from penstock.run.context import Context
from penstock.run.payload import KEY
from penstock.run.quarantined import Choice, quarantined
from penstock.run.replay import Replayed, replay
from penstock.streaming.messages import messages_of
from penstock.streaming.reentry import EventReentry
from tests.events import Event, batch_of
from tests.flow.test_replay import POINTS, Fragile, Killed, Mortal
from tests.lab import Lab
from tests.readings import GROUP, SOURCE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LATEST = datetime(2024, 6, 1, tzinfo=timezone.utc)
GOOD = {"sensor": "a", "at": "2024-01-01T00:00:00Z", "level": 1, "share": 0.5}
MENDED = replace(SOURCE, null_texts=("n/a",))


def conf(lab: Lab, **stream: Any) -> Settings:
    """What ``conf`` would say; nobody asks the broker."""
    kafka = {"servers": "127.0.0.1:9", "topics": ["t"], "headers": True}
    plain = lab.settings().model_dump(by_alias=True)
    return Settings.model_validate({**plain, "streams": {"readings": {"kafka": kafka, **stream}}})


def put_aside(*events: Event) -> list[dict[str, Any]]:
    """Entries of events, as the stream's source gate made them."""
    found: list[dict[str, Any]] = []
    gate = SourceGate("readings", SOURCE, Bounds())
    for rows in messages_of(SOURCE, {}).rows(batch_of(*events, headers=True)):
        found += gate.check(rows).bad.to_pylist()
    return found


def event(n: int, **changed: Any) -> Event:
    """One whose share is no number."""
    return Event(n, {**GOOD, "share": "n/a", **changed}, key=b"k1", headers=(("by", b"h1"),))


def judged(
    lab: Lab, pipeline: Pipeline, entries: Sequence[dict[str, Any]], **stream: Any
) -> tuple[list[dict[str, Any]], dict[int, str], list[int]]:
    """Rows that are fit, and the positions of entries that are not, with the rule, or dropped."""
    reentry = EventReentry(lab.context(conf(lab, **stream)), pipeline)
    assert reentry.problem is None
    found = reentry.judged(entries, LATEST)
    place = {one["row_key"]: one["position"] for one in entries}
    rows = [{**row, KEY: place[row[KEY]]} for row in found.rows.to_pylist()]
    unfit = {place[key]: rule for key, rule in found.unfit.items()}
    return rows, unfit, sorted(place[key] for key in found.dropped)


EVENTS = (
    event(0),
    event(1, level="many"),
    Event(2, b"{"),
    event(3, sensor="b", at="2999-01-01T00:00:00Z"),
    event(4, sensor="c", level=7),
    Event(5, None),
    Event(6, b"\xff\x00"),
)


@pytest.mark.shows("7.4")
def test_each_event_is_judged_anew(lab: Lab) -> None:
    """Mended ones are fit; others have the rule they break now, at whichever gate."""
    entries = put_aside(*EVENTS)
    assert len(entries) == len(EVENTS)
    rows, unfit, dropped = judged(lab, Pipeline(GROUP, {"readings": MENDED}), entries)
    assert rows == [
        {**GOOD, "share": None, KEY: 0},
        {**GOOD, "sensor": "c", "level": 7, "share": None, KEY: 4},
    ]
    assert unfit == {1: "TYPE", 2: "SHAPE", 3: "FUTURE", 5: "SHAPE", 6: "SHAPE"}
    assert dropped == []


def twice(readings: DataFrame) -> DataFrame:
    """Two rows of each reading, none of those whose level is above 6; where from is not said."""
    some = readings.where("level <= 6").withColumn("n", fn.explode(fn.array(fn.lit(1), fn.lit(2))))
    return some.select(
        fn.concat("sensor", fn.lit("-"), "n").alias("sensor"), "at", "level", "share"
    )


@pytest.mark.shows("7.4")
def test_what_a_transform_makes_is_of_its_event(lab: Lab) -> None:
    """Also where its rows do not say where they are from, are several, or none."""
    entries = put_aside(event(0), event(1, level=7), event(2, sensor="b"))
    mended = Pipeline(GROUP, {"readings": MENDED}, twice)
    rows, unfit, dropped = judged(lab, mended, entries)
    assert sorted((row[KEY], row["sensor"]) for row in rows) == [
        (0, "a-1"),
        (0, "a-2"),
        (2, "b-1"),
        (2, "b-2"),
    ]
    assert (unfit, dropped) == ({}, [1])


def nameless(readings: DataFrame) -> DataFrame:
    """Rows some of which do not say where they are from."""
    return readings.withColumn("_source", fn.expr("if(level = 1, null, _source)"))


def test_rows_that_say_nothing_are_of_the_event_they_came_with(lab: Lab) -> None:
    """As where no row says it."""
    entries = put_aside(event(0), event(1, sensor="b", level=2))
    rows, unfit, dropped = judged(lab, Pipeline(GROUP, {"readings": MENDED}, nameless), entries)
    assert sorted((row[KEY], row["sensor"]) for row in rows) == [(0, "a"), (1, "b")]
    assert (unfit, dropped) == ({}, [])


def test_a_mended_mapping_is_asked(lab: Lab) -> None:
    """Key, header and timestamp of the event are still known."""
    entries = put_aside(event(0, sensor=None), event(1, sensor=None, at=None))
    columns = {"sensor": "key", "at": "timestamp"}
    rows, _, _ = judged(lab, Pipeline(GROUP, {"readings": MENDED}), entries, columns=columns)
    assert [(row["sensor"], row["at"]) for row in rows] == [
        ("k1", "2024-01-01T00:00:00Z"),
        ("k1", "2024-05-01T12:00:00Z"),
    ]
    columns = {"sensor": "header:by"}
    rows, _, _ = judged(lab, Pipeline(GROUP, {"readings": MENDED}), entries[:1], columns=columns)
    assert [row["sensor"] for row in rows] == ["h1"]


@pytest.mark.prove
@pytest.mark.shows("7.4")
def test_a_replay_of_events_that_dies_is_finished_by_the_next(lab: Lab) -> None:
    """At each point that leaves something behind; both stores have each event once."""
    settings, mended = conf(lab), Pipeline(GROUP, {"readings": MENDED})
    lab.provision(GROUP, settings)
    context = lab.context(settings)
    sensors = [f"k{n}" for n in range(len(POINTS))]
    entries = put_aside(*(event(n, sensor=one, level=n) for n, one in enumerate(sensors)))
    file = str(lab.root / "bad.parquet")
    pq.write_table(pa.Table.from_pylist(entries, BAD), file)
    context.quarantine.add_staged([file], Entry(GROUP.name, "run", LATEST))
    for (name, fits, after), entry in zip(POINTS, entries, strict=True):
        mortal = Mortal(fits, after=after)
        lab_ = (lambda: lab.spark, lab.endpoint, settings, lab.root)
        choice = Choice(GROUP.name, key=entry["row_key"])

        def again(where: Context, choice: Choice = choice) -> Replayed:
            reentry = EventReentry(where, mended)
            return replay(where, mended, choice, by="ann", reentry=reentry)

        with pytest.raises(Killed):
            again(Fragile(*lab_, mortal=mortal))
        done = again(context)
        assert dict(done.outcomes) == ({} if name == "noted" else {"accepted": 1}), name
        assert dict(again(context).outcomes) == {}
    rows = lab.features(GROUP)
    assert [(row["sensor"], row["level"]) for row in rows] == [
        (one, n) for n, one in enumerate(sensors)
    ]
    online = lab.online(GROUP, *sensors)
    assert [one and one["level"] for one in online.values()] == [
        str(n) for n in range(len(sensors))
    ]
    stand = {one.verdict.standing for one in quarantined(settings, Choice(GROUP.name))}
    assert stand == {"replayed"}


def test_a_quarantine_of_an_older_version_is_read_and_widened(lab: Lab) -> None:
    """Its entries have no event: they come back only with their window."""
    settings, mended = conf(lab), Pipeline(GROUP, {"readings": MENDED})
    old = pa.Table.from_pylist(put_aside(event(0)), BAD).drop_columns(["event"])
    for name, value in (("feature_group", GROUP.name), ("run", "r")):
        old = old.append_column(name, pa.repeat(pa.scalar(value), 1))
    at = pa.array([LATEST], pa.timestamp("us", "UTC"))
    write_deltalake(f"{lab.root}/lake/quarantine", old.append_column("quarantined_at", at))
    context = lab.context(settings)
    reentry = EventReentry(context, mended)
    done = replay(context, mended, Choice(GROUP.name), by="ann", reentry=reentry, dry_run=True)
    assert (done.tried, done.source, done.events) == (0, 1, 0)
    file = str(lab.root / "bad.parquet")
    pq.write_table(pa.Table.from_pylist(put_aside(event(1)), BAD), file)
    context.quarantine.add_staged([file], Entry(GROUP.name, "run", LATEST))
    done = replay(context, mended, Choice(GROUP.name), by="ann", reentry=reentry, dry_run=True)
    assert (dict(done.outcomes), done.source) == ({"fit": 1}, 1)
    assert [one["event"] is None for one in lab.quarantine()] == [True, False]


def by_hour(readings: DataFrame) -> DataFrame:
    """Sums of the hours of a sensor."""
    hours = readings.withWatermark("at", "1 hour").groupBy("sensor", fn.window("at", "1 hour"))
    return hours.agg(fn.sum("level").alias("level"), fn.max("at").alias("at")).select(
        "sensor", "at", "level", fn.lit(None).cast("double").alias("share")
    )


def test_an_event_of_a_window_does_not_go_by_itself(lab: Lab) -> None:
    """It is one of many of its hour."""
    windowed = Pipeline(GROUP, {"readings": replace(MENDED, time="at")}, by_hour)
    problem = EventReentry(lab.context(conf(lab)), windowed).problem
    assert problem is not None
    assert "windows of time" in problem
