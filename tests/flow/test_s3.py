"""Sources, lake and state on S3, which moto plays: what comes out is what a folder gets.

The Feature Store is the embedded one. Not verified on AWS.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.flow import project
from tests.flow.points import kill, named
from tests.flow.project import GROUP, Answer, Small
from tests.service.moto import served

pytestmark = [pytest.mark.prove, pytest.mark.shows("6.6")]

KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@dataclass(frozen=True)
class Distant:
    """A small project whose data are on S3.

    Args:
        small: The project.
        url: Where S3 is.
        bucket: Of this project alone.
    """

    small: Small
    url: str
    bucket: str

    @property
    def client(self) -> Any:
        """Of S3."""
        return boto3.client("s3", "us-east-1", endpoint_url=self.url)

    @property
    def settings(self) -> list[str]:
        """Words that say so."""
        places = {
            "lake": f"s3://{self.bucket}/lake",
            "state": f"s3://{self.bucket}/state",
            "sources.readings.path": f"s3://{self.bucket}/data",
            "aws.s3_endpoint_url": self.url,
        }
        return [word for key, one in places.items() for word in ("--set", f"{key}={one}")]

    def run(self, name: str, *arguments: str) -> Answer:
        """A command, to its end."""
        return self.small.run(name, *arguments, *self.settings, timeout=400)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a Delta table of the lake."""
        from deltalake import DeltaTable

        keys = {"AWS_ENDPOINT_URL": self.url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        path = f"s3://{self.bucket}/lake/{table}"
        rows: list[dict[str, Any]]
        rows = DeltaTable(path, storage_options={**KEYS, **keys}).to_pyarrow_table().to_pylist()
        return rows

    def keys(self, folder: str) -> list[str]:
        """Of all objects below a folder."""
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket, Prefix=f"{folder}/")
        return [one["Key"] for page in found for one in page.get("Contents", [])]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """S3, in a process of its own."""
    with served() as found:
        yield found


@pytest.fixture
def distant(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distant:
    """A project that is provisioned, its data in a bucket of its own and nowhere else."""
    for name, one in KEYS.items():
        monkeypatch.setenv(name, one)
    small = project.make(tmp_path / "distant", sensors=300)
    found = Distant(small, url, tmp_path.name.replace("_", "-"))
    found.client.create_bucket(Bucket=found.bucket)
    for file in sorted((small.root / "data").iterdir()):
        found.client.put_object(
            Bucket=found.bucket, Key=f"data/{file.name}", Body=file.read_bytes()
        )
        file.unlink()
    assert found.run("provision").code == 0
    return found


def features(rows: list[dict[str, Any]]) -> list[str]:
    """What was ingested, sorted; when is another matter."""
    names = ("sensor", "at", "level", "share", "is_deleted")
    return sorted(json.dumps([row[name] for name in names]) for row in rows)


def test_a_run_on_s3_is_that_of_a_folder(distant: Distant, tmp_path: Path) -> None:
    """Rows, records, entries and answers of all that reads; a second run sends nothing."""
    near = project.make(tmp_path / "near", sensors=300)
    assert near.run("provision").code == 0
    assert near.run("ingest").code == 0
    first = distant.run("ingest", "--json")
    assert first.code == 0, first.err
    assert features(distant.rows(f"offline/{GROUP}")) == features(
        [
            dict(zip(("sensor", "at", "level", "share", "is_deleted"), _values(row), strict=True))
            for row in near.offline()
        ]
    )
    assert distant.small.online() == near.online()
    entries = {
        (row["file"].rsplit("/", 1)[-1], row["position"]) for row in distant.rows("quarantine")
    }
    assert entries == {one[:2] for one in near.quarantine()}
    assert all(
        row["file"].startswith(f"s3://{distant.bucket}/data/") for row in distant.rows("quarantine")
    )
    again = distant.run("ingest", "--json")
    assert (again.code, again.json[0]["state"]) == (0, "unchanged")
    assert distant.keys("state/metrics")
    for words in (
        ("status", GROUP),
        ("query", "live", GROUP),
        ("get", GROUP, "s00001"),
        ("quarantine", "list"),
        ("ledger", "verify"),
        ("doctor",),
    ):
        answer = distant.run(*words)
        assert answer.code == 0, (words, answer.out, answer.err)
    assert "s00001" in distant.run("get", GROUP, "s00001").out
    assert not list(distant.small.root.glob("**/*.parquet"))


def _values(row: tuple[Any, ...]) -> list[Any]:
    return [None if not there else value for there, value in row[:-1]]


def test_a_changed_object_is_seen(distant: Distant) -> None:
    """Its ETag is what it is pinned by: a new version makes a new generation."""
    assert distant.run("ingest").code == 0
    before = len(distant.rows(f"offline/{GROUP}"))
    key = {"Bucket": distant.bucket, "Key": "data/part-0.csv"}
    whole = distant.client.get_object(**key)["Body"].read()
    distant.client.put_object(**key, Body=whole + b"s99999,2024-03-01T00:00:00Z,1,0.5\n")
    assert distant.run("ingest").code == 0
    assert len(distant.rows(f"offline/{GROUP}")) == before + 1


@pytest.mark.parametrize("name", ["cp05", "cp07", "cp11"])
def test_a_killed_run_is_finished_on_s3(distant: Distant, tmp_path: Path, name: str) -> None:
    """With what it had staged: nothing is lost and nothing is there twice."""
    point, hit = named(name), tmp_path / "hit"
    stopping = replace(distant.small, path=(point.copy(tmp_path / "copy", hit),))
    process = stopping.start("ingest", *distant.settings)
    assert kill(process, point, hit, tmp_path / "nothing", 300) is not None
    ended = distant.run("ingest", "--takeover", "--json")
    assert ended.code == 0, ended.err
    rows = distant.rows(f"offline/{GROUP}")
    assert len(rows) == ended.json[0]["offline"] > 500
    assert len(rows) == len(set(features(rows)))
    assert len({row["write_time"] for row in rows}) == 1


PLAN = """
import sys
from pathlib import Path

import pyarrow as pa

from penstock.bucket import hadoop, storage_of
from penstock.config import load
from penstock.session import spark_session
from penstock.streaming.plan import Plan

bucket, url, conf = sys.argv[1], sys.argv[2], Path(sys.argv[3])
told = {"lake": f"s3://{bucket}/lake", "aws.s3_endpoint_url": url}
settings = load(conf, "local", told)
spark = spark_session(settings.spark, "plan", hadoop(settings))
spark.conf.set("spark.sql.adaptive.enabled", "false")
path = f"s3://{bucket}/state/rows.parquet"
storage = storage_of(path, settings)
plan = Plan(lambda: spark.read.parquet(path).selectExpr("n * 2 as n"), path, storage)
for count in (3, 5, 2):
    print("ROWS", *plan.run(pa.table({"n": range(count)})).column("n").to_pylist())
print("ROWS", plan._planned is not None)
"""


def test_a_plan_runs_again_over_an_object(distant: Distant, tmp_path: Path) -> None:
    """What a stream's batch is read from is written anew each time, under the same name."""
    script = tmp_path / "plan.py"
    script.write_text(PLAN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, distant.bucket, distant.url, distant.small.root / "conf"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [one[5:] for one in done.stdout.splitlines() if one.startswith("ROWS")]
    assert found == ["0 2 4", "0 2 4 6 8", "0 2", "True"], done.stderr[-3_000:]
