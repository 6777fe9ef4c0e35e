"""ONLINE for a batch of a stream: its rows are sent, by this process or by Spark's tasks."""

from __future__ import annotations

from penstock.contract import FeatureGroup
from penstock.errors import MismatchError
from penstock.online import OnlineTotals, fold, send_file
from penstock.run.context import Context
from penstock.run.sending import job_of, send_by_tasks, slots_of
from penstock.streaming.batch import Batch, results_of


def deliver(context: Context, group: FeatureGroup, batch: Batch, folder: str) -> OnlineTotals:
    """Send what is staged and has no outcome yet. Doing it again sends nothing twice.

    Args:
        context: The surroundings.
        group: The contract.
        batch: What was staged.
        folder: Of the batch.

    Raises:
        CredentialsError, DataGateError, MismatchError, TemporaryError: As
            :func:`penstock.online.send_file`.
    """
    staged, results, driver = batch.staged.send, results_of(folder), batch.way == "driver"
    slots = 1 if driver else slots_of(context, staged)
    job = job_of(context, group, batch.mode, batch.chunk_rows, slots, results)
    if driver:
        for one in sorted(staged, key=lambda one: (-one.phase, one.path)):
            send_file(job, one.path, context.storage)
    else:
        send_by_tasks(context, job, staged)
    totals = fold(context.storage, results, batch.send, batch.chunk_rows)
    _check(group.name, batch, totals)
    return totals


def _check(group: str, batch: Batch, totals: OnlineTotals) -> None:
    """Every candidate was sent or had expired; ``fold`` has checked that what was sent is told."""
    staged, wanted = batch.staged, totals.rows + batch.expired
    candidates = {"latest": staged.identifiers, "service": staged.fit, "never": 0}
    if wanted != candidates.get(batch.mode.online, wanted):
        message = (
            f"{group}: batch {batch.number}: {candidates[batch.mode.online]} candidates, "
            f"{totals.rows} sent, {batch.expired} expired"
        )
        raise MismatchError(message, "This is a defect: report it; the batch is not done")
