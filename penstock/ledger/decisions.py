"""What was decided about rows of the quarantine: numbered events, each put if absent.

The quarantine itself only grows; whether a row in it is still open is the fold of these events. As
in a window's journal the number of an event is the lock, so decisions have one order and a plan to
replay rows one owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from penstock.errors import MismatchError
from penstock.ledger.journal import is_event, sealed, unsealed, written
from penstock.storage import Storage

#: A replay was planned; ended; was given up before anything was sent. A person discarded rows. A
#: window was read again without meeting the rows; or met rows that had been settled.
Kind = Literal["replaying", "replayed", "abandoned", "discarded", "resolved", "returned"]
#: What a replay came to: in the stores; left out by a rule that drops; refused by the service and
#: entered anew as such; put aside by the gate again; refused by the service again.
What = Literal["accepted", "dropped", "moved", "unfit", "rejected"]
Standing = Literal["open", "replayed", "discarded", "resolved"]

SETTLED = ("accepted", "dropped", "moved")


@dataclass(frozen=True)
class Outcome:
    """What became of one row in one replay.

    Args:
        what: In a word.
        rule: The rule or the service's code it broke.
        entry: Of a row that moved: key of the entry it is in from now on.
    """

    what: What
    rule: str | None = None
    entry: str | None = None


@dataclass(frozen=True)
class Decision:
    """One event.

    Args:
        number: From 1, without gaps.
        kind: What was decided.
        at: ISO instant, UTC, for people.
        by: Who: a person or a run.
        keys: Rows it is about.
        outcomes: Of a replay that ended: what became of each row; empty otherwise.
        data: Window, run, reason and the like, JSON values.
    """

    number: int
    kind: Kind
    at: str
    by: str
    keys: tuple[str, ...]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How one row stands.

    Args:
        standing: ``open`` until something settles it.
        tries: Replays it was in that ended.
        rule: The rule or code of the newest of those that it failed; None before.
        last: The newest decision about it, if any.
    """

    standing: Standing = "open"
    tries: int = 0
    rule: str | None = None
    last: Decision | None = None


OPEN = Verdict()


@dataclass
class Decisions:
    """The decisions about one group's rows, in ``folder``."""

    storage: Storage
    folder: str
    events: list[Decision] = field(default_factory=list)

    def refresh(self) -> Decisions:
        """Read decisions that came since.

        Raises:
            MismatchError: One is torn, changed or missing.
        """
        while True:
            path = self._path(len(self.events) + 1)
            try:
                data = self.storage.read(path)
            except FileNotFoundError:
                break
            found = _decision(path, unsealed(path, data))
            if found.number != len(self.events) + 1:
                raise MismatchError(f"{path}: is decision {found.number}", "Restore the file")
            self.events.append(found)
        there = sum(is_event(one) for one in self.storage.list(self.folder))
        if there > len(self.events):
            missing = self._path(len(self.events) + 1)
            raise MismatchError(f"{missing}: this decision is missing", "Restore the file")
        return self

    def add(
        self,
        kind: Kind,
        keys: Iterable[str],
        *,
        by: str,
        now: datetime,
        outcomes: Mapping[str, Outcome] | None = None,
        **data: Any,
    ) -> bool:
        """Add one decision, durably; False, adding nothing, where another one came meanwhile."""
        number = len(self.events) + 1
        record = {
            "number": number,
            "kind": kind,
            "at": written(now),
            "by": by,
            "keys": sorted(keys),
            "outcomes": {
                key: [one.what, one.rule, one.entry]
                for key, one in sorted((outcomes or {}).items())
            },
            "data": data,
        }
        if not self.storage.put_if_absent(self._path(number), sealed(record)):
            return False
        self.events.append(_decision(self._path(number), record))
        return True

    def settle(self, decide: Callable[[Mapping[str, Verdict]], bool]) -> None:
        """Look at how rows stand, then add what follows from it, until nobody comes between.

        Args:
            decide: Answers what :meth:`add` answered, or True where there is nothing to add.
        """
        while not decide(verdicts(self.refresh().events)):
            pass

    @property
    def pending(self) -> Decision | None:
        """The replay that was planned and has not ended."""
        found: Decision | None = None
        for one in self.events:
            if one.kind == "replaying":
                found = one
            elif found is not None and one.data.get("window") == found.data["window"]:
                found = None if one.kind in ("replayed", "abandoned") else found
        return found

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number:06d}.json"


def verdicts(events: Sequence[Decision]) -> dict[str, Verdict]:
    """How every row stands that a decision was made about; all others are :data:`OPEN`."""
    found: dict[str, Verdict] = {}
    for event in events:
        for key in event.keys:
            found[key] = _after(found.get(key, OPEN), event, event.outcomes.get(key))
    return found


def history(events: Sequence[Decision], key: str) -> list[Decision]:
    """The decisions about one row, in order."""
    return [one for one in events if key in one.keys]


def _after(before: Verdict, event: Decision, outcome: Outcome | None) -> Verdict:
    standing, tries, rule = before.standing, before.tries, before.rule
    if outcome is not None:
        tries += 1
        rule = outcome.rule
        standing = "replayed" if outcome.what in SETTLED else standing
    elif event.kind == "discarded" and standing == "open":
        standing = "discarded"
    elif event.kind == "resolved" and standing == "open":
        standing = "resolved"
    elif event.kind == "returned" and standing != "discarded":
        standing = "open"
    return Verdict(standing, tries, rule, event)


def _decision(path: str, record: Mapping[str, Any]) -> Decision:
    try:
        outcomes = {key: Outcome(*one) for key, one in record["outcomes"].items()}
        made = {**record, "keys": tuple(record["keys"]), "outcomes": outcomes}
        return Decision(**made)
    except (TypeError, KeyError):
        raise MismatchError(f"{path}: not a decision", "Restore the file") from None
