"""Upkeep of a Delta table: small files made into large ones, files of older versions removed.

Rows never change. Compaction is a commit like any other and may go on beside runs; files of older
versions are removed only while nobody writes, for a file that is not committed yet looks like one
that no version names any more.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from penstock.commits import Log, beaten, check_installed
from penstock.entries import Files, once
from penstock.errors import MismatchError, UsageError
from penstock.stage.report import rows_of
from penstock.storage import Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

ATTEMPTS = 10
TARGET_BYTES = 128 * 2**20  # of a file; Athena's tuning advice and Delta's default
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Kept:
    """What upkeep did to a table.

    Args:
        path: Its folder.
        rows: Rows it has, before and after.
        files: Files of the newest version before.
        left: Files of the newest version after.
        removed: Files that were deleted.
        bytes: Bytes of these.
    """

    path: str
    rows: int = 0
    files: int = 0
    left: int = 0
    removed: int = 0
    bytes: int = 0


class Upkeep:
    """Upkeep of the table at ``path``; there may be none.

    Args:
        path: Absolute folder.
        storage: Where that is.
    """

    def __init__(self, path: str, storage: Storage) -> None:
        check_installed()
        self._path, self._storage, self._log = path, storage, Log(path, storage)

    def compact(self, target: int = TARGET_BYTES) -> Kept:
        """Make small files into large ones; a table of large files stays as it is.

        Args:
            target: Bytes of a file.

        Raises:
            UsageError: Its rows are not plainly those of its files.
            MismatchError: The table has not the same number of rows afterwards.
            TemporaryError: Others came first again and again.
        """
        from deltalake.exceptions import CommitFailedError

        for _ in range(ATTEMPTS):
            version = self._log.version()
            if version is None:
                return Kept(self._path)
            mark = uuid.uuid4().hex
            there, table = self._files(version), self._table(version)
            try:
                figures = table.optimize.compact(
                    target_size=target, commit_properties=once({"userMetadata": mark})
                )
            except CommitFailedError:
                continue
            if not figures["numFilesAdded"]:
                return self._kept(there, there)
            # Its commit may come after others' that were made since: what counts is one before it.
            made = self._version(mark)
            return self._kept(self._files(made - 1), self._files(made))
        raise beaten(self._path, ATTEMPTS)

    def expire(self, age: timedelta) -> Kept:
        """Delete files that only versions older than ``age`` name, and files nobody committed.

        Nobody may write to the table meanwhile. Versions older than that cannot be read any more.

        Raises:
            UsageError: Its rows are not plainly those of its files.
            MismatchError: A file of the newest version is gone.
        """
        version = self._log.version()
        if version is None:
            return Kept(self._path)
        live, before = self._files(version), self._storage.sizes(self._path)
        self._table(version).vacuum(
            retention_hours=age // HOUR,
            dry_run=False,
            enforce_retention_duration=False,
            full=True,
        )
        after = self._storage.sizes(self._path)
        gone = {path: size for path, size in before.items() if path not in after}
        if set(live.sizes) & set(gone):
            message = f"{self._path}: files of the newest version are gone"
            raise MismatchError(message, "Please report this as a defect; restore the folder")
        return self._kept(live, live, gone)

    def _kept(self, before: Files, after: Files, gone: dict[str, int] | None = None) -> Kept:
        rows, left = (self._rows(one) for one in (before, after))
        if rows != left:
            message = f"{self._path}: had {rows} rows, has {left}"
            raise MismatchError(
                message, "Please report this as a defect; the version before has all"
            )
        gone = gone or {}
        counts = (len(before.sizes), len(after.sizes), len(gone), sum(gone.values()))
        return Kept(self._path, rows, *counts)

    def _version(self, mark: str) -> int:
        """Of the commit that has this mark."""
        (found,) = [one for one in self._log.history() if one.get("userMetadata") == mark]
        return int(found["version"])

    def _rows(self, files: Files) -> int:
        """Counted in the files themselves, not in the log."""
        return sum(rows_of(path, self._storage) for path in files.sizes)

    def _files(self, version: int) -> Files:
        files = self._log.files(version)
        if files is None:
            message = f"{self._path}: has features of Delta that penstock does not write"
            raise UsageError(message, "Use OPTIMIZE and VACUUM of Spark; nothing was done here")
        return files

    def _table(self, version: int) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self._path, version=version, storage_options=self._storage.options())
