"""New values at event times that are written already: refused, or corrected in both stores.

The online store ignores a second value for the same event time, the offline store takes the one
written last, so without more ado the two would part. ``--correct update`` sends such a row as an
UpdateRecord, which applies at an equal event time.
"""

from __future__ import annotations

from typing import NoReturn

from penstock.errors import DataGateError
from penstock.offline.comparison import MAX_CORRECTED, Differences
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
    stored = work.table.comparison() if work.compare and staged.send else None
    if stored is None:
        return False
    spark = work.context.spark
    latest = spark.read.schema(staged_schema(work.group)).parquet(*_paths(staged.send))
    rows = work.table.staged(_paths(staged.rows)) if staged.ties else None
    found = stored.differences(latest, rows)
    if not found.total:
        return False
    if not work.mode.correct:
        _refuse(work, found.total, "which the online store ignores", found)
    if found.stuck:
        _refuse(work, found.stuck, "which an update cannot correct", found)
    if found.fit:
        _check_tier(work, found)
    work.note(f"{found.fit + found.historic:,} identifiers are corrected")
    return True


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
    can = not work.mode.correct and not found.stuck
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
