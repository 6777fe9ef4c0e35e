"""A run that does not come to its end is told of, whatever ended it and when."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from penstock import aws
from penstock.contract import Pipeline
from penstock.errors import CredentialsError, PenstockError, TemporaryError, UsageError
from penstock.ledger.lease import held
from penstock.ledger.window import Window
from penstock.run.ingest import ingest_pipeline
from penstock.run.places import Places
from tests.faults.runs import pipeline
from tests.lab import Lab

PLAIN = pipeline()


def _stopped(readings: DataFrame) -> DataFrame:
    os.kill(os.getpid(), signal.SIGTERM)
    return readings


def _swallowed(readings: DataFrame) -> DataFrame:
    """As py4j may answer an interrupt: with an error of its own."""
    try:
        return _stopped(readings)
    except KeyboardInterrupt:
        raise RuntimeError("An error occurred while calling o45.collectToPython") from None


def _told(lab: Lab, name: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in (lab.root / name).read_text().splitlines()]


@pytest.fixture(autouse=True)
def readings(lab: Lab) -> None:
    """One row, and its group."""
    text = "sensor,at,level,share\na,2024-01-02T00:00:00Z,1,0.5\n"
    (lab.root / "readings.csv").write_text(text, encoding="utf-8")
    lab.provision(PLAIN.group, lab.settings())


def _run(lab: Lab, wanted: Pipeline, file: str = "readings.csv", **endpoint: Any) -> None:
    observe = {"observe__emf": "emf.jsonl", "observe__lineage": "lineage.jsonl"}
    settings = lab.settings({"readings": lab.root / file}, **observe)
    context = lab.context(settings)
    ingest_pipeline(replace(context, endpoint=replace(lab.endpoint, **endpoint)), wanted, Window())


@pytest.mark.shows("9.5")
@pytest.mark.parametrize("transform", [_stopped, _swallowed])
def test_a_run_that_is_interrupted_has_a_line(
    lab: Lab, transform: Callable[[DataFrame], DataFrame]
) -> None:
    """It failed, with 75, and nothing else is known; there is no report."""
    with pytest.raises(KeyboardInterrupt):
        _run(lab, replace(PLAIN, transform=transform))
    (line,) = _told(lab, "emf.jsonl")
    assert (line["Done"], line["Failed"], line["ExitCode"], line["Window"]) == (0, 1, 75, "all")
    assert line["Run"]
    named = [one["Name"] for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert named == ["Done", "Failed"]
    assert [one["eventType"] for one in _told(lab, "lineage.jsonl")] == ["START", "ABORT"]
    assert not (lab.root / "lake" / "reports").exists()
    _run(lab, PLAIN)
    assert [one["Done"] for one in _told(lab, "emf.jsonl")] == [0, 1]


def _no_group(lab: Lab) -> None:
    aws.client(lab.endpoint, "sagemaker").delete_feature_group(FeatureGroupName="readings")
    _run(lab, PLAIN)


def _held_by_another(lab: Lab) -> None:
    places = Places(str(lab.root / "state"), "readings", Window())
    context = lab.context(lab.settings())
    with held(context.storage, places.lease, lambda: context.now().timestamp()):
        _run(lab, PLAIN)


def _no_rights(lab: Lab) -> None:
    keys = lab.root / "keys"
    keys.write_text("[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n")
    _run(lab, PLAIN, credentials_file=str(keys))


@pytest.mark.shows("9.5")
@pytest.mark.parametrize(
    ("act", "error"),
    [
        (_no_group, UsageError),
        (_held_by_another, TemporaryError),
        (_no_rights, CredentialsError),
        (lambda lab: _run(lab, PLAIN, "absent.csv"), PenstockError),
    ],
)
def test_what_ends_before_it_is_a_run_has_a_line(
    lab: Lab, act: Callable[[Lab], None], error: type[PenstockError]
) -> None:
    """With the exit code of its error, of group and window, and of no run: nothing was claimed."""
    with pytest.raises(error) as raised:
        act(lab)
    (line,) = _told(lab, "emf.jsonl")
    assert (line["Done"], line["Failed"], line["Run"]) == (0, 1, "")
    assert (line["FeatureGroup"], line["Window"]) == ("readings", "all")
    assert line["ExitCode"] == raised.value.exit_code
    assert not Path(lab.root / "lineage.jsonl").exists()


@pytest.mark.shows("9.5")
def test_a_window_that_is_done_has_no_second_line(lab: Lab) -> None:
    """Nothing ran."""
    _run(lab, PLAIN)
    _run(lab, PLAIN)
    assert [one["Done"] for one in _told(lab, "emf.jsonl")] == [1]
