"""Sending one staged file: read, encode, send, mark.

Runs in a Spark Python worker or on the driver. It may be run any number of times and by several
workers at once on the same file: a repeated record changes nothing in the online store, which keeps
the newest event time, and chunks that are marked are not sent again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.online.ahead import Ahead
from penstock.online.body import frame_of
from penstock.online.job import FileOutcome
from penstock.online.line import line_of
from penstock.online.marker import Markers, marked
from penstock.online.parcel import chunks_of
from penstock.online.sender import Sender, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.online.job import SendJob
    from penstock.online.line import Line
    from penstock.storage import Storage


def send_file(
    job: SendJob,
    path: str,
    storage: Storage,
    *,
    line: Line | None = None,
    timing: Timing | None = None,
) -> FileOutcome:
    """Send the rows of one Parquet file that no marker covers yet.

    Memory: the formula of :mod:`penstock.online.memory`, whatever the number of rows.

    Args:
        job: What is sent where.
        path: A Parquet file with the feature columns, one row per identifier.
        storage: Where the file and the results lie.
        line: What this process knows of the endpoint; by default its own, kept between files.
        timing: Clock and randomness.

    Returns:
        What this attempt did. What a run did is the fold of the markers.

    Raises:
        TemporaryError: Records are not being accepted; chunks marked so far stay marked.
        CredentialsError: Not allowed, or credentials are refused.
        DataGateError: The service rejects everything.
        MismatchError: The endpoint is not SageMaker, or the file is not as staged.
    """
    began = time.monotonic()
    line = line or line_of(job)
    done = marked(path, storage.list(job.results))
    markers = Markers(job, path, storage)
    try:
        with storage.open_input(path) as source:
            parquet = pq.ParquetFile(source)
            rows: int = parquet.metadata.num_rows
            if len(done) < -(-rows // job.chunk_rows):
                batches = _batches(parquet, job.chunk_rows)
                chunks = chunks_of(batches, job, frame_of(job.group, job.target_stores), done)
                with Ahead(chunks) as ahead:
                    work = Sender(job, line, ahead, rows, markers, timing or Timing())
                    line.transport.run(work)
    finally:
        markers.close()
    seconds = time.monotonic() - began
    return FileOutcome(path, rows, markers.chunks, len(done), markers.figures, line.api, seconds)


def _batches(parquet: pq.ParquetFile, rows: int) -> Iterator[pa.RecordBatch]:
    """A row group after the other: one reader of all holds something of each (measured).

    Threads of Arrow's own would each keep freed memory (measured: 17 MiB).
    """
    for group in range(parquet.metadata.num_row_groups):
        yield from parquet.iter_batches(batch_size=rows, row_groups=[group], use_threads=False)
