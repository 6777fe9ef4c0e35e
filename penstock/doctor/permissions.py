"""What the role may do of what runs do: asked of IAM's simulator, else by calls that only read.

Nothing is written. What neither tells is said to be unchecked. The simulator knows the role's own
policies and boundaries, not those of buckets, keys and organizations (IAM user guide).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.config import Settings
from penstock.crawler.place import Account
from penstock.doctor.finding import Finding
from penstock.errors import PenstockError
from penstock.rights import Right, rights

_SESSION = re.compile(r"^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.*$")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_ABSENT = frozenset({"EntityNotFoundException", "ResourceNotFound", "ResourceNotFoundException"})
#: An identifier no record has; what GetRecord says of it is whether we may ask.
_NOBODY = "penstock-doctor"


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
    _, partition, _, _, number, *_ = arn.split(":")
    wanted = rights(settings, groups, Account(number, endpoint.region, partition))
    try:
        iam: Any = aws.client(endpoint, "iam", attempts=2)
        who = _principal(iam, arn)
        # Keys that other statements ask for are told as well: without them IAM says "missing".
        known = {key: value for one in wanted for key, value in one.contexts()[0].items()}
        return [_simulated(iam, who, one, known) for one in wanted]
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


def _simulated(iam: Any, who: str, need: Right, known: Mapping[str, str]) -> Finding:
    """What IAM decides of a right, in each context in which it is needed.

    A denial for which IAM lacked the value of a context key is none; nor is one on a key of KMS,
    whose own policy may allow what the role's do not.
    """
    denied: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for context in need.contexts():
        for action, part in _denials(iam, who, need, {**known, **context}):
            missing = part.get("MissingContextValues")
            if missing:
                unknown[action] = f"its policies ask for {', '.join(sorted(missing))}"
            elif need.service == "kms" and part["EvalResourceDecision"] == "implicitDeny":
                unknown[action] = "if anything allows it, the key's own policy does"
            else:
                denied.setdefault(action, part["EvalResourceName"])
    name = f"permissions {need.service} ({need.why})"
    if denied:
        where = next(iter(denied.values()))
        remedy = f"Allow {', '.join(denied)} on {where}: docs/security.md"
        said = f"{who} may not {', '.join(denied)}"
        return Finding(name, ok=False, found=said, remedy=remedy, code=77)
    if unknown:
        said = f"{', '.join(unknown)} not checked: {'; '.join(sorted({*unknown.values()}))}"
        remedy = f"Look whether {who} may do that on {need.resources[0]}"
        return Finding(name, ok=None, found=said, remedy=remedy)
    return Finding(name, ok=True, found=f"may {', '.join(need.actions)}")


def _denials(
    iam: Any, who: str, need: Right, context: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Actions with what IAM says of a resource on which they are not allowed in that context."""
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=who,
        ActionNames=[f"{need.service}:{one}" for one in need.actions],
        ResourceArns=[*need.resources],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
            for key, value in sorted(context.items())
        ],
    )
    for one in (one for page in pages for one in page["EvaluationResults"]):
        whole = {**one, "EvalResourceDecision": one["EvalDecision"]}
        by_place: dict[str, list[Mapping[str, Any]]] = {}
        for part in one.get("ResourceSpecificResults") or [whole]:
            by_place.setdefault(_place(part["EvalResourceName"]), []).append(part)
        for parts in by_place.values():
            if all(part["EvalResourceDecision"] != "allowed" for part in parts):
                yield one["EvalActionName"], parts[-1]


def _place(arn: str) -> str:
    """What a right names in more than one way, of which one will do.

    A place on S3 is an object or a folder; a group's name may be in small letters.
    """
    return arn.removesuffix("/*").lower()


def _probed(
    endpoint: aws.Endpoint,
    settings: Settings,
    groups: Sequence[str],
    wanted: Sequence[Right],
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
        name = f"permissions {need.service} ({need.why})"
        tried = {one: _asked(endpoint, *calls[one]) for one in need.actions if one in calls}
        denied = [one for one, answer in tried.items() if answer is False]
        if denied:
            actions = ", ".join(f"{need.service}:{one}" for one in denied)
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
