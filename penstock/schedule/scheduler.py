"""Entries of EventBridge Scheduler brought in line with ``conf``, and taken away again.

What is there is read first, so a second apply writes nothing. All entries of a project and an
environment are in one schedule group of their own; one that does not bear our mark is left alone.
The group stays when its last entry goes: deleting it would delete what was put there meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from penstock import aws
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError
from penstock.leaves import differences, parsed
from penstock.schedule.entry import MARK, Entry

#: What an answer has beside what was asked for: when, by whom, and the default of one-time entries.
_ANSWER = frozenset(
    {"Arn", "CreationDate", "LastModificationDate", "ActionAfterCompletion", "ResponseMetadata"}
)


@dataclass(frozen=True)
class Change:
    """What an entry is, was or will be changed in.

    Args:
        schedule: Its name.
        group: Its schedule group.
        action: ``create`` and ``update`` are what is to be done, or was; ``none`` is agreement.
        differences: ``key: old → new``, of an update.
    """

    schedule: str
    group: str
    action: Literal["create", "update", "none"]
    differences: tuple[str, ...] = ()


def compare(scheduler: Any, wanted: Entry) -> Change:
    """What :func:`apply` would do; nothing is written.

    Raises:
        UsageError: An entry of that name was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    there = _get(scheduler, wanted.group, wanted.name)
    if there is None:
        return Change(wanted.name, wanted.group, "create")
    _check_ours(there, wanted.group, wanted.name)
    found = tuple(differences(_said(there), _said(wanted.request)))
    return Change(wanted.name, wanted.group, "update" if found else "none", found)


def apply(scheduler: Any, wanted: Entry) -> Change:
    """Create or update one entry; idempotent.

    Raises:
        UsageError: As :func:`compare`, or AWS refused the request as it stands.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or somebody else made the entry in the meantime.
    """
    found = compare(scheduler, wanted)
    try:
        if found.action == "create":
            _make_group(scheduler, wanted.group)
            scheduler.create_schedule(**wanted.request)
        elif found.action == "update":
            scheduler.update_schedule(**wanted.request)
    except ClientError as error:
        raise _ours(error, wanted.name) from error
    return found


def remove(scheduler: Any, group: str, name: str) -> bool:
    """Delete one entry of ours; False where there is none.

    Raises:
        UsageError: It was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    there = _get(scheduler, group, name)
    if there is None:
        return False
    _check_ours(there, group, name)
    try:
        scheduler.delete_schedule(Name=name, GroupName=group)
    except ClientError as error:
        if aws.code(error) == "ResourceNotFoundException":
            return False
        raise _ours(error, name) from error
    return True


def entries(scheduler: Any, group: str) -> list[str]:
    """Names of all entries of the group that bear our mark, sorted.

    Raises:
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    try:
        pages = list(scheduler.get_paginator("list_schedules").paginate(GroupName=group))
    except ClientError as error:
        if aws.code(error) == "ResourceNotFoundException":
            return []
        raise _ours(error, group) from error
    names = sorted(one["Name"] for page in pages for one in page["Schedules"])
    return [one for one in names if _is_ours(_get(scheduler, group, one))]


def _make_group(scheduler: Any, group: str) -> None:
    try:
        scheduler.get_schedule_group(Name=group)
    except ClientError as error:
        if aws.code(error) != "ResourceNotFoundException":
            raise
        scheduler.create_schedule_group(Name=group)


def _get(scheduler: Any, group: str, name: str) -> dict[str, Any] | None:
    try:
        found = dict(scheduler.get_schedule(Name=name, GroupName=group))
    except ClientError as error:
        if aws.code(error) == "ResourceNotFoundException":
            return None
        raise _ours(error, name) from error
    return {key: value for key, value in found.items() if key not in _ANSWER}


def _is_ours(there: Mapping[str, Any] | None) -> bool:
    return there is not None and str(there.get("Description", "")).startswith(MARK)


def _check_ours(there: Mapping[str, Any], group: str, name: str) -> None:
    if not _is_ours(there):
        message = f"schedule {name!r} in group {group!r} was not made by penstock"
        raise UsageError(message, "Delete it yourself, or rename the one in conf")


def _said(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request with its target's input, which is JSON in a text, as what it says."""
    target = dict(request.get("Target", {}))
    if "Input" in target:
        target["Input"] = parsed(target["Input"])
    return {**request, "Target": target}


def _ours(error: ClientError, what: str) -> PenstockError:
    known = aws.explained(error)
    if isinstance(known, CredentialsError):
        return known
    text = f"{aws.code(error)}: {error.response['Error'].get('Message', '')}"
    if aws.code(error) in ("ValidationException", "ResourceNotFoundException"):
        return UsageError(f"AWS refused schedule {what!r}: {text}", "Correct what it names in conf")
    if aws.code(error) == "ServiceQuotaExceededException":
        return UsageError(f"AWS has no room for schedule {what!r}: {text}", "Raise the quota")
    if aws.code(error) == "ConflictException":
        message = f"schedule {what!r} is being changed by somebody else: {text}"
        return TemporaryError(message, "Run the same command again")
    return known or TemporaryError(text, "Run the same command again")
