"""Send files, jobs and lines for tests of the online write path."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.credentials import Credentials

from penstock.aws import Endpoint
from penstock.contract import FeatureType
from penstock.online import SendJob
from penstock.online.fast import FastTransport
from penstock.online.keys import Keys
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.plain import PlainTransport

TIME = "2024-05-01T00:00:00Z"
JOB = SendJob(
    endpoint=Endpoint("us-east-1", "http://127.0.0.1:9", None),
    group="birds",
    features=("id", "at", "kind", "length", "legs"),
    types=(
        FeatureType.STRING,
        FeatureType.STRING,
        FeatureType.STRING,
        FeatureType.FRACTIONAL,
        FeatureType.INTEGRAL,
    ),
    record_identifier="id",
    event_time="at",
    api="auto",
    in_flight=8,
    chunk_rows=100,
    max_write_units_per_s=None,
    results="results",
)


def table(rows: int, **columns: list[Any]) -> pa.Table:
    """Birds ``k0``, ``k1``, …, all alike: records differ in their identifiers alone."""
    plain: dict[str, list[Any]] = {
        "id": [f"k{n}" for n in range(rows)],
        "at": [TIME] * rows,
        "kind": ["wren"] * rows,
        "length": [10.5] * rows,
        "legs": [2] * rows,
    }
    kinds = [pa.string(), pa.string(), pa.string(), pa.float64(), pa.int64()]
    return pa.table(
        {
            name: pa.array(columns.get(name, values), kind)
            for (name, values), kind in zip(plain.items(), kinds, strict=True)
        }
    )


def staged(folder: Path, data: pa.Table) -> str:
    """A send file."""
    path = str(folder / "part-00000.parquet")
    pq.write_table(data, path, row_group_size=70)
    return path


def job_of(url: str, folder: Path, **changes: Any) -> SendJob:
    """The birds' job against a server, with results in ``folder``."""
    job = replace(JOB, endpoint=Endpoint("us-east-1", url, None), results=str(folder / "results"))
    return replace(job, **changes)


def line_for(job: SendJob, keys: Keys | None = None, ca_bundle: str | None = None) -> Line:
    """A line of its own, at full speed: what is tested is not the start."""
    assert job.endpoint.url is not None
    keys = keys or Keys(lambda: Credentials("AKIDEXAMPLE", "secret"))
    region = job.endpoint.region
    kind = FastTransport if job.transport == "fast" else PlainTransport
    transport = kind(job.endpoint.url, region, keys, job.most_slots, ca_bundle)
    pacer = Pacer(time.monotonic(), job.max_write_units_per_s, start=1e6)
    return Line(transport, pacer, job.api)
