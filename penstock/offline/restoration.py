"""What the stores held before a run: rows of the table without those the run brought.

The online store has one record an identifier. Where a run's record is the one it has, taking the
run back means that this record goes, and that the newest of the other rows comes back.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.contract import DELETED, FeatureGroup

_SYSTEM = ("api_invocation_time", "write_time", "is_deleted")


class Restoration:
    """What goes and what comes back.

    Args:
        ran: One row an identifier: the newest the run sent, features as columns, ``_deleted`` where
            the group has deletions.
        rest: The table's rows without the run's.
        group: The contract.
    """

    def __init__(self, ran: DataFrame, rest: DataFrame, group: FeatureGroup) -> None:
        self._group, self._columns = group, ran.columns
        keys = (group.record_identifier, group.event_time)
        self._names = [*keys, *(name for name in group.names if name not in keys)]
        newest = self._newest(rest)
        pairs = ran.join(newest, _quoted(keys[0]) == F.col("_stored_0"), "left")
        newer = F.coalesce(F.col("_stored_1") > _quoted(keys[1]), F.lit(False))  # noqa: FBT003 - a literal column
        self._touched = pairs.where(~newer & ~self._equal())

    @property
    def gone(self) -> DataFrame:
        """Rows of the run whose record goes: nothing newer is there, nor the same."""
        return self._touched.select(*map(_quoted, self._columns))

    @property
    def back(self) -> DataFrame:
        """Rows that come back, as send files have them; an identifier that had none has none."""
        there = self._touched.where(F.col("_stored_0").isNotNull())
        features = [
            F.col(f"_stored_{self._names.index(name)}").alias(name) for name in self._group.names
        ]
        if self._group.deleted_when is None:
            return there.where(~F.col("_stored_deleted")).select(*features)
        return there.select(*features, F.col("_stored_deleted").alias(DELETED))

    def _newest(self, rest: DataFrame) -> DataFrame:
        """The newest row of each identifier, ranked as every query ranks."""
        order = [self._names[1], *_SYSTEM, *self._names[2:]]
        of_identifier = Window.partitionBy(_quoted(self._names[0]))
        of_identifier = of_identifier.orderBy(*(_quoted(name).desc() for name in order))
        ranked = rest.withColumn("_rank", F.row_number().over(of_identifier)).where("_rank = 1")
        stored = [_quoted(name).alias(f"_stored_{n}") for n, name in enumerate(self._names)]
        return ranked.select(*stored, F.col("is_deleted").alias("_stored_deleted"))

    def _equal(self) -> Column:
        no = F.lit(False)  # noqa: FBT003 - a literal column
        deleted = F.coalesce(_quoted(DELETED), no) if DELETED in self._columns else no
        equal = F.coalesce(F.col("_stored_deleted") == deleted, no)
        for n, name in enumerate(self._names):
            equal = equal & _quoted(name).eqNullSafe(F.col(f"_stored_{n}"))
        return equal


def _quoted(name: str) -> Column:
    return F.col(f"`{name}`")
