"""How a record differs: by instants and values, not by texts; and what mends it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import encoding
from penstock.contract import CORRECT, DELETED, Feature, FeatureGroup, FeatureType
from penstock.online.lookup import Found
from penstock.reconcile.listing import keys
from penstock.reconcile.mending import Mends, mends
from penstock.reconcile.verdict import IS_DELETED, LISTED, Verdicts, verdicts
from tests.readings import GROUP

NOW = datetime(2024, 6, 1, tzinfo=timezone.utc)
AT, BEFORE, AFTER = "2024-05-02T00:00:00Z", "2024-05-01T00:00:00Z", "2024-05-03T00:00:00Z"
SECONDS = replace(
    GROUP,
    features=(
        Feature("sensor", FeatureType.INTEGRAL),
        Feature("at", FeatureType.FRACTIONAL),
        *GROUP.features[2:],
    ),
)


def offline(**values: Any) -> dict[str, Any]:
    """An offline current row."""
    row = {"sensor": "a", "at": AT, "level": 1, "share": 0.5, IS_DELETED: False, LISTED: None}
    return {**row, **values}


#: A record offline does not have.
LISTED_ONLY = offline(at=None, level=None, share=None, **{IS_DELETED: None, LISTED: "a"})
GONE = offline(level=None, share=None, **{IS_DELETED: True})


def online(ends: str | None = None, **texts: str | None) -> Found:
    """A record of the online store; None leaves a feature out."""
    values = {"sensor": "a", "at": AT, "level": "1", "share": "0.5", **texts}
    return Found({name: text for name, text in values.items() if text is not None}, ends)


def batch(row: dict[str, Any], group: FeatureGroup = GROUP) -> pa.RecordBatch:
    """One row as Spark hands it to a task."""
    kinds = {one.name: encoding.STORAGE[one.type][0] for one in group.features}
    kinds |= {IS_DELETED: pa.bool_(), LISTED: pa.string()}
    return pa.RecordBatch.from_arrays(
        [pa.array([row[name]], kind) for name, kind in kinds.items()], names=list(kinds)
    )


def judged(row: dict[str, Any], there: Found | None, group: FeatureGroup = GROUP) -> Verdicts:
    """What is found of one row."""
    name = str(row["sensor"])
    return verdicts(group, batch(row, group), {} if there is None else {name: there}, NOW)


def kind(row: dict[str, Any], there: Found | None, group: FeatureGroup = GROUP) -> str:
    """The kind of one row."""
    found: str = judged(row, there, group).kind[0].as_py()
    return found


@pytest.mark.parametrize(
    ("row", "there", "wanted"),
    [
        (offline(), online(), "equal"),
        (offline(), None, "missing"),
        (offline(), online(at=BEFORE), "stale"),
        (offline(), online(at=AFTER), "ahead"),
        (offline(), online(level="2"), "different"),
        (offline(), online(at=BEFORE, level="2"), "stale"),
        (GONE, None, "deleted"),
        (GONE, online(at=BEFORE), "extra"),
        (GONE, online(), "extra"),
        (GONE, online(at=AFTER), "ahead"),
        (LISTED_ONLY, online(), "unknown"),
        (LISTED_ONLY, None, "equal"),
        # A feature that is absent is null, and no other value.
        (offline(share=None), online(share=None), "equal"),
        (offline(), online(share=None), "different"),
        (offline(share=None), online(), "different"),
        (offline(share=None), online(share="0.0"), "different"),
        # Values are what they are, whoever wrote them.
        (offline(), online(share="0.50", level="+1"), "equal"),
        (offline(share=1e10), online(share="1E10"), "equal"),
        (offline(), online(level="1.0"), "different"),
        (offline(share=None), online(share="many"), "different"),
        (offline(level=2**53 + 1), online(level=str(2**53)), "different"),
        # Event times are instants.
        (offline(), online(at="2024-05-02T00:00:00.000000000Z"), "equal"),
        (offline(), online(at="2024-05-02T02:00:00+02:00"), "equal"),
        (offline(), online(at="2024-05-02T00:00:00.000000001Z"), "ahead"),
        (offline(at="2024-05-02T00:00:00.000000001Z"), online(), "stale"),
        (offline(), online(at="yesterday"), "different"),
        (offline(), online(at=None), "different"),
        # A feature of a collection's type has no text, and one nobody declared is not looked at.
        (offline(), online(level=None), "different"),
        (offline(), online(other="7"), "equal"),
    ],
)
def test_kinds(row: dict[str, Any], there: Found | None, wanted: str) -> None:
    """Each kind, and what is none."""
    assert kind(row, there) == wanted


def test_numbers_as_keys() -> None:
    """Integral identifiers and Fractional event times are found by the texts they are sent as."""
    row = offline(sensor=7, at=1714608000.5)
    there = online(sensor="7", at="1714608000.5")
    assert kind(row, there, SECONDS) == "equal"
    assert kind(row, online(sensor="7", at="1.7146080005E9"), SECONDS) == "equal"
    assert kind(row, online(sensor="7", at="1714608000"), SECONDS) == "stale"
    assert kind(row, online(sensor="7", at="1714608001.0"), SECONDS) == "ahead"
    assert kind(row, None, SECONDS) == "missing"


def test_a_time_to_live_that_is_over() -> None:
    """Absent is right then; a record that the service has not removed yet counts as absent."""
    timed = replace(GROUP, ttl=timedelta(days=10))
    assert kind(offline(), None, timed) == "expired"
    assert kind(offline(), online("2024-05-12T00:00:00.000Z"), timed) == "expired"
    assert kind(offline(at="2024-05-30T00:00:00Z"), None, timed) == "missing"
    # Written while the group had a longer one, or none: it is there, so it is compared.
    assert kind(offline(), online("2024-07-01T00:00:00Z"), timed) == "equal"
    assert kind(offline(), online(level="2"), timed) == "different"
    assert kind(GONE, online("2024-05-12T00:00:00Z", at=BEFORE), timed) == "deleted"
    assert kind(LISTED_ONLY, online("2024-05-12T00:00:00Z"), timed) == "equal"


def test_times_to_live_of_their_own_are_not_offline() -> None:
    """Nobody can tell whether such a record is missing; what is there is compared."""
    own = replace(GROUP, ttl_from="keep_s")
    assert kind(offline(), None, own) == "untold"
    assert kind(offline(), online(level="2"), own) == "different"


def test_the_features_that_differ_are_named() -> None:
    """In the contract's order; of other kinds none."""
    found = judged(offline(), online(level="2", share=None))
    assert found.features.to_pylist() == ["level, share"]
    assert judged(offline(), online(at=BEFORE, level="2")).features.to_pylist() == [None]
    assert judged(offline(share=None), online()).nulled.to_pylist() == [True]
    assert judged(offline(), online(share=None)).nulled.to_pylist() == [False]


