"""What a role or crawler is to be changed in, and AWS's errors about them as ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from botocore.exceptions import ClientError

from penstock import aws
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError

#: IAM and Glue API models: the request as it stands is not taken, now or later.
_REFUSED = frozenset(
    {
        "DeleteConflict",
        "InvalidInput",
        "InvalidInputException",
        "LimitExceeded",
        "MalformedPolicyDocument",
        "ResourceNumberLimitExceededException",
        "ValidationError",
        "ValidationException",
    }
)
#: Glue's words for a role that IAM has not told it of yet, as people quote them: "unable to assume
#: role", "provided role", "the role". It comes as InvalidInputException.
UNKNOWN_ROLE = "unable to assume"
#: The same code for what passes; CloudFormation's users got the second from UpdateCrawler.
_PASSING = (UNKNOWN_ROLE, "while running")


@dataclass(frozen=True)
class Change:
    """What one thing is, was or will be changed in.

    Args:
        kind: What it is.
        name: Its name.
        action: ``create`` and ``update`` are what is to be done, or was; ``none`` is agreement.
        differences: ``key: old → new``, of an update.
    """

    kind: Literal["role", "crawler"]
    name: str
    action: Literal["create", "update", "none"]
    differences: tuple[str, ...] = ()


def not_ours(kind: str, name: str) -> UsageError:
    """Something of that name bears no tag of ours, or that of another project or environment."""
    message = f"{kind} {name!r} was not made by penstock for this project and environment"
    key = "role" if kind == "role" else "name"
    return UsageError(message, f"Delete it yourself, or set catalog.crawler.{key} in conf")


def explained(error: ClientError, what: str) -> PenstockError:
    """AWS's error about ``what`` as ours."""
    known = aws.explained(error)
    if isinstance(known, CredentialsError):
        return known
    said = error.response["Error"].get("Message", "")
    text = f"{error.operation_name}: {aws.code(error)}: {said}"
    if aws.code(error) in _REFUSED and not any(one in said for one in _PASSING):
        return UsageError(f"AWS refused {what}: {text}", "Correct what it names in conf")
    return TemporaryError(f"{what} was not changed: {text}", "Run the same command again later")
