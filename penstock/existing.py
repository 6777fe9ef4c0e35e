"""Feature groups as AWS has them: listed, described, and what a refusal means. Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from penstock import aws
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_ABSENT = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
#: Somebody else is changing the group at this moment.
_BUSY = frozenset({"ResourceInUse", "ConflictException"})


def listed(sagemaker: SageMakerClient) -> list[str]:
    """Names of all feature groups of the account in this region, sorted.

    Raises:
        CredentialsError: Listing them was denied.
        TemporaryError: AWS did not answer.
    """
    pages = sagemaker.get_paginator("list_feature_groups").paginate()
    try:
        return sorted(
            one["FeatureGroupName"] for page in pages for one in page["FeatureGroupSummaries"]
        )
    except ClientError as error:
        raise aws.explained(error) or error from error


def describe(sagemaker: SageMakerClient, physical: str) -> dict[str, Any] | None:
    """All pages of the description of a group, or None where there is no such group.

    Args:
        sagemaker: A SageMaker client.
        physical: Name or ARN.

    Raises:
        CredentialsError: Describing it was denied.
        TemporaryError: AWS did not answer.
    """
    try:
        found: dict[str, Any] = dict(sagemaker.describe_feature_group(FeatureGroupName=physical))
        definitions = list(found["FeatureDefinitions"])
        token = found.get("NextToken")
        while token:
            page: Any = sagemaker.describe_feature_group(FeatureGroupName=physical, NextToken=token)
            definitions += page["FeatureDefinitions"]
            token = page.get("NextToken")
    except ClientError as error:
        if aws.code(error) in _ABSENT:
            return None
        raise refused(error, physical) from error
    return {**found, "FeatureDefinitions": definitions}


def refused(error: ClientError, physical: str) -> PenstockError:
    """AWS's refusal of a call about one group, as one of our errors."""
    known = aws.explained(error)
    if isinstance(known, CredentialsError):
        return known
    text = f"{aws.code(error)}: {error.response['Error'].get('Message', '')}"
    if aws.code(error) in _BUSY:
        message = f"feature group {physical!r} is being changed by somebody else: {text}"
        return TemporaryError(message, "Run the same command again")
    if aws.code(error) == "ResourceLimitExceeded":  # also four creations at a time (AWS quotas)
        message = f"AWS has no room for feature group {physical!r}: {text}"
        return TemporaryError(message, "Wait for other creations, or raise the quota; run again")
    if aws.code(error) in ("ValidationException", *_ABSENT):
        message = f"AWS refused feature group {physical!r}: {text}"
        return UsageError(message, "Correct what it names in the contract or in conf")
    return known or TemporaryError(text, "Run the same command again")
