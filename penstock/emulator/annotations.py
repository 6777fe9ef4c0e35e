"""Tags of feature groups, and descriptions and parameters of their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.emulator import pages
from penstock.emulator.groups import Groups
from penstock.emulator.refusal import Refusal, group_not_found
from penstock.emulator.services import Call

MAX_TAGS = 50  # model: of a request and of a resource
MAX_PARAMETERS = 25  # API reference, UpdateFeatureMetadata
_CODE = "ValidationException"


class Annotations:
    """Handlers by operation.

    Args:
        groups: The feature groups.
        clock: Epoch seconds.
    """

    def __init__(self, groups: Groups, clock: Callable[[], float]) -> None:
        self._groups = groups
        self._clock = clock
        self.writes: Mapping[str, Callable[[Call], Any]] = {
            "AddTags": self._add_tags,
            "DeleteTags": self._delete_tags,
            "UpdateFeatureMetadata": self._update_metadata,
        }
        self.reads: Mapping[str, Callable[[Call], Any]] = {
            "ListTags": self._list_tags,
            "DescribeFeatureMetadata": self._describe_metadata,
        }

    def _add_tags(self, call: Call) -> dict[str, Any]:
        document = self._document(call.parameters["ResourceArn"])
        tags = {one["Key"]: one["Value"] for one in document.get("Tags", [])}
        tags |= {one["Key"]: one["Value"] for one in call.parameters["Tags"]}
        if len(tags) > MAX_TAGS:
            raise Refusal(_CODE, f"A resource has at most {MAX_TAGS} tags.")
        return {"Tags": self._keep_tags(document, tags)}

    def _delete_tags(self, call: Call) -> dict[str, Any]:
        document = self._document(call.parameters["ResourceArn"])
        gone = set(call.parameters["TagKeys"])
        tags = {one["Key"]: one["Value"] for one in document.get("Tags", [])}
        self._keep_tags(document, {key: tags[key] for key in tags if key not in gone})
        return {}

    def _keep_tags(self, document: dict[str, Any], tags: dict[str, str]) -> list[dict[str, str]]:
        document["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        self._groups.put(document)
        found: list[dict[str, str]] = document["Tags"]
        return found

    def _list_tags(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        document = self._document(given["ResourceArn"])
        scope = f"tags {document['FeatureGroupName']}"
        start = int(pages.after(scope, given.get("NextToken"), _CODE) or 0)
        end = start + given.get("MaxResults", MAX_TAGS)
        tags = document.get("Tags", [])
        more = {} if end >= len(tags) else {"NextToken": pages.token(scope, str(end))}
        return {"Tags": tags[start:end]} | more

    def _update_metadata(self, call: Call) -> None:
        given = call.parameters
        document = self._document(given["FeatureGroupName"])
        feature = _feature(document, given["FeatureName"])
        kept = document.setdefault("Metadata", {}).setdefault(feature["FeatureName"], {})
        if given.get("Description") is not None:
            kept["Description"] = given["Description"]
        parameters = {one["Key"]: one["Value"] for one in kept.get("Parameters", [])}
        for one in given.get("ParameterAdditions") or []:
            if one.get("Key") is None or one.get("Value") is None:
                raise Refusal(_CODE, "A parameter needs Key and Value.")
            parameters[one["Key"]] = one["Value"]
        for key in given.get("ParameterRemovals") or []:
            parameters.pop(key, None)
        if len(parameters) > MAX_PARAMETERS:
            raise Refusal(_CODE, f"A feature has at most {MAX_PARAMETERS} parameters.")
        kept["Parameters"] = [{"Key": key, "Value": text} for key, text in parameters.items()]
        kept["LastModifiedTime"] = self._clock()
        self._groups.put(document)

    def _describe_metadata(self, call: Call) -> dict[str, Any]:
        given = call.parameters
        document = self._document(given["FeatureGroupName"])
        feature = _feature(document, given["FeatureName"])
        made = dict.fromkeys(("CreationTime", "LastModifiedTime"), document["CreationTime"])
        kept: dict[str, Any] = document.get("Metadata", {}).get(feature["FeatureName"], {})
        arn = self._groups.arn(document["FeatureGroupName"])
        return document | feature | {"FeatureGroupArn": arn} | made | kept

    def _document(self, reference: str) -> dict[str, Any]:
        document = self._groups.document(reference)
        if document is None:
            raise group_not_found("ResourceNotFound", reference)
        return document


def _feature(document: dict[str, Any], name: str) -> dict[str, Any]:
    for item in document["FeatureDefinitions"]:
        if item["FeatureName"] == name:
            found: dict[str, Any] = item
            return found
    group = document["FeatureGroupName"]
    text = f"Resource Not Found: FeatureGroup [{group}] has no feature [{name}]."
    raise Refusal("ResourceNotFound", text)
