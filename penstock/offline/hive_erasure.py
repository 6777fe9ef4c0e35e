"""Rows that leave a Hive table for good: what is below ``data/``, and what nobody committed.

A deletion writes files anew and removes the old ones, so there are no older versions of rows. What
may be left are files of writers that died before their entry, and whatever somebody else put into
the folder: all goes that the newest version does not name, but for the log. That stays as it is: of
rows its entries say when they were written, and, in names of files, event times. So every
transaction is found as before, and a writer that slept cannot put an entry where one was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from penstock.commits import beaten
from penstock.errors import MismatchError
from penstock.offline.hive import HiveLog
from penstock.offline.hive_entries import STAGED
from penstock.offline.hive_rows import Which, with_identifiers
from penstock.storage import Storage

_LOG = re.compile(r"log/(\d{20}(\.snapshot)?\.json|published)")


class HiveErasure:
    """Rows of a Hive table that are to leave it for good.

    Args:
        log: Of the table; there may be none.
        storage: Where that is.
        column: The record identifier.
        values: Identifiers, as text.
    """

    def __init__(self, log: HiveLog, storage: Storage, column: str, values: Sequence[str]) -> None:
        self._log, self._storage, self._path = log, storage, log.path
        self._column, self._values = column, values

    def check(self) -> None:
        """Return where the table can be rewritten.

        Raises:
            MismatchError: Files of the newest version are not there.
        """
        version = self._log.version()
        if version is not None:
            self._whole(version, self._storage.walk(self._path))

    def rows(self) -> int:
        """How many such rows the newest version has."""
        return self._log.count(self._which()) if self._log.exists else 0

    def carry_out(self, check: Callable[[], None] = lambda: None) -> int:
        """As the protocol says: the deletion, then the files that nothing names any more."""
        self.check()
        gone = self._log.delete(self._which()) if self._log.exists else 0
        version = self._log.version()
        needless = self._needless(version)
        if self._log.version() != version:
            raise beaten(self._path, 1)
        check()
        self._storage.delete_all(needless)
        self._storage.sweep(self._path)
        return gone

    def _which(self) -> Which:
        return with_identifiers(self._log.schema(), self._column, self._values)

    def _needless(self, version: int | None) -> list[str]:
        """Files that are neither of a version, the newest, nor of the log."""
        if version is None:  # somebody else's table may be there
            return self._storage.walk(f"{self._path}/{STAGED}")
        there = self._storage.walk(self._path)
        live = self._whole(version, there)
        return [
            one
            for one in there
            if one not in live and not _LOG.fullmatch(one.removeprefix(f"{self._path}/"))
        ]

    def _whole(self, version: int, there: Sequence[str]) -> set[str]:
        """Files of the newest version; all of them must be there."""
        live = set(self._log.files(version).sizes)
        lost = live - set(there)
        if lost:
            message = f"{self._path}: {len(lost)} files of the newest version are not there"
            raise MismatchError(message, "Restore them; no file was deleted")
        return live
