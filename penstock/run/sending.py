"""ONLINE as a Spark job: a task a staged file, progress and metrics read off the markers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from penstock.contract import FeatureGroup
from penstock.online import FileOutcome, SendJob, send_file
from penstock.online.line import transport_of
from penstock.run.context import Context
from penstock.run.metrics import Meter
from penstock.run.mode import Mode
from penstock.run.work import Work
from penstock.stage.report import Staged
from penstock.ticker import ticking
from penstock.worker import settled

WATCH_S = 1.0


def send_files(work: Work, chosen: Sequence[Staged], results: str, *, hard: bool = False) -> None:
    """Send the rows of staged files that no marker covers; what happened is in the markers.

    Args:
        work: The window.
        chosen: The files.
        results: Folder of the markers.
        hard: Deletions remove a record, whatever ``conf`` says.

    Raises:
        CredentialsError, DataGateError, MismatchError, TemporaryError: From the tasks, through
        Spark.
    """
    job = send_job(work, slots_of(work.context, chosen), results)
    if hard:
        job = replace(job, deletion="HardDelete")
    note = transport_note(job)
    if note is not None:
        work.note(note)

    with _watched(work, sum(one.rows for one in chosen), results):
        send_by_tasks(work.context, job, chosen)


def slots_of(context: Context, chosen: Sequence[Staged]) -> int:
    """Tasks that send files at once."""
    return max(1, min(len(chosen), context.spark.sparkContext.defaultParallelism))


def send_by_tasks(context: Context, job: SendJob, chosen: Sequence[Staged]) -> None:
    """Send files, a task a file, those of a greater phase before all others; raises as a task."""
    storage, spark = context.storage, context.spark.sparkContext

    def send(paths: Iterable[str]) -> Iterator[FileOutcome]:
        for path in paths:
            yield send_file(job, path, storage)

    for phase in sorted({one.phase for one in chosen}, reverse=True):
        files = sorted(one.path for one in chosen if one.phase == phase)
        spark.parallelize(files, len(files)).mapPartitions(settled(send)).count()


def send_job(work: Work, slots: int, results: str) -> SendJob:
    """How the files of a window are sent; see :func:`job_of`."""
    manifest = work.manifest
    return job_of(work.context, work.group, manifest.mode, manifest.chunk_rows, slots, results)


def job_of(
    context: Context, group: FeatureGroup, mode: Mode, chunk_rows: int, slots: int, results: str
) -> SendJob:
    """How staged files are sent.

    Args:
        context: The surroundings.
        group: The contract.
        mode: What is done to which store.
        chunk_rows: Rows a marker.
        slots: Tasks that send at once. Rates are shared out evenly: files hold equal shares of the
            identifiers.
        results: Folder of the markers.
    """
    online = context.settings.online
    ceiling, expected = online.max_write_units_per_s, online.expected_write_units_per_s
    return SendJob(
        endpoint=context.endpoint,
        group=context.settings.group(group.name).physical or group.name,
        features=group.names,
        types=tuple(one.type for one in group.features),
        record_identifier=group.record_identifier,
        event_time=group.event_time,
        api=online.api,
        in_flight=online.in_flight,
        chunk_rows=chunk_rows,
        max_write_units_per_s=None if ceiling is None else ceiling / slots,
        results=results,
        target_stores=mode.target_stores,
        deletion="HardDelete" if online.deletion == "hard" else "SoftDelete",
        transport=online.transport,
        expected_write_units_per_s=None if expected is None else expected / slots,
    )


def transport_note(job: SendJob) -> str | None:
    """What a person should know about the transport; None where it is the one asked for."""
    if transport_of(job) == job.transport:
        return None
    return "there is a proxy in the way: the plain transport is used"


def _watched(work: Work, total: int, results: str) -> AbstractContextManager[None]:
    """Tell how far it is, and write down the figures so far, once a second."""
    meter = Meter(work, results, total)

    def watch() -> bool:
        found = meter.note()
        work.context.progress.advance(work.group.name, min(total, found), total)
        return True

    return ticking("penstock-progress", WATCH_S, watch)
