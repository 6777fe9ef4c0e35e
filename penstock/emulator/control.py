"""The feature-group control plane of SageMaker: create, describe, update, delete, list.

Creation and update are asynchronous by a settable delay; status is a function of the clock, nothing
runs in the background. Rules are those of the API reference; where their error text is not recorded
the words are our own. Rules that tie the Glue table to the group are not enforced yet: what was
sent is kept and described.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.emulator import pages
from penstock.emulator.definitions import check_additions, check_creation
from penstock.emulator.groups import ACCOUNT, Groups
from penstock.emulator.refusal import Refusal, group_not_found
from penstock.emulator.services import Call

MAX_GROUPS = 100  # AWS developer guide, quotas (soft)
MAX_CREATIONS = 4  # quotas: concurrent creation workflows
_CODE = "ValidationException"
_PAGE = 100
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
        self.writes: Mapping[str, Callable[[Call], Any]] = {
            "CreateFeatureGroup": self._create,
            "UpdateFeatureGroup": self._update,
            "DeleteFeatureGroup": self._delete,
        }
        self.reads: Mapping[str, Callable[[Call], Any]] = {
            "DescribeFeatureGroup": self._describe,
            "ListFeatureGroups": self._list,
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
        document = {key: given[key] for key in _SENT if given.get(key) is not None}
        document |= {"CreationTime": now, "LastModifiedTime": now, "Ready": now + self._delay}
        self._resolve(document, now)
        self._groups.put(document)
        return {"FeatureGroupArn": self._groups.arn(name)}

    def _check_limits(self, now: float) -> None:
        documents = self._groups.documents()
        creating = sum(document["Ready"] > now for document in documents)
        if creating >= MAX_CREATIONS:
            what = "Maximum number of feature group creation workflows executing in parallel"
            raise _limit(what, MAX_CREATIONS, creating)
        if len(documents) >= MAX_GROUPS:
            raise _limit("Maximum number of feature groups", MAX_GROUPS, len(documents))

    def _resolve(self, document: dict[str, Any], now: float) -> None:
        storage = document.get("OfflineStoreConfig", {}).get("S3StorageConfig")
        if storage is not None:
            storage["ResolvedOutputS3Uri"] = (
                f"{storage['S3Uri'].rstrip('/')}/{ACCOUNT}/sagemaker/{self._region}/offline-store/"
                f"{document['FeatureGroupName']}-{int(now)}/data"
            )

    def _describe(self, call: Call) -> dict[str, Any]:
        document = self._document(call.parameters["FeatureGroupName"])
        now = self._clock()
        out = document | {
            "FeatureGroupArn": self._groups.arn(document["FeatureGroupName"]),
            "FeatureGroupStatus": _status(document, now),
        }
        if document.get("OfflineStoreConfig") is not None:
            out["OfflineStoreStatus"] = {"Status": "Active"}
        if "UpdateReady" in document:
            done = document["UpdateReady"] <= now
            out["LastUpdateStatus"] = {"Status": "Successful" if done else "InProgress"}
        out.setdefault("ThroughputConfig", {"ThroughputMode": "OnDemand"})
        return out

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
        elif sent[0] == "ThroughputConfig":
            document["ThroughputConfig"] = given["ThroughputConfig"]
        else:
            _change_online(document, given["OnlineStoreConfig"])

    def _delete(self, call: Call) -> None:
        document = self._document(call.parameters["FeatureGroupName"])
        self._groups.remove(document["FeatureGroupName"])

    def _list(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        now = self._clock()
        found = [self._summary(document, now) for document in self._groups.documents()]
        found = [one for one in found if _is_wanted(one, given)]
        key = _SORT.get(given.get("SortBy", ""), "CreationTime")
        found.sort(key=lambda one: (one[key], one["FeatureGroupName"]))
        if given.get("SortOrder") == "Descending":
            found.reverse()
        start = int(pages.after("groups", given.get("NextToken"), _CODE) or 0)
        end = start + given.get("MaxResults", _PAGE)
        out: dict[str, Any] = {"FeatureGroupSummaries": found[start:end]}
        return out if end >= len(found) else out | {"NextToken": pages.token("groups", str(end))}

    def _summary(self, document: dict[str, Any], now: float) -> dict[str, Any]:
        offline = document.get("OfflineStoreConfig") is not None
        return {
            "FeatureGroupName": document["FeatureGroupName"],
            "FeatureGroupArn": self._groups.arn(document["FeatureGroupName"]),
            "CreationTime": document["CreationTime"],
            "FeatureGroupStatus": _status(document, now),
            "OfflineStoreStatus": {"Status": "Active"} if offline else None,
        }

    def _document(self, reference: str) -> dict[str, Any]:
        document = self._groups.document(reference)
        if document is None:
            raise group_not_found("ResourceNotFound", reference)
        return document


def _status(document: dict[str, Any], now: float) -> str:
    return "Created" if document["Ready"] <= now else "Creating"


def _change_online(document: dict[str, Any], change: dict[str, Any]) -> None:
    """A TtlDuration without unit and value takes the default time to live away."""
    online = document.get("OnlineStoreConfig")
    if online is None:
        raise Refusal(_CODE, "The FeatureGroup has no online store.")
    if "TtlDuration" in change:
        online.pop("TtlDuration", None)
        if change["TtlDuration"].get("Unit") is not None:
            online["TtlDuration"] = change["TtlDuration"]
    if change.get("StorageType") is not None:
        online["StorageType"] = change["StorageType"]


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
