"""ONLINE as a Spark job: a task a staged file, progress read off the markers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

from penstock.online import FileOutcome, SendJob, send_file
from penstock.run.work import Work
from penstock.ticker import ticking

WATCH_S = 1.0


def send_files(work: Work, files: Mapping[str, int]) -> None:
    """Send the rows of staged files that no marker covers; what happened is in the markers.

    Args:
        work: The window.
        files: Rows by path.

    Raises:
        CredentialsError, DataGateError, MismatchError, TemporaryError: From the tasks, through
        Spark.
    """
    storage = work.context.storage
    context = work.context.spark.sparkContext
    slots = max(1, min(len(files), context.defaultParallelism))
    job = _job(work, slots)

    def send(paths: Iterable[str]) -> Iterator[FileOutcome]:
        for path in paths:
            yield send_file(job, path, storage)

    with _watched(work, job.results, files):
        context.parallelize(sorted(files), len(files)).mapPartitions(send).count()


def _job(work: Work, slots: int) -> SendJob:
    """The ceiling is shared out evenly: files hold equal shares of the identifiers."""
    group, online = work.group, work.context.settings.online
    ceiling = online.max_write_units_per_s
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
        results=work.places.results(work.generation),
    )


def _watched(work: Work, results: str, files: Mapping[str, int]) -> AbstractContextManager[None]:
    """Tell how far it is, from the number of markers."""
    total, rows = sum(files.values()), work.manifest.chunk_rows

    def watch() -> bool:
        names = work.context.storage.list(results)
        marked = sum(1 for name in names if name.endswith(".json"))
        work.context.progress.advance(work.group.name, min(total, marked * rows), total)
        return True

    return ticking("penstock-progress", WATCH_S, watch)
