"""A deployment as a CloudFormation template, for teams whose stacks own roles and jobs.

The same values that ``--apply`` would send, in CloudFormation's names, which are the API's with a
capital. What is shipped is no part of it: with ``deploy.manage: false`` ``--apply`` ships it, and a
template written after it names it. Not verified on AWS.
"""

from __future__ import annotations

import re
from typing import Any

from penstock.config import Settings
from penstock.deploy import emr_serverless, glue
from penstock.deploy.deployment import Deployment
from penstock.deploy.place import Place
from penstock.job_run import capital
from penstock.roles import TAG, Role, check_size

_VERSION = "2010-09-09"  # of the template language
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]")
_ROLE = "JobsRole"
_ROLE_ARN = {"Fn::GetAtt": [_ROLE, "Arn"]}


def template(
    place: Place, settings: Settings, environment: str, found: Deployment
) -> dict[str, Any]:
    """The template of a deployment; it needs the capability ``CAPABILITY_NAMED_IAM``.

    Args:
        place: Where to.
        settings: The configuration.
        environment: Its name.
        found: The deployment.

    Raises:
        UsageError: IAM would not take the role's policy.
    """
    check_size(found.role)
    resources = {_ROLE: _role(found.role)}
    if found.target == "emr-serverless":
        resources["Application"] = _application(settings, found)
    elif found.target == "emr":
        resources["InstanceProfile"] = {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"InstanceProfileName": found.names.role, "Roles": [{"Ref": _ROLE}]},
        }
    else:
        for one in glue.jobs(place, settings, environment, found.names, found.record):
            name = one["Name"].removeprefix(f"{found.names.stem}-").title()
            properties = {**one, "Role": _ROLE_ARN}
            key = f"Job{_NOT_IN_NAMES.sub('', name)}"
            resources[key] = {"Type": "AWS::Glue::Job", "Properties": properties}
    return {
        "AWSTemplateFormatVersion": _VERSION,
        "Description": f"penstock's jobs of {found.names.owner} on {found.target}, "
        f"by 'penstock deploy {found.target} --env {environment} --cloudformation'",
        "Resources": resources,
    }


def _role(role: Role) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": role.name,
            "Description": role.description,
            "AssumeRolePolicyDocument": role.trust,
            "Policies": [{"PolicyName": role.policy_name, "PolicyDocument": role.policy}],
            "Tags": [{"Key": TAG, "Value": role.owner}],
        },
    }


def _application(settings: Settings, found: Deployment) -> dict[str, Any]:
    wanted = emr_serverless.application(settings, found.names)
    tags = wanted.pop("tags")
    properties = capital(wanted)
    properties["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {"Type": "AWS::EMRServerless::Application", "Properties": properties}
