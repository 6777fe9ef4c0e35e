"""The feature group on AWS, as a run must find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from penstock import aws
from penstock.contract import FeatureGroup
from penstock.difference import remedy, store_conflicts
from penstock.errors import TemporaryError, UsageError
from penstock.run.context import Context


def check_group(context: Context, group: FeatureGroup) -> None:
    """Return where the group is there, with the stores it is to have.

    Raises:
        UsageError: It is not, is not ready, or has other stores.
    """
    place = context.settings.group(group.name)
    if not place.sends:
        return
    physical = place.physical or group.name
    sagemaker = context.client("sagemaker")
    try:
        described = sagemaker.describe_feature_group(FeatureGroupName=physical)
    except sagemaker.exceptions.ResourceNotFound:
        message = f"there is no feature group {physical!r} in {context.endpoint.region}"
        raise UsageError(message, f"Run: penstock provision {group.name}") from None
    status = described["FeatureGroupStatus"]
    if status != "Created":
        message = f"feature group {physical!r} is {status}"
        raise UsageError(message, "Wait until it is Created, or provision it anew")
    conflicts = store_conflicts(place, described)
    if conflicts:
        message = f"feature group {physical!r} on AWS: {'; '.join(conflicts)}"
        raise UsageError(message, remedy(group.name, conflicts))


@contextmanager
def known_online(context: Context, group: FeatureGroup) -> Iterator[None]:
    """Calls about records of a group: that there is no such group is said as a run says it.

    Raises:
        UsageError: As :func:`check_group`, which is asked where a call finds no group.
        TemporaryError: The group is there all the same.
    """
    try:
        yield
    except ClientError as error:
        if aws.code(error) != "ResourceNotFound":
            raise
        check_group(context, group)
        message = f"the online store does not find {group.name!r}, which is there"
        raise TemporaryError(message, "Run the same command again") from error
