"""Feature groups, created or evolved so that they are what the contract says.

The group on AWS is described first. Where it agrees nothing is written; what it lacks is added;
whatever else differs is refused with the difference, for the service cannot change it. A group that
belongs to somebody else (``manage: false``) is compared only. A group that penstock alone writes
offline (``stores: offline``) is not known to the service at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from penstock import aws
from penstock.catalog import ensure_database
from penstock.config import Settings
from penstock.contract import Feature, FeatureGroup
from penstock.difference import (
    Difference,
    create_request,
    definition,
    difference,
    remedy,
    ttl_duration,
)
from penstock.errors import ContractError, PenstockError, TemporaryError, UsageError
from penstock.existing import describe, refused

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_sagemaker import SageMakerClient

__all__ = [
    "Difference",
    "Provisioned",
    "Waiting",
    "check",
    "create_request",
    "difference",
    "provision",
]

MAX_ADDITIONS = 100  # SageMaker API model, UpdateFeatureGroup


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True)
class Waiting:
    """How long a change of the service's is waited for: ``timeout_s`` for each creation or update.

    Polls start at ``first_s`` and grow by half up to ``poll_s`` seconds. In-memory groups take 10
    to 15 minutes (AWS developer guide). ``progress`` gets one line per poll that is not the last.
    """

    timeout_s: float = 1_800.0
    first_s: float = 0.2
    poll_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    progress: Callable[[str], None] = _silent


@dataclass(frozen=True)
class Provisioned:
    """What :func:`provision` did to one group, and the features it added."""

    group: str
    physical: str
    action: Literal["created", "updated", "unchanged"]
    added: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    database_created: bool = False


def check(sagemaker: SageMakerClient, group: FeatureGroup, settings: Settings) -> Difference:
    """The difference, without writing anything.

    Raises:
        CredentialsError: Describing the group was denied.
        TemporaryError: AWS did not answer.
    """
    place = settings.group(group.name)
    physical = place.physical or group.name
    if not place.sends:
        return Difference(physical)
    described = describe(sagemaker, physical)
    if described is None:
        return Difference(physical, absent=True, managed=place.manage)
    return difference(group, settings, described)


def provision(
    sagemaker: SageMakerClient,
    glue: GlueClient | None,
    group: FeatureGroup,
    settings: Settings,
    waiting: Waiting | None = None,
) -> Provisioned:
    """Create or evolve one feature group and wait for it; idempotent.

    Args:
        sagemaker: A SageMaker client.
        glue: A Glue client to make the catalogue's database with; None, or a configuration that
            registers nothing, leaves the catalogue alone.
        group: The contract.
        settings: Physical name, key, role and storage type of the group, and whether it is ours to
            make and change; the catalogue's database.
        waiting: Bounds and reporting of the wait.

    Raises:
        ContractError: The group differs in what cannot be changed, or belongs to somebody else and
            lacks what the contract asks for; nothing was written.
        UsageError: AWS refused the request as it stands.
        PenstockError: AWS failed to make the change, with its reason.
        TemporaryError: It was not ready in time, or somebody else is changing it.
        CredentialsError: AWS denied it.
    """
    patience = waiting or Waiting()
    place = settings.group(group.name)
    if place.sends:
        act = _provision_group if place.manage else _compare_group
        done = act(sagemaker, group, settings, patience)
    else:
        done = Provisioned(group.name, place.physical or group.name, "unchanged")
    if glue is None or not settings.catalog.register_tables or not place.own_table:
        return done
    made = ensure_database(glue, settings.catalog.database)
    return replace(done, database_created=made)


def _provision_group(
    sagemaker: SageMakerClient, group: FeatureGroup, settings: Settings, waiting: Waiting
) -> Provisioned:
    physical = settings.group(group.name).physical or group.name
    created = False
    if describe(sagemaker, physical) is None:
        created = _create(sagemaker, group, settings)
    described = _settled(sagemaker, physical, waiting, None)
    found = difference(group, settings, described)
    if found.conflicts:
        message = f"feature group {physical!r} on AWS differs: {'; '.join(found.conflicts)}"
        raise ContractError(message, remedy(group.name, found.conflicts))
    for start in range(0, len(found.additions), MAX_ADDITIONS):
        _add(sagemaker, physical, found.additions[start : start + MAX_ADDITIONS], waiting)
    if found.ttl is not None:
        change: Any = {"OnlineStoreConfig": {"TtlDuration": ttl_duration(found.ttl)}}
        _update(sagemaker, physical, change, waiting, frozenset())
    added = tuple(one.name for one in found.additions)
    changed = bool(added) or found.ttl is not None
    action: Literal["created", "updated", "unchanged"] = "updated" if changed else "unchanged"
    return Provisioned(group.name, physical, "created" if created else action, added, found.extra)


def _compare_group(
    sagemaker: SageMakerClient, group: FeatureGroup, settings: Settings, waiting: Waiting
) -> Provisioned:
    """For a group of somebody else's: it is what the contract asks for, or the run ends here."""
    found = check(sagemaker, group, settings)
    key = f"groups.{group.name}.manage"
    if found.absent:
        message = f"there is no feature group {found.physical!r}, and {key} is false"
        raise UsageError(message, f"Whoever owns it must make it, or set {key}: true")
    described = _settled(sagemaker, found.physical, waiting, None)
    found = difference(group, settings, described)
    if not found.agrees:
        what = "; ".join(found.missing + found.conflicts)
        message = f"feature group {found.physical!r} on AWS differs, and {key} is false: {what}"
        raise ContractError(message, f"Whoever owns it must change it, or set {key}: true")
    return Provisioned(group.name, found.physical, "unchanged", extra=found.extra)


