"""T36 with Spark: a ledger that was harmed is rebuilt, and the same command goes on from it."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.ledger.compaction import compact
from penstock.ledger.history import Ledger
from penstock.ledger.journal import State
from penstock.ledger.window import Window
from penstock.run.damage import damages
from penstock.run.places import Places
from penstock.run.rebuilding import Rebuilt, rebuilt_all
from penstock.storage import LocalStorage
from tests.flow.test_bad_files import GROUP, HEADER, PIPELINE, lines
from tests.harm import HARM
from tests.lab import Lab

NAME = GROUP.name
pytestmark = [pytest.mark.prove, pytest.mark.shows("5.6")]


def _ledger(lab: Lab) -> Ledger:
    return Ledger(LocalStorage(), str(lab.root / "state"), NAME)


def _rebuild(lab: Lab) -> list[Rebuilt]:
    return rebuilt_all(lab.settings(), _ledger(lab), None, datetime.now(timezone.utc))


def _told(lab: Lab) -> tuple[list[State], Any]:
    """States of the newest journal in order, and all that its end carries."""
    journal = _ledger(lab).newest("all")[1]
    return [one.state for one in journal.events], journal.data(State.DONE)


def _ingested(lab: Lab) -> Path:
    """A run with bad rows to its end; answers its source."""
    source = lab.root / "in.csv"
    source.write_text(HEADER + lines(0, 40) + lines(40, 43, "no number"), encoding="ascii")
    lab.ingest(PIPELINE, {"files": source}, quality__max_quarantine_ratio=0.5)
    return source


def test_t36_ledger_corruption_is_seen_and_rebuilt(lab: Lab) -> None:
    """An event flipped, torn, deleted, out of order; all gone; then the snapshot: all as before.

    Nothing is sent or written for it; the same command finds everything done afterwards.
    """
    source = _ingested(lab)
    before, rows = _told(lab), lab.offline(GROUP)
    assert before[0][-1] is State.DONE
    assert damages(_ledger(lab)) == []
    folder = Path(_ledger(lab).journal_folder("all", 0))
    names = sorted(one.name for one in folder.iterdir())
    assert len(names) == 7
    for name, (how, harm) in zip(names[1::2] + names[-1:], HARM.items(), strict=True):
        harm(folder / name)
        (found,) = damages(_ledger(lab))
        assert (found.window, found.generation) == ("all", 0), (how, name)
        assert [one.state for one in _rebuild(lab)] == [State.DONE]
        assert _told(lab) == before, (how, name)
    shutil.rmtree(folder.parents[2])
    assert [one.state for one in _rebuild(lab)] == [State.DONE]
    assert _told(lab) == before
    assert compact(_ledger(lab), datetime.now(timezone.utc)).windows == 1
    assert not folder.exists()
    HARM["flip"](Path(_ledger(lab).snapshot().file))
    assert [one.window for one in damages(_ledger(lab))][:1] == [None]
    assert [one.state for one in _rebuild(lab)] == [None, State.DONE]
    assert _told(lab) == before
    again = lab.ingest(PIPELINE, {"files": source}, quality__max_quarantine_ratio=0.5)
    assert again.state == "unchanged"
    assert lab.offline(GROUP) == rows


def test_what_had_not_come_to_its_end_is_rebuilt_as_far_as_it_is_proven(lab: Lab) -> None:
    """OFFLINE_COMMITTED, ONLINE_DONE, STAGED; a run finishes each, and finds what was done."""
    source = _ingested(lab)
    (_, done), rows, ledger = _told(lab), lab.offline(GROUP), _ledger(lab)
    places = Places(ledger.state, NAME, Window())
    folder = Path(ledger.journal_folder("all", 0))
    note, pin = Path(places.pin(0, "done")), Path(places.pin(0, "api_invocation_time"))
    log = lab.root / "lake" / "offline" / NAME / "_delta_log"
    if not log.is_dir():
        (log,) = (lab.root / "lake" / "offline").glob("*/_delta_log")
    hidden = log.with_name("hidden")

    def reached() -> State | None:
        shutil.rmtree(folder, ignore_errors=True)
        note.unlink(missing_ok=True)
        (found,) = _rebuild(lab)
        return found.state

    assert reached() is State.OFFLINE_COMMITTED
    log.rename(hidden)
    assert reached() is State.ONLINE_DONE
    decided = pin.read_bytes()
    pin.unlink()
    assert reached() is State.STAGED
    pin.write_bytes(decided)
    hidden.rename(log)
    assert _rebuild(lab) == []
    again = lab.ingest(PIPELINE, {"files": source}, quality__max_quarantine_ratio=0.5)
    assert again.state == "resumed"
    assert lab.offline(GROUP) == rows
    times = ("seconds", "online_s")
    figures = {name: one for name, one in done["figures"].items() if name not in times}
    assert {
        name: json.loads(json.dumps(again.figures.plain()))[name] for name in figures
    } == figures
