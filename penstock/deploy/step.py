"""One piece of a deployment: what it is to be, and the requests that bring it there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from penstock import aws
from penstock.deploy.archive import Artefact
from penstock.deploy.place import Place
from penstock.deploy.request import Request, explained
from penstock.errors import UsageError
from penstock.leaves import differences, parsed
from penstock.roles import TAG, Role, calls, find, wanted_shape

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True)
class Step:
    """One piece.

    Args:
        what: It, as people call it.
        action: ``create`` and ``update`` are what is to be done; ``none`` is agreement.
        requests: What is sent, in order.
        differences: ``key: old → new``, of an update.
    """

    what: str
    action: Literal["create", "update", "none"]
    requests: tuple[Request, ...] = ()
    differences: tuple[str, ...] = ()


def changed(
    what: str, there: Mapping[str, Any], wanted: Mapping[str, Any], *requests: Request
) -> Step:
    """A piece that exists: agreement, or an update by those requests."""
    found = tuple(differences(there, wanted))
    return Step(what, "update", requests, found) if found else Step(what, "none")


def role_step(place: Place, wanted: Role) -> Step:
    """The jobs' role.

    Raises:
        UsageError: A role of that name was made by somebody else, or the policy is too long.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    what = f"role {wanted.name}"
    try:
        there = find(place.client("iam"), wanted.name)
    except ClientError as error:
        raise explained(error) from error
    if there is not None and there.tags.get(TAG) != wanted.owner:
        raise not_ours(what, wanted.owner)
    requests = tuple(Request("iam", name, given) for name, given in calls(there, wanted))
    if there is None:
        return Step(what, "create", requests)
    return changed(what, there.shape(), wanted_shape(wanted), *requests)


def artefact_steps(place: Place, folder: str, artefacts: Iterator[Artefact]) -> list[Step]:
    """What is shipped; an object of that name has that content.

    Raises:
        UsageError: There is no such bucket.
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    found = []
    for one in artefacts:
        parameters = {"Bucket": bucket, "Key": f"{prefix}/{one.name}".lstrip("/")}
        if _is_there(place, parameters):
            found.append(Step(f"file {one.name}", "none"))
        else:
            request = Request("s3", "PutObject", parameters, one.path)
            found.append(Step(f"file {one.name}", "create", (request,)))
    return found


def document_step(place: Place, what: str, uri: str, wanted: Mapping[str, Any]) -> Step:
    """A small JSON document on S3.

    Raises:
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    there, text = document(place, uri), json.dumps(wanted, indent=2, sort_keys=True)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    parameters = {"Bucket": bucket, "Key": key, "Body": text, "ContentType": "application/json"}
    request = Request("s3", "PutObject", parameters)
    if there is None:
        return Step(what, "create", (request,))
    return changed(what, there, wanted, request)


def document(place: Place, uri: str) -> dict[str, Any] | None:
    """What such a document says; None where there is none.

    Raises:
        CredentialsError: AWS denied it.
        TemporaryError: AWS did not answer.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        body = place.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if aws.code(error) in _ABSENT:
            return None
        raise explained(error) from error
    found = parsed(body.decode("utf-8", "replace"))
    return found if isinstance(found, dict) else {}


def not_ours(what: str, owner: str) -> UsageError:
    """Something of that name bears no tag of ours, or that of another project or environment."""
    message = f"{what} was not made by penstock for {owner}"
    return UsageError(message, "Delete it yourself, or name another under 'deploy' in conf")


def _is_there(place: Place, parameters: Mapping[str, str]) -> bool:
    try:
        place.client("s3").head_object(**parameters)
    except ClientError as error:
        if aws.code(error) not in _ABSENT:
            raise explained(error) from error
        _check_bucket(place, parameters["Bucket"])
        return False
    return True


def _check_bucket(place: Place, bucket: str) -> None:
    """HeadObject answers 404 for a bucket that is not there as well."""
    try:
        place.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        if aws.code(error) not in _ABSENT:
            return  # the right to look at the bucket is not needed to write into it
        message = f"there is no bucket {bucket!r}"
        raise UsageError(message, "Make it, or correct deploy.location in conf") from error
