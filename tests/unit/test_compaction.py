"""Compaction: what is read of a ledger is the same before and after, whatever goes on beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import MismatchError, TemporaryError
from penstock.ledger.compaction import Compacted, compact
from penstock.ledger.journal import Journal, State
from penstock.run.status import statuses
from penstock.storage import LocalStorage
from tests.ledgers import PIPELINE, Ledger, month

GROUP = PIPELINE.group.name
BEFORE = datetime(2021, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty one; runs are of January 2020."""
    return Ledger(tmp_path)


@dataclass(frozen=True)
class Beside(LocalStorage):
    """``acts`` happen before a name is read or listed, once each, as others act meanwhile."""

    acts: dict[str, Callable[[], object]] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """As it is then."""
        self._act(path)
        return super().read(path)

    def list(self, folder: str) -> list[str]:
        """As it is then."""
        self._act(folder)
        return super().list(folder)

    def _act(self, path: str) -> None:
        for end in [one for one in self.acts if path.endswith(one)]:
            self.acts.pop(end)()


def _compact(ledger: Ledger, before: datetime = BEFORE) -> Compacted:
    return compact(ledger.ours(), before)


def _seen(ledger: Ledger) -> Any:
    """All that is read of a ledger."""
    ours = ledger.ours()
    states = [one.plain() for one in statuses(ledger.settings, [GROUP])]
    journals = {
        window: {n: one.events for n, one in ours.journals(window).items()}
        for window in ours.windows()
    }
    newest = {
        window: (n, one.events) for window in ours.windows() for n, one in [ours.newest(window)]
    }
    return json.loads(json.dumps(states)), journals, newest


def _folders(ledger: Ledger) -> list[str]:
    return sorted(one.name for one in (ledger.root / "state/ledger" / GROUP).iterdir())


def _mixed(ledger: Ledger) -> None:
    ledger.write(month(1), State.DONE)
    ledger.write(month(2), State.GATED)
    ledger.write(month(2), State.DONE, generation=1)
    ledger.write(month(3), State.DONE)
    ledger.write(month(3), State.STAGED, generation=1)
    ledger.write(month(4), State.ONLINE_DONE)
    ledger.write(month(5), State.DONE, at=BEFORE + timedelta(hours=1))


@pytest.mark.shows("5.7")
def test_what_is_read_is_the_same_before_and_after(ledger: Ledger) -> None:
    """Finished windows are in the snapshot, in full; others stay; doing it again does nothing."""
    _mixed(ledger)
    before = _seen(ledger)
    assert _compact(ledger) == Compacted(GROUP, windows=2, whole=2, left=3)
    assert _folders(ledger) == [month(one).name for one in (3, 4, 5)]
    assert _seen(ledger) == before
    assert _compact(ledger) == Compacted(GROUP, windows=0, whole=2, left=3)
    assert _seen(ledger) == before


def test_a_window_that_is_run_again_has_its_new_generation_beside_the_snapshot(
    ledger: Ledger,
) -> None:
    """The newest generation counts, wherever it is; then it takes the old head's place."""
    _mixed(ledger)
    _compact(ledger)
    ledger.write(month(1), State.STAGED, generation=1)
    states = {one.window: one.state for one in statuses(ledger.settings, [GROUP])}
    assert states[month(1).name] is State.STAGED
    assert sorted(ledger.ours().journals(month(1).name)) == [0, 1]
    assert ledger.ours().newest(month(1).name)[0] == 1
    ledger.write(month(1), State.DONE, generation=2)
    before = _seen(ledger)
    assert _compact(ledger).whole == 2
    assert _seen(ledger) == before
    files = list((ledger.root / "state/snapshots" / GROUP).iterdir())
    assert {one.name[:6] for one in files} == {"000002"}  # the first one is gone
    assert len(files) == 2


def test_a_crash_between_snapshot_and_removal_is_finished_by_the_next(ledger: Ledger) -> None:
    """Folders that are still there are passed over, then removed."""
    _mixed(ledger)
    before = _seen(ledger)

    class Killed(LocalStorage):
        """Dies before the first folder goes."""

        def remove(self, folder: str) -> None:
            """Never."""
            raise KeyboardInterrupt(folder)

    with pytest.raises(KeyboardInterrupt):
        compact(ledger.ours(Killed()), BEFORE)
    assert len(_folders(ledger)) == 5
    assert _seen(ledger) == before
    assert _compact(ledger) == Compacted(GROUP, windows=0, whole=2, left=3)
    assert _folders(ledger) == [month(one).name for one in (3, 4, 5)]
    assert _seen(ledger) == before


