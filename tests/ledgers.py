"""Ledgers written by hand: windows in any state, for tests that read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.config import Settings
from penstock.contract import Pipeline, Source
from penstock.ledger import history, snapshot
from penstock.ledger.journal import Event, Journal, State, sealed
from penstock.ledger.window import Window, window
from penstock.run.figures import Figures
from penstock.run.places import Places, state_folder
from penstock.storage import LocalStorage, Storage
from tests.readings import COLUMNS, LEVELS

PIPELINE = Pipeline(
    LEVELS,
    {"readings": Source(COLUMNS, time="at", lookback=timedelta(days=1))},
    window="month",
    lateness=timedelta(days=2),
)
PINS = {"readings": [["/in/readings.csv", 7, 1]]}
MODE = "latest:own:OnlineStore"
_ORDER = (
    State.PLANNED,
    State.STAGED,
    State.ONLINE_DONE,
    State.OFFLINE_COMMITTED,
    State.REGISTERED,
    State.DONE,
)


def month(number: int, year: int = 2013) -> Window:
    """A month, and those after December."""
    year, number = year + (number - 1) // 12, (number - 1) % 12 + 1
    after = (year + number // 12, number % 12 + 1)
    return window(f"{year}-{number:02d}-01", f"{after[0]}-{after[1]:02d}-01")


@dataclass
class Ledger:
    """A ledger under a folder; every window is written by a run of ``at``."""

    root: Path
    group: str = LEVELS.name
    at: datetime = field(default_factory=lambda: datetime(2020, 1, 1, tzinfo=timezone.utc))

    @property
    def settings(self) -> Settings:
        """Settings that lead to it."""
        folders = {"lake": str(self.root / "lake"), "state": str(self.root / "state")}
        return Settings.model_validate({"project": "lab", **folders})

    def places(self, one: Window) -> Places:
        """Where a window lies."""
        return Places(state_folder(self.settings), self.group, one)

    def write(
        self,
        one: Window,
        reached: State,
        generation: int = 0,
        at: datetime | None = None,
        **done: Any,
    ) -> None:
        """One generation of a window up to a state; ``done`` is said in its last event."""
        journal = Journal(LocalStorage(), self.places(one).journal(generation))
        now = at or self.at
        journal.append(State.CLAIMED, 1, {"run": "run", "owner": "a host, process 1"}, now)
        if reached is State.CLAIMED:
            return
        if reached is State.GATED:
            journal.append(State.GATED, 1, {"why": "too much was put aside"}, now)
            return
        for state in _ORDER[: _ORDER.index(reached) + 1]:
            data: dict[str, Any] = {"sent": 3} if state is State.ONLINE_DONE else {}
            if state is State.DONE:
                figures = Figures(valid=6, accepted=3, online_s=2.0, seconds=5.0).plain()
                data = {"figures": figures, "pins": PINS, "meaning": PIPELINE.meaning, "mode": MODE}
            journal.append(state, 1, data | (done if state is reached else {}), now)

    def ours(self, storage: Storage | None = None) -> history.Ledger:
        """As the engine reads it."""
        return history.Ledger(storage or LocalStorage(), str(self.root / "state"), self.group)


def hours(count: int, first: datetime) -> list[Window]:
    """Windows of an hour each, one after the other."""
    starts = [first + timedelta(hours=n) for n in range(count + 1)]
    return [Window(a, b) for a, b in pairwise(starts)]


def snapshot_of(ledger: history.Ledger, windows: Sequence[Window], meaning: str) -> None:
    """A snapshot of windows that are done, as compaction writes it: whole chains, whole events."""
    done = {
        "figures": Figures(valid=6, accepted=3, sent=3, online_s=2.0, seconds=5.0).plain(),
        "pins": PINS,
        "meaning": meaning,
        "mode": MODE,
    }
    made = {one.name: _chain(one, done) for one in windows}
    heads = [snapshot.head_of(rows[-1]) for _, rows in sorted(made.items())]

    def rest() -> Iterator[pa.Table]:
        for _, rows in sorted(made.items()):
            yield pa.Table.from_pylist(rows[:-1], snapshot.SCHEMA)

    assert snapshot.put(ledger.snapshot(), pa.Table.from_pylist(heads, snapshot.SCHEMA), rest())


def _chain(window: Window, done: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of one generation of a window, from its claim to DONE; an hour after its end."""
    assert window.end is not None
    journal = Journal(LocalStorage(), "")
    at = (window.end + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    texts: list[bytes] = []
    for number, state in enumerate((State.CLAIMED, *_ORDER), 1):
        data: dict[str, Any] = {"run": "run"} if state is State.CLAIMED else {}
        data = done if state is State.DONE else data
        previous = hashlib.sha256(texts[-1]).hexdigest() if texts else ""
        event = Event(number, state, 1, at, data, previous)
        texts.append(sealed({**event.__dict__, "state": state.value}))
        journal.events.append(event)
    return snapshot.rows_of(window.name, 0, journal, texts)
