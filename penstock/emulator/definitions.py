"""Rules of a feature group's definition that go beyond the shapes of the model.

Source: API reference of CreateFeatureGroup and UpdateFeatureGroup, the developer guide on
collection types and quotas, AWS's notebook on catalogue configuration; the texts are our own words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from penstock.emulator.refusal import Refusal

RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
MAX_FEATURES = 2_500
MAX_GROUP_UNITS = 40_000  # quotas: provisioned read or write units of one group
MAX_REGION_UNITS = 80_000  # quotas: of all groups of a Region
CATALOG = "AwsDataCatalog"
_UNITS = ("ProvisionedReadCapacityUnits", "ProvisionedWriteCapacityUnits")
_GLUE_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_LONGEST = {"TableName": 252, "Database": 255}


def check_creation(given: dict[str, Any]) -> None:
    """Raise ValidationException for a CreateFeatureGroup that breaks a rule."""
    definitions = given["FeatureDefinitions"]
    online = given.get("OnlineStoreConfig") or {}
    offline = given.get("OfflineStoreConfig")
    enabled = bool(online.get("EnableOnlineStore"))
    _require(
        enabled or offline is not None,
        "You must include at least one of OnlineStoreConfig and OfflineStoreConfig.",
    )
    _check_definitions(definitions, online.get("StorageType") if enabled else None)
    _check_keys(given, {item["FeatureName"]: item for item in definitions})
    check_duration(online.get("TtlDuration"))
    if offline is not None:
        _check_offline(given, online)
        _check_catalog(offline)
    check_throughput(given.get("ThroughputConfig"), given.get("OnlineStoreConfig"))


def check_additions(document: dict[str, Any], additions: list[dict[str, Any]]) -> None:
    """Raise ValidationException when features cannot be added to a group."""
    definitions = document["FeatureDefinitions"] + additions
    _require(len(definitions) <= MAX_FEATURES, f"At most {MAX_FEATURES} features are allowed.")
    online = document.get("OnlineStoreConfig") or {}
    _check_definitions(definitions, online.get("StorageType"))


def check_throughput(config: dict[str, Any] | None, online: dict[str, Any] | None) -> None:
    """Raise ValidationException for a mode and units that do not fit, or not this group."""
    if not config:
        return
    _require(config.get("ThroughputMode") is not None, "ThroughputMode must be given.")
    units = [config.get(name) for name in _UNITS]
    if config["ThroughputMode"] == "OnDemand":
        _require(units == [None, None], "OnDemand takes no capacity units.")
        return
    _require(None not in units, "Provisioned needs read and write capacity units.")
    enabled = bool((online or {}).get("EnableOnlineStore"))
    standard = (online or {}).get("StorageType", "Standard") == "Standard"
    _require(standard or not enabled, "Provisioned needs the Standard online store type.")


def check_capacity(config: dict[str, Any] | None, others: Iterable[dict[str, Any]]) -> None:
    """Raise ResourceLimitExceeded when the units pass the quota of a group or of the Region.

    Args:
        config: The group's ThroughputConfig.
        others: Those of all other groups.
    """
    if not config or config.get("ThroughputMode") != "Provisioned":
        return
    taken = [one for one in others if one.get("ThroughputMode") == "Provisioned"]
    for name in _UNITS:
        total = config[name] + sum(one[name] for one in taken)
        if config[name] > MAX_GROUP_UNITS or total > MAX_REGION_UNITS:
            text = (
                f"{name} may be {MAX_GROUP_UNITS} for a FeatureGroup and {MAX_REGION_UNITS} for "
                "all of a Region."
            )
            raise Refusal("ResourceLimitExceeded", text)


def check_duration(duration: dict[str, Any] | None) -> None:
    """Raise ValidationException for a TtlDuration with one of Unit and Value alone."""
    given = duration or {}
    both = (given.get("Unit") is None) == (given.get("Value") is None)
    _require(both, "TtlDuration needs both Unit and Value.")


def _check_definitions(definitions: list[dict[str, Any]], storage: str | None) -> None:
    for name, count in Counter(item["FeatureName"] for item in definitions).items():
        _require(name.lower() not in RESERVED, f"The feature name [{name}] is reserved.")
        _require(count == 1, f"The feature name [{name}] is defined more than once.")
    for item in definitions:
        _check_collection(item, storage)
    vectors = sum(item.get("CollectionType") == "Vector" for item in definitions)
    _require(vectors <= 1, "At most one Vector feature is allowed.")


def _check_collection(item: dict[str, Any], storage: str | None) -> None:
    collection, config = item.get("CollectionType"), item.get("CollectionConfig")
    name = item["FeatureName"]
    _require(
        collection is None or storage == "InMemory",
        f"The feature [{name}] is a collection; only the InMemory online store has collections.",
    )
    if collection == "Vector":
        right = item["FeatureType"] == "Fractional" and bool((config or {}).get("VectorConfig"))
        _require(right, f"The Vector feature [{name}] must be Fractional and have a Dimension.")
    else:
        _require(
            config is None, f"The feature [{name}] is no Vector and takes no CollectionConfig."
        )


def _check_keys(given: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> None:
    for member in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
        item = by_name.get(given[member])
        _require(item is not None, f"{member} is not among the feature definitions.")
        assert item is not None
        _require(item.get("CollectionType") is None, f"{member} must not be a collection.")
    kind = by_name[given["EventTimeFeatureName"]]["FeatureType"]
    _require(kind != "Integral", "The event time feature must be of type String or Fractional.")
    iceberg = (given.get("OfflineStoreConfig") or {}).get("TableFormat") == "Iceberg"
    _require(kind == "String" or not iceberg, "Iceberg needs an event time feature of type String.")


def _check_offline(given: dict[str, Any], online: dict[str, Any]) -> None:
    _require(bool(given.get("RoleArn")), "RoleArn is required with an OfflineStoreConfig.")
    memory = online.get("EnableOnlineStore") and online.get("StorageType") == "InMemory"
    _require(not memory, "The InMemory online store does not support an offline store.")


def _check_catalog(offline: dict[str, Any]) -> None:
    disabled = bool(offline.get("DisableGlueTableCreation"))
    _require(
        not disabled or offline.get("TableFormat") != "Iceberg",
        "The Iceberg table format needs DisableGlueTableCreation to be False.",
    )
    named = offline.get("DataCatalogConfig")
    if named is None:
        return
    _require(named["Catalog"] == CATALOG, f"The Catalog must be {CATALOG}.")
    for member, longest in _LONGEST.items():
        right = _GLUE_NAME.fullmatch(named[member]) and len(named[member]) <= longest
        text = f"{member} takes lower-case letters, digits and _, at most {longest}."
        _require(bool(right), text)


def _require(condition: bool, text: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise Refusal("ValidationException", text)
