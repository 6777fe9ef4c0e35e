"""EMR Serverless: an application, and a run of a job on it. Requests only; nothing is sent.

The application holds no version of the code: each run names what it runs, so a deployment changes
nothing under a run that is under way. Not verified on AWS.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from penstock.config import Settings
from penstock.deploy import spark
from penstock.deploy.place import Names, Place
from penstock.deploy.request import Request, explained
from penstock.deploy.runtime import runtime
from penstock.deploy.step import Step, changed, not_ours
from penstock.errors import TemporaryError, UsageError
from penstock.job_run import job_run
from penstock.roles import TAG

_SERVICE = "emr-serverless"
_DRIVER = "spark.emr-serverless.driverEnv."
#: UpdateApplication takes an application in these states only (EMR Serverless API).
_CHANGEABLE = frozenset({"CREATED", "STOPPED"})
_GONE = ("TERMINATED",)
_FIXED = ("name", "type", "tags")  # said when it is made, and not in UpdateApplication
_IMAGE = "imageConfiguration"


def application(settings: Settings, names: Names) -> dict[str, Any]:
    """The parameters of CreateApplication; boto3 adds a ``clientToken`` of its own."""
    conf = settings.deploy.emr_serverless
    found: dict[str, Any] = {
        "name": conf.name or names.stem,
        "type": "SPARK",
        "releaseLabel": conf.release,
        "architecture": "ARM64" if conf.architecture == "arm64" else "X86_64",
        "maximumCapacity": {"cpu": f"{conf.max_cpu} vCPU", "memory": f"{conf.max_memory_gb} GB"},
        "autoStartConfiguration": {"enabled": True},
        "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": conf.idle_minutes},
        "tags": {TAG: names.owner},
    }
    network = {"subnetIds": [*conf.subnets], "securityGroupIds": [*conf.security_groups]}
    if any(network.values()):
        found["networkConfiguration"] = {key: network[key] for key in network if network[key]}
    if conf.image_uri is not None:
        found[_IMAGE] = {"imageUri": conf.image_uri}
    return found


def step(place: Place, settings: Settings, names: Names) -> Step:
    """The application, made or changed.

    Raises:
        UsageError: One of that name was made by somebody else, or cannot be made what conf says.
        TemporaryError: It is to be changed and runs, or AWS did not answer.
        CredentialsError: AWS denied it.
    """
    wanted = application(settings, names)
    what, there = f"application {wanted['name']}", find(place, wanted["name"], names.owner)
    if there is None:
        return Step(what, "create", (Request(_SERVICE, "CreateApplication", wanted),))
    _check_network(what, there, wanted)
    given = {key: wanted[key] for key in wanted if key not in _FIXED}
    shape, sent = _asked(there, given), {"applicationId": there["applicationId"], **given}
    image = there.get(_IMAGE, {}).get("imageUri")
    if image and _IMAGE not in wanted:
        shape[_IMAGE] = {"imageUri": image}
        sent[_IMAGE] = {}  # without a URI it is taken away (API model, ImageConfigurationInput)
    found = changed(what, shape, given, Request(_SERVICE, "UpdateApplication", sent))
    if found.action == "update" and there["state"] not in _CHANGEABLE:
        message = f"{what} is {there['state']} and can only be changed when it is stopped"
        remedy = (
            f"It stops {settings.deploy.emr_serverless.idle_minutes} minutes after its last run"
        )
        raise TemporaryError(message, f"{remedy}; then run the same command again")
    return found


def find(place: Place, name: str, owner: str) -> dict[str, Any] | None:
    """The application of that name as it is; None where there is none.

    Raises:
        UsageError: Somebody else made one of that name.
        TemporaryError: AWS did not answer.
        CredentialsError: AWS denied it.
    """
    client = place.client(_SERVICE)
    try:
        pages = client.get_paginator("list_applications").paginate()
        found = [one for page in pages for one in page["applications"]]
        named = [one for one in found if one.get("name") == name and one["state"] not in _GONE]
        whole = [client.get_application(applicationId=one["id"])["application"] for one in named]
    except ClientError as error:
        raise explained(error) from error
    ours = [one for one in whole if one.get("tags", {}).get(TAG) == owner]
    if whole and not ours:
        raise not_ours(f"application {name}", owner)
    return {key: value for key, value in ours[0].items() if value is not None} if ours else None


def submission(
    place: Place,
    settings: Settings,
    environment: str,
    names: Names,
    record: Mapping[str, Any],
    command: str,
    arguments: Sequence[str],
    *,
    kafka: bool,
) -> Request:
    """StartJobRun for a command.

    Args:
        place: Where.
        settings: The configuration.
        environment: Its name.
        names: What things are called.
        record: What was deployed.
        command: Name of the job's script.
        arguments: Its arguments.
        kafka: Whether it reads topics.

    Raises:
        UsageError: There is no application.
    """
    name = settings.deploy.emr_serverless.name or names.stem
    there = find(place, name, names.owner)
    if there is None:
        remedy = "Run: penstock deploy emr-serverless --apply"
        raise UsageError(f"there is no application {name}", remedy)
    submit = {
        "entryPoint": record["jobs"][command],
        "entryPointArguments": [*arguments],
        "sparkSubmitParameters": shlex.join(parameters(settings, record, kafka=kafka)),
    }
    role, called = place.account.role_arn(names.role), f"{names.stem}-{command}"
    number, endless = there["applicationId"], spark.endless(command, arguments)
    given = job_run(settings, environment, called, number, role, submit, endless=endless)
    return Request(_SERVICE, "StartJobRun", given)


def parameters(settings: Settings, record: Mapping[str, Any], *, kafka: bool = False) -> list[str]:
    """What ``spark-submit`` is told beside the script."""
    own, runs_on = settings.deploy.emr_serverless.settings, runtime(settings, "emr-serverless")
    told = spark.settings(runs_on, _DRIVER, record.get("libraries"), own, kafka=kafka)
    return ["--py-files", str(record["code"]), *spark.words(told)]


def _asked(there: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of an answer what was asked for: the rest is AWS's own, such as the digest of an image."""
    return {
        key: _asked(there[key], one) if isinstance(one, Mapping) else there[key]
        for key, one in given.items()
        if there.get(key) is not None
    }


def _check_network(what: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise where conf names no subnets, or groups, any more: no way to drop them is documented."""
    has, asked = (one.get("networkConfiguration", {}) for one in (there, wanted))
    for key, conf in (("subnetIds", "subnets"), ("securityGroupIds", "security_groups")):
        if has.get(key) and not asked.get(key):
            named = f"{conf} {', '.join(has[key])}"
            message = f"{what} has {named}, and no update is documented to drop them"
            delete = (
                f"aws emr-serverless delete-application --application-id {there['applicationId']}"
            )
            remedy = f"Name them in conf, or delete it and deploy anew: {delete}"
            raise UsageError(message, remedy)
