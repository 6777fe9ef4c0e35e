"""What the role may do of what runs do: asked of IAM's simulator, else by calls that only read.

Nothing is written. What neither tells is said to be unchecked. The simulator knows the role's own
policies and boundaries, not those of buckets, keys and organizations (IAM user guide).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.config import Settings
from penstock.doctor.finding import Finding
from penstock.errors import PenstockError
from penstock.storage import is_s3

_SESSION = re.compile(r"^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.*$")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_ABSENT = frozenset({"EntityNotFoundException", "ResourceNotFound", "ResourceNotFoundException"})
#: An identifier no record has; what GetRecord says of it is whether we may ask.
_NOBODY = "penstock-doctor"


@dataclass(frozen=True)
class Need:
    """Actions that a part of penstock needs on some resources.

    Args:
        what: The service, as IAM calls it.
        why: What is not possible without.
        actions: Names after the colon.
        resources: ARNs.
    """

    what: str
    why: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def needs(settings: Settings, groups: Sequence[str], arn: str, region: str) -> list[Need]:
    """What the role of a project must be allowed, by its configuration.

    Args:
        settings: The configuration.
        groups: Logical names of its groups.
        arn: Of the caller: partition and account are taken from it.
        region: Where.
    """
    _, partition, _, _, account, *_ = arn.split(":")
    base = f"arn:{partition}"
    there = tuple(_group_arn(settings, one, base, region, account) for one in groups)
    sending = tuple(
        where for one, where in zip(groups, there, strict=True) if settings.group(one).sends
    )
    found = [
        Need("sagemaker", "provision", ("DescribeFeatureGroup", "CreateFeatureGroup",
                                        "UpdateFeatureGroup"), there),
        Need("sagemaker", "ingest", ("PutRecord", "BatchWriteRecord", "DeleteRecord"), sending),
        Need("sagemaker", "get, reconcile", ("GetRecord", "BatchGetRecord", "ListRecords"),
             sending),
    ]  # fmt: skip
    roles = {settings.group(one).role_arn for one in groups} - {None}
    found.append(Need("iam", "provision", ("PassRole",), tuple(sorted(filter(None, roles)))))
    if settings.catalog.register_tables:
        database, glue = settings.catalog.database, f"{base}:glue:{region}:{account}"
        where = (f"{glue}:catalog", f"{glue}:database/{database}", f"{glue}:table/{database}/*")
        actions = ("GetDatabase", "CreateDatabase", "GetTable", "CreateTable", "UpdateTable")
        found.append(Need("glue", "catalogue", actions, where))
    keys = tuple(f"{base}:s3:::{one.removeprefix('s3://').rstrip('/')}/*" for one in _s3(settings))
    buckets = tuple(
        f"{base}:s3:::{one.removeprefix('s3://').partition('/')[0]}" for one in _s3(settings)
    )
    found.append(Need("s3", "lake and state", ("GetObject", "PutObject", "DeleteObject"), keys))
    found.append(Need("s3", "lake and state", ("ListBucket",), buckets))
    return [one for one in found if one.resources]


def _group_arn(settings: Settings, name: str, base: str, region: str, account: str) -> str:
    physical = settings.group(name).physical or name
    if physical.startswith("arn:"):
        return physical
    return f"{base}:sagemaker:{region}:{account}:feature-group/{physical}"


def _s3(settings: Settings) -> list[str]:
    return [one for one in (settings.lake, settings.state) if is_s3(one)]


def permissions(
    endpoint: aws.Endpoint, arn: str, settings: Settings, groups: Sequence[str]
) -> list[Finding]:
    """A line for each thing that needs some: allowed, denied and what to allow, or unchecked.

    Args:
        endpoint: Where AWS is.
        arn: Of the caller.
        settings: The configuration.
        groups: Logical names of the project's groups.
    """
    if settings.aws.embedded:
        return [Finding("permissions", ok=True, found="the embedded AWS allows everything")]
    if arn.endswith(":root"):
        remedy = "Use a role: docs/security.md has its policy"
        return [
            Finding(
                "permissions", ok=True, found="the root user is allowed everything", remedy=remedy
            )
        ]
    wanted = needs(settings, groups, arn, endpoint.region)
    try:
        iam: Any = aws.client(endpoint, "iam", attempts=2)
        who = _principal(iam, arn)
        return [_simulated(iam, who, one) for one in wanted]
    except (ClientError, BotoCoreError, PenstockError) as error:
        why = aws.code(error) if isinstance(error, ClientError) else type(error).__name__
    return _probed(endpoint, settings, groups, wanted, why)


def _principal(iam: Any, arn: str) -> str:
    """The user, or the role of a session, which the simulator wants."""
    session = _SESSION.match(arn)
    if session is None:
        return arn
    try:
        return str(iam.get_role(RoleName=session[3])["Role"]["Arn"])  # its path is in no session
    except ClientError:
        return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"


def _simulated(iam: Any, who: str, need: Need) -> Finding:
    answers: list[Mapping[str, Any]] = []
    asked: dict[str, Any] = {
        "PolicySourceArn": who,
        "ActionNames": [f"{need.what}:{one}" for one in need.actions],
        "ResourceArns": list(need.resources),
    }
    while True:
        page = iam.simulate_principal_policy(**asked)
        answers += page["EvaluationResults"]
        if not page.get("IsTruncated"):
            break
        asked["Marker"] = page["Marker"]
    denied: dict[str, str] = {}
    for one in answers:
        parts = one.get("ResourceSpecificResults") or [
            {"EvalResourceName": one.get("EvalResourceName"),
             "EvalResourceDecision": one["EvalDecision"]}
        ]  # fmt: skip
        for part in parts:
            if part["EvalResourceDecision"] != "allowed":
                denied.setdefault(one["EvalActionName"], part["EvalResourceName"])
    name = f"permissions {need.what} ({need.why})"
    if not denied:
        return Finding(name, ok=True, found=f"may {', '.join(need.actions)}")
    where = next(iter(denied.values()))
    remedy = f"Allow {', '.join(denied)} on {where}: docs/security.md"
    return Finding(
        name, ok=False, found=f"{who} may not {', '.join(denied)}", remedy=remedy, code=77
    )


def _probed(
    endpoint: aws.Endpoint,
    settings: Settings,
    groups: Sequence[str],
    wanted: Sequence[Need],
    why: str,
) -> list[Finding]:
    """Calls that read, and what they do not tell."""
    physical = settings.group(groups[0]).physical or groups[0] if groups else _NOBODY
    calls: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "DescribeFeatureGroup": (
            "sagemaker", lambda one: one.describe_feature_group(FeatureGroupName=physical)),
        "GetRecord": (
            "sagemaker-featurestore-runtime",
            lambda one: one.get_record(
                FeatureGroupName=physical, RecordIdentifierValueAsString=_NOBODY)),
        "GetDatabase": ("glue", lambda one: one.get_database(Name=settings.catalog.database)),
        "GetTable": (
            "glue",
            lambda one: one.get_table(DatabaseName=settings.catalog.database, Name=_NOBODY)),
    }  # fmt: skip
    found = []
    for need in wanted:
        name = f"permissions {need.what} ({need.why})"
        tried = {one: _asked(endpoint, *calls[one]) for one in need.actions if one in calls}
        denied = [one for one, answer in tried.items() if answer is False]
        if denied:
            actions = ", ".join(f"{need.what}:{one}" for one in denied)
            remedy = f"Allow {actions} on {need.resources[0]}: docs/security.md"
            said = f"may not {', '.join(denied)}"
            found.append(Finding(name, ok=False, found=said, remedy=remedy, code=77))
            continue
        may = [one for one, answer in tried.items() if answer]
        rest = [one for one in need.actions if one not in may]
        said = f"may {', '.join(may)}; " if may else ""
        if rest:
            said += f"{', '.join(rest)} could not be checked ({why})"
            remedy = "Allow iam:SimulatePrincipalPolicy to have it checked; nothing is written here"
            found.append(Finding(name, ok=None, found=said, remedy=remedy))
        else:
            found.append(Finding(name, ok=True, found=said.removesuffix("; ")))
    return found


def _asked(endpoint: aws.Endpoint, service: str, call: Callable[[Any], Any]) -> bool | None:
    """Whether a call is allowed: it answers, or finds nothing. None where that is not told."""
    try:
        call(aws.client(endpoint, service, attempts=2))
    except ClientError as error:
        if aws.code(error) in _DENIED:
            return False
        return True if aws.code(error) in _ABSENT else None
    except (BotoCoreError, PenstockError):
        return None
    return True
