"""Offline replication by several server processes on one folder, killed in the middle of it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from penstock.emulator.identity import key_pair
from tests.service.conftest import Aws, record
from tests.service.iceberg import INSTALLED, rows

FORMATS = ["Glue", "Iceberg"] if INSTALLED else ["Glue"]


def _offline(table_format: str) -> dict[str, Any]:
    storage = {"S3StorageConfig": {"S3Uri": "s3://bucket"}, "TableFormat": table_format}
    return {"OfflineStoreConfig": storage, "RoleArn": "arn:aws:iam::000000000000:role/features"}


@contextmanager
def _server(data: Path) -> Iterator[tuple[subprocess.Popen[str], Aws]]:
    command = [sys.executable, "-m", "penstock.emulator", "--data", str(data)]
    command += ["--replication-delay", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stdout is not None
            port = json.loads(popen.stdout.readline())["port"]
            pair = key_pair(data)
            yield popen, Aws(f"http://127.0.0.1:{port}", pair.access_key, pair.secret_key)
        finally:
            popen.kill()


def _write(aws: Aws, prefix: str, acknowledged: list[str], turns: int) -> None:
    """Batches over 25 hours of event time until the server is gone."""
    for turn in range(turns):
        names = [f"{prefix}-{turn}-{n}" for n in range(25)]
        entries = [
            {
                "FeatureGroupName": "g",
                "Record": record(id=name, t=f"2024-03-{1 + n % 5:02}T{n % 24:02}:00:00Z"),
            }
            for n, name in enumerate(names)
        ]
        try:
            assert aws.runtime.batch_write_record(Entries=entries)["Errors"] == []
        except (BotoCoreError, ClientError):
            return
        acknowledged.extend(names)


def _waiting(data: Path) -> int:
    with closing(sqlite3.connect(data / "emulator.sqlite")) as connection:
        found: int = connection.execute("SELECT count(*) FROM replication_row").fetchone()[0]
    return found


def _drained(data: Path) -> None:
    until = time.monotonic() + 60
    while _waiting(data):
        assert time.monotonic() < until
        time.sleep(0.1)


def _identifiers(aws: Aws, data: Path) -> Counter[str]:
    """Identifiers of all rows that a reader finds, and how often."""
    group = aws.control.describe_feature_group(FeatureGroupName="g")["OfflineStoreConfig"]
    if group["TableFormat"] == "Iceberg":
        named = group["DataCatalogConfig"]
        table = aws.glue.get_table(DatabaseName=named["Database"], Name=named["TableName"])
        found = rows(data, table["Table"]["Parameters"]["metadata_location"])
        return Counter(row["id"] for row in found)
    files = (data / "buckets").rglob("*.parquet")
    return Counter(
        one for file in files for one in pq.read_table(file, columns=["id"])["id"].to_pylist()
    )


@pytest.mark.rule("offline store: no row is lost or written twice")
@pytest.mark.parametrize("table_format", FORMATS)
def test_a_kill_loses_no_row_and_repeats_none(tmp_path: Path, table_format: str) -> None:
    """SIGKILL while files are written, twice: each acknowledged row is offline exactly once."""
    acknowledged: list[str] = []
    for round_ in range(2):
        with _server(tmp_path) as (popen, aws):
            if round_ == 0:
                aws.create(**_offline(table_format))
            with ThreadPoolExecutor(3) as pool:
                before = len(acknowledged)
                running = [
                    pool.submit(_write, aws, f"{round_}-{at}", acknowledged, 10_000)
                    for at in range(3)
                ]
                until = time.monotonic() + 30
                files = tmp_path / "buckets"
                known = len(list(files.rglob("*.parquet")))
                while len(acknowledged) < before + 1_000 or (
                    len(list(files.rglob("*.parquet"))) == known
                ):
                    assert time.monotonic() < until
                    time.sleep(0.02)
                popen.send_signal(signal.SIGKILL)
                for one in running:
                    one.result()
    assert _waiting(tmp_path) > 0, "the kill came too late to show anything"
    with _server(tmp_path) as (_, aws):
        _drained(tmp_path)
        found = _identifiers(aws, tmp_path)
    assert set(acknowledged) <= set(found)
    assert set(found.values()) == {1}
    assert len(found) - len(acknowledged) <= 2 * 3 * 25


@pytest.mark.parametrize("table_format", FORMATS)
def test_two_servers_share_the_work(tmp_path: Path, table_format: str) -> None:
    """Rows written through either are offline exactly once."""
    acknowledged: list[str] = []
    with _server(tmp_path) as (_, first), _server(tmp_path) as (_, second):
        first.create(**_offline(table_format))
        with ThreadPoolExecutor(4) as pool:
            for at in range(4):
                pool.submit(_write, (first, second)[at % 2], str(at), acknowledged, 30)
        _drained(tmp_path)
        found = _identifiers(first, tmp_path)
    assert len(acknowledged) == 4 * 30 * 25
    assert found == Counter(acknowledged)
