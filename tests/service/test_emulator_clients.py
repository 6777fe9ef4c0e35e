"""AWS's own clients on the embedded AWS, through ``eval "$(penstock local env)"``, unchanged."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import botocore
import pytest

from tests.service.clients import MissingError, python

ROOT = Path(__file__).resolve().parents[2]
PENSTOCK = Path(sys.executable).parent / "penstock"
ARN = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/g"

BOTO3 = """
import time
import boto3

control, runtime = boto3.client("sagemaker"), boto3.client("sagemaker-featurestore-runtime")
types = {"id": "String", "t": "String", "n": "Integral"}
arn = control.create_feature_group(
    FeatureGroupName="g", RecordIdentifierFeatureName="id", EventTimeFeatureName="t",
    FeatureDefinitions=[{"FeatureName": k, "FeatureType": v} for k, v in types.items()],
    OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "Standard_V2"},
    OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://bucket/prefix"}},
    RoleArn="arn:aws:iam::000000000000:role/features",
)["FeatureGroupArn"]

def settled():
    while True:
        found = control.describe_feature_group(FeatureGroupName=arn)
        update = found.get("LastUpdateStatus", {}).get("Status")
        if found["FeatureGroupStatus"] == "Created" and update != "InProgress":
            return found
        assert found["FeatureGroupStatus"] == "Creating" or update == "InProgress"
        time.sleep(0.1)

def record(**values):
    return [{"FeatureName": k, "ValueAsString": v} for k, v in values.items()]

def got(name, group):
    answer = runtime.get_record(FeatureGroupName=group, RecordIdentifierValueAsString=name)
    return {one["FeatureName"]: one["ValueAsString"] for one in answer.get("Record", [])}

settled()
control.update_feature_group(
    FeatureGroupName="g", FeatureAdditions=[{"FeatureName": "x", "FeatureType": "Fractional"}])
assert len(settled()["FeatureDefinitions"]) == 4
for group in ("g", arn):
    day = "2024-03-01T00:00:00Z"
    runtime.put_record(FeatureGroupName=group, Record=record(id="1", t=day, n="1", x="0.5"))
    records = [record(id=str(n), t=day) for n in range(2, 27)]
    entries = [{"FeatureGroupName": group, "Record": one} for one in records]
    answer = runtime.batch_write_record(Entries=entries)
    assert answer["Errors"] == [] and answer["UnprocessedEntries"] == []
    runtime.update_record(
        FeatureGroupName=group, RecordIdentifierValueAsString="1", Features=record(n="7"))
    assert got("1", group) == {"id": "1", "t": day, "n": "7", "x": "0.5"}
    pages = runtime.get_paginator("list_records").paginate(
        FeatureGroupName=group, PaginationConfig={"PageSize": 10})
    assert len([one for page in pages for one in page["RecordIdentifiers"]]) == 26
    wanted = [{"FeatureGroupName": group, "RecordIdentifiersValueAsString": ["1", "2", "x"]}]
    assert len(runtime.batch_get_record(Identifiers=wanted)["Records"]) == 2
    runtime.delete_record(FeatureGroupName=group, RecordIdentifierValueAsString="1",
                          EventTime="2024-03-02T00:00:00Z", DeletionMode="HardDelete")
    assert got("1", group) == {}
control.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
assert control.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
found = control.list_feature_groups(NameContains="g")["FeatureGroupSummaries"]
assert [one["FeatureGroupName"] for one in found] == ["g"]
control.delete_feature_group(FeatureGroupName="g")
while control.list_feature_groups()["FeatureGroupSummaries"]:
    time.sleep(0.1)
"""

CLI = """
store="aws sagemaker-featurestore-runtime"
offline='S3StorageConfig={S3Uri=s3://bucket/prefix}'
aws sagemaker create-feature-group --feature-group-name g --record-identifier-feature-name id \
  --event-time-feature-name t --feature-definitions FeatureName=id,FeatureType=String \
  FeatureName=t,FeatureType=String FeatureName=n,FeatureType=Integral \
  --online-store-config EnableOnlineStore=true,StorageType=Standard_V2 \
  --offline-store-config "$offline" --role-arn arn:aws:iam::000000000000:role/features >/dev/null
status() {
  aws sagemaker describe-feature-group --feature-group-name "$ARN" --output text --query "$1"
}
until [ "$(status FeatureGroupStatus)" = Created ]; do sleep 0.2; done
aws sagemaker update-feature-group --feature-group-name g \
  --feature-additions FeatureName=x,FeatureType=Fractional >/dev/null
