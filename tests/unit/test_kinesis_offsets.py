"""Offsets of a Kinesis stream: neighbours, lineage, and their text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import MismatchError
from penstock.streaming.kinesis_offsets import (
    Offset,
    Position,
    Shard,
    Span,
    advanced,
    childless,
    gone,
    readable,
    spans,
)

START = Offset("s", 1)
DIGITS = st.text("123456789", min_size=1, max_size=56)
POSITIONS = st.builds(
    Position,
    st.none() | DIGITS,
    st.none() | DIGITS,
    st.none() | st.integers(0, 2**33),
    st.booleans(),
)


@given(st.integers(0), st.none() | st.integers(0), st.dictionaries(st.text(), POSITIONS))
def test_an_offset_survives_its_text(
    step: int, at: int | None, shards: dict[str, Position]
) -> None:
    """Spark keeps offsets as JSON; the same offset is always the same text."""
    offset = Offset("s", 1, step, at, shards)
    text = json.dumps(offset.to_json())
    assert Offset.from_json(json.loads(text)) == offset
    turned = replace(offset, shards=dict(reversed(list(shards.items()))))
    assert json.dumps(turned.to_json()) == text


@pytest.mark.parametrize("value", [{}, {"stream": "s"}, {"topic": {"0": 5}}])
def test_an_offset_of_another_source_is_refused(value: dict[str, object]) -> None:
    """A checkpoint of a Kafka query, say."""
    with pytest.raises(MismatchError, match="another source"):
        Offset.from_json(value)


def test_a_span_goes_from_the_first_record_to_the_last() -> None:
    """Both ends are pinned, whatever the start was."""
    end = advanced(START, [Shard("a")], {"a": Position("9", "5"), "b": Position("7")})
    assert spans(START, end) == [Span("a", "5", "9")]
    assert spans(end, end) == []


def test_offsets_that_are_no_neighbours_are_refused() -> None:
    """Else the records between them were lost, or came twice."""
    shards = [Shard("a")]
    one = advanced(START, shards, {"a": Position("5", "1")})
    two = advanced(one, shards, {"a": Position("9", "6")})
    for start, end in ((START, two), (two, one), (one, START), (replace(one, created=2), two)):
        with pytest.raises(MismatchError, match="do not follow one another"):
            spans(start, end)
    with pytest.raises(MismatchError):
        spans(one, replace(one, shards={}))


def test_a_step_names_only_what_it_read() -> None:
    """A shard that gave nothing has no span in it."""
    shards = [Shard("a"), Shard("b")]
    one = advanced(START, shards, {"a": Position("5", "1"), "b": Position("5", "2")})
    two = advanced(one, shards, {"a": Position("9", "6")})
    assert spans(one, two) == [Span("a", "6", "9")]


def test_a_child_waits_for_every_parent() -> None:
    """The order of a key is kept over a split and over a merge."""
    shards = [Shard("a"), Shard("b"), Shard("c", ("a", "b")), Shard("d", ("c",))]
    assert set(readable(START, shards)) == {"a", "b"}
    one = replace(START, shards={"a": Position("5", closed=True), "b": Position("5")})
    assert set(readable(one, shards)) == {"b"}
    two = replace(START, shards={n: Position("5", until=7, closed=True) for n in "ab"})
    assert readable(two, shards) == {"c": Position(until=7)}


def test_a_child_of_what_is_past_is_a_root() -> None:
    """Its parent is older than the retention and was never read."""
    assert set(readable(START, [Shard("b", ("a",))])) == {"b"}


def test_a_child_knows_what_its_parents_were_read_to() -> None:
    """The older of the two, for its records may begin there; else the place the query began at."""
    shards = [Shard("c", ("a", "b"))]
    ends = {"a": Position(until=9, closed=True), "b": Position(until=4, closed=True)}
    assert readable(replace(START, shards=ends), shards)["c"].until == 4
    assert readable(replace(START, at=5_000), shards)["c"].until == 5


def test_what_is_listed_no_more_is_gone_or_forgotten() -> None:
    """A shard that was still being read is a loss; one that was read to its end is not."""
    known = {"a": Position("5"), "b": Position("5", closed=True), "c": Position("5")}
    offset = replace(START, shards=known)
    assert gone(offset, [Shard("c")]) == {"a": Position("5")}
    assert set(advanced(offset, [Shard("c")], {}).shards) == {"c"}


def test_children_that_are_not_listed_yet_are_looked_for() -> None:
    """A closed shard always has some."""
    offset = replace(START, shards={"a": Position("5", closed=True)})
    assert childless(offset, [Shard("a", closed=True)])
    assert not childless(offset, [Shard("a", closed=True), Shard("b", ("a",))])
    assert not childless(offset, [Shard("z")])
