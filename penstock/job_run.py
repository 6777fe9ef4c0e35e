"""StartJobRun of EMR Serverless: the one request of ``submit`` and of schedules; nothing is sent.

What a run is beside its code, role and words follows from ``conf``: where its logs go, when it is
ended, whose it is. So ``logs`` finds what a schedule started as it finds what was submitted. Not
verified on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.conf_observe import STDERR
from penstock.config import Settings
from penstock.roles import TAG


def job_run(
    settings: Settings,
    environment: str,
    name: str,
    application: str,
    role: str,
    submit: Mapping[str, Any],
    *,
    endless: bool = False,
) -> dict[str, Any]:
    """The parameters of StartJobRun, but for its ``clientToken``.

    Args:
        settings: The configuration; without ``deploy.location`` no log goes to S3.
        environment: Its name.
        name: Of the run.
        application: Id of the application.
        role: ARN of the jobs' role.
        submit: The API's ``sparkSubmit``.
        endless: Whether it runs until it is stopped. Only in the mode for streams there is no
            timeout (API model, executionTimeoutMinutes); the service begins it anew where it fails.
    """
    timeout = 0 if endless else settings.deploy.emr_serverless.timeout_minutes
    monitoring: dict[str, Any] = {}
    if settings.deploy.location is not None:
        logs = f"{settings.deploy.location.rstrip('/')}/logs/emr-serverless"
        monitoring["s3MonitoringConfiguration"] = {"logUri": logs}
    group = log_group(settings, environment)
    if group is not None:
        monitoring["cloudWatchLoggingConfiguration"] = {
            "enabled": True,
            "logGroupName": group,
            "logTypes": {"SPARK_DRIVER": ["STDERR"]},
        }
    found = {
        "applicationId": application,
        "executionRoleArn": role,
        "name": name,
        "jobDriver": {"sparkSubmit": {**submit}},
        "executionTimeoutMinutes": timeout,
        "tags": {TAG: f"{settings.project}/{environment}"},
    }
    if endless:
        found["mode"] = "STREAMING"
    if monitoring:
        found["configurationOverrides"] = {"monitoringConfiguration": monitoring}
    return found


def log_group(settings: Settings, environment: str) -> str | None:
    """CloudWatch's group of the runs' standard error; None where no metrics are written to it."""
    if settings.observe.emf != STDERR:
        return None
    return f"/aws/emr-serverless/penstock-{settings.project}-{environment}"


def capital(value: Any) -> Any:
    """A request in the names of CloudFormation and of EventBridge Scheduler; tags keep theirs."""
    if isinstance(value, Mapping):
        return {
            key[0].upper() + key[1:]: one if key == "tags" else capital(one)
            for key, one in value.items()
        }
    return [capital(one) for one in value] if isinstance(value, list) else value
