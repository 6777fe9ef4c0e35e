"""Questions to the online store: each is answered once, whatever the service says first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from penstock.aws import Endpoint
from penstock.errors import CredentialsError, MismatchError, TemporaryError
from penstock.online.asking import ReadJob, ReadLine, UnknownOperationError
from penstock.online.lookup import Found, records
from penstock.online.pacing import Pacer
from penstock.online.sender import Timing
from penstock.online.transport import Answer, Failure, Request
from tests.event_loop import ID, THROTTLED, Bench, Script, refusal

JOB = ReadJob(Endpoint("us-east-1", "http://127.0.0.1:9"), "birds", in_flight=4)
NAMES = [f"k{n}" for n in range(250)]


def asked(request: Request) -> list[str]:
    """Identifiers of a request."""
    (one,) = json.loads(request.body)["Identifiers"]
    assert one["FeatureGroupName"] == "birds"
    names: list[str] = one["RecordIdentifiersValueAsString"]
    return names


def answer(request: Request, *, left: int = 0, errors: Any = ()) -> Answer:
    """Every record asked for, but so many that are left for later, and those with an error."""
    names = [one for one in asked(request) if one not in dict(errors)]
    told = names[left:]
    plain = {
        "Records": [
            {
                "FeatureGroupName": "birds",
                "RecordIdentifierValueAsString": one,
                "Record": [
                    {"FeatureName": "id", "ValueAsString": one},
                    {"FeatureName": "colours", "ValueAsStringList": ["red"]},
                ],
            }
            for one in told
        ],
        "Errors": [
            {"RecordIdentifierValueAsString": one, "ErrorCode": code, "ErrorMessage": "no"}
            for one, code in errors
            if one in asked(request)
        ],
        "UnprocessedIdentifiers": [
            {"FeatureGroupName": "birds", "RecordIdentifiersValueAsString": names[:left]}
        ]
        if left
        else [],
    }
    return Answer(200, ID, json.dumps(plain).encode())


def looked_up(script: Script, names: list[str] = NAMES, **changes: Any) -> tuple[Any, Bench]:
    """What is found, on a clock of its own."""
    bench = Bench(script, in_flight=8)
    pacer = Pacer(0.0, changes.pop("ceiling", None), start=1e6)
    job = ReadJob(JOB.endpoint, JOB.group, in_flight=4, **changes)
    timing = Timing(clock=lambda: bench.now, random=lambda: 0.5)
    return records(job, names, line=ReadLine(bench, pacer), timing=timing), bench


ALL = {one: Found({"id": one}, None) for one in NAMES}


def test_a_hundred_to_a_request_and_several_under_way() -> None:
    """Values of collections are no text and are left out."""
    found, bench = looked_up(lambda request, _: answer(request))
    assert found == ALL
    assert sorted(len(asked(one)) for one in bench.calls) == [50, 100, 100]
    assert bench.most == 3
    assert json.loads(bench.calls[0].body)["ExpirationTimeResponse"] == "Enabled"


def test_no_more_under_way_than_there_are_slots() -> None:
    """Of eight that the transport would take."""
    _, bench = looked_up(lambda request, _: answer(request), [f"k{n}" for n in range(2_000)])
    assert bench.most == 4


def test_what_is_left_for_later_is_asked_for_again() -> None:
    """Unprocessed identifiers and passing errors; absent records are in no answer."""
    seen: list[str] = []

    def script(request: Request, _: float) -> Answer:
        first = not set(asked(request)) & set(seen)
        seen.extend(asked(request))
        return answer(request, left=20 if first else 0, errors=[("k7", "InternalFailure")] * first)

    found, _ = looked_up(script)
    assert found == ALL
    assert len(seen) == 250 + 3 * 20 + 1
    none, _ = looked_up(lambda *_: Answer(200, ID, b"{}"))
    assert none == {}


@pytest.mark.parametrize(
    "trouble",
    [
        THROTTLED,
        refusal("ThrottlingException"),
        refusal("InternalFailure", status=500),
        refusal("ResourceNotFound", "the feature group", 404),
        Answer(0, failure=Failure.BROKEN, detail="reset"),
        Answer(200, HTTPHeaderDict()),
    ],
)
def test_trouble_that_passes_is_waited_for(trouble: Answer) -> None:
    """One request in two fails, once."""
    failed: set[str] = set()

    def script(request: Request, _: float) -> Answer:
        first = asked(request)[0]
        if first in failed or first == "k0":
            return answer(request)
        failed.add(first)
        return trouble

    found, bench = looked_up(script)
    assert (found, len(bench.calls)) == (ALL, 5)


def test_credentials_are_found_again_once() -> None:
    """Two refusals of the same ones are one reason; refused again and again they end it."""

    def script(request: Request, now: float) -> Answer:
        return refusal("ExpiredTokenException", status=403) if now < 0.02 else answer(request)

    found, bench = looked_up(script)
    assert (found, bench.renewed) == (ALL, [1])
    with pytest.raises(CredentialsError, match="refuses our credentials"):
        looked_up(lambda *_: refusal("ExpiredTokenException", status=403))


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (refusal("AccessDeniedException", status=403), CredentialsError, "not allowed to read"),
        (refusal("UnknownOperationException", status=404), UnknownOperationError, "does not know"),
        (refusal("ValidationError", "k1 is odd"), MismatchError, "refuses BatchGetRecord"),
        (Answer(200, HTTPHeaderDict(), b"<html>"), MismatchError, "not SageMaker"),
        (THROTTLED, TemporaryError, "within 300 s; last answer: HTTP 429"),
    ],
)
def test_what_does_not_pass_is_said(said: Answer, kind: type[Exception], words: str) -> None:
    """In one line, without a value."""
    with pytest.raises(kind, match=words) as caught:
        looked_up(lambda *_: said)
    assert "odd" not in str(caught.value)


def test_the_ceiling_holds() -> None:
    """A thousand records at 100 a second take about ten seconds."""
    names = [f"k{n}" for n in range(1_000)]
    _, bench = looked_up(lambda request, _: answer(request), names, ceiling=100.0)
    assert 8.5 < bench.now < 10.5
