"""Collection: the bulk of what was done long enough ago goes, and nothing else does, ever."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import aws
from penstock.errors import MismatchError, TemporaryError, UsageError
from penstock.ledger.compaction import compact
from penstock.ledger.decisions import Decisions
from penstock.ledger.journal import UNDOES, Journal, State
from penstock.ledger.window import Window, replay_window
from penstock.run import collection
from penstock.run.collection import Amount, Collected, collect, collected
from penstock.run.context import Context
from penstock.run.damage import damages
from penstock.run.figures import Figures
from penstock.run.manifest import Manifest
from penstock.run.mode import Mode
from penstock.run.status import statuses
from penstock.run.timeline import read_calendar
from penstock.run.undo import check_none, undo
from penstock.run.undoable import find
from penstock.stage.report import Report, Staged
from penstock.storage import LocalStorage, Storage
from tests.harm import HARM
from tests.ledgers import PINS, PIPELINE, Ledger, month

DAY = timedelta(days=1)
WEEK = 7 * DAY
NOW = datetime(2020, 1, 31, 12, tzinfo=timezone.utc)
OLD, YOUNG = NOW - WEEK, NOW - WEEK + timedelta(microseconds=1)
ONLINE = {"sent": 3, "rejected": 0, "rejects": []}
#: Paths of a generation's bulk, by folder: of an epoch that lost, of the winner, of sending.
BULK = (
    *("staged/{}/0001/source-readings/rows-0.parquet", "staged/{}/0002/rows-0.parquet"),
    *("staged/{}/0002/send-0.parquet", "staged/{}/selection-0000/0002/send-0.parquet"),
    *("online/{}/send-0-000000.json", "online/{}/send-0-000000-ab-rejects.parquet"),
    *("online/{}-0000/send-0-000000.json", "online/{}-0000-gone/gone-0-000000.json"),
)
SMALL = ("manifest", "api_invocation_time", "write_time", "selection-0000")
EVERY = len(BULK)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty one, whose runs are old enough."""
    return Ledger(tmp_path, at=OLD)


def _staged(
    ledger: Ledger, one: Window, generation: int = 0, state: State | None = State.DONE
) -> list[str]:
    """All that a run leaves beside its journal; paths of the bulk."""
    where = f"{ledger.group}/{one.name}/{generation:04d}"
    bulk = [f"{ledger.root}/state/{path.format(where)}" for path in BULK]
    small = (*SMALL, "done") if state is State.DONE else SMALL
    files = {ledger.places(one).pin(generation, name): b"{}" for name in small}
    for path, data in {**files, **{path: path.encode()[-20:] for path in bulk}}.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
    return bulk


def _tree(ledger: Ledger) -> dict[str, bytes]:
    """Every file of the state, and every folder: an empty one shows."""
    root = ledger.root / "state"
    found = {f"{one.relative_to(root)}": one for one in root.rglob("*")}
    return {name: one.read_bytes() if one.is_file() else b"" for name, one in found.items()}


def _collect(ledger: Ledger, storage: Storage | None = None, *, dry_run: bool = False) -> Collected:
    return collect(ledger.ours(storage), NOW, WEEK, dry_run=dry_run)


def _kept(why: str, windows: int = 1, files: int = EVERY) -> dict[str, Amount]:
    return {why: Amount(windows, files, files * 20)}


def test_what_was_done_a_week_ago_goes_and_the_small_evidence_stays(ledger: Ledger) -> None:
    """To the microsecond; folders go too; a second collection finds nothing, at no change."""
    bulk = _staged(ledger, month(1))
    ledger.write(month(1), State.DONE)
    _staged(ledger, month(2))
    ledger.write(month(2), State.DONE, at=YOUNG)
    before = _tree(ledger)
    found = _collect(ledger, dry_run=True)
    assert _tree(ledger) == before
    assert _collect(ledger) == found
    assert found.taken == Amount(1, EVERY, EVERY * 20)
    assert found.kept == _kept(collection.YOUNG)
    after = _tree(ledger)
    note = f"staged/{ledger.group}/{month(1).name}/0000/collected.json"
    files = {one.removeprefix(f"{ledger.root}/state/") for one in bulk}
    folders = {f"{up}" for one in files for up in Path(one).parents}
    gone = {one for one in files | folders if one in before and one not in after}
    assert gone >= files
    assert set(after) == set(before) - gone | {note}
    assert not (ledger.root / "state/online" / ledger.group / month(1).name).exists()
    again = _collect(ledger)
    assert again == replace(found, taken=Amount())
    assert _tree(ledger) == after


