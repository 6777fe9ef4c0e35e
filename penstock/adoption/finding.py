"""What becomes of one feature group: a contract and a place for it, or one line that says why not.

What DescribeFeatureGroup tells is taken over. A group is adopted only where its contract and its
place agree with AWS by the comparison that ``provision --check`` makes. It stays its owner's:
``manage: false``. Pure.

Not asked for: tags, and what was said about single features, which take a call for each.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import ValidationError

from penstock.adoption.conf_text import Entry
from penstock.adoption.contract_text import module
from penstock.config import Group, Settings
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.difference import difference, ttl_of
from penstock.errors import ContractError

_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:[0-9]{12}:feature-group/[a-zA-Z0-9_-]+")
_FEW = 3  # names that are told


@dataclass(frozen=True)
class Adopted:
    """A group as a project has it.

    Args:
        group: Its contract.
        name: Its name on AWS.
        entry: Where it lives, for ``conf``.
    """

    group: FeatureGroup
    name: str
    entry: Entry

    @property
    def path(self) -> str:
        """Its module, relative to the project."""
        return f"schemas/{self.group.name}.py"

    @property
    def text(self) -> str:
        """Its module's text."""
        return module(self.group, self.name)


@dataclass(frozen=True)
class Finding:
    """What becomes of a group.

    Args:
        physical: Its name on AWS, or the ARN it was asked for by.
        action: ``adopt``; ``keep`` where the project has a contract for it; ``skip``.
        reason: Why it is not adopted, one line.
        adopted: What it becomes, where it is adopted.
    """

    physical: str
    action: Literal["adopt", "keep", "skip"]
    reason: str = ""
    adopted: Adopted | None = None


def finding(
    physical: str, described: Mapping[str, Any], settings: Settings, known: Mapping[str, str]
) -> Finding:
    """What becomes of a group, apart from what lies in the project's folder.

    Args:
        physical: Name, or ARN it was asked for by.
        described: DescribeFeatureGroup's answer, all pages.
        settings: What ``conf`` says so far; what it says of the group already wins.
        known: The project's contracts by lower-case name or ARN on AWS.
    """
    for one in (physical, described["FeatureGroupArn"]):
        if one.lower() in known:
            return Finding(physical, "keep", f"the project has it as {known[one.lower()]!r}")
    status = described["FeatureGroupStatus"]
    if status != "Created":
        return Finding(physical, "skip", f"it is {status}, not Created")
    try:
        group = _contract(described)
        entry = _entry(group, physical, described)
        place = _place(entry, settings, group.name)
    except ContractError as error:
        return Finding(physical, "skip", error.message)
    groups = {**settings.groups, group.name: place}
    apart = difference(group, settings.model_copy(update={"groups": groups}), described)
    if not apart.agrees:
        why = "; ".join(apart.missing + apart.conflicts)
        return Finding(physical, "skip", f"with groups.{group.name} as conf has it: {why}")
    adopted = Adopted(group, described["FeatureGroupName"], entry)
    return Finding(physical, "adopt", adopted=adopted)


def contract_name(physical: str) -> str:
    """The name a group bears in a project: its own, or the nearest that is a Python identifier."""
    name = physical.rpartition("/")[2].replace("-", "_")
    fit = name.isidentifier() and not keyword.iskeyword(name)
    return name if fit else f"group_{name}"


def _contract(described: Mapping[str, Any]) -> FeatureGroup:
    """The contract; raises ContractError where a contract cannot say what the group is."""
    definitions = described["FeatureDefinitions"]
    collections = [one["FeatureName"] for one in definitions if one.get("CollectionType")]
    if collections:
        more = " and more" if len(collections) > _FEW else ""
        some = ", ".join(collections[:_FEW]) + more
        raise ContractError(f"contracts have no collections and no vectors: {some}")
    seconds = ttl_of(described)
    return FeatureGroup(
        name=contract_name(described["FeatureGroupName"]),
        description=described.get("Description") or "",
        record_identifier=described["RecordIdentifierFeatureName"],
        event_time=described["EventTimeFeatureName"],
        features=tuple(
            Feature(one["FeatureName"], FeatureType(one["FeatureType"])) for one in definitions
        ),
        ttl=None if seconds is None else timedelta(seconds=seconds),
    )


def _entry(group: FeatureGroup, physical: str, described: Mapping[str, Any]) -> Entry:
    """Where it lives and which stores it has; the service goes on writing its offline store."""
    online = described.get("OnlineStoreConfig") or {}
    storage = (described.get("OfflineStoreConfig") or {}).get("S3StorageConfig")
    enabled = bool(online.get("EnableOnlineStore"))
    if not enabled and storage is None:
        raise ContractError("it has neither an online nor an offline store")
    tier = online.get("StorageType", "Standard")
    only = "online" if enabled else "offline"
    values = {
        "physical": None if physical == group.name else physical,
        "stores": "both" if enabled and storage else only,
        "owner": "service" if storage else "direct",
        "s3_uri": None if storage is None else storage["S3Uri"],
        "role_arn": described.get("RoleArn"),
        "kms_key": (online.get("SecurityConfig") or {}).get("KmsKeyId") if enabled else None,
        "storage_type": tier if enabled and tier != "Standard" else None,
    }
    kept = {key: one for key, one in values.items() if one is not None}
    return Entry(kept, tuple(_remarks(described)))


def _remarks(described: Mapping[str, Any]) -> list[str]:
    """Its ARN, and what neither contract nor conf has a word for: it counts at creation only."""
    offline = described.get("OfflineStoreConfig") or {}
    throughput = (described.get("ThroughputConfig") or {}).get("ThroughputMode")
    more = {
        "a key of the offline store": (offline.get("S3StorageConfig") or {}).get("KmsKeyId"),
        "table format Iceberg": offline.get("TableFormat") == "Iceberg",
        "no Glue table, or one of your own": offline.get("DisableGlueTableCreation"),
        "provisioned throughput": throughput == "Provisioned",
    }
    said = [name for name, there in more.items() if there]
    arn = described["FeatureGroupArn"]
    lines = [arn] if _ARN.fullmatch(arn) else []
    return [*lines, f"AWS has more of it than is said here: {', '.join(said)}"] if said else lines


def _place(entry: Entry, settings: Settings, name: str) -> Group:
    """The place as conf will have it."""
    there = settings.groups.get(name, Group()).model_dump(exclude_unset=True)
    try:
        return Group.model_validate({**entry.plain, **there})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(one) for one in first["loc"]) or "stores"
        raise ContractError(f"conf cannot say its {key}: {first['msg']}") from None
