"""Splits of a data set without Spark: how strata are dealt out, and what a split means."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.dataset import Dataset, HashSplit, StratifiedSplit, TimeSplit
from penstock.errors import ContractError
from penstock.training.split import dealt

weights = st.lists(st.integers(1, 100), min_size=1, max_size=6)
starts = st.floats(0, 1, exclude_max=True)
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def counts(rows: int, start: float, shares: Mapping[str, float]) -> dict[str, int]:
    """Rows of each part, the first condition that holds deciding."""
    place = np.arange(1, rows + 1)
    left = np.ones(rows, bool)
    found = dict.fromkeys(shares, 0)
    for condition, name in dealt(place, rows, start, shares):
        found[name] = int((left & condition).sum())
        left &= ~condition
    found[list(shares)[-1]] = int(left.sum())
    return found


@given(st.integers(0, 500), starts, weights)
@example(1, 0.0, [1]).via("one part")
@example(10, 0.0, [7, 2, 1]).via("0.7 + 0.2 is no 0.9")
def test_each_part_gets_its_share_within_one(rows: int, start: float, weighed: list[int]) -> None:
    """Whatever the shares, the rows and where dealing starts; no row is lost."""
    shares = {f"p{n}": one / sum(weighed) for n, one in enumerate(weighed)}
    found = counts(rows, start, shares)
    assert sum(found.values()) == rows
    for name, count in found.items():
        assert abs(count - shares[name] * rows) <= 1 + 1e-9


def test_many_strata_of_one_row_fall_as_the_shares_say() -> None:
    """Rounded alike, all of them would be in the largest part."""
    total = dict.fromkeys(SHARES, 0)
    for n in range(1_000):
        for name, count in counts(1, n / 1_000, SHARES).items():
            total[name] += count
    assert total == {"train": 800, "validation": 100, "test": 100}


def test_what_a_split_does_is_in_its_meaning() -> None:
    """Two splits of equal fields make different data sets; one from before is found again."""
    whole = Dataset("loads", "loads", "leaves", ())
    hashed = replace(whole, split=HashSplit("site", SHARES))
    stratified = replace(whole, split=StratifiedSplit("site", SHARES))
    turned = replace(whole, split=StratifiedSplit("site", dict(reversed(SHARES.items()))))
    assert len({one.meaning for one in (whole, hashed, stratified, turned)}) == 4
    assert hashed.split != stratified.split
    assert hashed.meaning == "c4598c8498d767da"


@pytest.mark.parametrize("kind", [HashSplit, StratifiedSplit])
def test_splits_by_shares(kind: type[HashSplit | StratifiedSplit]) -> None:
    """They travel to workers, name their parts in order, and add up to 1."""
    split = kind("site", SHARES)
    assert pickle.loads(pickle.dumps(split)) == split
    assert split.parts == ("train", "validation", "test")
    for wrong in ({"train": 0.5}, {"train": 1.5, "test": -0.5}, {"a b": 1.0}, {}):
        with pytest.raises(ContractError):
            kind("site", wrong)


def test_a_split_by_time_travels_too() -> None:
    """As the others."""
    split = TimeSplit({"train": "2013-07-01T00:00:00Z"})
    assert pickle.loads(pickle.dumps(split)) == split
