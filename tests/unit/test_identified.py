"""Which rows put aside are of a record: by their payload, however it writes the identifier."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from penstock.aside import PROBLEM
from penstock.contract import Feature, FeatureType
from penstock.run.identified import Held
from tests.readings import GROUP

pytestmark = pytest.mark.shows("6.7")
NUMBERED = replace(GROUP, features=(Feature("sensor", FeatureType.INTEGRAL), *GROUP.features[1:]))


@pytest.mark.parametrize(
    ("identifier", "payload", "holds"),
    [
        ("a", {"sensor": "a", "at": None}, True),
        ("a", {"sensor": "b", "at": "a"}, False),
        ("a", {"sensor": None, "tail": "a"}, True),
        ("a", {"who": {"id": ["x", "a"]}}, True),
        ("a", {"who": "ab"}, False),
        ('o"b', {PROBLEM: '"o""b",1,2'}, True),
        ("café", {PROBLEM: '{"sensor": "caf\\u00e9", '}, True),
        ("a\\b", {PROBLEM: '{"sensor": "a\\\\b", '}, True),
        ("a", {PROBLEM: "b,c"}, False),
    ],
)
def test_texts(identifier: str, payload: dict[str, Any], holds: bool) -> None:
    """Under the own name, at any depth, or within a line that could not be read."""
    assert Held(GROUP, ["nobody", identifier]).by(json.dumps(payload)) is holds


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7", "007", "+7", "7.0"])
def test_numbers_in_all_their_writings(value: Any) -> None:
    """The source's text of a whole number is not the stores'."""
    held = Held(NUMBERED, ["7"])
    assert held.by(json.dumps({"sensor": value}))
    assert not held.by(json.dumps({"sensor": 77}))
    assert not held.by(json.dumps({"sensor": 2**60 + 7}))
    assert not held.by(json.dumps({"sensor": "x"}))


@pytest.mark.parametrize(
    ("event", "holds"),
    [
        ({"key": "a", "value": "{}"}, True),
        ({"key": None, "value": '{"who": ["a"]}'}, True),
        ({"key": "b", "value": '{"who": "ab"}'}, False),
        ({"key": None, "value": "\udcff\x02a"}, True),
        ({"key": None, "value": None, "headers": [{"key": "by", "value": "a"}]}, True),
        ({"key": None, "value": None, "headers": None}, False),
    ],
)
def test_events_of_a_stream(event: dict[str, Any], holds: bool) -> None:
    """What nobody declared is in the event; where the row has an identifier, that alone counts."""
    held = Held(GROUP, ["a"])
    assert held.by(json.dumps({"sensor": None}), json.dumps(event)) is holds
    assert held.by(json.dumps({"sensor": "b"}), json.dumps(event)) is False
