"""The steps of a run, from pinned inputs to a registered table.

Each step is a function of durable facts: what it did before a crash it finds again and does not
repeat, or repeats harmlessly. Online comes before offline: see docs/adr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.config import Settings
from penstock.entries import Transaction
from penstock.errors import DataGateError
from penstock.ledger.journal import Journal, State
from penstock.online import fold
from penstock.run.figures import Figures, figures, reconcile
from penstock.run.manifest import pinned_instant
from penstock.run.metrics import append, measured
from penstock.run.overlap import shared
from penstock.run.places import Places
from penstock.run.registration import registered
from penstock.run.removal import remove
from penstock.run.selection import selection
from penstock.run.sending import send_files
from penstock.run.settling import settle
from penstock.run.staging import staged_manifest
from penstock.run.work import Work


@dataclass(frozen=True)
class Step:
    """A step and the state it reaches; ``act`` answers what the event carries."""

    state: State
    act: Callable[[Work], Mapping[str, Any]]


def plan(work: Work) -> Mapping[str, Any]:
    """Pins, settings that matter, and the accepted future."""
    return {"pins": work.feed.pins, "meaning": work.feed.meaning, "mode": work.mode.name}


def stage(work: Work) -> Mapping[str, Any]:
    """Read, gate, transform, gate again, and write down; the first manifest stands."""
    storage, path = work.context.storage, work.places.manifest(work.generation)
    if not storage.exists(path):
        storage.put_if_absent(path, staged_manifest(work).encoded())
    found = work.manifest.figures
    if found.ties:
        work.note(f"{found.ties:,} rows share identifier and event time with another one")
    return {"read": found.read, "valid": found.valid, "quarantined": found.all_quarantined}


def send(work: Work) -> Mapping[str, Any]:
    """Send every staged record that has no outcome yet; rejects go to the quarantine."""
    context, manifest = work.context, work.manifest
    pinned_instant(
        context.storage, work.places.pin(work.generation, "api_invocation_time"), context.now()
    )
    chosen, settings = selection(work), context.settings
    files = {one.path: one.rows for one in chosen.files}
    began = context.monotonic()
    if files:
        count = sum(files.values())
        work.say(f"sending {count:,} record{'' if count == 1 else 's'}")
        remove(work, chosen.gone, chosen.results)
        send_files(work, chosen.files, chosen.results)
    totals = fold(context.storage, chosen.results, files, manifest.chunk_rows)
    sums = measured(totals.figures, context.monotonic() - began)
    told = {"candidates": chosen.candidates, **chosen.told, **sums}
    if files:
        append(work, {"total": totals.rows, **told, "end": True})
    _tell(work, told)
    work.quarantine.add_rejects(totals.rejects_files, work.group, work.entry())
    why = rejection(work.group.name, told, settings)
    if why is not None:
        remedy = "See 'penstock quarantine list'; the accepted ones are online, nothing is offline"
        raise DataGateError(why, remedy)
    return {**told, "rejects": list(totals.rejects_files)}


def rejection(group: str, online: Mapping[str, Any], settings: Settings) -> str | None:
    """Why a window is not published offline: too many records were refused; None where not."""
    rejected, sent = online["rejected"], online["sent"]
    if rejected <= sent * settings.online.max_reject_ratio:
        return None
    return f"{group}: the service rejected {rejected} of {sent} records"


def transaction_of(places: Places, generation: int) -> Transaction:
    """A window's append to the offline table."""
    return Transaction(f"penstock:{places.group}:{places.window.name}", generation)


def _tell(work: Work, told: Mapping[str, Any]) -> None:
    """What was not sent, or came too late, is worth a word."""
    reasons = {
        "older": "not sent: the offline store knows a newer event",
        "expired": "not sent: their time to live is over",
        "skipped": "came too late: something newer was online",
    }
    for name, words in reasons.items():
        if told[name]:
            work.note(f"{told[name]:,} records {words}")


def commit(work: Work) -> Mapping[str, Any]:
    """Append the window's rows to the offline table, in one transaction; if it is ours to write."""
    if work.manifest.mode.offline != "own":
        return {"offline": 0, "present": 0}
    context, manifest = work.context, work.manifest
    storage, places = context.storage, work.places
    api = pinned_instant(storage, places.pin(work.generation, "api_invocation_time"), context.now())
    at = pinned_instant(storage, places.pin(work.generation, "write_time"), context.now())
    work.say("writing the offline store")
    online = work.journal.data(State.ONLINE_DONE) or {}
    rows = work.table.staged([one.path for one in manifest.staged.rows], online.get("rejects", []))
    transaction = transaction_of(places, work.generation)
    # Another window that shares its time may have been run since this one was staged.
    compare = manifest.compare or shared(storage, places)
    done = work.table.append(
        rows, transaction, api_invocation_time=api, write_time=at, compare=compare
    )
    return {"offline": done.rows, "present": done.present, "version": done.version}


def catalogue(work: Work) -> Mapping[str, Any]:
    """Keep the Glue table in step, unless ``catalog.register`` is off."""
    if work.manifest.mode.offline != "own":
        return {"table": None}
    return registered(work.context, work.group, work.feed.meaning)


def finish(work: Work) -> Mapping[str, Any]:
    """DONE, if the figures agree."""
    online = work.journal.data(State.ONLINE_DONE) or {}
    offline = work.journal.data(State.OFFLINE_COMMITTED) or {}
    manifest = work.manifest
    found = manifest.ended(online, offline, work.context.monotonic() - work.began)
    reconcile(work.group.name, found, manifest.mode.online, manifest.mode.offline)
    settle(work)
    return manifest.done(found)


STEPS = (
    Step(State.PLANNED, plan),
    Step(State.STAGED, stage),
    Step(State.ONLINE_DONE, send),
    Step(State.OFFLINE_COMMITTED, commit),
    Step(State.REGISTERED, catalogue),
    Step(State.DONE, finish),
)


def done_figures(journal: Journal) -> Figures | None:
    """Figures of a finished window."""
    data = journal.data(State.DONE)
    return None if data is None else figures(data["figures"])
