"""The ledger: one legal chain of events whatever interleaves, and no damage goes unseen."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import MismatchError, TemporaryError
from penstock.ledger.journal import Journal, State
from penstock.ledger.lease import LEASE_S, check_free, held, owner
from penstock.storage import LocalStorage

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)
FOLDER = "/ledger"
STEPS = [one for one in State if one is not State.CLAIMED]


@dataclass
class Memory(LocalStorage):
    """Objects in memory; ``between`` is called before each put, as another driver might act."""

    objects: dict[str, bytes] = field(default_factory=dict)
    between: Callable[[], None] | None = None

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As it should be."""
        other, self.between = self.between, None
        if other is not None:
            other()
        return self.objects.setdefault(path, data) is data

    def read(self, path: str) -> bytes:
        """As it should be."""
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def list(self, folder: str) -> list[str]:
        """As it should be."""
        return sorted(one for one in self.objects if one.startswith(folder))


@dataclass
class Driver:
    """One driver: its own view of the journal, its epoch, and what it believes it has written."""

    name: str
    journal: Journal
    epoch: int = 0
    written: list[tuple[str, int]] = field(default_factory=list)

    def act(self, step: State | None, number: int) -> None:
        """Claim (None) or append; being fenced is fine."""
        state = step or State.CLAIMED
        epoch = self.journal.refresh().epoch + 1 if step is None else self.epoch
        try:
            self.journal.append(state, epoch, {"by": self.name, "number": number}, NOW)
        except TemporaryError:
            return
        self.epoch = epoch
        self.written.append((self.name, number))


Act = tuple[int, State | None]
ACT = st.tuples(st.integers(0, 1), st.none() | st.sampled_from(STEPS))


@pytest.mark.shows("3.4")
@given(st.lists(st.tuples(ACT, st.none() | ACT), max_size=25))
def test_two_drivers_leave_one_legal_chain_however_they_interleave(
    acts: list[tuple[Act, Act | None]],
) -> None:
    """What a driver was told is written stands once, in order, under the newest epoch of then.

    The second act of a pair happens inside the first one, after it looked and before it put.
    """
    storage = Memory()
    drivers = [Driver(name, Journal(storage, FOLDER)) for name in ("one", "two")]
    for n, (first, inside) in enumerate(acts):
        if inside is not None and inside[0] != first[0]:
            driver, step = drivers[inside[0]], inside[1]
            storage.between = lambda d=driver, s=step, n=n: d.act(s, 1_000 + n)
        drivers[first[0]].act(first[1], n)
        storage.between = None
    events = Journal(storage, FOLDER).refresh().events
    assert [one.number for one in events] == list(range(1, len(events) + 1))
    told = [told for driver in drivers for told in driver.written]
    assert sorted((one.data["by"], one.data["number"]) for one in events) == sorted(told)
    newest = 0
    for one in events:
        assert one.epoch == newest + (one.state is State.CLAIMED)
        newest = one.epoch


def test_a_driver_whose_window_was_claimed_by_another_is_fenced_and_told_by_whom() -> None:
    """Its next event is refused with 75; nothing of it is written."""
    storage = Memory()
    first, second = Journal(storage, FOLDER), Journal(storage, FOLDER)
    first.append(State.CLAIMED, 1, {"owner": "host one, process 1"}, NOW)
    second.refresh().append(State.CLAIMED, 2, {"owner": "host two, process 2"}, NOW)
    with pytest.raises(TemporaryError, match="claimed by host two, process 2"):
        first.append(State.DONE, 1, {}, NOW)
    assert [one.state for one in second.refresh().events] == [State.CLAIMED, State.CLAIMED]


def test_the_slower_of_two_claims_is_told_who_was_faster() -> None:
    """Both saw the window free; one claim stands."""
    storage = Memory()
    first, second = Journal(storage, FOLDER), Journal(storage, FOLDER)
    storage.between = lambda: second.append(State.CLAIMED, 1, {"owner": "the faster"}, NOW)
    with pytest.raises(TemporaryError, match="claimed by the faster"):
        first.append(State.CLAIMED, 1, {"owner": "the slower"}, NOW)


def test_state_is_the_fold_of_the_events() -> None:
    """A claim does not undo what was reached; data is the newest of its state."""
    journal = Journal(Memory(), FOLDER)
    assert (journal.state, journal.epoch) == (None, 0)
    journal.append(State.CLAIMED, 1, {}, NOW)
    assert journal.state is State.CLAIMED
    journal.append(State.PLANNED, 1, {"pins": 1}, NOW)
    journal.append(State.CLAIMED, 2, {}, NOW)
    assert (journal.state, journal.epoch) == (State.PLANNED, 2)
    journal.append(State.PLANNED, 2, {"pins": 2}, NOW)
    assert journal.data(State.PLANNED) == {"pins": 2}
    assert journal.data(State.DONE) is None


@pytest.mark.shows("3.4")
@given(st.data())
def test_any_change_of_any_byte_is_seen_and_the_file_is_named(data: st.DataObject) -> None:
    """Also in the newest event, which no later one vouches for."""
    storage = _written()
    path = data.draw(st.sampled_from(sorted(storage.objects)))
    whole = storage.objects[path]
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda one: one != whole[place]))
    storage.objects[path] = whole[:place] + bytes([other]) + whole[place + 1 :]
    with pytest.raises(MismatchError, match=path):
        Journal(storage, FOLDER).refresh()


