"""A contract beside what AWS has: the request that creates a group, and how one differs. Pure.

penstock writes the offline store itself unless ``owner: service`` leaves it to the service, so the
groups it makes have an online store, an offline store, or both, as ``conf`` says. A difference is
something to add, something in the way, or something only AWS has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from penstock.config import Group, Settings
from penstock.contract import Feature, FeatureGroup
from penstock.errors import UsageError

MAX_DESCRIPTION = 128  # SageMaker API model, CreateFeatureGroup
#: The group's own offline store gets what PutRecord sends to both stores; we send online only.
FEED_STOPS = "it has an offline store of its own, which would get no rows any more"
_UNIT_S = {"Seconds": 1, "Minutes": 60, "Hours": 3_600, "Days": 86_400, "Weeks": 604_800}


@dataclass(frozen=True)
class Difference:
    """How a group on AWS differs from its contract.

    Args:
        physical: Its name or ARN on AWS.
        absent: There is no such group.
        additions: Features it lacks; they can be added.
        conflicts: One line each for what cannot be changed.
        extra: Features only AWS has. They stay; records written by the contract leave them null.
        ttl: The group's time to live that is to be set; records written earlier keep theirs.
        managed: Whether it is ours to make and change; else additions are somebody else's to make.
    """

    physical: str
    absent: bool = False
    additions: tuple[Feature, ...] = ()
    conflicts: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    ttl: timedelta | None = None
    managed: bool = True

    @property
    def agrees(self) -> bool:
        """Nothing to do and nothing in the way."""
        return not (self.absent or self.additions or self.conflicts or self.ttl)

    @property
    def missing(self) -> tuple[str, ...]:
        """One line each for what the contract has and AWS has not."""
        new = ("feature group",) if self.absent else ()
        added = tuple(f"{one.name} {one.type.value}" for one in self.additions)
        kept = () if self.ttl is None else (f"time to live {self.ttl.total_seconds():.0f} s",)
        return new + added + kept

    def lines(self) -> tuple[str, ...]:
        """For people: ``+`` will be added, ``!`` is in the way, ``~`` stays as it is."""
        mark = "+" if self.managed else "! not there, and its owner's to make (manage: false):"
        return (
            *(f"{mark} {one}" for one in self.missing),
            *(f"! {one}" for one in self.conflicts),
            *(f"~ {name} (only on AWS)" for name in self.extra),
        )


def difference(group: FeatureGroup, settings: Settings, described: Mapping[str, Any]) -> Difference:
    """Contract against DescribeFeatureGroup's answer. Pure.

    Not compared: key, role and tags, which serve at creation only and have several spellings.
    """
    place = settings.group(group.name)
    theirs = {one["FeatureName"]: one for one in described["FeatureDefinitions"]}
    there = ttl_of(described)
    conflicts = [
        *_role_conflicts(group, described),
        *_type_conflicts(group, theirs),
        *store_conflicts(place, described),
        *_online_conflicts(group, place, described),
    ]
    wanted = group.ttl if place.is_online else None
    return Difference(
        place.physical or group.name,
        additions=tuple(one for one in group.features if one.name not in theirs),
        conflicts=tuple(conflicts),
        extra=tuple(sorted(theirs.keys() - set(group.names))),
        ttl=wanted if wanted and wanted.total_seconds() != there else None,
        managed=place.manage,
    )


def create_request(group: FeatureGroup, settings: Settings) -> dict[str, Any]:
    """The CreateFeatureGroup request, with the stores ``conf`` names.

    Raises:
        UsageError: An offline store of the service's needs a place and a role.
    """
    place = settings.group(group.name)
    tags = [{"Key": "penstock:group", "Value": group.name}]
    request: dict[str, Any] = {
        "FeatureGroupName": place.physical or group.name,
        "RecordIdentifierFeatureName": group.record_identifier,
        "EventTimeFeatureName": group.event_time,
        "FeatureDefinitions": [definition(one) for one in group.features],
        "Tags": tags + [{"Key": tag, "Value": ""} for tag in group.tags],
    }
    if place.is_online:
        request["OnlineStoreConfig"] = _online_store(group, place)
    if place.owner == "service":
        request["OfflineStoreConfig"] = _offline_store(group, settings)
    if place.role_arn:
        request["RoleArn"] = place.role_arn
    description = " ".join(group.description.split())[:MAX_DESCRIPTION]
    return {**request, "Description": description} if description else request


def ttl_duration(ttl: timedelta) -> dict[str, Any]:
    """A TtlDuration."""
    return {"Unit": "Seconds", "Value": int(ttl.total_seconds())}


def definition(feature: Feature) -> dict[str, str]:
    """A FeatureDefinition."""
    return {"FeatureName": feature.name, "FeatureType": feature.type.value}


def store_conflicts(place: Group, described: Mapping[str, Any]) -> list[str]:
    """What makes our writing wrong: a store that is missing, or a feed we would silently stop."""
    online = (described.get("OnlineStoreConfig") or {}).get("EnableOnlineStore")
    offline = described.get("OfflineStoreConfig")
    found = ["it has no online store"] if place.is_online and not online else []
    if place.owner == "service" and not offline:
        found.append("it has no offline store of its own, which owner: service needs")
    if place.owner == "direct" and offline and not place.detach_offline:
        found.append(FEED_STOPS)
    return found


def ttl_of(described: Mapping[str, Any]) -> int | None:
    """The default time to live of a described group, seconds; None where it has none."""
    ttl = (described.get("OnlineStoreConfig") or {}).get("TtlDuration") or {}
    unit, value = ttl.get("Unit"), ttl.get("Value")
    return None if unit is None or value is None else _UNIT_S[unit] * int(value)


def remedy(group: str, conflicts: Sequence[str]) -> str:
    """What to do about conflicts."""
    key = f"groups.{group}"
    if FEED_STOPS in conflicts:
        return f"Set {key}.owner: service, or {key}.detach_offline: true to end that store's feed"
    return f"Correct the contract or {key} in conf, or set {key}.physical to a new name"


def _online_store(group: FeatureGroup, place: Group) -> dict[str, Any]:
    online: dict[str, Any] = {"EnableOnlineStore": True, "StorageType": place.storage_type}
    if place.kms_key:
        online["SecurityConfig"] = {"KmsKeyId": place.kms_key}
    if group.ttl is not None:
        online["TtlDuration"] = ttl_duration(group.ttl)
    return online


def _offline_store(group: FeatureGroup, settings: Settings) -> dict[str, Any]:
    place = settings.group(group.name)
    if not place.s3_uri or not place.role_arn:
        message = f"feature group {group.name!r}: owner: service needs a place and a role"
        raise UsageError(message, f"Set groups.{group.name}.s3_uri and .role_arn in conf")
    storage = {"S3StorageConfig": {"S3Uri": place.s3_uri}}
    return {**storage, "DisableGlueTableCreation": not settings.catalog.register_tables}


def _online_conflicts(group: FeatureGroup, place: Group, described: Mapping[str, Any]) -> list[str]:
    online = described.get("OnlineStoreConfig") or {}
    if not place.is_online or not online.get("EnableOnlineStore"):
        return []
    tier = online.get("StorageType", "Standard")
    found = []
    if tier != place.storage_type:
        found.append(f"its storage type is {tier}, not {place.storage_type}")
    there = ttl_of(described)
    if there is not None and group.ttl is None:
        found.append(f"its records expire after {there} s, the contract has no ttl")
    return found


def _role_conflicts(group: FeatureGroup, described: Mapping[str, Any]) -> list[str]:
    pairs = (
        ("record identifier", described["RecordIdentifierFeatureName"], group.record_identifier),
        ("event time", described["EventTimeFeatureName"], group.event_time),
    )
    return [f"{role} is {theirs}, not {ours}" for role, theirs, ours in pairs if theirs != ours]


def _type_conflicts(group: FeatureGroup, theirs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    both = [(one, theirs[one.name]) for one in group.features if one.name in theirs]
    return [
        f"{ours.name} is {_kind(there)}, not {ours.type.value}"
        for ours, there in both
        if _kind(there) != ours.type.value
    ]


def _kind(definition: Mapping[str, Any]) -> str:
    collection = definition.get("CollectionType")
    kind = str(definition.get("FeatureType"))
    return f"{collection} of {kind}" if collection else kind
