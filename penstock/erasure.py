"""Rows that leave a Delta table for good: the table, the files of older versions, and its log.

A deletion in Delta hides rows from the newest version only: older files keep them, and the log has
the bounds of every file's columns and the condition of every deletion as text. So after the
deletion there is an empty commit, the table's state is put into one checkpoint there, and all goes
that it does not name. Nobody may write meanwhile; who reads an older version, or is in the midst of
reading, meets files that are gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

from penstock.commits import Log, beaten, check_installed
from penstock.entries import count, once
from penstock.storage import Storage

_LOG = re.compile(r"_delta_log/(\d{20})\.(json|crc|checkpoint\.[0-9.]*parquet)")


def is_one_of(column: str, texts: Sequence[str]) -> str:
    """Rows whose ``column``, as text, is one of ``texts``: a condition in DataFusion's SQL.

    It names digests: no text has to be quoted. As text every engine writes a double in its own way,
    so doubles are compared by :func:`is_number`.
    """
    digests = ", ".join(f"'{hashlib.sha256(one.encode()).hexdigest()}'" for one in texts)
    return f"encode(sha256(CAST({_quoted(column)} AS STRING)), 'hex') IN ({digests})"


def is_number(column: str, numbers: Sequence[float]) -> str:
    """Rows whose ``column`` is one of these doubles: a condition in DataFusion's SQL."""
    literals = ", ".join(f"CAST('{one!r}' AS DOUBLE)" for one in numbers)
    return f"{_quoted(column)} IN ({literals})"


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


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
            MismatchError: Files of the newest version are not there.
        """
        version = self._log.version()
        if version is not None:
            self._log.whole(version, self._storage.walk(self._path))

    def rows(self) -> int:
        """How many such rows the newest version has."""
        return count(self._log.table(), self._condition) if self._log.exists else 0

    def carry_out(self, check: Callable[[], None] = lambda: None) -> int:
        """As the protocol of all formats says (:class:`penstock.offline.log.RowErasure`)."""
        if not self._log.exists:
            return 0
        gone = self._log.delete(self._condition)
        table = self._log.table()
        table.create_write_transaction([], "append", table.schema(), commit_properties=once({}))
        table = self._log.table()
        table.create_checkpoint()
        needless = self._needless(table.version())
        if self._log.version() != table.version():
            raise beaten(self._path, 1)
        check()
        self._storage.delete_all(needless)
        self._storage.sweep(self._path)
        return gone

    def _needless(self, version: int) -> list[str]:
        """Files that the checkpoint at ``version`` does not name; the log before it."""
        there = self._storage.walk(self._path)
        live = self._log.whole(version, there).sizes
        return [
            one
            for one in there
            if one not in live and _goes(one.removeprefix(f"{self._path}/"), version)
        ]


def _goes(name: str, version: int) -> bool:
    """Whether a file that is not live goes: of the log all but its end."""
    found = _LOG.fullmatch(name)
    if found is not None:
        return int(found[1]) < version
    return name != "_delta_log/_last_checkpoint"
