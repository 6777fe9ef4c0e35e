"""The state of every window, read from the ledger alone: no Spark, no AWS."""

from __future__ import annotations

from typing import Any, NamedTuple

from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.ledger.history import Ledger, Told
from penstock.ledger.journal import UNDOES, State
from penstock.ledger.window import parse_name
from penstock.memory import all_kept
from penstock.run.places import state_folder

#: Figures worth a word where they are not 0.
_ODD = (
    *("older", "expired", "corrected", "replaced", "skipped", "rejected"),
    *("repeated", "throttled", "ambiguous"),
)
_TIMES = ("p50_ms", "p99_ms")


class Status(NamedTuple):
    """The newest generation of one window.

    Args:
        group: The feature group.
        window: Name of the window; None where there is none yet.
        state: How far it has come; None where nothing has begun.
        at: When that was, ISO text.
        generation: From 0.
        data: What the event carries.
        meaning: Of a finished one: hash of the meaning of the pipeline that made it.
        mode: Likewise, what was done to which store.
        pins: Likewise, what its sources were, as JSON.
    """

    group: str
    window: str | None = None
    state: State | None = None
    at: str | None = None
    generation: int = 0
    data: Told | None = None
    meaning: str | None = None
    mode: str | None = None
    pins: str | None = None

    def plain(self) -> dict[str, Any]:
        """A JSON form."""
        return {**self.head, "data": None if self.data is None else self.data.parsed}

    @property
    def head(self) -> dict[str, Any]:
        """A JSON form without what the event carries."""
        names = ("group", "window", "state", "at", "generation", "next")
        return dict(zip(names, self.values, strict=True))

    @property
    def values(self) -> tuple[str | int | None, ...]:
        """Of :attr:`head`."""
        state = None if self.state is None else self.state.value
        return (self.group, self.window, state, self.at, self.generation, self.advice)

    @property
    def undone(self) -> bool:
        """Whether its last run was taken back and none stands."""
        done = self.state is State.DONE and self.mode is None
        return done and self.data is not None and UNDOES in self.data

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
        data = {} if self.data is None else self.data.parsed
        found = {**data, **data.get("figures", {})}
        if "sent" not in found:
            return None
        always = [f"{found[name]:,} {name}" for name in ("sent", "accepted")]
        odd = [f"{found[name]:,} {name}" for name in _ODD if found.get(name)]
        calls = [f"{name[:3]} {found[name]:.1f} ms" for name in _TIMES if found.get(name)]
        rate = found["accepted"] / found["online_s"] if found.get("online_s") else 0
        speed = [f"{rate:,.0f}/s", *calls, f"{found.get('in_flight', 0)} in flight"]
        return f"{self.group} {self.window}: {', '.join(always + odd + speed)}"

    @property
    def stands_out(self) -> bool:
        """Whether there is something to do about it."""
        return self.state is not State.DONE

    def row(self) -> tuple[object, ...]:
        """For a table: group, window, state, time, three figures, advice."""
        figures = {} if self.data is None else self.data.get("figures", {})
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
    storage, state = storage_of(settings.state, settings), state_folder(settings)
    found: list[Status] = []
    for group in groups:
        heads = Ledger(storage, state, group).heads()
        with all_kept():
            windows = [
                Status(group, name, state, at, generation, data, meaning, mode, pins)
                for name, generation, state, at, data, meaning, mode, pins in heads
            ]
        found += windows or [Status(group)]
    return found
