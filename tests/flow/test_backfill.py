"""Backfills of a small file: planned, run side by side, guarded, failed in parts, stopped, resumed.

What must be in the stores is computed here, from the readings, without Spark.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock.backfill.execution import Ended, execute, exit_code
from penstock.backfill.plan import Plan, Range
from penstock.backfill.planning import planned
from penstock.cli.program import run
from penstock.contract import Pipeline, Source
from penstock.ledger.window import Window, window
from penstock.progress import Silent
from penstock.run.context import Context
from penstock.run.ingest import ingest_pipeline
from penstock.run.timeline import read_calendar
from tests.lab import Lab, Rows
from tests.ledgers import month
from tests.readings import COLUMNS
from tests.readings import LEVELS as GROUP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROOT = Path(__file__).parents[2]
START = datetime(2013, 1, 1, tzinfo=timezone.utc)
SENSORS, EVERY = 30, 2  # so many, read on every second day
SPAN = timedelta(days=3)
Reading = tuple[str, datetime, int]


def summed(readings: DataFrame) -> DataFrame:
    """Every reading with the sum of its sensor's levels of the three days that end with it."""
    return readings.selectExpr(
        "sensor",
        "at",
        "sum(level) over (partition by sensor order by unix_timestamp(at) "
        "range between 259199 preceding and current row) as level",
    )


PIPELINE = Pipeline(
    GROUP, {"readings": Source(COLUMNS, time="at", lookback=SPAN)}, summed, window="month"
)


def readings(days: int) -> list[Reading]:
    """Of so many days; one sensor is read in January alone."""
    found = [
        (f"s{n:02d}", START + timedelta(days=day, hours=n % 24, seconds=n), day + n)
        for day in range(0, days, EVERY)
        for n in range(SENSORS)
    ]
    return [("once", START, 7), *found]


def expected(taken: list[Reading], whole: Window) -> Rows:
    """The rows of a window, by the definition of the feature."""
    assert whole.start is not None
    assert whole.end is not None
    return [
        {
            "sensor": sensor,
            "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "level": sum(v for s, t, v in taken if s == sensor and at - SPAN < t <= at),
        }
        for sensor, at, _ in sorted(taken)
        if whole.start <= at < whole.end
    ]


@dataclass
class Field:
    """Four months of readings, and what is done with them."""

    lab: Lab
    taken: list[Reading] = field(default_factory=lambda: readings(120))
    pipeline: Pipeline = PIPELINE
    flags: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        """On settings that lead to the file."""
        file = self.lab.root / "readings.csv"
        return self.lab.context(self.lab.settings({"readings": file}, **self.flags))

    def write(self, *bad: str) -> None:
        """The file, with lines that are no readings behind."""
        lines = [f"{sensor},{at:%Y-%m-%dT%H:%M:%SZ},{level}" for sensor, at, level in self.taken]
        text = "\n".join(["sensor,at,level", *lines, *bad]) + "\n"
        (self.lab.root / "readings.csv").write_text(text, encoding="utf-8")

    def plan(self, first: int, last: int, **asked: Any) -> Plan:
        """What would be done to months, uncounted."""
        return planned(self.context, self.pipeline, months(first, last, **asked), count=False)

    def run(self, first: int, last: int, parallel: int = 3, **asked: Any) -> list[Ended]:
        """Provision and run."""
        context = self.context
        self.lab.provision(GROUP, context.settings)
        plan = self.plan(first, last, **asked)
        return list(execute(context, self.pipeline, plan, parallel))

    def one(self, number: int) -> Any:
        """An ordinary run of one month; its figures."""
        return ingest_pipeline(self.context, self.pipeline, month(number)).figures

    @property
    def standings(self) -> dict[str, int]:
        """Windows by how they stand."""
        context = self.context
        return read_calendar(context.settings, self.pipeline, context.now()).counts

    def written(self) -> dict[str, int]:
        """Every file of lake and state with its time, and what the stand-in for AWS applied."""
        files = [one for name in ("lake", "state") for one in (self.lab.root / name).rglob("*")]
        return {str(one): one.stat().st_mtime_ns for one in files}


def months(first: int, last: int, **asked: Any) -> Range:
    """From the first month to the last, both included."""
    start, end = month(first).start, month(last).end
    return Range(f"{start:%Y-%m-%d}", f"{end:%Y-%m-%d}", "month", **asked)


def whole(first: int, last: int) -> Window:
    """The time of these months."""
    return Window(month(first).start, month(last).end)


