"""The state of every window, read from the ledger alone: no Spark, no AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.config import Settings
from penstock.errors import MismatchError
from penstock.ledger.journal import UNDOES, Journal, State
from penstock.ledger.window import parse_name
from penstock.run.places import Places, generations, state_folder
from penstock.storage import storage_of

#: Figures worth a word where they are not 0.
_ODD = (
    *("older", "expired", "corrected", "replaced", "skipped", "rejected"),
    *("repeated", "throttled", "ambiguous"),
)
_TIMES = ("p50_ms", "p99_ms")


@dataclass(frozen=True)
class Status:
    """The newest generation of one window.

    Args:
        group: The feature group.
        window: Name of the window; None where there is none yet.
        state: How far it has come; None where nothing has begun.
        at: When that was, ISO text.
        generation: From 0.
        data: What the event carries.
    """

    group: str
    window: str | None = None
    state: State | None = None
    at: str | None = None
    generation: int = 0
    data: Any = None

    def plain(self) -> dict[str, Any]:
        """A JSON form."""
        state = None if self.state is None else self.state.value
        return {**self.__dict__, "state": state, "run": self.run, "next": self.advice}

    @property
    def run(self) -> str | None:
        """The run that stands; None where none is done."""
        return None if self.state is not State.DONE else (self.data or {}).get("run")

    @property
    def undone(self) -> bool:
        """Whether its last run was taken back and none stands."""
        data = self.data or {}
        return self.state is State.DONE and UNDOES in data and "mode" not in data

    @property
    def advice(self) -> str:
        """What to type next."""
        if self.undone:
            return f"penstock ingest {self.group}"
        if self.state is State.DONE:
            return f"penstock query latest {self.group}"
        if self.state is State.GATED:
            return f"penstock quarantine list {self.group}"
        if self.window is not None and parse_name(self.window).replays:
            return f"penstock quarantine replay {self.group}"
        return f"penstock ingest {self.group}"

    @property
    def summary(self) -> str | None:
        """How the sending went, in one line; None where nothing was sent yet."""
        found = {**(self.data or {}), **(self.data or {}).get("figures", {})}
        if "sent" not in found:
            return None
        always = [f"{found[name]:,} {name}" for name in ("sent", "accepted")]
        odd = [f"{found[name]:,} {name}" for name in _ODD if found.get(name)]
        calls = [f"{name[:3]} {found[name]:.1f} ms" for name in _TIMES if found.get(name)]
        rate = found["accepted"] / found["online_s"] if found.get("online_s") else 0
        speed = [f"{rate:,.0f}/s", *calls, f"{found.get('in_flight', 0)} in flight"]
        return f"{self.group} {self.window}: {', '.join(always + odd + speed)}"

    def row(self) -> tuple[object, ...]:
        """For a table: group, window, state, time, three figures, advice."""
        figures = (self.data or {}).get("figures", {})
        state = "not begun" if self.state is None else self.state.value
        if self.undone:
            state = "TAKEN BACK"
        shown = [figures.get(name) for name in ("valid", "accepted", "offline")]
        at = None if self.at is None else self.at[:19] + "Z"
        return (self.group, self.window, state, at, *shown, self.advice)


def statuses(settings: Settings, groups: list[str]) -> list[Status]:
    """All windows of the groups, in order of group and window.

    Raises:
        MismatchError: The ledger is damaged.
    """
    storage, state = storage_of(settings.state), state_folder(settings)
    found: list[Status] = []
    for group in groups:
        names = [path.rsplit("/", 1)[-1] for path in storage.list(f"{state}/ledger/{group}")]
        windows = [_window(Places(state, group, parse_name(name)), settings) for name in names]
        found += windows or [Status(group)]
    return found


def _window(places: Places, settings: Settings) -> Status:
    storage = storage_of(settings.state)
    numbers = generations(storage, places)
    if not numbers:
        raise MismatchError(f"{places.generations}: no generation in it", "Remove the empty folder")
    journal = Journal(storage, places.journal(numbers[-1])).refresh()
    state = journal.state
    last = [one for one in journal.events if one.state is state][-1:]
    at = last[0].at if last else None
    data = dict(last[0].data) if last else None
    return Status(places.group, places.window.name, state, at, numbers[-1], data)
