"""What ``scheduler`` in ``conf`` says of a deployment, so that EventBridge starts its jobs.

On EMR Serverless each start names the files it runs, so a schedule keeps to the release it was
given until it is given another; on Glue the job names them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from penstock.config import Settings
from penstock.deploy import emr_serverless
from penstock.deploy.place import Names, Place
from penstock.deploy.runtime import Target

_JOB = "ingest"  # what schedules run


def scheduler(
    place: Place, settings: Settings, names: Names, target: Target, record: Mapping[str, Any]
) -> dict[str, Any]:
    """The values; empty where schedules have no such target, or there is no such job yet.

    Raises:
        UsageError: Somebody else made an application of that name.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    if _JOB not in record["jobs"]:
        return {}
    if target == "glue":
        return {"glue": {"job": names.job(_JOB)}}
    if target == "emr":
        return {}
    name = settings.deploy.emr_serverless.name or names.stem
    there = emr_serverless.find(place, name, names.owner)
    if there is None:
        return {}
    values = {
        "application_id": there["applicationId"],
        "execution_role_arn": place.account.role_arn(names.role),
        "entry_point": record["jobs"][_JOB],
        "spark_submit": shlex.join(emr_serverless.parameters(settings, record)),
    }
    return {"emr_serverless": values}
