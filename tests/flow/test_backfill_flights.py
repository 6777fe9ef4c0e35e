"""A year of an aircraft's history by months, through the command, killed again and again.

What must be in the stores is computed in pandas from the raw flights: :mod:`tests.flights`.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TID253 - the independent computation
import pytest
from deltalake import DeltaTable

from penstock.ledger.interval import covers, unit
from penstock.ledger.interval import split as cut
from penstock.ledger.window import Window, parse_name, window
from tests import flights
from tests.flow.processes import gone, under, until

ROOT = Path(__file__).parents[2]
PENSTOCK = str(Path(sys.executable).parent / "penstock")
GROUP = "aircraft_history"
RANGE = ("--start", "2013-01-01", "--end", "2014-02-01", "--window", "month")
YEAR = window("2013-01-01", "2014-02-01")
KILLS = 4

pytestmark = pytest.mark.prove


@dataclass(frozen=True)
class Year:
    """Lake, ledger and embedded AWS in a folder of their own."""

    folder: Path

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that runs on."""
        where = ["--set", f"lake={self.folder / 'lake'}", "--set", f"state={self.folder / 'state'}"]
        return subprocess.Popen(
            [PENSTOCK, *words, *where],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Any:
        """A command to its end; its standard output, which is JSON."""
        process = self.start(*words, "--json")
        out, err = process.communicate(timeout=1_200)
        assert process.returncode == 0, err
        return json.loads(out)

    def events(self) -> int:
        """Events of the ledger."""
        return sum(1 for _ in (self.folder / "state" / "ledger").rglob("*.json"))

    def offline(self) -> pd.DataFrame:
        """The offline table."""
        return DeltaTable(str(self.folder / "lake" / "offline" / GROUP)).to_pandas()


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Year:
    """Planned both ways, then run to its end though it was killed again and again."""
    made = Year(tmp_path_factory.mktemp("year"))
    made.run("provision", GROUP)
    began = time.monotonic()
    rough = made.run("plan", GROUP, *RANGE)
    took = time.monotonic() - began
    (made.folder / "rough.json").write_text(json.dumps({**rough, "took": took}), encoding="utf-8")
    exact = made.run("plan", GROUP, *RANGE, "--exact")
    (made.folder / "exact.json").write_text(json.dumps(exact), encoding="utf-8")
    assert made.events() == 0
    chance = random.Random(5)
    for _ in range(KILLS):
        _kill(made, made.events() + chance.randint(3, 16), chance.uniform(0, 1.5))
    made.run("backfill", GROUP, *RANGE)
    return made


def _kill(year: Year, events: int, later_s: float) -> None:
    """Kill the driver so long after the ledger has so many events."""
    process = year.start("backfill", GROUP, *RANGE, "--parallel", "3", "--json")

    def there() -> bool:
        assert process.poll() is None, process.communicate()
        return year.events() >= events

    until(there, f"{events} events", 300)
    time.sleep(later_s)
    children = under(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    gone(children, 60)


@pytest.mark.shows("5.1")
def test_both_stores_equal_the_computation(year: Year) -> None:
    """Offline every row of pandas once, lookback included; online the last of each aircraft."""
    wanted = flights.aircraft_history(flights.flights())
    keys = ["tailnum", "day_end"]
    found = year.offline()[list(wanted.columns)].sort_values(keys).reset_index(drop=True)
    wanted = wanted.sort_values(keys).reset_index(drop=True)
    assert len(found) == 250_723
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=1e-12)
    last = wanted.groupby("tailnum")["day_end"].max()
    for tailnum in random.Random(1).sample(sorted(last.index), 5):
        (seen,) = year.run("get", GROUP, tailnum)
        assert seen["online"]["day_end"] == last[tailnum]


@pytest.mark.shows("5.1")
def test_the_calendar_has_no_gap(year: Year) -> None:
    """Thirteen months, all done, nothing between them, and nothing is left to do."""
    rows = year.run("status", GROUP)
    assert [one["standing"] for one in rows] == ["done"] * 13
    assert covers([parse_name(one["window"]) for one in rows], YEAR)
    assert {one["group_next"] for one in rows} == {None}
    again = year.run("backfill", GROUP, *RANGE)
    assert {one["state"] for one in again} == {"left"}


@pytest.mark.shows("5.4")
def test_the_plans_held(year: Year) -> None:
    """Within 20 s and within its bounds; exact to the last row; of every window."""
    rough, exact = (
        json.loads((year.folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("rough", "exact")
    )
    assert rough["took"] <= 20
    assert 1 <= rough["method"]["counted"] <= rough["method"]["of"] == 13
    told = [one["count"] is not None for one in rough["windows"]]
    assert told[:12] == [True] * 12  # of the last one, some late arrivals, no ratio tells
    figures = {one["window"]: one["data"]["figures"] for one in year.run("status", GROUP)}
    assert list(figures) == [one.name for one in _months()]
    for guess, sure in zip(rough["windows"], exact["windows"], strict=True):
        found = figures[sure["window"]]
        assert sure["count"]["rows"] == [found["valid"]] * 3
        assert sure["count"]["identifiers"] == [found["identifiers"]] * 3
        assert sure["count"]["records"] == [found["candidates"]] * 3
        assert sure["count"]["quarantined"] == [found["quarantined"]] * 3
        if guess["count"] is None:
            continue
        low, _, high = guess["count"]["rows"]
        assert low <= found["valid"] <= high
        low, _, high = guess["count"]["records"]
        assert low <= found["candidates"] <= high


def _months() -> tuple[Window, ...]:
    assert YEAR.start is not None
    assert YEAR.end is not None
    return cut(YEAR.start, YEAR.end, unit("month"))
