"""ONLINE as a Spark job: a task a staged file, progress and metrics read off the markers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from penstock.online import FileOutcome, SendJob, send_file
from penstock.online.line import transport_of
from penstock.run.metrics import Meter
from penstock.run.selection import Selection
from penstock.run.work import Work
from penstock.ticker import ticking

WATCH_S = 1.0


def send_files(work: Work, chosen: Selection) -> None:
    """Send the rows of staged files that no marker covers; what happened is in the markers.

    Raises:
        CredentialsError, DataGateError, MismatchError, TemporaryError: From the tasks, through
        Spark.
    """
    storage = work.context.storage
    context = work.context.spark.sparkContext
    slots = max(1, min(len(chosen.files), context.defaultParallelism))
    job = send_job(work, slots, chosen.results)
    note = transport_note(job)
    if note is not None:
        work.note(note)

    def send(paths: Iterable[str]) -> Iterator[FileOutcome]:
        for path in paths:
            yield send_file(job, path, storage)

    with _watched(work, chosen):
        for phase in sorted({one.phase for one in chosen.files}, reverse=True):
            files = sorted(one.path for one in chosen.files if one.phase == phase)
            context.parallelize(files, len(files)).mapPartitions(send).count()


def send_job(work: Work, slots: int, results: str) -> SendJob:
    """How the files of a window are sent.

    Rates are shared out evenly over ``slots``: files hold equal shares of the identifiers.
    """
    group, online = work.group, work.context.settings.online
    ceiling, expected = online.max_write_units_per_s, online.expected_write_units_per_s
    return SendJob(
        endpoint=work.context.endpoint,
        group=work.context.settings.group(group.name).physical or group.name,
        features=group.names,
        types=tuple(one.type for one in group.features),
        record_identifier=group.record_identifier,
        event_time=group.event_time,
        api=online.api,
        in_flight=online.in_flight,
        chunk_rows=work.manifest.chunk_rows,
        max_write_units_per_s=None if ceiling is None else ceiling / slots,
        results=results,
        target_stores=work.manifest.mode.target_stores,
        deletion="HardDelete" if online.deletion == "hard" else "SoftDelete",
        transport=online.transport,
        expected_write_units_per_s=None if expected is None else expected / slots,
    )


def transport_note(job: SendJob) -> str | None:
    """What a person should know about the transport; None where it is the one asked for."""
    if transport_of(job) == job.transport:
        return None
    return "there is a proxy in the way: the plain transport is used"


def _watched(work: Work, chosen: Selection) -> AbstractContextManager[None]:
    """Tell how far it is, and write down the figures so far, once a second."""
    total = sum(one.rows for one in chosen.files)
    meter = Meter(work, chosen.results, total)

    def watch() -> bool:
        found = meter.note()
        work.context.progress.advance(work.group.name, min(total, found), total)
        return True

    return ticking("penstock-progress", WATCH_S, watch)
