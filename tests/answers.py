"""AWS's control planes in a few lines, for answers that no stand-in gives on demand.

It speaks HTTP on a real socket; botocore's own models parse what it says.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Answers:
    """What each operation answers: status and body, JSON for a mapping and XML for text.

    Args:
        by_operation: Answers by name, or what makes one of the call's parameters; another
            operation is refused as unknown.
        skew_s: By how many seconds its clock is ahead of ours.
        asked: Parameters of the calls so far, by operation.
    """

    by_operation: Mapping[str, tuple[int, Any] | Callable[[Mapping[str, str]], tuple[int, Any]]]
    skew_s: float = 0.0
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    url: str = ""

    def of(self, operation: str, given: Mapping[str, Any]) -> tuple[int, Any]:
        """Its answer."""
        unknown = (400, {"__type": "UnknownOperationException", "message": operation})
        found = self.by_operation.get(operation, unknown)
        return found(given) if callable(found) else found


def denied(operation: str, kind: str = "json") -> tuple[int, Any]:
    """A refusal."""
    message = f"not authorized to perform {operation}"
    if kind == "json":
        return 400, {"__type": "AccessDeniedException", "message": message}
    code = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
    return 403, f"<ErrorResponse>{code}</ErrorResponse>"


def identity(arn: str) -> tuple[int, str]:
    """What STS says of the caller."""
    found = f"<Arn>{arn}</Arn><Account>111122223333</Account><UserId>A</UserId>"
    inside = f"<GetCallerIdentityResult>{found}</GetCallerIdentityResult>"
    return 200, f"<GetCallerIdentityResponse>{inside}</GetCallerIdentityResponse>"


def simulation(*, denies: Mapping[str, str]) -> tuple[int, str]:
    """What IAM's simulator says: these actions, on a resource each, are denied."""
    members = "".join(
        f"<member><EvalActionName>{action}</EvalActionName>"
        f"<EvalResourceName>{where}</EvalResourceName>"
        "<EvalDecision>implicitDeny</EvalDecision></member>"
        for action, where in denies.items()
    )
    return _simulation(members)


def _simulation(members: str) -> tuple[int, str]:
    inside = f"<EvaluationResults>{members}</EvaluationResults><IsTruncated>false</IsTruncated>"
    made = f"<SimulatePrincipalPolicyResult>{inside}</SimulatePrincipalPolicyResult>"
    return 200, f"<SimulatePrincipalPolicyResponse>{made}</SimulatePrincipalPolicyResponse>"


def simulator(*policies: Mapping[str, Any]) -> Callable[[Mapping[str, str]], tuple[int, str]]:
    """IAM's simulator for a role of these policies, as its API model documents it.

    It knows statements that allow, StringEquals and StringLike. A key of a condition that it was
    not told is missing, whichever statement asks for it.
    """
    statements = [one for policy in policies for one in policy["Statement"]]

    def listed(value: Any) -> list[str]:
        return [value] if isinstance(value, str) else [*value]

    def simulated(given: Mapping[str, str]) -> tuple[int, str]:
        def named(start: str, end: str = "") -> list[str]:
            shape = re.compile(rf"{start}\.member\.(\d+){end}")
            return [given[one] for one in given if shape.fullmatch(one)]

        keys = named("ContextEntries", r"\.ContextKeyName")
        values = named("ContextEntries", r"\.ContextKeyValues\.member\.1")
        context = dict(zip(keys, values, strict=True))

        def meets(statement: Mapping[str, Any]) -> bool:
            tests = [one for by in statement.get("Condition", {}).values() for one in by.items()]
            return all(
                any(fnmatchcase(context.get(key, ""), one) for one in listed(wanted))
                for key, wanted in tests
            )

        def allowed(action: str, where: str) -> bool:
            return any(
                any(fnmatchcase(action, name) for name in listed(one["Action"]))
                and any(fnmatchcase(where, name) for name in listed(one["Resource"]))
                and meets(one)
                for one in statements
            )

        asked = {
            key for one in statements for by in one.get("Condition", {}).values() for key in by
        }
        missing = "".join(f"<member>{key}</member>" for key in sorted(asked - {*context}))
        members = ""
        for action in named("ActionNames"):
            parts = ""
            for where in named("ResourceArns"):
                decision = "allowed" if allowed(action, where) else "implicitDeny"
                parts += f"<member><EvalResourceName>{where}</EvalResourceName>"
                parts += f"<EvalResourceDecision>{decision}</EvalResourceDecision>"
                parts += f"<MissingContextValues>{missing}</MissingContextValues></member>"
            members += f"<member><EvalActionName>{action}</EvalActionName>"
            members += "<EvalDecision>implicitDeny</EvalDecision>"
            members += f"<ResourceSpecificResults>{parts}</ResourceSpecificResults></member>"
        return _simulation(members)

    return simulated


class _Handler(BaseHTTPRequestHandler):
    state: Answers

    def log_message(self, *_: Any) -> None:  # the server is quiet
        pass

    def do_POST(self) -> None:  # the name http.server looks for
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        target = self.headers.get("X-Amz-Target")
        given: dict[str, Any]
        if target:
            operation, given = target.rpartition(".")[2], json.loads(body or "{}")
        else:
            given = {name: value[0] for name, value in parse_qs(body).items()}
            operation = given.get("Action", f"{self.command} {self.path.partition('?')[0]}")
        self.state.asked.setdefault(operation, []).append(given)
        status, answer = self.state.of(operation, given)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.send_response_only(status)
        self.send_header("Date", formatdate(time.time() + self.state.skew_s, usegmt=True))
        self.send_header("x-amzn-RequestId", "00000000-0000-0000-0000-000000000000")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST  # noqa: N815 - likewise


@contextmanager
def answering(answers: Answers) -> Iterator[Answers]:
    """Serve on a free port of the loopback."""
    handler = type("Handler", (_Handler,), {"state": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    answers.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