@pytest.fixture
def place(lab: Lab) -> Field:
    """With its file."""
    made = Field(lab)
    made.write()
    return made


@pytest.mark.shows("5.1")
@pytest.mark.shows("5.4")
def test_a_plan_that_holds_and_a_backfill_that_leaves_what_one_run_would(place: Field) -> None:
    """Counted exactly, and estimated from two of three months; then run three at a time.

    The plan writes nothing; afterwards its exact figures are the backfill's, the bounds of the
    estimate hold, and both stores are as computed here, lookback over the months' borders included.
    """
    asked, before = months(1, 3), place.written()
    exact = planned(place.context, PIPELINE, asked, exact=True)
    rough = planned(_hasty(place.context, 2), PIPELINE, asked)
    assert place.written() == before == {}
    assert (rough.told["method"]["counted"], rough.told["method"]["of"]) == (2, 3)
    ended = place.run(1, 3)
    assert [one.fate for one in ended] == ["done"] * 3
    for sure, guess, one in zip(exact.steps, rough.steps, ended, strict=True):
        assert one.result is not None
        assert sure.count is not None
        assert guess.count is not None
        found = one.result.figures
        rows, records = found.valid, found.candidates
        assert (sure.count.rows.low, sure.count.rows.high) == (rows, rows)
        assert (sure.count.identifiers.about, sure.count.records.about) == (records, records)
        assert guess.count.rows.holds(rows)
        assert guess.count.records.holds(records)
        assert guess.count.write_units.holds(records)  # far below 1 KB each
    assert exact.count is not None
    assert rough.count is not None
    assert rough.count.rows.holds(exact.count.rows.about)
    assert place.lab.features(GROUP) == expected(place.taken, whole(1, 3))
    last = {row["sensor"]: row for row in expected(place.taken, whole(1, 3))}
    assert place.lab.online_identifiers(GROUP) == sorted(last)
    for sensor, record in place.lab.online(GROUP, *last).items():
        assert record == {name: str(value) for name, value in last[sensor].items()}
    assert place.standings == {"done": 3}
    after = place.written()
    assert {one.fate for one in place.run(1, 3)} == {"left"}
    assert place.written() == after


class _Counted(Silent):
    """How many windows were counted."""

    done = 0

    def advance(self, what: str, done: int, total: int) -> None:
        """Note it."""
        assert (what, total) == (GROUP.name, 3)
        self.done = done


def _hasty(context: Context, windows: int) -> Context:
    """A clock with a quarter of an hour left, and none any more once so many are counted."""
    seen, began = _Counted(), iter([1e3])

    def clock() -> float:
        return next(began, 0.0) if seen.done < windows else 1e4

    return replace(context, monotonic=clock, progress=seen)


@pytest.mark.shows("5.3")
@pytest.mark.shows("5.6")
def test_t29_late_and_backfill_not_online(place: Field) -> None:
    """January after February: one record can win, the others are counted as older.

    What went to the offline store alone, March, keeps nothing from the online store; April after
    that is a normal next window, which does not read history.
    """
    lab, sensors = place.lab, [f"s{n:02d}" for n in range(SENSORS)]
    place.run(3, 3, online="never")
    (february,) = place.run(2, 2)
    assert february.result is not None
    assert (february.result.figures.older, february.result.figures.sent) == (0, SENSORS)
    before = lab.online(GROUP, *sensors)
    (january,) = place.run(1, 1)
    assert january.result is not None
    found = january.result.figures
    assert (found.candidates, found.older, found.sent) == (SENSORS + 1, SENSORS, 1)
    assert lab.online(GROUP, *sensors) == before
    assert lab.online_identifiers(GROUP) == ["once", *sensors]
    assert lab.features(GROUP) == expected(place.taken, whole(1, 3))
    april = place.one(4)
    assert (april.older, april.sent) == (0, SENSORS)
    staged = lab.root / "state" / "staged" / GROUP.name
    assert {one.parts[-3] for one in staged.rglob("selection-*.json")} == {month(1).name}


@pytest.mark.prove
@pytest.mark.shows("5.3")
def test_newest_first_sends_each_identifier_once(place: Field) -> None:
    """One at a time, the last month first: the others send what no later one has."""
    ended = place.run(1, 2, parallel=1, newest_first=True)
    sent = [one.result.figures.sent for one in ended if one.result is not None]
    assert sent == [1, SENSORS]
    assert place.lab.features(GROUP) == expected(place.taken, whole(1, 2))


