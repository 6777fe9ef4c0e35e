"""The shortest whole runs: what goes in comes out in both stores, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from tests.lab import Lab

GROUP = FeatureGroup(
    name="readings",
    record_identifier="sensor",
    event_time="at",
    features=(
        Feature("sensor", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("level", FeatureType.INTEGRAL),
        Feature("share", FeatureType.FRACTIONAL),
    ),
)
SOURCE = Source(
    columns=(
        Column("sensor"),
        Column("at", ColumnType.TIMESTAMP),
        Column("level", ColumnType.LONG),
        Column("share", ColumnType.DOUBLE),
    )
)
PIPELINE = Pipeline(GROUP, {"readings": SOURCE})
TEXT = """sensor,at,level,share
a,2024-01-01T00:00:00Z,1,0.5
a,2024-01-02T00:00:00Z,2,
b,2024-01-01T05:30:00+05:30,3,1e-3
b,2024-01-01T05:30:00+05:30,3,1e-3
"""


@pytest.mark.shows("3.4")
def test_rows_reach_both_stores_once_and_a_second_run_changes_nothing(lab: Lab) -> None:
    """Latest per identifier online, every distinct row offline; then nothing more."""
    file = _file(lab, TEXT)
    first = lab.ingest(PIPELINE, {"readings": file})
    rows = [
        {"sensor": "a", "at": "2024-01-01T00:00:00Z", "level": 1, "share": 0.5},
        {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": 2, "share": None},
        {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": 3, "share": 0.001},
    ]
    assert first.state == "done"
    assert (first.figures.read, first.figures.duplicates, first.figures.offline) == (4, 1, 3)
    assert lab.features(GROUP) == rows
    assert lab.online(GROUP, "a", "b") == {
        "a": {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": "2"},
        "b": {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": "3", "share": "0.001"},
    }
    before = lab.offline(GROUP)
    second = lab.ingest(PIPELINE, {"readings": file})
    assert second.state == "unchanged"
    assert lab.offline(GROUP) == before


def test_a_changed_source_adds_only_what_is_new(lab: Lab) -> None:
    """A new generation leaves out rows that are offline already, and counts them."""
    file = _file(lab, TEXT)
    lab.ingest(PIPELINE, {"readings": file})
    file.write_text(TEXT + "c,2024-01-03T00:00:00Z,4,1\n", encoding="utf-8")
    again = lab.ingest(PIPELINE, {"readings": file})
    assert (again.state, again.figures.offline, again.figures.present) == ("done", 1, 3)
    assert [row["sensor"] for row in lab.offline(GROUP)] == ["a", "a", "b", "c"]


def _file(lab: Lab, text: str) -> Path:
    file = lab.root / "readings.csv"
    file.write_text(text, encoding="utf-8")
    return file