def mended(
    row: dict[str, Any], there: Found | None, group: FeatureGroup = GROUP, *, updates: bool = True
) -> Mends:
    """What mends one row."""
    return mends(group, batch(row, group), judged(row, there, group), updates=updates)


def rows(table: pa.Table) -> list[tuple[str, Any, str]]:
    """Identifier, event time and what is done, of each row of a send file."""
    found = table.to_pylist()
    return [
        (
            one["sensor"],
            one["at"],
            "delete" if one[DELETED] else "update" if one[CORRECT] else "put",
        )
        for one in found
    ]


LATER = "2024-05-02T00:00:00.001Z"


@pytest.mark.parametrize(
    ("row", "there", "updates", "gone", "send"),
    [
        (offline(), None, False, [], [(AT, "put")]),
        (offline(), online(at=BEFORE), False, [], [(AT, "put")]),
        (offline(), online(level="2"), True, [], [(AT, "update")]),
        (offline(), online(level="2"), False, [(LATER, "delete")], [(AT, "put")]),
        (offline(share=None), online(), True, [(LATER, "delete")], [(AT, "put")]),
        (GONE, online(at=BEFORE), True, [], [(AT, "delete")]),
        (GONE, online(), True, [], [(LATER, "delete")]),
        (LISTED_ONLY, online(), True, [(LATER, "delete")], []),
        (offline(), online(at=AFTER), True, [], []),
        (offline(), online(), True, [], []),
        (GONE, online(at=AFTER), True, [], []),
        (LISTED_ONLY, online(at="yesterday"), True, [], []),
    ],
)
def test_what_mends(
    row: dict[str, Any],
    there: Found | None,
    updates: bool,
    gone: list[tuple[str, str]],
    send: list[tuple[str, str]],
) -> None:
    """Nothing touches what is newer online; nothing is put that is older than what is there."""
    made = mended(row, there, updates=updates)
    assert rows(made.gone) == [("a", *one) for one in gone]
    assert rows(made.send) == [("a", *one) for one in send]
    assert made.returns == sum(one[1] == "put" for one in send if gone)


