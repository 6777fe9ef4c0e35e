"""A run at a target, by its name: how it stands, what it said, and how it is ended.

The name holds all that is needed: ``emr-serverless/APPLICATION/RUN``, ``emr/CLUSTER/STEP``,
``glue/JOB/RUN``. Where logs lie is documented by AWS (EMR Serverless and EMR on S3, Glue in
CloudWatch); not verified on AWS.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from penstock import aws
from penstock.deploy.place import Place
from penstock.deploy.request import Request, explained
from penstock.deploy.runtime import TARGETS, Target
from penstock.errors import UsageError
from penstock.roles import TAG

Output = Literal["stdout", "stderr"]
_GOOD = frozenset({"SUCCESS", "SUCCEEDED", "COMPLETED"})
_ENDED = _GOOD | {
    *("FAILED", "CANCELLED", "INTERRUPTED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"),
}
_GLUE_GROUPS: dict[Output, str] = {
    "stdout": "/aws-glue/jobs/output",
    "stderr": "/aws-glue/jobs/error",
}
_APPLICATION = re.compile(r"application_\d+_\d+")
#: Containers of an application are numbered; the driver's is the first of its only attempt.
_DRIVER = "_000001/"
_ABSENT = frozenset({"404", "NoSuchKey", "ResourceNotFoundException"})
_PART = re.compile(r"[A-Za-z0-9_.#-]{1,255}")


@dataclass(frozen=True)
class Run:
    """A run.

    Args:
        target: What runs it.
        parent: Application, cluster or job.
        number: Of the run in it.
    """

    target: Target
    parent: str
    number: str

    @property
    def name(self) -> str:
        """What ``logs`` and ``cancel`` take."""
        return f"{self.target}/{self.parent}/{self.number}"


@dataclass(frozen=True)
class State:
    """How a run stands.

    Args:
        word: AWS's word for it.
        why: AWS's reason, where there is one.
    """

    word: str
    why: str = ""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.word in _ENDED

    @property
    def good(self) -> bool:
        """Whether it ended well."""
        return self.word in _GOOD


def named(name: str) -> Run:
    """The run of that name.

    Raises:
        UsageError: It is none.
    """
    parts = name.split("/")
    if len(parts) != 3 or parts[0] not in TARGETS or not all(map(_PART.fullmatch, parts)):  # noqa: PLR2004 - TARGET/PARENT/RUN
        message = f"{name!r} is not the name of a run"
        raise UsageError(message, "Write it as 'penstock submit' printed it: TARGET/…/RUN")
    return Run(parts[0], parts[1], parts[2])


def state(place: Place, run: Run) -> State:
    """How it stands.

    Raises:
        UsageError: There is no such run.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    try:
        if run.target == "emr":
            status = _emr_step(place, run)["Status"]
            failure = status.get("FailureDetails", {})
            return State(status["State"], failure.get("Message") or failure.get("Reason") or "")
        if run.target == "glue":
            client = place.client("glue")
            there = client.get_job_run(JobName=run.parent, RunId=run.number)["JobRun"]
            return State(there["JobRunState"], there.get("ErrorMessage", ""))
        found = _serverless(place, run)
        return State(found["state"], found.get("stateDetails") or "")
    except ClientError as error:
        raise explained(error) from error


