"""Commits to Delta tables through delta-rs: files that are written become rows, all at once.

A commit is the next entry of the table's log, put if absent: ``link()`` in a folder, a conditional
put on S3. So any number of drivers, batch or stream, commit to one table without a lock, and
without what Spark's own log store on S3 lacks (ADR 8). Which entry is next is decided here, not by
delta-rs: its own retries would commit a transaction twice (delta-rs issue 2580).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from penstock.entries import (
    Commit,
    Files,
    Part,
    Transaction,
    action,
    commit_of,
    count,
    has,
    mark_of,
    once,
    properties,
)
from penstock.errors import ContractError, MismatchError, TemporaryError, UsageError
from penstock.storage import Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable, Field

LOOKS = (10, 1_000, None)  # commits looked through for one of ours: it is mostly the newest
ATTEMPTS = 100  # of a commit that meets others: each that failed is another's that went through


def check_installed() -> None:
    """Runs ask before they write anything.

    Raises:
        UsageError: delta-rs is not installed.
    """
    if find_spec("deltalake") is None:
        message = "delta-rs, which commits to the offline tables, is not installed here"
        raise UsageError(message, "pip install deltalake, on the driver; executors need none")


def beaten(path: str, times: int) -> TemporaryError:
    """The error for a table whose other writers came first, so many times."""
    message = f"{path}: other commits came first, {times} times"
    return TemporaryError(message, "Run the same command again")


def gone(path: str, lost: int, of: int) -> TemporaryError:
    """The error for so many files that were written and are there no more."""
    message = f"{path}: {lost} of {of} files that were written are gone"
    return TemporaryError(message, "Run the same command again: it writes them anew")


def check_there(path: str, storage: Storage, parts: Sequence[Part]) -> None:
    """A commit that names files that are gone would make the table unreadable.

    They go where this process slept so long that others thought it dead and cleaned up.

    Raises:
        TemporaryError: Some of them are not there.
    """
    with ThreadPoolExecutor(8) as pool:
        there = pool.map(lambda one: storage.exists(f"{path}/{one.name}"), parts)
        lost = sum(not one for one in there)
    if lost:
        raise gone(path, lost, len(parts))


class Log:
    """The log of the Delta table at ``path``, a folder; there may be none yet.

    Args:
        path: Absolute folder.
        storage: Where that is.
    """

    def __init__(self, path: str, storage: Storage) -> None:
        self._path, self._storage = path, storage

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self._path, self._storage.options())

    def version(self) -> int | None:
        """The table's version; None where there is no table."""
        table = self._newest()
        return None if table is None else table.version()

    def files(self, version: int) -> Files | None:
        """The files at a version.

        None where their rows are not the table's: deletion vectors, columns under other names,
        partitions, files elsewhere.
        """
        table = self.table(version)
        if table.protocol().min_reader_version > 1 or table.metadata().partition_columns:
            return None
        found: Any = pa.table(table.get_add_actions())
        names = found["path"].to_pylist()
        if any("%" in one or ":" in one for one in names):  # encoded, or absolute
            return None
        sizes = zip(names, found["size_bytes"].to_pylist(), strict=True)
        return Files({f"{self._path}/{name}": size for name, size in sizes}, self._storage)

    def plain(self, version: int) -> Files:
        """:meth:`files`; raises UsageError where there are none whose rows are the table's."""
        files = self.files(version)
        if files is None:
            message = f"{self._path}: has features of Delta that penstock does not write"
            raise UsageError(message, "Use OPTIMIZE, DELETE and VACUUM of Spark")
        return files

    def whole(self, version: int, there: Collection[str]) -> Files:
        """:meth:`plain`, for who is about to remove what they do not name.

        Args:
            version: The newest one.
            there: Paths of all files of the folder.

        Raises:
            UsageError: As :meth:`plain`.
            MismatchError: Some of them are not there.
        """
        files = self.plain(version)
        lost = files.sizes.keys() - set(there)
        if lost:
            message = f"{self._path}: {len(lost)} files of the newest version are not there"
            raise MismatchError(message, "Restore them; no file was deleted")
        return files

    def table(self, version: int | None = None) -> DeltaTable:
        """delta-rs's own table, at its newest version or at one; there must be one."""
        from deltalake import DeltaTable

        options = self._storage.options()
        return DeltaTable(self._path, version=version, storage_options=options)

    def find(self, transaction: Transaction) -> Commit | None:
        """The commit of a transaction; None where it was never made, or the log forgot it."""
        table = self._newest()
        if table is None or not has(table, transaction):
            return None
        for newest in LOOKS:
            for one in self.history(newest):
                mark = mark_of(one)
                if {key: mark.get(key) for key in transaction.mark} == transaction.mark:
                    return commit_of(one, mark)
        return None

    def reached(self, application: str) -> int | None:
        """Greatest version of a transaction's name that is in; None where there is none."""
        table = self._newest()
        return None if table is None else table.transaction_version(application)

    def history(self, newest: int | None = None) -> list[dict[str, Any]]:
        """What is noted beside the newest commits, each with its version.

        delta-rs counts versions down from that of the table it has loaded, but lists what is there:
        a commit that came between moves them all. So it is looked whether one did.

        Raises:
            TemporaryError: Others came between again and again.
        """
        for _ in range(ATTEMPTS):
            table = self.table()
            found, version = table.history(newest), table.version()
            table.update_incremental()
            if table.version() == version:
                return found
        raise beaten(self._path, ATTEMPTS)

    def append(
        self,
        parts: Sequence[Part],
        schema: pa.Schema,
        transaction: Transaction | None = None,
        *,
        present: int = 0,
        read: int | None = None,
        blind: bool = True,
    ) -> bool:
        """Commit files; a transaction that is in already stays as it is.

        Args:
            parts: What becomes rows.
            schema: The table's.
            transaction: Name of the append.
            present: Is noted with it.
            read: Version these rows were computed from, None where there was no table; counts only
                where the append is not ``blind``.
            blind: Whether the rows depend on nothing that is in the table.

        Returns:
            False where others came first and the rows must be computed anew.

        Raises:
            TemporaryError: Others came first again and again.
        """
        for _ in range(ATTEMPTS):
            table = self._newest()
            version = None if table is None else table.version()
            if transaction is not None and table is not None and has(table, transaction):
                return True
            if not blind and version != read:
                return False
            if self._commits(table, parts, schema, transaction, present):
                return True
        raise beaten(self._path, ATTEMPTS)

    def widen(self, schema: pa.Schema) -> None:
        """Add the columns the table lacks; nothing else of it changes.

        Raises:
            ContractError: A column is there with another type.
            TemporaryError: Others came first again and again.
        """
        from deltalake import Schema
        from deltalake.exceptions import CommitFailedError

        wanted = Schema.from_arrow(schema).fields
        for _ in range(ATTEMPTS):
            table = self._newest()
            there = {} if table is None else {one.name: one for one in table.schema().fields}
            self._check_types(there, wanted)
            lacking = [one for one in wanted if one.name not in there]
            if table is None or not lacking:
                return
            try:
                table.alter.add_columns(lacking)
            except CommitFailedError:
                continue
            return
        raise beaten(self._path, ATTEMPTS)

    def delete(self, condition: str, rows: int | None = None) -> int:
        """Delete rows, in one commit; none is made where there are none left.

        Args:
            condition: In DataFusion's SQL.
            rows: How many there must be; None takes any number.

        Returns:
            Rows that were deleted.

        Raises:
            MismatchError: There are more or fewer; nothing was deleted.
            TemporaryError: Others came first again and again.
        """
        from deltalake.exceptions import CommitFailedError

        for _ in range(ATTEMPTS):
            table = self.table()
            found = count(table, condition)
            if not found:
                return 0
            if rows not in (None, found):
                message = f"{self._path}: the run wrote {rows} rows, {found} of them are there"
                raise MismatchError(message, "Nothing was deleted; look at the table's history")
            try:
                table.delete(condition, commit_properties=once({}))
            except CommitFailedError:
                continue
            return found
        raise beaten(self._path, ATTEMPTS)

    def _commits(
        self,
        table: DeltaTable | None,
        parts: Sequence[Part],
        schema: pa.Schema,
        transaction: Transaction | None,
        present: int,
    ) -> bool:
        """Whether the entry after the table's version, or its first one, is ours."""
        from deltalake import Schema
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import create_table_with_add_actions

        check_there(self._path, self._storage, parts)
        actions = [action(one) for one in parts]
        noted = properties(actions, transaction, present)
        try:
            if table is not None:
                table.create_write_transaction(
                    [*actions], "append", schema, commit_properties=noted
                )
            else:
                create_table_with_add_actions(
                    self._path,
                    Schema.from_arrow(schema),
                    actions,
                    storage_options=self._storage.options(),
                    commit_properties=noted,
                )
        except DeltaError:
            if self.version() == (None if table is None else table.version()):
                raise  # nobody came first
            return False
        return True

    def _check_types(self, there: Mapping[str, Field], wanted: Sequence[Field]) -> None:
        for one in wanted:
            old = there.get(one.name)
            if old is not None and old.type != one.type:
                message = f"{self._path}: column {one.name!r} is {_type(old)}, not {_type(one)}"
                raise ContractError(message, "A type cannot change: give the feature another name")

    def _newest(self) -> DeltaTable | None:
        """None where there is no table."""
        return self.table() if self.exists else None


def _type(field: Field) -> str:
    return str(getattr(field.type, "type", field.type))
