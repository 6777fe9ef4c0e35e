"""The loop: claim a window, walk the steps that are not done yet, end in figures that agree."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql import DataFrame

from penstock import aws
from penstock.contract import FeatureGroup, Pipeline
from penstock.errors import DataGateError, PenstockError, TemporaryError
from penstock.ledger.journal import Journal, State
from penstock.ledger.lease import check_free, owner
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.figures import Figures
from penstock.run.group import check_group
from penstock.run.holding import check_whole, holding
from penstock.run.inputs import inputs
from penstock.run.interruption import cancelled, full, lost, terminable
from penstock.run.mode import Correct, Mode, Online, mode_of
from penstock.run.overlap import shared
from penstock.run.places import Places, ledger_of, state_folder
from penstock.run.reporting import observed, unclaimed
from penstock.run.steps import STEPS, done_figures
from penstock.run.tables import check_tables
from penstock.run.undo import check_none
from penstock.run.work import Feed, Work
from penstock.session import raised
from penstock.storage import absolute, is_s3

__all__ = [
    "Correct",
    "Online",
    "Result",
    "explained",
    "ingest_feed",
    "ingest_frame",
    "ingest_pipeline",
]

_ORDER = [step.state for step in STEPS]


@dataclass(frozen=True)
class Result:
    """How a window ended.

    Args:
        group: Name of the feature group.
        window: Name of the window.
        state: ``done``, ``resumed`` (an interrupted run was finished) or ``unchanged``.
        figures: Its figures; of an unchanged window those of the run that finished it.
        report: Path of this run's report; None where it wrote none.
    """

    group: str
    window: str
    state: Literal["done", "resumed", "unchanged"]
    figures: Figures
    report: str | None = None


def ingest_pipeline(
    context: Context,
    pipeline: Pipeline,
    window: Window,
    online: Online = "latest",
    correct: Correct | None = None,
) -> Result:
    """Bring one window of a pipeline into both stores. Running it again changes nothing.

    An interrupted run is finished first, from what it staged; sources that changed since make a new
    generation, which adds only rows that are not there yet.

    Args:
        context: The surroundings.
        pipeline: What is run.
        window: Which part of the sources.
        online: ``latest`` sends the newest row of each identifier, ``never`` none.
        correct: ``update`` corrects values at event times that are written already; None refuses.

    Raises:
        PenstockError: See its subclasses for what each means.
    """
    with unclaimed(context, pipeline.group.name, window.name), explained(context):
        with_inputs = inputs(context, pipeline)
    feed = Feed(pipeline.group, pipeline.meaning, with_inputs, pipeline.transform)
    return ingest_feed(context, feed, window, online, correct)


def ingest_frame(
    context: Context,
    frame: DataFrame,
    group: FeatureGroup,
    online: Online = "latest",
    correct: Correct | None = None,
) -> Result:
    """Bring a DataFrame into both stores; it is evaluated once. Rows that are there add nothing.

    ``online`` and ``correct`` are those of :func:`ingest_pipeline`.

    Raises:
        PenstockError: See its subclasses for what each means.
    """
    feed = Feed(group, group.meaning, frame=frame)
    return ingest_feed(context, feed, Window(), online, correct)


def ingest_feed(
    context: Context,
    feed: Feed,
    window: Window,
    online: Online,
    correct: Correct | None = None,
) -> Result:
    """Bring what a feed gives into both stores, as the other two do.

    Raises:
        PenstockError: See its subclasses for what each means.
    """
    mode = mode_of(feed.group, context.settings, online, correct)
    with explained(context):
        return _ingest(context, feed, window, mode)


def _ingest(context: Context, feed: Feed, window: Window, mode: Mode) -> Result:
    places = Places(state_folder(context.settings), feed.group.name, window)
    ledger = ledger_of(context.storage, places)
    resumed, report = False, None
    while True:
        with unclaimed(context, feed.group.name, window.name), explained(context):
            check_tables(context.settings, feed.group.name)
            generation, journal = ledger.newest(window.name)
            check_none(journal, window.name)
            if journal.state is State.DONE:
                if resumed and feed.frame is None and _same(journal, feed, mode):
                    return _result(places, journal, "resumed", report)
                if not resumed and _same(journal, feed, mode):
                    return _result(places, journal, "unchanged")
                generation += 1
                journal = ledger.begun(window.name, generation)
            check_group(context, feed.group)
            work = _claimed(context, feed, places, generation, journal, mode)
        if journal.state is State.DONE:  # by the run that had it before: it was faster
            continue
        with observed(work), explained(context):
            _walk(work)
        report = work.report
        if work.manifest.run == work.run:
            return _result(places, journal, "done", report)
        resumed = True  # what was staged by another run: are these our rows?


def _claimed(
    context: Context,
    feed: Feed,
    places: Places,
    generation: int,
    journal: Journal,
    mode: Mode,
) -> Work:
    check_whole(context)
    if not context.takeover:
        check_free(context.storage, places.lease, context.now().timestamp())
    epoch = journal.epoch + 1
    run = uuid.uuid4().hex[:12]
    claim = {"run": run, "owner": owner()}
    ledger = ledger_of(context.storage, places)
    ledger.claim(places.window.name, generation, journal, epoch, claim, context.now())
    return Work(
        context=context,
        feed=feed,
        places=places,
        generation=generation,
        epoch=epoch,
        run=run,
        journal=journal,
        mode=mode,
        compare=generation > 0 or shared(context.storage, places),
        began=context.monotonic(),
    )


def _walk(work: Work) -> None:
    """Take every step that is not reached; a window that is not staged yet is planned anew."""
    context = work.context
    from_manifest = context.storage.exists(work.places.manifest(work.generation))
    if from_manifest:
        work.note("finishing an interrupted run from what it had staged")
    with holding(context, work.places):
        reached = (
            _ORDER.index(work.journal.state)
            if from_manifest and work.journal.state in _ORDER
            else -1
        )
        for step in STEPS[reached + 1 :]:
            try:
                data = step.act(work)
            except DataGateError as error:
                work.journal.append(State.GATED, work.epoch, {"why": str(error)}, context.now())
                raise
            work.journal.append(step.state, work.epoch, data, context.now())
    _note_end(work)


def _note_end(work: Work) -> None:
    """That the window is done, outside the ledger, so that the loss of its last event shows."""
    found = done_figures(work.journal)
    assert found is not None
    note = {"seconds": found.seconds, "online_s": found.online_s}
    path = work.places.pin(work.generation, "done")
    work.context.storage.put_if_absent(path, json.dumps(note).encode())


def _same(journal: Journal, feed: Feed, mode: Mode) -> bool:
    """Whether a finished window was made from the same sources, with the same meaning, likewise."""
    done: Any = journal.data(State.DONE) or {}
    if feed.pins is None:
        return False
    return bool(
        done.get("pins") == feed.pins
        and done.get("meaning") == feed.meaning
        and done.get("mode", f"{done.get('online')}:own:OnlineStore") == mode.name
    )


def _result(
    places: Places,
    journal: Journal,
    state: Literal["done", "resumed", "unchanged"],
    report: str | None = None,
) -> Result:
    found = done_figures(journal)
    assert found is not None
    return Result(places.group, places.window.name, state, found, report)


def _unanswered(error: Exception, lake: str) -> TemporaryError | None:
    """The error of delta-rs, or of a file system over the network, that is S3's; None elsewhere."""
    if not is_s3(lake) or not isinstance(error, OSError):
        return None
    return TemporaryError(f"{lake}: S3 did not answer: {error}", "Run the same command again")


@contextmanager
def explained(context: Context) -> Iterator[None]:
    """Errors of Spark and botocore are raised as ours, where ours is at the bottom."""
    try:
        with terminable():
            yield
    except PenstockError:
        raise
    except Exception as error:
        settings = context.settings
        folders = (absolute(settings.state), absolute(settings.lake), tempfile.gettempdir())
        ours = raised(error) or aws.explained(error) or full(error, folders) or lost(error)
        ours = ours or cancelled(error) or _unanswered(error, settings.lake)
        if ours is None:
            raise
        raise ours from error