def test_one_window_fails_and_the_others_go_on(place: Field) -> None:
    """Said with its exit code; mended and run again, it alone is run."""
    place.taken = readings(59)
    place.write(*[f",2013-02-0{n}T00:00:00Z,1" for n in range(1, 10)])
    place.flags = {"quality__max_quarantine_ratio": 0.005}
    ended = place.run(1, 2, parallel=2)
    assert [one.fate for one in ended] == ["done", "failed"]
    assert exit_code(ended) == 65
    assert place.standings == {"done": 1, "failed": 1}
    place.write()
    again = place.run(1, 2)
    assert [one.fate for one in again] == ["left", "done"]
    assert again[0].step.why == "its sources have changed since; --restate reads them again"
    assert place.lab.features(GROUP) == expected(place.taken, whole(1, 2))


@pytest.mark.prove
@pytest.mark.shows("5.5")
def test_a_changed_pipeline_is_restated_when_asked(place: Field) -> None:
    """Stale windows stay until then; rows that came out as before are not written twice."""
    place.run(1, 1)
    rows = place.lab.offline(GROUP)
    wider = replace(PIPELINE.sources["readings"], lookback=timedelta(days=5))
    place.pipeline = replace(PIPELINE, sources={"readings": wider})
    assert place.standings == {"stale": 1}
    assert {one.fate for one in place.run(1, 1)} == {"left"}
    ended = place.run(1, 1, restate=True)
    assert [(one.fate, one.step.action) for one in ended] == [("done", "restate")]
    assert place.lab.offline(GROUP) == rows
    assert place.standings == {"done": 1}


@pytest.mark.shows("5.1")
@pytest.mark.shows("5.6")
def test_t09_sigterm_graceful_of_a_backfill(place: Field) -> None:
    """While two months are sent; the same command goes on: nothing is lost or there twice."""
    place.flags = {
        "online__max_write_units_per_s": 8.0,
        "online__chunk_rows": 5,
        "online__in_flight": 1,
    }
    began = _stopped_while_sending(place)
    assert began < 25
    assert "interrupted" in place.standings
    place.flags = {}
    ended = place.run(1, 2)
    assert "resumed" in {one.fate for one in ended}
    assert place.standings == {"done": 2}
    assert place.lab.features(GROUP) == expected(place.taken, whole(1, 2))


def _stopped_while_sending(place: Field) -> float:
    """Seconds from the signal to the end."""
    markers, at = place.lab.root / "state" / "online", [0.0]

    def stop() -> None:
        until = time.monotonic() + 60
        while not list(markers.rglob("*.json")) and time.monotonic() < until:
            time.sleep(0.05)
        at[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        place.run(1, 2, parallel=2)
    thread.join()
    return time.monotonic() - at[0]


@pytest.mark.prove
@pytest.mark.shows("5.4")
def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plan two days of the reference project into a file, refuse a budget, run the file, look."""
    sets = [f"--set={name}={tmp_path / name}" for name in ("lake", "state")]
    common = ["--project", str(ROOT), *sets]
    file, group = tmp_path / "plan.json", "airport_weather"
    asked = ["--start", "2013-01-07", "--end", "2013-01-09", "--window", "day"]
    assert run(["provision", group, *common]) == 0
    assert run(["plan", group, *asked, "--exact", "--out", str(file), *common]) == 0
    said = capsys.readouterr().out
    assert "every window was counted (2 of 2" in said
    assert "for writing" in said
    assert f"Next: penstock backfill {group} --plan {file}" in said
    by_plan = ["backfill", group, "--plan", str(file), *common]
    assert run([*by_plan, "--max-cost", "0"]) == 2
    assert "it may cost " in capsys.readouterr().err
    assert run([*by_plan, "--json"]) == 0
    ended = json.loads(capsys.readouterr().out)
    wanted = json.loads(file.read_text(encoding="utf-8"))["windows"]
    assert [one["figures"]["valid"] for one in ended] == [one["count"]["rows"][1] for one in wanted]
    assert run(["status", group, "--json", *common]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(one["standing"], one["fresh_until"]) for one in rows] == [("done", "2013-01-09")] * 2
    assert run([*by_plan, "--online", "latest"]) == 2
    assert "--online contradicts" in capsys.readouterr().err
    assert window("2013-01-07", "2013-01-08").name == rows[0]["window"]
