"""What is compared, as Spark finds it: the current row of each identifier, and what was listed.

The current row is the one every query picks: the newest by event time, then by the instants it was
written at. Nothing is collected: rows go from the table's files to the tasks that compare them.
"""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use
from pyspark.sql.types import StructType

from penstock.contract import FeatureGroup
from penstock.encoding.instants import micros_of
from penstock.query import ranking
from penstock.reconcile.verdict import IS_DELETED, LISTED

#: Columns of identifiers that are to be compared: as both stores write it, and as it is stored
#: offline, which is null where no stored value is written like that.
TEXT, KEY = "_text", "_key"
_RANK, _HASH = "_rank", "_hash"


def widened(stored: DataFrame, features: StructType) -> DataFrame:
    """Rows of a table that was last written before the contract gained a feature: it is null."""
    lacking = [one for one in features.fields if one.name not in stored.columns]
    nulls = {one.name: F.lit(None).cast(one.dataType) for one in lacking}
    return stored.withColumns(nulls) if nulls else stored


def everything(stored: DataFrame, listed: DataFrame | None, group: FeatureGroup) -> DataFrame:
    """Every identifier of the offline table, and those that are only listed.

    Args:
        stored: All rows of the offline table.
        listed: :data:`TEXT` and :data:`KEY` of the online records; None where nobody listed them.
        group: The contract.
    """
    known = _current(stored, group).withColumn(LISTED, F.lit(None).cast("string"))
    if listed is None:
        return known
    identifier = _quoted(group.record_identifier)
    offline = stored.select(identifier.alias("_stored")).distinct()
    unknown = listed.join(offline, F.col(KEY) == F.col("_stored"), "left_anti")
    return known.unionByName(_without_row(unknown, known, group))


def chosen(stored: DataFrame, keys: DataFrame, group: FeatureGroup) -> DataFrame:
    """Some identifiers, whether the offline table has them or not.

    Args:
        stored: All rows of the offline table.
        keys: :data:`TEXT` and :data:`KEY` of each, once.
        group: The contract.
    """
    current = _current(_only(stored, keys, group), group).withColumn("_there", F.lit(1))
    identifier = group.record_identifier
    beside = keys.join(current, F.col(KEY) == _quoted(identifier), "left")
    others = [_quoted(one) for one in group.names if one != identifier]
    listed = F.when(F.col("_there").isNull(), F.col(TEXT)).alias(LISTED)
    return beside.select(F.col(KEY).alias(identifier), *others, IS_DELETED, listed)


def sample(stored: DataFrame, group: FeatureGroup, size: int, seed: int) -> DataFrame:
    """The current rows of so many identifiers, each as likely as any other.

    Args:
        stored: All rows of the offline table.
        group: The contract.
        size: How many; the driver holds that many identifiers for a moment.
        seed: Another one chooses others.
    """
    key = _quoted(group.record_identifier).alias(KEY)
    hashed = F.xxhash64(F.col(KEY), F.lit(seed)).alias(_HASH)
    ordered = stored.select(key).distinct().select(KEY, hashed).orderBy(_HASH, KEY)
    return _known(stored, ordered.limit(size).select(KEY), group)


def since(stored: DataFrame, group: FeatureGroup, at: datetime) -> DataFrame:
    """The current rows of the identifiers that got a row since an aware instant."""
    new = stored.where(F.col("write_time") >= F.timestamp_micros(F.lit(micros_of(at))))
    key = _quoted(group.record_identifier).alias(KEY)
    return _known(stored, new.select(key).distinct(), group)


def _known(stored: DataFrame, keys: DataFrame, group: FeatureGroup) -> DataFrame:
    rows = _current(_only(stored, keys, group), group)
    return rows.withColumn(LISTED, F.lit(None).cast("string"))


def _only(stored: DataFrame, keys: DataFrame, group: FeatureGroup) -> DataFrame:
    wanted = keys.select(F.col(KEY).alias("_wanted"))
    return stored.join(wanted, _quoted(group.record_identifier) == F.col("_wanted"), "left_semi")


def _current(rows: DataFrame, group: FeatureGroup) -> DataFrame:
    """The newest row of each identifier: features and :data:`IS_DELETED`."""
    newest = Window.partitionBy(_quoted(group.record_identifier))
    newest = newest.orderBy(*(_quoted(one).desc() for one in ranking(group)))
    ranked = rows.withColumn(_RANK, F.row_number().over(newest)).where(F.col(_RANK) == 1)
    return ranked.select(*map(_quoted, group.names), IS_DELETED)


def _without_row(unknown: DataFrame, like: DataFrame, group: FeatureGroup) -> DataFrame:
    """Identifiers that are only listed, with nulls for what the offline table would say."""
    nulls = {one.name: F.lit(None).cast(one.dataType) for one in like.schema}
    nulls[group.record_identifier] = F.col(KEY)
    nulls[LISTED] = F.col(TEXT)
    return unknown.select(*(value.alias(name) for name, value in nulls.items()))


def _quoted(name: str) -> Column:
    return F.col(f"`{name}`")
