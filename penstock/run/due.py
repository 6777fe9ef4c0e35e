"""A firing of a schedule: its window, and those before it that should have been done already."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.contract import Pipeline
from penstock.errors import PenstockError
from penstock.ledger.journal import State
from penstock.ledger.window import Window
from penstock.run.context import Context
from penstock.run.ingest import Correct, Online, Result, ingest_pipeline
from penstock.run.places import Places, ledger_of, state_folder


def ingest_due(
    context: Context,
    pipeline: Pipeline,
    windows: Sequence[Window],
    online: Online = "latest",
    correct: Correct | None = None,
) -> list[Result]:
    """Bring the last window into both stores, and before it those before it that are not done.

    One of them that fails does not keep the last one waiting; its error is raised in the end. A
    done one is not looked at again though its sources may have grown: rows that come late are a
    backfill's business.

    Args:
        context: The surroundings.
        pipeline: What is run.
        windows: In order of time, at least one.
        online: As in :func:`penstock.run.ingest.ingest_pipeline`.
        correct: Likewise.

    Raises:
        PenstockError: Of the first window that failed; see its subclasses.
    """
    *before, last = windows
    missed = [one for one in before if not _is_done(context, pipeline.group.name, one)]
    found: list[Result] = []
    failed: list[PenstockError] = []
    for one in [*missed, last]:
        try:
            found.append(ingest_pipeline(context, pipeline, one, online, correct))
        except PenstockError as error:
            if one is not last or failed:  # else it is raised now, and told by who called
                context.progress.note(pipeline.group.name, f"stopped: {error.message}")
            failed.append(error)
    if failed:
        raise failed[0]
    return found


def _is_done(context: Context, group: str, window: Window) -> bool:
    """Whether the newest generation of a window is done, by the ledger alone."""
    places = Places(state_folder(context.settings), group, window)
    _, journal = ledger_of(context.storage, places).newest(window.name)
    return journal.state is State.DONE
