"""What a finished window says about rows its earlier runs had put aside.

A row is resolved once its window was read again and did not put it aside: the source was mended, or
the contract, or the transform. A row of a source must have been read again for that; a row that
could be replayed stays open until a row of its identifier and event time came through, so that none
is given up because its source is gone. A row that was settled and is put aside again is open again;
one that was discarded stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.ledger.decisions import OPEN, Decisions, Kind, Standing, Verdict, verdicts
from penstock.ledger.journal import State
from penstock.ledger.lease import owner
from penstock.run.places import ledger_of
from penstock.run.quarantined import decisions_of
from penstock.run.taken import came_through
from penstock.run.work import Work


def settle(work: Work) -> None:
    """Note which rows are resolved and which have come back. Doing it twice adds nothing.

    Raises:
        MismatchError: The decisions are damaged.
    """
    context = work.context
    log = decisions_of(context.settings, work.group.name, context.storage)
    claims = _claims(work)
    alone = len(claims) == 1  # nobody ran this window before
    if (alone and not log.events) or not work.quarantine.exists:
        return
    met = {*_put_aside(work, claims), *_refused(work)}
    _add(work, log, "returned", met, ("replayed", "resolved"))
    if alone:
        return
    runs, stand = {run for run, _, _ in claims}, verdicts(log.events)
    missed = [
        one
        for one in work.quarantine.heads(work.group.name)
        if one["run"] in runs and one["row_key"] not in met and _is_open(one, stand)
    ]
    raw = [one for one in missed if one["stage"] == "source"]
    whole = [one["row_key"] for one in missed if one["stage"] != "source"]
    passed = {one["row_key"] for one in raw if _read(one, work.manifest.pins or {})}
    _add(work, log, "resolved", passed | came_through(work, whole), ("open",))


def _add(
    work: Work, log: Decisions, kind: Kind, keys: set[str], standing: tuple[Standing, ...]
) -> None:
    """One decision about those of the rows that stand so."""

    def once(stand: Mapping[str, Verdict]) -> bool:
        chosen = [key for key in keys if stand.get(key, OPEN).standing in standing]
        run, window, now = work.manifest.run, work.places.window.name, work.context.now()
        return not chosen or log.add(kind, chosen, by=owner(), now=now, run=run, window=window)

    log.settle(once)


def _claims(work: Work) -> list[tuple[str, int, int]]:
    """Run, generation and epoch of every run of this window, of earlier generations too."""
    ledger = ledger_of(work.context.storage, work.places)
    return [
        (str(event.data["run"]), number, event.epoch)
        for number, journal in ledger.journals(work.places.window.name).items()
        for event in journal.events
        if event.state is State.CLAIMED
    ]


def _put_aside(work: Work, claims: list[tuple[str, int, int]]) -> set[str]:
    """Keys of the rows this generation's gates put aside.

    A task that died leaves files too: of the same rows, or cut off.
    """
    storage, manifest = work.context.storage, work.manifest
    files = {one.path for one in manifest.staged.bad}
    for run, generation, epoch in claims:
        if (run, generation) == (manifest.run, work.generation):
            folder = work.places.staged(generation, epoch)
            below = [one for one in storage.list(folder) if _name(one).startswith("source-")]
            files |= {one for source in below for one in storage.list(source)}
    return {key for one in files if _name(one).startswith("bad-") for key in _keys(work, one)}


def _keys(work: Work, file: str) -> list[str]:
    try:
        with work.context.storage.open_input(file) as opened:
            keys: list[str] = pq.read_table(opened, columns=["row_key"]).column(0).to_pylist()
    except pa.ArrowInvalid:
        return []
    return keys


def _refused(work: Work) -> set[str]:
    rejects = (work.journal.data(State.ONLINE_DONE) or {}).get("rejects", [])
    return {key for key, _, _ in work.quarantine.refusals(rejects, work.group)}


def _is_open(entry: Mapping[str, Any], stand: Mapping[str, Verdict]) -> bool:
    return stand.get(entry["row_key"], OPEN).standing == "open"


def _read(entry: Mapping[str, Any], pins: Mapping[str, Any]) -> bool:
    """Whether the file an entry of a source came from was read again.

    A pin is a list of files with size and time, or a Delta table's folder and version.
    """
    pin = pins.get(entry["source"])
    if not pin or entry["file"] is None:
        return False
    file = unquote(entry["file"].removeprefix("file://"))
    if not isinstance(pin[0], list):
        return file.startswith(f"{pin[0].removeprefix('file://')}/")
    return any(one[0].removeprefix("file://") == file for one in pin)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
