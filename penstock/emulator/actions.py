"""What a scripted fault does to a call: the shapes of errors, broken answers, outcomes of entries.

Shapes are those seen or documented (see ``docs/emulator-coverage.md``); ``faults.Rule`` says when.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from penstock.emulator.refusal import Refusal, group_not_found


@dataclass(frozen=True)
class Reply:
    """Answer this instead of doing anything.

    Args:
        name: Name in the journal.
        status: HTTP status.
        body: Body of the answer.
        code: Value of x-amzn-ErrorType, None for no such header.
        retry_after: Milliseconds in x-amz-retry-after, None for no such header.
        bare: Without request id and JSON content type, as a proxy would answer.
    """

    name: str
    status: int
    body: str
    code: str | None = None
    retry_after: int | None = None
    bare: bool = False


@dataclass(frozen=True)
class Broken:
    """Break the delivery of the answer.

    Args:
        name: Name in the journal.
        applied: Whether the call is carried out first.
        ending: ``reset``, ``truncated``, ``silence`` or ``dripped`` (see ``wire.Response``).
        delay: Seconds before that.
        pace: Bytes per second of a dripped answer.
    """

    name: str
    applied: bool
    ending: Literal["reset", "truncated", "silence", "dripped"]
    delay: float = 0.0
    pace: float = 1.0


@dataclass(frozen=True)
class Delay:
    """The answer is late by ``seconds`` and up to ``jitter`` more; other rules still apply."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True)
class Entry:
    """Strike single records: leave them unprocessed (None), or answer them this error.

    A call of one record is refused as a whole; unprocessed is then a throttle.
    """

    refusal: Refusal | None
    name: str = "unprocessed"


@dataclass(frozen=True)
class Turned:
    """The group shows this status, and the runtime does not serve it."""

    status: str
    name: str = "turned"


@dataclass(frozen=True)
class Rotated:
    """The key pair changes: from this call on the old key has expired."""

    name: str = "rotated"


Action = Reply | Broken | Delay | Entry | Turned | Rotated
Shape = Literal["exception", "null", "bare", "coded", "provisioned", "limit"]


def throttled(
    shape: Shape = "exception", retry_after: int | None = None, name: str | None = None
) -> Reply:
    """The shapes in which throttling was seen or is documented.

    Args:
        shape: 400 ThrottlingException (``exception``), 400 with a null message and no code
            (``null``), 429 without a body (``bare``), 429 with the code (``coded``), or 400 with
            ProvisionedThroughputExceededException or RequestLimitExceeded.
        retry_after: Milliseconds in x-amz-retry-after, None for no such header.
        name: Name in the journal.
    """
    status = 429 if shape in {"bare", "coded"} else 400
    codes: dict[str, str] = {
        "exception": "ThrottlingException",
        "coded": "ThrottlingException",
        "provisioned": "ProvisionedThroughputExceededException",
        "limit": "RequestLimitExceeded",
    }
    code = codes.get(shape)
    body = "" if shape == "bare" else _error_body(code, "Rate exceeded" if code else None)
    return Reply(name or f"throttled {shape}", status, body, code, retry_after)


def failing(status: int) -> Reply:
    """500, 502, 503, 504 or 509, the first and third with the service's codes."""
    code = {500: "InternalFailure", 503: "ServiceUnavailable"}.get(status)
    body = _error_body(code, "Internal server error. Please try again later.") if code else ""
    return Reply(f"status {status}", status, body, code)


def denied() -> Reply:
    """403: not allowed, in the words of IAM (the model's own code is AccessForbidden)."""
    text = "User is not authorized to perform this action."
    code = "AccessDeniedException"
    return Reply("denied", 403, _error_body(code, text), code)


def expired() -> Reply:
    """403: the session token is over."""
    text = "The security token included in the request is expired"
    return Reply(
        "expired", 403, _error_body("ExpiredTokenException", text), "ExpiredTokenException"
    )


def rotated() -> Rotated:
    """403 for this call and all later ones with this key; the credentials file has a new one."""
    return Rotated()


def vanished(name: str, status: int = 400) -> Reply:
    """400 ValidationError or 404 ResourceNotFound: an existing group is said not to be there."""
    code = "ResourceNotFound" if status == 404 else "ValidationError"  # noqa: PLR2004 - HTTP's number
    refusal = group_not_found(code, name)
    return Reply("vanished", status, _error_body(refusal.code, refusal.message), refusal.code)


def turned(status: str = "Deleting") -> Turned:
    """The group shows this status in Describe; the runtime answers 400 ValidationError."""
    return Turned(status, f"turned {status}")


def garbage() -> Reply:
    """200 with the page of a proxy, without a request id."""
    return Reply("garbage", 200, "<html><body>Welcome</body></html>", bare=True)


def reset_before() -> Broken:
    """Connection reset; nothing was applied."""
    return Broken("reset before", applied=False, ending="reset")


def reset_after() -> Broken:
    """Connection reset after the call was applied."""
    return Broken("reset after", applied=True, ending="reset")


def closed(*, applied: bool = False) -> Broken:
    """The connection is closed (FIN) without an answer."""
    name = "closed after" if applied else "closed before"
    return Broken(name, applied=applied, ending="silence")


def truncated() -> Broken:
    """The call is applied; half of its answer arrives, then the connection closes."""
    return Broken("truncated", applied=True, ending="truncated")


def dripped(bytes_per_second: float = 1.0) -> Broken:
    """The call is applied; its answer arrives byte by byte at this pace."""
    return Broken("dripped", applied=True, ending="dripped", pace=bytes_per_second)


def hanging(seconds: float) -> Broken:
    """No answer for this long, then the connection closes; nothing was applied."""
    return Broken("hanging", applied=False, ending="silence", delay=seconds)


def delayed(seconds: float, jitter: float = 0.0) -> Delay:
    """The answer comes this much later, and up to ``jitter`` seconds more."""
    return Delay(seconds, jitter)


def unprocessed() -> Entry:
    """The entry comes back under UnprocessedEntries (or UnprocessedIdentifiers)."""
    return Entry(None)


def refused(code: str = "ValidationError", message: str = "Refused by a script.") -> Entry:
    """The entry comes back under Errors; a single put is refused with this code."""
    return Entry(Refusal(code, message), "refused")


def refusing(refusal: Refusal | None, name: str) -> Reply:
    """A call of one record, refused; None throttles it."""
    if refusal is None:
        return throttled(name=name)
    body = _error_body(refusal.code, refusal.message)
    return Reply(name, refusal.status, body, refusal.code)


def _error_body(code: str | None, message: str | None) -> str:
    named = {} if code is None else {"__type": code}
    return json.dumps(named | {"message": message})
