"""The offline table of one feature group, one transaction a window and generation.

A window's rows are all there or none is, however often its append is tried. The name of its
transaction is kept per window, because one per pipeline would lose windows that finish out of order
(facts: reliability, finding 9). What a commit did is read back from the table's own log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
from pyspark.sql.types import BooleanType, IntegerType, StructField, StructType, TimestampType

from penstock import encoding
from penstock.commits import beaten
from penstock.contract import CORRECT, DELETED, REPLACED, FeatureGroup
from penstock.encoding.instants import micros_of
from penstock.entries import Commit, Files, Transaction
from penstock.errors import MismatchError, UsageError
from penstock.offline.comparison import OLDER, TIE, Comparison, Means
from penstock.offline.delta import DeltaLog
from penstock.offline.log import Brought, TableLog
from penstock.parts import write
from penstock.storage import Storage

ATTEMPTS = 10  # of an append that reads the table and meets others
_INSTANT = pa.timestamp("us", "UTC")
#: Conditions by which Spark and Delta say that there is no Delta table at a path. Tested with Spark
#: 4.1 and Delta 4.2: a missing folder, an empty one, one of other files.
_NO_TABLE = (
    "[PATH_NOT_FOUND]",
    "[DELTA_MISSING_DELTA_TABLE]",
    "[DELTA_PATH_DOES_NOT_EXIST]",
    "[DELTA_TABLE_NOT_FOUND]",
)


class OfflineTable:
    """The table of ``group`` in folder ``path``.

    Columns: the features in contract order, then ``api_invocation_time``, ``write_time``
    (timestamps) and ``is_deleted`` (boolean), as the service's own offline store has them.

    Args:
        spark: A session with Delta.
        path: Absolute folder.
        storage: Where that is.
        group: The contract.
        features: Spark schema of the features.
        log: The table's.
    """

    def __init__(
        self,
        spark: SparkSession,
        path: str,
        storage: Storage,
        group: FeatureGroup,
        features: StructType,
        log: TableLog,
    ) -> None:
        self._spark, self.path, self._group, self._features = spark, path, group, features
        self._storage, self._log = storage, log

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed; a driver killed before that leaves an empty log."""
        return self._log.exists

    def staged(self, files: Sequence[str], rejected: Sequence[str] = ()) -> DataFrame:
        """Staged rows with deletion and tie, without those the service rejected.

        Args:
            files: Staged files of fit rows.
            rejected: Files of rejected rows: the features as columns, one row an identifier.
        """
        fields = [*self._features.fields, *self._deletion, StructField(TIE, IntegerType())]
        schema = StructType(fields)
        if not files:
            return self._spark.createDataFrame([], schema)
        rows = self._spark.read.schema(schema).parquet(*files)
        if not rejected:
            return rows
        # A send file has the row with tie 0 of each identifier: that one was rejected, no other.
        refused = self._spark.read.schema(self._features).parquet(*rejected)
        refused = refused.select(*self._keys()).withColumn(TIE, F.lit(0))
        return rows.join(refused, [*self._keys(), TIE], "left_anti")

    def version(self) -> int | None:
        """The table's version; None where there is no table."""
        return self._log.version()

    def comparison(self, version: int | None = None) -> Comparison | None:
        """What the table holds now, or held at a version; None where there is no table."""
        if not self.exists:
            return None
        return Comparison(self.rows(version), self._group)

    def rows(self, version: int | None = None) -> DataFrame:
        """All rows the table holds now, or held at a version; there must be a table."""
        return stored(self._spark, self._log, self.path, self._group, self._features, version)

    def files(self, version: int) -> Files | None:
        """Files with the rows it held at a version; None where only Spark can tell these rows."""
        return self._log.files(version)

    def without(self, api: datetime, at: datetime, ties: int) -> DataFrame:
        """Rows that one append did not bring; the arguments are those of :meth:`take_out`."""
        return self.rows().where(~_brought(api, at, ties))

    def take_out(self, api: datetime, at: datetime, ties: int, rows: int) -> None:
        """Delete what one append brought, in one commit. Doing it again changes nothing.

        Args:
            api: Its ``api_invocation_time``, aware.
            at: Its ``write_time``, aware.
            ties: Most microseconds that ties took off the former.
            rows: Rows it brought.

        Raises:
            MismatchError: Other rows than these are there; nothing was deleted.
            TemporaryError: Other commits came first, again and again.
        """
        last, first = api, api - timedelta(microseconds=ties)
        self._log.take_out(Brought(first, last, at), rows)

    def judged(
        self, latest: DataFrame, version: int | None, *, guard: bool, correct: Means | None
    ) -> DataFrame:
        """:meth:`Comparison.judged` at a version; without a table nothing is older or corrects."""
        stored = None if version is None else self.comparison(version)
        if stored is not None:
            return stored.judged(latest, guard=guard, correct=correct)
        no = F.lit(False)  # noqa: FBT003 - a literal column
        return latest.withColumns({CORRECT: no, REPLACED: no, OLDER: no})

    def append(
        self,
        rows: DataFrame,
        transaction: Transaction,
        *,
        api_invocation_time: datetime,
        write_time: datetime,
        compare: bool,
    ) -> Commit:
        """Append rows exactly once, however often it is called.

        Args:
            rows: What :meth:`staged` gives.
            transaction: Name of this append; a repeated one does nothing.
            api_invocation_time: Aware instant; the n-th tie of an identifier gets n µs less, so
                that the
                row the online store has is the current row here too.
            write_time: Aware instant.
            compare: Leave out rows the table has already; costs reading it. A row that the table
                has, but not as the current one of its event time, is added again.

        Raises:
            ContractError: A column of the table has another type.
            MismatchError: The commit cannot be found afterwards.
            TemporaryError: Others came first again and again.
        """
        schema = table_schema(self._group)
        self._log.widen(schema)
        for _ in range(ATTEMPTS):
            done = self.find(transaction)
            if done is not None:
                return done
            read, present, fresh = self._fresh(rows, compare=compare)
            complete = self._complete(fresh, api_invocation_time, write_time)
            of_files = self._log.of_files(schema)
            parts = write(complete, of_files, self.path, self._storage, self._log.layout)
            try:
                if self._log.append(
                    parts, schema, transaction, present=present, read=read, blind=not compare
                ):
                    break
            except Exception:
                # The answer may be lost though the commit is there; only the table itself knows.
                done = self.find(transaction)
                if done is not None:
                    return done
                raise
        else:
            raise beaten(self.path, ATTEMPTS)
        done = self.find(transaction)
        if done is None:
            message = f"{self.path}: commit {transaction.application} is not in the table's history"
            raise MismatchError(message, "Look at the table's history before running again")
        return done

    def find(self, transaction: Transaction) -> Commit | None:
        """The commit of a transaction; None where there is none."""
        return self._log.find(transaction)

    def _fresh(self, rows: DataFrame, *, compare: bool) -> tuple[int | None, int, DataFrame]:
        """Version that was read, rows that are there already, and those that are not."""
        read = self.version() if compare else None
        if read is None:
            return None, 0, rows
        stored = Comparison(self.rows(read), self._group)
        return read, stored.present(rows).count(), stored.fresh(rows)

    def _complete(
        self, rows: DataFrame, api_invocation_time: datetime, write_time: datetime
    ) -> DataFrame:
        micros = micros_of(api_invocation_time)
        no = F.lit(False)  # noqa: FBT003 - a literal column
        deleted = F.col(DELETED) if self._deletion else no
        return rows.select(
            *(f"`{name}`" for name in self._group.names),
            F.timestamp_micros(F.lit(micros) - F.col(TIE)).alias("api_invocation_time"),
            F.timestamp_micros(F.lit(micros_of(write_time))).alias("write_time"),
            F.coalesce(deleted, no).alias("is_deleted"),
        )

    @property
    def _deletion(self) -> list[StructField]:
        deletes = self._group.deleted_when is not None
        return [StructField(DELETED, BooleanType())] if deletes else []

    def _keys(self) -> list[str]:
        return [self._group.record_identifier, self._group.event_time]


