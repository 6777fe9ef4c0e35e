"""T09: SIGTERM while records are sent, and how little is sent again."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from penstock.emulator.server import Emulator
from tests.faults.runs import Line
from tests.flow.outside import outside
from tests.flow.processes import until
from tests.flow.project import ended
from tests.flow.stores import fine

CHUNK, TASKS, ROWS = 100, 2, 4_000
STOP_S, LONG_S = 30.0, 300.0


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t09_sigterm_sends_little_again(tmp_path: Path) -> None:
    """Exit 75 within 30 s; what is resumed sends at most a chunk a task again."""
    lines: list[Line] = [(f"s{n:05d}", "2024-01-01T00:00:00Z", n, n / 8) for n in range(ROWS)]
    with Emulator(tmp_path / "aws", journal=True) as emulator:
        place = outside(tmp_path / "project", emulator, tmp_path / "aws", lines)
        slow = ("--set=online.max_write_units_per_s=400", f"--set=online.chunk_rows={CHUNK}")
        process = place.small.start("ingest", "--json", *slow, "--set=online.in_flight=2")
        until(lambda: place.acknowledged(1_000), "1,000 rows", LONG_S)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        answer = ended(process, LONG_S)
        assert time.monotonic() - began < STOP_S
        assert answer.code == 75, answer
        assert place.writes < ROWS
        fine(place.small.run("ingest", "--json", timeout=LONG_S))
        place.assure(ROWS)
        assert place.repeated <= TASKS * CHUNK
