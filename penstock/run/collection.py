"""The collection of what runs have staged: the bulk of windows that have been DONE long enough.

Staged rows, send files, selections, markers and rejects are there so that a run can be finished.
DONE is the end: whoever claims a window later begins a generation of its own. What stays is small:
events, manifests, pins and decisions, and of each generation a note of what its markers said, so
that its journal can still be rebuilt. What goes with the bulk is that the run can be taken back.

The order makes it safe to be killed anywhere: the note is durable, then it is looked once more
whether the window is still done, then files go. Whatever is left goes next time: what is to be
done is read off the files that are there, not off the notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock.errors import MismatchError
from penstock.ledger.decisions import Decisions
from penstock.ledger.history import Ledger
from penstock.ledger.journal import Journal, State, parsed, sealed, unsealed, written
from penstock.ledger.window import Window
from penstock.run.places import Places
from penstock.storage import Storage

NOT_DONE = "not DONE"
YOUNG = "not DONE for long enough"
REPLAYED = "of a replay that is not noted yet"
LOST = "without a journal: see penstock ledger verify"
MEANWHILE = "claimed by a run meanwhile"

#: Sizes of files by path, by generation of a window.
_Files = dict[int, dict[str, int]]


@dataclass(frozen=True)
class Amount:
    """Windows, and what of them is or was there.

    Args:
        windows: How many.
        files: Of their bulk.
        bytes: Of these files.
    """

    windows: int = 0
    files: int = 0
    bytes: int = 0

    def and_of(self, files: _Files) -> Amount:
        """With those of one more window."""
        sizes = [size for found in files.values() for size in found.values()]
        return Amount(self.windows + 1, self.files + len(sizes), self.bytes + sum(sizes))


@dataclass(frozen=True)
class Collected:
    """What a collection did.

    Args:
        group: The feature group.
        taken: What was removed; of a dry run what would have been.
        kept: What was left, by reason.
        damaged: What was found damaged and left where it is, in words.
    """

    group: str
    taken: Amount
    kept: Mapping[str, Amount] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


def collect(
    ledger: Ledger,
    now: datetime,
    retention: timedelta,
    tell: Callable[[int, int], None] | None = None,
    *,
    dry_run: bool = False,
    gated: bool = False,
) -> Collected:
    """Remove what windows have staged that were done so long ago. Doing it again changes nothing.

    Runs and other collections may go on meanwhile.

    Args:
        ledger: Of one group.
        now: Aware.
        retention: How long a window must have been done, by the clock of the driver that ended it.
        tell: Is called with how many windows were looked at, and how many there are.
        dry_run: Only say what would go.
        gated: Also of windows that a gate stopped before their manifest: nothing is finished from
            what these have staged.

    Raises:
        MismatchError: The ledger's snapshot is damaged.
        TemporaryError: A file could not be deleted.
    """
    bulk = _bulk(ledger)
    taken, kept, damaged = Amount(), dict[str, Amount](), list[str]()
    for n, (window, files) in enumerate(sorted(bulk.items())):
        one = _Collection(ledger, window, files, now, now - retention, gated)
        try:
            journals = ledger.journals(window)
            why = one.reason(journals) or (None if dry_run else one.take(journals))
        except MismatchError as error:
            damaged.append(str(error))
            continue
        finally:
            if tell is not None:
                tell(n + 1, len(bulk))
        if why is None:
            taken = taken.and_of(files)
        else:
            kept[why] = kept.get(why, Amount()).and_of(files)
    return Collected(ledger.group, taken, kept, tuple(damaged))


def collected(storage: Storage, places: Places, generation: int) -> Mapping[str, Any] | None:
    """The note of a generation whose bulk is or may be gone; None where all of it is there.

    ``at`` says when, ``online`` what its ONLINE_DONE carries, ``offline`` what OFFLINE_COMMITTED.

    Raises:
        MismatchError: The note is damaged.
    """
    path = places.pin(generation, "collected")
    try:
        return unsealed(path, storage.read(path))
    except FileNotFoundError:
        return None


def has_ended(storage: Storage, places: Places, generation: int, state: State | None) -> bool:
    """Whether nobody goes on from what a generation has staged.

    It is done, or a gate stopped it before its manifest.
    """
    if state is not State.GATED:
        return state is State.DONE
    return not storage.exists(places.manifest(generation))


@dataclass(frozen=True)
class _Collection:
    """One window, and the files of its bulk."""

    ledger: Ledger
    window: str
    files: _Files
    now: datetime
    before: datetime
    gated: bool

    def reason(self, journals: Mapping[int, Journal]) -> str | None:
        """Why the window is left; None where its bulk may go."""
        if not set(self.files) <= set(journals):
            return LOST
        wanted = {number: journals[number] for number in {*self.files, max(journals)}}
        if not all(self._has_ended(*one) for one in wanted.items()):
            return NOT_DONE
        if max(map(_ended, wanted.values())) > self.before:
            return YOUNG
        if self._places.window.replays and self._replayed():
            return REPLAYED
        return None

    def take(self, journals: Mapping[int, Journal]) -> str | None:
        """Note, look again, remove; why not, where a run came between."""
        storage = self.ledger.storage
        for number in self.files:
            if journals[number].state is State.DONE:
                self._note(number, journals[number])
        # Whoever needs these files, as an undo does, claims first and looks for the note then.
        newest, journal = self.ledger.newest(self.window)
        if newest != max(journals) or not self._has_ended(newest, journal):
            return MEANWHILE
        storage.delete_all([path for _, found in sorted(self.files.items()) for path in found])
        return None

    def _has_ended(self, number: int, journal: Journal) -> bool:
        """Whether nobody needs what a generation has staged."""
        if journal.state is State.GATED and not self.gated:
            return False
        return has_ended(self.ledger.storage, self._places, number, journal.state)

    @property
    def _places(self) -> Places:
        return Places(self.ledger.state, self.ledger.group, Window(label=self.window))

    def _replayed(self) -> bool:
        """Whether a replay has still to read what the service refused of this window."""
        folder = f"{self.ledger.state}/decisions/{self.ledger.group}"
        pending = Decisions(self.ledger.storage, folder).refresh().pending
        return pending is not None and pending.data["window"] == self.window

    def _note(self, number: int, journal: Journal) -> None:
        """What its markers said, durably; the first note stands."""
        storage, online = self.ledger.storage, dict(journal.data(State.ONLINE_DONE) or {})
        offline = dict(journal.data(State.OFFLINE_COMMITTED) or {})
        path = self._places.pin(number, "collected")
        told = {"at": written(self.now), "online": online, "offline": offline}
        storage.put_if_absent(path, sealed(told))
        found = collected(storage, self._places, number)
        if found is None or found["online"] != online:
            raise MismatchError(f"{path}: is not of this journal", "Restore the file")


def _ended(journal: Journal) -> datetime:
    return parsed([one.at for one in journal.events if one.state is journal.state][-1])


def _bulk(ledger: Ledger) -> dict[str, _Files]:
    """What can be collected at all, by window and generation: two listings.

    Below ``staged`` that are the files in folders of a generation, not those beside these folders;
    below ``online`` all.
    """
    found: dict[str, _Files] = {}
    for name, depth in (("staged", 4), ("online", 3)):
        folder = f"{ledger.state}/{name}/{ledger.group}"
        for path, size in ledger.storage.sizes(folder).items():
            parts = path.removeprefix(f"{folder}/").split("/")
            number = parts[1].partition("-")[0] if len(parts) >= depth else ""
            if number.isdigit():
                found.setdefault(parts[0], {}).setdefault(int(number), {})[path] = size
    return found
