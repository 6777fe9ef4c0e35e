"""What other systems are told of a run: metrics for CloudWatch, events for OpenLineage.

The fields are those of the two specifications, written down here once more.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timezone
from typing import Any

import pytest

from penstock.conf_observe import STDERR, Observe
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.report import emf
from penstock.report.lineage import Job, Kind, event
from penstock.run.reporting import _add

NOW = datetime(2026, 11, 29, 8, 0, 0, 123_000, tzinfo=timezone.utc)
GROUP = FeatureGroup(
    "readings",
    "sensor",
    "at",
    (Feature("sensor", FeatureType.STRING, "Which."), Feature("at", FeatureType.STRING)),
)
JOB = Job(
    "plant",
    GROUP,
    "0123456789ab",
    ["/data/a.csv", "s3://raw/in/b.csv"],
    "/lake/readings",
    "readings",
)
#: Units of PutMetricData, of which the format takes the same.
UNITS = {"Count", "Seconds", "Milliseconds", "Count/Second", "None"}
URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _plain(**more: Any) -> dict[str, Any]:
    figures = {
        "read": 10,
        "all_quarantined": 1,
        "valid": 9,
        "sent": 9,
        "accepted": 8,
        "rejected": 1,
        "throttled": 0,
        "offline": 7,
        "present": 1,
        "seconds": 3.5,
        "online_s": 2.0,
        "p50_ms": None,
        "p99_ms": 4.5,
    }
    who = {"project": "plant", "group": "readings", "run": "ab", "window": "all"}
    head = {**who, "state": "done", "exit_code": 0}
    return {**head, "figures": figures, **more}


@pytest.mark.parametrize("plain", [_plain(), _plain(state="stopped", figures=None)])
def test_a_line_is_of_the_embedded_metric_format(plain: dict[str, Any]) -> None:
    """Every metric and dimension that is named is a member of the root; no other is a target."""
    found = json.loads(json.dumps(emf.line(plain, "penstock", NOW)))
    told = found["_aws"]
    assert set(told) == {"Timestamp", "CloudWatchMetrics"}
    assert told["Timestamp"] == 1_795_939_200_123
    (directive,) = told["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert 1 <= len(directive["Metrics"]) <= 100
    for one in directive["Metrics"]:
        assert set(one) == {"Name", "Unit"}
        assert one["Unit"] in UNITS
        assert isinstance(found[one["Name"]], (int, float))
    for names in directive["Dimensions"]:
        assert len(names) <= 30
        assert all(isinstance(found[name], str) for name in names)


def test_figures_are_what_the_ledger_has() -> None:
    """Rates are of what was accepted; what is not known is left out, not 0."""
    drift = {"features": [{"psi": 0.1}, {"psi": None}, {"psi": 0.4}]}
    found = emf.line(_plain(drift=drift, freshness={"lag_s": 60.5}), "penstock", NOW)
    assert (found["Done"], found["Failed"]) == (1, 0)
    assert (found["RowsRead"], found["OfflineRows"], found["AcceptedRate"]) == (10, 8, 4.0)
    assert (found["MaxDrift"], found["FreshnessLag"]) == (0.4, 60.5)
    assert "CallP50" not in found


@pytest.mark.parametrize(
    ("kind", "figures", "why"),
    [
        ("START", None, None),
        ("COMPLETE", {"offline": 9, "accepted": 8}, None),
        ("FAIL", None, "readings: 3 of 10 rows were put aside"),
        ("ABORT", None, None),
    ],
)
def test_an_event_has_the_fields_of_openlineage(
    kind: Kind, figures: dict[str, int] | None, why: str | None
) -> None:
    """Required members, their types and formats; the same run has the same UUID."""
    found = json.loads(json.dumps(event(kind, JOB, NOW, figures, why)))
    assert found["eventType"] == kind
    assert RFC3339.fullmatch(found["eventTime"])
    for name in ("producer", "schemaURL"):
        assert URI.fullmatch(found[name])
    assert str(uuid.UUID(found["run"]["runId"])) == found["run"]["runId"]
    assert found["run"]["runId"] == event("START", JOB, NOW)["run"]["runId"]
    assert {"namespace", "name"} <= set(found["job"])
    for one in (*found["inputs"], *found["outputs"]):
        assert one["namespace"]
        assert one["name"]
    for facets in _facets(found):
        for facet in facets.values():
            assert URI.fullmatch(facet["_producer"])
            assert URI.fullmatch(facet["_schemaURL"])
    if why is not None:
        told = found["run"]["facets"]["errorMessage"]
        assert told["message"] == why
        assert told["programmingLanguage"] == "PYTHON"
    if figures is not None:
        counts = [one["outputFacets"]["outputStatistics"]["rowCount"] for one in found["outputs"]]
        assert counts == [9, 8]


def _facets(found: dict[str, Any]) -> list[dict[str, Any]]:
    told = [found["run"]["facets"], found["job"]["facets"]]
    for one in (*found["inputs"], *found["outputs"]):
        told += [one.get("facets", {}), one.get("outputFacets", {}), one.get("inputFacets", {})]
    return told


def test_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What is a file of the driver's machine elsewhere: ``emf`` and ``lineage`` alike."""
    assert Observe(emf="stderr", lineage="stderr").lineage == STDERR
    nowhere: Any = None  # no file, so no project's folder
    _add(nowhere, STDERR, {"eventType": "START"})
    assert capsys.readouterr() == ("", '{"eventType": "START"}\n')


def test_data_sets_have_the_names_openlineage_gives_them() -> None:
    """Files by their path, objects by bucket and key; schemas by their fields."""
    found = event("START", JOB, NOW)
    assert [(one["namespace"], one["name"]) for one in found["inputs"]] == [
        ("file", "/data/a.csv"),
        ("s3://raw", "in/b.csv"),
    ]
    assert [(one["namespace"], one["name"]) for one in found["outputs"]] == [
        ("file", "/lake/readings"),
        ("sagemaker-featurestore", "readings"),
    ]
    fields = found["outputs"][0]["facets"]["schema"]["fields"]
    assert fields[0] == {"name": "sensor", "type": "String", "description": "Which."}