def test_what_is_over_is_removed_and_not_put() -> None:
    """Put anew, it would be born expired."""
    timed = replace(GROUP, ttl=timedelta(days=10))
    made = mended(offline(), online(level="2"), timed)
    assert (rows(made.gone), rows(made.send)) == ([("a", LATER, "delete")], [])
    made = mended(offline(), online(at=BEFORE), timed)
    assert (made.gone.num_rows, made.send.num_rows) == (1, 0)


def test_a_record_of_many_features_is_removed_and_put() -> None:
    """UpdateRecord takes a hundred at most, the event time among them."""
    for more, updated in ((97, True), (98, False)):
        features = [Feature(f"f{n}", FeatureType.INTEGRAL) for n in range(more)]
        wide = replace(GROUP, features=(*GROUP.features, *features))
        row = offline(**{one.name: 1 for one in features})
        there = online(level="2", **{one.name: "1" for one in features})
        assert (mended(row, there, wide).returns == 0) is updated


def test_listed_identifiers_are_found_offline_by_value() -> None:
    """What penstock would write differently is another record."""
    integral = keys(SECONDS, ["7", "07", "x", "-3"])
    assert integral.column("key").to_pylist() == [7, None, None, -3]
    assert keys(GROUP, ["7", "07"]).column("key").to_pylist() == ["7", "07"]
    doubles = replace(
        GROUP, features=(Feature("sensor", FeatureType.FRACTIONAL), *GROUP.features[1:])
    )
    assert keys(doubles, ["1.0", "1", "1e+20"]).column("key").to_pylist() == [1.0, None, 1e20]


moments = st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 2)).map(  # noqa: DTZ001 - hypothesis wants them naive
    lambda one: one.replace(tzinfo=timezone.utc)
)
digits: st.SearchStrategy[Literal[0, 3, 6, 9]] = st.sampled_from((0, 3, 6, 9))


@given(moments, moments, digits, digits)
def test_order_is_that_of_instants(one: datetime, other: datetime, first: int, second: int) -> None:
    """Whatever number of digits a text has."""

    def text(at: datetime, wanted: int) -> tuple[str, int]:
        nanos = at.microsecond * 1_000 // 10 ** (9 - wanted) * 10 ** (9 - wanted)
        fraction = f".{nanos:09d}"[: wanted + 1] if wanted else ""
        return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z", int(at.timestamp()) * 10**9 + nanos

    (ours, mine), (theirs, yours) = text(one, first), text(other, second)
    found = encoding.order(pa.array([ours]), pa.array([theirs]), FeatureType.STRING)
    assert found.to_pylist() == [(mine > yours) - (mine < yours)]


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1))
def test_what_was_sent_agrees(share: float, level: int) -> None:
    """Any value, as it is sent and as the service might write it in JSON."""
    sent = encoding.double_text(pa.array([share]))[0].as_py()
    for text in (sent, repr(share), json.dumps(share)):
        assert kind(offline(level=level, share=share), online(level=str(level), share=text)) == (
            "equal"
        )
