"""A project's deployment at one target: what differs there, and the requests that mend it.

What is there is read first, so a second time nothing is sent. What is sent is exactly the plan: a
list of values, made before the first of them goes out. The last one writes down what was shipped
(``TARGET.json``), so a run that starts meanwhile finds the release before it whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.catalog.glue import resolve
from penstock.config import Settings
from penstock.deploy import emr, emr_serverless, glue
from penstock.deploy.place import Names, Place, names
from penstock.deploy.policy import permissions, trust
from penstock.deploy.release import Release, location
from penstock.deploy.request import send
from penstock.deploy.runtime import Target
from penstock.deploy.step import Step, artefact_steps, document, document_step, role_step
from penstock.errors import UsageError
from penstock.job_run import log_group
from penstock.roles import Role

POLICY = "penstock-jobs"  # the role's one inline policy
_HADOOP = re.compile(r"^s3[an]://")  # other names of S3, which Spark and Hive write


@dataclass(frozen=True)
class Deployment:
    """A deployment as it is wanted.

    Args:
        target: Where to.
        names: What things are called.
        role: The jobs' role.
        record: What is shipped, as ``submit`` reads it.
        steps: Its pieces, in the order they are brought about.
        warnings: What it does not bring about, though jobs may need it.
    """

    target: Target
    names: Names
    role: Role
    record: dict[str, Any]
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to do."""
        return all(one.action == "none" for one in self.steps)


def deployment(
    place: Place,
    settings: Settings,
    environment: str,
    groups: Sequence[str],
    target: Target,
    shipped: Release,
) -> Deployment:
    """Compare what is wanted with what is there; nothing is written.

    Args:
        place: Where to.
        settings: The configuration.
        environment: Its name.
        groups: Feature groups of the project.
        target: What runs the jobs.
        shipped: What is shipped.

    Raises:
        ConfigError: AWS would not take a name.
        UsageError: Something of a name of ours was made by somebody else; there is no bucket; the
            role's policy is too long.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or something must be stopped first.
    """
    called, wanted = names(settings, environment, target), recorded(shipped, settings)
    tables, warnings = source_tables(place, settings)
    role = jobs_role(place, settings, environment, groups, target, tables)
    managed: list[Step] = [role_step(place, role)] if settings.deploy.manage else []
    files = artefact_steps(place, shipped.folder, iter(shipped))
    if settings.deploy.manage:
        files += _managed(place, settings, environment, called, target, wanted)
    uri = record_uri(settings, environment, target)
    last = document_step(place, f"record {target}.json", uri, wanted)
    return Deployment(target, called, role, wanted, (*managed, *files, last), warnings)


def apply(place: Place, found: Deployment) -> None:
    """Send all requests of a deployment, in order; stops at the first that fails.

    Idempotent: what is there already was left out of it; after a failure a new comparison leads
    to the rest.

    Raises:
        UsageError: AWS refused a request as it stands.
        CredentialsError: AWS denied one.
        TemporaryError: AWS did not answer, or somebody else changed the same at the same time.
    """
    for one in found.steps:
        for request in one.requests:
            send(place, request)


def source_tables(place: Place, settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where Glue tables that sources read lie; what to say of those of which it is not known.

    Raises:
        CredentialsError: Looking at a table was denied.
        TemporaryError: Glue did not answer.
    """
    found, warnings = [], []
    for name, source in sorted(settings.sources.items()):
        if source.table is None:
            continue
        try:
            path = str(resolve(place.client("glue"), source.table).path)
            found.append(_HADOOP.sub("s3://", path))
        except UsageError as error:
            warnings.append(
                f"source {name}: {error.message}. The role may not read its files: deploy again "
                "once it is there, or allow s3:GetObject and s3:ListBucket in its bucket's policy"
            )
    return tuple(found), tuple(warnings)


def jobs_role(
    place: Place,
    settings: Settings,
    environment: str,
    groups: Sequence[str],
    target: Target,
    tables: Sequence[str] = (),
) -> Role:
    """The role of the jobs, with what it may do.

    ``tables`` is where Glue tables that sources read lie.

    Raises:
        ConfigError: AWS would not take a name; there is no place to ship to.
    """
    called = names(settings, environment, target)
    shipped, logged = location(settings), log_group(settings, environment)
    policy = permissions(
        settings, groups, place.account, target, shipped, tables=tables, log_group=logged
    )
    about = f"Made by penstock for the jobs of {called.owner} on {target}"
    return Role(called.role, called.owner, trust(target), policy, POLICY, about)


def recorded(shipped: Release, settings: Settings) -> dict[str, Any]:
    """What is shipped, as it is written down."""
    found: dict[str, Any] = {
        "code": shipped.code,
        "jobs": {name: shipped.uri(one) for name, one in sorted(shipped.jobs.items())},
        "logs": f"{location(settings)}/logs",
    }
    if shipped.libraries is not None:
        found["libraries"] = shipped.uri(shipped.libraries)
    return found


def record_uri(settings: Settings, environment: str, target: Target) -> str:
    """Where it is written down."""
    return f"{location(settings)}/artefacts/{settings.project}-{environment}/{target}.json"


def record(place: Place, settings: Settings, environment: str, target: Target) -> dict[str, Any]:
    """What was deployed last.

    Raises:
        UsageError: Nothing was.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    found = document(place, record_uri(settings, environment, target))
    if found is None:
        message = f"nothing was deployed to {target} for {settings.project}/{environment}"
        raise UsageError(message, f"Run: penstock deploy {target} --env {environment} --apply")
    return found


def _managed(
    place: Place,
    settings: Settings,
    environment: str,
    called: Names,
    target: Target,
    wanted: dict[str, Any],
) -> list[Step]:
    if target == "emr-serverless":
        return [emr_serverless.step(place, settings, called)]
    if target == "emr":
        return [emr.step(place, called)]
    return glue.steps(place, settings, environment, called, wanted)