STATES = (*State, None)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_of_a_window_goes_that_is_not_done(
    ledger: Ledger, state: State | None, number: int
) -> None:
    """Whatever its newest generation has come to, also where an earlier one is done."""
    for generation in range(number + 1):
        _staged(ledger, month(1), generation)
    for generation in range(number):
        ledger.write(month(1), State.DONE, generation)
    if state is not None:
        ledger.write(month(1), state, number)
    before = _tree(ledger)
    found = _collect(ledger)
    if state is State.DONE:
        assert found.taken.files == EVERY * (number + 1)
        return
    assert _tree(ledger) == before
    why = collection.LOST if state is None else collection.NOT_DONE
    assert found.kept == _kept(why, files=EVERY * (number + 1))
    assert found.taken == Amount()


def test_a_generation_of_today_keeps_those_before_it(ledger: Ledger) -> None:
    """A window is as old as its newest end."""
    for generation, at in enumerate((OLD, YOUNG)):
        _staged(ledger, month(1), generation)
        ledger.write(month(1), State.DONE, generation, at=at)
    assert _collect(ledger).kept == _kept(collection.YOUNG, files=2 * EVERY)
    after = collect(ledger.ours(), NOW + DAY, WEEK)
    assert after.taken.files == 2 * EVERY


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*State, None]),
            st.integers(0, 1),
            st.integers(-2, 2),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_of_any_ledger_only_done_and_old_windows_change(
    windows: list[tuple[State | None, int, int, bool, bool]],
) -> None:
    """State, generations before, days beyond the week, claimed again since, compacted before."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder), at=OLD)
        bulk: dict[str, list[str]] = {}
        goes = set()
        for n, (state, earlier, beyond, claimed, _) in enumerate(windows, 1):
            one = month(n)
            bulk[one.name] = [p for g in range(earlier + 1) for p in _staged(ledger, one, g)]
            for generation in range(earlier):
                ledger.write(one, State.DONE, generation, at=OLD - 9 * DAY)
            if state is not None:
                ledger.write(one, state, earlier, at=OLD - beyond * DAY)
                if claimed:
                    journal = Journal(LocalStorage(), ledger.places(one).journal(earlier))
                    journal.append(State.CLAIMED, 2, {"run": "late"}, NOW)
            if state is State.DONE and beyond >= 0:
                goes.add(one.name)
        if windows[0][4]:
            compact(ledger.ours(), OLD)
        before, harmed = _tree(ledger), damages(ledger.ours())
        found = _collect(ledger)
        after = _tree(ledger)
        assert not found.damaged
        assert found.taken.windows == len(goes)
        for name, files in bulk.items():
            assert {Path(one).exists() for one in files} == {name not in goes}
        full = {p for p in before if before[p]}  # folders that are empty then go as well
        left = {p for p in full if not any(f"/{name}/" in f"/{p}/" for name in goes)}
        assert {p: after.get(p) for p in left} == {p: before[p] for p in left}
        small = {p for p in before if p.startswith("staged/") and p.endswith(".json")}
        assert {p: after.get(p) for p in small} == {p: before[p] for p in small}
        assert damages(ledger.ours()) == harmed


class DiedError(Exception):
    """The process ends here."""


@dataclass(frozen=True)
class Mortal(LocalStorage):
    """Dies before the change of that number, as ``kill -9`` does."""

    left: list[int] = field(default_factory=list)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """A change."""
        self._change()
        return super().put_if_absent(path, data)

    def delete(self, path: str) -> None:
        """A change."""
        self._change()
        super().delete(path)

    def _change(self) -> None:
        if self.left[0] == 0:
            raise DiedError
        self.left[0] -= 1


def _two(root: Path) -> Ledger:
    """Two windows that can be collected, one of two generations; one that cannot."""
    made = Ledger(root, at=OLD)
    for one, number, state in (
        (month(1), 0, State.DONE),
        (month(1), 1, State.DONE),
        (month(2), 0, State.DONE),
        (month(3), 0, State.STAGED),
    ):
        _staged(made, one, number, state)
        made.write(one, state, number)
    return made


def test_killed_at_any_change_the_next_one_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    """Before every note and every delete of three generations; nothing is lost in between."""
    whole = _two(tmp_path / "whole")
    _collect(whole)
    changes = 3 * (EVERY + 1)
    for number in range(changes + 1):
        ledger = _two(tmp_path / f"{number}")
        mortal = Mortal([number])
        if number < changes:
            with pytest.raises(DiedError):
                _collect(ledger, mortal)
            assert damages(ledger.ours()) == []
            _collect(ledger)
        else:
            _collect(ledger, mortal)
            assert mortal.left == [0]
        assert _tree(ledger) == _tree(whole)


@dataclass(frozen=True)
class Beside(LocalStorage):
    """``act`` happens once, before the call of that number, as others act meanwhile."""

    act: Callable[[], object]
    left: list[int]

    def read(self, path: str) -> bytes:
        """As it is then."""
        self._count()
        return super().read(path)

    def list(self, folder: str) -> list[str]:
        """As it is then."""
        self._count()
        return super().list(folder)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As it is then."""
        self._count()
        return super().put_if_absent(path, data)

    def delete(self, path: str) -> None:
        """As it is then."""
        self._count()
        super().delete(path)

    def _count(self) -> None:
        self.left[0] -= 1
        if self.left[0] == 0:
            self.act()


