"""Rules of a feature group's definition that go beyond the shapes of the model.

Source: API reference of CreateFeatureGroup and the developer guide on collection types; the texts
are our own words.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from penstock.emulator.refusal import Refusal

RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
MAX_FEATURES = 2_500


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
    if offline is not None:
        _check_offline(given, online)
    _check_throughput(given.get("ThroughputConfig"), online, enabled=enabled)


def check_additions(document: dict[str, Any], additions: list[dict[str, Any]]) -> None:
    """Raise ValidationException when features cannot be added to a group."""
    definitions = document["FeatureDefinitions"] + additions
    _require(len(definitions) <= MAX_FEATURES, f"At most {MAX_FEATURES} features are allowed.")
    online = document.get("OnlineStoreConfig") or {}
    _check_definitions(definitions, online.get("StorageType"))


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


def _check_throughput(config: Any, online: dict[str, Any], *, enabled: bool) -> None:
    if not config:
        return
    units = [config.get(f"Provisioned{kind}CapacityUnits") for kind in ("Read", "Write")]
    if config["ThroughputMode"] == "OnDemand":
        _require(units == [None, None], "OnDemand takes no capacity units.")
        return
    _require(None not in units, "Provisioned needs read and write capacity units.")
    standard = online.get("StorageType", "Standard") == "Standard"
    _require(standard or not enabled, "Provisioned needs the Standard online store type.")


def _require(condition: bool, text: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise Refusal("ValidationException", text)
