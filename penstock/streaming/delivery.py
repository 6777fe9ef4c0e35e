"""ONLINE for a batch of a stream: its rows are sent, by this process or by Spark's tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from penstock.contract import FeatureGroup
from penstock.errors import MismatchError
from penstock.online import FileOutcome, OnlineTotals, fold, send_file
from penstock.run.context import Context
from penstock.run.sending import job_of
from penstock.streaming.batch import Batch, results_of
from penstock.worker import settled


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
    files, results = batch.send, results_of(folder)
    phases: dict[int, list[str]] = {}
    for one in batch.staged.send:
        phases.setdefault(one.phase, []).append(one.path)
    for phase in sorted(phases, reverse=True):
        if batch.way == "driver":
            job = job_of(context, group, batch.mode, batch.chunk_rows, 1, results)
            for path in sorted(phases[phase]):
                send_file(job, path, context.storage)
        else:
            _by_tasks(context, group, batch, sorted(phases[phase]), results)
    totals = fold(context.storage, results, files, batch.chunk_rows)
    _check(group.name, batch, totals)
    return totals


def _by_tasks(
    context: Context, group: FeatureGroup, batch: Batch, paths: list[str], results: str
) -> None:
    spark, storage = context.spark.sparkContext, context.storage
    slots = max(1, min(len(paths), spark.defaultParallelism))
    job = job_of(context, group, batch.mode, batch.chunk_rows, slots, results)

    def send(some: Iterable[str]) -> Iterator[FileOutcome]:
        for path in some:
            yield send_file(job, path, storage)

    spark.parallelize(paths, len(paths)).mapPartitions(settled(send)).count()


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
