"""The feature-group control plane of SageMaker: create, describe, update, delete, list.

Creation, update and deletion are asynchronous by a settable delay; status is a function of the
clock, nothing runs in the background. Rules are those of the API reference; where their error text
is not recorded the words are our own. The Glue table is made with the request, ahead of Created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.emulator import pages, replication
from penstock.emulator.annotations import Annotations
from penstock.emulator.catalog import Catalog
from penstock.emulator.definitions import (
    check_additions,
    check_capacity,
    check_creation,
    check_duration,
    check_throughput,
)
from penstock.emulator.groups import ACCOUNT, Groups
from penstock.emulator.refusal import Refusal, group_not_found
from penstock.emulator.replication import Target
from penstock.emulator.replication_tables import add_columns, make_table, name_table, target_of
from penstock.emulator.services import Call

MAX_GROUPS = 100  # AWS developer guide, quotas (soft)
MAX_CREATIONS = 4  # quotas: concurrent creation workflows
ON_DEMAND_SECONDS = 86_400  # API reference: one switch to on-demand in 24 hours
_CODE = "ValidationException"
_PAGE = 100
_FEATURES_PAGE = 2_500  # API reference, DescribeFeatureGroup
_SORT = {"Name": "FeatureGroupName", "FeatureGroupStatus": "FeatureGroupStatus"}
_SENT = (
    "FeatureGroupName", "RecordIdentifierFeatureName", "EventTimeFeatureName", "FeatureDefinitions",
    "OnlineStoreConfig", "OfflineStoreConfig", "ThroughputConfig", "RoleArn", "Description", "Tags",
)  # fmt: skip


class Control:
    """Handlers by operation.

    Args:
        groups: The feature groups.
        region: Region, for the resolved S3 location.
        clock: Epoch seconds.
        delay: Seconds that creations and updates take.
    """

    def __init__(
        self, groups: Groups, region: str, clock: Callable[[], float], delay: float
    ) -> None:
        self._groups = groups
        self._region = region
        self._clock = clock
        self._delay = delay
        self._catalog = Catalog(groups.connection, clock)
        more = Annotations(groups, clock)
        self.writes: Mapping[str, Callable[[Call], Any]] = {
            "CreateFeatureGroup": self._create,
            "UpdateFeatureGroup": self._update,
            "DeleteFeatureGroup": self._delete,
            **more.writes,
        }
        self.reads: Mapping[str, Callable[[Call], Any]] = {
            "DescribeFeatureGroup": self._describe,
            "ListFeatureGroups": self._list,
            **more.reads,
        }

    def _create(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        check_creation(given)
        name = given["FeatureGroupName"]
        if self._groups.document(name) is not None:
            text = (
                f"Resource Already Exists: FeatureGroup with name {name} already exists. "
                "Choose a different name."
            )
            raise Refusal("ResourceInUse", text)
        now = self._clock()
        self._check_limits(now)
        check_capacity(given.get("ThroughputConfig"), self._throughputs(but=name))
        document = {key: given[key] for key in _SENT if given.get(key) is not None}
        document |= {"CreationTime": now, "LastModifiedTime": now, "Ready": now + self._delay}
        self._groups.remove(name)
        self._store(document)
        return {"FeatureGroupArn": self._groups.arn(name)}

    def _store(self, document: dict[str, Any]) -> None:
        if document.get("OfflineStoreConfig") is None:
            self._groups.put(document)
            return
        target = self._unused_target(document)
        failure = make_table(self._catalog, target)
        if failure is not None:
            document["FailureReason"] = failure
        row = self._groups.put(document)
        if failure is None:
            replication.set_target(self._groups.connection, row, target)

    def _unused_target(self, document: dict[str, Any]) -> Target:
        """A group made again within the second takes the next one for its generated names."""
        offline = document["OfflineStoreConfig"]
        generated = offline.get("DataCatalogConfig") is None
        while True:
            self._resolve(document)
            target = target_of(document)
            database, table = target.database, target.table
            if not generated or database is None or table is None:
                return target
            if not self._catalog.has_table(database, table):
                return target
            document["CreationTime"] += 1
            del offline["DataCatalogConfig"]

    def _check_limits(self, now: float) -> None:
        documents = self._groups.documents()
        creating = sum(document["Ready"] > now for document in documents)
        if creating >= MAX_CREATIONS:
            what = "Maximum number of feature group creation workflows executing in parallel"
            raise _limit(what, MAX_CREATIONS, creating)
        if len(documents) >= MAX_GROUPS:
            raise _limit("Maximum number of feature groups", MAX_GROUPS, len(documents))

    def _throughputs(self, but: str) -> list[dict[str, Any]]:
        documents = self._groups.documents()
        return [
            document.get("ThroughputConfig") or {}
            for document in documents
            if document["FeatureGroupName"].lower() != but.lower()
        ]

    def _resolve(self, document: dict[str, Any]) -> None:
        storage = document["OfflineStoreConfig"]["S3StorageConfig"]
        storage["ResolvedOutputS3Uri"] = (
            f"{storage['S3Uri'].rstrip('/')}/{ACCOUNT}/sagemaker/{self._region}/offline-store/"
            f"{document['FeatureGroupName']}-{int(document['CreationTime'])}/data"
        )
        name_table(document)

    def _describe(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        document = self._document(given["FeatureGroupName"])
        name = document["FeatureGroupName"]
        now = self._clock()
        out = document | {
            "FeatureGroupArn": self._groups.arn(name),
            "FeatureGroupStatus": _status(document, now),
            "OfflineStoreStatus": self._offline_status(document),
        }
        if out["FeatureGroupStatus"] != "CreateFailed":
            out.pop("FailureReason", None)
        if "UpdateReady" in document:
            done = document["UpdateReady"] <= now
            out["LastUpdateStatus"] = {"Status": "Successful" if done else "InProgress"}
        out.setdefault("ThroughputConfig", {"ThroughputMode": "OnDemand"})
        scope = f"features {name}"
        start = int(pages.after(scope, given.get("NextToken"), _CODE) or 0)
        end = start + _FEATURES_PAGE
        out["FeatureDefinitions"] = document["FeatureDefinitions"][start:end]
        if end < len(document["FeatureDefinitions"]):
            out["NextToken"] = pages.token(scope, str(end))
        return out

    def _offline_status(self, document: dict[str, Any]) -> dict[str, str] | None:
        if document.get("OfflineStoreConfig") is None:
            return None
        row = self._groups.row(document["FeatureGroupName"])
        reason = None if row is None else replication.blocked(self._groups.connection, row)
        return {"Status": "Active"} if reason is None else _blocked(reason)

    def _update(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        document = self._document(given["FeatureGroupName"])
        now = self._clock()
        if _status(document, now) != "Created" or document.get("UpdateReady", 0.0) > now:
            raise Refusal(_CODE, "The FeatureGroup is being created or updated; try again later.")
        self._change(document, given)
        document |= {"LastModifiedTime": now, "UpdateReady": now + self._delay}
        self._groups.put(document)
        return {"FeatureGroupArn": self._groups.arn(document["FeatureGroupName"])}

    def _change(self, document: dict[str, Any], given: dict[str, Any]) -> None:
        kinds = ("FeatureAdditions", "OnlineStoreConfig", "ThroughputConfig")
        sent = [kind for kind in kinds if given.get(kind) is not None]
        if len(sent) != 1:
            raise Refusal(_CODE, f"Exactly one of {', '.join(kinds)} must be given.")
        definitions = document["FeatureDefinitions"]
        document["EffectiveFeatures"] = len(definitions)
        if sent[0] == "FeatureAdditions":
            check_additions(document, given["FeatureAdditions"])
            definitions += given["FeatureAdditions"]
            self._follow(document)
        elif sent[0] == "ThroughputConfig":
            self._change_throughput(document, given["ThroughputConfig"])
        else:
            _change_online(document, given["OnlineStoreConfig"])

    def _follow(self, document: dict[str, Any]) -> None:
        """The offline store gets the new features, too."""
        row = self._groups.row(document["FeatureGroupName"])
        if document.get("OfflineStoreConfig") is not None and row is not None:
            target = target_of(document)
            replication.set_target(self._groups.connection, row, target)
            add_columns(self._catalog, target)

    def _change_throughput(self, document: dict[str, Any], config: dict[str, Any]) -> None:
        check_throughput(config, document.get("OnlineStoreConfig"))
        check_capacity(config, self._throughputs(but=document["FeatureGroupName"]))
        before = document.get("ThroughputConfig") or {"ThroughputMode": "OnDemand"}
        document["ThroughputConfig"] = config
        if config["ThroughputMode"] == before["ThroughputMode"] or "Provisioned" in config.values():
            return
        now = self._clock()
        if now < document.get("OnDemandSince", float("-inf")) + ON_DEMAND_SECONDS:
            raise Refusal(_CODE, "A FeatureGroup can be switched to OnDemand once in 24 hours.")
        document["OnDemandSince"] = now

    def _delete(self, call: Call) -> None:
        """Online data is gone at once; offline data and Glue tables stay."""
        document = self._document(call.parameters["FeatureGroupName"])
        name = document["FeatureGroupName"]
        if self._delay <= 0:
            self._groups.remove(name)
        elif "Gone" not in document:
            self._groups.empty(name)
            self._groups.put(document | {"Gone": self._clock() + self._delay})

    def _list(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        now = self._clock()
        found = [self._summary(document, now) for document in self._groups.documents()]
        found = [one for one in found if _is_wanted(one, given)]
        found.sort(key=lambda one: _rank(one, given.get("SortBy")))
        if given.get("SortOrder") == "Descending":
            found.reverse()
        start = int(pages.after("groups", given.get("NextToken"), _CODE) or 0)
        end = start + given.get("MaxResults", _PAGE)
        out: dict[str, Any] = {"FeatureGroupSummaries": found[start:end]}
        return out if end >= len(found) else out | {"NextToken": pages.token("groups", str(end))}

    def _summary(self, document: dict[str, Any], now: float) -> dict[str, Any]:
        return {
            "FeatureGroupName": document["FeatureGroupName"],
            "FeatureGroupArn": self._groups.arn(document["FeatureGroupName"]),
            "CreationTime": document["CreationTime"],
            "FeatureGroupStatus": _status(document, now),
            "OfflineStoreStatus": self._offline_status(document),
        }

    def _document(self, reference: str) -> dict[str, Any]:
        document = self._groups.document(reference)
        if document is None:
            raise group_not_found("ResourceNotFound", reference)
        return document


def _status(document: dict[str, Any], now: float) -> str:
    if "Gone" in document:
        return "Deleting"
    if document["Ready"] > now:
        return "Creating"
    return "CreateFailed" if "FailureReason" in document else "Created"


def _blocked(reason: str) -> dict[str, str]:
    return {"Status": "Blocked", "BlockedReason": reason[:1024]}


def _change_online(document: dict[str, Any], change: dict[str, Any]) -> None:
    """A TtlDuration without unit and value takes the default time to live away."""
    online = document.get("OnlineStoreConfig") or {}
    if not online.get("EnableOnlineStore"):
        raise Refusal(_CODE, "The FeatureGroup has no online store.")
    if "TtlDuration" in change:
        check_duration(change["TtlDuration"])
        online.pop("TtlDuration", None)
        if (change["TtlDuration"] or {}).get("Unit") is not None:
            online["TtlDuration"] = change["TtlDuration"]
    if change.get("StorageType") is not None:
        steps = (online.get("StorageType", "Standard"), change["StorageType"])
        if steps != ("Standard", "Standard_V2"):
            raise Refusal(_CODE, "StorageType can be changed from Standard to Standard_V2 only.")
        online["StorageType"] = change["StorageType"]


def _rank(summary: dict[str, Any], key: str | None) -> tuple[Any, str]:
    if key == "OfflineStoreStatus":
        found = (summary["OfflineStoreStatus"] or {}).get("Status", "")
    else:
        found = summary[_SORT.get(key or "", "CreationTime")]
    return found, summary["FeatureGroupName"]


def _is_wanted(summary: dict[str, Any], given: dict[str, Any]) -> bool:
    status = (summary["OfflineStoreStatus"] or {}).get("Status")
    created = summary["CreationTime"]
    return (
        given.get("NameContains", "") in summary["FeatureGroupName"]
        and given.get("FeatureGroupStatusEquals", summary["FeatureGroupStatus"])
        == summary["FeatureGroupStatus"]
        and given.get("OfflineStoreStatusEquals", status) == status
        and created > given.get("CreationTimeAfter", float("-inf"))
        and created < given.get("CreationTimeBefore", float("inf"))
    )


def _limit(what: str, limit: int, current: int) -> Refusal:
    text = (
        f"The account-level service limit '{what}' is {limit} FeatureGroups, with current "
        f"utilization of {current} FeatureGroups and a request delta of 1 FeatureGroups. Please "
        "use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is "
        "not available, contact AWS support to request an increase for this quota."
    )
    return Refusal("ResourceLimitExceeded", text)
