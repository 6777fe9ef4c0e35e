"""The Iceberg layout of the embedded AWS's offline store, and what it says without pyiceberg."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator import buckets
from penstock.emulator.identity import key_pair
from penstock.emulator.replication_iceberg import MISSING
from penstock.emulator.server import Emulator
from tests.service.conftest import Aws, definitions, record
from tests.service.iceberg import INSTALLED, rows

ROLE = "arn:aws:iam::000000000000:role/features"
OFFLINE: dict[str, Any] = {
    "OfflineStoreConfig": {
        "S3StorageConfig": {"S3Uri": "s3://bucket/prefix"},
        "TableFormat": "Iceberg",
    },
    "RoleArn": ROLE,
}
FILE = re.compile(
    r"[a-z0-9]{8}/EventTime_trunc=\d{4}-\d\d-\d\d/\d{8}T\d{6}Z_[A-Za-z0-9]{16}\.parquet"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folder of the embedded AWS."""
    return tmp_path / "aws"


@pytest.fixture
def aws(data: Path) -> Iterator[Aws]:
    """Clients of an embedded AWS that replicates at once."""
    with Emulator(data, replication_delay=0) as running:
        yield Aws(running.url, running.access_key, running.secret_key)


def _create(aws: Aws) -> None:
    aws.control.create_feature_group(
        FeatureGroupName="g",
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="EventTime",
        FeatureDefinitions=definitions(id="String", EventTime="String", n="Integral"),
        OnlineStoreConfig={"EnableOnlineStore": True},
        **OFFLINE,
    )


def _status(aws: Aws) -> dict[str, str]:
    status: dict[str, str] = aws.control.describe_feature_group(FeatureGroupName="g")[
        "OfflineStoreStatus"
    ]
    return status


def _await_status(aws: Aws, wanted: str) -> dict[str, str]:
    until = time.monotonic() + 20
    while (status := _status(aws))["Status"] != wanted and time.monotonic() < until:
        time.sleep(0.05)
    return status


def _glue_table(aws: Aws) -> dict[str, Any]:
    group = aws.control.describe_feature_group(FeatureGroupName="g")
    named = group["OfflineStoreConfig"]["DataCatalogConfig"]
    found: dict[str, Any] = aws.glue.get_table(
        DatabaseName=named["Database"], Name=named["TableName"]
    )["Table"]
    return found


def _metadata(aws: Aws, data: Path) -> dict[str, Any]:
    """The current metadata, once the service has made it."""
    until = time.monotonic() + 20
    while "metadata_location" not in (parameters := _glue_table(aws)["Parameters"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    path = buckets.folder(data, parameters["metadata_location"])
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _rows(aws: Aws, data: Path) -> list[dict[str, Any]]:
    """What a reader of the table sees, by event time."""
    found = rows(data, _glue_table(aws)["Parameters"]["metadata_location"])
    return sorted(found, key=lambda row: row["EventTime"])


def _await_rows(aws: Aws, data: Path, count: int) -> list[dict[str, Any]]:
    until = time.monotonic() + 20
    _metadata(aws, data)
    while len(found := _rows(aws, data)) < count and time.monotonic() < until:
        time.sleep(0.1)
    return found


@pytest.mark.rule("offline store: Iceberg by truncate(event_time, 10)")
def test_the_iceberg_layout(aws: Aws, data: Path) -> None:
    """Spec, columns, locations and names as documented; a scan finds each row once.

    Without pyiceberg the group is blocked and says what to install.
    """
    _create(aws)
    if not INSTALLED:
        assert _await_status(aws, "Blocked")["BlockedReason"] == MISSING
        return
    _check_table(_metadata(aws, data))
    moments = ["2024-03-01T05:06:07Z", "2024-03-01T06:00:00.5Z", "2024-03-02T00:00:00Z"]
    entries = [
        {"FeatureGroupName": "g", "Record": record(id=str(n), EventTime=moment, n=str(n))}
        for n, moment in enumerate(moments)
    ]
    aws.runtime.batch_write_record(Entries=entries)
    aws.runtime.delete_record(
        FeatureGroupName="g", RecordIdentifierValueAsString="0", EventTime="2024-03-03T00:00:00Z"
    )
    found = _await_rows(aws, data, 4)
    assert [(row["id"], row["n"], row["is_deleted"]) for row in found] == [
        ("0", 0, False), ("1", 1, False), ("2", 2, False), ("0", None, True),
    ]  # fmt: skip
    assert all(isinstance(row["write_time"], datetime) for row in found)
    base = buckets.folder(data, _glue_table(aws)["StorageDescriptor"]["Location"])
    names = [str(file.relative_to(base / "data")) for file in base.rglob("*.parquet")]
    assert len(names) == 3
    assert all(FILE.fullmatch(name) for name in names)
    assert {name.split("/")[1] for name in names} == {
        f"EventTime_trunc=2024-03-0{day}" for day in (1, 2, 3)
    }
    aws.control.update_feature_group(
        FeatureGroupName="g", FeatureAdditions=definitions(late="Fractional")
    )
    more = record(id="9", EventTime="2024-03-09T00:00:00Z", late="1.5")
    aws.runtime.put_record(FeatureGroupName="g", Record=more)
    found = _await_rows(aws, data, 5)
    assert [row["late"] for row in found] == [None] * 4 + [1.5]
    assert _status(aws) == {"Status": "Active"}


def _check_table(metadata: dict[str, Any]) -> None:
    schema = metadata["schemas"][0]
    assert [(one["name"], one["type"]) for one in schema["fields"]] == [
        ("id", "string"),
        ("EventTime", "string"),
        ("n", "long"),
        ("write_time", "timestamptz"),
        ("api_invocation_time", "timestamptz"),
        ("is_deleted", "boolean"),
    ]
    (field,) = metadata["partition-specs"][0]["fields"]
    assert field["name"] == "EventTime_trunc"
    assert field["transform"] == "truncate[10]"
    assert metadata["location"].startswith("s3://bucket/prefix/000000000000/sagemaker/")


def test_without_pyiceberg_it_says_what_to_install(tmp_path: Path, data: Path) -> None:
    """The server runs, takes the records, blocks the group and goes on for other groups."""
    absent = tmp_path / "absent" / "pyiceberg"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ImportError('as if it were not installed')\n")
    command = [sys.executable, "-m", "penstock.emulator", "--data", str(data)]
    command += ["--replication-delay", "0"]
    environment = os.environ | {"PYTHONPATH": str(absent.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as popen:
        assert popen.stdout is not None
        port = json.loads(popen.stdout.readline())["port"]
        pair = key_pair(data)
        aws = Aws(f"http://127.0.0.1:{port}", pair.access_key, pair.secret_key)
        _create(aws)
        assert _await_status(aws, "Blocked")["BlockedReason"] == MISSING
        written = record(id="1", EventTime="2024-03-01T00:00:00Z")
        aws.runtime.put_record(FeatureGroupName="g", Record=written)
        found = aws.runtime.get_record(FeatureGroupName="g", RecordIdentifierValueAsString="1")
        assert found["Record"] == written
        popen.terminate()
    assert popen.returncode == 0
