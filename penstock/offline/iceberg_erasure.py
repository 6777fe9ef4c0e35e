"""Rows that leave an Iceberg table for good: the table, files of older versions, and its metadata.

A deletion in Iceberg hides rows from the newest snapshot only: older files keep them, and manifests
have the bounds of every file's columns, of deleted files too. So after the deletion one commit has
a snapshot whose manifests name live files alone and expires all others; then all files go that the
newest metadata does not name. The new snapshot carries the marks of those it stands for, so
transactions stay known. Nobody may write meanwhile; who reads an older version, or is in the midst
of reading, meets files that are gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import BooleanExpression, EqualTo, In, Or
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import ExpireSnapshots, _FastAppendFiles

from penstock.commits import ATTEMPTS, beaten
from penstock.errors import MismatchError, UsageError
from penstock.offline.iceberg import newest
from penstock.offline.iceberg_marks import carried
from penstock.offline.identifiers import typed
from penstock.storage import Storage, absolute

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from penstock.offline.iceberg_catalog import TableCatalog

#: Where other engines look first for the number of the newest metadata of a table in a folder.
HINT = "metadata/version-hint.text"
_NUMBERED = re.compile(r"/v(\d+)\.metadata\.json$")


class IcebergErasure:
    """Rows of the Iceberg table at ``path`` that are to leave it for good.

    Args:
        path: Absolute folder; there may be no table.
        storage: Where that is.
        catalog: Which metadata is the newest.
        column: The record identifier.
        values: Identifiers, as text.
    """

    def __init__(
        self,
        path: str,
        storage: Storage,
        catalog: TableCatalog,
        column: str,
        values: Sequence[str],
    ) -> None:
        self._path, self._storage, self._catalog = path, storage, catalog
        self._column, self._values = column, values

    def check(self) -> None:
        """Return where the table can be rewritten.

        Raises:
            UsageError: Its rows are not plainly those of its files.
            MismatchError: Files of the newest version are not there.
        """
        table = newest(self._catalog)
        if table is not None:
            self._live(table, self._storage.walk(self._path))

    def rows(self) -> int:
        """How many such rows the newest version has."""
        table = newest(self._catalog)
        return 0 if table is None else table.scan(row_filter=self._condition(table)).count()

    def carry_out(self, check: Callable[[], None] = lambda: None) -> int:
        """As the protocol says; a table with deletions of others' is a UsageError before all."""
        self.check()
        gone = self._delete()
        table = self._alone()
        if table is None:
            return 0
        needless = self._needless(table)
        there = newest(self._catalog)
        if there is None or there.metadata_location != table.metadata_location:
            raise beaten(self._path, 1)
        check()
        self._point_at(table)
        self._storage.delete_all(needless)
        self._storage.sweep(self._path)
        return gone

    def _delete(self) -> int:
        """Files whole, or rewritten where they have other rows; in one commit."""
        for _ in range(ATTEMPTS):
            table = newest(self._catalog)
            if table is None:
                return 0
            condition = self._condition(table)
            found = table.scan(row_filter=condition).count()
            if not found:
                return 0
            try:
                table.delete(condition)
            except CommitFailedException:
                continue
            return found
        raise beaten(self._path, ATTEMPTS)

    def _alone(self) -> Table | None:
        """The table, after its newest snapshot is all it has, and names live files alone."""
        for _ in range(ATTEMPTS):
            table = newest(self._catalog)
            if table is None or not table.metadata.snapshots:
                return table
            change, marks = table.transaction(), carried(table)
            _Same(Operation.APPEND, change, table.io, snapshot_properties=marks).commit()
            old = [one.snapshot_id for one in table.metadata.snapshots]
            ExpireSnapshots(change).by_ids(old).commit()
            try:
                change.commit_transaction()
            except CommitFailedException:
                continue
            table = newest(self._catalog)
            if table is None or len(table.metadata.snapshots) == 1:
                return table
        raise beaten(self._path, ATTEMPTS)

    def _needless(self, table: Table) -> list[str]:
        """Files that the newest metadata does not name, and by which nobody looks for it."""
        there = self._storage.walk(self._path)
        live = self._live(table, there)
        figures = [*table.metadata.statistics, *table.metadata.partition_statistics]
        live |= {absolute(one.statistics_path) for one in figures}
        if _NUMBERED.search(table.metadata_location):
            live.add(f"{self._path}/{HINT}")
        return [one for one in there if one not in live]

    def _point_at(self, table: Table) -> None:
        """The number that is hinted at is of metadata that is about to go."""
        number, hint = _NUMBERED.search(table.metadata_location), f"{self._path}/{HINT}"
        if number is not None and self._storage.exists(hint):
            self._storage.write(hint, number[1].encode())

    def _live(self, table: Table, there: Sequence[str]) -> set[str]:
        """Paths of all files of the newest version; each must be there."""
        if table.metadata.refs.keys() - {MAIN_BRANCH}:
            message = f"{self._path}: has branches or tags, which keep what was deleted"
            raise UsageError(message, "Drop them in Spark: ALTER TABLE … DROP BRANCH, or TAG")
        try:
            live = {table.metadata_location, *self._named(table)}
        except FileNotFoundError as error:
            message = f"{self._path}: metadata of the newest version is not there: {error}"
            raise MismatchError(message, "Restore it; no file was deleted") from error
        live = {absolute(one) for one in live}
        lost = live - set(there)
        if lost:
            message = f"{self._path}: {len(lost)} files of the newest version are not there"
            raise MismatchError(message, "Restore them; no file was deleted")
        return live

    def _named(self, table: Table) -> list[str]:
        """What the newest snapshot names."""
        snapshot = table.current_snapshot()
        if snapshot is None:
            return []
        manifests, tasks = snapshot.manifests(table.io), list(table.scan().plan_files())
        if any(one.delete_files for one in tasks) or any(map(_deletes, manifests)):
            message = f"{self._path}: deletions of rows are not merged into its files"
            raise UsageError(message, "Athena's OPTIMIZE … REWRITE DATA merges them")
        files = [one.file.file_path for one in tasks]
        return [snapshot.manifest_list, *(one.manifest_path for one in manifests), *files]

    def _condition(self, table: Table) -> BooleanExpression:
        kind = schema_to_pyarrow(table.schema()).field(self._column).type
        values = tuple(typed(self._values, kind).to_pylist())
        found: BooleanExpression = In(self._column, values)  # type: ignore[call-arg, arg-type]  # mypy sees fields, not its __init__
        if pa.types.is_floating(kind) and 0.0 in values:  # Arrow's lists tell zeros by their signs
            found = Or(found, EqualTo(self._column, 0.0))  # type: ignore[call-arg, arg-type]  # as above
        return found


class _Same(_FastAppendFiles):
    """A snapshot of the files that are there; manifests with entries of deleted ones are anew."""

    def _existing_manifests(self) -> list[ManifestFile]:
        made = []
        for one in super()._existing_manifests():
            if one.deleted_files_count == 0:
                made.append(one)
                continue
            with self.new_manifest_writer(self.spec(one.partition_spec_id)) as writer:
                for entry in self.fetch_manifest_entry(one):
                    writer.existing(entry)
            made.append(writer.to_manifest_file())
        return made


def _deletes(manifest: ManifestFile) -> bool:
    """Whether it names files with deletions that still count."""
    live = manifest.has_added_files() or manifest.has_existing_files()
    return manifest.content == ManifestContent.DELETES and live
