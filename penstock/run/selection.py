"""What is sent of the candidates: all of them, or those the offline store knows nothing newer of.

A selection is made where a candidate may be too old: in groups whose records may leave the online
store, by deletion or time to live, so that an old value could come back; in a window that starts
before the end of another one whose records were sent; and where values are corrected. A normal next
window sends its candidates as they were staged, and history is not read.

A selection is decided once, like a manifest, and holds as long as the offline table stays as it was
when it was made. Where another window has written since, an interrupted run selects anew and sends
from the start, with markers of its own: sending again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pyspark.sql import DataFrame

from penstock.ledger.journal import State
from penstock.ledger.window import Window, parse_name
from penstock.run.overlap import others, streamed
from penstock.run.places import Places, ledger_of
from penstock.run.work import Work
from penstock.stage.report import Report, Staged, check_selection, report
from penstock.stage.selection import SelectionTask
from penstock.stage.spark import shuffle_partitions, stage_selection, staged_schema
from penstock.storage import Storage


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
        replaced: Of these, records that are removed first.
        gone: Files of these removals.
    """

    files: tuple[Staged, ...]
    results: str
    candidates: int
    older: int = 0
    expired: int = 0
    corrected: int = 0
    replaced: int = 0
    gone: tuple[Staged, ...] = ()

    @property
    def told(self) -> dict[str, int]:
        """Its figures beside the candidates."""
        return {name: getattr(self, name) for name in ("older", "expired", "corrected", "replaced")}


def selection(work: Work) -> Selection:
    """The selection that holds now; made, where there is none yet.

    Raises:
        MismatchError: A candidate was lost on the way.
    """
    staged = work.manifest.staged.send
    own = bool(staged) and work.manifest.mode.offline == "own"
    guard = own and work.manifest.mode.online == "latest" and _guarded(work)
    version = work.table.version() if own and (guard or work.manifest.correct is not None) else None
    if not staged or (version is None and not _expires(work)):
        return chosen(work.places, work.generation, staged, 0, None)
    basis = {"version": version, "guard": guard}
    number, found = decided(work.context.storage, work.places, work.generation)
    while found is None or {name: found.get(name) for name in basis} != basis:
        number += 1
        made = {**basis, "report": _selected(work, number, version, guard=guard).plain()}
        data = json.dumps(made).encode()
        path = work.places.pin(work.generation, f"selection-{number:04d}")
        if work.context.storage.put_if_absent(path, data):
            found = json.loads(data)
            break
        # Another driver was faster, perhaps with a selection from when the table was older.
        version = None if version is None else work.table.version()
        basis = {"version": version, "guard": guard}
        number, found = decided(work.context.storage, work.places, work.generation)
    return chosen(work.places, work.generation, staged, number, found)


def chosen(
    places: Places,
    generation: int,
    staged: tuple[Staged, ...],
    number: int,
    decision: Mapping[str, Any] | None,
) -> Selection:
    """The selection a decision stands for; without one, all candidates.

    Args:
        places: Of the window.
        generation: Its generation.
        staged: Files of the candidates.
        number: Of the decision.
        decision: From :func:`decided`.
    """
    candidates = sum(one.rows for one in staged)
    if decision is None:
        return Selection(staged, places.results(generation), candidates)
    made = report(decision["report"])
    told = (made.older, made.expired, made.corrected, made.replaced)
    return Selection(made.send, places.results(generation, number), candidates, *told, made.gone)


def _guarded(work: Work) -> bool:
    """Whether candidates may be too old to win.

    The online store forgets what it has removed, so an old value could come back; and what other
    windows or a stream sent may be newer, so that sending is in vain.
    """
    if work.group.forgets or streamed(work.context.storage, work.places):
        return True
    return _behind(work)


def _behind(work: Work) -> bool:
    """Whether the window starts before the high-water mark: the end of another that sent records.

    Of a normal next window only the names of the others are read.
    """
    start = parse_name(work.places.window.name).start
    windows = reversed(others(work.context.storage, work.places))
    later = (one for one in windows if start is None or one.end is None or one.end > start)
    marks = (_mark(work, one) for one in later)
    return any(mark is not None and (start is None or mark > start) for mark in marks)


def _mark(work: Work, window: Window) -> datetime | None:
    """Before which instant the records lie that another window sent; None where it sent none.

    A run over all of time has no end; but its records are no younger than the run, or they would
    have been put aside.
    """
    ledger = ledger_of(work.context.storage, work.places)
    sent = [
        event.at
        for journal in ledger.journals(window.name).values()
        for event in journal.events
        if event.state is State.ONLINE_DONE and event.data.get("sent", 0) > 0
    ]
    if not sent or window.end is not None:
        return window.end if sent else None
    at = datetime.strptime(max(sent), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return at + timedelta(seconds=work.context.settings.quality.future_tolerance_s)


def _expires(work: Work) -> bool:
    """Whether candidates may be expired; where the service has the table, staging looked at it."""
    timed = work.group.ttl is not None or work.group.ttl_from is not None
    return timed and work.manifest.mode.online == "latest"


def decided(
    storage: Storage, places: Places, generation: int
) -> tuple[int, Mapping[str, Any] | None]:
    """The last selection that was made, and its number; -1 where there is none."""
    number, found = -1, None
    while True:
        try:
            data = storage.read(places.pin(generation, f"selection-{number + 1:04d}"))
        except FileNotFoundError:
            return number, found
        number, found = number + 1, json.loads(data)


def _selected(work: Work, number: int, version: int | None, *, guard: bool) -> Report:
    context, staged = work.context, work.manifest.staged.send
    work.say("looking for newer events in the offline store")
    rows = context.spark.read.schema(staged_schema(work.group))
    frame = rows.parquet(*(one.path for one in staged))
    frame = work.table.judged(frame, version, guard=guard, correct=work.manifest.correct)
    folder = f"{work.places.selected(work.generation, number)}/{work.epoch:04d}"
    made = written(work, frame, folder)
    candidates = sum(one.rows for one in staged)
    check_selection(work.group.name, candidates, made, context.storage)
    return made


def written(work: Work, judged: DataFrame, folder: str) -> Report:
    """Write candidates that were judged into files below a folder: what is sent, what goes first.

    Args:
        work: The window.
        judged: As :meth:`penstock.offline.table.OfflineTable.judged` gives them.
        folder: Of this attempt.
    """
    context = work.context
    task = SelectionTask(work.group, context.now().astimezone(timezone.utc), folder)
    return stage_selection(judged, task, shuffle_partitions(context.spark), context.storage)
