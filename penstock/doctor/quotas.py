"""Whether the account has room for the project's feature groups, by Service Quotas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.config import Settings
from penstock.doctor.finding import Finding
from penstock.errors import CredentialsError, PenstockError
from penstock.existing import listed

DEFAULT_GROUPS = 100  # an account and region (SageMaker developer guide, Feature Store quotas)
ASKING = "Ask for more in Service Quotas (SageMaker, feature groups)"


def groups(endpoint: aws.Endpoint, settings: Settings, names: Sequence[str]) -> Finding:
    """Feature groups that are there, those the project would make, and the account's quota.

    Args:
        endpoint: Where AWS is.
        settings: The configuration.
        names: Logical names of the project's groups.

    Raises:
        TemporaryError: AWS did not answer.
    """
    if settings.aws.embedded:
        return Finding("quota of feature groups", ok=True, found="the embedded AWS has none")
    try:
        there = listed(aws.client(endpoint, "sagemaker", attempts=2))
    except CredentialsError as error:
        found = f"not checked: {error.message}"[:300]
        remedy = "Allow sagemaker:ListFeatureGroups to have it checked; runs do not need it"
        return Finding("quota of feature groups", ok=None, found=found, remedy=remedy)
    wanted = {(settings.group(one).physical or one).rpartition("/")[2] for one in names}
    more = len(wanted - set(there))
    quota, source = _quota(endpoint)
    limit = DEFAULT_GROUPS if quota is None else quota
    said = f"{len(there)} there, {more} to be made, {limit} allowed ({source})"
    if len(there) + more <= limit:
        return Finding("quota of feature groups", ok=True if quota else None, found=said)
    return Finding(
        "quota of feature groups",
        ok=None if quota is None else False,
        found=said,
        remedy=ASKING,
    )


def _quota(endpoint: aws.Endpoint) -> tuple[int | None, str]:
    """The account's quota and its name; None where Service Quotas does not tell."""
    try:
        client: Any = aws.client(endpoint, "service-quotas", attempts=2)
        pages = client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
        for page in pages:
            for one in page["Quotas"]:
                name = one["QuotaName"]
                if "feature groups" in name.lower() and "creation" not in name.lower():
                    return int(one["Value"]), f"{name}, {one['QuotaCode']}"
    except ClientError as error:
        return None, f"the documented default; Service Quotas: {aws.code(error)}"
    except (BotoCoreError, PenstockError) as error:
        return None, f"the documented default; Service Quotas: {type(error).__name__}"
    return None, "the documented default; Service Quotas names none"
