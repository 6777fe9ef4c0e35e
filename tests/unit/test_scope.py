"""What a build is made of: bounds of labels and rows, exact, the same in Spark and in SQL."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import DataGateError, UsageError
from penstock.training.scope import EVERYTHING, Scope, _Within

UTC = timezone.utc
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("name", ["start", "end", "as_of"])
def test_an_instant_without_a_zone_is_refused(name: str) -> None:
    """It would mean another one on another machine."""
    with pytest.raises(UsageError, match=r"has no time zone\. Write it like 2013-07-01T"):
        Scope(**{name: datetime(2013, 7, 1)})  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("end", [NOON, NOON - HOUR, NOON.astimezone(timezone(HOUR))])
def test_an_end_comes_after_its_start(end: datetime) -> None:
    """Else no label could be in between."""
    with pytest.raises(UsageError, match="is not after the start"):
        Scope(NOON, end)


def test_equal_instants_are_one_scope() -> None:
    """The ID of a data set has their texts in it."""
    there = Scope(NOON.astimezone(timezone(2 * HOUR)), as_of=NOON + timedelta(microseconds=1))
    assert there == Scope(NOON, as_of=NOON + timedelta(microseconds=1))
    assert there.plain() == {
        "start": "2013-07-01T12:00:00Z",
        "end": None,
        "as_of": "2013-07-01T12:00:00.000001Z",
    }
    assert EVERYTHING.plain() == {"start": None, "end": None, "as_of": None}


def test_far_instants_are_no_bounds() -> None:
    """Whatever a calendar knows is a number of 64 bits; nearer ones are exact."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    far = Scope(first, last, last)
    assert far.first == -far.after == -far.written == 1 - 2**63  # type: ignore[operator]  # there is an end
    micro = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert Scope(micro, as_of=micro).first == Scope(as_of=micro).written == -1_000


MOMENTS = ["2013-07-01T11:59:59.999999999Z", "2013-07-01T12:00:00Z", "2013-07-01T12:59:59.9Z"]
LATER = ["2013-07-01T15:00:00+02:00", "2013-07-02T00:00:00Z"]


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        (Scope(NOON, NOON + HOUR), [1, 2]),
        (Scope(start=NOON), [1, 2, 3, 4]),
        (Scope(end=NOON), [0]),
        (Scope(end=NOON + HOUR + timedelta(microseconds=1)), [0, 1, 2, 3]),
        (Scope(NOON + 24 * HOUR), []),
    ],
)
def test_labels_of_a_range(scope: Scope, kept: list[int]) -> None:
    """From the start on, before the end, to the nanosecond; the other columns come along."""
    texts = pa.array([*MOMENTS, *LATER])
    numbers = pa.array(range(5))
    batches = [pa.record_batch([numbers, texts], ["n", "when"])] * 2
    answer = list(_Within(1, scope)(batches))
    assert [one["n"].to_pylist() for one in answer] == [kept, kept]
    assert all(one.schema == batches[0].schema for one in answer)


@pytest.mark.parametrize(
    "moments",
    [
        pa.array([0.0, 1_372_680_000.0, 1_372_683_600.0]),
        pa.array([0, 1_372_680_000, 1_372_683_600], pa.timestamp("s", "Asia/Kolkata")),
    ],
    ids=["seconds", "timestamps"],
)
def test_moments_of_other_kinds(moments: pa.Array) -> None:
    """They are one scale."""
    batch = pa.record_batch([moments], ["when"])
    (answer,) = _Within(0, Scope(NOON, NOON + HOUR))([batch])
    assert answer["when"] == moments.slice(1, 1)


@pytest.mark.parametrize("moments", [[None], ["2013-07-01T12:00:00"], ["noon"]])
def test_a_range_hides_no_label_without_a_moment(moments: list[Any]) -> None:
    """It is refused with a range as it is without."""
    batch = pa.record_batch([pa.array(moments, pa.string())], ["when"])
    with pytest.raises(DataGateError):
        list(_Within(0, Scope(start=NOON))([batch]))
