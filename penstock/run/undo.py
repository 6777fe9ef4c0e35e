"""Taking a run back: its rows leave the offline table, and what was online before comes back.

An undo is a generation of its window like any other: claimed, planned, staged, durable step by
step, so an interrupted one goes on where it stopped. Online goes first, as everywhere; where
something newer is online by now it stays. Afterwards the window stands as the run before left it,
or is missing where there was none. What the run put aside stays in the quarantine.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import Window as Over
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.contract import CORRECT, REPLACED, FeatureGroup
from penstock.errors import DataGateError, UsageError
from penstock.ledger.journal import UNDOES, Journal, State
from penstock.ledger.lease import check_free, owner
from penstock.offline.restoration import Restoration
from penstock.online import fold
from penstock.run.context import Context
from penstock.run.figures import Figures
from penstock.run.holding import check_whole, holding
from penstock.run.manifest import pinned_instant, read_manifest
from penstock.run.places import Places, ledger_of
from penstock.run.removal import remove
from penstock.run.selection import written
from penstock.run.sending import send_files
from penstock.run.steps import transaction_of
from penstock.run.undoable import Found, check, check_there
from penstock.run.work import Feed, Work
from penstock.stage.report import Report, check_selection
from penstock.stage.selection import OLDER
from penstock.stage.spark import staged_schema


@dataclass(frozen=True)
class Undone:
    """What taking a run back did.

    Args:
        group: The feature group.
        window: Name of the window.
        run: The run.
        offline: Rows that left the offline table.
        removed: Records that left the online store.
        restored: Of these, records that came back as they were before.
        stays: Whether an earlier run of the window stands again; else the window is missing.
    """

    group: str
    window: str
    run: str
    offline: int
    removed: int
    restored: int
    stays: bool


def undo(context: Context, group: FeatureGroup, run: str, found: Found) -> Undone:
    """Take a run back. Doing it again changes nothing; an interrupted one is finished.

    Args:
        context: The surroundings.
        group: The contract of the run's group.
        run: The run.
        found: What :func:`penstock.run.undoable.find` says of it.

    Raises:
        UsageError: It cannot be taken back; says why and what can be done.
        PenstockError: As of a run.
    """
    storage, places, ran = context.storage, found.places, found.generation
    ledger = ledger_of(storage, places)
    newest, journal = ledger.newest(places.window.name)
    if newest > ran and _undoes(journal) == run:
        if journal.state is State.DONE:
            return _told(journal, places, run)
        return _Undo(context, group, run, places, ran, newest, journal).walk()
    of_run = ledger.journals(places.window.name)[ran]
    check(context, group, places, ran, of_run, journal)
    own = ledger.begun(places.window.name, newest + 1)
    return _Undo(context, group, run, places, ran, newest + 1, own).walk()


def check_none(journal: Journal, window: str) -> None:
    """An undo that was begun is finished, or given up, before the window is run again.

    Raises:
        UsageError: There is one.
    """
    run = _undoes(journal)
    if run is not None and journal.state not in (State.DONE, State.GATED):
        message = f"window {window} is being taken back"
        raise UsageError(message, f"First finish that: penstock undo {run}")


def _undoes(journal: Journal) -> str | None:
    """The run a generation takes back; None where it is an ordinary one."""
    claim = journal.data(State.CLAIMED) or {}
    return claim.get(UNDOES)


def _told(journal: Journal, places: Places, run: str) -> Undone:
    data = journal.data(State.DONE) or {}
    figures = {name: data[name] for name in ("offline", "removed", "restored")}
    return Undone(places.group, places.window.name, run, stays="mode" in data, **figures)


class _Undo:
    """One undo on its way."""

    def __init__(
        self,
        context: Context,
        group: FeatureGroup,
        run: str,
        places: Places,
        ran: int,
        generation: int,
        journal: Journal,
    ) -> None:
        self._context, self._group, self._run = context, group, run
        self._places, self._ran, self._generation = places, ran, generation
        self._journal = journal
        manifest = read_manifest(context.storage, places.manifest(ran))
        assert manifest is not None
        self._of_run = manifest

    def walk(self) -> Undone:
        """Every step that is not reached."""
        context, places = self._context, self._places
        check_whole(context)
        self._check_alone()
        epoch = self._journal.epoch + 1
        name = uuid.uuid4().hex[:12]
        claim = {"run": name, "owner": owner(), UNDOES: self._run}
        window = places.window.name
        ledger = ledger_of(context.storage, places)
        ledger.claim(window, self._generation, self._journal, epoch, claim, context.now())
        self._check_there(epoch)
        steps = (
            (State.STAGED, self._stage),
            (State.ONLINE_DONE, self._send),
            (State.OFFLINE_COMMITTED, self._take_out),
            (State.DONE, self._finish),
        )
        reached = [state for state, _ in steps]
        done = reached.index(self._journal.state) + 1 if self._journal.state in reached else 0
        with holding(context, places):
            work = self._work(epoch, name)
            for state, act in steps[done:]:
                self._journal.append(state, epoch, act(work), context.now())
        return _told(self._journal, places, self._run)

    def _check_there(self, epoch: int) -> None:
        """A collection that looked at the window before our claim takes what we would read."""
        context, places = self._context, self._places
        if context.storage.exists(places.pin(self._generation, "undo")):
            return
        try:
            check_there(context, self._group.name, places, self._ran)
        except UsageError as error:
            self._journal.append(State.GATED, epoch, {"why": str(error)}, context.now())
            raise

    def _check_alone(self) -> None:
        """What other windows send meanwhile could get lost between removal and return."""
        storage, now = self._context.storage, self._context.now().timestamp()
        if not self._context.takeover:
            for lease in storage.list(self._places.lease.rsplit("/", 1)[0]):
                check_free(storage, lease, now)

    def _work(self, epoch: int, name: str) -> Work:
        feed = Feed(self._group, self._of_run.meaning)
        context = self._context
        return Work(
            context=context,
            feed=feed,
            places=self._places,
            generation=self._generation,
            epoch=epoch,
            run=name,
            journal=self._journal,
            mode=self._of_run.mode,
            compare=False,
            began=context.monotonic(),
            # Not where a run has its own: nobody may take this for rows that are to be ingested.
            manifest_path=self._places.pin(self._generation, "undo"),
        )

    def _stage(self, work: Work) -> Mapping[str, Any]:
        """What goes and what comes back, as files."""
        storage, path = work.context.storage, work.manifest_path
        assert path is not None
        if not storage.exists(path):
            made = replace(
                self._of_run,
                run=work.run,
                staged=self._staged(work),
                figures=Figures(),
                correct=None,
            )
            storage.put_if_absent(path, made.encoded())
        staged = work.manifest.staged
        return {"removed": staged.replaced, "restored": staged.fit}

    def _staged(self, work: Work) -> Report:
        sent = self._of_run.staged.send
        if not sent or not work.table.exists:
            return Report()
        work.say("looking for what was there before")
        reader = work.context.spark.read.schema(staged_schema(self._group))
        ran = _newest(reader.parquet(*(one.path for one in sent)), self._group)
        rest = work.table.without(*self._written(work))
        found = Restoration(ran, rest, self._group)
        gone = self._files(work, found.gone, "gone", replaced=True)
        back = self._files(work, found.back, "back", replaced=False)
        return Report(
            rows_in=back.rows_in,
            fit=back.fit,
            expired=back.expired,
            replaced=gone.replaced,
            send=back.send,
            gone=gone.gone,
        )

    def _files(self, work: Work, frame: DataFrame, name: str, *, replaced: bool) -> Report:
        no, flag = F.lit(False), F.lit(replaced)  # noqa: FBT003 - a literal column
        judged = frame.withColumns({CORRECT: no, OLDER: no, REPLACED: flag})
        folder = f"{work.places.staged(self._generation, work.epoch)}/{name}"
        made = written(work, judged, folder)
        check_selection(self._group.name, made.rows_in, made, work.context.storage)
        return made

    def _send(self, work: Work) -> Mapping[str, Any]:
        """Records go, then those before them come back."""
        staged, results = work.manifest.staged, work.places.results(self._generation)
        remove(work, staged.gone, results)
        files = {one.path: one.rows for one in staged.send}
        if files:
            work.say(f"putting back {sum(files.values()):,} records")
            send_files(work, staged.send, results)
        found = fold(work.context.storage, results, files, work.manifest.chunk_rows).figures
        if found.rejected:
            message = f"{self._group.name}: the service refused {found.rejected} of the old records"
            raise DataGateError(message, "The offline store is as it was; see the metrics")
        return {"accepted": found.accepted}

    def _take_out(self, work: Work) -> Mapping[str, Any]:
        """The run's rows leave the offline table, all at once."""
        transaction = transaction_of(self._places, self._ran)
        commit = work.table.find(transaction)
        # A log may have forgotten its commits; the run has not forgotten what it wrote.
        rows = self._of_run_offline() if commit is None else commit.rows
        work.say(f"taking {rows:,} rows out of the offline store")
        if rows:
            work.table.take_out(*self._written(work), rows)
        return {"offline": rows}

    def _of_run_offline(self) -> int:
        journals = ledger_of(self._context.storage, self._places).journals(self._places.window.name)
        committed = journals[self._ran].data(State.OFFLINE_COMMITTED) or {}
        return int(committed.get("offline", 0))

    def _written(self, work: Work) -> tuple[datetime, datetime, int]:
        """When the run's rows were written, by both clocks, and how many ties there may be."""
        storage, places = work.context.storage, self._places
        now = work.context.now()
        api, at = (
            pinned_instant(storage, places.pin(self._ran, name), now)
            for name in ("api_invocation_time", "write_time")
        )
        return api, at, self._of_run.staged.ties

    def _finish(self, work: Work) -> Mapping[str, Any]:
        """The window stands as the run before left it."""
        staged = work.manifest.staged
        before = self._before()
        told = {"removed": staged.replaced, "restored": staged.fit}
        offline = (self._journal.data(State.OFFLINE_COMMITTED) or {})["offline"]
        return {**before, **told, "offline": offline, UNDOES: self._run}

    def _before(self) -> Mapping[str, Any]:
        """What the generation said that stands again."""
        places = self._places
        journals = ledger_of(self._context.storage, places).journals(places.window.name)
        for number in sorted(journals, reverse=True):
            done = journals[number].data(State.DONE)
            if number < self._ran and done is not None:
                return done
        return {}


def _newest(sent: DataFrame, group: FeatureGroup) -> DataFrame:
    """One row an identifier."""
    newest = Over.partitionBy(F.col(f"`{group.record_identifier}`"))
    newest = newest.orderBy(F.col(f"`{group.event_time}`").desc())
    return sent.withColumn("_n", F.row_number().over(newest)).where("_n = 1").drop("_n")
