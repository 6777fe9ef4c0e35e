"""Read Data Wrangler's ``.flow`` files (facts: wrangler, 3).

JSON: nodes with an operator such as ``sagemaker.spark.encode_categorical_0.1`` and parameters, in
which a choice names the block that counts; blocks of choices made before stay in the file and are
not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from pydantic import ValidationError

from penstock.errors import UsageError
from penstock.wrangle import catalogue
from penstock.wrangle.call import Value
from penstock.wrangle.flow import Analysis, Destination, Flow, Input, Node, Refused
from penstock.wrangle.misfit import misfit
from penstock.wrangle.source import Source
from penstock.wrangle.step import DEFAULT, Step

_OPERATOR = re.compile(r"^sagemaker\.(?:(?P<group>\w+)\.)?(?P<name>\w+?)_(?P<version>\d+\.\d+)$")
_SERVICES = {
    "athena": "Athena",
    "redshift": "Amazon Redshift",
    "snowflake": "Snowflake",
    "databricks": "Databricks",
    "emr": "Amazon EMR",
    "saas": "a SaaS source",
}


def parse(text: bytes, name: str) -> Flow:
    """The flow of a file's content.

    Raises:
        UsageError: No JSON, or no flow. A step whose settings do not fit is refused, not the flow.
    """
    return of(document(text, name), name)


def document(text: bytes, name: str) -> Value:
    """A file's content as JSON.

    Raises:
        UsageError: It is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: no JSON: {error}") from error


def nodes(document: Value, name: str) -> list[Mapping[str, Value]]:
    """The nodes of a parsed document, as written.

    Raises:
        UsageError: It is no flow, or one of them is no node.
    """
    found = document.get("nodes") if isinstance(document, Mapping) else None
    if not isinstance(found, list):
        raise UsageError(f"{name}: no flow: it has no list of nodes")
    for number, one in enumerate(found, start=1):
        if not isinstance(one, Mapping) or not isinstance(one.get("node_id"), str):
            raise UsageError(f"{name}: node {number} is none: it has no node_id")
        odd = [key for key, fits in _PARTS.items() if not fits(one.get(key))]
        if odd:
            raise UsageError(f"{name}: node {one['node_id']}: its {odd[0]} are none")
    return found


def _is_settings(value: Value) -> bool:
    return value is None or isinstance(value, Mapping)


def _is_inputs(value: Value) -> bool:
    """A list of what a node reads; an output's name may be left out."""
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(one, Mapping)
            and isinstance(one.get("node_id"), str)
            and isinstance(one.get("output_name") or "", str)
            for one in value
        )
    )


#: Parts of a node, and whether a value can be one.
_PARTS: Mapping[str, Callable[[Value], bool]] = {
    "parameters": _is_settings,
    "trained_parameters": _is_settings,
    "inputs": _is_inputs,
}


def of(document: Value, name: str) -> Flow:
    """The flow of a parsed document.

    Raises:
        UsageError: As :func:`parse`.
    """
    written = nodes(document, name)
    metadata = document.get("metadata")
    version = metadata.get("version") if isinstance(metadata, Mapping) else None
    odd = () if version == 1 else (f"its version is {version!r}; only 1 is known",)
    made = [_node(one) for one in written]
    outputs = {one.id: one.does.outputs for one in made if isinstance(one.does, Step)}
    return Flow(name, tuple(_bound(one, outputs) for one in made), odd)


def _bound(node: Node, outputs: Mapping[str, tuple[str, ...]]) -> Node:
    """What it reads, as the steps call it: a split's first part is its default too (facts, 3.2)."""

    def bound(one: Input) -> Input:
        there = outputs.get(one.node, (one.output,))
        known = one.output in there or (one.output != DEFAULT and len(there) > 1)
        return one if known else Input(one.node, there[0])

    return replace(node, inputs=tuple(bound(one) for one in node.inputs))


def _node(written: Mapping[str, Value]) -> Node:
    parameters = written.get("parameters") or {}
    inputs = tuple(
        Input(one["node_id"], one.get("output_name") or DEFAULT)
        for one in written.get("inputs") or ()
    )
    try:
        does = _does(written, parameters)
    except (TypeError, AttributeError, ValueError) as error:
        does = Refused(str(written.get("operator")), f"its parameters do not fit ({error})")
    return Node(
        id=written["node_id"],
        does=does,
        inputs=inputs,
        name=str(written.get("name") or parameters.get("name") or ""),
        parameters=parameters,
        trained=written.get("trained_parameters") or {},
    )


def _does(
    written: Mapping[str, Value], parameters: Mapping[str, Value]
) -> Step | Source | Destination | Analysis | Refused:
    operator, kind = str(written.get("operator")), written.get("type")
    known = _OPERATOR.match(operator)
    family = known["name"] if known else ""
    if kind == "SOURCE" or family.endswith("_source"):
        return _source(operator, family, parameters)
    if kind == "VISUALIZATION":
        return Analysis(family or operator, parameters)
    if kind == "DESTINATION" or family.endswith("_destination"):
        settings = parameters.get("output_config") or parameters
        return Destination(str(settings.get("output_path", "")), settings)
    return _step(written, family, parameters)


def _step(
    written: Mapping[str, Value], family: str, parameters: Mapping[str, Value]
) -> Step | Refused:
    choice = str(parameters.get("operator") or "")
    found = catalogue.by_flow().get((family, choice))
    if found is None:
        what = f"{written.get('operator')}{f' ({choice})' if choice else ''}"
        return Refused(what, "penstock has no such operator")
    try:
        return found.from_flow(choice, parameters)
    except NotImplementedError as error:
        return Refused(f"{written.get('operator')} ({choice})", str(error))
    except ValidationError as error:
        reason = misfit(error, found).message
    except (UsageError, LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"its parameters do not fit ({error})"
    # Flows hold nodes that nobody runs any more, and settings that are newer than this list.
    return Refused(str(written.get("operator")), f"{found.kind}: {reason}")


def _source(operator: str, family: str, parameters: Mapping[str, Value]) -> Source | Refused:
    definition = parameters.get("dataset_definition") or {}
    name = str(definition.get("name") or "")
    if definition.get("s3ExecutionContext") or family == "s3_source":
        return _files(name, definition.get("s3ExecutionContext") or {})
    service = _SERVICES.get(family.removesuffix("_source"), "")
    if not service:
        return Refused(operator, "a source that penstock does not know")
    return Source(name=name, service=service, query=str(definition.get("queryString") or ""))


def _files(name: str, context: Mapping[str, Value]) -> Source:
    path = str(context.get("s3Uri") or "")
    return Source(
        name=name or path.rstrip("/").rsplit("/", 1)[-1],
        path=path,
        format=str(context.get("s3ContentType") or "csv").lower(),
        delimiter=str(context.get("s3FieldDelimiter") or ","),
        header=bool(context.get("s3HasHeader", True)),
        multiline=bool(context.get("s3MultiLine")),
        encoding=str(context.get("s3CsvEncodingType") or "UTF-8"),
        skip=int(context.get("s3SkipLines") or 0),
        nested=bool(context.get("s3DirIncludesNested")),
        filename=bool(context.get("s3AddsFilenameColumn")),
    )
