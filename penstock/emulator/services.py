"""Which service and operation a request means, and its parameters, read off botocore's models.

REST-JSON (the runtime) is told by method and path, JSON 1.1 (SageMaker, Glue) by X-Amz-Target, the
query protocol (STS) by its Action. Answers are shaped by the same models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from botocore.loaders import Loader

from penstock.emulator.forms import Forms
from penstock.emulator.refusal import Refusal
from penstock.emulator.shapes import Check, Shapes
from penstock.emulator.wire import Request, Response

RUNTIME = "sagemaker-featurestore-runtime"
CONTROL = "sagemaker"
GLUE = "glue"
STS = "sts"

#: Code of an answer to a request that breaks the model.
_INVALID = {
    RUNTIME: "ValidationError",
    CONTROL: "ValidationException",
    GLUE: "InvalidInputException",
    STS: "ValidationError",
}


_NONE: Mapping[int, Refusal | None] = MappingProxyType({})
_NO_NAMES: Mapping[int, str] = MappingProxyType({})


class Service:
    """One service: its model, its shapes and how it words answers.

    Args:
        name: botocore's name of the service.
        special: Checks in place of the model's, by shape name.
    """

    def __init__(self, name: str, special: Mapping[str, Check] | None = None) -> None:
        model = _model(name)
        self.name = name
        self.invalid = _INVALID[name]
        self.shapes = Shapes(model["shapes"], special)
        self.operations: Mapping[str, Any] = model["operations"]
        self._inputs = {
            op: one.get("input", {}).get("shape") for op, one in self.operations.items()
        }
        self._outputs = {
            op: one.get("output", {}).get("shape") for op, one in self.operations.items()
        }
        self._model: Mapping[str, Any] = model["shapes"]
        self._metadata: Mapping[str, Any] = model["metadata"]
        self._routes = {
            (operation["http"]["method"], *_pattern(operation["http"]["requestUri"])): name
            for name, operation in self.operations.items()
        }
        self._located = {
            op: [
                (name, member["location"], member.get("locationName", ""),
                 self._model[member["shape"]]["type"] == "list")
                for name, member in self._model[shape]["members"].items()
                if "location" in member
            ]
            for op, shape in self._inputs.items()
            if shape is not None
        }  # fmt: skip

    @property
    def target_prefix(self) -> str:
        """What X-Amz-Target starts with, for JSON 1.1."""
        return str(self._metadata.get("targetPrefix", ""))

    def by_path(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Operation and parameters of a REST-JSON request."""
        parts = request.path[1:].split("/")
        for held in ((1,), ()):
            key = tuple("{}" if at in held else part for at, part in enumerate(parts))
            name = self._routes.get((request.method, *key))
            if name is not None:
                return name, self._rest_parameters(name, parts, request)
        raise Refusal("UnknownOperationException", "No operation has this method and path.", 404)

    def validate(self, operation: str, parameters: object) -> None:
        """Raise a Refusal when the parameters break the model."""
        shape = self._inputs[operation]
        if shape is not None:
            self.shapes.validate(shape, parameters, self.invalid)

    def success(self, operation: str, output: Any, request_id: str) -> Response:
        """The answer 200 of an operation."""
        shape = self._outputs[operation]
        if shape is None:
            return Response(200, self._headers(request_id))
        rendered = self.shapes.render(shape, output)
        if self.name == STS:
            return self._xml(operation, rendered, request_id)
        return Response(200, self._headers(request_id), json.dumps(rendered).encode())

    def failure(self, refusal: Refusal, request_id: str) -> Response:
        """The answer that carries a refusal."""
        model = self._model.get(refusal.code, {})
        status = model.get("error", {}).get("httpStatusCode", refusal.status)
        if self.name == STS:
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(refusal.code)}</Code>"
                f"<Message>{escape(refusal.message)}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
            return Response(status, _xml_headers(request_id), body.encode())
        member = "Message" if "Message" in model.get("members", {}) else "message"
        fields = {"__type": refusal.code, member: refusal.message}
        headers = (*self._headers(request_id), ("x-amzn-ErrorType", refusal.code))
        return Response(status, headers, json.dumps(fields).encode())

    def _headers(self, request_id: str) -> tuple[tuple[str, str], ...]:
        kind = "application/json" if self.name == RUNTIME else "application/x-amz-json-1.1"
        return (("x-amzn-RequestId", request_id), ("Content-Type", kind))

    def _xml(self, operation: str, rendered: Any, request_id: str) -> Response:
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in rendered.items())
        body = (
            f'<{operation}Response xmlns="{self._metadata["xmlNamespace"]}">'
            f"<{operation}Result>{inner}</{operation}Result>"
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
            f"</{operation}Response>"
        )
        return Response(200, _xml_headers(request_id), body.encode())

    def _rest_parameters(self, operation: str, parts: list[str], request: Request) -> Any:
        parameters = {} if request.method in {"GET", "DELETE"} else load(request.body)
        if type(parameters) is not dict:
            raise Refusal("SerializationException", "The body is not a JSON object.")
        query = parse_qsl(request.query, keep_blank_values=True) if request.query else []
        for name, where, sent, plural in self._located[operation]:
            if where == "uri":
                parameters[name] = unquote(parts[1])
                continue
            found = [value for key, value in query if key == sent]
            if found:
                parameters[name] = found if plural else found[0]
        return parameters


