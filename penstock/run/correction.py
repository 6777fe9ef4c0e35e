"""New values at event times that are written already: refused, or corrected in both stores.

The online store ignores a second value for the same event time, the offline store takes the one
written last, so without more ado the two would part. ``--correct update`` sends such a row as an
UpdateRecord, which applies at an equal event time. ``--correct delete-put`` removes the record and
puts it anew where an update cannot do it: for a while it is not there.
"""

from __future__ import annotations

import functools
from typing import NoReturn

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.errors import DataGateError
from penstock.offline.comparison import MAX_CORRECTED, TIE, Differences, Means
from penstock.run.mode import Correct
from penstock.run.overlap import offline_alone
from penstock.run.work import Work
from penstock.stage.report import Report, Staged
from penstock.stage.spark import staged_schema

#: Storage types UpdateRecord works on (AWS API reference).
UPDATING = frozenset({"Standard_V2", "InMemory"})
_NEWER = "give corrected rows a newer event time"


def check_corrections(work: Work, staged: Report) -> Means | None:
    """By what means the staged rows correct what is online; None where they correct nothing.

    Raises:
        DataGateError: They do, and may not or cannot; says how many identifiers, and why.
    """
    online = work.context.settings.group(work.group.name).is_online
    stored = work.table.comparison() if work.compare and online else None
    if stored is None or not staged.rows:
        return None
    rows = work.table.staged(_paths(staged.rows)) if staged.ties else None
    found = stored.differences(_latest(work, staged), rows)
    if not found.total:
        return None
    if not staged.send:
        _refuse(work, found.total, "which --online never would leave as it is online", found)
    judge = _Judge(work, found)
    if work.mode.correct is None:
        _refuse(work, found.total, "which the online store ignores", found, judge.way)
    if found.tied:
        _refuse(work, found.tied, "which nothing can correct", found)
    means = judge.means(work.mode.correct)
    work.note(f"{found.fit + found.historic + found.beyond:,} identifiers are corrected")
    return means


class _Judge:
    """What can be done about the differences of one window."""

    def __init__(self, work: Work, found: Differences) -> None:
        self._work, self._found = work, found

    @functools.cached_property
    def tier(self) -> str:
        """Storage type of the online store."""
        place = self._work.context.settings.group(self._work.group.name)
        name = place.physical or self._work.group.name
        described = self._work.context.client("sagemaker").describe_feature_group(
            FeatureGroupName=name
        )
        return str(described["OnlineStoreConfig"].get("StorageType", "Standard"))

    @property
    def way(self) -> Correct | None:
        """The gentlest option that corrects them all."""
        found = self._found
        if found.tied:
            return None
        return "delete-put" if found.beyond or self._not_updated else "update"

    @property
    def _not_updated(self) -> bool:
        return bool(self._found.fit) and self.tier not in UPDATING

    def means(self, correct: Correct) -> Means:
        """What is done under an option."""
        found, work = self._found, self._work
        alone = offline_alone(work.context.storage, work.places)
        if correct == "delete-put":
            if alone is not None or self._not_updated:
                return "replace"
            return "both" if found.beyond else "update"
        if alone is not None:
            # An update changes what is online; of a record that never was it makes nothing.
            message = (
                f"{work.group.name}: {found.total} identifiers have new values, but window "
                f"{alone.name} went offline alone (--online never): they may not be online"
            )
            remedy = "first send that window as it was: run it without --online"
            raise DataGateError(message, f"Nothing was published; {remedy}")
        if found.beyond:
            _refuse(work, found.beyond, "which an update cannot correct", found, self.way)
        if self._not_updated:
            why = f"which an online store of type {self.tier} cannot update"
            _refuse(work, found.fit, why, found, self.way)
        return "update"


def _latest(work: Work, staged: Report) -> DataFrame:
    """The newest row of each identifier: what is sent, or would be."""
    if work.mode.online == "latest":
        schema = staged_schema(work.group)
        return work.context.spark.read.schema(schema).parquet(*_paths(staged.send))
    newest = Window.partitionBy(f"`{work.group.record_identifier}`")
    newest = newest.orderBy(F.col(f"`{work.group.event_time}`").desc(), TIE)
    rows = work.table.staged(_paths(staged.rows))
    ranked = rows.withColumn("_rank", F.row_number().over(newest))
    return ranked.where("_rank = 1").drop("_rank", TIE)


def _refuse(
    work: Work, identifiers: int, why: str, found: Differences, way: Correct | None = None
) -> NoReturn:
    message = (
        f"{work.group.name}: {identifiers} identifiers have new values at an event time that is "
        f"written already, {why}{_told(found)}"
    )
    remedy = _NEWER if way is None else f"run it with --correct {way}, or {_NEWER}"
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
