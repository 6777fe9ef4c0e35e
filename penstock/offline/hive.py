"""The offline store as a Hive table: Parquet in folders by the hour, which Athena and Spark read.

Such a table has no log that readers follow: they list folders. So files are written where nobody
lists, below ``staged/``; the next entry of a log of ours, put if absent, decides that they are the
table's (as ADR 8 has it for Delta); then they appear below ``data/``. A process that dies after the
entry leaves that to the next one that opens the log: all that this class answers is published.

Readers that are not ours may see part of an append for the moment its files appear, and a deletion
that rewrites a file shows its rows twice for as long; a file is never seen in part.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.commits import ATTEMPTS, beaten, check_there
from penstock.entries import Commit, Files, Part, Transaction
from penstock.errors import MismatchError, UsageError
from penstock.layout import Layout
from penstock.offline.hive_entries import STAGED, Entry, State, added, widened
from penstock.offline.hive_journal import Journal
from penstock.offline.hive_publication import Publication, final
from penstock.offline.hive_rows import Which, of_append
from penstock.offline.log import Brought
from penstock.parts import PartTask
from penstock.storage import Storage

WORKERS = 8
REGISTERED = "log/registered"


class HiveLog:
    """The log of the Hive table in folder ``path``; see :class:`penstock.offline.log.TableLog`.

    Args:
        path: Absolute folder.
        storage: Where that is.
        event_time: Column of the event time.
    """

    layout: Layout | None

    def __init__(self, path: str, storage: Storage, event_time: str) -> None:
        self.path, self._storage, self._event_time = path, storage, event_time
        self.layout = Layout("hive", event_time, f"{STAGED}/{uuid.uuid4().hex}")
        self._journal = Journal(f"{path}/log", storage)
        self._publication = Publication(path, storage, self._journal)

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return self._journal.exists

    def version(self) -> int | None:
        """Number of the newest entry; None where there is no table."""
        return self._publication.newest().version

    def files(self, version: int) -> Files:
        """The files with the rows at a version, below ``data/``.

        Raises:
            UsageError: There is no such version, or rows of it were taken out since.
        """
        newest = self._publication.newest()
        state = self._at(newest, version)
        gone = state.files.keys() - newest.files.keys()
        if gone:
            message = f"{self.path}: {len(gone)} files of version {version} were taken out since"
            raise UsageError(message, "Use the newest version")
        sizes = {final(self.path, name): one.size for name, one in state.files.items()}
        return Files(sizes, self._storage)

    def partitions(self, version: int | None = None) -> dict[str, tuple[str, str, str, str]]:
        """Year, month, day and hour of each folder that has files, by its absolute path.

        Args:
            version: None takes the newest; where there is no table there are none.

        Raises:
            UsageError: There is no such version.
        """
        state = self._publication.newest()
        if version is not None:
            state = self._at(state, version)
        folders = {name.rpartition("/")[0] for name in state.files}
        return {final(self.path, one): _hour(one) for one in sorted(folders)}

    def registered(self, where: str) -> int | None:
        """The version up to which a catalogue knows all partitions; None where nobody noted one."""
        try:
            noted: dict[str, int] = json.loads(self._storage.read(f"{self.path}/{REGISTERED}"))
        except FileNotFoundError:
            return None
        return noted.get(where)

    def note_registered(self, where: str, version: int) -> None:
        """A catalogue, as :meth:`registered` is asked for it, knows the partitions of a version.

        Where it is lost, or an older one is noted last, partitions are registered once more.
        """
        self._storage.write(f"{self.path}/{REGISTERED}", json.dumps({where: version}).encode())

    def find(self, transaction: Transaction) -> Commit | None:
        """The commit of a transaction; None where it was never made."""
        noted = self._publication.newest().commits.get(transaction.application)
        while noted is not None and noted.generation > transaction.version:
            before = noted.before
            if before is None:
                return None
            noted = self._journal.entries(before, before)[0].noted(before)
        return noted.commit if noted and noted.generation == transaction.version else None

    def widen(self, schema: pa.Schema) -> None:
        """Add the columns the table lacks, at its end. Where there is no table none is made.

        Raises:
            ContractError: A column is there with another type.
            TemporaryError: Others came first again and again.
        """
        for _ in range(ATTEMPTS):
            state = self._publication.newest()
            wide = widened(self.path, state.schema, schema)
            if state.version is None or wide == state.schema:
                return
            if self._commits(state, Entry(schema=wide)):
                return
        raise beaten(self.path, ATTEMPTS)

    def of_files(self, schema: pa.Schema) -> pa.Schema:
        """As it is."""
        return schema

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
        """Commit files that were written with :attr:`layout`, and publish them.

        A transaction that is in already stays as it is. So an append that has one can be repeated
        whatever it raised; it says no more than that it is in.

        Arguments and answer are the protocol's; columns the table lacks are added to it.

        Raises:
            ContractError: A column is there with another type.
            TemporaryError: Others came first again and again, or files are gone.
        """
        for _ in range(ATTEMPTS):
            state = self._publication.newest()
            if transaction is not None and state.has(transaction):
                return True
            if not blind and state.version != read:
                return False
            wide = widened(self.path, state.schema, schema)
            check_there(self.path, self._storage, parts)
            entry = Entry(
                added(parts),
                schema=None if wide == state.schema else wide,
                transaction=transaction,
                before=_before(state, transaction),
                present=present,
            )
            if self._commits(state, entry):
                return True
        raise beaten(self.path, ATTEMPTS)

    def take_out(self, brought: Brought, rows: int) -> None:
        """Delete what one append brought, in one entry. Doing it again changes nothing.

        Raises:
            MismatchError: Other rows than so many are there; nothing was deleted.
            TemporaryError: Others came first again and again.
        """
        self.delete(of_append(brought), rows)

    def delete(self, which: Which, rows: int | None = None) -> int:
        """Delete rows, in one entry; none is made where there are none left.

        Files that have other rows too are written anew without these.

        Args:
            which: Rows.
            rows: How many there must be; None takes any number.

        Returns:
            Rows that were deleted.

        Raises:
            MismatchError: There are more or fewer; nothing was deleted.
            TemporaryError: Others came first again and again.
        """
        for _ in range(ATTEMPTS):
            state = self._publication.newest()
            try:
                found = self._counts(state, which)
                total = sum(found.values())
                if not total:
                    return 0
                if rows not in (None, total):
                    message = f"{self.path}: the run wrote {rows} rows, {total} of them are there"
                    raise MismatchError(message, "Nothing was deleted; look at the table's history")
                kept = self._kept(state, found, which)
            except FileNotFoundError as error:
                self._check_replaced(state, error)
                continue
            if self._commits(state, Entry(added(kept), list(found))):
                return total
            self._storage.delete_all([f"{self.path}/{one.name}" for one in kept])
        raise beaten(self.path, ATTEMPTS)

    def count(self, which: Which) -> int:
        """How many such rows the newest version has; raises as :meth:`matching`."""
        for _ in range(ATTEMPTS):
            state = self._publication.newest()
            try:
                return sum(self._counts(state, which).values())
            except FileNotFoundError as error:
                self._check_replaced(state, error)
        raise beaten(self.path, ATTEMPTS)

    def schema(self) -> pa.Schema:
        """All columns; none where there is no table."""
        return self._publication.newest().schema

    def matching(self, column: str, values: Sequence[str]) -> pa.Table:
        """Rows whose ``column``, as text, is one of the values. Empty: no table.

        Raises:
            MismatchError: A file of the table is gone.
            TemporaryError: Rows were taken out again and again while it read.
        """
        for _ in range(ATTEMPTS):
            state = self._publication.newest()
            if state.version is None:
                return pa.table({})
            wanted = pc.cast(pa.array(values, pa.string()), state.schema.field(column).type)
            try:
                return self._meeting(state, pc.field(column).isin(wanted))
            except FileNotFoundError as error:
                self._check_replaced(state, error)
        raise beaten(self.path, ATTEMPTS)

    def _commits(self, state: State, entry: Entry) -> bool:
        """Whether the entry after those of ``state`` is ours; it is published then."""
        if not self._journal.put(state, entry):
            return False
        self._publication.newest()
        return True

    def _at(self, newest: State, version: int) -> State:
        if not 0 <= version <= newest.last:
            message = f"{self.path}: there is no version {version}"
            raise UsageError(message, f"The newest is {newest.version}")
        return self._journal.at(version)

    def _check_replaced(self, state: State, error: FileNotFoundError) -> None:
        """A file is gone either because another entry removed it, or for no good reason."""
        if self._journal.newest().last == state.last:
            message = f"{self.path}: a file of version {state.version} is gone: {error}"
            remedy = "Restore it from a backup, on S3 from a version of the object"
            raise MismatchError(message, remedy) from error

    def _counts(self, state: State, which: Which) -> dict[str, int]:
        """Such rows in each file that has some."""
        files = [name for name, one in state.files.items() if which.may_be(one)]
        with ThreadPoolExecutor(WORKERS) as pool:
            counts = list(pool.map(lambda one: self._count(one, which), files))
        return {name: count for name, count in zip(files, counts, strict=True) if count}

    def _count(self, name: str, which: Which) -> int:
        with self._storage.open_input(final(self.path, name)) as file:
            rows = pq.read_table(file, columns=which.columns)
        return int(pc.sum(which.are(rows)).as_py() or 0)

    def _kept(self, state: State, found: Mapping[str, int], which: Which) -> list[Part]:
        """The other rows of these files, written anew; not of the table yet."""
        partial = [name for name, count in found.items() if count < state.files[name].rows]
        parts: list[Part] = []
        for name in partial:
            rows = self._rows(state, name)
            rows = rows.filter(pc.invert(which.are(rows)))
            latest_first = rows.sort_by([(self._event_time, "descending")])
            task = PartTask(state.schema, self.path, self._storage, self.layout)
            parts += task.parts(latest_first.to_batches())
        return parts

    def _meeting(self, state: State, condition: pc.Expression) -> pa.Table:
        """All rows that meet a condition."""
        with ThreadPoolExecutor(WORKERS) as pool:
            found = pool.map(lambda one: self._rows(state, one, condition), state.files)
            return pa.concat_tables([state.schema.empty_table(), *found])

    def _rows(self, state: State, name: str, condition: pc.Expression | None = None) -> pa.Table:
        """Of a file, with all columns of the table."""
        with self._storage.open_input(final(self.path, name)) as file:
            return pq.read_table(file, schema=state.schema, filters=condition)


def _before(state: State, transaction: Transaction | None) -> int | None:
    noted = None if transaction is None else state.commits.get(transaction.application)
    return None if noted is None else noted.version


def _hour(folder: str) -> tuple[str, str, str, str]:
    """``year=2024/month=01/day=31/hour=00`` as its values."""
    year, month, day, hour = (one.partition("=")[2] for one in folder.split("/"))
    return year, month, day, hour
