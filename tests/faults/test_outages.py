"""T19 to T21: the server is killed, access is denied, keys expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator.faults import Rule, denied, rotated
from penstock.emulator.server import Emulator
from tests.faults.field import QUICK, Field, field_on
from tests.faults.served import served
from tests.sending import table

Make = Callable[..., Field]


@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    ("rows", "down_s"), [(4_000, 1.0), pytest.param(30_000, 20.0, marks=pytest.mark.prove)]
)
def test_t19_server_restart(
    tmp_path: Path, transport: dict[str, Any], rows: int, down_s: float
) -> None:
    """SIGKILL in the middle, back after a while with its state: exit 0, lost 0, no resume."""
    with served(tmp_path / "aws") as server:
        field = field_on(server.start(), server.data, tmp_path / "files", lambda: None, **transport)
        field.create()
        # A third of the rows a second: the server is killed while most are still to be sent.
        field.change(max_write_units_per_s=rows / 3)
        field.stage(table(rows))
        outage = threading.Thread(target=_outage, args=(server, field, down_s))
        outage.start()
        attempt = field.send(limit_s=3 + 2 * down_s + 20)
        outage.join()
        evidence = field.assure(attempt, floor=rows)
        assert attempt.seconds > down_s
        writes = [one.nanos for one in evidence.journal]
        gaps = [after - before for before, after in pairwise(writes)]
        assert max(gaps) >= down_s * 1e9


def _outage(server: Any, field: Field, down_s: float) -> None:
    """Kill it once something is marked."""
    until = time.monotonic() + 20
    while not field.marked() and time.monotonic() < until:
        time.sleep(0.01)
    server.kill()
    time.sleep(down_s)
    server.start()


@pytest.mark.alone
@pytest.mark.shows("4.3")
def test_t20_access_denied_fast(emulator: Emulator, make: Make, transport: dict[str, Any]) -> None:
    """403 for all: each process asks once or twice, then exit 77 within 5 s; dead letters 0.

    With the right given back the same command completes.
    """
    field = make(in_flight=32, **transport)
    rule = Rule(denied())
    emulator.faults.add(rule)
    field.stage(table(3_000), shares=(1, 1))
    stopped = field.send_by(2)
    assert stopped.seconds < 5.0
    assert 2 <= emulator.faults.strikes[rule] <= 64
    assert not field.marked()
    field.assure(stopped, floor=0, exit_code=77)
    field.assure(field.send(), floor=3_000)


@pytest.mark.shows("4.3")
def test_t20_access_denied_in_the_middle(
    emulator: Emulator, make: Make, transport: dict[str, Any]
) -> None:
    """A right withdrawn after a third of the records: exit 77, and those stay accepted."""
    field = make(api="put", **transport)
    emulator.faults.add(Rule(denied(), identifier="^k1[2-9][0-9]{2}$"))
    field.stage(table(2_000))
    stopped = field.send()
    evidence = field.assure(stopped, floor=1_000, exit_code=77)
    assert len(evidence.answered) >= 1_000
    field.assure(field.send(), floor=2_000)


@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    ("rows", "every", "workers"),
    [(2_000, 700, 2), pytest.param(30_000, 2_000, 4, marks=pytest.mark.prove)],
)
def test_t21_credentials_expire(
    emulator: Emulator, make: Make, transport: dict[str, Any], rows: int, every: int, workers: int
) -> None:
    """Keys rotate in mid-run: each process finds the new one once per rotation, and goes on."""
    field = make(api="put", **transport)
    rule = Rule(rotated(), operation="PutRecord", every=every)
    emulator.faults.add(rule)
    field.stage(table(rows), shares=(1,) * 2 * workers)
    attempt = field.send_by(workers, start=QUICK)
    rotations = emulator.faults.strikes[rule]
    field.assure(attempt, floor=rows)
    assert rotations >= rows // every
    assert all(one.renewals <= rotations for one in attempt.seen)
    assert sum(one.renewals for one in attempt.seen) >= rotations
