"""Upkeep of a Delta table: small files made into large ones, files of older versions removed.

Rows never change. Compaction is a commit like any other and may go on beside runs, but not beside
what removes files; that goes on only while nobody writes, for a file that is not committed yet
looks like one that no version names any more.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from urllib.parse import unquote

from penstock.commits import Log, beaten, check_installed
from penstock.entries import Files, once
from penstock.errors import MismatchError
from penstock.stage.report import rows_of
from penstock.storage import Storage

ATTEMPTS = 10
TARGET_BYTES = 128 * 2**20  # of a file; Athena's tuning advice and Delta's default


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
        from deltalake.exceptions import DeltaError

        for _ in range(ATTEMPTS):
            version = self._log.version()
            if version is None:
                return Kept(self._path)
            mark = uuid.uuid4().hex
            there, table = self._log.plain(version), self._log.table(version)
            try:
                figures = table.optimize.compact(
                    target_size=target, commit_properties=once({"userMetadata": mark})
                )
            except DeltaError:
                if self._log.version() == version:
                    raise  # nobody came first
                continue
            if not figures["numFilesAdded"]:
                return self._kept(there, there)
            # Its commit may come after others' that were made since: what counts is one before it.
            made = self._version(mark)
            return self._kept(self._log.plain(made - 1), self._log.plain(made))
        raise beaten(self._path, ATTEMPTS)

    def expire(self, before: datetime, check: Callable[[], None] = lambda: None) -> Kept:
        """Delete files that only versions older than an instant name, and files nobody committed.

        Nobody may write to the table meanwhile. What was the newest version at that instant can be
        read afterwards, and all that came since. (delta-rs's own vacuum forgets when a file was
        replaced once there is a checkpoint that leaves it out.)

        Args:
            before: Aware.
            check: Raises where somebody may write meanwhile; called before files are deleted.

        Raises:
            UsageError: Its rows are not plainly those of its files.
            MismatchError: A file of the newest version is gone; nothing was deleted.
        """
        version = self._log.version()
        if version is None:
            return Kept(self._path)
        there = self._storage.sizes(self._path)
        live = self._log.whole(version, there)
        kept = live.sizes.keys() | self._replaced(before)
        needless = [path for path in there if path not in kept and self._is_data(path)]
        check()
        self._storage.delete_all(needless)
        gone = {path: there[path] for path in needless}
        return self._kept(live, live, gone)

    def _replaced(self, before: datetime) -> set[str]:
        """Files that commits since an instant took out: the version before them needs these."""
        since = int(before.timestamp() * 1000)
        found: set[str] = set()
        for one in self._log.history():
            if one["timestamp"] < since:
                return found
            found |= self._taken_out(one["version"])
        return found

    def _taken_out(self, version: int) -> set[str]:
        text = self._storage.read(f"{self._path}/_delta_log/{version:020}.json").decode()
        entries = [json.loads(line) for line in text.splitlines() if line]
        removed = (one["remove"]["path"] for one in entries if "remove" in one)
        return {f"{self._path}/{unquote(path)}" for path in removed}

    def _is_data(self, path: str) -> bool:
        return not path.startswith(f"{self._path}/_delta_log/")

    def _kept(
        self, before: Files, after: Files, gone: Mapping[str, int] = MappingProxyType({})
    ) -> Kept:
        rows = self._rows(before)
        left = rows if before.sizes == after.sizes else self._rows(after)
        if rows != left:
            message = f"{self._path}: had {rows} rows, has {left}"
            raise MismatchError(
                message, "Please report this as a defect; the version before has all"
            )
        counts = (len(before.sizes), len(after.sizes), len(gone), sum(gone.values()))
        return Kept(self._path, rows, *counts)

    def _version(self, mark: str) -> int:
        """Of the commit that has this mark."""
        (found,) = [one for one in self._log.history() if one.get("userMetadata") == mark]
        return int(found["version"])

    def _rows(self, files: Files) -> int:
        """Counted in the files themselves, not in the log."""
        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(lambda path: rows_of(path, self._storage), files.sizes))
