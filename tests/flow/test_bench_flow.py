"""``make bench-flow``: what a flow costs beside the same steps fused by hand, measured."""

from __future__ import annotations

import pytest

from tests.flow.measured import measured


@pytest.mark.prove
@pytest.mark.shows("8.6")
def test_a_flow_costs_little_more_than_a_program() -> None:
    """A million rows of thirty columns, twenty steps; both write the same rows, or it fails."""
    found = measured("bench-flow", "flow.json")
    assert (found["rows"], found["columns"], found["steps"]) == (1_000_000, 30, 20)
    assert all(one["wall_s"] > 0 and one["cpu_s"] > 0 for one in found["arms"].values())
    assert found["ratios"]["wall_s"] <= 1.5
    assert found["ratios"]["cpu_s"] <= 1.5
