"""New values at event times that are written already: refused, or corrected in both stores.

The online store ignores a second value for the same event time, the offline store takes the one
written last, so without more ado the two would part. ``--correct update`` sends such a row as an
UpdateRecord, which applies at an equal event time.
"""

from __future__ import annotations

from typing import NoReturn

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.errors import DataGateError
from penstock.offline.comparison import MAX_CORRECTED, TIE, Differences
from penstock.run.overlap import offline_alone
from penstock.run.work import Work
from penstock.stage.report import Report, Staged
from penstock.stage.spark import staged_schema

#: Storage types UpdateRecord works on (AWS API reference).
UPDATING = frozenset({"Standard_V2", "InMemory"})
_NEWER = "give corrected rows a newer event time"


def check_corrections(work: Work, staged: Report) -> bool:
    """Whether the staged rows correct something, and may.

    Raises:
        DataGateError: They do, and may not or cannot; says how many identifiers, and why.
    """
    online = work.context.settings.group(work.group.name).is_online
    stored = work.table.comparison() if work.compare and online else None
    if stored is None or not staged.rows:
        return False
    rows = work.table.staged(_paths(staged.rows)) if staged.ties else None
    found = stored.differences(_latest(work, staged), rows)
    if not found.total:
        return False
    if not staged.send:
        _refuse(work, found.total, "which --online never would leave as it is online", found)
    if not work.mode.correct:
        _refuse(work, found.total, "which the online store ignores", found)
    _check_sent(work, found)
    if found.stuck:
        _refuse(work, found.stuck, "which an update cannot correct", found)
    if found.fit:
        _check_tier(work, found)
    work.note(f"{found.fit + found.historic:,} identifiers are corrected")
    return True


def _latest(work: Work, staged: Report) -> DataFrame:
    """The newest row of each identifier: what is sent, or would be."""
    if staged.send:
        schema = staged_schema(work.group)
        return work.context.spark.read.schema(schema).parquet(*_paths(staged.send))
    newest = Window.partitionBy(f"`{work.group.record_identifier}`")
    newest = newest.orderBy(F.col(f"`{work.group.event_time}`").desc(), TIE)
    rows = work.table.staged(_paths(staged.rows))
    ranked = rows.withColumn("_rank", F.row_number().over(newest))
    return ranked.where("_rank = 1").drop("_rank", TIE)


def _check_sent(work: Work, found: Differences) -> None:
    """An update changes what is online; of a record that never was it makes nothing."""
    window = offline_alone(work.context.storage, work.places)
    if window is not None:
        message = (
            f"{work.group.name}: {found.total} identifiers have new values, but window "
            f"{window.name} went offline alone (--online never): they may not be online"
        )
        remedy = "Nothing was published; first send that window as it was: run it without --online"
        raise DataGateError(message, remedy)


def _check_tier(work: Work, found: Differences) -> None:
    place = work.context.settings.group(work.group.name)
    sagemaker = work.context.client("sagemaker")
    described = sagemaker.describe_feature_group(FeatureGroupName=place.physical or work.group.name)
    tier = described["OnlineStoreConfig"].get("StorageType", "Standard")
    if tier not in UPDATING:
        why = f"which an online store of type {tier} cannot update"
        _refuse(work, found.fit, why, found)


def _refuse(work: Work, identifiers: int, why: str, found: Differences) -> NoReturn:
    message = (
        f"{work.group.name}: {identifiers} identifiers have new values at an event time that is "
        f"written already, {why}{_told(found)}"
    )
    can = not work.mode.correct and not found.stuck and work.mode.online != "never"
    remedy = f"run it with --correct update, or {_NEWER}" if can else _NEWER
    raise DataGateError(message, f"Nothing was published; {remedy}")


def _told(found: Differences) -> str:
    reasons = {
        "a deletion on one side": found.deleted,
        "a feature that would become null": found.nulled,
        f"more than {MAX_CORRECTED} features": found.wide,
        "a new row that shares its event time with another": found.tied,
    }
    told = [f"{count} with {why}" for why, count in reasons.items() if count]
    return f" ({', '.join(told)})" if told else ""


def _paths(files: tuple[Staged, ...]) -> list[str]:
    return [one.path for one in files]
