"""A lookup before and after Spark: what it may ask, and what a worker makes of its partition."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from penstock import meaning
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.dataset import Lookup
from penstock.errors import ContractError, UsageError
from penstock.training.exchange import KEY
from penstock.training.join import _Work, plan_of

TEXT = FeatureType.STRING
GROUP = FeatureGroup(
    "weather",
    "site",
    "at",
    tuple(Feature(one, TEXT) for one in ("site", "at", "sky", "sky_2")),
    fraction_digits=0,
)
LABELS = ("n", "who", "made")


@pytest.mark.parametrize("recent", [0, -1, 101, 1.5, True, "2"])
def test_how_many_versions_there_may_be(recent: Any) -> None:
    """1 to 100, in whole numbers."""
    with pytest.raises(ContractError, match="Ask for 1 to 100"):
        Lookup("weather", "who", recent=recent)


def test_one_version_means_what_it_meant_before_there_were_more() -> None:
    """Data sets that were built before are found again."""
    assert "recent" not in meaning.plain(Lookup("weather", "who"))
    assert meaning.plain(Lookup("weather", "who", recent=2))["recent"] == 2


@pytest.mark.parametrize(
    ("lookup", "said"),
    [
        (Lookup("weather", "who", ("sky",), "m", recent=2), None),
        (Lookup("weather", "who", ("sky", "sky_2")), None),
        (Lookup("weather", "who", ("sky", "sky_2"), recent=2), "it has two columns 'sky_2'"),
        (Lookup("weather", "who", ("sky", "sky")), "it has two columns 'sky'"),
        (Lookup("weather", "who", ("at",), "m_", recent=2), "have a column 'm_at_2' already"),
        (Lookup("weather", "who", ("at",), "m_"), None),
    ],
)
def test_numbered_columns_clash_as_others_do(lookup: Lookup, said: str | None) -> None:
    """With columns of the labels, in any case, and with features of the lookup itself."""
    columns = (*LABELS, "M_AT_2")
    if said is None:
        assert len(plan_of(lookup, GROUP, columns, 0).names) == len(lookup.features) * lookup.recent
    else:
        with pytest.raises(UsageError, match=said):
            plan_of(lookup, GROUP, columns, 0)


def at(minute: int) -> str:
    """An instant of an hour."""
    return f"2024-07-01T00:{minute:02d}:00Z"


def test_a_worker_puts_versions_side_by_side() -> None:
    """The newest event's features, then those of the one before it; age and leak of the newest."""
    lookup = Lookup("weather", "who", ("sky", "at"), "w_", timedelta(minutes=5), recent=2)
    plan = plan_of(lookup, GROUP, ("n", "who"), 0)
    history = [("a", 0, "x"), ("a", 4, "y"), ("a", 7, "z"), ("b", 1, "u")]
    events = pa.table(
        {
            KEY: [key for key, _, _ in history],
            "_at": [at(minute) for _, minute, _ in history],
            "_invoked": [0] * 4,
            "_written": [0] * 4,
            "_deleted": [False] * 4,
            "_f0": [sky for _, _, sky in history],
            "_f1": [at(minute) for _, minute, _ in history],
        }
    )
    asked = [("a", 4), ("a", 7), ("a", 12), ("b", 9), (None, 4)]
    labels = pa.table(
        {
            KEY: [who for who, _ in asked],
            "_moment": [at(minute) for _, minute in asked],
            "_l0": list(range(5)),
            "_l1": [who for who, _ in asked],
        }
    )
    answer = _Work(plan, events.slice(0, 0), None)._answer(labels, events)
    names = ["n", "who", "w_sky", "w_at", "w_sky_2", "w_at_2", "_age_0", "_later_0"]
    assert answer.column_names == names
    assert [tuple(row.values()) for row in answer.to_pylist()] == [
        (0, "a", "y", at(4), "x", at(0), 0.0, True),
        (1, "a", "z", at(7), "y", at(4), 0.0, False),
        (2, "a", "z", at(7), None, None, 300.0, False),  # the one before is 8 minutes old
        (3, "b", None, None, None, None, None, False),
        (4, None, None, None, None, None, None, False),
    ]
    late = pa.array([0, 0, 9, 0])
    events = events.set_column(3, "_written", late)
    answer = _Work(plan, events.slice(0, 0), 8_999)._answer(labels, events)
    assert answer["w_sky"].to_pylist() == ["y", "y", None, None, None]  # z came at 9 µs
    assert answer["_later_0"].to_pylist() == [False] * 5
    answer = _Work(plan, events.slice(0, 0), 9_000)._answer(labels, events)
    assert answer["w_sky"].to_pylist() == ["y", "z", "z", None, None]
    nothing = _Work(plan, events.slice(0, 0), None)._answer(labels, events.slice(0, 0))
    assert nothing.column_names == names
    assert nothing["w_sky_2"].null_count == 5
