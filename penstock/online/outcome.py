"""What an answer means: the one table of retry rules, pure (facts: reliability §3.9).

The same table reads a whole answer and one entry's error inside a BatchWriteRecord answer. A 2xx
counts only with a request id and a body that is empty or JSON, because a proxy's page is a 200 as
well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from penstock.online.transport import Failure

if TYPE_CHECKING:
    from penstock.online.transport import Answer


class Outcome(str, Enum):
    """Classes of answers."""

    OK = "OK"
    THROTTLE = "THROTTLE"  # slow down, send again
    TRANSIENT = "TRANSIENT"  # send again
    AUTH_EXPIRED = "AUTH_EXPIRED"  # find credentials again, send again
    AUTH_DENIED = "AUTH_DENIED"  # ends the run: 77
    SUSPECT = "SUSPECT"  # "Resource Not Found", which the service says of existing groups at times
    UNSUPPORTED = "UNSUPPORTED"  # the service does not know the operation
    RECORD = "RECORD"  # the record's own fault: rejected
    UNKNOWN = "UNKNOWN"  # another 4xx: rejected after three tries
    HEADLESS = "HEADLESS"  # a 2xx cut off before its request id, or not of the service
    NOT_SERVICE = "NOT_SERVICE"  # whoever answered is not SageMaker: ends the run, 70


@dataclass(frozen=True)
class Verdict:
    """An answer, understood.

    Args:
        outcome: Its class.
        code: The service's error code, else one of ours (``HTTP 503``, ``Timeout``).
        message: The service's words, unscrubbed.
        retry_after_s: How long the service asks to wait, if it does.
        document: The parsed body of an OK.
    """

    outcome: Outcome
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    document: Any = None


_ID = "x-amzn-requestid"
_THROTTLE = re.compile(
    r"Throttl|RequestThrottle|RequestLimitExceeded|TooManyRequests|LimitExceeded|SlowDown"
    r"|BandwidthLimitExceeded|PriorRequestNotComplete|.*ThroughputExceeded"
)
_EXPIRED = re.compile(
    r"ExpiredToken|RequestExpired|InvalidSignature|SignatureDoesNotMatch|RequestTimeTooSkewed"
    r"|RequestInTheFuture|InvalidClientTokenId|UnrecognizedClient"
)
_DENIED = re.compile(
    r"AccessDenied|AccessForbidden|KMS|NotAuthorized|MissingAuthenticationToken|OptIn"
)
_TRANSIENT = re.compile(
    r"InternalFailure|InternalError|InternalServer|ServiceUnavailable|RequestTimeout|Unavailable"
)
_UNSUPPORTED = re.compile(r"UnknownOperation|InvalidAction|UnsupportedOperation")
_RECORD = re.compile(
    r"Validation|Serialization|RequestEntityTooLarge|RequestTooLarge|Oversize", re.IGNORECASE
)
_NOT_FOUND = re.compile(r"ResourceNotFound")
_QUOTED = re.compile(r"\[[^\]]*\]|'[^']*'|\"[^\"]*\"")
_A_RECORD = re.compile(r"\brecord\b", re.IGNORECASE)
_EVENT_TIME = re.compile(r"event\s*time", re.IGNORECASE)
_ORDER = re.compile(r"\b(later|newer|older|earlier|greater|less|after|before)\b", re.IGNORECASE)
_GROUP_MISSING = re.compile(r"resource not found|feature\s*group", re.IGNORECASE)
#: A ValidationError that is not the record's fault: "Resource Not Found" (service facts §3.5), or
#: the group is being changed (the service's words for that are not verified on AWS).
_GROUP_STATE = re.compile(
    r"\Aresource not found|feature\s*group\b.*\bstatus\b|\bnot in status\b", re.IGNORECASE
)

#: In the order they are asked. Codes alone; what needs the status stands in ``_by_status``.
_BY_CODE = (
    (_THROTTLE, Outcome.THROTTLE),
    (_EXPIRED, Outcome.AUTH_EXPIRED),
    (_DENIED, Outcome.AUTH_DENIED),
    (_UNSUPPORTED, Outcome.UNSUPPORTED),
    (_TRANSIENT, Outcome.TRANSIENT),
    (_NOT_FOUND, Outcome.SUSPECT),
    (_RECORD, Outcome.RECORD),
)
_BY_STATUS = {
    401: Outcome.AUTH_DENIED,
    403: Outcome.AUTH_DENIED,
    404: Outcome.UNSUPPORTED,
    405: Outcome.UNSUPPORTED,
    408: Outcome.TRANSIENT,
    413: Outcome.RECORD,
    429: Outcome.THROTTLE,
}
#: Classes that only the service itself may put a record or a run into.
_NEED_WORDS = (Outcome.RECORD, Outcome.UNKNOWN, Outcome.UNSUPPORTED, Outcome.THROTTLE)


#: Bodies of a success that name nothing, as nearly all are: read without a parser.
_NOTHING = frozenset((b"", b"{}", b'{"Errors":[],"UnprocessedEntries":[]}'))
_FINE = Verdict(Outcome.OK, document=MappingProxyType({}))


def classify(answer: Answer) -> Verdict:
    """The verdict on a whole answer."""
    if answer.status == 200 and answer.body in _NOTHING and _ID in answer.headers:  # noqa: PLR2004 - the one success the service documents
        return _FINE
    if answer.failure is not None:
        alien = answer.failure is Failure.CERTIFICATE
        outcome = Outcome.NOT_SERVICE if alien else Outcome.TRANSIENT
        return Verdict(outcome, answer.failure.value, answer.detail)
    if 200 <= answer.status < 300:  # noqa: PLR2004 - the class of successes
        return _success(answer)
    return _error(answer)


def classify_entry(code: str | None, message: str | None) -> Verdict:
    """The verdict on one entry of ``Errors`` in a BatchWriteRecord answer."""
    code, message = _short(code or ""), message or ""
    return Verdict(_by_code(400, code, message), code or "NoCode", message)


def superseded(operation: str, status: int, verdict: Verdict) -> bool:
    """Whether a correction or deletion came too late: the store knows better, nothing is wrong.

    UpdateRecord: the record is gone, or has a newer event time (API reference). DeleteRecord with
    HardDelete: a 400 that speaks of the event time's order; its wording is not verified on AWS.
    """
    words = _QUOTED.sub("", verdict.message)
    if operation == "UpdateRecord":
        if status == 409 or verdict.code.startswith("Conflict"):  # noqa: PLR2004 - Conflict
            return True
        group = _GROUP_MISSING.search(words) and not _A_RECORD.search(words)
        return bool(_NOT_FOUND.match(verdict.code)) and not group
    late = _EVENT_TIME.search(words) and _ORDER.search(words)
    return verdict.outcome is Outcome.RECORD and bool(late)


def _success(answer: Answer) -> Verdict:
    if _ID not in answer.headers:
        # A connection that closes within the headers reads as a 2xx with fewer of them.
        outcome = Outcome.NOT_SERVICE if answer.body else Outcome.HEADLESS
        return Verdict(outcome, f"HTTP {answer.status}", "an answer without a request id")
    if not answer.body.strip():
        return Verdict(Outcome.OK, document={})
    document = _parsed(answer.body)
    if isinstance(document, dict):
        return Verdict(Outcome.OK, document=document)
    if answer.body.lstrip().startswith(b"<"):
        return Verdict(Outcome.NOT_SERVICE, f"HTTP {answer.status}", "an HTML page")
    return Verdict(Outcome.TRANSIENT, "Garbled", "a body that is not JSON")


def _error(answer: Answer) -> Verdict:
    document = _parsed(answer.body) if answer.body.strip() else {}
    fields = document if isinstance(document, dict) else {}
    code = _short(
        answer.headers.get("x-amzn-errortype") or _first(fields, "__type", "code", "Code")
    )
    message = _first(fields, "Message", "message")
    outcome = _by_code(answer.status, code, message)
    unread = not isinstance(document, dict) and not code
    if unread and outcome in _NEED_WORDS and answer.status != 429:  # noqa: PLR2004 - a bare 429 is a throttle
        outcome = Outcome.NOT_SERVICE  # a proxy's page must not reject records
    if 300 <= answer.status < 400:  # noqa: PLR2004 - redirects; the service sends none
        outcome = Outcome.NOT_SERVICE
    named = code or f"HTTP {answer.status}"
    return Verdict(outcome, named, message, _retry_after(answer) if _waits(outcome) else None)


def _by_code(status: int, code: str, message: str) -> Outcome:
    for pattern, outcome in _BY_CODE:
        if pattern.match(code):
            suspect = outcome is Outcome.RECORD and _GROUP_STATE.search(message)
            return Outcome.SUSPECT if suspect else outcome
    if status >= 500:  # noqa: PLR2004 - the class of server errors, 509 included
        return Outcome.TRANSIENT
    if status == 404 and _GROUP_MISSING.search(message):  # noqa: PLR2004 - 404 is its own name
        return Outcome.SUSPECT
    if status == 400 and not code and not message:  # noqa: PLR2004 - {"message": null}: a throttle
        return Outcome.THROTTLE
    return _BY_STATUS.get(status, Outcome.UNKNOWN)


def _waits(outcome: Outcome) -> bool:
    return outcome in (Outcome.THROTTLE, Outcome.TRANSIENT)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _first(fields: dict[str, Any], *names: str) -> str:
    return next((str(fields[name]) for name in names if fields.get(name)), "")


def _short(code: str) -> str:
    """``com.amazonaws.x#Code:http://…`` is ``Code``."""
    return code.rsplit("#", 1)[-1].split(":", 1)[0].strip()


def _retry_after(answer: Answer) -> float | None:
    """``x-amz-retry-after`` is in milliseconds (botocore), ``Retry-After`` in seconds."""
    for name, scale in (("x-amz-retry-after", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(answer.headers[name]) * scale)
        except (KeyError, ValueError):
            continue
    return None


SUSPECT_DELAYS_S = (0.5, 2.0, 7.5, 20.0)  # five tries over 30 s
UNKNOWN_TRIES = 3
MAX_ASKED_S = 20.0


def delay(verdict: Verdict, attempts: int, random: Callable[[], float]) -> float:
    """Seconds before the next try, with full jitter; ``attempts`` counts tries so far, from 1."""
    if verdict.outcome is Outcome.SUSPECT:
        return SUSPECT_DELAYS_S[min(attempts, len(SUSPECT_DELAYS_S)) - 1]
    if verdict.outcome is Outcome.THROTTLE:
        waited = 0.05 + random() * min(1.95, 0.1 * 2.0 ** min(attempts, 10))
    else:
        waited = random() * min(5.0, 0.05 * 2.0 ** min(attempts, 10))
    asked = verdict.retry_after_s
    return waited if asked is None else max(waited, min(asked, MAX_ASKED_S))
