"""A flow written out: the script runs by itself, and its stores hold what the flow makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd  # noqa: TID253 - reads what was written
import pytest
from deltalake import DeltaTable

from penstock import aws
from penstock.config import Aws, Settings
from penstock.emulator.server import Emulator
from penstock.wrangle import document, writing
from penstock.wrangle.export.document import Export, Form, joined, text
from penstock.wrangle.reading import Reader
from penstock.wrangle.running import Run, pinned

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FLOW = """
sources:
  claims: {path: claims.csv}
steps:
  - scale: {columns: [amount], scaler: min_max, output: "amount scaled"}
"""
_ROWS = 40
ROOT = Path(__file__).parents[2]


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A flow and its data in a folder."""
    lines = [f"c{n:02d},2024-01-{n % 28 + 1:02d}T00:00:00Z,{n * 1.5}" for n in range(_ROWS)]
    (tmp_path / "claims.csv").write_text("\n".join(["id,at,amount", *lines]) + "\n")
    (tmp_path / "claims.yaml").write_text(_FLOW)
    return tmp_path / "claims.yaml"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An AWS whose credentials any client finds."""
    with Emulator(tmp_path / "aws") as emulator:
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(emulator.credentials_file))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield emulator


def exported(spark: SparkSession, flow: Path, cloud: Emulator, form: Form, **more: Any) -> str:
    """The text of the export; also writes what the flow makes into ``out``, as ``flow run``."""
    found = document.load(flow)
    settings = Settings(
        project="test",
        lake="lake",
        state="state",
        aws=Aws(region=cloud.region, endpoint_url=cloud.url),
    )
    asked = Export("claims", "id", "at", form=form, **more)
    with pinned(spark):
        run = Run(found, Reader(spark, flow.parent, {}))
        writing.write(run.frame(found.result()), str(flow.parent / "out"), "csv")
        return text(run, found.result(), asked, settings, flow.parent, {})


@pytest.mark.shows("8.2")
def test_the_script_leaves_what_the_flow_makes(
    spark: SparkSession, flow: Path, cloud: Emulator
) -> None:
    """Both stores, the joined data set, its new feature; nothing of the flow is there to read."""
    whole = exported(spark, flow, cloud, "script", new={"half": "`amount_scaled` / 2"})
    (flow.parent / "claims.py").write_text(whole)
    flow.unlink()
    folder = flow.parent / "elsewhere"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(flow.parent / "claims.py")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert f"{_ROWS} rows, 5 columns: training" in done.stdout
    wanted = pd.read_csv(next((flow.parent / "out").glob("*.csv")), dtype=str)
    wanted = wanted.rename(columns={"amount scaled": "amount_scaled"}).sort_values("id")
    stored = DeltaTable(str(folder / "lake/offline/claims")).to_pandas().sort_values("id")
    assert len(stored) == _ROWS
    for name in ("id", "at", "amount"):
        assert list(stored[name]) == list(wanted[name])
    assert list(stored["amount_scaled"]) == [float(one) for one in wanted["amount_scaled"]]
    endpoint = aws.Endpoint(cloud.region, cloud.url, str(cloud.credentials_file))
    runtime = aws.client(endpoint, "sagemaker-featurestore-runtime")
    for row in wanted.to_dict("records"):
        answer = runtime.get_record(
            FeatureGroupName="claims", RecordIdentifierValueAsString=row["id"]
        )
        record = {one["FeatureName"]: one["ValueAsString"] for one in answer["Record"]}
        assert {**record, "amount_scaled": float(record["amount_scaled"])} == {
            **row,
            "amount_scaled": float(row["amount_scaled"]),
        }
    made = pd.read_parquet(folder / "training").sort_values("id")
    assert list(made["half"]) == [one / 2 for one in stored["amount_scaled"]]


@pytest.mark.shows("8.2")
def test_the_notebook_is_one(spark: SparkSession, flow: Path, cloud: Emulator) -> None:
    """Cells with ids, the parameters tagged, no word of the flow's file to read."""
    whole = json.loads(exported(spark, flow, cloud, "notebook"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    cells = whole["cells"]
    assert len({one["id"] for one in cells}) == len(cells)
    assert [one["metadata"] for one in cells if one["metadata"]] == [{"tags": ["parameters"]}]
    code = "\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "code")
    assert "yaml" not in code.replace("base.yaml", "").replace("local.yaml", "")
    compile(code, "notebook", "exec")


def test_a_join_on_the_command_line() -> None:
    """Groups, their features, and their event time."""
    settings = Settings(project="t", lake="l", state="s")
    (one,) = joined(["customers:policy=policy_id,zip=zip@at"], settings)
    assert (one.group, one.event_time) == ("customers", "at")
    assert dict(one.on) == {"policy": "policy_id", "zip": "zip"}
