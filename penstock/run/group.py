"""The feature group on AWS, as a run must find it."""

from __future__ import annotations

from penstock.contract import FeatureGroup
from penstock.difference import remedy, store_conflicts
from penstock.errors import UsageError
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
