"""The versions of identifiers, against a plain Python reference."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.stage.versions import TIE, Settled, Versions

SCHEMA = pa.schema(
    [("id", pa.string()), ("at", pa.string()), ("x", pa.int64()), ("y", pa.float64())]
)
Row = tuple[str, str, "int | None", "float | None"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "é", "\x00", "a "]),
        st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "1969-12-31T23:59:59Z"]),
        st.none() | st.integers(-1, 1),
        st.none() | st.sampled_from([0.0, -0.0, 1e300, 0.1]),
    ),
    max_size=40,
)


def settled(rows: list[Row], sizes: Random, buffer_rows: int) -> list[Settled]:
    """What comes of rows that arrive in batches of random sizes, identifiers side by side."""
    rows = sorted(rows, key=lambda row: row[0])  # stable: within an identifier as they came
    versions = Versions("id", "at", buffer_rows)
    found: list[Settled] = []
    while rows:
        size = sizes.randint(0, 7)
        taken, rows = rows[:size], rows[size:]
        columns = list(zip(*taken, strict=True)) or [()] * len(SCHEMA)
        arrays = [pa.array(c, kind) for c, kind in zip(columns, SCHEMA.types, strict=True)]
        found += versions.add(pa.Table.from_arrays(arrays, schema=SCHEMA))
    return [*found, *versions.finish()]


def lines(tables: list[pa.Table]) -> list[str]:
    """Rows as comparable text: -0.0 is not 0.0."""
    return sorted(json.dumps(list(row.values())) for table in tables for row in table.to_pylist())


def reference(rows: list[Row]) -> tuple[list[str], list[str], int]:
    """Rows with their tie, the latest of each identifier, and the number of ties."""
    distinct: dict[tuple[str, str], list[str]] = {}
    for row in {json.dumps(row) for row in rows}:
        key = tuple(json.loads(row)[:2])
        distinct.setdefault(key, []).append(row)
    tied, latest, ties = [], {}, 0
    for key, some in sorted(distinct.items()):
        ordered = sorted(some, reverse=True)
        tied += [json.dumps([*json.loads(one), n]) for n, one in enumerate(ordered)]
        ties += len(ordered) - 1
        latest[key[0]] = ordered[0]
    return sorted(tied), sorted(latest.values()), ties


@settings(max_examples=400, deadline=None)
@given(ROWS, st.integers(0, 2**32), st.integers(1, 20))
def test_duplicates_ties_and_latest_are_those_of_the_reference(
    rows: list[Row], seed: int, buffer_rows: int
) -> None:
    """Exact duplicates go, all else stays; the latest is the newest, ties go by values alone."""
    found = settled(rows, Random(seed), buffer_rows)
    tied, latest, ties = reference(rows)
    assert lines([one.rows for one in found]) == tied
    assert lines([one.latest for one in found]) == latest
    assert sum(one.ties for one in found) == ties
    assert sum(one.identifiers for one in found) == len(latest)
    assert sum(one.duplicates for one in found) == len(rows) - len(tied)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_neither_order_nor_batches_decide(rows: list[Row], seed: int, shuffle: Random) -> None:
    """However the rows of an identifier come, one by one or at once, the same rows win."""
    other = list(rows)
    shuffle.shuffle(other)
    one, two = settled(rows, Random(seed), 1), settled(other, Random(seed + 1), 10_000)
    assert lines([s.rows for s in one]) == lines([s.rows for s in two])
    assert lines([s.latest for s in one]) == lines([s.latest for s in two])


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(0, 2**32))
def test_an_identifier_is_settled_once(rows: list[Row], seed: int) -> None:
    """However small the buffer, no identifier is cut in two; its rows end in the latest one."""
    found = settled(rows, Random(seed), 1)
    sent: list[Any] = [one for s in found for one in s.latest.column("id").to_pylist()]
    assert len(sent) == len(set(sent))
    for one in found:
        kept = one.rows.to_pylist()
        for before, after in pairwise(kept):
            if before["id"] == after["id"]:
                assert (before["at"], -before[TIE]) < (after["at"], -after[TIE])