def test_two_collections_side_by_side_end_as_one(tmp_path: Path) -> None:
    """The second one runs as a whole before each call of the first."""
    whole = _two(tmp_path / "whole")
    _collect(whole)
    number, done = 1, False
    while not done:
        ledger = _two(tmp_path / f"{number}")
        beside = Beside(lambda here=ledger: _collect(here), [number])  # type: ignore[misc]  # mypy cannot infer a lambda's default
        assert _collect(ledger, beside).damaged == ()
        done = beside.left[0] > 0
        if not done:
            assert _tree(ledger) == _tree(whole)
        number += 2
    assert number > 3 * EVERY


def test_compaction_beside_it_does_no_harm(tmp_path: Path) -> None:
    """Windows go into the snapshot before each call: the same files are gone, all is whole."""
    for number in range(1, 80, 3):
        ledger = _two(tmp_path / f"{number}")
        beside = Beside(lambda here=ledger: compact(here.ours(), NOW), [number])  # type: ignore[misc]  # mypy cannot infer a lambda's default
        assert _collect(ledger, beside).damaged == ()
        assert _collect(ledger).taken == Amount()
        assert damages(ledger.ours()) == []


def test_a_claim_between_note_and_delete_keeps_the_files(ledger: Ledger) -> None:
    """Whoever claims after the look finds the note; whoever claimed before is seen here."""
    bulk = _staged(ledger, month(1))
    ledger.write(month(1), State.DONE)

    class Claimed(LocalStorage):
        def put_if_absent(self, path: str, data: bytes) -> bool:
            ledger.write(month(1), State.CLAIMED, 1)
            return super().put_if_absent(path, data)

    assert _collect(ledger, Claimed()).kept == _kept(collection.MEANWHILE)
    assert all(Path(one).exists() for one in bulk)


def test_what_is_read_of_the_ledger_is_the_same_after_it(tmp_path: Path) -> None:
    """``status``, the calendar ``plan`` is made from, ``verify``; compacted before or after."""
    ledger = _two(tmp_path)

    def seen() -> object:
        calendar = read_calendar(ledger.settings, PIPELINE, NOW)
        told = [one.plain() for one in statuses(ledger.settings, [ledger.group])]
        return told, calendar.counts, ledger.ours().windows(), damages(ledger.ours())

    before = seen()
    assert _collect(ledger).taken.windows == 2
    assert seen() == before
    compact(ledger.ours(), NOW)
    assert _collect(ledger).taken == Amount()
    assert seen() == before


def test_a_damaged_window_is_left_and_named_and_the_others_go(ledger: Ledger) -> None:
    """An event that is not as it was written; a note of another journal, or a damaged one."""
    for number in range(1, 5):
        _staged(ledger, month(number))
        ledger.write(month(number), State.DONE)
    HARM["flip"](Path(ledger.places(month(1)).journal(0)) / "000003.json")
    notes = [Path(ledger.places(month(n)).pin(0, "collected")) for n in (2, 3)]
    notes[0].write_bytes(b"{}")
    other = Ledger(ledger.root / "other", at=OLD)
    _staged(other, month(3))
    other.write(month(3), State.DONE)
    _collect(other)
    said = Path(other.places(month(3)).pin(0, "collected"))
    notes[1].write_bytes(said.read_bytes())
    assert _collect(ledger).taken.windows == 2  # of the same journal the note stands
    _staged(ledger, month(3))
    journal = Path(ledger.places(month(3)).journal(0))
    for event in journal.iterdir():
        event.unlink()
    for state in State:
        if state is not State.GATED:
            again = Journal(LocalStorage(), str(journal))
            again.append(state, 1, {"sent": 4} if state is State.ONLINE_DONE else {}, OLD)
    found = _collect(ledger)
    assert len(found.damaged) == 3
    assert all(str(path) in line for path, line in zip(notes, found.damaged[1:], strict=True))
    with pytest.raises(MismatchError, match="not a ledger event"):
        collected(LocalStorage(), ledger.places(month(2)), 0)


