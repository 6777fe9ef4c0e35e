"""EMR on EC2: a cluster for each run, or a step of one that is there. Requests only.

The driver runs in YARN's cluster mode: there the libraries' archive is unpacked for it too, and a
cluster that somebody else made needs no preparation. Not verified on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from penstock import aws
from penstock.config import Settings
from penstock.deploy import spark
from penstock.deploy.place import Names, Place
from penstock.deploy.request import Request, explained
from penstock.deploy.runtime import runtime
from penstock.deploy.step import Step
from penstock.errors import UsageError
from penstock.roles import TAG

_DRIVER = "spark.yarn.appMasterEnv."
#: One attempt: what an exit code of ours says is not answered by starting again at once.
_ATTEMPTS = {"spark.yarn.maxAppAttempts": "1"}
_ABSENT = "NoSuchEntity"


def step(place: Place, names: Names) -> Step:
    """The instance profile by which instances take the role; it bears the role's name.

    Raises:
        UsageError: One of that name holds another role.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    name, what = names.role, f"instance profile {names.role}"
    make = Request("iam", "CreateInstanceProfile", {"InstanceProfileName": name})
    put = Request(
        "iam", "AddRoleToInstanceProfile", {"InstanceProfileName": name, "RoleName": name}
    )
    try:
        there = place.client("iam").get_instance_profile(InstanceProfileName=name)
    except ClientError as error:
        if aws.code(error) == _ABSENT:
            return Step(what, "create", (make, put))
        raise explained(error) from error
    roles = [one["RoleName"] for one in there["InstanceProfile"]["Roles"]]
    if roles == [name]:
        return Step(what, "none")
    if roles:
        message = f"{what} holds the role {roles[0]}, which is not ours"
        raise UsageError(message, "Delete it yourself, or set deploy.emr.role in conf")
    return Step(what, "update", (put,), (f'Roles: [] → ["{name}"]',))


def submission(
    settings: Settings,
    names: Names,
    record: Mapping[str, Any],
    command: str,
    arguments: Sequence[str],
    *,
    kafka: bool,
) -> Request:
    """RunJobFlow or AddJobFlowSteps for a command.

    Args:
        settings: The configuration.
        names: What things are called.
        record: What was deployed.
        command: Name of the job's script.
        arguments: Its arguments.
        kafka: Whether it reads topics.
    """
    conf = settings.deploy.emr
    one = {
        "Name": f"{names.stem}-{command}",
        "ActionOnFailure": "TERMINATE_CLUSTER" if conf.cluster_id is None else "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [*_submit(settings, record, kafka=kafka), record["jobs"][command], *arguments],
        },
    }
    if conf.cluster_id is not None:
        return Request("emr", "AddJobFlowSteps", {"JobFlowId": conf.cluster_id, "Steps": [one]})
    return Request("emr", "RunJobFlow", {**_cluster(settings, names, record), "Steps": [one]})


def _cluster(settings: Settings, names: Names, record: Mapping[str, Any]) -> dict[str, Any]:
    """A cluster that ends with its steps."""
    conf = settings.deploy.emr
    instances: dict[str, Any] = {
        "MasterInstanceType": conf.instance_type,
        "InstanceCount": conf.instances,
        "KeepJobFlowAliveWhenNoSteps": False,
        "TerminationProtected": False,
    }
    if conf.instances > 1:
        instances["SlaveInstanceType"] = conf.instance_type
    if conf.subnet is not None:
        instances["Ec2SubnetId"] = conf.subnet
    return {
        "Name": names.stem,
        "ReleaseLabel": conf.release,
        "Applications": [{"Name": "Spark"}],
        "Configurations": [
            {"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}}
        ],
        "Instances": instances,
        "JobFlowRole": names.role,
        "ServiceRole": conf.service_role,
        "LogUri": f"{record['logs']}/emr/",
        "Tags": [{"Key": TAG, "Value": names.owner}],
        "VisibleToAllUsers": True,
    }


def _submit(settings: Settings, record: Mapping[str, Any], *, kafka: bool) -> list[str]:
    own = {**_ATTEMPTS, **settings.deploy.emr.settings}
    told = spark.settings(runtime(settings, "emr"), _DRIVER, record["libraries"], own, kafka=kafka)
    return [
        *("spark-submit", "--master", "yarn", "--deploy-mode", "cluster"),
        *("--py-files", str(record["code"])),
        *spark.words(told),
    ]
