"""What is sent of the candidates: all of them, or those the offline store knows nothing newer of.

A selection is made where an old value could come back into the online store: in groups whose
records may leave it, by deletion or time to live; and where values are corrected. Every other group
sends its candidates as they were staged, and history is not read.

A selection is decided once, like a manifest, and holds as long as the offline table stays as it was
when it was made. Where another window has written since, an interrupted run selects anew and sends
from the start, with markers of its own: sending again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from typing import Any

from penstock.run.work import Work
from penstock.stage.report import Report, Staged, check_selection, report
from penstock.stage.selection import SelectionTask
from penstock.stage.spark import stage_selection, staged_schema


@dataclass(frozen=True)
class Selection:
    """What is sent, and where its markers are.

    Args:
        files: Send files.
        results: Folder of markers and rejects.
        candidates: Records there were to choose from.
        older: Left out: the offline store knows a newer event.
        expired: Left out: their time to live is over.
        corrected: Among those sent, records that correct what is online.
    """

    files: tuple[Staged, ...]
    results: str
    candidates: int
    older: int = 0
    expired: int = 0
    corrected: int = 0


def selection(work: Work) -> Selection:
    """The selection that holds now; made, where there is none yet.

    Raises:
        MismatchError: A candidate was lost on the way.
    """
    staged = work.manifest.staged.send
    candidates = sum(one.rows for one in staged)
    version = (
        work.table.version() if work.manifest.mode.offline == "own" and _looks_back(work) else None
    )
    if not staged or not (_looks_back(work) if version is not None else _expires(work)):
        return Selection(staged, work.places.results(work.generation), candidates)
    number, found = _newest(work)
    if found is None or found["version"] != version:
        number += 1
        made = {"version": version, "report": _selected(work, number, version).plain()}
        path = work.places.pin(work.generation, f"selection-{number:04d}")
        work.context.storage.put_if_absent(path, json.dumps(made).encode())
        found = json.loads(work.context.storage.read(path))
    chosen = report(found["report"])
    results = work.places.results(work.generation, number)
    return Selection(
        chosen.send, results, candidates, chosen.older, chosen.expired, chosen.corrected
    )


def _looks_back(work: Work) -> bool:
    """Whether the offline table is asked before anything is sent."""
    return _guarded(work) or work.manifest.correct


def _guarded(work: Work) -> bool:
    """Whether an old value could come back: the online store forgets what it has removed.

    A window that starts before the ledger's high-water mark will be another reason.
    """
    return work.group.forgets


def _expires(work: Work) -> bool:
    """Whether candidates may be expired; where the service has the table, staging looked at it."""
    timed = work.group.ttl is not None or work.group.ttl_from is not None
    return timed and work.manifest.mode.online == "latest"


def _newest(work: Work) -> tuple[int, Mapping[str, Any] | None]:
    """The last selection that was made, and its number; -1 where there is none."""
    storage, places = work.context.storage, work.places
    number, found = -1, None
    while True:
        try:
            data = storage.read(places.pin(work.generation, f"selection-{number + 1:04d}"))
        except FileNotFoundError:
            return number, found
        number, found = number + 1, json.loads(data)


def _selected(work: Work, number: int, version: int | None) -> Report:
    context, staged = work.context, work.manifest.staged.send
    work.say("looking for newer events in the offline store")
    rows = context.spark.read.schema(staged_schema(work.group))
    frame = rows.parquet(*(one.path for one in staged))
    frame = work.table.judged(frame, version, guard=_guarded(work), correct=work.manifest.correct)
    folder = f"{work.places.selected(work.generation, number)}/{work.epoch:04d}"
    task = SelectionTask(work.group, context.now().astimezone(timezone.utc), folder)
    partitions = int(context.spark.conf.get("spark.sql.shuffle.partitions") or 1)
    made = stage_selection(frame, task, partitions, context.storage)
    candidates = sum(one.rows for one in staged)
    check_selection(work.group.name, candidates, made, context.storage)
    return made
