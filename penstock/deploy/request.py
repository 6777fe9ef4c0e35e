"""A request to AWS as a value: printed, sent, or written down. What is sent is what was printed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from penstock import aws
from penstock.catalog import Retry
from penstock.deploy.place import Place
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError

#: The request as it stands is not taken, now or later (API models of IAM, S3, EMR, Glue).
_REFUSED = frozenset(
    {
        "DeleteConflict",
        "EntityNotFoundException",
        "InvalidInput",
        "InvalidInputException",
        "InvalidRequestException",
        "LimitExceeded",
        "MalformedPolicyDocument",
        "NoSuchBucket",
        "NoSuchEntity",
        "ResourceNotFoundException",
        "ResourceNumberLimitExceededException",
        "ServiceQuotaExceededException",
        "ValidationError",
        "ValidationException",
    }
)
#: Glue's word about a role that IAM has not told it of yet.
_UNKNOWN_ROLE = "unable to assume"
#: How long such a role is waited for: all sleeps together last at most 55 s.
PATIENCE = Retry(attempts=9, base_s=1.0, cap_s=10.0)


@dataclass(frozen=True)
class Request:
    """One call of an AWS API.

    Args:
        service: botocore's name of it.
        operation: The API's, such as ``CreateRole``.
        parameters: What it is given, but for a body that is a file.
        body: The file of a PutObject.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    body: Path | None = None

    @property
    def name(self) -> str:
        """How it is called in a plan."""
        return f"{self.service}.{self.operation}"

    def plain(self) -> dict[str, Any]:
        """It as JSON has it; of a file its name, size and digest."""
        shown = {**self.parameters}
        if self.body is not None:
            shown["Body"] = {"file": self.body.name, **about(self.body.read_bytes())}
        return {"service": self.service, "operation": self.operation, "parameters": shown}


def about(content: bytes) -> dict[str, Any]:
    """What a plan says of bytes that are sent."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def send(place: Place, request: Request, retry: Retry = PATIENCE) -> dict[str, Any]:
    """Send it; answers what AWS answered.

    Args:
        place: Where to.
        request: The request.
        retry: How long a role that is not known everywhere yet is waited for.

    Raises:
        UsageError: AWS refused the request as it stands.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer, or somebody else changed the same at the same time.
    """
    call = getattr(place.client(request.service), xform_name(request.operation))
    for n in range(retry.attempts):
        try:
            if request.body is None:
                return dict(call(**request.parameters))
            with request.body.open("rb") as file:
                return dict(call(**request.parameters, Body=file))
        except ClientError as error:
            said = error.response["Error"].get("Message", "")
            if _UNKNOWN_ROLE not in said or n + 1 == retry.attempts:
                raise explained(error) from error
            retry.sleep(retry.delay(n))
    raise AssertionError  # the last attempt returns or raises


def explained(error: ClientError) -> PenstockError:
    """AWS's error as ours."""
    known = aws.explained(error)
    if isinstance(known, CredentialsError):
        return known
    said = error.response["Error"].get("Message", "")
    text = f"{error.operation_name}: {aws.code(error)}: {said}"
    if aws.code(error) in _REFUSED and _UNKNOWN_ROLE not in said:
        return UsageError(f"AWS refused {text}", "Correct what it names in conf")
    return TemporaryError(text, "Run the same command again later")
