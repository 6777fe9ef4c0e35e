"""Forms: a body that is read by its form says exactly what it says as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.emulator.forms import Forms
from penstock.emulator.records import Record
from penstock.emulator.wire import Request

_NAMES = st.sampled_from(["id", "t", "a", "b", 'q"', "\\", "ValueAsString", "é"])
_VALUES = st.one_of(
    st.text(max_size=4),
    st.sampled_from(['"', "\\", "\x1f", "\ud800", "é", '","ValueAsString":"x', ""]),
)
_ITEMS = st.fixed_dictionaries({"FeatureName": _NAMES, "ValueAsString": _VALUES})
_RECORDS = st.lists(_ITEMS, min_size=1, max_size=4)
_STORES = st.sampled_from([{}, {"TargetStores": ["OnlineStore"]}, {"TtlDuration": None}])
_PUTS = st.builds(lambda record, more: {"Record": record} | more, _RECORDS, _STORES)
_ENTRIES = st.builds(lambda put: {"FeatureGroupName": "g"} | put, _PUTS)
_BATCHES = st.lists(_ENTRIES, min_size=1, max_size=3).map(lambda entries: {"Entries": entries})
_BODIES = st.one_of(
    st.tuples(st.just("PutRecord"), _PUTS), st.tuples(st.just("BatchWriteRecord"), _BATCHES)
)


def _request(body: bytes) -> Request:
    return Request("PUT", "/x", "", {}, body)


def _dump(value: Any, *, ascii_only: bool = True) -> bytes:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


def _plain(given: Any) -> Any:
    """Records as lists again."""
    if isinstance(given, dict):
        return {name: _plain(value) for name, value in given.items()}
    if isinstance(given, list | Record):
        return [_plain(item) for item in given]
    return given


def _learnt(operation: str, body: bytes) -> Forms:
    """Forms that met this body twice."""
    forms = Forms()
    cut = forms.cut(_request(body))
    if cut is not None:
        for _ in range(2):
            forms.learn(cut, operation, json.loads(body))
    return forms


def _read(forms: Forms, body: bytes) -> Any:
    cut = forms.cut(_request(body))
    known = None if cut is None else forms.read(cut)
    return None if known is None else _plain(known[1])


@given(_BODIES, st.booleans())
def test_what_is_read_is_what_json_says(of: tuple[str, Any], ascii_only: bool) -> None:
    """Of the body that was learnt itself."""
    operation, value = of
    try:
        body = _dump(value, ascii_only=ascii_only)
        json.loads(body)
    except UnicodeDecodeError:
        return
    found = _read(_learnt(operation, body), body)
    assert found is None or found == json.loads(body)


@given(_BODIES, st.data())
def test_any_change_of_bytes(of: tuple[str, Any], data: st.DataObject) -> None:
    """Bytes cut out, put in or doubled: read by a form only where JSON says the same."""
    operation, value = of
    body = _dump(value)
    forms = _learnt(operation, body)
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 40)))
    tokens = [b'"', b"\\", b"\x1f", b"{", b"}", b",", b'"ValueAsString":"v"', b"\xff", b"7", b"\n"]
    inserted = b"".join(
        data.draw(st.lists(st.sampled_from([*tokens, body[start:end]]), max_size=4))
    )
    changed = body[:start] + inserted + body[end:]
    found = _read(forms, changed)
    assert found is None or found == json.loads(changed)


_ID = b'{"FeatureName":"id","ValueAsString":"5"%b}'
_TWICE = b'"ValueAsString": "5"', b'"\\u0056alueAsString":"5"'


@pytest.mark.parametrize("again", _TWICE)
def test_a_key_that_is_given_twice(again: bytes) -> None:
    """The second in another writing: it is what JSON says, and no value that is cut out."""
    body = b'{"Record":[%b]}' % (_ID % (b"," + again))
    assert json.loads(body)["Record"][0]["ValueAsString"] == "5"
    assert _read(_learnt("PutRecord", body), body.replace(b'"5",', b'"6",')) is None


def test_our_own_separator_in_a_body() -> None:
    """It would pass for a value of the form, and is no JSON."""
    first = b'{"Record":[%b,%b]}' % (_ID % b"", _ID % b"")
    forms = _learnt("PutRecord", first)
    assert _read(forms, first) == json.loads(first)
    assert _read(forms, first.replace(b'"ValueAsString":"5"', b"\x1f", 1)) is None


def test_plain_bodies_are_read_by_their_form() -> None:
    """Two puts and two batches of other values, from the third on."""
    for operation, make in (
        ("PutRecord", lambda record: {"Record": record, "TargetStores": ["OnlineStore"]}),
        ("BatchWriteRecord", lambda r: {"Entries": [{"FeatureGroupName": "g", "Record": r}] * 2}),
    ):
        first, other = (
            make([{"FeatureName": n, "ValueAsString": v} for n in ("id", "t")])
            for v in ("é", "y z")
        )
        assert _read(_learnt(operation, _dump(first, ascii_only=False)), _dump(other)) == other


def test_a_form_met_once_is_not_kept_and_no_more_than_a_bound_are() -> None:
    """Sparse records would fill the memory; a form that comes often is known again soon."""
    forms = Forms()
    for n in range(1_000):
        rare = _dump({"Record": [{"FeatureName": f"f{n}", "ValueAsString": "1"}]})
        often = _dump({"Record": [{"FeatureName": "often", "ValueAsString": str(n)}]})
        for body in (rare, often):
            cut = forms.cut(_request(body))
            assert cut is not None
            forms.learn(cut, "PutRecord", json.loads(body))
        assert _read(forms, rare) is None
    assert _read(forms, often) == json.loads(often)
