"""An IAM role with one inline policy: what it is, and the calls that make it what is wanted.

Values only; whoever sends the calls explains the errors. What is there is read first, so a role
that is as wanted leads to no call. Other policies that somebody gave it are taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from penstock import aws
from penstock.errors import UsageError

#: Tag of what penstock makes; its value is whose it is: PROJECT/ENV.
TAG = "penstock"
ABSENT = "NoSuchEntity"
#: Characters of all inline policies of a role; white space does not count (IAM quotas, fixed).
MAX_POLICY = 10_240


@dataclass(frozen=True)
class Role:
    """An IAM role.

    Args:
        name: Its name.
        owner: Value of our tag.
        trust: Who may take it.
        policy: What it may do.
        policy_name: Name of its one inline policy.
        description: What it is for.
    """

    name: str
    owner: str
    trust: dict[str, Any]
    policy: dict[str, Any]
    policy_name: str
    description: str


@dataclass(frozen=True)
class Found:
    """A role as it is.

    Args:
        tags: Its tags.
        trust: Who may take it.
        policies: Inline policies by name.
        attached: ARNs of policies attached to it.
    """

    tags: Mapping[str, str]
    trust: Any
    policies: Mapping[str, Any]
    attached: tuple[str, ...]

    def shape(self) -> dict[str, Any]:
        """What is compared."""
        policies = dict(self.policies)
        return {"Trust": self.trust, "Policies": policies, "Attached": [*self.attached]}


def find(iam: Any, name: str) -> Found | None:
    """The role as it is; None where there is none.

    Raises:
        ClientError: AWS did not say.
    """
    try:
        role = iam.get_role(RoleName=name)["Role"]
        return Found(
            {one["Key"]: one["Value"] for one in role.get("Tags", ())},
            role["AssumeRolePolicyDocument"],
            {one: _document(iam, name, one) for one in _inline(iam, name)},
            tuple(_attached(iam, name)),
        )
    except ClientError as error:
        if aws.code(error) == ABSENT:
            return None
        raise


def wanted_shape(role: Role) -> dict[str, Any]:
    """The like of :meth:`Found.shape` for a role as it is wanted."""
    return {"Trust": role.trust, "Policies": {role.policy_name: role.policy}, "Attached": []}


def check_size(role: Role) -> None:
    """Whether IAM takes the policy: it would say so only once there is a role without rights.

    Raises:
        UsageError: It has too many characters.
    """
    size = len("".join(json.dumps(role.policy).split()))
    if size > MAX_POLICY:
        message = (
            f"the policy of role {role.name} has {size:,} characters, IAM takes {MAX_POLICY:,}"
        )
        remedy = "Split the project, or make the role yourself with managed policies: for jobs by "
        raise UsageError(message, f"{remedy}deploy.manage: false, and --plan prints its rights")


def calls(there: Found | None, wanted: Role) -> Iterator[tuple[str, dict[str, Any]]]:
    """Operations and parameters, in order, that make the role what is wanted.

    Raises:
        UsageError: Its policy is too long; before the first of them.
    """
    check_size(wanted)
    name = wanted.name
    if there is None:
        yield (
            "CreateRole",
            {
                "RoleName": name,
                "AssumeRolePolicyDocument": json.dumps(wanted.trust),
                "Description": wanted.description,
                "Tags": [{"Key": TAG, "Value": wanted.owner}],
            },
        )
        there = Found({}, wanted.trust, {}, ())
    if there.trust != wanted.trust:
        document = json.dumps(wanted.trust)
        yield "UpdateAssumeRolePolicy", {"RoleName": name, "PolicyDocument": document}
    if there.policies.get(wanted.policy_name) != wanted.policy:
        named = {"RoleName": name, "PolicyName": wanted.policy_name}
        yield "PutRolePolicy", {**named, "PolicyDocument": json.dumps(wanted.policy)}
    for other in there.policies:
        if other != wanted.policy_name:
            yield "DeleteRolePolicy", {"RoleName": name, "PolicyName": other}
    for arn in there.attached:
        yield "DetachRolePolicy", {"RoleName": name, "PolicyArn": arn}


def _inline(iam: Any, name: str) -> list[str]:
    pages = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    return [one for page in pages for one in page["PolicyNames"]]


def _document(iam: Any, role: str, policy: str) -> Any:
    return iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]


def _attached(iam: Any, name: str) -> list[str]:
    pages = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    return [one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]]
