"""A schedule as an entry of EventBridge Scheduler: the exact request, and nothing is sent.

The target is "universal": Scheduler calls ``StartJobRun`` of EMR Serverless or Glue itself, so
nothing of ours runs in between. Members of its input begin with a capital, as people write them for
universal targets of services whose own begin without one (not verified on AWS); nobody checks them
before the entry fires, so the tests hold them against botocore's models.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from penstock.conf_schedule import Schedule
from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.job_run import capital, job_run
from penstock.schedule.command import SCHEDULED, words

#: Starts a description; entries without it were made by somebody else and are left alone.
MARK = "Made by penstock"
_GROUP = re.compile(r"[0-9a-zA-Z_.-]{1,64}")
_ATTEMPTS = 185  # the service's own maximum; the age below ends it sooner
_AGES = {"hour": 3_600}  # seconds a start is tried for; all others 86,400, the service's maximum


@dataclass(frozen=True)
class Entry:
    """One entry.

    Args:
        name: Of the schedule, in ``conf`` and in EventBridge Scheduler.
        request: The parameters of CreateSchedule and UpdateSchedule alike.
    """

    name: str
    request: dict[str, Any]

    @property
    def group(self) -> str:
        """The schedule group it is in."""
        return str(self.request["GroupName"])


def group_name(settings: Settings, environment: str) -> str:
    """The schedule group that holds all entries of a project and environment, and no others.

    Raises:
        ConfigError: The service would not take the name.
    """
    found = f"penstock-{settings.project}-{environment}"
    if not _GROUP.fullmatch(found):
        message = f"schedule group {found!r} is no name for EventBridge Scheduler"
        remedy = "Name project and conf/ENV.yaml with letters, digits, - _ . and 64 in all at most"
        raise ConfigError(message, remedy)
    return found


def entry(settings: Settings, name: str, environment: str) -> Entry:
    """The entry of one schedule whose target is on AWS.

    Raises:
        ConfigError: The environment does not say how jobs are started.
    """
    schedule = settings.schedules[name]
    role = settings.scheduler.role_arn
    if role is None:
        raise _missing(settings, name, "role_arn")
    start = _emr_serverless if schedule.target == "emr-serverless" else _glue
    service, given = start(settings, name, environment)
    partition = role.split(":")[1]
    target: dict[str, Any] = {
        "Arn": f"arn:{partition}:scheduler:::aws-sdk:{service.replace('-', '')}:startJobRun",
        "RoleArn": role,
        "Input": json.dumps(given),
        "RetryPolicy": {
            "MaximumEventAgeInSeconds": _AGES.get(schedule.window, 86_400),
            "MaximumRetryAttempts": _ATTEMPTS,
        },
    }
    if settings.scheduler.dead_letter_arn is not None:
        target["DeadLetterConfig"] = {"Arn": settings.scheduler.dead_letter_arn}
    request = {
        "Name": name,
        "GroupName": group_name(settings, environment),
        "Description": f"{MARK}: project {settings.project}, {_about(schedule)}. "
        f"'penstock schedule apply --env {environment}' overwrites changes.",
        "State": "ENABLED" if schedule.enabled else "DISABLED",
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target,
    }
    return Entry(name, request)


def _about(schedule: Schedule) -> str:
    return "everything" if schedule.unit is None else f"the last {schedule.unit}"


def _emr_serverless(settings: Settings, name: str, environment: str) -> tuple[str, dict[str, Any]]:
    place = settings.scheduler.emr_serverless
    if place is None:
        raise _missing(settings, name, "emr_serverless")
    submit: dict[str, Any] = {
        "entryPoint": place.entry_point,
        "entryPointArguments": words(settings, settings.schedules[name], environment, SCHEDULED),
    }
    if place.spark_submit is not None:
        submit["sparkSubmitParameters"] = place.spark_submit
    given = job_run(
        settings,
        environment,
        f"penstock-{settings.project}-{name}",
        place.application_id,
        place.execution_role_arn,
        submit,
    )
    # Each attempt has an id of its own: a start whose answer was lost may be repeated, and what
    # makes the second run harmless is the lease of its windows. The scheduled time, which would be
    # the token to have, holds colons, which the service does not take there.
    return "emr-serverless", {**capital(given), "ClientToken": "<aws.scheduler.execution-id>"}


def _glue(settings: Settings, name: str, environment: str) -> tuple[str, dict[str, Any]]:
    place = settings.scheduler.glue
    if place is None:
        raise _missing(settings, name, "glue")
    # Glue hands a script pairs, its own among them: ours travel as the value of one.
    given = shlex.join(words(settings, settings.schedules[name], environment, SCHEDULED))
    return "glue", {"JobName": place.job, "Arguments": {"--penstock": given}}


def _missing(settings: Settings, name: str, key: str) -> ConfigError:
    where, target = settings.place(f"schedules.{name}.target"), settings.schedules[name].target
    message = f"{where}: schedule {name!r} has target: {target}, but 'scheduler.{key}' is missing"
    return ConfigError(message, "Add it to the environment's file; docs/scheduling.md has one")
