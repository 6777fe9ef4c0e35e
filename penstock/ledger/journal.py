"""Events of one generation of one window: small JSON objects, numbered, each put if absent.

State is the fold of the events. The number of an event is the lock: of two drivers that append
event 7 exactly one succeeds, the other reads what happened and stops. A claim raises the epoch,
and a driver whose epoch is no longer the newest is fenced at its next event (facts: reliability,
protocol).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from penstock.errors import MismatchError, TemporaryError
from penstock.storage import Storage


class State(str, Enum):
    """How far a window has come, in order; GATED ends a generation without publishing."""

    CLAIMED = "CLAIMED"
    PLANNED = "PLANNED"
    STAGED = "STAGED"
    ONLINE_DONE = "ONLINE_DONE"
    OFFLINE_COMMITTED = "OFFLINE_COMMITTED"
    REGISTERED = "REGISTERED"
    DONE = "DONE"
    GATED = "GATED"


UNDOES = "undoes"  # in a claim and in DONE: the run that a generation takes back
_SEAL = "sha256"  # of the event's other fields


@dataclass(frozen=True)
class Event:
    """One event.

    Args:
        number: From 1, without gaps.
        state: What was reached.
        epoch: Fencing number of the driver that wrote it.
        at: ISO instant, UTC, of that driver's clock: for people, nothing is decided by it.
        data: What the state carries, JSON values.
        previous: SHA-256 of the event before, so that a changed or lost event shows.
    """

    number: int
    state: State
    epoch: int
    at: str
    data: Mapping[str, Any]
    previous: str


@dataclass
class Journal:
    """The events of one generation in ``folder``; appending needs the newest epoch."""

    storage: Storage
    folder: str
    events: list[Event] = field(default_factory=list)
    _digest: str = ""

    def refresh(self) -> Journal:
        """Read events that came since.

        Raises:
            MismatchError: An event is torn, changed or missing.
            TemporaryError: Events that were read before are gone: the window was compacted.
        """
        while True:
            path = self._path(len(self.events) + 1)
            try:
                data = self.storage.read(path)
            except FileNotFoundError:
                break
            self._take(path, data)
        self._check_end()
        return self

    @property
    def state(self) -> State | None:
        """State of the newest event that is not a claim; CLAIMED where there are only claims."""
        reached = [one.state for one in self.events if one.state is not State.CLAIMED]
        if reached:
            return reached[-1]
        return State.CLAIMED if self.events else None

    @property
    def epoch(self) -> int:
        """The newest epoch; 0 before the first claim."""
        return max((one.epoch for one in self.events), default=0)

    def data(self, state: State) -> Mapping[str, Any] | None:
        """What the newest event of a state carries; None where there is none."""
        found = [one.data for one in self.events if one.state is state]
        return found[-1] if found else None

    def append(self, state: State, epoch: int, data: Mapping[str, Any], now: datetime) -> None:
        """Add one event, durably.

        Raises:
            TemporaryError: Another driver has claimed the window, or was faster.
        """
        self.refresh()
        claims = state is State.CLAIMED
        if (self.epoch >= epoch) if claims else (self.epoch != epoch):
            raise self._fenced()
        number = len(self.events) + 1
        record = {
            "number": number,
            "state": state.value,
            "epoch": epoch,
            "at": written(now),
            "data": dict(data),
            "previous": self._digest,
        }
        text = sealed(record)
        if not self.storage.put_if_absent(self._path(number), text):
            self.refresh()
            raise self._fenced()
        self._take(self._path(number), text)

    def take(self, texts: Iterable[tuple[str, bytes]]) -> Journal:
        """Take events over as they were stored, in order; each with a name for messages.

        Raises:
            MismatchError: One is not what was written, or does not follow the one before.
        """
        for name, text in texts:
            self._take(name, text)
        return self

    def _take(self, path: str, data: bytes) -> None:
        event = event_of(path, data)
        if event.number != len(self.events) + 1 or event.previous != self._digest:
            message = f"{path}: does not follow the event before it"
            raise MismatchError(message, "The ledger was changed by hand; restore the files")
        self.events.append(event)
        self._digest = hashlib.sha256(data).hexdigest()

    def _check_end(self) -> None:
        there = [one for one in self.storage.list(self.folder) if is_event(one)]
        if len(there) > len(self.events):
            missing = self._path(len(self.events) + 1)
            raise MismatchError(f"{missing}: this ledger event is missing", "Restore the file")
        if len(there) < len(self.events):
            message = f"{self.folder}: another run has finished this window, and it was compacted"
            raise TemporaryError(message, "Run the same command again: it finds what was done")

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number:06d}.json"

    def _fenced(self) -> TemporaryError:
        owner = (self.data(State.CLAIMED) or {}).get("owner", "another run")
        message = f"this window was claimed by {owner} meanwhile"
        return TemporaryError(message, "Wait for that run, then run the same command again")


def written(now: datetime) -> str:
    """An aware instant as every record of the ledger has it: UTC, to the microsecond."""
    return now.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parsed(at: str) -> datetime:
    """The aware instant of a record."""
    return datetime.fromisoformat(at.removesuffix("Z") + "+00:00")


def sealed(record: Mapping[str, Any]) -> bytes:
    """An event as it is stored: the newest one has no successor that vouches for it."""
    text = json.dumps(record, sort_keys=True)
    return json.dumps({**record, _SEAL: hashlib.sha256(text.encode()).hexdigest()}).encode()


def unsealed(path: str, data: bytes) -> dict[str, Any]:
    """The record :func:`sealed` was given; raises MismatchError where it is another one now."""
    try:
        record: dict[str, Any] = json.loads(data)
        del record[_SEAL]
    except (ValueError, TypeError, KeyError):
        raise MismatchError(f"{path}: not a ledger event", "Restore the file") from None
    if sealed(record) != data:
        raise MismatchError(f"{path}: not what was written", "Restore the file")
    return record


def event_of(path: str, data: bytes) -> Event:
    """The event of a file; raises MismatchError where it is none, or not as it was written."""
    record = unsealed(path, data)
    try:
        return Event(**{**record, "state": State(record["state"])})
    except (ValueError, TypeError, KeyError):
        raise MismatchError(f"{path}: not a ledger event", "Restore the file") from None


def is_event(path: str) -> bool:
    """Whether a path is that of a numbered event."""
    name = path.rsplit("/", 1)[-1]
    return name.endswith(".json") and name[:-5].isdigit()
