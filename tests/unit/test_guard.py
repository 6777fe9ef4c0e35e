"""When candidates are compared with the history before they are sent: the ledger alone tells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from penstock.config import Settings
from penstock.ledger.journal import Journal, State
from penstock.ledger.window import Window, replay_window, window
from penstock.run.context import Context
from penstock.run.mode import Mode
from penstock.run.places import Places
from penstock.run.selection import _behind, _guarded
from penstock.run.work import Feed, Work
from penstock.storage import LocalStorage
from tests.ledgers import Ledger, month
from tests.readings import LEVELS as GROUP


@dataclass(frozen=True)
class Counting(LocalStorage):
    """Remembers which events were read."""

    read_paths: list[str] = field(default_factory=list)

    def read(self, path: str) -> bytes:
        """As it is, and noted."""
        self.read_paths.append(path)
        return super().read(path)


@dataclass(frozen=True)
class Surroundings:
    """What the guard asks of a context."""

    settings: Settings
    storage: Counting


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty one; runs are of January 2020."""
    return Ledger(tmp_path)


def _work(ledger: Ledger, one: Window, group: Any = GROUP) -> Work:
    context = cast("Context", Surroundings(ledger.settings, Counting()))
    places: Places = ledger.places(one)
    mode = Mode("latest", "own", ("OnlineStore",))
    journal = Journal(context.storage, places.journal(0))
    feed = Feed(group, group.meaning)
    return Work(context, feed, places, 0, 1, "run", journal, mode, compare=False, began=0.0)


@pytest.mark.shows("5.3")
def test_a_normal_next_window_reads_no_event_of_another(ledger: Ledger) -> None:
    """All others end where it starts or before: their names tell."""
    ledger.write(month(1), State.DONE)
    ledger.write(month(2), State.DONE)
    work = _work(ledger, month(3))
    assert not _behind(work)
    assert cast("Any", work.context).storage.read_paths == []


@pytest.mark.shows("5.3")
@pytest.mark.parametrize(
    ("reached", "said", "behind"),
    [
        (State.STAGED, {}, False),
        (State.ONLINE_DONE, {"sent": 3}, True),
        (State.ONLINE_DONE, {"sent": 0}, False),
        (State.DONE, {}, True),
    ],
)
def test_what_counts_is_that_a_later_window_sent_records(
    ledger: Ledger, reached: State, said: dict[str, Any], *, behind: bool
) -> None:
    """Before ONLINE is through, or offline alone, nothing of it is known to be online."""
    ledger.write(month(4), reached, **said)
    assert _behind(_work(ledger, month(3))) == behind


def test_an_older_generation_has_sent_too(ledger: Ledger) -> None:
    """Whatever became of the newest; the window's own generations do not count."""
    ledger.write(month(4), State.DONE)
    ledger.write(month(4), State.GATED, generation=1)
    assert _behind(_work(ledger, month(3)))
    assert not _behind(_work(ledger, month(4)))


def test_windows_that_overlap_are_behind_one_another(ledger: Ledger) -> None:
    """A week within a month that was sent; a replay by the time its rows span."""
    ledger.write(month(1), State.DONE)
    assert _behind(_work(ledger, window("2013-01-24", "2013-02-07")))
    start = datetime(2013, 6, 1, tzinfo=timezone.utc)
    ledger.write(replay_window("0" * 16, start, start + timedelta(days=1)), State.DONE)
    assert _behind(_work(ledger, month(5)))
    assert not _behind(_work(ledger, month(7)))


def test_everything_ends_when_it_was_run(ledger: Ledger) -> None:
    """Windows after that run are normal next ones; those before it, and all of time, are behind."""
    ledger.write(Window(), State.DONE)
    assert _behind(_work(ledger, month(12, 2019)))
    assert _behind(_work(ledger, window("2020-01-01T00:59:59Z", "2020-01-02")))
    assert not _behind(_work(ledger, window("2020-01-01T01:00:00Z", "2020-01-02")))
    assert not _behind(_work(ledger, Window()))
    ledger.write(month(1), State.DONE)
    assert _behind(_work(ledger, Window()))


def test_groups_that_forget_are_guarded_always(ledger: Ledger) -> None:
    """Their records leave the online store, so an old value could come back."""
    forgetful = replace(GROUP, ttl=timedelta(days=1))
    assert _guarded(_work(ledger, month(3), forgetful))
    assert not _guarded(_work(ledger, month(3)))
