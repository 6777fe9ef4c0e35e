"""A journal recreated from what is durable beside it: manifest, markers, Delta's transaction.

Nothing is sent and no row is written. A state is recreated only where its proof is there: STAGED by
the manifest, ONLINE_DONE by the markers of every chunk, or where they were collected by the note of
what they said, OFFLINE_COMMITTED by the commit, DONE by the note a run leaves when it has ended;
and figures are counted anew and must agree, as at the end of a run. A window that had not come to
its end is left for ``penstock ingest`` to finish.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock import aws
from penstock.catalog.table import table_name
from penstock.config import Settings
from penstock.entries import Commit
from penstock.errors import MismatchError, TemporaryError
from penstock.ledger.history import Ledger
from penstock.ledger.journal import State
from penstock.ledger.lease import check_free, owner
from penstock.ledger.window import parse_name
from penstock.online import fold
from penstock.run.collection import collected
from penstock.run.damage import Damage, damages
from penstock.run.figures import reconcile
from penstock.run.manifest import Manifest, read_manifest
from penstock.run.metrics import measured
from penstock.run.places import Places
from penstock.run.selection import chosen, decided
from penstock.run.steps import rejection, transaction_of
from penstock.run.tables import table_log

Event = tuple[State, Mapping[str, Any]]


@dataclass(frozen=True)
class Rebuilt:
    """What became of one damage.

    Args:
        damage: The damage.
        state: How far the journal comes now; None where nothing proves that it had begun.
        aside: Where the damaged files are now; None where there were none.
    """

    damage: Damage
    state: State | None
    aside: str | None


def rebuilt_all(
    settings: Settings,
    ledger: Ledger,
    window: str | None,
    now: datetime,
    tell: Callable[[int, int], None] | None = None,
) -> list[Rebuilt]:
    """All damages of a group's ledger, or of one window, rebuilt as :func:`rebuilt` does.

    Where the snapshot is damaged, its windows are lost first and then rebuilt with the others.
    """
    found = damages(ledger, window, tell)
    done = [rebuilt(settings, ledger, one, now) for one in found if one.window is None]
    if done:
        found = damages(ledger, window, tell)
    return [*done, *(rebuilt(settings, ledger, one, now) for one in found)]


def rebuilt(settings: Settings, ledger: Ledger, damage: Damage, now: datetime) -> Rebuilt:
    """Move what is damaged aside, never deleting it, and recreate the journal.

    A damaged snapshot is moved only; its windows are then missing, and are rebuilt one by one.

    Raises:
        TemporaryError: A run has the window.
        MismatchError: What is durable does not agree; the damaged journal is aside, no new one is
            made.
    """
    stamp = f"{now:%Y%m%dT%H%M%S%fZ}"
    if damage.window is None or damage.generation is None:
        target = f"{ledger.state}/damaged/{ledger.group}/snapshots-{stamp}"
        ledger.storage.move(f"{ledger.state}/snapshots/{ledger.group}", target)
        return Rebuilt(damage, None, target)
    places = Places(ledger.state, ledger.group, parse_name(damage.window))
    check_free(ledger.storage, places.lease, now.timestamp())
    folder = ledger.journal_folder(damage.window, damage.generation)
    aside = None
    if ledger.storage.walk(folder):
        aside = f"{ledger.state}/damaged/{ledger.group}/{damage.window}/{damage.generation:04d}"
        aside = f"{aside}-{stamp}"
        ledger.storage.move(folder, aside)
    manifest = read_manifest(ledger.storage, places.manifest(damage.generation))
    if manifest is None:
        return Rebuilt(damage, None, aside)
    proven = list(_Proof(settings, ledger, places, damage.generation, manifest).events())
    journal = ledger.begun(damage.window, damage.generation)
    epoch = _epoch(manifest)
    claim = {"run": manifest.run, "owner": f"penstock ledger rebuild on {owner()}"}
    ledger.claim(damage.window, damage.generation, journal, epoch, claim, now)
    for state, data in proven:
        journal.append(state, epoch, data, now)
    return Rebuilt(damage, journal.state, aside)


def _epoch(manifest: Manifest) -> int:
    """Epoch of the driver that staged: its files lie in a folder of that number."""
    staged = manifest.staged
    paths = [one.path for one in (*staged.rows, *staged.send, *staged.bad)]
    names = [path.rsplit("/", 2)[-2] for path in paths]
    return max((int(name) for name in names if name.isdigit()), default=1)


@dataclass(frozen=True)
class _Proof:
    settings: Settings
    ledger: Ledger
    places: Places
    generation: int
    manifest: Manifest

    def events(self) -> Iterator[Event]:
        """The events that something proves, in order."""
        manifest, found = self.manifest, self.manifest.figures
        said = {"pins": manifest.pins, "meaning": manifest.meaning, "mode": manifest.mode.name}
        yield State.PLANNED, said
        told = {"read": found.read, "valid": found.valid, "quarantined": found.all_quarantined}
        yield State.STAGED, told
        note = self._note()
        online = self._online(note)
        if online is None:
            return
        why = rejection(self.places.group, online, self.settings)
        if why is not None:
            yield State.GATED, {"why": why}
            return
        yield State.ONLINE_DONE, online
        offline = self._offline(note)
        if offline is None:
            return
        yield State.OFFLINE_COMMITTED, offline
        if note is None:
            return
        yield State.REGISTERED, {"table": self._table(), "action": "rebuilt"}
        ended = manifest.ended(online, offline, note["seconds"])
        reconcile(self.places.group, ended, manifest.mode.online, manifest.mode.offline)
        yield State.DONE, manifest.done(ended)

    def _note(self) -> Any:
        """What the run noted when it had ended; None where it did not."""
        path = self.places.pin(self.generation, "done")
        storage = self.ledger.storage
        return json.loads(storage.read(path)) if storage.exists(path) else None

    def _online(self, note: Any) -> dict[str, Any] | None:
        """What ONLINE_DONE carries; None where sending has not begun, or a chunk has no marker."""
        storage, places, staged = self.ledger.storage, self.places, self.manifest.staged
        held = collected(storage, places, self.generation)
        if held is not None:  # markers may be gone: this is what they said
            return dict(held["online"])
        if not storage.exists(places.pin(self.generation, "api_invocation_time")):
            return None
        decision = decided(storage, places, self.generation)
        sent = chosen(places, self.generation, staged.send, *decision)
        try:
            files = {one.path: one.rows for one in sent.files}
            totals = fold(storage, sent.results, files, self.manifest.chunk_rows)
        except TemporaryError:
            return None
        counts = {"candidates": sent.candidates, **sent.told}
        seconds = 0.0 if note is None else note["online_s"]
        sums = measured(totals.figures, seconds)
        return {**counts, **sums, "rejects": list(totals.rejects_files)}

    def _offline(self, note: Any) -> dict[str, Any] | None:
        """What OFFLINE_COMMITTED carries; None where there is no commit."""
        if self.manifest.mode.offline != "own":  # nothing tells but the end
            return None if note is None else {"offline": 0, "present": 0}
        found = self._commit()
        if found is None:  # never committed, or the log has been forgotten: this is what it said
            held = collected(self.ledger.storage, self.places, self.generation) or {}
            if held.get("offline"):
                return dict(held["offline"])
            if note is not None and self.settings.offline.format == "iceberg":
                # To be run again it would be appended again: the commit is there, its name is not.
                message = f"{self.places.group} {self.places.window.name}: its snapshot was expired"
                raise MismatchError(message, "Restore its events from a backup of the state folder")
            return None
        return {"offline": found.rows, "present": found.present, "version": found.version}

    def _commit(self) -> Commit | None:
        with ExitStack() as stack:

            def glue() -> Any:
                return aws.client(stack.enter_context(aws.connected(self.settings)), "glue")

            log = table_log(self.settings, self.places.group, "", glue)
            return log.find(transaction_of(self.places, self.generation))

    def _table(self) -> str | None:
        own = self.manifest.mode.offline == "own"
        if not self.settings.catalog.register_tables or not own:
            return None
        return f"{self.settings.catalog.database}.{table_name(self.places.group, self.settings)}"
