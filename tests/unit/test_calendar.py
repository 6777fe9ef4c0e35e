"""The calendar of a group from ledgers written by hand: states, gaps, freshness, what is next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ledger.interval import covers
from penstock.ledger.journal import State
from penstock.ledger.lease import held
from penstock.ledger.window import Window, replay_window, window
from penstock.run.status import statuses
from penstock.run.timeline import Calendar, Cell, read_calendar, spoken
from penstock.storage import LocalStorage
from tests.ledgers import PIPELINE, Ledger, month

NOW = datetime(2020, 2, 1, tzinfo=timezone.utc)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty one."""
    return Ledger(tmp_path)


def _calendar(ledger: Ledger, **changes: object) -> Calendar:
    pipeline = replace(PIPELINE, **changes)  # type: ignore[arg-type]  # of whatever field
    return read_calendar(ledger.settings, pipeline, NOW)


@pytest.mark.shows("5.1")
def test_every_window_stands_as_the_ledger_says(ledger: Ledger) -> None:
    """Done, open, stale, failed, running, interrupted; missing is what lies between."""
    ledger.write(month(1), State.DONE)
    ledger.write(month(2), State.DONE, meaning="another")
    ledger.write(month(3), State.GATED)
    ledger.write(month(4), State.ONLINE_DONE)
    ledger.write(month(5), State.STAGED)
    last = month(7)
    assert last.end is not None
    ledger.write(last, State.DONE, at=last.end + timedelta(days=1))  # rows may be two days late
    with held(LocalStorage(), ledger.places(month(5)).lease, NOW.timestamp):
        found = _calendar(ledger)
    stands = [one.standing for one in found.cells]
    assert stands == ["done", "stale", "failed", "interrupted", "running", "open"]
    assert found.gaps == (month(6),)
    assert found.counts["missing"] == 1
    assert "process" in found.cells[4].why
    assert found.cells[2].why == "too much was put aside"
    assert _calendar(ledger).cells[4].standing == "interrupted"


def test_the_newest_generation_counts(ledger: Ledger) -> None:
    """A restatement that failed does not stand as done; one that is done does."""
    ledger.write(month(1), State.DONE, meaning="another")
    ledger.write(month(1), State.GATED, generation=1)
    assert [one.standing for one in _calendar(ledger).cells] == ["failed"]
    ledger.write(month(1), State.DONE, generation=2)
    found = _calendar(ledger).cells
    assert [(one.standing, one.generation) for one in found] == [("done", 2)]


def test_a_changed_pipeline_makes_its_windows_stale(ledger: Ledger) -> None:
    """Whatever decides the rows counts; a description does not."""
    ledger.write(month(1), State.DONE)
    source = replace(PIPELINE.sources["readings"], lookback=timedelta(days=3))
    assert [one.standing for one in _calendar(ledger).cells] == ["done"]
    changed = _calendar(ledger, sources={"readings": source})
    assert [one.standing for one in changed.cells] == ["stale"]
    described = replace(PIPELINE.group, description="what a sensor read")
    assert [one.standing for one in _calendar(ledger, group=described).cells] == ["done"]


def test_freshness_is_where_the_newest_done_window_ends(ledger: Ledger) -> None:
    """Not where a failed one does; with its age; before anything is done there is none."""
    assert (_calendar(ledger).fresh_until, _calendar(ledger).age_s) == (None, None)
    ledger.write(window("2020-01-01", "2020-01-31"), State.DONE, at=NOW)
    ledger.write(window("2020-01-31", "2020-03-01"), State.GATED)
    found = _calendar(ledger)
    assert f"{found.fresh_until:%Y-%m-%d}" == "2020-01-31"
    assert found.age_s == 86_400
    assert "done up to 2020-01-31, 24 hours ago" in found.lines()[0]


