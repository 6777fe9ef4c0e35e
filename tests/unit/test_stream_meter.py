"""Figures of a stream: what came, how fresh it was, how far the offline store is behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.online.job import Figures
from penstock.online.totals import OnlineTotals
from penstock.run.figures import SourceFigures
from penstock.stage.report import Report
from penstock.streaming.batch import Batch, keep, read_batch
from penstock.streaming.meter import WINDOW_S, Meter
from penstock.streaming.standing import line_of
from tests.staged_batches import MODE, STORAGE, day, staged

BEGAN = 1_700_000_000.0


def batch(number: int, read: int = 10) -> Batch:
    """Of events of which one is unfit at either gate and one dropped at either."""
    source = SourceFigures("s", read, read - 2, 1, 1, 0)
    report = Report(rows_in=read - 2, fit=read - 4, quarantined=1, dropped=1)
    return Batch(number, "run", 0, None, "driver", MODE, 100, source, (), report, expired=1)


def delivered(meter: Meter, number: int, at: float, ages: Sequence[float], read: int = 10) -> None:
    """A batch is online at ``at`` seconds, its events so many seconds old."""
    stamps = np.array([round((BEGAN + at - age) * 1e6) for age in ages], np.int64)
    totals = OnlineTotals(5, 1, Figures(sent=5, accepted=4, rejected=1), (), 0.1)
    meter.delivered(batch(number, read), totals, stamps, BEGAN + at)


def test_figures_add_up_over_batches() -> None:
    """Those of both gates, of what was sent and of what became of it."""
    meter = Meter(BEGAN)
    for number in (3, 4):
        delivered(meter, number, 1.0, [0.5])
    meter.committed(7, 2)
    meter.committed(1, 0)
    meter.backlog = 12
    plain = meter.plain(BEGAN + 10)
    told = {name: plain[name] for name in ("batches", "last", "events", "put_aside", "dropped")}
    assert told == {"batches": 2, "last": 4, "events": 20, "put_aside": 4, "dropped": 4}
    told = {name: plain[name] for name in ("valid", "sent", "accepted", "rejected", "expired")}
    assert told == {"valid": 12, "sent": 10, "accepted": 8, "rejected": 2, "expired": 2}
    assert (plain["offline"], plain["present"], plain["backlog"]) == (8, 2, 12)


def test_freshness_is_of_all_events_of_the_last_minute() -> None:
    """Not of batches: a large one counts by its events. An event from the future is 0 s old."""
    meter = Meter(BEGAN)
    ages = [n / 100 for n in range(1, 100)]
    delivered(meter, 0, 1.0, ages[:10])
    delivered(meter, 1, 2.0, ages[10:])
    delivered(meter, 2, 3.0, [-5.0, 4.0])
    found = meter.plain(BEGAN + 4)["freshness_s"]
    every = sorted([*ages, 0.0, 4.0])
    assert found["p50"] == pytest.approx(every[50], abs=0.001)
    assert found["p99"] == pytest.approx(every[99], abs=0.001)
    assert found["max"] == 4.0


def test_what_is_older_than_a_minute_leaves() -> None:
    """From rate and freshness; the sums stay."""
    meter = Meter(BEGAN)
    delivered(meter, 0, 0.0, [9.0], read=60)
    delivered(meter, 1, 50.0, [1.0], read=30)
    assert meter.plain(BEGAN + WINDOW_S)["freshness_s"]["max"] == 9.0
    plain = meter.plain(BEGAN + WINDOW_S + 0.1)
    assert (plain["freshness_s"]["max"], plain["rate"]) == (1.0, 0.5)
    plain = meter.plain(BEGAN + 500)
    assert (plain["freshness_s"], plain["rate"], plain["events"]) == (None, 0.0, 90)


def test_the_rate_of_a_young_stream_is_of_the_time_it_runs() -> None:
    """Not of a minute it has not run for; at the very beginning there is no division by zero."""
    meter = Meter(BEGAN)
    assert meter.plain(BEGAN)["rate"] == 0.0
    delivered(meter, 0, 5.0, [], read=100)
    assert meter.plain(BEGAN + 10)["rate"] == 10.0
    assert meter.plain(BEGAN + 10)["freshness_s"] is None


def test_offline_is_behind_since_the_oldest_that_waits() -> None:
    """Nothing waits: nothing is behind; a clock that was set back is no negative lag."""
    meter = Meter(BEGAN)
    assert meter.plain(BEGAN + 5)["offline_behind_s"] == 0.0
    meter.waiting_since = BEGAN + 2
    assert meter.plain(BEGAN + 5)["offline_behind_s"] == 3.0
    assert meter.plain(BEGAN)["offline_behind_s"] == 0.0


def test_a_line_for_people() -> None:
    """What is not known, or nothing, is not said."""
    meter = Meter(BEGAN)
    assert line_of(meter.plain(BEGAN + 1)) == (
        "0 events, 0/s, no event in the last minute, offline 0 rows, 0 s behind"
    )
    delivered(meter, 0, 10.0, [0.5] * 4, read=12_000)
    meter.backlog, meter.waiting_since = 3_400, BEGAN + 5
    meter.committed(1_234, 0)
    meter.late = 1_500
    assert line_of(meter.plain(BEGAN + 10)) == (
        "12,000 events, 1,200/s, fresh within 0.50 s (p50), 0.50 s (p99), 3,400 behind, "
        "2 put aside, 1,500 too late for their window, offline 1,234 rows, 5 s behind"
    )


def test_a_batch_is_what_its_manifest_says(tmp_path: Path) -> None:
    """Figures, files and mode come back as they were; the first manifest counts."""
    rows = [("a", day(1), 1, False), ("a", day(1), 2, False), ("", day(1), 3, True)]
    made = staged(f"{tmp_path}", 7, rows, [b"bad"])
    folder = f"{tmp_path}/{7:010d}"
    assert read_batch(STORAGE, folder) is None
    assert keep(STORAGE, folder, made) == made
    assert read_batch(STORAGE, folder) == made
    assert (len(made.put_aside), list(made.send.values()), made.staged.ties) == (2, [1], 1)
    assert keep(STORAGE, folder, replace(made, run="later", at=0)) == made
