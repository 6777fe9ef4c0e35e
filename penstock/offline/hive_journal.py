"""The log of a Hive table: entries put if absent, and snapshots that spare reading them all.

Entry n is the object ``log/%020d.json``; that it is there is the whole of a commit. Each
:data:`EVERY` entries whoever wrote the last also writes what the table is by then. A snapshot that
was never written, or is lost, costs reading: nothing else depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from penstock.errors import MismatchError
from penstock.offline.hive_entries import Entry, State
from penstock.storage import Storage

EVERY = 50  # entries to a snapshot: so many are read, at most, to open a table
READERS = 8
_DIGITS = 20
_ENTRY, _SNAPSHOT = ".json", ".snapshot.json"


class Journal:
    """Entries below ``folder``.

    It remembers the newest state it has seen, a value that is never wrong, only old; so threads may
    share it.

    Args:
        folder: Absolute; there may be none yet.
        storage: Where that is.
    """

    def __init__(self, folder: str, storage: Storage) -> None:
        self._folder, self._storage = folder, storage
        self._seen: State | None = None

    @property
    def exists(self) -> bool:
        """Whether there is an entry."""
        return self._storage.exists(self._name(0, _ENTRY))

    def newest(self) -> State:
        """The table after the newest entry; one that comes meanwhile may be in it or not."""
        state = self._opened(None) if self._seen is None else self._seen
        with suppress(FileNotFoundError):
            while True:
                state = state.after([self._read(state.last + 1)])
        self._seen = state
        return state

    def at(self, version: int) -> State:
        """The table after an entry that is there."""
        seen = self._seen
        return seen if seen is not None and seen.last == version else self._opened(version)

    def entries(self, first: int, last: int) -> list[Entry]:
        """These entries, both ends included.

        Raises:
            MismatchError: One is gone.
        """
        try:
            with ThreadPoolExecutor(READERS) as pool:
                return list(pool.map(self._read, range(first, last + 1)))
        except FileNotFoundError as error:
            message = f"{self._folder}: an entry from {first} to {last} is gone"
            raise MismatchError(message, "Restore it from a backup of the folder") from error

    def put(self, state: State, entry: Entry) -> bool:
        """Whether this became the entry after those of ``state``: where not, another is."""
        after = state.after([entry])
        if not self._storage.put_if_absent(self._name(after.last, _ENTRY), entry.data()):
            return False
        self._seen = after
        if (after.last + 1) % EVERY == 0:
            self._storage.put_if_absent(self._name(after.last, _SNAPSHOT), after.data())
        return True

    def _opened(self, version: int | None) -> State:
        """From the newest snapshot that is not beyond ``version``."""
        paths = self._storage.list(self._folder)
        snapshots = [n for n in _numbers(paths, _SNAPSHOT) if version is None or n <= version]
        state = self._snapshot(max(snapshots)) if snapshots else State()
        last = max(_numbers(paths, _ENTRY), default=-1) if version is None else version
        return state.after(self.entries(state.last + 1, last))

    def _snapshot(self, number: int) -> State:
        path = self._name(number, _SNAPSHOT)
        return State.read(self._storage.read(path), path)

    def _read(self, number: int) -> Entry:
        path = self._name(number, _ENTRY)
        return Entry.read(self._storage.read(path), path)

    def _name(self, number: int, ending: str) -> str:
        return f"{self._folder}/{number:0{_DIGITS}d}{ending}"


def _numbers(paths: list[str], ending: str) -> Iterator[int]:
    for path in paths:
        name = path.rpartition("/")[2]
        if name[:_DIGITS].isdigit() and name[_DIGITS:] == ending:
            yield int(name[:_DIGITS])
