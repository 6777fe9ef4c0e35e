"""How long a small run takes where Spark is up already."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from penstock.ledger.window import Window
from penstock.run.ingest import ingest_pipeline
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE

ROWS = 1_000
LIMIT_S = 3.0


@pytest.mark.prove
@pytest.mark.shows("5.7")
def test_a_second_group_in_a_session_takes_three_seconds(lab: Lab) -> None:
    """A thousand rows through both gates into both stores and the catalogue."""
    lines = [f"s{n:04d},2024-01-01T00:00:00Z,{n},0.5" for n in range(ROWS)]
    text = "\n".join(["sensor,at,level,share", *lines]) + "\n"
    (lab.root / "readings.csv").write_text(text, encoding="utf-8")
    settings = lab.settings({"readings": lab.root / "readings.csv"})
    took = {}
    for name in ("first", "second"):
        pipeline = replace(PIPELINE, group=replace(GROUP, name=name))
        lab.provision(pipeline.group, settings)
        began = time.monotonic()
        found = ingest_pipeline(lab.context(settings), pipeline, Window()).figures
        took[name] = time.monotonic() - began
        assert (found.accepted, found.offline) == (ROWS, ROWS)
    assert took["second"] <= LIMIT_S, took