def test_everything_leaves_no_gap_and_replays_are_no_windows(ledger: Ledger) -> None:
    """A run over all of time covers what is between; rows of the quarantine are not time."""
    ledger.write(month(1), State.DONE)
    ledger.write(month(3), State.DONE)
    start = month(2).start
    assert start is not None
    ledger.write(replay_window("0" * 16, start, start + timedelta(days=1)), State.DONE)
    assert _calendar(ledger).gaps == (month(2),)
    ledger.write(Window(), State.DONE)
    found = _calendar(ledger)
    assert (found.gaps, len(found.cells)) == ((), 2)
    assert found.everything is not None


def test_what_to_type_next(ledger: Ledger) -> None:
    """The range of what is undone; else of what is stale, restated; else the windows say it."""
    ledger.write(month(1), State.DONE)
    assert _calendar(ledger).advice is None
    ledger.write(month(2), State.DONE, meaning="another")
    assert _calendar(ledger).advice == (
        "penstock plan readings --start 2013-02-01 --end 2013-03-01 --window month --restate"
    )
    ledger.write(month(4), State.CLAIMED)
    assert _calendar(ledger).advice == (
        "penstock backfill readings --start 2013-03-01 --end 2013-05-01 --window month"
    )


@pytest.mark.parametrize(
    ("last", "size"),
    [("2013-01-08", " --window day"), ("2013-01-14", " --window week"), ("2013-01-11", "")],
)
def test_the_size_is_the_one_of_the_newest_windows(ledger: Ledger, last: str, size: str) -> None:
    """Where the pipeline names none; windows of no size are not given one."""
    ledger.write(window("2013-01-01", "2013-01-07"), State.DONE)
    ledger.write(window("2013-01-07", last), State.GATED)
    advice = _calendar(ledger, window="all").advice
    assert advice == f"penstock backfill readings --start 2013-01-07 --end {last}{size}"


def test_programs_get_every_window_and_the_gaps(ledger: Ledger) -> None:
    """What was there stays under its names; standing, gaps and freshness are added; JSON."""
    ledger.write(month(1), State.DONE)
    ledger.write(month(3), State.GATED)
    found = statuses(ledger.settings, [PIPELINE.group.name])
    rows = [json.loads(one) for one in _calendar(ledger).json_rows(found)]
    assert [(row["window"], row["state"], row["standing"]) for row in rows] == [
        (month(1).name, "DONE", "done"),
        (month(3).name, "GATED", "failed"),
        (month(2).name, None, "missing"),
    ]
    assert {row["fresh_until"] for row in rows} == {"2013-02-01"}
    assert rows[0]["data"]["figures"]["valid"] == 6
    before = found[0].plain()
    assert {name: rows[0][name] for name in before} == json.loads(json.dumps(before))


def test_people_are_told_the_same(ledger: Ledger) -> None:
    """Counts, gaps, reasons, last runs, what is next; nothing where there are no windows."""
    assert _calendar(ledger).lines() == []
    ledger.write(month(1), State.DONE)
    ledger.write(month(3), State.GATED, at=NOW)
    assert [line.partition("readings: ")[2] for line in _calendar(ledger).lines()] == [
        "windows: 1 done, 1 failed, 1 missing; done up to 2013-02-01, 2,556 days ago",
        "missing: 2013-02-01 to 2013-03-01",
        "2013-03-01 to 2013-04-01 failed: too much was put aside",
        "last runs: 2013-03-01 to 2013-04-01 (failed), 2013-01-01 to 2013-02-01 (done)",
        "next: penstock backfill readings --start 2013-02-01 --end 2013-04-01 --window month",
    ]


@given(st.sets(st.integers(1, 24), min_size=1))
def test_windows_and_gaps_are_the_whole(months: set[int]) -> None:
    """From the first to the last window nothing is left over, and nothing is told twice."""
    cells = tuple(Cell(month(one), "done") for one in sorted(months))
    found = Calendar("readings", "month", cells, None, NOW)
    first, last = month(min(months)), month(max(months))
    known = [*(one.window for one in cells), *found.gaps]
    assert covers(known, Window(first.start, last.end))
    assert sorted(spoken(one) for one in known) == sorted({spoken(one) for one in known})
    assert all(not covers(found.gaps, one.window) for one in cells)
