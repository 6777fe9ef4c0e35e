"""Staged rows beside what the offline table holds: which are new, which came late, which correct.

The *current version* at an identifier and event time is the row written last, as in every query.
A row that wins its event time (tie 0) is there already when the current version equals it; a row
that lost a tie is there when any version does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.contract import CORRECT, DELETED, REPLACED, FeatureGroup

TIE, OLDER = "_tie", "_older"
#: How the online store takes a new value at an event time it has: all by an update, all by removing
#: the record first, or this only where an update cannot do it.
Means = Literal["update", "replace", "both"]
MAX_CORRECTED = 100  # features of one UpdateRecord (AWS API reference)
_DELETED, _RANK, _NEWEST, _REASON = "_stored_deleted", "_rank", "_newest", "_reason"


@dataclass(frozen=True)
class Differences:
    """Identifiers that bring another value for an event time the table has, by what can be done.

    Args:
        fit: The event time is the newest, and UpdateRecord can set every value.
        historic: The table has a newer event: the offline store alone is corrected.
        deleted: One of the two values is a deletion.
        nulled: A feature would become null, which UpdateRecord cannot do.
        wide: More than 100 features have a value.
        tied: Two rows of this run share the event time, and one of them is new.
    """

    fit: int = 0
    historic: int = 0
    deleted: int = 0
    nulled: int = 0
    wide: int = 0
    tied: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.fit + self.historic + self.stuck

    @property
    def stuck(self) -> int:
        """Those that no update can correct."""
        return self.beyond + self.tied

    @property
    def beyond(self) -> int:
        """Those of them that can be removed and put anew."""
        return self.deleted + self.nulled + self.wide


class Comparison:
    """What a table holds, to be compared with staged rows.

    Staged rows have the features as columns, ``_deleted`` where the group has deletions, and
    ``_tie`` where it matters.

    Args:
        stored: All rows of the table.
        group: The contract.
    """

    def __init__(self, stored: DataFrame, group: FeatureGroup) -> None:
        self._stored, self._group = stored, group
        keys = (group.record_identifier, group.event_time)
        self._others = [name for name in group.names if name not in keys]

    def present(self, rows: DataFrame) -> DataFrame:
        """Rows the table has already."""
        return rows.join(self._versions(), self._there(rows), "left_semi")

    def fresh(self, rows: DataFrame) -> DataFrame:
        """Rows it has not."""
        return rows.join(self._versions(), self._there(rows), "left_anti")

    def differences(self, latest: DataFrame, rows: DataFrame | None) -> Differences:
        """Compare the latest row of each identifier with the current version at its event time.

        Args:
            latest: One row an identifier.
            rows: All staged rows, where some of them tie.
        """
        pairs = latest.join(self._current(), self._same_key(), "inner")
        changed = pairs.where(~self._equal(latest))
        counted = changed.groupBy(self._reason(latest).alias(_REASON)).count().collect()
        found = {one[_REASON]: one["count"] for one in counted}
        return Differences(**found, tied=0 if rows is None else self._tied(latest, rows))

    def judged(self, latest: DataFrame, *, guard: bool, correct: Means | None) -> DataFrame:
        """The rows with ``_older``, ``_correct`` and ``_replaced``.

        Args:
            latest: One row an identifier.
            guard: Find rows whose identifier has a newer event in the table.
            correct: Find rows that correct the newest event, and by what means.
        """
        keep, no = latest.columns, F.lit(False)  # noqa: FBT003 - a literal column
        if correct is None:
            marked = latest.withColumn(CORRECT, no).withColumn(REPLACED, no)
        else:
            pairs = latest.join(self._current(), self._same_key(), "left")
            changed = F.col(_RANK).isNotNull() & ~self._equal(latest)
            reason = self._reason(latest)
            update = changed & (reason == "fit") if correct != "replace" else no
            replace = changed & (reason != "historic") if correct != "update" else no
            marked = pairs.select(
                *map(_quoted, keep),
                F.coalesce(update, no).alias(CORRECT),
                F.coalesce(replace & ~update, no).alias(REPLACED),
            )
        if not guard:
            return marked.withColumn(OLDER, no)
        identifier, event_time = self._key(0), self._key(1)
        by_identifier = _quoted(self._group.record_identifier).alias("_stored_0")
        at = F.max(_quoted(self._group.event_time)).alias(_NEWEST)
        newest = self._stored.groupBy(by_identifier).agg(at)
        beside = marked.join(newest, identifier == F.col("_stored_0"), "left")
        older = F.coalesce(F.col(_NEWEST) > event_time, no)
        return beside.select(*map(_quoted, keep), CORRECT, REPLACED, older.alias(OLDER))

    def _versions(self) -> DataFrame:
        """Stored rows with a rank among those of their key; names that clash with no feature."""
        group = self._group
        named = [group.record_identifier, group.event_time, *self._others]
        rows = self._stored.select(
            *(_quoted(name).alias(f"_stored_{n}") for n, name in enumerate(named)),
            F.col("is_deleted").alias(_DELETED),
            F.col("api_invocation_time").alias("_api"),
            F.col("write_time").alias("_write"),
        )
        order = ["_api", "_write", _DELETED, *(f"_stored_{n}" for n in range(2, len(named)))]
        of_identifier = Window.partitionBy("_stored_0")
        of_key = Window.partitionBy("_stored_0", "_stored_1")
        of_key = of_key.orderBy(*(F.col(name).desc() for name in order))
        rows = rows.withColumn(_NEWEST, F.max("_stored_1").over(of_identifier))
        return rows.withColumn(_RANK, F.row_number().over(of_key)).drop("_api", "_write")

    def _current(self) -> DataFrame:
        return self._versions().where(F.col(_RANK) == 1)

    def _tied(self, latest: DataFrame, rows: DataFrame) -> int:
        """Identifiers with a row that lost a tie and is new at a key the table has."""
        keys = [self._group.record_identifier, self._group.event_time]
        losers = rows.where(F.col(TIE) > 0).join(latest.select(*keys), keys, "left_semi")
        new = self.fresh(losers).join(self._current(), self._same_key(), "left_semi")
        return new.select(_quoted(keys[0])).distinct().count()

    def _there(self, rows: DataFrame) -> Column:
        wins = F.col(_RANK) == 1
        return self._same_key() & self._equal(rows) & ((F.col(TIE) > 0) | wins)

    def _same_key(self) -> Column:
        return (self._key(0) == F.col("_stored_0")) & (self._key(1) == F.col("_stored_1"))

    def _key(self, place: int) -> Column:
        return _quoted((self._group.record_identifier, self._group.event_time)[place])

    def _equal(self, rows: DataFrame) -> Column:
        """Features beside the key, and deletion, are equal."""
        equal = F.col(_DELETED) == _deleted(rows)
        for stored, ours in self._pairs():
            equal = equal & ours.eqNullSafe(stored)
        return equal

    def _pairs(self) -> list[tuple[Column, Column]]:
        return [(F.col(f"_stored_{n}"), _quoted(one)) for n, one in enumerate(self._others, 2)]

    def _reason(self, rows: DataFrame) -> Column:
        """What can be done about a difference; the first that holds."""
        nulled = F.lit(False)  # noqa: FBT003 - a literal column
        values = F.lit(1)  # the event time
        for stored, ours in self._pairs():
            nulled = nulled | (ours.isNull() & stored.isNotNull())
            values = values + ours.isNotNull().cast("int")
        return (
            F.when(F.col(_NEWEST) > self._key(1), "historic")
            .when(F.col(_DELETED) | _deleted(rows), "deleted")
            .when(nulled, "nulled")
            .when(values > MAX_CORRECTED, "wide")
            .otherwise("fit")
        )


def _deleted(rows: DataFrame) -> Column:
    if DELETED not in rows.columns:
        return F.lit(False)  # noqa: FBT003 - a literal column
    return F.coalesce(F.col(DELETED), F.lit(False))  # noqa: FBT003 - a literal column


def _quoted(name: str) -> Column:
    return F.col(f"`{name}`")