def logs(place: Place, run: Run, output: Output) -> Iterator[str]:
    """What its driver wrote, as far as AWS has put it down.

    Raises:
        UsageError: There is no such run, or it writes no log.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    try:
        if run.target == "glue":
            yield from _cloudwatch(place, _GLUE_GROUPS[output], run.number)
        elif run.target == "emr":
            yield from _emr_logs(place, run, output)
        else:
            conf = _serverless(place, run).get("configurationOverrides", {})
            uri = conf.get("monitoringConfiguration", {}).get("s3MonitoringConfiguration", {})
            folder = f"applications/{run.parent}/jobs/{run.number}/SPARK_DRIVER/"
            yield from _texts(place, _needed(uri.get("logUri"), run), folder, output)
    except ClientError as error:
        raise explained(error) from error


def cancellation(run: Run, *, own_cluster: bool) -> Request:
    """The request that ends it.

    Args:
        run: The run.
        own_cluster: Whether its cluster is there for it alone, and ends with it. On another one
            only the step ends, and YARN's application goes on where it had begun.
    """
    if run.target == "glue":
        return Request(
            "glue", "BatchStopJobRun", {"JobName": run.parent, "JobRunIds": [run.number]}
        )
    if run.target == "emr-serverless":
        given = {"applicationId": run.parent, "jobRunId": run.number}
        return Request("emr-serverless", "CancelJobRun", given)
    if own_cluster:
        return Request("emr", "TerminateJobFlows", {"JobFlowIds": [run.parent]})
    return Request(
        "emr",
        "CancelSteps",
        {
            "ClusterId": run.parent,
            "StepIds": [run.number],
            "StepCancellationOption": "TERMINATE_PROCESS",
        },
    )


def alone(place: Place, run: Run) -> bool:
    """Whether it has a cluster to itself: one that penstock made, that ends by itself, for it only.

    AWS is asked, not ``conf``, which may have changed since, or be another environment's.

    Raises:
        UsageError: There is no such cluster.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    if run.target != "emr":
        return False
    client = place.client("emr")
    try:
        there = client.describe_cluster(ClusterId=run.parent)["Cluster"]
        steps = client.list_steps(ClusterId=run.parent)["Steps"]
    except ClientError as error:
        raise explained(error) from error
    made = any(one["Key"] == TAG for one in there.get("Tags", ()))
    return made and bool(there.get("AutoTerminate")) and len(steps) == 1


def first_step(place: Place, cluster: str) -> str:
    """The step that a cluster was made for.

    Raises:
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    try:
        return str(place.client("emr").list_steps(ClusterId=cluster)["Steps"][-1]["Id"])
    except ClientError as error:
        raise explained(error) from error


def _serverless(place: Place, run: Run) -> dict[str, Any]:
    client = place.client("emr-serverless")
    return dict(client.get_job_run(applicationId=run.parent, jobRunId=run.number)["jobRun"])


def _emr_step(place: Place, run: Run) -> dict[str, Any]:
    client = place.client("emr")
    return dict(client.describe_step(ClusterId=run.parent, StepId=run.number)["Step"])


def _emr_logs(place: Place, run: Run, output: Output) -> Iterator[str]:
    """The driver's container; before there is one, what spark-submit said in the step."""
    cluster = place.client("emr").describe_cluster(ClusterId=run.parent)["Cluster"]
    uri = _needed(cluster.get("LogUri"), run)
    step = "".join(_texts(place, uri, f"{run.parent}/steps/{run.number}/", "stderr"))
    found = _APPLICATION.search(step)
    if found is None:
        yield step if output == "stderr" else ""
        return
    folder = f"{run.parent}/containers/{found[0]}/"
    yield from _texts(place, uri, folder, output, within=_DRIVER)


def _texts(place: Place, uri: str, folder: str, output: Output, within: str = "") -> Iterator[str]:
    """Files of one output under a folder, oldest first: those that were rotated away, the last."""
    bucket, _, prefix = uri.replace("s3n://", "s3://").removeprefix("s3://").partition("/")
    start = f"{prefix.rstrip('/')}/{folder}".lstrip("/")
    client = place.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    chosen = [one for one in keys if one.rpartition("/")[2].startswith(output) and within in one]
    for key in sorted(chosen, key=lambda one: ("/archived/" not in one, one)):
        content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        raw = gzip.decompress(content) if key.endswith(".gz") else content
        yield raw.decode("utf-8", "replace")


def _cloudwatch(place: Place, group: str, stream: str) -> Iterator[str]:
    client = place.client("logs")
    pages = client.get_paginator("filter_log_events")
    try:
        for page in pages.paginate(logGroupName=group, logStreamNamePrefix=stream):
            for event in page["events"]:
                # Executors' streams have the run's name and more.
                if event["logStreamName"] == stream:
                    yield f"{event['message']}\n"
    except ClientError as error:
        if aws.code(error) not in _ABSENT:
            raise


def _needed(uri: str | None, run: Run) -> str:
    if not uri:
        message = f"{run.name} writes no log to S3"
        raise UsageError(message, "Others started it, or conf had no deploy.location: ask them")
    return uri
