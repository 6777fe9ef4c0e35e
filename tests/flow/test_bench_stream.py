"""``make bench-stream``: how fresh a stream is, and how much it takes, measured."""

from __future__ import annotations

import pytest

from bench.stream_page import MOST, TARGETS_S, page
from penstock.session import spark_line
from tests.flow.measured import ROOT, measured


@pytest.mark.prove
@pytest.mark.shows("7.3")
@pytest.mark.skipif(spark_line() != "4.1", reason="measured on Spark 4.1")
def test_a_stream_is_fresh() -> None:
    """Both arms at 1,000 events a second and above; what was found is on the page."""
    found = measured("bench-stream", "stream.json")
    assert set(found["arms"]) == set(TARGETS_S)
    for name, one in found["arms"].items():
        assert one["rate"] == 1_000
        assert one["records"] > 10_000, name
        assert 0 < one["freshness_s"]["p50"] <= one["freshness_s"]["p99"] <= TARGETS_S[name], one
        assert one["cpu_s_per_1k"] > 0
        assert one["max_rate"] >= MOST, one
    assert (ROOT / "docs" / "freshness.md").read_text() == page(found)