def table_schema(group: FeatureGroup) -> pa.Schema:
    """Of a group's offline table: its features, then the system columns."""
    features = [(one.name, encoding.STORAGE[one.type][0]) for one in group.features]
    system = [("api_invocation_time", _INSTANT), ("write_time", _INSTANT)]
    return pa.schema([*features, *system, ("is_deleted", pa.bool_())])


def stored(
    spark: SparkSession,
    log: TableLog,
    path: str,
    group: FeatureGroup,
    features: StructType,
    version: int | None = None,
) -> DataFrame:
    """All rows of an offline table, now or at a version; there must be one.

    Delta's own reader knows what its files do not say. Of the other formats the files are read:
    what publishes a window at once is their log, not their folder.
    """
    if isinstance(log, DeltaLog):
        reader = spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(path)
    newest = log.version() if version is None else version
    if newest is None:
        raise _absent(group.name, path)
    system = [StructField(name, TimestampType()) for name in ("api_invocation_time", "write_time")]
    schema = StructType([*features.fields, *system, StructField("is_deleted", BooleanType())])
    files = log.files(newest)
    assert files is not None  # only Delta's logs leave it to Spark
    if not files.sizes:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).parquet(*files.sizes)


@contextmanager
def present(group: str, path: str) -> Iterator[None]:
    """Spark's reading of a group's table as a Delta table.

    Raises:
        UsageError: There is no table at ``path``.
    """
    try:
        yield
    except AnalysisException as error:
        if str(error).startswith(_NO_TABLE):
            raise _absent(group, path) from error
        raise


def _absent(group: str, path: str) -> UsageError:
    message = f"there is no offline table of {group!r} at {path}"
    return UsageError(message, "Ingest the feature group first")


def _brought(api: datetime, at: datetime, ties: int) -> Column:
    """Rows of one append, by the two instants that are pinned for it, to the microsecond."""
    last = micros_of(api)
    invoked = F.unix_micros("api_invocation_time")
    written = F.unix_micros("write_time") == micros_of(at)
    return written & (invoked >= last - ties) & (invoked <= last)