def _create(sagemaker: SageMakerClient, group: FeatureGroup, settings: Settings) -> bool:
    """False where somebody else made it in the meantime."""
    request = create_request(group, settings)
    if request["FeatureGroupName"].startswith("arn:"):
        message = f"there is no feature group {request['FeatureGroupName']}"
        remedy = f"Create it where it belongs, or set groups.{group.name}.physical to a name"
        raise UsageError(message, remedy)
    try:
        sagemaker.create_feature_group(**request)
    except ClientError as error:
        if aws.code(error) != "ResourceInUse":
            raise refused(error, group.name) from error
        return False
    return True


def _add(
    sagemaker: SageMakerClient, physical: str, features: tuple[Feature, ...], waiting: Waiting
) -> None:
    change: Any = {"FeatureAdditions": [definition(one) for one in features]}
    _update(sagemaker, physical, change, waiting, frozenset(one.name for one in features))


def _update(
    sagemaker: SageMakerClient, physical: str, change: Any, waiting: Waiting, added: frozenset[str]
) -> None:
    try:
        sagemaker.update_feature_group(FeatureGroupName=physical, **change)
    except ClientError as error:
        raise refused(error, physical) from error
    _settled(sagemaker, physical, waiting, added)


def _settled(
    sagemaker: SageMakerClient,
    physical: str,
    waiting: Waiting,
    added: frozenset[str] | None,
) -> dict[str, Any]:
    """Describe until the group stands still and shows the features just added, if any were.

    An answer may lag behind (AWS says up to five minutes), so the features are looked for as well.
    """
    start, pause = waiting.clock(), waiting.first_s
    while True:
        described = describe(sagemaker, physical)
        state = "not visible yet" if described is None else _state(described, physical, added)
        if described is not None and state == "ready":
            return described
        waited = waiting.clock() - start
        if waited >= waiting.timeout_s:
            message = f"feature group {physical!r} is not ready after {waited:.0f} s: {state}"
            raise TemporaryError(message, "Run the same command again")
        waiting.progress(f"{physical}: {state}, {waited:.0f} s")
        waiting.sleep(min(pause, waiting.timeout_s - waited))
        pause = min(waiting.poll_s, pause * 1.5)


def _state(described: Mapping[str, Any], physical: str, added: frozenset[str] | None) -> str:
    """``ready``, or what it is busy with; raises where it will not become ready.

    A failed update stops only who made it: it left the group as it was.
    """
    status = described.get("FeatureGroupStatus", "Created")
    update = described.get("LastUpdateStatus", {})
    if status in ("CreateFailed", "DeleteFailed"):
        reason = described.get("FailureReason", "no reason given")
        message = f"feature group {physical!r}: {status}: {reason}"
        raise PenstockError(message, "Delete the feature group, mend the cause and run again")
    if status != "Created":
        return str(status)
    if added is not None and update.get("Status") == "Failed":
        reason = update.get("FailureReason", "no reason given")
        message = f"feature group {physical!r}: its last update failed: {reason}"
        raise PenstockError(message, "Mend the cause; see the group in SageMaker")
    if update.get("Status") == "InProgress":
        return "updating"
    there = {one["FeatureName"] for one in described["FeatureDefinitions"]}
    return "ready" if (added or frozenset()) <= there else "features not visible yet"