def test_a_reader_that_meets_a_compaction_reads_anew(ledger: Ledger) -> None:
    """Wherever it comes between: after the folders were listed, or while events are read."""
    for place in ("snapshots/readings", "0000/000003.json", "0000/000007.json", "0000"):
        ledger = Ledger(ledger.root / place.replace("/", "-"))
        _mixed(ledger)
        _, journals, newest = _seen(ledger)
        storage = Beside(acts={place: lambda one=ledger: _compact(one)})  # type: ignore[misc]  # a default
        ours = ledger.ours(storage)
        window = month(1).name
        number, journal = ours.newest(window)
        assert not storage.acts, place
        assert (number, journal.events) == newest[window]
        ledger.write(month(6), State.DONE)
        ledger.write(month(7), State.DONE)
        storage.acts["0000/000007.json"] = lambda one=ledger: _compact(one)  # type: ignore[misc]  # a default
        assert [one.window for one in ours.heads()] == sorted(
            [*journals, month(6).name, month(7).name]
        )
        assert not storage.acts


def test_a_driver_that_slept_is_fenced_by_a_folder_that_is_gone(ledger: Ledger) -> None:
    """It neither goes on in an empty folder nor starts a new journal there; 75."""
    ledger.write(month(1), State.STAGED)
    slept = Journal(LocalStorage(), ledger.places(month(1)).journal(0)).refresh()
    other = Journal(LocalStorage(), slept.folder).refresh()
    other.append(State.CLAIMED, 2, {}, ledger.at)
    other.append(State.DONE, 2, {"figures": {}}, ledger.at)
    before = _seen(ledger)
    _compact(ledger)
    for state, epoch in ((State.ONLINE_DONE, 1), (State.CLAIMED, 3)):
        with pytest.raises(TemporaryError, match="compacted"):
            slept.append(state, epoch, {}, ledger.at)
    assert _seen(ledger) == before
    assert not (ledger.root / "state/ledger" / GROUP / month(1).name).exists()


def test_a_claim_of_a_generation_that_is_compacted_meanwhile_is_refused(ledger: Ledger) -> None:
    """Seen as not begun, done by another and compacted: its stray claim changes nothing."""
    window = month(1).name
    ours = ledger.ours()
    number, journal = ours.newest(window)
    ledger.write(month(1), State.DONE)
    before = _seen(ledger)
    _compact(ledger)
    with pytest.raises(TemporaryError, match="compacted"):
        ours.claim(window, number, journal, 1, {"run": "late"}, ledger.at)
    assert _seen(ledger) == before
    assert _compact(ledger).windows == 0
    assert _seen(ledger) == before
    ours.claim(window, 1, ours.begun(window, 1), 1, {"run": "again"}, ledger.at)
    assert ours.newest(window)[0] == 1


def test_of_two_compactions_one_takes_its_number(ledger: Ledger) -> None:
    """The slower one removes nothing, also where its number is free again."""
    _mixed(ledger)
    before = _seen(ledger)
    storage = Beside(acts={f"{month(4).name}": lambda: _compact(ledger)})
    with pytest.raises(TemporaryError, match="another compaction"):
        compact(ledger.ours(storage), BEFORE)
    assert _seen(ledger) == before

    def twice() -> None:
        _compact(ledger)
        ledger.write(month(6), State.DONE)
        _compact(ledger)

    ledger.write(month(7), State.DONE)
    ledger.write(month(8), State.DONE)
    storage.acts[month(8).name] = twice
    with pytest.raises(TemporaryError, match="another compaction"):
        compact(ledger.ours(storage), BEFORE)
    whole = {month(one).name for one in range(1, 9)}
    assert set(ledger.ours().windows()) == whole
    states = {one.window: one.state for one in statuses(ledger.settings, [GROUP])}
    assert {states[month(one).name] for one in (1, 2, 6, 7, 8)} == {State.DONE}


def test_a_damaged_window_stays_where_it_is_and_is_told(ledger: Ledger) -> None:
    """The others are compacted."""
    _mixed(ledger)
    event = Path(ledger.places(month(1)).journal(0)) / "000003.json"
    event.write_bytes(event.read_bytes()[:-1])
    found = _compact(ledger)
    assert (found.windows, len(found.damaged)) == (1, 1)
    assert str(event) in found.damaged[0]
    assert month(1).name in _folders(ledger)


@pytest.mark.shows("5.6")
def test_t36_any_change_of_a_snapshot_is_seen(ledger: Ledger) -> None:
    """By the hash, at every byte; and nothing false is read, though a reader may see less: 70."""
    _mixed(ledger)
    _compact(ledger)
    before = _seen(ledger)
    snapshot = ledger.ours().snapshot()
    file = Path(snapshot.file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(MismatchError, match=str(file)):
            snapshot.check_hash()
    for changed in (whole[:-1], whole[:100], b""):
        file.write_bytes(changed)
        with pytest.raises(MismatchError, match=str(file)):
            ledger.ours().heads()
    file.unlink()
    for read in (ledger.ours().heads, ledger.ours().windows):
        with pytest.raises(MismatchError, match=str(file)):
            read()
    file.write_bytes(whole)
    assert _seen(ledger) == before
    record = file.with_name("000001.json")
    record.write_bytes(record.read_bytes().replace(b"windows", b"Windows"))
    with pytest.raises(MismatchError, match=str(record)):
        ledger.ours().heads()
