"""Peak memory of a worker keeps to its formula, and does not depend on the number of rows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from penstock.online import SendJob
from penstock.online.body import encode, frame_of
from penstock.online.memory import peak_bytes
from tests.sending import job_of, table

ANSWER = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 1\r\nContent-Length: 2\r\n\r\n{}"
TOLERANCE = 4 << 20  # runs of one size differ by less than 1 MiB (measured)
PIECE = 20_000  # rows of a row group; a file of many, as two of one file are held at a time

#: Sends a file and says what the process held before, at its peak, and how many were accepted.
WORKER = """
import pickle, sys
import boto3, pandas  # the base has both: the first client loads one, Arrow the other
from penstock.online import send_file
from penstock.storage import LocalStorage
from tests.sending import line_for

def held(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))

job, path = pickle.loads(sys.stdin.buffer.read())
line, base = line_for(job), held("VmRSS")
accepted = send_file(job, path, LocalStorage(), line=line).figures.accepted
print([base, held("VmHWM"), accepted])
"""


class Stub(asyncio.Protocol):
    """Accepts whatever comes."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport, self._held = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        held = self._held + data if self._held else data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            place = held.index(b"Content-Length: ", 0, end + 2) + 16
            whole = end + 4 + int(held[place : held.index(b"\r\n", place)])
            if len(held) < whole:
                break
            held = held[whole:]
            self._transport.write(ANSWER)
        self._held = held


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    """A server that answers at once, for workers in processes of their own."""
    loop = asyncio.new_event_loop()
    started = loop.create_server(Stub, "127.0.0.1", 0, backlog=256)
    server = loop.run_until_complete(started)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.close()


def file_of(folder: Path, rows: int) -> str:
    """A send file of so many birds in one partition."""
    path = str(folder / f"part-{rows}.parquet")
    with pq.ParquetWriter(path, table(0).schema) as writer:
        for start in range(0, rows, PIECE):
            count = min(PIECE, rows - start)
            writer.write_table(table(count, id=[f"k{start + n:09d}" for n in range(count)]))
    return path


def measured(job: SendJob, path: str, rows: int) -> tuple[int, int]:
    """What a worker held before and at its peak, in bytes; all rows were accepted."""
    import pickle

    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=pickle.dumps((job, path)),
        stdout=subprocess.PIPE,
        check=True,
        timeout=1200,
    )
    base, peak, accepted = json.loads(done.stdout)
    assert accepted == rows
    return base, peak


def bound(job: SendJob, path: str) -> int:
    """What the formula allows on top of the base."""
    some = table(1000).to_batches()[0]
    bodies = encode(job, frame_of(job.group, job.target_stores), some)
    meta = pq.read_metadata(path)
    largest = max(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
    json_row = sum(map(len, bodies.records)) / 1000
    return peak_bytes(job, some.nbytes / 1000, json_row, largest)


@pytest.mark.shows("4.2")
@pytest.mark.parametrize("chunk_rows", [1000, 10_000])
def test_peak_memory_keeps_to_its_formula(stub: str, tmp_path: Path, chunk_rows: int) -> None:
    """10^5 rows, small chunks and large ones: the peak is below what the settings say."""
    path = file_of(tmp_path, 100_000)
    job = job_of(stub, tmp_path, in_flight=None, chunk_rows=chunk_rows)
    base, peak = measured(job, path, 100_000)
    assert peak <= base + bound(job, path)


@pytest.mark.shows("4.2")
def test_peak_memory_is_flat(stub: str, tmp_path: Path) -> None:
    """Four times the rows, the same peak, but for what allocators keep.

    The fewer are as many as it takes to have every slot in use.
    """
    peaks = []
    for rows in (100_000, 400_000):
        job = job_of(stub, tmp_path, in_flight=None, chunk_rows=500)
        job = replace(job, results=str(tmp_path / f"results-{rows}"))
        peaks.append(measured(job, file_of(tmp_path, rows), rows)[1])
    assert peaks[1] <= peaks[0] + TOLERANCE


@pytest.mark.prove
@pytest.mark.shows("4.2")
@pytest.mark.parametrize("transport", ["fast", "plain"])
def test_peak_memory_is_flat_up_to_five_million_rows(
    stub: str, tmp_path: Path, transport: Any
) -> None:
    """10^5 and 5 x 10^6 rows in one partition: the same peak, and both below the formula."""
    peaks = []
    for rows in (100_000, 5_000_000):
        path = file_of(tmp_path, rows)
        job = job_of(stub, tmp_path, in_flight=None, chunk_rows=1000, transport=transport)
        job = replace(job, results=str(tmp_path / f"results-{rows}"))
        base, peak = measured(job, path, rows)
        assert peak <= base + bound(job, path)
        peaks.append(peak)
    assert peaks[1] <= peaks[0] + TOLERANCE
