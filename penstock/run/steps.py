"""The steps of a run, from pinned inputs to a registered table.

Each step is a function of durable facts: what it did before a crash it finds again and does not
repeat, or repeats harmlessly. Online comes before offline: see docs/adr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.catalog.glue import register
from penstock.catalog.table import table_input, table_name
from penstock.errors import DataGateError
from penstock.ledger.journal import Journal, State
from penstock.offline.table import Transaction
from penstock.online import fold
from penstock.run.figures import Figures, figures, reconcile
from penstock.run.manifest import pinned_instant
from penstock.run.sending import send_files
from penstock.run.staging import staged_manifest
from penstock.run.work import Work


@dataclass(frozen=True)
class Step:
    """A step and the state it reaches; ``act`` answers what the event carries."""

    state: State
    act: Callable[[Work], Mapping[str, Any]]


def plan(work: Work) -> Mapping[str, Any]:
    """Pins, settings that matter, and the accepted future."""
    return {"pins": work.feed.pins, "meaning": work.feed.meaning, "online": work.online}


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
    results, settings = work.places.results(work.generation), context.settings
    files = {one.path: one.rows for one in manifest.staged.send}
    began = context.monotonic()
    if files:
        count = sum(files.values())
        work.say(f"sending {count:,} record{'' if count == 1 else 's'}")
        send_files(work, files)
    totals = fold(context.storage, results, files, manifest.chunk_rows)
    seconds = context.monotonic() - began
    rejected = totals.figures.rejected
    work.quarantine.add_rejects(totals.rejects_files, work.group, work.entry())
    if rejected > totals.figures.sent * settings.online.max_reject_ratio:
        message = (
            f"{work.group.name}: the service rejected {rejected} of {totals.figures.sent} records"
        )
        remedy = "See 'penstock quarantine list'; the accepted ones are online, nothing is offline"
        raise DataGateError(message, remedy)
    sums = totals.figures
    return {
        "candidates": totals.rows,
        "sent": sums.sent,
        "accepted": sums.accepted,
        "rejected": rejected,
        "repeated": sums.repeated,
        "throttled": sums.throttled,
        "ambiguous": sums.ambiguous,
        "online_s": seconds,
        "rejects": list(totals.rejects_files),
    }


def commit(work: Work) -> Mapping[str, Any]:
    """Append the window's rows to the offline table, in one transaction."""
    context, manifest = work.context, work.manifest
    storage, places = context.storage, work.places
    api = pinned_instant(storage, places.pin(work.generation, "api_invocation_time"), context.now())
    at = pinned_instant(storage, places.pin(work.generation, "write_time"), context.now())
    work.say("writing the offline store")
    online = work.journal.data(State.ONLINE_DONE) or {}
    rows = work.table.staged([one.path for one in manifest.staged.rows], online.get("rejects", []))
    transaction = Transaction(f"penstock:{work.group.name}:{places.window.name}", work.generation)
    done = work.table.append(
        rows, transaction, api_invocation_time=api, write_time=at, compare=manifest.compare
    )
    return {"offline": done.rows, "present": done.present, "version": done.version}


def catalogue(work: Work) -> Mapping[str, Any]:
    """Keep the Glue table in step, unless ``catalog.register`` is off."""
    settings = work.context.settings
    if not settings.catalog.register_tables:
        return {"table": None}
    name = table_name(work.group.name, settings)
    location = Path(work.table.path).as_uri()
    wanted = table_input(work.group, table=name, location=location, meaning=work.feed.meaning)
    made = register(work.context.client("glue"), settings.catalog.database, wanted)
    return {"table": f"{settings.catalog.database}.{name}", "action": made.action}


def finish(work: Work) -> Mapping[str, Any]:
    """DONE, if the figures agree."""
    online = dict(work.journal.data(State.ONLINE_DONE) or {})
    offline = dict(work.journal.data(State.OFFLINE_COMMITTED) or {})
    online.pop("rejects", None)
    offline.pop("version", None)
    seconds = work.context.monotonic() - work.began
    found = replace(work.manifest.figures, **online, **offline, seconds=seconds)
    manifest = work.manifest
    reconcile(work.group.name, found, manifest.online)
    return {
        "figures": found.plain(),
        "pins": manifest.pins,
        "meaning": manifest.meaning,
        "online": manifest.online,
    }


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
