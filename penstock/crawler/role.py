"""The crawler's IAM role brought in line with its definition, and taken away again.

What is there is read first, so a second apply writes nothing. A role without our tag is left alone.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from penstock import aws
from penstock.crawler.change import Change, explained, not_ours
from penstock.crawler.definition import POLICY, TAG, Role
from penstock.errors import UsageError
from penstock.leaves import differences

_ABSENT = "NoSuchEntity"
_DESCRIPTION = "Made by penstock for a Glue crawler over offline feature tables"


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
    found = tuple(differences(_shape(there), _wanted(wanted)))
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
        _bring(iam, there, wanted)
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
    others = [one for one in there["Policies"] if one != POLICY] + there["Attached"]
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
            if aws.code(error) != _ABSENT:
                raise explained(error, f"role {name!r}") from error


def _bring(iam: Any, there: dict[str, Any] | None, wanted: Role) -> None:
    name = wanted.name
    if there is None:
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(wanted.trust),
            Description=_DESCRIPTION,
            Tags=[{"Key": TAG, "Value": wanted.owner}],
        )
        there = {"Trust": wanted.trust, "Policies": {}, "Attached": []}
    if there["Trust"] != wanted.trust:
        document = json.dumps(wanted.trust)
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
    if there["Policies"].get(POLICY) != wanted.policy:
        document = json.dumps(wanted.policy)
        iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=document)
    for other in there["Policies"]:
        if other != POLICY:
            iam.delete_role_policy(RoleName=name, PolicyName=other)
    for arn in there["Attached"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)


def _get(iam: Any, name: str) -> dict[str, Any] | None:
    """The role's tags, trust, inline policies by name, and ARNs of policies attached to it."""
    try:
        role = iam.get_role(RoleName=name)["Role"]
        return {
            "Tags": {one["Key"]: one["Value"] for one in role.get("Tags", ())},
            "Trust": role["AssumeRolePolicyDocument"],
            "Policies": {one: _document(iam, name, one) for one in _inline(iam, name)},
            "Attached": _attached(iam, name),
        }
    except ClientError as error:
        if aws.code(error) == _ABSENT:
            return None
        raise explained(error, f"role {name!r}") from error


def _inline(iam: Any, name: str) -> list[str]:
    pages = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    return [one for page in pages for one in page["PolicyNames"]]


def _document(iam: Any, role: str, policy: str) -> Any:
    return iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]


def _attached(iam: Any, name: str) -> list[str]:
    pages = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    return [one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]]


def _check_ours(there: dict[str, Any], name: str, owner: str) -> None:
    if there["Tags"].get(TAG) != owner:
        raise not_ours("role", name)


def _shape(there: dict[str, Any]) -> dict[str, Any]:
    return {key: there[key] for key in ("Trust", "Policies", "Attached")}


def _wanted(role: Role) -> dict[str, Any]:
    return {"Trust": role.trust, "Policies": {POLICY: role.policy}, "Attached": []}
