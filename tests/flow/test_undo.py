"""A run that is taken back: both stores are as they were before it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.ledger.window import Window, window
from penstock.offline.table import OfflineTable
from penstock.run.ingest import Correct, Result, ingest_pipeline
from penstock.run.status import Status, statuses
from penstock.run.timeline import read_calendar
from penstock.run.undo import Undone, undo
from penstock.run.undoable import find
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE

OLD, NEW = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"
FIRST = f"a,{OLD},1,\nb,{OLD},3,0.5\n"
pytestmark = [
    pytest.mark.shows("5.6"),
    pytest.mark.parametrize(
        "lab",
        ["delta", *(pytest.param(one, marks=pytest.mark.prove) for one in ("iceberg", "hive"))],
        indirect=True,
    ),
]


@pytest.mark.prove
def test_the_stores_are_as_they_were(lab: Lab) -> None:
    """An update goes back, a new record goes, another stays; then the run can be had again."""
    first = _run(lab, FIRST)
    before, online = lab.offline(GROUP), _online(lab)
    more = f"{FIRST}a,{NEW},2,\nc,{OLD},9,\n"
    _run(lab, more)
    assert _online(lab) == {"a": "2", "b": "3", "c": "9"}
    second = _ran(lab)
    done = _undo(lab, second)
    assert done == Undone("readings", "all", str(second), 2, 2, 1, stays=True)
    assert (lab.offline(GROUP), _online(lab)) == (before, online)
    assert lab.online(GROUP, "a")["a"] == {"sensor": "a", "at": OLD, "level": "1"}
    assert _undo(lab, second) == done
    data = _status(lab).data
    assert data is not None
    assert data["figures"]["offline"] == first.figures.offline == 2
    found = _run(lab, FIRST).figures
    assert (found.offline, found.present, found.accepted) == (0, 2, 2)

    found = _run(lab, more).figures
    assert (found.offline, found.present, found.accepted) == (2, 2, 3)
    assert _online(lab) == {"a": "2", "b": "3", "c": "9"}
    with pytest.raises(UsageError, match="a later run of the window stands on it"):
        _undo(lab, second)


@pytest.mark.prove
def test_a_correction_goes_back(lab: Lab) -> None:
    """The value before it is current in both stores; what it did not change is not touched."""
    _run(lab, FIRST)
    _run(lab, f"a,{OLD},7,\nb,{OLD},3,0.5\n", correct="update")
    assert _online(lab) == {"a": "7", "b": "3"}
    done = _undo(lab, _ran(lab))
    assert (done.offline, done.removed, done.restored) == (1, 1, 1)
    assert _online(lab) == {"a": "1", "b": "3"}


def test_the_only_run_leaves_a_window_that_is_missing(lab: Lab) -> None:
    """Nothing is left in either store; the next run is a first one."""
    _run(lab, FIRST)
    run = _ran(lab)
    done = _undo(lab, run)
    assert (done.offline, done.removed, done.restored, done.stays) == (2, 2, 0, False)
    assert (lab.offline(GROUP), _online(lab)) == ([], {})
    assert _status(lab).undone
    now = datetime.now(timezone.utc)
    calendar = read_calendar(lab.settings(), PIPELINE, now)
    assert (calendar.cells, calendar.everything) == ((), None)
    assert _run(lab, FIRST).figures.offline == 2
    assert _online(lab) == {"a": "1", "b": "3"}
    with pytest.raises(UsageError, match="no run 'nobody'"):
        _undo(lab, "nobody")


def test_windows_that_overlap_are_taken_back_newest_first(lab: Lab) -> None:
    """A later run left out what this one had brought: it must go first, and then is in no way."""
    _run(lab, FIRST)
    first = _ran(lab)
    day = window("2024-01-01", "2024-01-02")
    done = _run(lab, f"{FIRST}c,{OLD},9,\n", window=day)
    assert (done.figures.present, done.figures.offline) == (2, 1)
    second = _ran(lab, day.name)
    with pytest.raises(UsageError, match=f"window {day.name} was run later") as caught:
        _undo(lab, first)
    assert caught.value.remedy == "Nothing was done. Take that one back first"
    assert _undo(lab, second).offline == 1
    assert _online(lab) == {"a": "1", "b": "3"}
    assert _undo(lab, first).offline == 2
    assert (lab.offline(GROUP), _online(lab)) == ([], {})


@pytest.mark.prove
def test_an_undo_that_was_interrupted_is_finished_first(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window is not run again before that; the same command goes on."""
    _run(lab, FIRST)
    run = _ran(lab)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(OfflineTable, "take_out", dies)
        with pytest.raises(KeyboardInterrupt):
            _undo(lab, run)
    assert (len(lab.offline(GROUP)), _online(lab)) == (2, {})
    with pytest.raises(UsageError, match="is being taken back") as caught:
        _run(lab, FIRST)
    assert f"penstock undo {run}" in caught.value.remedy
    done = _undo(lab, run)
    assert (done.offline, done.removed) == (2, 2)
    assert lab.offline(GROUP) == []


def _run(
    lab: Lab, text: str, correct: Correct | None = None, window: Window | None = None
) -> Result:
    file = lab.root / "readings.csv"
    text = f"sensor,at,level,share\n{text}"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    settings = _settings(lab)
    lab.provision(GROUP, settings)
    return ingest_pipeline(lab.context(settings), PIPELINE, window or Window(), correct=correct)


def _settings(lab: Lab) -> Any:
    place: Any = {"storage_type": "Standard_V2"}
    sources = {"readings": lab.root / "readings.csv"}
    return lab.settings(sources, groups__readings=place, online__removal_grace_s=0.2)


def _undo(lab: Lab, run: str | None) -> Undone:
    context = lab.context(_settings(lab))
    return undo(context, GROUP, str(run), find(context, str(run)))


def _ran(lab: Lab, name: str = "all") -> str:
    """The run that stands."""
    data = _status(lab, name).data
    assert data is not None
    return str(data["run"])


def _status(lab: Lab, name: str = "all") -> Status:
    return next(one for one in statuses(lab.settings(), [GROUP.name]) if one.window == name)


def _online(lab: Lab) -> dict[str, str]:
    found = lab.online(GROUP, "a", "b", "c")
    return {key: one["level"] for key, one in found.items() if one is not None}
