"""The benchmark's arithmetic, its page, and its rows: what turns measurements into claims."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from bench import peers, report, rows
from bench.figures import RATIOS, Arm, Sample, Target, document, ratio, spread, targets
from bench.measure import cost, tree_cpu
from penstock.contract import FeatureType
from penstock.gate import Bounds, FeatureGate

ROOT = Path(__file__).parents[2]
FACTS = {
    "date": "2026-01-02",
    "cores": 2,
    "processor": "a processor",
    "python": "3.11",
    "java": "17",
    "connector": "2.2.2",
    "boto3": "1.44",
    "pyarrow": "26",
    "rounds": 2,
    "minutes": 3,
}


def samples(arm: str, *costs: float, rate: float = 1000.0) -> list[Sample]:
    """One sample a round."""
    return [Sample(arm, number, each, rate) for number, each in enumerate(costs, 1)]


def made(**costs: float) -> dict[str, Any]:
    """A document in which every arm costs the same in two rounds."""
    usual = {
        "connector_put": 0.25,
        "connector_batch": 0.04,
        "boto3_put": 1.4,
        "boto3_batch": 0.27,
        "online_put": 0.05,
        "online_batch": 0.02,
        "ingest_put": 0.1,
        "ingest_batch": 0.05,
        "online_put_10ms": 0.05,
        "online_batch_10ms": 0.02,
        "online_put_tls": 0.06,
    }
    found = {**usual, **costs}
    arms = [Arm(name, 40_000, "3.5.9 local[1]") for name in found]
    every = [one for name, each in found.items() for one in samples(name, each, each, rate=60_000)]
    return document(arms, every, FACTS)


def test_a_ratio_is_taken_within_each_round() -> None:
    """A machine that gets slower from round to round changes both arms and not their ratio."""
    both = [*samples("dear", 0.4, 0.8, 4.0), *samples("cheap", 0.1, 0.2, 1.0)]
    assert ratio(both, "dear", "cheap") == {"min": 4.0, "median": 4.0, "max": 4.0}


def test_a_ratio_takes_rounds_both_arms_ran_in() -> None:
    """A round that only one of them has counts for nothing; without a common one there is none."""
    both = [*samples("dear", 1.0, 9.0), *samples("cheap", 0.5)]
    assert ratio(both, "dear", "cheap") == {"min": 2.0, "median": 2.0, "max": 2.0}
    assert ratio(samples("dear", 1.0), "dear", "cheap") is None


def test_a_spread_is_least_median_and_greatest() -> None:
    """Four digits count; the median of an even number lies between the middle two."""
    assert spread([3.0, 1.0, 2.0]) == {"min": 1.0, "median": 2.0, "max": 3.0}
    assert spread([1.0, 2.00006]) == {"min": 1.0, "median": 1.5, "max": 2.0}


def test_a_document_has_the_promised_shape() -> None:
    """Every arm has both spreads and what it was measured with; ratios are numbers."""
    found = made()
    assert set(RATIOS) == set(found["ratios"])
    assert found["ratios"]["put_vs_connector"] == pytest.approx(5.0)
    for arm in found["arms"].values():
        for figure in ("cpu_s_per_1k", "records_per_s"):
            assert set(arm[figure]) == {"min", "median", "max"}
        assert {"spark", "features", "latency_ms", "tls", "rounds"} <= set(arm)


def test_an_arm_without_samples_is_not_in_the_document() -> None:
    """What was not measured is not there, and targets that need it are unknown, not hit."""
    found = document([Arm("online_put", 1, "3.5")], [], {})
    assert found["arms"] == {}
    assert {one["hit"] for one in found["targets"]} == {None}


@pytest.mark.parametrize(
    ("arm", "cost_s", "missed"),
    [
        ("online_put", 0.051, 1),
        ("online_put", 0.0626, 2),  # and 4 times under the connector
        ("online_batch", 0.031, 2),  # and 1.3 times under the connector
        ("boto3_put", 0.99, 1),
        ("boto3_batch", 0.159, 1),
        ("ingest_put", 0.11, 1),
    ],
)
def test_a_target_that_is_missed_is_said_to_be(arm: str, cost_s: float, missed: int) -> None:
    """Each target is missed by an arm a little dearer or cheaper than it allows."""
    assert sum(one.hit is False for one in targets(made())) == 0
    found = made(**{arm: cost_s})
    assert sum(one.hit is False for one in targets(found)) == missed
    assert sum("MISSED" in line for line in report.verdict(found)) == missed


def test_limits_count_as_met() -> None:
    """At most and at least include the limit."""
    assert Target("", 0.05, most=0.05).hit
    assert Target("", 4.0, least=4).hit


def test_the_page_has_every_arm_and_every_figure() -> None:
    """Nothing that was measured is left out, and a miss is in bold sight."""
    found = made(online_put=0.09)
    page = report.page(found)
    for name, arm in found["arms"].items():
        assert f"`{name}`" in page
        assert f"{arm['cpu_s_per_1k']['median']:.4f}" in page
    assert page.count("MISSED") == sum(one["hit"] is False for one in found["targets"]) > 0
    assert "not its latency" in page


def test_the_page_changes_with_the_results() -> None:
    """No figure of the page is typed by hand: other results give another text."""
    found = made()
    other = copy.deepcopy(found)
    other["arms"]["online_put"]["cpu_s_per_1k"]["median"] = 0.0123
    assert "0.0123" in report.page(other)
    assert "0.0123" not in report.page(found)


def test_the_page_is_the_one_of_the_results() -> None:
    """docs/performance.md is what the results in the repository give, to the last character."""
    results = json.loads((ROOT / "bench" / "results" / "online.json").read_text())
    assert (ROOT / "docs" / "performance.md").read_text() == report.page(results)


def test_what_is_known_of_a_miss_is_on_the_page() -> None:
    """A missed target comes with the next idea; where none is missed nothing is said."""
    heading = "Missed, and the next idea"
    assert heading not in report.page(made())
    found = made(online_put=0.09)
    missed = [one["what"] for one in found["targets"] if one["hit"] is False]
    after = report.page(found).split(heading)[1]
    assert "online put, CPU s per 1,000 records" in missed
    for one in missed:
        assert report.ideas(one)
        assert all(text in after for text in report.ideas(one)), one


@pytest.mark.parametrize("features", [10, 20, 50, 200])
def test_rows_pass_the_contract_they_come_with(features: int) -> None:
    """No row breaks a rule or has the wrong type, so that arms differ in nothing but their work."""
    group, table = rows.group(features), rows.table(50, features)
    assert tuple(table.column_names) == group.names
    assert len(group.names) == features
    kinds = {one.type for one in group.features}
    assert kinds == set(FeatureType)
    later = datetime(2030, 1, 1, tzinfo=timezone.utc)
    gated = FeatureGate(group, Bounds(), later).check(table.combine_chunks().to_batches()[0])
    assert (gated.rows.num_rows, gated.bad.num_rows) == (50, 0)


def test_rows_of_two_files_do_not_meet() -> None:
    """Files of one arm hold different identifiers: each record counts once."""
    first, second = (rows.table(3, 10, first=n).column(rows.IDENTIFIER) for n in (0, 3))
    assert not set(first.to_pylist()) & set(second.to_pylist())


def test_cpu_of_children_counts_and_of_the_server_does_not() -> None:
    """A child's second is found while it runs and after it ended, unless it is the one left out."""
    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass\ninput()"]
    with subprocess.Popen(burn, stdin=subprocess.PIPE) as child:
        while _ticks(child.pid) < 0.25:
            time.sleep(0.02)
        others = tree_cpu(os.getpid(), without=child.pid)
        inside = tree_cpu(os.getpid(), without=0) - others
        assert inside >= 0.25
        child.communicate(b"\n")

    def work() -> None:
        subprocess.run(burn, input=b"\n", check=True)

    assert cost(work, without=0).cpu_s >= 0.25


def _ticks(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_missing_tool_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Go and Java there are two lines, one each; a Java too new is told by its number."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    go, java = peers.missing(["go", "java"])
    assert re.fullmatch(r"Go is missing: install Go .*", go)
    assert re.fullmatch(r"Java is missing: install a Java 17 .*", java)
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho 'openjdk version \"25.0.1\"' >&2\n")
    fake.chmod(0o755)
    (newer,) = peers.missing(["java"])
    assert newer.startswith("Java 25 does not run Spark 3.5")


def test_the_environment_has_what_penstock_needs() -> None:
    """Each dependency is pinned for the peers too: they are installed without a resolver."""
    pinned = {
        re.split("[=<>]", line)[0].lower().replace("_", "-")
        for line in peers.PINS.read_text().splitlines()
        if line and not line.startswith("#")
    }
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert listed is not None
    lines = re.findall(r'^\s*"(.*)",', listed[1], re.MULTILINE)
    wanted = {re.split("[>=<]", one)[0].lower() for one in lines}
    assert wanted
    assert wanted <= pinned