class Call(NamedTuple):
    """One parsed request.

    Args:
        service: Whose operation it is.
        operation: Name of the operation.
        parameters: As the model has them, validated.
        request_id: The id of its answer.
        entries: Scripted outcome of single entries of a batch, by position from 0.
        names: Names of those outcomes, for the journal.
        fault: What a script does to the whole call, though it is applied.
        answered: Whether a script lets the answer through.
    """

    service: Service
    operation: str
    parameters: Any
    request_id: str
    entries: Mapping[int, Refusal | None] = _NONE
    names: Mapping[int, str] = _NO_NAMES
    fault: str | None = None
    answered: bool = True


class Router:
    """All services together.

    Args:
        services: By botocore's name.
    """

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._services = services
        self._forms = Forms()

    def service(self, request: Request) -> Service:
        """The service by headers alone, so that refused requests are answered in its protocol."""
        target = request.headers.get("x-amz-target")
        if target is not None:
            prefix = target.partition(".")[0]
            control, glue = self._services[CONTROL], self._services[GLUE]
            return glue if prefix == glue.target_prefix else control
        form = request.headers.get("content-type", "").startswith("application/x-www-form")
        return self._services[STS if form and request.path == "/" else RUNTIME]

    def call(self, service: Service, scope: str, request: Request, request_id: str) -> Call:
        """The call a request means.

        Args:
            service: What ``service`` said.
            scope: Service name the request was signed for.
            request: The request.
            request_id: The id its answer will carry.

        Raises:
            Refusal: Signed for another service, unknown operation, or parameters against the model.
        """
        signing = CONTROL if service.name == RUNTIME else service.name
        if scope != signing:
            text = f"Credential should be scoped to correct service: '{signing}'."
            raise Refusal("InvalidSignatureException", text, 403)
        cut = self._forms.cut(request) if service.name == RUNTIME and request.body else None
        known = None if cut is None else self._forms.read(cut)
        if known is not None:
            return Call(service, *known, request_id)
        operation, parameters = self._read(service, request)
        service.validate(operation, parameters)
        if cut is not None and operation in {"PutRecord", "BatchWriteRecord"}:
            self._forms.learn(cut, operation, parameters)
        return Call(service, operation, parameters, request_id)

    def _read(self, service: Service, request: Request) -> tuple[str, Any]:
        if service.name == RUNTIME:
            return service.by_path(request)
        if service.name == STS:
            form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
            return form.get("Action", ""), {}
        prefix, _, operation = request.headers["x-amz-target"].partition(".")
        if prefix != service.target_prefix or operation not in service.operations:
            raise Refusal("UnknownOperationException", "X-Amz-Target names no operation.")
        return operation, load(request.body)


@lru_cache
def _model(name: str) -> Mapping[str, Any]:
    model: Mapping[str, Any] = Loader().load_service_model(name, "service-2")
    return model


def load(body: bytes) -> Any:
    """JSON of a body; Refusal SerializationException when it is none."""
    try:
        return json.loads(body.decode()) if body else {}
    except (ValueError, RecursionError):
        raise Refusal("SerializationException", "The body is not JSON.") from None


def _pattern(uri: str) -> tuple[str, ...]:
    parts = uri.partition("?")[0].strip("/").split("/")
    return tuple("{}" if part.startswith("{") else part for part in parts)


def _xml_headers(request_id: str) -> tuple[tuple[str, str], ...]:
    return (("x-amzn-RequestId", request_id), ("Content-Type", "text/xml"))
