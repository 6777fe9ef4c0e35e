"""The seven operations of the Feature Store runtime on one set of groups and records.

What makes a batch fail whole: a broken shape (400) or an unknown group (404). What fails an entry
alone: its values. Which is which is not fully documented by the service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.emulator import pages
from penstock.emulator.faults import Target
from penstock.emulator.groups import Group, Groups, ttl_seconds
from penstock.emulator.instants import iso_text
from penstock.emulator.quotas import units
from penstock.emulator.records import (
    Checked,
    Record,
    careful,
    check_identifier,
    event_instant,
    feature_values,
    invalid,
    quick,
)
from penstock.emulator.refusal import Refusal, group_not_found
from penstock.emulator.services import Call
from penstock.emulator.shapes import Shapes
from penstock.emulator.store import Row, Store, Write

Handler = Callable[[Call], Any]

MAX_UPDATES = 100  # API reference, UpdateRecord
_PAGE = 100


class Runtime:
    """Handlers by operation.

    Args:
        groups: The feature groups.
        store: The records.
        shapes: The model's shapes with the record's own check in force.
        clock: Epoch seconds.
    """

    def __init__(
        self, groups: Groups, store: Store, shapes: Shapes, clock: Callable[[], float]
    ) -> None:
        self._groups = groups
        self._store = store
        self._shapes = shapes
        self._clock = clock
        self.writes: Mapping[str, Handler] = {
            "PutRecord": self._put,
            "BatchWriteRecord": self._batch_write,
            "DeleteRecord": self._delete,
            "UpdateRecord": self._update,
        }
        self.reads: Mapping[str, Handler] = {
            "GetRecord": self._get,
            "BatchGetRecord": self._batch_get,
            "ListRecords": self._list,
        }

    def targets(self, call: Call) -> list[Target]:
        """Group, identifier, event time and write units of each record, as far as they show."""
        given = call.parameters
        if call.operation == "BatchWriteRecord":
            return [self._target(e["FeatureGroupName"], e["Record"]) for e in given["Entries"]]
        if call.operation == "PutRecord":
            return [self._target(given["FeatureGroupName"], given["Record"])]
        if call.operation == "BatchGetRecord":
            return [
                Target(
                    self._name(one["FeatureGroupName"]),
                    " ".join(one["RecordIdentifiersValueAsString"]),
                    "",
                )
                for one in given["Identifiers"]
            ]
        name, cost = given["FeatureGroupName"], 0
        if call.operation == "UpdateRecord":
            cost = self._target(name, given["Features"]).units
        elif call.operation == "DeleteRecord":
            cost = 1
        identifier = given.get("RecordIdentifierValueAsString", "")
        return [Target(self._name(name), identifier, given.get("EventTime", ""), cost)]

    def _name(self, reference: str) -> str:
        group = self._groups.find(reference)
        return reference if group is None else group.name

    def _target(self, name: str, record: Any) -> Target:
        """Records are not checked yet: anything may stand in them."""
        group = self._groups.find(name)
        texts: dict[str, str] = {
            str(item.get("FeatureName")): str(
                item.get("ValueAsString") or item.get("ValueAsStringList")
            )
            for item in (record if isinstance(record, list | Record) else [])
            if isinstance(item, dict)
        }
        size = sum(len(one) + len(text.encode("utf-8", "replace")) for one, text in texts.items())
        if group is None:
            return Target(name, "", "", units(size))
        layout = group.layout
        identifier, event_time = texts.get(layout.identifier, ""), texts.get(layout.event_time, "")
        return Target(group.name, identifier, event_time, units(size))

    def _put(self, call: Call) -> None:
        given = call.parameters
        group = self._group(given["FeatureGroupName"], "ValidationError")
        record = given["Record"]
        checked = quick(group.layout, record) or self._careful(group, record, "")
        self._store.apply(call, [_write(group, checked, given, None)])

    def _batch_write(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        default = given.get("TtlDuration")
        writes: list[Write] = []
        errors: list[dict[str, Any]] = []
        unprocessed: list[dict[str, Any]] = []
        for index, entry in enumerate(given["Entries"]):
            group = self._group(entry["FeatureGroupName"], "ResourceNotFound")
            record = entry["Record"]
            try:
                checked = quick(group.layout, record) or self._careful(group, record, index)
                write = _write(group, checked, entry, default)
                if index in call.entries:
                    self._store.skip(call, write, call.names.get(index, ""))
                    scripted = call.entries[index]
                    if scripted is not None:
                        raise scripted
                    unprocessed.append(entry)
                else:
                    writes.append(write)
            except Refusal as refusal:
                if isinstance(refusal, _BrokenShape):
                    raise
                errors.append(
                    {"Entry": entry, "ErrorCode": refusal.code, "ErrorMessage": refusal.message}
                )
        self._store.apply(call, writes)
        return {"Errors": errors, "UnprocessedEntries": unprocessed}

    def _delete(self, call: Call) -> None:
        given = call.parameters
        group = self._group(given["FeatureGroupName"], "ValidationError")
        online, offline = _stores(group, given.get("TargetStores"))
        identifier = check_identifier(given["RecordIdentifierValueAsString"])
        event_time = given["EventTime"]
        instant = event_instant(group.layout, event_time)
        write = Write(group, identifier, event_time, instant, None, None, online, offline)
        if given.get("DeletionMode") != "HardDelete":
            self._store.apply(call, [write])
        elif not self._store.remove(call, write):
            text = "EventTime: must be later than the EventTime of the existing record."
            raise Refusal("ValidationException", text)

    def _update(self, call: Call) -> None:
        given = call.parameters
        group = self._group(given["FeatureGroupName"], "ResourceNotFound")
        features = given["Features"]
        self._check_shape(features, "features")
        self._check_update(group, given)
        found = self._store.get(group, check_identifier(given["RecordIdentifierValueAsString"]))
        if found is None or found.deleted:
            raise Refusal("ResourceNotFound", "The record does not exist.")
        layout = group.layout
        changes = feature_values(layout, features)
        if (
            changes.get(layout.identifier, given["RecordIdentifierValueAsString"])
            != (given["RecordIdentifierValueAsString"])
        ):
            raise invalid(f"The feature [{layout.identifier}] is not the identifier of the record.")
        merged = found.values() | changes
        checked = careful(layout, _features(merged, None))
        if layout.event_time in changes and checked.instant < found.instant:  # type: ignore[operator] # one type per group
            text = "The provided EventTime is older than the record's current EventTime."
            raise Refusal("ConflictException", text)
        given_ttl = ttl_seconds(given.get("TtlDuration"))
        if given_ttl is not None and layout.event_time not in changes:
            raise invalid("TtlDuration needs the event time among the features.")
        write = _write(group, checked, given, None)
        ttl = found.ttl if given_ttl is None else given_ttl
        self._store.replace(call, write._replace(ttl=ttl, online=True))

    def _check_update(self, group: Group, given: dict[str, Any]) -> None:
        _require_online(group)
        if group.storage == "Standard":
            raise invalid("UpdateRecord needs the Standard_V2 or InMemory online store type.")
        if len(given["Features"]) > MAX_UPDATES:
            raise invalid(f"At most {MAX_UPDATES} features can be updated in a call.")
        if given.get("TargetStores") is not None and "OnlineStore" not in given["TargetStores"]:
            raise invalid("TargetStores must contain OnlineStore.")

    def _get(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        group = self._group(given["FeatureGroupName"], "ResourceNotFound")
        _require_online(group)
        _check_names(group, given.get("FeatureNames"))
        identifier = check_identifier(given["RecordIdentifierValueAsString"])
        return self._found(group, identifier, given.get("FeatureNames"), given) or {}

    def _batch_get(self, call: Call) -> dict[str, Any]:
        records: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        unprocessed: list[dict[str, Any]] = []
        for index, wanted in enumerate(call.parameters["Identifiers"]):
            try:
                scripted = call.entries.get(index)
                if scripted is not None:
                    raise scripted
                if index in call.entries:
                    unprocessed.append(wanted)
                else:
                    records += self._wanted(wanted, call.parameters)
            except Refusal as refusal:
                errors += [
                    {
                        "FeatureGroupName": wanted["FeatureGroupName"],
                        "RecordIdentifierValueAsString": identifier,
                        "ErrorCode": refusal.code,
                        "ErrorMessage": refusal.message,
                    }
                    for identifier in wanted["RecordIdentifiersValueAsString"]
                ]
        return {"Records": records, "Errors": errors, "UnprocessedIdentifiers": unprocessed}

    def _wanted(self, wanted: dict[str, Any], given: dict[str, Any]) -> list[dict[str, Any]]:
        group = self._group(wanted["FeatureGroupName"], "ResourceNotFound")
        _require_online(group)
        names = wanted.get("FeatureNames")
        _check_names(group, names)
        out = []
        for identifier in wanted["RecordIdentifiersValueAsString"]:
            found = self._found(group, check_identifier(identifier), names, given)
            if found is not None:
                head = {"FeatureGroupName": wanted["FeatureGroupName"]}
                out.append(head | {"RecordIdentifierValueAsString": identifier} | found)
        return out

    def _found(
        self, group: Group, identifier: str, names: list[str] | None, given: dict[str, Any]
    ) -> dict[str, Any] | None:
        row = self._store.get(group, identifier)
        if row is None or row.deleted:
            return None
        out: dict[str, Any] = {"Record": _features(row.values(), names)}
        expires = _expires(row) if given.get("ExpirationTimeResponse") == "Enabled" else None
        return out if expires is None else out | {"ExpiresAt": expires}

    def _list(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        group = self._group(given["FeatureGroupName"], "ResourceNotFound")
        _require_online(group)
        deleted = bool(given.get("IncludeSoftDeletedRecords"))
        scope = f"records {group.id} {deleted}"
        start = pages.after(scope, given.get("NextToken"), "ValidationError")
        size = given.get("MaxResults", _PAGE)
        found = self._store.identifiers(group, start, size + 1, deleted=deleted)
        page = found[:size]
        out: dict[str, Any] = {"RecordIdentifiers": page}
        return out if len(found) <= size else out | {"NextToken": pages.token(scope, page[-1])}

    def _group(self, reference: str, code: str) -> Group:
        group = self._groups.find(reference)
        if group is None:
            raise group_not_found(code, reference)
        if self._clock() < group.ready:
            raise invalid(f"The FeatureGroup [{group.name}] is not in status Created.")
        return group

    def _careful(self, group: Group, record: Any, index: int | str) -> Checked:
        items = list(record) if type(record) is Record else record
        self._check_shape(items, f"entries.{index + 1}.member.record" if index != "" else "record")  # type: ignore[operator] # int unless empty
        return careful(group.layout, items)

    def _check_shape(self, record: Any, path: str) -> None:
        problems: list[str] = []
        self._shapes.check("Record")(record, path, problems)
        if problems:
            text = f"{len(problems)} validation error(s) detected: {'; '.join(problems)}"
            raise _BrokenShape("ValidationError", text[:2048])


class _BrokenShape(Refusal):
    """The record is not even shaped like one: the whole call fails."""


def _write(
    group: Group, checked: Checked, given: dict[str, Any], ttl: dict[str, Any] | None
) -> Write:
    online, offline = _stores(group, given.get("TargetStores"))
    seconds = ttl_seconds(given.get("TtlDuration") or ttl)
    identifier, event_time, instant, body = checked
    return Write(
        group,
        identifier,
        event_time,
        instant,
        body,
        group.ttl if seconds is None else seconds,
        online,
        offline,
    )


def _stores(group: Group, targets: list[str] | None) -> tuple[bool, bool]:
    """Whether a write goes online and offline; by default to every store the group has."""
    if targets is None:
        return group.online, group.offline
    online, offline = "OnlineStore" in targets, "OfflineStore" in targets
    if (online and not group.online) or (offline and not group.offline):
        raise invalid("TargetStores names a store that the FeatureGroup does not have.")
    return online, offline


def _require_online(group: Group) -> None:
    if not group.online:
        raise invalid(f"The FeatureGroup [{group.name}] has no online store.")


def _check_names(group: Group, names: list[str] | None) -> None:
    for name in names or ():
        if name not in group.layout.features:
            raise invalid(f"The feature [{name}] is not defined in the feature group.")


def _features(values: dict[str, Any], names: list[str] | None) -> list[dict[str, Any]]:
    return [
        {
            "FeatureName": name,
            "ValueAsStringList" if isinstance(value, list) else "ValueAsString": value,
        }
        for name, value in values.items()
        if names is None or name in names
    ]


def _expires(row: Row) -> str | None:
    return None if row.expires is None else iso_text(row.expires)