def test_a_replay_keeps_its_rejects_until_it_is_noted(ledger: Ledger) -> None:
    """What the service refused of it is read when the rows' fate is written down."""
    one = replay_window("ab" * 8, OLD - DAY, OLD)
    _staged(ledger, one)
    ledger.write(one, State.DONE)
    log = Decisions(LocalStorage(), f"{ledger.root}/state/decisions/{ledger.group}")
    assert log.add("replaying", ["key"], by="me", now=OLD, window=one.name)
    assert _collect(ledger).kept == _kept(collection.REPLAYED)
    assert log.add("replayed", ["key"], by="me", now=OLD, window=one.name)
    assert _collect(ledger).taken.files == EVERY


def test_what_nobody_of_us_wrote_stays(ledger: Ledger) -> None:
    """Folders of other names, files at other depths, a group without anything."""
    ledger.write(month(1), State.DONE)
    for path in ("staged/readings/x", "staged/readings/w/x/a/b", "online/readings/w/notes/a"):
        LocalStorage().write(f"{ledger.root}/state/{path}", b"x")
    before = _tree(ledger)
    assert _collect(ledger) == Collected(ledger.group, Amount())
    assert _tree(ledger) == before


@dataclass(frozen=True)
class Where(Context):
    """Surroundings with a storage of the test's own, and no Spark."""

    own: Storage = field(default_factory=LocalStorage)

    @property
    def storage(self) -> Storage:
        """That one."""
        return self.own


def _run(ledger: Ledger) -> Path:
    """A window that can be taken back, but for the Spark it takes; its only staged file."""
    places = ledger.places(month(1))
    file = Path(f"{places.staged(0, 1)}/send-0.parquet")
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"sensor": ["a"], "at": ["b"], "level": [1]}), file)
    sent = Report(fit=1, rows=(), send=(Staged(str(file), 1),))
    mode = Mode("latest", "own", ("OnlineStore",))
    made = Manifest("run", PINS, "m", mode, 3, compare=False, staged=sent, figures=Figures())
    LocalStorage().write(places.manifest(0), made.encoded())
    ledger.write(month(1), State.DONE, run="run")
    return file


def _context(ledger: Ledger, storage: Storage) -> Where:
    endpoint = aws.Endpoint("eu-west-1")
    return Where(_no_spark, endpoint, ledger.settings, ledger.root, now=lambda: NOW, own=storage)


def _no_spark() -> NoReturn:
    raise DiedError


def test_a_collected_run_cannot_be_taken_back_and_says_so(ledger: Ledger) -> None:
    """One line, before anything is claimed; until then it would have been."""
    _run(ledger)
    context = _context(ledger, LocalStorage())
    _collect(ledger)
    before = _tree(ledger)
    found = find(context, "run")
    wanted = r"what it staged was collected at 2020-01-31T12:00:00Z\. Nothing was done"
    with pytest.raises(UsageError, match=wanted):
        undo(context, PIPELINE.group, "run", found)
    assert _tree(ledger) == before


def test_an_undo_that_meets_a_collection_is_given_up_or_wins(ledger: Ledger) -> None:
    """The collection is over before the claim: refused, and the window can be run; or after it."""
    file = _run(ledger)

    class Slow(LocalStorage):
        def put_if_absent(self, path: str, data: bytes) -> bool:
            if "/0001/000001.json" in path:
                assert _collect(ledger).taken.files == 1
            return super().put_if_absent(path, data)

    context = _context(ledger, Slow())
    for _ in range(2):  # again: the same answer
        with pytest.raises(UsageError, match="was collected"):
            undo(context, PIPELINE.group, "run", find(context, "run"))
    number, journal = ledger.ours().newest(month(1).name)
    assert (number, journal.state) == (1, State.GATED)
    assert (journal.data(State.CLAIMED) or {})[UNDOES] == "run"
    check_none(journal, month(1).name)
    assert not file.exists()


def test_an_undo_that_was_first_keeps_the_files_and_goes_on(ledger: Ledger) -> None:
    """It is claimed and dies for want of Spark: the collection leaves the window."""
    file = _run(ledger)
    context = _context(ledger, LocalStorage())
    (ledger.root / "lake/offline/readings/_delta_log").mkdir(parents=True)
    with pytest.raises((DiedError, TemporaryError)):
        undo(context, PIPELINE.group, "run", find(context, "run"))
    assert _collect(ledger).kept[collection.NOT_DONE].windows == 1
    assert file.exists()
    with pytest.raises(UsageError, match="is being taken back"):
        check_none(ledger.ours().newest(month(1).name)[1], month(1).name)
    assert json.loads(Path(ledger.places(month(1)).manifest(0)).read_bytes())["run"] == "run"
