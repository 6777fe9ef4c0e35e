"""What reports say of values: distributions that hold no value of a row, drift, and shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.aside import BAD
from penstock.contract import DELETED, Feature, FeatureGroup, FeatureType
from penstock.errors import ContractError
from penstock.report.aside import put_aside, shape
from penstock.report.drift import drifts, psi
from penstock.report.features import FEW, counted, described, numbers
from penstock.report.sample import sample
from penstock.storage import LocalStorage

COUNTS = st.lists(st.integers(0, 1_000), min_size=2, max_size=12)


def _group(*, listed: bool = False, pii: bool = False) -> FeatureGroup:
    return FeatureGroup(
        "people",
        "id",
        "at",
        (
            Feature("id", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature("income", FeatureType.FRACTIONAL),
            Feature("town", FeatureType.STRING, listed=listed, pii=pii),
            Feature("secret", FeatureType.INTEGRAL, pii=True),
        ),
    )


def _rows(count: int = 1_000, seed: int = 1, shift: float = 0.0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "id": [f"person-{n}" for n in range(count)],
            "at": ["2024-01-01T00:00:00Z"] * count,
            "income": random.normal(50_000 + shift, 9_000, count),
            "town": random.choice(["Ulm", "Bonn", "Trier"], count),
            "secret": random.integers(10**9, 10**10, count),
        }
    )


def _by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in found}


def test_no_value_of_a_row_is_in_a_description() -> None:
    """Not the largest one, not a text, and of what is pii nothing but a count."""
    rows = _rows()
    found = described(rows, _group())
    text = json.dumps(found)
    for name in ("id", "town", "secret"):
        for value in set(rows.column(name).to_pylist()):
            assert str(value) not in text
    for value in rows.column("income").to_pylist():
        assert repr(value) not in text
    assert set(_by_name(found)["secret"]) == {"name", "type", "role", "pii", "rows", "nulls"}


def test_texts_are_listed_where_the_contract_says_so() -> None:
    """The most frequent first."""
    found = _by_name(described(_rows(), _group(listed=True)))["town"]["listed"]
    assert {one for one, _ in found} == {"Ulm", "Bonn", "Trier"}
    assert [count for _, count in found] == sorted((count for _, count in found), reverse=True)


def test_few_values_have_no_distribution() -> None:
    """They would tell of rows."""
    found = _by_name(described(_rows(FEW - 1), _group()))["income"]
    assert "shape" not in found
    assert found["rows"] == FEW - 1


@given(st.lists(st.floats(-1e12, 1e12), min_size=FEW, max_size=200))
def test_every_value_is_in_one_bin(values: list[float]) -> None:
    """Of either cut; the edges ascend."""
    found = np.array(values)
    told = numbers(found)
    for cut in ("quantiles", "shape"):
        edges = told[cut]["edges"]
        assert edges == sorted(set(edges))
        assert sum(told[cut]["counts"]) == len(values)
        assert len(told[cut]["counts"]) == len(edges) + 1
        assert told[cut]["counts"] == counted(found, edges)


@given(COUNTS)
def test_what_is_the_same_has_not_moved(counts: list[int]) -> None:
    """Nor does it matter how many rows there are of it."""
    assert psi(counts, counts) == 0
    assert psi(counts, [10 * one for one in counts]) == pytest.approx(0, abs=1e-9)


@given(COUNTS, st.randoms(use_true_random=False))
def test_the_index_has_no_direction(counts: list[int], random: Any) -> None:
    """It is the same from either side, and never below 0."""
    others = list(counts)
    random.shuffle(others)
    assert psi(counts, others) == pytest.approx(psi(others, counts))
    assert psi(counts, others) >= 0


def test_a_shift_is_seen_and_chance_is_not() -> None:
    """In the bins of the earlier run."""
    group = _group()
    before = _by_name(described(_rows(5_000, seed=1), group))
    same = drifts(described(_rows(5_000, seed=2), group, before), before)
    moved = drifts(described(_rows(5_000, seed=3, shift=9_000), group, before), before)
    assert {one["name"]: one["verdict"] for one in same} == {"income": "steady", "town": "steady"}
    assert moved[0]["name"] == "income"
    assert moved[0]["psi"] > 0.5
    assert moved[0]["verdict"] == "moved"
    assert moved[1]["verdict"] == "steady"


def test_missing_values_are_a_bin() -> None:
    """A feature that is suddenly empty in half the rows has moved."""
    group = _group()
    before = _by_name(described(_rows(), group))
    rows = _rows()
    half = pa.array([None if n % 2 else one for n, one in enumerate(rows["income"].to_pylist())])
    rows = rows.set_column(2, "income", half)
    (found,) = [
        one for one in drifts(described(rows, group, before), before) if one["name"] == "income"
    ]
    assert found["verdict"] == "moved"


def test_of_few_rows_nothing_is_said() -> None:
    """The index would be noise."""
    group = _group()
    before = _by_name(described(_rows(100), group))
    found = drifts(described(_rows(100, seed=2), group, before), before)
    assert {one["verdict"] for one in found} == {"few rows"}


def test_a_sample_is_of_all_files(tmp_path: Path) -> None:
    """Rows of each in the same share, the same each time, and no deletions."""
    files = []
    for n in range(3):
        count = 80_000
        rows = pa.table(
            {"n": [n] * count, "i": range(count), DELETED: [i % 2 == 0 for i in range(count)]}
        )
        path = str(tmp_path / f"{n}.parquet")
        pq.write_table(rows, path, row_group_size=20_000)
        files.append((path, count))
    found = sample(LocalStorage(), files, ["n", "i"])
    again = sample(LocalStorage(), files, ["n", "i"])
    assert found is not None
    assert again is not None
    assert found.rows.equals(again.rows)
    assert found.total == 240_000
    assert found.looked <= 200_001
    assert found.rows.column_names == ["n", "i"]
    counts = found.rows.column("n").value_counts().to_pylist()
    assert len(counts) == 3
    assert len({one["counts"] for one in counts}) == 1
    assert all(one % 2 for one in found.rows.column("i").to_pylist())


def test_a_small_set_is_looked_at_whole(tmp_path: Path) -> None:
    """No row is left out where there is no need."""
    path = str(tmp_path / "a.parquet")
    pq.write_table(_rows(), path)
    found = sample(LocalStorage(), [(path, 1_000)], ["id", "income"])
    assert found is not None
    assert found.looked == found.total == found.rows.num_rows == 1_000
    assert sample(LocalStorage(), [], ["id"]) is None


@given(st.text(st.characters(categories=("L", "Nd")), min_size=1))
def test_a_shape_has_no_letter_and_no_digit_of_a_value(text: str) -> None:
    """Only a, A and 9."""
    assert set(shape(text).partition("…")[0]) <= set("aA9")


def test_rows_put_aside_show_their_shape(tmp_path: Path) -> None:
    """Counted once though two attempts of a task wrote them; what is pii shows nothing."""

    def row(n: int, rule: str) -> dict[str, Any]:
        payload = {"id": f"Müller-{n}", "Secret": "4711", "born": "2013-13-01", "none": None}
        return {
            "row_key": f"key-{n}",
            "stage": "source",
            "source": "people",
            "file": "/data/in/people.csv",
            "position": n,
            "column": "born",
            "rule": rule,
            "findings": "[]",
            "payload": json.dumps(payload),
            "types": None,
        }

    rows = [row(n, "TYPE") for n in range(30)] + [row(99, "FUTURE")]
    paths = [str(tmp_path / f"bad-{n}.parquet") for n in range(2)]
    for path in paths:
        pq.write_table(pa.Table.from_pylist(rows, BAD), path)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    found = put_aside(LocalStorage(), [*paths, str(tmp_path / "torn.parquet")], ["secret"])
    assert [(one["rule"], one["rows"]) for one in found["rules"]] == [("TYPE", 30), ("FUTURE", 1)]
    assert {one["rule"] for one in found["samples"]} == {"TYPE", "FUTURE"}
    assert found["samples"][0]["row"] == {
        "id": "Aaaaaa-9",
        "Secret": "(hidden)",
        "born": "9999-99-99",
        "none": "null",
    }
    assert found["samples"][0]["file"] == "people.csv"
    text = json.dumps(found)
    assert "ller" not in text
    assert "4711" not in text


def test_marks_that_contradict_are_refused() -> None:
    """What tells of a person is not listed, nor is an identifier."""
    with pytest.raises(ContractError, match="pii and listed"):
        Feature("a", FeatureType.STRING, pii=True, listed=True)
    features = (
        Feature("id", FeatureType.STRING, listed=True),
        Feature("at", FeatureType.STRING),
    )
    with pytest.raises(ContractError, match="identifier is listed"):
        FeatureGroup("g", "id", "at", features)


def test_marks_change_no_meaning() -> None:
    """What a report shows decides no row."""
    assert _group().meaning == _group(listed=True).meaning == _group(pii=True).meaning
