"""The offline table of one feature group: a Delta table, one transaction a window and generation.

A window's rows appear all at once or not at all. Delta's transaction identifier makes the append
happen at most once: it is kept per window, because one per pipeline would lose windows that finish
out of order (facts: reliability, finding 9). What a commit did is read back from Delta's own
history.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
from pyspark.sql.types import BooleanType, IntegerType, StructField, StructType

from penstock.contract import CORRECT, DELETED, REPLACED, FeatureGroup
from penstock.encoding.instants import micros_of
from penstock.errors import MismatchError, TemporaryError
from penstock.offline.comparison import OLDER, TIE, Comparison, Means

HISTORY = 1_000  # commits looked through for one of ours
ATTEMPTS = 10  # of an append that meets others
#: What Delta says of two commits at once that cannot both be: somebody else's came first.
_CLASHES = (
    *("ConcurrentAppendException", "ConcurrentTransactionException", "ConcurrentWriteException"),
    *("ProtocolChangedException", "MetadataChangedException", "DELTA_CONCURRENT"),
    *("DELTA_PROTOCOL_CHANGED", "DELTA_METADATA_CHANGED", "DELTA_TABLE_ALREADY_EXISTS"),
)


@dataclass(frozen=True)
class Transaction:
    """Name of one append: ``application`` per group and window, ``version`` its generation."""

    application: str
    version: int


@dataclass(frozen=True)
class Commit:
    """What an append did.

    Args:
        rows: Rows added, from Delta's metrics.
        present: Rows left out because the table had them already.
        version: Version of the table.
    """

    rows: int
    present: int
    version: int


class OfflineTable:
    """The Delta table of ``group`` in folder ``path``.

    Columns: the features in contract order, then ``api_invocation_time``, ``write_time``
    (timestamps) and ``is_deleted`` (boolean), as the service's own offline store has them.

    Args:
        spark: A session with Delta.
        path: Absolute folder.
        group: The contract.
        features: Spark schema of the features.
    """

    def __init__(
        self, spark: SparkSession, path: str, group: FeatureGroup, features: StructType
    ) -> None:
        self._spark, self.path, self._group, self._features = spark, path, group, features

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed; a driver killed before that leaves an empty log."""
        return any((Path(self.path) / "_delta_log").glob("[0-9]*.json"))

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
        if not self.exists:
            return None
        from delta.tables import DeltaTable

        newest = DeltaTable.forPath(self._spark, self.path).history(1).collect()
        return int(newest[0]["version"])

    def comparison(self, version: int | None = None) -> Comparison | None:
        """What the table holds now, or held at a version; None where there is no table."""
        if not self.exists:
            return None
        return Comparison(self.rows(version), self._group)

    def rows(self, version: int | None = None) -> DataFrame:
        """All rows the table holds now, or held at a version; there must be a table."""
        reader = self._spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path)

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
        from delta.tables import DeltaTable

        for _ in range(ATTEMPTS):
            found = self.rows().where(_brought(api, at, ties)).count()
            if not found:
                return
            if found != rows:
                message = f"{self.path}: the run wrote {rows} rows, {found} of them are there"
                raise MismatchError(message, "Nothing was deleted; look at the table's history")
            try:
                DeltaTable.forPath(self._spark, self.path).delete(_brought(api, at, ties))
            except Exception as error:
                if not _clashes(error):
                    raise
        raise self._beaten()

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
            MismatchError: The commit cannot be found afterwards.
        """
        for attempt in range(1, ATTEMPTS + 1):
            done = self.find(transaction)
            if done is not None:
                return done
            try:
                self._add(rows, transaction, api_invocation_time, write_time, compare=compare)
                break
            except Exception as error:
                # The answer may be lost though the commit is there, and another driver may have
                # been faster; only the table itself knows.
                done = self.find(transaction)
                if done is not None:
                    return done
                if not _clashes(error):
                    raise
                if attempt == ATTEMPTS:
                    raise self._beaten() from error
        # Delta does nothing where the transaction is an old one: then all of history is searched.
        done = self.find(transaction) or self.find(transaction, None)
        if done is None:
            message = f"{self.path}: commit {transaction.application} is not in the table's history"
            raise MismatchError(message, "Look at the table's history before running again")
        return done

    def find(self, transaction: Transaction, newest: int | None = HISTORY) -> Commit | None:
        """The commit of a transaction, if it is among so many newest ones; None looks at all."""
        if not self.exists:
            return None
        from delta.tables import DeltaTable

        history = DeltaTable.forPath(self._spark, self.path).history(newest)
        # With the comma: generation 1 must not find generation 10.
        mark = json.dumps(_mark(transaction))[1:-1] + ","
        found = history.where(F.col("userMetadata").contains(mark)).collect()
        if not found:
            return None
        commit = found[0]
        rows = int(commit["operationMetrics"].get("numOutputRows", 0))
        return Commit(rows, json.loads(commit["userMetadata"])["present"], commit["version"])

    def _add(
        self,
        rows: DataFrame,
        transaction: Transaction,
        api_invocation_time: datetime,
        write_time: datetime,
        *,
        compare: bool,
    ) -> None:
        present = 0
        stored = self.comparison() if compare else None
        if stored is not None:
            present = stored.present(rows).count()
            rows = stored.fresh(rows)
        self._write(rows, transaction, api_invocation_time, write_time, present)

    def _write(
        self,
        rows: DataFrame,
        transaction: Transaction,
        api_invocation_time: datetime,
        write_time: datetime,
        present: int,
    ) -> None:
        micros = micros_of(api_invocation_time)
        no = F.lit(False)  # noqa: FBT003 - a literal column
        deleted = F.col(DELETED) if self._deletion else no
        complete = rows.select(
            *(f"`{name}`" for name in self._group.names),
            F.timestamp_micros(F.lit(micros) - F.col(TIE)).alias("api_invocation_time"),
            F.timestamp_micros(F.lit(micros_of(write_time))).alias("write_time"),
            F.coalesce(deleted, no).alias("is_deleted"),
        )
        writer = complete.write.format("delta").mode("append")
        writer = writer.option("txnAppId", transaction.application)
        writer = writer.option("txnVersion", transaction.version)
        mark = {**_mark(transaction), "present": present}
        writer.option("userMetadata", json.dumps(mark)).save(self.path)

    def _beaten(self) -> TemporaryError:
        message = f"{self.path}: other commits came first, {ATTEMPTS} times"
        return TemporaryError(message, "Run the same command again")

    @property
    def _deletion(self) -> list[StructField]:
        deletes = self._group.deleted_when is not None
        return [StructField(DELETED, BooleanType())] if deletes else []

    def _keys(self) -> list[str]:
        return [self._group.record_identifier, self._group.event_time]


def _clashes(error: Exception) -> bool:
    return any(one in str(error) for one in _CLASHES)


def _brought(api: datetime, at: datetime, ties: int) -> Column:
    """Rows of one append, by the two instants that are pinned for it, to the microsecond."""
    last = micros_of(api)
    invoked = F.unix_micros("api_invocation_time")
    written = F.unix_micros("write_time") == micros_of(at)
    return written & (invoked >= last - ties) & (invoked <= last)


def _mark(transaction: Transaction) -> dict[str, Any]:
    return {"penstock": transaction.application, "generation": transaction.version}
