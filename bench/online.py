"""CPU seconds per 1,000 records of the online write path, side by side with boto3 in one run.

    python bench/online.py [--records 20000] [--rounds 3]

The server is a stub in a process of its own that answers at once and checks nothing: what is
measured is this process (all threads; file read, encoded, signed, sent, answered, marked). Arms
take turns, and medians over rounds are printed. Twenty features a record. Latency, TLS and the
service's own limits are not in it; nothing here was measured on AWS.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.credentials import Credentials

from penstock.aws import Endpoint
from penstock.contract import FeatureType
from penstock.online import SendJob, send_file
from penstock.online.keys import Keys
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.plain import PlainTransport
from penstock.storage import LocalStorage

KEY, SECRET = "AKIDEXAMPLE", "secret"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 0\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


class Stub(asyncio.Protocol):
    """Answers each request once its body is in."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport, self._held = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self._held) < end + 4 + length:
                return
            self._held = self._held[end + 4 + length :]
            self._transport.write(ANSWER)


def serve(port: Any) -> None:
    """Serve until killed."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def staged(folder: Path, records: int) -> tuple[str, tuple[str, ...], tuple[FeatureType, ...]]:
    """A send file of 20 features: identifier, time, two texts, six integers, ten doubles."""
    columns: dict[str, Any] = {
        "id": [f"id-{n:08d}" for n in range(records)],
        "at": ["2024-05-01T00:00:00Z"] * records,
    }
    columns |= {f"text_{k}": [f"value {n % 97}" for n in range(records)] for k in range(2)}
    columns |= {f"whole_{k}": [n * k for n in range(records)] for k in range(6)}
    columns |= {f"real_{k}": [n / (k + 3) for n in range(records)] for k in range(10)}
    kinds = {"w": FeatureType.INTEGRAL, "r": FeatureType.FRACTIONAL}
    path = str(folder / "part-00000.parquet")
    pq.write_table(pa.table(columns), path)
    return path, tuple(columns), tuple(kinds.get(n[0], FeatureType.STRING) for n in columns)


def ours(url: str, path: str, shape: Any, results: Path, api: Any) -> None:
    """One file through send_file; pacing at full speed."""
    names, types = shape
    job = SendJob(
        Endpoint("us-east-1", url),
        "bench",
        names,
        types,
        "id",
        "at",
        api,
        32,
        1000,
        None,
        str(results / str(time.monotonic_ns())),
    )
    keys = Keys(lambda: Credentials(KEY, SECRET))
    transport = PlainTransport(url, "us-east-1", keys, job.in_flight)
    line = Line(transport, Pacer(time.monotonic(), start=1e9), api)
    outcome = send_file(job, path, LocalStorage(), line=line)
    transport.close()
    assert outcome.figures.accepted == outcome.rows


def boto(url: str, path: str, records: int, *, batch: bool) -> None:
    """The same file by a plain boto3 loop, one request at a time."""
    client: Any = boto3.client(
        "sagemaker-featurestore-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    rows = [
        [{"FeatureName": name, "ValueAsString": str(value)} for name, value in row.items()]
        for row in pq.read_table(path).slice(0, records).to_pylist()
    ]
    if not batch:
        for row in rows:
            client.put_record(FeatureGroupName="bench", Record=row, TargetStores=["OnlineStore"])
        return
    for start in range(0, len(rows), 25):
        entries = [
            {"FeatureGroupName": "bench", "Record": row, "TargetStores": ["OnlineStore"]}
            for row in rows[start : start + 25]
        ]
        client.batch_write_record(Entries=entries)


def measured(arm: Callable[[], None], records: int) -> tuple[float, float]:
    """CPU and wall seconds per 1,000 records."""
    cpu, wall = time.process_time(), time.perf_counter()
    arm()
    each = 1000 / records
    return (time.process_time() - cpu) * each, (time.perf_counter() - wall) * each


def main() -> None:
    """Run all arms in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    records, few = options.records, max(1000, options.records // 10)
    receive, port = multiprocessing.Pipe(duplex=False)
    stub = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    stub.start()
    url = f"http://127.0.0.1:{receive.recv()}"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path, *shape = staged(home, records)
        small, *_ = staged(Path(tempfile.mkdtemp(dir=folder)), few)
        arms: dict[str, tuple[Callable[[], None], int]] = {
            "penstock batch": (partial(ours, url, path, shape, home, "batch"), records),
            "penstock put": (partial(ours, url, small, shape, home, "put"), few),
            "boto3 batch": (partial(boto, url, path, few, batch=True), few),
            "boto3 put": (partial(boto, url, path, few, batch=False), few),
        }
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
        for _ in range(options.rounds):
            for name, (arm, count) in arms.items():
                figures[name].append(measured(arm, count))
    stub.terminate()
    stub.join()
    for name, rounds in figures.items():
        cpu, wall = (statistics.median(one) for one in zip(*rounds, strict=True))
        line = {"arm": name, "cpu_s_per_1000": round(cpu, 4), "records_per_s": round(1000 / wall)}
        print(json.dumps(line))


if __name__ == "__main__":
    main()
