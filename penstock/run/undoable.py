"""Which run is meant by its name, and whether it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NoReturn

import pyarrow.parquet as pq

from penstock.contract import FeatureGroup
from penstock.errors import UsageError
from penstock.ledger.journal import UNDOES, Journal, State
from penstock.ledger.window import parse_name
from penstock.run.collection import collected
from penstock.run.context import Context
from penstock.run.manifest import Manifest, read_manifest
from penstock.run.overlap import overlapping, streamed
from penstock.run.places import Places, ledger_of, state_folder
from penstock.storage import Storage


@dataclass(frozen=True)
class Found:
    """Where a run is in the ledger.

    Args:
        places: Its window.
        generation: Its generation.
    """

    places: Places
    generation: int


def find(context: Context, run: str) -> Found:
    """The generation whose rows a run staged. Reads manifests, no AWS, no Spark.

    Raises:
        UsageError: No run has this name, or it staged nothing.
    """
    storage, state = context.storage, state_folder(context.settings)
    for group in storage.list(f"{state}/staged"):
        for window in storage.list(group):
            name = window.rsplit("/", 1)[-1]
            places = Places(state, group.rsplit("/", 1)[-1], parse_name(name))
            for number in map(_number, storage.list(window)):
                manifest = read_manifest(storage, places.manifest(number))
                if manifest is not None and manifest.run == run:
                    return Found(places, number)
    message = f"no run {run!r} has staged anything here"
    raise UsageError(message, "See penstock status --json: 'run' in the data of a window")


def check(
    context: Context,
    group: FeatureGroup,
    places: Places,
    ran: int,
    journal: Journal,
    newest: Journal,
) -> None:
    """Return where a run can be taken back as if it had never been.

    Args:
        context: The surroundings.
        group: The contract of today.
        places: The run's window.
        ran: Its generation.
        journal: Of that generation.
        newest: Of the window's newest generation.

    Raises:
        UsageError: It cannot be; says why and what can be done.
    """
    storage, name, window = context.storage, group.name, places.window
    manifest = read_manifest(storage, places.manifest(ran))
    assert manifest is not None
    if window.replays:
        _refuse(name, "rows of the quarantine were replayed", "Correct them with a newer run")
    if journal.state is not State.DONE:
        _refuse(name, f"the run is not done: {journal.state}", "Finish it first, or leave it")
    stands = newest.data(State.DONE) or {}
    if newest.folder != journal.folder and stands.get("run") != manifest.run:
        _refuse(name, "a later run of the window stands on it", "Take that one back first")
    if manifest.mode.offline != "own":
        _refuse(name, "the service keeps its offline store", "Delete what it wrote by hand")
    if group.ttl_from is not None:
        _refuse(name, "records had times to live of their own", "Run the window with other rows")
    check_there(context, name, places, ran)
    lacking = [one for one in group.names if one not in _stored_names(manifest, context)]
    if lacking:
        _refuse(name, f"the contract has {lacking[0]!r}, the run had not", "Go back to that one")
    _check_alone(storage, name, places, journal)


def _check_alone(storage: Storage, name: str, places: Places, journal: Journal) -> None:
    """Nobody may have left out rows because this run had brought them.

    But who was taken back since: of those no row is left that could lack another.
    """
    mine = _version(journal)
    for other in overlapping(storage, places):
        journals = ledger_of(storage, replace(places, window=other)).journals(other.name).values()
        done = [data for one in journals if (data := one.data(State.DONE)) is not None]
        undone = {data[UNDOES] for data in done if UNDOES in data}
        for theirs in journals:
            stands = (theirs.data(State.DONE) or {}).get("run") not in undone
            if stands and _version(theirs) > mine:
                why = f"window {other.name} was run later, and left out what it found offline"
                _refuse(name, why, "Take that one back first")
    if streamed(storage, places):
        why = "a stream feeds the group, which may have left out what the run had brought"
        _refuse(name, why, "Correct it with a newer run")


def check_there(context: Context, name: str, places: Places, ran: int) -> None:
    """Return where all is there that a run of the group ``name`` has staged.

    Raises:
        UsageError: It was collected.
    """
    held = collected(context.storage, places, ran)
    if held is not None:
        why = f"what it staged was collected at {held['at'][:19]}Z"
        _refuse(name, why, "Correct it with a newer run; ledger.collect_after in conf keeps longer")


def _refuse(group: str, why: str, remedy: str) -> NoReturn:
    raise UsageError(f"{group}: this cannot be taken back: {why}", f"Nothing was done. {remedy}")


def _stored_names(manifest: Manifest, context: Context) -> list[str]:
    files = [*manifest.staged.send, *manifest.staged.rows]
    if not files:
        return []
    with context.storage.open_input(files[0].path) as file:
        return list(pq.read_schema(file).names)


def _version(journal: Journal) -> int:
    return int((journal.data(State.OFFLINE_COMMITTED) or {}).get("version", -1))


def _number(path: str) -> int:
    """Generation of a folder of staged files."""
    return int(path.rsplit("/", 1)[-1])
