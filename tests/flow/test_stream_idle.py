"""A stream without events: nothing grows but the time it has been there."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.processes import under, until
from tests.flow.project import GROUP, Small
from tests.flow.stores import fine
from tests.flow.test_stream_killed import event, project
from tests.kafka import Broker, started
from tests.streams import send

IDLE_S = 300.0
SETTLED_S = 30.0  # from the last batch to the first look
GROWTH_KIB = 128 * 1024  # of driver and JVM together, after the first look
STATUS_S = 2.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of its own."""
    with started(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


def memory(pid: int) -> int:
    """KiB that a process and all below it hold."""
    return sum(_resident(one) for one in (pid, *(each.pid for each in under(pid))))


def _resident(pid: int) -> int:
    try:
        told = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(one.split()[1]) for one in told if one.startswith("VmRSS"))


def files(small: Small) -> dict[str, int]:
    """All files of state and lake but for log lines, with their times."""
    found = [one for below in (small.state, small.lake) for one in below.rglob("*")]
    return {
        str(one): one.stat().st_mtime_ns
        for one in found
        if one.is_file() and "logs" not in one.parts
    }


@pytest.mark.prove
@pytest.mark.shows("7.5")
def test_an_idle_stream_keeps_to_its_bounds(
    tmp_path: Path, broker: Broker, record_property: Any
) -> None:
    """Five minutes: memory, files and ledger; the lease alone is written, and status is quick."""
    broker.create_topic("readings", 3)
    small = project(tmp_path / "small", broker, rows=1_000, lag=1)
    send(broker, "readings", [event(n) for n in range(200)])
    process = small.start("stream", GROUP, "--json")
    status = small.state / "streams" / GROUP / "0001" / "status.json"

    def caught_up() -> bool:
        said = json.loads(status.read_text(encoding="utf-8")) if status.exists() else {}
        return bool(said.get("offline", 0) == 190)

    until(caught_up, "the events", 120)
    time.sleep(SETTLED_S)
    before, held = files(small), [memory(process.pid)]
    began = time.monotonic()
    while time.monotonic() - began < IDLE_S:
        time.sleep(15)
        held.append(memory(process.pid))
    assert process.poll() is None
    after, took = files(small), []
    for _ in range(2):
        began = time.monotonic()
        said = fine(small.run("status", GROUP, "--json")).json
        took.append(time.monotonic() - began)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = {"kib": held, "status_s": took, "files": len(after)}
    record_property("found", json.dumps(found))
    assert any(one.get("state") == "running" and one.get("events") == 200 for one in said), said
    assert json.loads(out)["events"] == 200
    assert after.keys() == before.keys()
    changed = {Path(name).name for name, at in after.items() if before[name] != at}
    assert changed <= {"stream.json", "status.json"}, changed  # the lease, and the minute's rate
    assert max(held[1:]) - held[0] <= GROWTH_KIB, held
    assert min(took) <= STATUS_S, took