until [ "$(status LastUpdateStatus.Status)" = Successful ]; do sleep 0.2; done
day=2024-03-01T00:00:00Z
for group in g "$ARN"; do
  $store put-record --feature-group-name $group --record FeatureName=id,ValueAsString=1 \
    FeatureName=t,ValueAsString=$day FeatureName=n,ValueAsString=5
  entry='[{"FeatureGroupName": "'$group'", "Record": [{"FeatureName": "id", "ValueAsString": "2"},
    {"FeatureName": "t", "ValueAsString": "'$day'"}]}]'
  $store batch-write-record --entries "$entry" --output text --query 'length(Errors)' | grep -qx 0
  $store update-record --feature-group-name $group --record-identifier-value-as-string 1 \
    --features FeatureName=n,ValueAsString=7
  $store get-record --feature-group-name $group --record-identifier-value-as-string 1 \
    --output text --query "Record[?FeatureName=='n'].ValueAsString" | grep -qx 7
  $store list-records --feature-group-name $group --output text --query RecordIdentifiers \
    | grep -qx '1.2'
  $store batch-get-record --identifiers \
    FeatureGroupName=$group,RecordIdentifiersValueAsString=1,2,3 \
    --output text --query 'length(Records)' | grep -qx 2
  $store delete-record --feature-group-name $group --record-identifier-value-as-string 1 \
    --event-time 2024-03-02T00:00:00Z --deletion-mode HardDelete
  $store get-record --feature-group-name $group --record-identifier-value-as-string 1 \
    --output text --query Record | grep -qx None
done
aws sagemaker list-feature-groups --output text \
  --query 'FeatureGroupSummaries[].FeatureGroupName' | grep -qx g
aws sagemaker delete-feature-group --feature-group-name g
until [ -z "$(aws sagemaker list-feature-groups --output text --query \
  'FeatureGroupSummaries[].FeatureGroupName')" ]; do sleep 0.2; done
"""

SDK = """
import os
import pandas
from sagemaker.mlops.feature_store import ingest_dataframe

for group in ("g", os.environ["ARN"]):
    for batch in (False, True):
        names = [f"{group[:3]}-{batch}-{n}" for n in range(60)]
        frame = pandas.DataFrame({"id": names, "t": "2024-03-01T00:00:00Z", "n": range(60)})
        done = ingest_dataframe(group, frame, max_workers=2, use_batch_write_record=batch)
        assert done.failed_rows == []
"""

CONNECTOR = """
import os
import feature_store_pyspark
from feature_store_pyspark.FeatureStoreManager import FeatureStoreManager
from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.jars", ",".join(feature_store_pyspark.classpath_jars()))
spark = builder.config("spark.sql.shuffle.partitions", "1").getOrCreate()
manager, arn = FeatureStoreManager(), os.environ["ARN"]
for batch in (False, True):
    rows = [(f"{batch}-{n}", "2024-03-01T00:00:00Z", n) for n in range(40)]
    frame = spark.createDataFrame(rows, "id string, t string, n bigint")
    for stores in (["OnlineStore"], None):
        manager.ingest_data(
            frame, arn, target_stores=stores, use_batch_write_record=batch)
        assert manager.get_failed_stream_ingestion_data_frame().count() == 0
