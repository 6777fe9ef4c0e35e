"""A command run at a target: the request that starts it, and the name of the run.

The words are those of the command here: ``submit glue -- ingest flight_status`` runs what
``penstock ingest flight_status`` would. ``--env`` is that of the deployment unless it is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.conf_streams import Stream
from penstock.config import Settings
from penstock.deploy import emr, emr_serverless, glue, spark
from penstock.deploy.place import Place, names
from penstock.deploy.request import Request, send
from penstock.deploy.run import Run, first_step
from penstock.deploy.runtime import Target, runtime
from penstock.errors import UsageError


def submission(
    place: Place,
    settings: Settings,
    environment: str,
    target: Target,
    record: Mapping[str, Any],
    words: Sequence[str],
) -> Request:
    """The request that starts a command; nothing is sent.

    Args:
        place: Where.
        settings: The configuration.
        environment: Its name.
        target: What runs it.
        record: What was deployed.
        words: The command and its arguments.

    Raises:
        UsageError: No script of that name was deployed, there is no application, or the target's
            Spark cannot read the stream.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    command, *arguments = words
    if command not in record["jobs"]:
        message = f"no job {command!r} was deployed to {target}"
        there = ", ".join(sorted(record["jobs"]))
        raise UsageError(message, f"There are: {there}. Others are scripts of yours in jobs/")
    if not any(one == "--env" or one.startswith("--env=") for one in arguments):
        arguments += ["--env", environment]
    called = names(settings, environment, target)
    streams = _read(settings, command, arguments)
    _check_kinesis(settings, target, streams)
    kafka = any(one.kafka is not None for one in streams)
    if target == "emr-serverless":
        return emr_serverless.submission(
            place, settings, environment, called, record, command, arguments, kafka=kafka
        )
    if target == "emr":
        return emr.submission(settings, called, record, command, arguments, kafka=kafka)
    return glue.submission(called, command, arguments)


def _read(settings: Settings, command: str, arguments: Sequence[str]) -> list[Stream]:
    """The streams that a command reads: those of the groups it names."""
    if command != spark.STREAM:
        return []
    return [settings.streams[one] for one in arguments if one in settings.streams]


def _check_kinesis(settings: Settings, target: Target, streams: Sequence[Stream]) -> None:
    """Raise here what the job would end with: Kinesis is read by a Python data source."""
    if any(one.kinesis for one in streams) and runtime(settings, target).spark == "3.5":
        newer = "release: emr-spark-8.0.0" if target != "glue" else 'version: "6.0"'
        message = f"{target} has Spark 3.5 here, on which penstock does not read Kinesis"
        key = f"deploy.{target.replace('-', '_')}.{newer}"
        raise UsageError(message, f"Set {key}, deploy that, and submit again")


def begin(place: Place, request: Request) -> Run:
    """Send it; answers the run that it began. A second time begins a second run.

    Raises:
        UsageError: AWS refused it as it stands.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    said = send(place, request)
    if request.operation == "AddJobFlowSteps":
        return Run("emr", request.parameters["JobFlowId"], said["StepIds"][0])
    if request.operation == "RunJobFlow":
        return Run("emr", said["JobFlowId"], first_step(place, said["JobFlowId"]))
    if request.service == "glue":
        return Run("glue", request.parameters["JobName"], said["JobRunId"])
    return Run("emr-serverless", said["applicationId"], said["jobRunId"])
