"""Two backfills on the same windows, and one of ninety windows that is killed again and again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from penstock.emulator.server import Emulator
from penstock.ledger.interval import split, unit
from penstock.ledger.window import Window
from tests.faults.runs import Line
from tests.flow.outside import Outside, outside
from tests.flow.processes import end, gone, under, until
from tests.flow.project import ended
from tests.flow.stores import fine

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
SENSORS = 55
SLOW = ("--set=online.max_write_units_per_s=1", "--set=online.chunk_rows=5")
LONG_S = 900.0

pytestmark = pytest.mark.prove


def place(root: Path, emulator: Emulator, days: int) -> Outside:
    """A reading of every sensor on each of so many days, each day a window."""
    lines: list[Line] = [
        (f"s{n:03d}", f"{START + timedelta(days=day, hours=n % 24):%Y-%m-%dT%H:%M:%SZ}", day, n / 8)
        for day in range(days)
        for n in range(SENSORS)
    ]
    windows = split(START, START + timedelta(days=days), unit("day"))
    return outside(root / "project", emulator, root / "aws", lines, windows=windows)


def asked(windows: tuple[Window, ...] | list[Window]) -> tuple[str, ...]:
    """The words that name them."""
    first, last = windows[0].start, windows[-1].end
    return ("readings", "--start", f"{first:%Y-%m-%d}", "--end", f"{last:%Y-%m-%d}", "--window=day")


@pytest.mark.shows("5.2")
def test_two_backfills_of_the_same_windows(tmp_path: Path) -> None:
    """The second one names the first and ends with 75; with --takeover the first one is fenced."""
    with Emulator(tmp_path / "aws", journal=True) as emulator:
        there = place(tmp_path, emulator, 2)
        words = asked(list(there.windows))
        first = there.small.start("backfill", *words, *SLOW)
        until(lambda: there.acknowledged(5), "a record", LONG_S)
        second = there.small.run("backfill", *words, timeout=LONG_S)
        assert second.code == 75, second
        assert f"process {first.pid}," in second.err
        assert "--takeover" in second.err
        assert first.poll() is None
        third = fine(there.small.run("backfill", *words, "--takeover", "--json", timeout=LONG_S))
        assert {one["state"] for one in third.json} <= {"done", "resumed"}
        said = ended(first, LONG_S)
        assert said.code == 75, said
        assert "was claimed by" in said.err
        there.assure(SENSORS)
        assert max(epoch for one in there.windows for _, epoch in there.ledger(one)) >= 2


@pytest.mark.shows("5.6")
def test_t32_backfill_90_windows_parallel_kill(tmp_path: Path) -> None:
    """Four at a time, killed five times: ninety windows DONE, every row once.

    Windows end out of order, and Delta leaves none out.
    """
    chance = random.Random(32)
    with Emulator(tmp_path / "aws", journal=True) as emulator:
        there = place(tmp_path, emulator, 90)
        words = (*asked(list(there.windows)), "--parallel", "4", "--takeover", "--json")
        for number in range(5):
            process = there.small.start("backfill", *words)
            _kill(there, process, 12 * number + chance.randint(1, 12), chance.uniform(0, 3))
        fine(there.small.run("backfill", *words, timeout=LONG_S))
        there.assure(SENSORS)
        assert len(there.lines) == 4_950
        begun = sum(state == "CLAIMED" for one in there.windows for state, _ in there.ledger(one))
        assert begun > 90


def _kill(there: Outside, process: subprocess.Popen[str], windows: int, later_s: float) -> None:
    """Kill the driver so long after so many windows are done."""

    def reached() -> bool:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
        last = (there.ledger(one)[-1:] for one in there.windows)
        return sum(state == "DONE" for one in last for state, _ in one) >= windows

    until(reached, f"{windows} windows", LONG_S)
    time.sleep(later_s)
    below = under(process.pid)
    process.send_signal(signal.SIGKILL)
    end(below, signal.SIGKILL)
    process.communicate()
    gone(below, 60)
