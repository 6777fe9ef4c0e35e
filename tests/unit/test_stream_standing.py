"""How a stream stands, and whether it may go on, is told by what is written down."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.errors import UsageError
from penstock.ledger.lease import held
from penstock.run.places import state_folder
from penstock.streaming.meter import Meter
from penstock.streaming.places import Opened, lease_path, opened
from penstock.streaming.query import Asked, _Run
from penstock.streaming.standing import line, standings
from tests.staged_batches import GROUP, START, STORAGE
from tests.stream_bench import Bench

NOW = START.timestamp()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Settings, and a folder for the state."""
    return Bench(tmp_path)


def begun(bench: Bench, topic: str = "t", *, again: bool = False) -> Opened:
    """A stream of group ``g``."""
    state = state_folder(bench.context.settings)
    return opened(STORAGE, state, "g", {"kafka": topic}, filled=False, again=again)


def say(found: Opened, state: str) -> None:
    """What a run writes down."""
    said = {"state": state, "at": "2024-05-01T00:00:00Z", **Meter(NOW).plain(NOW)}
    STORAGE.write(found.places.status, json.dumps(said).encode())


def standing(bench: Bench, now: float = NOW) -> dict[str, Any]:
    """Of group ``g``; group ``f`` has no stream."""
    (found,) = standings(bench.context.settings, ["f", "g"], now)
    return found


def test_a_stream_without_a_word_has_begun(bench: Bench) -> None:
    """Where none was begun, there is nothing to say."""
    assert standings(bench.context.settings, ["g"], NOW) == []
    begun(bench)
    assert standing(bench) == {"group": "g", "stream": 1, "state": "begun", "at": None}
    assert line(standing(bench)) == "g stream 1: begun"


def test_a_stream_whose_lease_has_ended_does_not_run(bench: Bench) -> None:
    """Whatever it said last: who is killed says nothing. What to do is told."""
    found, lease = begun(bench), lease_path(state_folder(bench.context.settings), "g")
    say(found, "running")
    assert standing(bench)["state"] == "interrupted"
    with held(STORAGE, lease, lambda: NOW):
        assert standing(bench)["state"] == "running"
        assert "; penstock stream" not in line(standing(bench))
        assert standing(bench, NOW + 3_600)["state"] == "interrupted"
    assert line(standing(bench)) == (
        "g stream 1: interrupted, at 2024-05-01T00:00:00Z: 0 events, 0/s, no event in the last "
        "minute, offline 0 rows, 0 s behind; penstock stream g"
    )
    say(found, "stopped")
    assert standing(bench)["state"] == "stopped"


def test_the_newest_stream_of_a_group_is_told(bench: Bench) -> None:
    """What an older one said is past."""
    say(begun(bench), "stopped")
    begun(bench, "other", again=True)
    assert (standing(bench)["stream"], standing(bench)["state"]) == (2, "begun")


def test_rows_that_killed_runs_had_in_hand_go(bench: Bench) -> None:
    """What was put aside stays: a batch that waits may name it."""
    found = begun(bench)
    for name in ("one/rows-a.parquet", "two/rows-b.parquet", "two/bad-b.parquet"):
        STORAGE.write(f"{found.places.gated}/{name}", b"")
    run_of(bench, found)._forget_rows()
    left = [one.removeprefix(found.places.gated) for one in STORAGE.walk(found.places.gated)]
    assert left == ["/two/bad-b.parquet"]


def run_of(bench: Bench, found: Opened) -> _Run:
    """A run that is not begun."""
    pipeline, nothing = cast("Any", SimpleNamespace(group=GROUP)), cast("Any", None)
    check, stop = bench.check, threading.Event()
    return _Run(bench.context, pipeline, nothing, "s", found, Asked(), check, stop)


def test_a_checkpoint_that_was_set_back_is_refused(bench: Bench) -> None:
    """Batch 8 would be given other events than the batch 8 that is in, and they would be lost."""
    found = begun(bench)
    run = run_of(bench, found)

    def check(reached: int) -> None:
        run._check_reached(cast("Any", SimpleNamespace(reached=reached)))

    check(-1)
    for batch in (6, 7):
        STORAGE.write(f"{found.places.checkpoint}/offsets/{batch}", b"")
    check(7)
    with pytest.raises(UsageError, match="is at batch 7, its stores are at 8") as told:
        check(8)
    assert "delete it and start with --allow-reprocess" in told.value.remedy
    assert begun(bench, again=True) == replace(found, resumed=True)  # as long as it is there
    STORAGE.remove(f"{found.places.checkpoint}/offsets")
    with pytest.raises(UsageError, match="is at batch -1"):
        check(0)
    STORAGE.remove(found.places.checkpoint)
    assert begun(bench, again=True).places.number == 2