assert len(manager.list_records(arn, 100)["RecordIdentifiers"]) == 80
manager.update_record(arn, "True-1", {"n": "99"})
spark.stop()
"""


@dataclass(frozen=True)
class Local:
    """A running ``penstock local`` and what ``penstock local env`` makes of an environment."""

    environment: Mapping[str, str]

    def run(self, *command: str, **more: str) -> str:
        """Standard output of a command that must succeed."""
        done = subprocess.run(
            command,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        return done.stdout

    def create(self) -> None:
        """The group g, by boto3."""
        self.run(sys.executable, "-c", BOTO3.partition("control.update_feature_group")[0])

    def identifiers(self) -> list[str]:
        """What is in the online store of g."""
        program = (
            "import boto3, json; runtime = boto3.client('sagemaker-featurestore-runtime');"
            "pages = runtime.get_paginator('list_records').paginate(FeatureGroupName='g');"
            "print(json.dumps([o for p in pages for o in p['RecordIdentifiers']]))"
        )
        found: list[str] = json.loads(self.run(sys.executable, "-c", program))
        return found


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """``penstock local`` on a free port; groups take a moment to be created."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = ["local", "--port", port, "--data", str(tmp_path / "aws")]
    with subprocess.Popen(
        [str(PENSTOCK), *place, "--create-delay", "0.5"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            said = [server.stdout.readline() for _ in range(3)]
            assert "answers at" in said[0]
            assert "test double, not a store" in said[1]
            yield Local(_environment([str(PENSTOCK), *place, "env"], {}))
        finally:
            server.terminate()
            assert server.wait(timeout=30) == 0


def _environment(command: list[str], more: Mapping[str, str]) -> dict[str, str]:
    """What a shell has after the ``eval``; what was stronger there before is gone."""
    before = os.environ | {
        "AWS_ENDPOINT_URL_SAGEMAKER": "http://127.0.0.1:9",
        "AWS_PROFILE": "nobody",
        "AWS_SESSION_TOKEN": "old",
        "ARN": ARN,
        **more,
    }
    shell = 'set -eu; eval "$("$@")"; exec env -0'
    done = subprocess.run(
        ["bash", "-c", shell, "bash", *command],
        env=before,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(one.split("=", 1) for one in done.stdout.split("\0") if one)


@pytest.fixture(scope="module")
def clients() -> Path:
    """The folder of ``aws`` and of the Python that has the SageMaker SDK."""
    try:
        return python().parent
    except MissingError as problem:
        pytest.fail(str(problem), pytrace=False)


@pytest.mark.shows("4.5")
def test_boto3(local: Local) -> None:
    """All seven operations and the life of a group, by name and by ARN."""
    local.run(sys.executable, "-c", BOTO3)


def test_the_environment_goes_past_a_proxy(tmp_path: Path) -> None:
    """Where a proxy is set, the embedded AWS is excepted from it, beside what was excepted."""
    command = [str(PENSTOCK), "local", "env", "--data", str(tmp_path / "my aws")]
    proxied = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "internal"}
    found = _environment(command, proxied)
    assert found["NO_PROXY"] == found["no_proxy"] == "127.0.0.1,internal"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8719"
    assert not found.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_SAGEMAKER"}


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    """Exit code 2 and what to do, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [str(PENSTOCK), "local", "--port", port, "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.prove
@pytest.mark.shows("4.5")
def test_the_aws_cli(local: Local, clients: Path, tmp_path: Path) -> None:
    """All seven operations and the life of a group, by name and by ARN.

    The CLI of PyPI has no UpdateRecord yet: it gets the service's newer model in AWS_DATA_PATH.
    """
    name = "sagemaker-featurestore-runtime/2020-07-01"
    model = Path(botocore.__file__).parent / "data" / name / "service-2.json.gz"
    copy = tmp_path / "models" / name
    copy.mkdir(parents=True)
    (copy / "service-2.json").write_bytes(gzip.decompress(model.read_bytes()))
    local.run(
        *("bash", "-euo", "pipefail", "-c", CLI),
        PATH=f"{clients}:{os.environ['PATH']}",
        AWS_DATA_PATH=str(tmp_path / "models"),
        AWS_PAGER="",
    )


@pytest.mark.prove
@pytest.mark.shows("4.5")
def test_the_sagemaker_sdk(local: Local, clients: Path, tmp_path: Path) -> None:
    """``ingest_dataframe`` puts and batches, by name and by ARN; nothing is missing."""
    local.create()
    quiet = tmp_path / "sdk.yaml"  # the SDK's own switch: a test calls nobody
    quiet.write_text(
        "SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n"
    )
    local.run(str(clients / "python"), "-c", SDK, SAGEMAKER_USER_CONFIG_OVERRIDE=str(quiet))
    wanted = [
        f"{group}-{batch}-{n}" for group in ("g", "arn") for batch in (False, True)
        for n in range(60)
    ]  # fmt: skip
    assert sorted(local.identifiers()) == sorted(wanted)


@pytest.mark.prove
@pytest.mark.shows("4.5")
def test_the_spark_connector(local: Local) -> None:
    """AWS's connector 2.2.2 on Spark 3.5 puts and batches by ARN, lists and updates."""
    command = [sys.executable, str(ROOT / "bench" / "peers.py"), "--need", "java"]
    peers = subprocess.run(command, capture_output=True, text=True, check=False)
    if peers.returncode:
        pytest.fail(peers.stderr.strip(), pytrace=False)
    local.create()
    local.run(peers.stdout.strip(), "-c", CONNECTOR)
    wanted = [f"{batch}-{n}" for batch in (False, True) for n in range(40)]
    assert sorted(local.identifiers()) == sorted(wanted)
