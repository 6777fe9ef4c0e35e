"""Glue: one job for each script of ``jobs/``, and a run of one. Requests only; nothing is sent.

Glue hands a script pairs, its own among them, so penstock's arguments are the words of one:
``--penstock 'flight_status --env aws'``. A job that is started without any, from Glue's console,
runs for everything in the environment it was deployed for. Not verified on AWS.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from penstock import aws
from penstock.config import Settings
from penstock.deploy import spark
from penstock.deploy.place import Names, Place
from penstock.deploy.request import Request, explained
from penstock.deploy.step import Step, changed, not_ours
from penstock.roles import TAG

_ABSENT = "EntityNotFoundException"
_LONGEST = 10_080  # minutes, which is the most that Glue lets a job run (API model, Timeout)
_FIXED = ("Name", "Tags")  # said when it is made, and not in UpdateJob


def jobs(
    place: Place, settings: Settings, environment: str, names: Names, record: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The parameters of CreateJob, one for each script."""
    conf = settings.deploy.glue
    return [
        {
            "Name": names.job(command),
            "Description": f"Made by penstock: project {settings.project}. 'penstock deploy glue "
            f"--env {environment}' overwrites changes.",
            "Role": place.account.role_arn(names.role),
            "Command": {
                "Name": "gluestreaming" if command == spark.STREAM else "glueetl",
                "ScriptLocation": script,
                "PythonVersion": "3",
            },
            "DefaultArguments": _arguments(settings, environment, record),
            "GlueVersion": conf.version,
            "WorkerType": conf.worker_type,
            "NumberOfWorkers": conf.workers,
            "Timeout": _LONGEST if command == spark.STREAM else conf.timeout_minutes,
            "MaxRetries": 0,
            "ExecutionProperty": {"MaxConcurrentRuns": conf.concurrent},
            "Tags": {TAG: names.owner},
        }
        for command, script in sorted(record["jobs"].items())
    ]


def steps(
    place: Place, settings: Settings, environment: str, names: Names, record: Mapping[str, Any]
) -> list[Step]:
    """The jobs, made or changed.

    Raises:
        UsageError: One of that name was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    wanted = jobs(place, settings, environment, names, record)
    return [_step(place, names.owner, one) for one in wanted]


def submission(names: Names, command: str, arguments: Sequence[str]) -> Request:
    """StartJobRun for a command; what it runs is in the job."""
    given = {"--penstock": shlex.join(arguments)}
    return Request("glue", "StartJobRun", {"JobName": names.job(command), "Arguments": given})


def _arguments(settings: Settings, environment: str, record: Mapping[str, Any]) -> dict[str, str]:
    """What every run of a job is told (Glue developer guide, job parameters).

    ``--conf`` takes one setting; more are words of its value, as AWS's own guides write them.
    """
    told = {**spark.DELTA, **settings.deploy.glue.settings}
    return {
        "--additional-python-modules": str(record["libraries"]),
        "--conf": " ".join(spark.words(told)[1:]),
        "--datalake-formats": "delta",
        "--enable-glue-datacatalog": "true",
        "--enable-metrics": "true",
        "--extra-py-files": str(record["code"]),
        "--job-language": "python",
        "--penstock": f"--env {environment}",
        "--python-modules-installer-option": "--no-index",
    }


def _step(place: Place, owner: str, wanted: dict[str, Any]) -> Step:
    name = wanted["Name"]
    what, there = f"job {name}", _get(place, name)
    if there is None:
        return Step(what, "create", (Request("glue", "CreateJob", wanted),))
    if _tags(place, name).get(TAG) != owner:
        raise not_ours(what, owner)
    update = {key: wanted[key] for key in wanted if key not in _FIXED}
    request = Request("glue", "UpdateJob", {"JobName": name, "JobUpdate": update})
    shape = {key: there.get(key) for key in update}
    shape["Role"] = place.account.role_arn(str(there.get("Role", "")).rpartition("/")[2])
    return changed(what, shape, update, request)


def _get(place: Place, name: str) -> dict[str, Any] | None:
    try:
        return dict(place.client("glue").get_job(JobName=name)["Job"])
    except ClientError as error:
        if aws.code(error) == _ABSENT:
            return None
        raise explained(error) from error


def _tags(place: Place, name: str) -> dict[str, str]:
    arn = place.account.arn("glue", f"job/{name}")
    try:
        return dict(place.client("glue").get_tags(ResourceArn=arn).get("Tags", {}))
    except ClientError as error:
        raise explained(error) from error
