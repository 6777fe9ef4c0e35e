"""What no document answers: asked of AWS and told in the summary; the embedded AWS has its default.

The embedded AWS's answers are asserted, so that a setting cannot change by accident; AWS's are
told, so that the settings can be set right.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import FOUND, World, eventually, fresh, record

pytestmark = pytest.mark.shows("4.6")

EARLY, DAY, LATE = (f"2024-03-0{day}T00:00:00Z" for day in (1, 2, 3))


def _equal_event_time(world: World) -> str:
    name = fresh()
    world.put(name, DAY, text="first")
    eventually(lambda: world.get(name).get("text"), wanted="first")
    world.put(name, DAY, text="second")
    return {"first": "ignored", "second": "applied"}[world.get(name)["text"]]


def _older_put_after_soft_delete(world: World) -> str:
    name = fresh()
    world.put(name, EARLY)
    key = {"FeatureGroupName": world.group, "RecordIdentifierValueAsString": name}
    world.runtime.delete_record(**key, EventTime=LATE)
    eventually(lambda: world.get(name), wanted={})
    world.put(name, DAY)
    return "comes back" if world.get(name) else "stays deleted"


def _older_put_after_hard_delete(world: World) -> str:
    name = fresh()
    world.put(name, EARLY)
    key = {"FeatureGroupName": world.group, "RecordIdentifierValueAsString": name}
    world.runtime.delete_record(**key, EventTime=LATE, DeletionMode="HardDelete")
    eventually(lambda: world.get(name), wanted={})
    world.put(name, DAY)
    return "comes back" if world.get(name) else "stays deleted"


def _born_expired(world: World) -> str:
    name = fresh()
    world.put(name, DAY, options={"TtlDuration": {"Unit": "Seconds", "Value": 1}})
    return "visible" if world.get(name) else "absent"


def _fraction_lengths(world: World) -> str:
    taken = []
    for digits in range(1, 10):
        moment = f"2024-03-02T00:00:00.{'1' * digits}Z"
        if _accepts(lambda moment=moment: world.put(fresh(), moment)):  # type: ignore[misc] # bound now
            taken.append(str(digits))
    return " ".join(taken)


def _upper_case_name(world: World) -> str:
    features = record(id=fresh(), t=DAY)
    name = world.group.upper()
    call = lambda: world.runtime.put_record(FeatureGroupName=name, Record=features)  # noqa: E731 - reads best
    return "found" if _accepts(call) else "not found"


def _feature_given_twice(world: World) -> str:
    features = [*record(id=fresh(), t=DAY, text="a"), *record(text="b")]
    call = lambda: world.runtime.put_record(FeatureGroupName=world.group, Record=features)  # noqa: E731 - reads best
    return "accepted" if _accepts(call) else "refused"


def _same_record_twice_in_a_batch(world: World) -> str:
    name = fresh()
    records = [record(id=name, t=EARLY, text="a"), record(id=name, t=DAY, text="b")]
    entries = [{"FeatureGroupName": world.group, "Record": one} for one in records]
    try:
        answer = world.runtime.batch_write_record(Entries=entries)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    failed = len(answer["Errors"]), len(answer["UnprocessedEntries"])
    return f"{failed[0]} errors, {failed[1]} unprocessed, {world.get(name).get('text')} stays"


def _accepts(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError:
        return False
    return True


@pytest.mark.parametrize(
    ("question", "ask", "default"),
    [
        ("an equal event time", _equal_event_time, "ignored"),
        ("an older put after a soft delete", _older_put_after_soft_delete, "stays deleted"),
        ("an older put after a hard delete", _older_put_after_hard_delete, "comes back"),
        ("a record that is born expired", _born_expired, "absent"),
        ("fractional digits that are accepted", _fraction_lengths, "1 2 3 4 5 6 7 8 9"),
        ("a name in upper case", _upper_case_name, "found"),
        ("a feature given twice", _feature_given_twice, "refused"),
        ("one record twice in a batch", _same_record_twice_in_a_batch,
         "0 errors, 0 unprocessed, b stays"),
    ],
    ids=lambda one: one.replace(" ", "_") if isinstance(one, str) else "",
)  # fmt: skip
def test_open_question(
    world: World, question: str, ask: Callable[[World], str], default: str
) -> None:
    """The answer is known afterwards; the embedded AWS gives its documented default."""
    FOUND[question] = ask(world)
    assert world.real or FOUND[question] == default
