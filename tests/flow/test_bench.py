"""``make bench-online``: the claims about speed, measured."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 30 * 60
SIDES = {
    f"{who}_{api}" for who in ("boto3", "connector", "online", "ingest") for api in ("put", "batch")
}
RATIOS = {
    "put_vs_connector",
    "put_vs_boto3",
    "batch_vs_connector",
    "batch_vs_boto3",
    "ingest_put_vs_connector",
}


@pytest.mark.prove
@pytest.mark.shows("4.1")
def test_the_online_write_path_costs_what_is_claimed() -> None:
    """Half an hour at most; arms, shape and ratios as promised; no target is missed or unknown."""
    began = time.monotonic()
    done = subprocess.run(
        ["make", "bench-online"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert time.monotonic() - began <= LIMIT_S
    found = json.loads((ROOT / "bench" / "results" / "online.json").read_text())
    assert set(found["arms"]) >= SIDES
    for name, arm in found["arms"].items():
        for figure in ("cpu_s_per_1k", "records_per_s"):
            assert 0 < arm[figure]["min"] <= arm[figure]["median"] <= arm[figure]["max"], name
        assert arm["rounds"] >= 5, name
        assert arm["spark"].startswith("3.5."), name
    for name in SIDES:
        arm = found["arms"][name]
        assert (arm["records"], arm["features"], arm["latency_ms"]) == (40_000, 20, 0), name
    assert {arm["features"] for arm in found["arms"].values()} >= {10, 20, 50, 200}
    assert {arm["latency_ms"] for arm in found["arms"].values()} == {0, 10}
    assert {arm["marker_ms"] for arm in found["arms"].values()} >= {2, 40}
    assert any(arm["tls"] for arm in found["arms"].values())
    assert set(found["ratios"]) >= RATIOS
    missed = [f"{one['what']}: {one['value']}" for one in found["targets"] if not one["hit"]]
    assert not missed, "\n".join(missed)