@pytest.mark.shows("3.4")
@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_a_torn_event_is_seen(number: int, kept: int) -> None:
    """However much of it is there."""
    storage = _written()
    path = f"{FOLDER}/{number:06d}.json"
    storage.objects[path] = storage.objects[path][:kept]
    with pytest.raises(MismatchError, match=path):
        Journal(storage, FOLDER).refresh()


@pytest.mark.shows("3.4")
@pytest.mark.parametrize("number", range(1, 4))
def test_a_missing_event_is_seen(number: int) -> None:
    """The gap is named. The newest one missing is the same as its not having happened."""
    storage = _written()
    del storage.objects[f"{FOLDER}/{number:06d}.json"]
    with pytest.raises(MismatchError, match=f"{number:06d}"):
        Journal(storage, FOLDER).refresh()


def test_events_that_change_places_are_seen() -> None:
    """Each is whole, and each stands in the wrong place."""
    storage = _written()
    two, three = f"{FOLDER}/000002.json", f"{FOLDER}/000003.json"
    storage.objects[two], storage.objects[three] = storage.objects[three], storage.objects[two]
    with pytest.raises(MismatchError, match="000002"):
        Journal(storage, FOLDER).refresh()


def _written() -> Memory:
    storage = Memory()
    journal = Journal(storage, FOLDER)
    for state in (State.CLAIMED, State.PLANNED, State.STAGED, State.DONE):
        journal.append(state, 1, {"rows": 17, "text": "é"}, NOW)
    return storage


def _lease(path: Path, **fields: object) -> None:
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "born": 0, "until": 100.0}
    path.write_text(json.dumps({**holder, **fields}), encoding="ascii")


def test_a_lease_of_another_host_holds_until_its_time_is_over(tmp_path: Path) -> None:
    """Its owner is named, with the seconds that are left."""
    path = tmp_path / "lease"
    _lease(path, host="elsewhere", pid=17)
    with pytest.raises(TemporaryError, match="elsewhere, process 17, for 60 s more"):
        check_free(LocalStorage(), str(path), 40.0)
    check_free(LocalStorage(), str(path), 100.0)


def test_a_lease_of_a_living_process_holds_and_ends_with_it(tmp_path: Path) -> None:
    """At once, without waiting: also when its parent has not taken note of its end yet."""
    path, storage = tmp_path / "lease", LocalStorage()
    text = (
        "import sys; from penstock.ledger.lease import held;"
        "from penstock.storage import LocalStorage as S\n"
        "with held(S(), sys.argv[1], lambda: 40.0): print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", text, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(TemporaryError, match=f"process {process.pid},"):
            check_free(storage, str(path), 40.0)
        process.kill()
        deadline = time.monotonic() + 30
        while "Z" not in Path(f"/proc/{process.pid}/stat").read_text().split()[2]:
            assert time.monotonic() < deadline
        check_free(storage, str(path), 40.0)
    check_free(storage, str(path), 40.0)


def test_a_process_id_that_was_given_away_holds_nothing(tmp_path: Path) -> None:
    """The process is there and started at another time."""
    path = tmp_path / "lease"
    _lease(path, born=1)
    check_free(LocalStorage(), str(path), 40.0)
    _lease(path, born=0)  # a system that does not tell
    with pytest.raises(TemporaryError):
        check_free(LocalStorage(), str(path), 40.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}'])
def test_a_lease_nobody_can_read_holds_nothing(tmp_path: Path, text: str) -> None:
    """It is a courtesy only."""
    (tmp_path / "lease").write_text(text, encoding="ascii")
    check_free(LocalStorage(), str(tmp_path / "lease"), 40.0)
    check_free(LocalStorage(), str(tmp_path / "none"), 40.0)


def test_holding_renews_and_gives_back(tmp_path: Path) -> None:
    """While it is held its end moves on with the clock; then it is over at once."""
    path, now = tmp_path / "lease", [40.0]
    with held(LocalStorage(), str(path), lambda: now[0], renew_s=0.01):
        assert _until(path) == 40.0 + LEASE_S
        now[0] = 500.0
        deadline = time.monotonic() + 30
        while _until(path) != 500.0 + LEASE_S:
            assert time.monotonic() < deadline
        with pytest.raises(TemporaryError, match=owner()):
            check_free(LocalStorage(), str(path), 500.0)
    check_free(LocalStorage(), str(path), 500.0)


def test_a_lease_that_was_taken_over_is_left_to_its_new_holder(tmp_path: Path) -> None:
    """Neither renewed nor given back by the one that lost it."""
    path = tmp_path / "lease"
    with held(LocalStorage(), str(path), lambda: 40.0, renew_s=0.01):
        LocalStorage().write(
            str(path), json.dumps({"host": "b", "pid": 1, "born": 2, "until": 7.0}).encode()
        )
        time.sleep(0.1)
        assert _until(path) == 7.0
    assert _until(path) == 7.0


def _until(path: Path) -> float:
    return float(json.loads(path.read_text())["until"])
