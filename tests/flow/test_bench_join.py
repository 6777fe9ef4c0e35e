"""``make bench-join``: what a point-in-time join costs, measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.measured import ROOT, measured

SIZES = {"10^5", "10^6", "10^7"}

pytestmark = [pytest.mark.prove, pytest.mark.shows("6.2")]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """The results of one run."""
    return measured("bench-join", "join.json")


def test_every_arm_has_every_size_or_its_time_out(found: dict[str, Any]) -> None:
    """Wall and CPU seconds, or how long it was waited for."""
    arms = found["arms"]
    wanted = {"penstock", "penstock_skewed", "duckdb", "window", "feast", "spark_asof", "sdk"}
    assert set(arms) == wanted
    for name, sizes in arms.items():
        assert set(sizes) == SIZES, name
        for size, one in sizes.items():
            measured = one.get("wall_s", 0) > 0 and one.get("cpu_s", 0) > 0
            assert measured or one["timed_out_s"] > 0, (name, size)


def test_the_targets_are_met_and_on_the_page(found: dict[str, Any]) -> None:
    """All four, with what was found."""
    page = (ROOT / "docs" / "point-in-time.md").read_text()
    assert len(found["targets"]) == 4
    for one in found["targets"]:
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {one['what']} |"))
        assert line.endswith(f"| {one['value']:.4g} | hit |")
        assert one["hit"], one
