"""Deployments on moto: what is planned is what is sent, once; runs are started, read and ended."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
import yaml

from penstock import aws
from penstock.aws import Endpoint
from penstock.cli.program import run
from penstock.conf_schedule import Scheduler
from penstock.deploy.runtime import TARGETS, Target
from tests.models import lowered, mistakes
from tests.service.moto import served

ROOT = Path(__file__).parents[2]
REGION = "eu-west-1"
STEM = "penstock-flights-aws"
BASE = """project: flights
lake: s3://lake-bucket/flights/lake
state: s3://lake-bucket/flights/state
aws:
  region: eu-west-1
deploy:
  location: s3://ship-bucket/penstock
  wheels: wheels
"""
#: moto keeps neither architecture nor image of an application, ends its runs at once, and knows
#: neither UpdateJob nor BatchStopJobRun nor CancelSteps: they are added by the API reference.
_ADDED = """
import re
from moto.core.responses import EmptyResult, ActionResult
from moto.emr.responses import ElasticMapReduceResponse
from moto.emrserverless import models
from moto.emrserverless.responses import EMRServerlessResponse
from moto.glue.responses import GlueResponse

models.JOB_STATUS = "RUNNING"
made = EMRServerlessResponse.create_application
changed = EMRServerlessResponse.update_application

def keep(self, one):
    one.architecture = self._get_param("architecture")
    image = self._get_param("imageConfiguration")
    if image is not None:
        resolved = {"resolvedImageDigest": "sha256:" + "0" * 64, **image}
        one.image_configuration = resolved if image.get("imageUri") else None

def create_application(self):
    answer = made(self)
    keep(self, list(self.emrserverless_backend.applications.values())[-1])
    return answer

def update_application(self):
    answer = changed(self)
    keep(self, self.emrserverless_backend.get_application(self._get_param("applicationId")))
    return answer

def update_job(self):
    one = self.glue_backend.get_job(self.parameters["JobName"])
    for key, value in self.parameters["JobUpdate"].items():
        setattr(one, re.sub("(?<!^)[A-Z]", lambda found: "_" + found[0], key).lower(), value)
    return ActionResult({"JobName": one.name})

def batch_stop_job_run(self):
    name, numbers = self.parameters["JobName"], self.parameters["JobRunIds"]
    for number in numbers:
        self.glue_backend.get_job_run(name, number).status = "STOPPED"
    said = [{"JobName": name, "JobRunId": number} for number in numbers]
    return ActionResult({"SuccessfulSubmissions": said, "Errors": []})

def cancel_steps(self):
    return ActionResult({"CancelStepsInfoList": []})

