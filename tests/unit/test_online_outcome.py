"""The table of retry rules."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from penstock.online.outcome import Outcome, Verdict, classify, classify_entry, delay
from penstock.online.transport import Answer, Failure

ID = {"x-amzn-RequestId": "1"}


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    """An answer with a request id."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, HTTPHeaderDict(ID | named), raw)


def coded(status: int, code: str, message: str | None = "words") -> Answer:
    """An error named in the header, as the service does."""
    return answer(status, {"message": message}, x_amzn_ErrorType=code)


THROTTLES = [
    coded(400, "ThrottlingException"),
    coded(400, "ProvisionedThroughputExceededException"),
    coded(400, "RequestLimitExceeded"),
    coded(429, "TooManyRequestsException"),
    coded(503, "SlowDown"),
    coded(400, "com.amazonaws.sagemaker#ThrottlingException:http://internal.amazon.com/"),
    answer(400, {"__type": "com.amazon.coral#ThrottlingException", "Message": "Rate exceeded"}),
    answer(400, {"message": None}),
    answer(400, {}),
    answer(400),
    answer(429),
    answer(429, b"<html>slow</html>"),
]


@pytest.mark.parametrize("shape", THROTTLES)
def test_every_shape_of_a_throttle_is_one(shape: Answer) -> None:
    """No throttle is taken for a record's fault, whatever it looks like (facts F20 to F22)."""
    assert classify(shape).outcome is Outcome.THROTTLE


OTHERS = [
    (answer(200), Outcome.OK),
    (answer(200, {"Errors": []}), Outcome.OK),
    (answer(201, {}), Outcome.OK),
    (Answer(200, HTTPHeaderDict(), b""), Outcome.HEADLESS),
    (Answer(200, HTTPHeaderDict(), b"{}"), Outcome.NOT_SERVICE),
    (answer(200, b"<html>hello</html>"), Outcome.NOT_SERVICE),
    (answer(200, b'{"Errors":['), Outcome.TRANSIENT),
    (answer(200, b"[]"), Outcome.TRANSIENT),
    (answer(302, b"", location="https://login"), Outcome.NOT_SERVICE),
    (coded(500, "InternalFailure"), Outcome.TRANSIENT),
    (coded(503, "ServiceUnavailable"), Outcome.TRANSIENT),
    (answer(502, b"<html>"), Outcome.TRANSIENT),
    (answer(504), Outcome.TRANSIENT),
    (answer(509), Outcome.TRANSIENT),
    (answer(408), Outcome.TRANSIENT),
    (coded(403, "ExpiredTokenException"), Outcome.AUTH_EXPIRED),
    (coded(403, "InvalidSignatureException"), Outcome.AUTH_EXPIRED),
    (coded(403, "AccessDeniedException"), Outcome.AUTH_DENIED),
    (coded(403, "AccessForbidden"), Outcome.AUTH_DENIED),
    (coded(400, "KMSDisabledException"), Outcome.AUTH_DENIED),
    (answer(403), Outcome.AUTH_DENIED),
    (coded(400, "ValidationError", "Resource Not Found: no FeatureGroup [x]"), Outcome.SUSPECT),
    (coded(404, "ResourceNotFound"), Outcome.SUSPECT),
    (answer(404, {"message": "FeatureGroup x does not exist"}), Outcome.SUSPECT),
    (answer(404, {"message": "Not Found"}), Outcome.UNSUPPORTED),
    (answer(404), Outcome.UNSUPPORTED),
    (coded(400, "UnknownOperationException"), Outcome.UNSUPPORTED),
    (coded(400, "ValidationError"), Outcome.RECORD),
    (coded(400, "ValidationException"), Outcome.RECORD),
    (coded(400, "ValidationException", None), Outcome.RECORD),
    (coded(400, "SerializationException"), Outcome.RECORD),
    (answer(413), Outcome.RECORD),
    (answer(400, {"message": "odd"}), Outcome.UNKNOWN),
    (coded(409, "ConflictException"), Outcome.UNKNOWN),
    (answer(400, b"<html>blocked</html>"), Outcome.NOT_SERVICE),
    (answer(413, b"<html>too large</html>"), Outcome.NOT_SERVICE),
    (Answer(0, failure=Failure.TIMEOUT), Outcome.TRANSIENT),
    (Answer(0, failure=Failure.BROKEN), Outcome.TRANSIENT),
    (Answer(0, failure=Failure.CONNECT), Outcome.TRANSIENT),
    (Answer(0, failure=Failure.CERTIFICATE), Outcome.NOT_SERVICE),
]


@pytest.mark.parametrize(("shape", "outcome"), OTHERS)
def test_every_other_answer_has_the_class_of_the_table(shape: Answer, outcome: Outcome) -> None:
    """The table of facts, reliability §3.9, row by row."""
    assert classify(shape).outcome is outcome


def test_entries_are_read_by_the_same_table() -> None:
    """An error inside a batch's answer means what it means outside."""
    read = [
        classify_entry(code, "words").outcome
        for code in ("ValidationError", "ThrottlingException", "InternalFailure", "Odd", None)
    ]
    assert read == [
        Outcome.RECORD,
        Outcome.THROTTLE,
        Outcome.TRANSIENT,
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
    ]


def test_the_service_may_ask_for_a_pause() -> None:
    """``x-amz-retry-after`` counts milliseconds and is kept to, up to 20 s; nonsense is ignored."""
    paused = classify(answer(429, x_amz_retry_after="1500"))
    assert paused.retry_after_s == 1.5
    assert delay(paused, 1, lambda: 0.0) == 1.5
    long = classify(answer(429, x_amz_retry_after="99999999"))
    assert delay(long, 1, lambda: 0.0) == 20.0
    assert classify(answer(429, x_amz_retry_after="soon")).retry_after_s is None


def test_delays_stay_within_their_bounds() -> None:
    """Full jitter: throttles 50 ms to 2 s, transient failures up to 5 s, suspects 30 s in all."""
    for attempts in range(1, 40):
        for share in (0.0, 0.5, 1.0):
            drawn = partial(float, share)
            assert 0.05 <= delay(Verdict(Outcome.THROTTLE), attempts, drawn) <= 2.0
            assert 0.0 <= delay(Verdict(Outcome.TRANSIENT), attempts, drawn) <= 5.0
    suspects = [delay(Verdict(Outcome.SUSPECT), tries, lambda: 0.0) for tries in range(1, 5)]
    assert sum(suspects) == 30.0
