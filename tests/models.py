"""Requests held against the models of AWS's services that botocore brings."""

from __future__ import annotations

import re
from typing import Any

import botocore.loaders
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

_FOREIGN = re.compile(r"\\uD800|\\p\{")


def mistakes(service: str, operation: str, given: Any) -> list[str]:
    """What is wrong with parameters by botocore's model: ParamValidator's word, and what it omits.

    botocore leaves maxima, patterns and enumerations to the service.
    """
    model = ServiceModel(botocore.loaders.create_loader().load_service_model(service, "service-2"))
    shape: Any = model.operation_model(operation).input_shape
    found = ParamValidator().validate(given, shape)
    return [found.generate_report()] if found.has_errors() else list(_beyond(given, shape))


def lowered(given: dict[str, Any]) -> dict[str, Any]:
    """A universal target's input in EMR Serverless's own names; keys of its maps are no names."""
    return {
        key[0].lower() + key[1:]: lowered(value)
        if isinstance(value, dict) and key not in ("LogTypes", "Tags")
        else value
        for key, value in given.items()
    }


def _beyond(given: Any, shape: Any) -> list[str]:
    if shape.type_name == "structure":
        return [one for key in given for one in _beyond(given[key], shape.members[key])]
    if shape.type_name == "list":
        return [one for value in given for one in _beyond(value, shape.member)]
    if shape.type_name == "map":
        return [one for value in given.values() for one in _beyond(value, shape.value)]
    size = given if isinstance(given, int) else len(given)
    found = [] if size <= shape.metadata.get("max", size) else [f"{shape.name}: {size}"]
    allowed = shape.metadata.get("enum")
    if allowed and given not in allowed:
        found.append(f"{shape.name}: {given}")
    pattern = shape.metadata.get("pattern", "")
    # Not Python's: halves of characters (Glue's names), Java's classes of them (IAM's tags).
    if pattern and isinstance(given, str) and not _FOREIGN.search(pattern):
        found += [] if re.fullmatch(pattern, given) else [f"{shape.name}: {given}"]
    return found