ElasticMapReduceResponse.cancel_steps = cancel_steps
EMRServerlessResponse.create_application = create_application
EMRServerlessResponse.update_application = update_application
GlueResponse.update_job = update_job
GlueResponse.batch_stop_job_run = batch_stop_job_run
"""


@lru_cache
def _client(url: str, service: str) -> Any:
    session: Any = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    return session.client(service, region_name=REGION, endpoint_url=url)


@dataclass
class Lab:
    """An AWS account that moto plays, a project, and what penstock's clients were told to send.

    Args:
        url: Address of moto.
        folder: The project.
        sent: Calls that may change something: service, operation, parameters.
    """

    url: str
    folder: Path
    sent: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        """A boto3 client of the test's own."""
        return _client(self.url, service)

    def penstock(self, *words: str, conf: str = "", after: tuple[str, ...] = ()) -> int:
        """A command with this configuration; ``after`` stands after ``--``."""
        (self.folder / "conf" / "base.yaml").write_text(BASE + conf, encoding="utf-8")
        place = ["--env", "aws", "--project", str(self.folder)]
        place += ["--set", f"aws.endpoint_url={self.url}"]
        self.sent.clear()
        return run([*words, *place, *(["--", *after] if after else [])])

    def heard(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """An event of botocore: what a client was told to send."""
        if model.name.startswith(("Get", "List", "Head", "Describe", "Filter")):
            return
        shown = {**params}
        body: Any = shown.get("Body")
        if hasattr(body, "read"):
            content = body.read()
            body.seek(0)
            digest = hashlib.sha256(content).hexdigest()
            name = Path(body.name).name
            shown["Body"] = {"file": name, "bytes": len(content), "sha256": digest}
        service = model.service_model.service_name
        self.sent.append({"service": service, "operation": model.name, "parameters": shown})


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto server."""
    with served(_ADDED) as url:
        yield url


@pytest.fixture
def lab(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A bucket to ship to, and a project with one wheel."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for part in ("schemas", "transforms", "jobs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, tmp_path / part, ignore=ignored)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "aws.yaml").write_text("", encoding="utf-8")
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "one = 1\n")
    with urlopen(Request(f"{moto}/moto-api/reset", method="POST")):
        made = Lab(moto, tmp_path)
    place = {"LocationConstraint": REGION}
    made.client("s3").create_bucket(Bucket="ship-bucket", CreateBucketConfiguration=place)
    events: Any = aws.session(Endpoint(REGION, moto))
    events.register("provide-client-params.*.*", made.heard)
    yield made
    events.unregister("provide-client-params.*.*", made.heard)


def _mistakes(requests: list[dict[str, Any]]) -> list[str]:
    """What is wrong with requests by botocore's models."""
    found = []
    for one in requests:
        given = {**one["parameters"]}
        given.pop("Body", None)
        found += mistakes(one["service"], one["operation"], given)
    return found


@pytest.mark.shows("9.1")
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_planned_is_what_is_sent_and_only_once(
    target: Target, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--plan`` sends nothing; ``--apply`` sends its requests, in order; a second one nothing.

    The policy stands before all requests, and every request fits botocore's model of its service.
    """
    assert lab.penstock("deploy", target, "--plan", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert not lab.sent
    assert planned["requests"]
    given = [{**one, "parameters": {**one["parameters"]}} for one in planned["requests"]]
    for one in given:  # boto3 adds it, at random, where it is not given
        if one["operation"] == "CreateApplication":
            one["parameters"]["clientToken"] = "x"
    assert _mistakes(given) == []
    assert lab.penstock("deploy", target, "--plan") == 0
    said = capsys.readouterr().out
    assert not lab.sent
    assert lab.penstock("deploy", target, "--apply") == 0
    applied = capsys.readouterr().out
    assert lab.sent == planned["requests"]
    at = 0
    for one in lab.sent:
        text = f"{one['service']}.{one['operation']}:\n{json.dumps(one['parameters'], indent=2)}"
        at = said.index(text, at)
        assert text in applied
    policy = json.dumps(planned["role"]["policy"], indent=2)
    first = said.index("iam.CreateRole:")
    assert said.index(policy) < first
    assert lab.penstock("deploy", target, "--apply") == 0
    again = capsys.readouterr().out
    assert lab.sent == []
    assert again.endswith(f"{target}: unchanged\n")
    starts = again.partition("For schedules, in conf/aws.yaml:\n")[2].partition("\n\n")[0]
    known = yaml.safe_load(starts)["scheduler"] if starts else {}
    assert set(known) == {target.replace("-", "_")} - {"emr"}
    Scheduler.model_validate(known)
    assert lab.penstock("deploy", target, "--json") == 0
    later = json.loads(capsys.readouterr().out)
    assert later["requests"] == []
    assert {one["action"] for one in later["steps"]} == {"none"}


@pytest.mark.shows("9.1")
def test_a_run_on_emr_serverless(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """StartJobRun as the service documents it; its logs from S3; it is cancelled, once."""
    assert lab.penstock("deploy", "emr-serverless", "--apply") == 0
    capsys.readouterr()
    words = ("ingest", "flight_status", "--start", "2013-01-01")
    assert lab.penstock("submit", "emr-serverless", "--plan", after=words) == 0
    planned = json.loads(capsys.readouterr().out)
    assert not lab.sent
    assert lab.penstock("submit", "emr-serverless", after=words) == 0
    name = capsys.readouterr().out.strip()
    (request,) = lab.sent
    assert request["parameters"] == planned
    assert mistakes("emr-serverless", "StartJobRun", {**planned, "clientToken": "x"}) == []
    submit = planned["jobDriver"]["sparkSubmit"]
    assert submit["entryPointArguments"] == [*words[1:], "--env", "aws"]
    assert submit["entryPoint"].startswith("s3://ship-bucket/penstock/artefacts/ingest-")
    told = submit["sparkSubmitParameters"]
    assert "--py-files s3://ship-bucket/penstock/artefacts/penstock-" in told
    assert ".zip#libraries" in told
    assert "spark.emr-serverless.driverEnv.PYTHONPATH=./libraries" in told
    assert "spark.executorEnv.PYSPARK_PYTHON=/usr/bin/python3.11" in told
    assert planned["executionRoleArn"] == f"arn:aws:iam::123456789012:role/{STEM}-emr-serverless"
    target, application, number = name.split("/")
    assert (target, application) == ("emr-serverless", planned["applicationId"])
    place = f"penstock/logs/emr-serverless/applications/{application}/jobs/{number}/SPARK_DRIVER"
    for key, text in {
        "stderr.gz": "newer\n",
        "archived/stderr_0.gz": "older\n",
        "stdout.gz": "[]\n",
    }.items():
        body = gzip.compress(text.encode())
        lab.client("s3").put_object(Bucket="ship-bucket", Key=f"{place}/{key}", Body=body)
    assert lab.penstock("logs", name) == 0
    read = capsys.readouterr()
    assert read.out == "[]\n"
    assert read.err.startswith("older\nnewer\n")
    assert lab.penstock("cancel", name) == 0
    assert [one["operation"] for one in lab.sent] == ["CancelJobRun"]
    assert capsys.readouterr().out == f"{name}: cancelled\n"
    assert lab.penstock("cancel", name) == 0
    assert capsys.readouterr().out == f"{name}: is CANCELLED already\n"
    assert lab.sent == []


STREAMS = """streams:
  flight_status:
    source: flights
    kafka:
      servers: kafka.example:9092
      topics: [flights]
"""


@pytest.mark.parametrize("target", ["emr-serverless", "emr"])
def test_a_stream_is_submitted_with_what_reads_it(
    target: Target, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kafka's package for ``stream`` of a group that has topics, and for nothing else."""
    assert lab.penstock("deploy", target, "--apply", conf=STREAMS) == 0
    for words, has in (
        (("stream", "flight_status"), True),
        (("stream", "route_traffic"), False),
        (("ingest", "flight_status"), False),
    ):
        capsys.readouterr()
        assert lab.penstock("submit", target, "--plan", conf=STREAMS, after=words) == 0
        said = capsys.readouterr().out
        package = "spark.jars.packages=org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.6"
        assert (package in said) is has


def test_a_stream_is_not_ended_by_the_timeout_of_runs(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """None on EMR Serverless, in its mode for streams; on Glue its longest."""
    assert lab.penstock("deploy", "emr-serverless", "--apply") == 0
    for more, timeout, mode in (((), 0, "STREAMING"), (("--available-now",), 720, None)):
        capsys.readouterr()
        words = ("stream", "flight_status", *more)
        assert lab.penstock("submit", "emr-serverless", "--plan", after=words) == 0
        planned = json.loads(capsys.readouterr().out)
        assert planned["executionTimeoutMinutes"] == timeout
        assert planned.get("mode") == mode
        assert mistakes("emr-serverless", "StartJobRun", {**planned, "clientToken": "x"}) == []
    assert lab.penstock("deploy", "glue", "--json") == 0
    asked = json.loads(capsys.readouterr().out)["requests"]
    jobs = [one["parameters"] for one in asked if one["operation"] == "CreateJob"]
    timeouts = {one["Name"].removeprefix(f"{STEM}-"): one["Timeout"] for one in jobs}
    assert timeouts.pop("stream") == 10_080
    assert set(timeouts.values()) == {720}


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("emr-serverless", "emr_serverless.release: emr-spark-8.0.0"),
        ("emr", "emr.release: emr-spark-8.0.0"),
        ("glue", 'glue.version: "6.0"'),
    ],
)
def test_kinesis_on_an_older_spark_is_refused_before_it_runs(
    target: Target, key: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the key of a release that can; with it the same is planned."""
    conf = "streams:\n  flight_status: {source: flights, kinesis: {stream: flights}}\n"
    words = ("stream", "flight_status")
    assert lab.penstock("deploy", target, "--apply", conf=conf) == 0
    capsys.readouterr()
    assert lab.penstock("submit", target, conf=conf, after=words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{target} has Spark 3.5 here, on which penstock does not read Kinesis" in line
    assert f"Set deploy.{key}, deploy that" in line
    assert lab.sent == []
    name, value = key.split(": ")
    newer = ("--set", f"deploy.{name}={value}")
    assert lab.penstock("submit", target, "--plan", *newer, conf=conf, after=words) == 0


def test_what_a_schedule_starts_is_what_submit_sends(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for its name and words: its log is found, it is ended in time, and bears our tag."""
    assert lab.penstock("deploy", "emr-serverless", "--apply") == 0
    said = capsys.readouterr().out.partition("For schedules, in conf/aws.yaml:\n")[2]
    starts = yaml.safe_load(said.partition("\n\n")[0])
    starts["scheduler"]["role_arn"] = "arn:aws:iam::123456789012:role/scheduler"
    nightly = {"groups": ["flight_status"], "window": "day", "target": "emr-serverless"}
    more = {"schedules": {"nightly": nightly}, "observe": {"emf": "stderr"}}
    conf = yaml.safe_dump({**starts, **more})
    submitted = ("submit", "emr-serverless", "--plan")
    assert lab.penstock(*submitted, conf=conf, after=("ingest", "flight_status")) == 0
    wanted = json.loads(capsys.readouterr().out)
    assert lab.penstock("schedule", "show", "nightly", "--json", conf=conf) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    given = lowered(json.loads(shown["request"]["Target"]["Input"]))
    given["clientToken"] = "d32c"
    client = lab.client("emr-serverless")
    run = client.start_job_run(**given)
    assert mistakes("emr-serverless", "StartJobRun", given) == []
    del given["clientToken"]
    for one in (given, wanted):
        del one["name"]
        del one["jobDriver"]["sparkSubmit"]["entryPointArguments"]
    assert given == wanted
    monitoring = given["configurationOverrides"]["monitoringConfiguration"]
    asked = monitoring["cloudWatchLoggingConfiguration"]
    assert asked["logGroupName"] == "/aws/emr-serverless/penstock-flights-aws"
    assert lab.penstock("deploy", "emr-serverless", "--json", conf=conf) == 0
    role = json.loads(capsys.readouterr().out)["role"]
    assert "WriteMetrics" in {one["Sid"] for one in role["policy"]["Statement"]}
    place = f"applications/{run['applicationId']}/jobs/{run['jobRunId']}/SPARK_DRIVER"
    key = f"penstock/logs/emr-serverless/{place}/stdout.gz"
    body = gzip.compress(b"[]\n")
    lab.client("s3").put_object(Bucket="ship-bucket", Key=key, Body=body)
    name = f"emr-serverless/{run['applicationId']}/{run['jobRunId']}"
    assert lab.penstock("logs", name) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.shows("9.1")
def test_a_run_on_glue(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """One pair of arguments holds all words; logs come from the run's own stream."""
    assert lab.penstock("deploy", "glue", "--apply") == 0
    capsys.readouterr()
    words = ("backfill", "aircraft_history", "--start", "2013-01-01", "--env=aws")
    assert lab.penstock("submit", "glue", "--json", after=words) == 0
    said = json.loads(capsys.readouterr().out)
    (request,) = lab.sent
    given = {"--penstock": "aircraft_history --start 2013-01-01 --env=aws"}
    assert request["parameters"] == {"JobName": f"{STEM}-backfill", "Arguments": given}
    assert mistakes("glue", "StartJobRun", request["parameters"]) == []
    name = said["run"]
    number = name.rpartition("/")[2]
    logs = lab.client("logs")
    for group in ("/aws-glue/jobs/error", "/aws-glue/jobs/output"):
        logs.create_log_group(logGroupName=group)
        for stream, text in ((number, "driver"), (f"{number}_g-1", "executor")):
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            events = [{"timestamp": int(time.time() * 1_000), "message": f"{text} {group}"}]
            logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    lab.penstock("logs", name)
    read = capsys.readouterr()
    assert read.out == "driver /aws-glue/jobs/output\n"
    assert "driver /aws-glue/jobs/error\n" in read.err
    assert "executor" not in read.out + read.err
    assert lab.penstock("submit", "glue", "--wait", after=words) == 0
    assert capsys.readouterr().err.endswith(": SUCCEEDED\n")


@pytest.mark.prove
@pytest.mark.shows("9.1")
@pytest.mark.parametrize("own", [True, False], ids=["a cluster of its own", "one that is there"])
def test_a_run_on_emr(own: bool, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """RunJobFlow for a cluster that ends with its step, or a step of a cluster that stays."""
    assert lab.penstock("deploy", "emr", "--apply") == 0
    assert lab.penstock("submit", "emr", after=("provision",)) == 0
    first = capsys.readouterr().out.split()[-1]
    cluster = first.split("/")[1]
    conf = "" if own else f"  emr:\n    cluster_id: {cluster}\n"
    assert lab.penstock("submit", "emr", conf=conf, after=("ingest",)) == 0
    name = capsys.readouterr().out.strip()
    (request,) = lab.sent
    operation, parameters = request["operation"], request["parameters"]
    assert operation == ("RunJobFlow" if own else "AddJobFlowSteps")
    assert mistakes("emr", operation, parameters) == []
    (step,) = parameters["Steps"]
    words = step["HadoopJarStep"]["Args"]
    assert words[:5] == ["spark-submit", "--master", "yarn", "--deploy-mode", "cluster"]
    assert words[-2:] == ["--env", "aws"]
    assert "spark.yarn.appMasterEnv.PYTHONPATH=./libraries" in words
    assert step["ActionOnFailure"] == ("TERMINATE_CLUSTER" if own else "CONTINUE")
    if own:
        assert parameters["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
        assert parameters["JobFlowRole"] == f"{STEM}-emr"
    else:
        assert name.split("/")[1] == cluster
    steps = lab.client("emr").list_steps(ClusterId=name.split("/")[1])["Steps"]
    assert name.rpartition("/")[2] in {one["Id"] for one in steps}
    place = f"penstock/logs/emr/{name.split('/')[1]}"
    container = "containers/application_1700000000000_0001/container_1700000000000_0001_01"
    for key, text in {
        f"steps/{name.split('/')[2]}/stderr.gz": "Submitted application_1700000000000_0001\n",
        f"{container}_000001/stderr.gz": "the driver\n",
        f"{container}_000002/stderr.gz": "an executor\n",
    }.items():
        body = gzip.compress(text.encode())
        lab.client("s3").put_object(Bucket="ship-bucket", Key=f"{place}/{key}", Body=body)
    assert lab.penstock("logs", name, "--output", "stderr") == 0
    assert capsys.readouterr().err.startswith("the driver\nemr/")


@pytest.mark.parametrize("whose", ["ours", "the team's", "ours and another step"])
def test_a_cluster_is_ended_only_where_it_was_made_for_the_run(
    whose: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever conf says by then: what is the team's, or runs something else, loses a step only."""
    assert lab.penstock("deploy", "emr", "--apply") == 0
    emr, conf = lab.client("emr"), ""
    if whose == "the team's":
        stays = {"InstanceCount": 1, "MasterInstanceType": "m6i.xlarge"}
        made = emr.run_job_flow(
            Name="team", Instances={**stays, "KeepJobFlowAliveWhenNoSteps": True}, JobFlowRole="x"
        )
        conf = f"  emr:\n    cluster_id: {made['JobFlowId']}\n"
    assert lab.penstock("submit", "emr", conf=conf, after=("ingest",)) == 0
    name = capsys.readouterr().out.split()[-1]
    cluster, step = name.split("/")[1:]
    if whose == "ours and another step":
        more = {"Name": "theirs", "HadoopJarStep": {"Jar": "command-runner.jar"}}
        emr.add_job_flow_steps(JobFlowId=cluster, Steps=[more])
    assert lab.penstock("cancel", name) == 0
    (sent,) = lab.sent
    if whose == "ours":
        assert sent["operation"] == "TerminateJobFlows"
        assert sent["parameters"] == {"JobFlowIds": [cluster]}
    else:
        assert sent["operation"] == "CancelSteps"
        assert sent["parameters"]["StepIds"] == [step]
        state = emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"]
        assert not state.startswith("TERMINAT")
    assert _mistakes(lab.sent) == []


def test_what_changed_is_said_and_sent_alone(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """A new transform ships one file anew; jobs name it, and nothing else is sent."""
    assert lab.penstock("deploy", "glue", "--apply") == 0
    (lab.folder / "transforms" / "more.py").write_text("one = 1\n", encoding="utf-8")
    capsys.readouterr()
    assert lab.penstock("deploy", "glue", "--apply") == 0
    said = capsys.readouterr().out
    kinds = [one["operation"] for one in lab.sent]
    jobs = len([*(lab.folder / "jobs").glob("[a-z]*.py")])
    assert kinds == ["PutObject", *["UpdateJob"] * jobs, "PutObject"]
    assert lab.sent[0]["parameters"]["Key"].startswith("penstock/artefacts/project-")
    assert f"job {STEM}-ingest: updated\n  DefaultArguments.--extra-py-files: " in said
    assert _mistakes(lab.sent) == []


def test_an_application_that_runs_is_not_changed(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 75 with when it can be; once it is stopped the change is made, and made once."""
    assert lab.penstock("deploy", "emr-serverless", "--apply") == 0
    words = ["deploy", "emr-serverless", "--apply"]
    words += ("--set", "deploy.emr_serverless.idle_minutes=30")
    capsys.readouterr()
    assert lab.penstock(*words) == 75
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"application {STEM} is STARTED and can only be changed when it is stopped" in line
    assert lab.sent == []
    client = lab.client("emr-serverless")
    (one,) = client.list_applications()["applications"]
    client.stop_application(applicationId=one["id"])
    assert lab.penstock(*words) == 0
    assert [one["operation"] for one in lab.sent] == ["UpdateApplication"]
    said = capsys.readouterr().out
    assert "  autoStopConfiguration.idleTimeoutMinutes: 15 → 30\n" in said
    assert lab.penstock(*words) == 0
    assert lab.sent == []


def test_an_image_is_set_once_and_taken_away_again(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """What AWS adds, the image's digest, is no difference; what conf no longer has, is one."""
    image = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/jobs:1"
    conf = f"  emr_serverless:\n    image_uri: {image}\n"
    words = ("deploy", "emr-serverless", "--apply")
    assert lab.penstock(*words, conf=conf) == 0
    assert lab.penstock(*words, conf=conf) == 0
    assert lab.sent == []
    client = lab.client("emr-serverless")
    (one,) = client.list_applications()["applications"]
    there = client.get_application(applicationId=one["id"])["application"]
    assert set(there["imageConfiguration"]) == {"imageUri", "resolvedImageDigest"}
    client.stop_application(applicationId=one["id"])
    capsys.readouterr()
    assert lab.penstock(*words) == 0
    (sent,) = [one for one in lab.sent if one["operation"] == "UpdateApplication"]
    assert sent["parameters"]["imageConfiguration"] == {}
    assert _mistakes([{**sent, "parameters": {**sent["parameters"], "clientToken": "x"}}]) == []
    assert f'  imageConfiguration.imageUri: "{image}" → null\n' in capsys.readouterr().out
    assert lab.penstock(*words) == 0
    assert lab.sent == []


def test_subnets_that_conf_no_longer_names_are_said(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """No update is known to: exit 2 and what to do, and nothing is sent."""
    subnet = "subnet-0123456789abcdef0"
    conf = f"  emr_serverless:\n    subnets: [{subnet}]\n"
    words = ("deploy", "emr-serverless", "--apply")
    assert lab.penstock(*words, conf=conf) == 0
    assert lab.penstock(*words, conf=conf) == 0
    assert lab.sent == []
    capsys.readouterr()
    assert lab.penstock(*words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"has subnets {subnet}, and no update is documented to drop them" in line
    assert "aws emr-serverless delete-application --application-id " in line
    assert lab.sent == []


def test_what_somebody_else_made_is_left_alone(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role without our tag: one line, and nothing is written."""
    target = "glue"
    lab.client("iam").create_role(RoleName=f"{STEM}-{target}", AssumeRolePolicyDocument="{}")
    assert lab.penstock("deploy", target, "--apply") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"role {STEM}-{target} was not made by penstock for flights/aws" in line
    assert lab.sent == []


@pytest.mark.prove
@pytest.mark.shows("9.1")
@pytest.mark.parametrize("target", TARGETS)
def test_a_template_says_what_would_be_sent(
    target: Target, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Role and jobs in CloudFormation's names; with ``manage: false`` only files go out."""
    file = lab.folder / "stack.json"
    assert lab.penstock("deploy", target, "--cloudformation", str(file)) == 0
    assert lab.sent == []
    template = json.loads(file.read_text(encoding="utf-8"))
    assert lab.penstock("deploy", target, "--json") == 0
    planned = json.loads(capsys.readouterr().out.partition("\n")[2])
    role = template["Resources"]["JobsRole"]["Properties"]
    assert role["AssumeRolePolicyDocument"] == planned["role"]["trust"]
    assert role["Policies"][0]["PolicyDocument"] == planned["role"]["policy"]
    others = {one["Type"] for one in template["Resources"].values()} - {"AWS::IAM::Role"}
    asked = [one["parameters"] for one in planned["requests"] if one["service"] != "s3"]
    if target == "glue":
        jobs = {one["Name"]: one for one in asked if "GlueVersion" in one}
        made = [one["Properties"] for one in template["Resources"].values()][1:]
        assert {one["Name"] for one in made} == set(jobs)
        for one in made:
            arn = {"Fn::GetAtt": ["JobsRole", "Arn"]}
            assert {**jobs[one["Name"]], "Role": arn} == one
    elif target == "emr-serverless":
        (wanted,) = [one for one in asked if "releaseLabel" in one]
        made = template["Resources"]["Application"]["Properties"]
        assert made["ReleaseLabel"] == wanted["releaseLabel"]
        assert made["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 15}
        assert made["Tags"] == [{"Key": "penstock", "Value": "flights/aws"}]
    assert (
        others
        == {
            "glue": {"AWS::Glue::Job"},
            "emr": {"AWS::IAM::InstanceProfile"},
            "emr-serverless": {"AWS::EMRServerless::Application"},
        }[target]
    )
    if target == "emr":
        assert lab.penstock("deploy", target, "--apply", conf="  manage: false\n") == 0
        assert {one["operation"] for one in lab.sent} == {"PutObject"}


@pytest.mark.parametrize(
    ("words", "conf", "says"),
    [
        (("deploy", "glue"), "  location: null\n", "'deploy.location' is not set"),
        (("deploy", "glue", "--plan", "--apply"), "", "exclude each other"),
        (("submit", "glue"), "", "nothing was deployed to glue for flights/aws"),
        (("logs", "nothing"), "", "'nothing' is not the name of a run"),
        (("deploy", "emr"), "  emr:\n    release: emr-6.15.0\n", "is no release that penstock"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], conf: str, says: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, which, what next; exit 2, and nothing is written."""
    after = ("ingest",) if words[0] == "submit" else ()
    base = BASE.replace("  location: s3://ship-bucket/penstock\n", "") if "location" in conf else ""
    more = () if not base else ("--set", "deploy.location=null")
    assert lab.penstock(*words, *more, conf="" if base else conf, after=after) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("penstock: ")
    assert says in line
    assert lab.sent == []


#: IAM's names where they are not the operation's (Service Authorization Reference).
_ACTIONS = {"HeadBucket": "ListBucket", "HeadObject": "GetObject", "ListObjectsV2": "ListBucket"}
_PREFIXES = {"emr": "elasticmapreduce"}


def _needed(service: str, operation: str, given: dict[str, Any]) -> set[str]:
    """Actions that a call needs: its own, those of tags, and the handing over of roles."""
    prefix = _PREFIXES.get(service, service)
    found = {f"{prefix}:{_ACTIONS.get(operation, operation)}"}
    if given.get("Tags") or given.get("tags"):
        kind = {"iam": "TagRole", "emr": "AddTags"}.get(service, "TagResource")
        found.add(f"{prefix}:{kind}")
    roles = {"Role", "ServiceRole", "JobFlowRole", "executionRoleArn"}
    job = {*given, *given.get("JobUpdate", {})}
    if (roles & job) or operation == "AddRoleToInstanceProfile":
        found.add("iam:PassRole")
    return found


def _documented(start: str, end: str) -> set[str]:
    """Actions in a part of the page: the prefix is that of the action before."""
    text = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    found, prefix = set(), ""
    for word in re.findall(
        r"`([a-z0-9-]+:[A-Z]\w+|[A-Z]\w+)`", text.partition(start)[2].partition(end)[0]
    ):
        prefix = word.partition(":")[0] if ":" in word else prefix
        found.add(word if ":" in word else f"{prefix}:{word}")
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_the_page_names_every_right_that_commands_need(
    target: Target, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of who deploys and of who submits, by the calls that are really made."""
    asked: set[str] = set()

    def heard(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked.update(_needed(model.service_model.service_name, model.name, params))

    events: Any = aws.session(Endpoint(REGION, lab.url))
    events.register("provide-client-params.*.*", heard)
    try:
        assert lab.penstock("deploy", target, "--apply") == 0
        iam = lab.client("iam")
        role = {"RoleName": f"{STEM}-{target}"}
        other = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::x/*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [other]})
        iam.put_role_policy(**role, PolicyName="theirs", PolicyDocument=document)
        (lab.folder / "transforms" / "more.py").write_text("one = 1\n", encoding="utf-8")
        assert lab.penstock("deploy", target, "--apply") == 0
        deploying, asked = asked, set()
        capsys.readouterr()
        assert lab.penstock("submit", target, after=("ingest",)) == 0
        name = capsys.readouterr().out.split()[-1]
        lab.penstock("logs", name)
        assert lab.penstock("cancel", name) == 0
    finally:
        events.unregister("provide-client-params.*.*", heard)
    free = {"sts:GetCallerIdentity"}
    assert deploying - free <= _documented("Who deploys needs", "Who submits")
    assert asked - free <= _documented("Who submits", "`sts:GetCallerIdentity`")
    assert {"iam:PutRolePolicy", "s3:PutObject"} <= deploying
    assert ("iam:PassRole" in deploying) == (target != "emr-serverless")
    assert ("iam:PassRole" in asked) == (target != "glue")


def test_a_policy_that_iam_would_not_take_is_refused(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it is planned, so no role without rights is made; others may make it from the plan."""
    raw = [f"  raw_{n}: {{format: csv, path: s3://raw-{n}/folder}}\n" for n in range(100)]
    sources = "sources:\n" + "".join(raw)
    for way in (("--plan",), ("--apply",), ("--cloudformation", str(lab.folder / "stack.json"))):
        assert lab.penstock("deploy", "glue", *way, conf=sources) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"the policy of role {STEM}-glue has " in line
        assert "characters, IAM takes 10,240" in line
    assert lab.sent == []
    assert not (lab.folder / "stack.json").exists()
    assert lab.penstock("deploy", "glue", "--json", conf=f"  manage: false\n{sources}") == 0
    assert len(capsys.readouterr().out) > 10_240


def test_files_of_glue_tables_may_be_read(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a source's table lies the catalogue says; of one it does not have there is a line."""
    glue = lab.client("glue")
    glue.create_database(DatabaseInput={"Name": "raw"})
    parquet = "org.apache.hadoop.hive.ql.io.parquet"
    descriptor = {
        "Columns": [{"Name": "id", "Type": "string"}],
        "Location": "s3a://raw-bucket/weather/",
        "InputFormat": f"{parquet}.MapredParquetInputFormat",
        "OutputFormat": f"{parquet}.MapredParquetOutputFormat",
        "SerdeInfo": {"SerializationLibrary": f"{parquet}.serde.ParquetHiveSerDe"},
    }
    table = {"Name": "weather", "StorageDescriptor": descriptor}
    glue.create_table(DatabaseName="raw", TableInput=table)
    conf = "sources:\n  weather: {format: table, table: raw.weather}\n"
    conf += "  planes: {format: table, table: raw.planes}\n"
    assert lab.penstock("deploy", "glue", "--json", conf=conf) == 0
    read = capsys.readouterr()
    found = {one["Sid"]: one for one in json.loads(read.out)["role"]["policy"]["Statement"]}
    bucket = "arn:aws:s3:::raw-bucket"
    assert found["ReadSources"]["Resource"] == [f"{bucket}/weather", f"{bucket}/weather/*"]
    listed = [one for one in found.values() if one["Resource"] == [bucket]]
    assert [one["Action"] for one in listed] == [["s3:ListBucket"]]
    (line,) = [one for one in read.err.splitlines() if one.startswith("source ")]
    assert line.startswith("source planes: Glue has no table raw.planes. The role may not read its")
    assert "s3:GetObject" in line


def test_a_bucket_that_is_not_there_is_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is made."""
    lab.client("s3").delete_bucket(Bucket="ship-bucket")
    assert lab.penstock("deploy", "glue", "--apply") == 2
    assert "there is no bucket 'ship-bucket'" in capsys.readouterr().err
    assert lab.sent == []


def test_a_job_that_was_not_deployed_is_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """With those that were."""
    assert lab.penstock("deploy", "glue", "--apply") == 0
    capsys.readouterr()
    assert lab.penstock("submit", "glue", after=("status",)) == 2
    line = capsys.readouterr().err
    assert (
        "no job 'status' was deployed to glue. There are: backfill, dataset, flow, ingest" in line
    )
