"""The crawler's IAM role brought in line with its definition, and taken away again.

What is there is read first, so a second apply writes nothing. A role without our tag is left alone.
"""

from __future__ import annotations

from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from penstock import aws
from penstock.crawler.change import Change, explained, not_ours
from penstock.crawler.definition import POLICY
from penstock.errors import UsageError
from penstock.leaves import differences
from penstock.roles import ABSENT, TAG, Found, Role, calls, find, wanted_shape


def compare(iam: Any, wanted: Role) -> Change:
    """What :func:`bring` would do; nothing is written.

    Raises:
        UsageError: A role of that name was made by somebody else.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    there = _get(iam, wanted.name)
    if there is None:
        return Change("role", wanted.name, "create")
    _check_ours(there, wanted.name, wanted.owner)
    found = tuple(differences(there.shape(), wanted_shape(wanted)))
    return Change("role", wanted.name, "update" if found else "none", found)


def bring(iam: Any, wanted: Role) -> None:
    """Create the role, or make it what is wanted: other policies somebody gave it are taken away.

    Idempotent: what is as wanted is not written.

    Raises:
        UsageError: As :func:`compare`, or AWS refused the request as it stands.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or somebody else made the role in the meantime.
    """
    there = _get(iam, wanted.name)
    if there is not None:
        _check_ours(there, wanted.name, wanted.owner)
    try:
        for operation, given in calls(there, wanted):
            getattr(iam, xform_name(operation))(**given)
    except ClientError as error:
        raise explained(error, f"role {wanted.name!r}") from error


def removable(iam: Any, name: str, owner: str) -> bool:
    """Whether there is a role of ours of that name to delete.

    Raises:
        UsageError: It was made by somebody else, or has policies that others gave it.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    there = _get(iam, name)
    if there is None:
        return False
    _check_ours(there, name, owner)
    others = [*(one for one in there.policies if one != POLICY), *there.attached]
    if others:
        message = f"role {name!r} has policies that penstock did not give it: {', '.join(others)}"
        raise UsageError(message, "Take them from it first; 'penstock crawler apply' does so too")
    return True


def remove(iam: Any, name: str) -> None:
    """Delete the role and its inline policy; one that is gone already is no error.

    Raises:
        UsageError: AWS refused it.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    for call, given in (
        (iam.delete_role_policy, {"RoleName": name, "PolicyName": POLICY}),
        (iam.delete_role, {"RoleName": name}),
    ):
        try:
            call(**given)
        except ClientError as error:
            if aws.code(error) != ABSENT:
                raise explained(error, f"role {name!r}") from error


def _get(iam: Any, name: str) -> Found | None:
    try:
        return find(iam, name)
    except ClientError as error:
        raise explained(error, f"role {name!r}") from error


def _check_ours(there: Found, name: str, owner: str) -> None:
    if there.tags.get(TAG) != owner:
        raise not_ours("role", name)
