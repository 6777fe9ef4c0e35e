"""What a Hive table's entries say becomes what its folder holds, whoever died in between.

An entry decides; then its files appear below ``data/``, the staged ones go, and then the removed
ones. Each step can be repeated, and by several at once: an entry is only ever put by someone for
whom all before it are published, so what is left to do is the newest entries' at most.

Staged files go before removed ones: once a file's staged name is gone, nobody can make it appear
below ``data/`` again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from penstock.errors import MismatchError
from penstock.offline.hive_entries import File, State
from penstock.offline.hive_journal import Journal
from penstock.storage import Storage

WORKERS = 8
_MARKER = "log/published"


class Publication:
    """Publishes what the journal of a table says.

    Args:
        path: Absolute folder of the table.
        storage: Where that is.
        journal: Of the table.
    """

    def __init__(self, path: str, storage: Storage, journal: Journal) -> None:
        self._path, self._storage, self._journal = path, storage, journal
        self._done: int | None = None  # all up to this entry is published; None: not looked yet

    def newest(self) -> State:
        """The newest state, after all of it is published. Doing it again changes nothing.

        Raises:
            MismatchError: A file of the table is gone.
        """
        state = self._journal.newest()
        if state.version is None:
            return state
        before = done = self._noted() if self._done is None else self._done
        while done < state.last:
            self._publish(done + 1, state)
            # A file that was removed meanwhile may have appeared through us: the removal comes now.
            done, state = state.last, self._journal.newest()
        if done > before:
            self._storage.write(f"{self._path}/{_MARKER}", b"%d" % done)
        self._done = done
        return state

    def _noted(self) -> int:
        """What a marker says; one that is lost, or older than it was, costs looking again."""
        try:
            return int(self._storage.read(f"{self._path}/{_MARKER}"))
        except FileNotFoundError:
            return -1

    def _publish(self, first: int, state: State) -> None:
        """All entries from the first up to those of ``state``."""
        entries = self._journal.entries(first, state.last)
        added = {name: one for entry in entries for name, one in entry.add.items()}
        kept = [name for name in added if name in state.files]
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda name: self._appear(name, added[name]), kept))
        self._storage.delete_all([f"{self._path}/{one.staged}" for one in added.values()])
        removed = [name for entry in entries for name in entry.remove]
        self._storage.delete_all([final(self._path, name) for name in removed])

    def _appear(self, name: str, file: File) -> None:
        target = final(self._path, name)
        try:
            self._storage.copy(f"{self._path}/{file.staged}", target)
        except FileNotFoundError as error:  # published already, or removed since
            if not self._storage.exists(target) and name in self._journal.newest().files:
                message = f"{self._path}: {name} is gone, from data and from {file.staged}"
                remedy = "Restore it from a backup, on S3 from a version of the object"
                raise MismatchError(message, remedy) from error


def final(path: str, name: str) -> str:
    """Where readers find a file of the table in a folder."""
    return f"{path}/data/{name}"
