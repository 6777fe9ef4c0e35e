"""Rows that leave a Delta table for good: the table, the files of older versions, and its log.

A deletion in Delta hides rows from the newest version only: older files keep them, and the log has
the bounds of every file's columns as text. So after the deletion the table's state is put into one
checkpoint, and everything goes that it does not name. Nobody may write meanwhile; who reads an
older version, or is in the midst of reading, meets files that are gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.commits import Log, beaten, check_installed, count, once
from penstock.errors import UsageError
from penstock.storage import Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

ATTEMPTS = 10
_VERSION = re.compile(r"_delta_log/(\d{20})\.")


def is_one_of(column: str, texts: Sequence[str]) -> str:
    """Rows whose ``column``, as text, is one of ``texts``: a condition in DataFusion's SQL.

    It names digests, for Delta's log keeps the condition of every deletion.
    """
    digests = ", ".join(f"'{hashlib.sha256(one.encode()).hexdigest()}'" for one in texts)
    quoted = column.replace('"', '""')
    return f"encode(sha256(CAST(\"{quoted}\" AS STRING)), 'hex') IN ({digests})"


class Erasure:
    """Rows of the Delta table at ``path`` that are to leave it for good.

    Args:
        path: Absolute folder; there may be no table.
        storage: Where that is.
        condition: Which rows, in DataFusion's SQL.
    """

    def __init__(self, path: str, storage: Storage, condition: str) -> None:
        check_installed()
        self._path, self._storage, self._condition = path, storage, condition
        self._log = Log(path, storage)

    def check(self) -> None:
        """Return where the table can be rewritten.

        Raises:
            UsageError: Its rows are not plainly those of its files.
        """
        version = self._log.version()
        if version is not None and self._log.files(version) is None:
            message = f"{self._path}: has features of Delta that penstock does not write"
            raise UsageError(
                message, "Delete the rows with Spark, then VACUUM; nothing was done here"
            )

    def rows(self) -> int:
        """How many such rows the newest version has."""
        return count(self._table(), self._condition) if self._log.exists else 0

    def carry_out(self) -> int:
        """Delete them, and whatever the newest version does not need. Doing it again is safe.

        Returns:
            Rows that left the newest version.

        Raises:
            TemporaryError: Others came first again and again.
        """
        if not self._log.exists:
            return 0
        gone = self._delete()
        version = self._table().version()
        self._table().create_checkpoint()
        self._storage.delete_all(self._needless(version))
        return gone

    def _delete(self) -> int:
        from deltalake.exceptions import CommitFailedError

        for _ in range(ATTEMPTS):
            table = self._table()
            found = count(table, self._condition)
            if not found:
                return 0
            try:
                table.delete(self._condition, commit_properties=once({}))
            except CommitFailedError:
                continue
            return found
        raise beaten(self._path, ATTEMPTS)

    def _needless(self, version: int) -> list[str]:
        """Files that the checkpoint at ``version`` does not name; the log before it."""
        live = self._log.files(version)
        assert live is not None  # by ``check``
        return [
            one
            for one in self._storage.walk(self._path)
            if one not in live.sizes and _before(one.removeprefix(f"{self._path}/"), version)
        ]

    def _table(self) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self._path, storage_options=self._storage.options())


def _before(name: str, version: int) -> bool:
    """Whether a file that is not live may go: entries of the log only where they are older."""
    if not name.startswith("_delta_log/"):
        return True
    found = _VERSION.match(name)
    return found is not None and int(found[1]) < version
