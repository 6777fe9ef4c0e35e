"""Exported notebooks, run top to bottom by nbclient where nothing of the flow or the checkout is.

A virtual environment with the wheel, its extras and nbclient; the stand-in for AWS that ``penstock
local`` runs. What the notebooks leave in the stores is what ``penstock flow run`` makes.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from penstock import aws
from penstock.emulator.server import Emulator
from penstock.session import spark_line
from penstock.wrangle.export.contract import feature_name
from tests import shipped
from tests.flights import path
from tests.flow.test_flow_real import FLOWS

pytestmark = pytest.mark.prove
ROOT = Path(__file__).parents[2]
_WEATHER = """
sources:
  weather.csv: {path: weather.csv}
steps:
  - infer_types: {rules: new}
  - flag_missing: {columns: [pressure]}
  - impute: {columns: [temp, dewp, humid, pressure], strategy: median}
  - limits: {columns: [wind_speed], lower: 0, upper: 100}
  - scale: {columns: [temp, dewp], scaler: standard, center: true}
  - one_hot: {columns: [origin], output: "at airport", type: integer}
  - date_parts: {column: time_hour, parts: [month, hour], mode: cyclic}
  - event_time: {column: time_hour}
  - formula: {formula: "concat_ws('-', origin, event_time)", output: reading}
  - drop_columns: {columns: [year, month, day, hour, time_hour, wind_gust, wind_dir]}
"""
_RUN = """
import sys, nbformat, nbclient
book = nbformat.read(sys.argv[1], 4)
place = next(n for n, one in enumerate(book.cells) if "parameters" in one.metadata.get("tags", []))
book.cells.insert(place + 1, nbformat.v4.new_code_cell(sys.argv[2]))
nbclient.NotebookClient(book, timeout=900, kernel_name="python3").execute()
nbformat.write(book, sys.argv[1])
"""


@dataclass(frozen=True)
class Clean:
    """An environment with the wheel and nbclient.

    Args:
        folder: Of the environment.
    """

    folder: Path

    def run(self, *command: str, cwd: Path, **env: str) -> str:
        """Run a program of it; answers what it says."""
        known = {**shipped.environment(), "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        done = shipped.run(
            [str(self.folder / "bin" / command[0]), *command[1:]], cwd, known | env, 1_200
        )
        assert done.returncode == 0, done.stdout[-1_500:] + done.stderr[-3_000:]
        return done.stdout


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    """The wheel as people install it, by pip, with the versions we pin."""
    made = tmp_path_factory.mktemp("clean")
    wheel = next(shipped.build(made / "dist").glob("penstock-*.whl"))
    subprocess.run([sys.executable, "-m", "venv", str(made / "python")], check=True)
    found = Clean(made / "python")
    pins = ["-c", str(ROOT / "constraints" / f"spark-{spark_line()}.txt")]
    wanted = [f"{wheel}[local,quality]", "nbclient", "ipykernel"]
    found.run("pip", "install", "-q", "--disable-pip-version-check", *pins, *wanted, cwd=made)
    return found


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Emulator]:
    """The AWS of ``penstock local``."""
    with Emulator(tmp_path / "aws") as emulator:
        yield emulator


@pytest.mark.shows("8.2")
@pytest.mark.parametrize("name", ["fraud_claims", "weather"])
def test_a_notebook_leaves_what_the_flow_makes(
    clean: Clean, cloud: Emulator, tmp_path: Path, name: str
) -> None:
    """Both stores row by row, and the data set; the flow is gone before the notebook runs."""
    flow, given, identifier = _flow(name, tmp_path)
    words = [str(flow), "--input", given, "--allow-code"]
    clean.run("penstock", "flow", "run", *words, "--output", "out", cwd=tmp_path)
    group = ["--group", name, "--record-identifier", identifier, "--event-time", "event_time"]
    more = ["--feature", f"twice=`{identifier}` || `{identifier}`", "--output", "book.ipynb"]
    clean.run("penstock", "flow", "export", *words, *group, *more, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "book.ipynb", elsewhere)
    flow.unlink()
    book = json.loads((elsewhere / "book.ipynb").read_text(encoding="utf-8"))
    code = [one["source"] for one in book["cells"] if one["cell_type"] == "code"]
    assert flow.name not in json.dumps(code)
    (elsewhere / "run.py").write_text(_RUN)
    clean.run(
        *("python", "run.py", "book.ipynb", f"ENDPOINT = {cloud.url!r}"),
        cwd=elsewhere,
        AWS_SHARED_CREDENTIALS_FILE=str(cloud.credentials_file),
        AWS_EC2_METADATA_DISABLED="true",
    )
    _check(cloud, elsewhere, _rows(tmp_path / "out"), name, identifier)


def _flow(name: str, folder: Path) -> tuple[Path, str, str]:
    """A flow's file, its input, and which column identifies a record."""
    if name == "fraud_claims":
        flow = folder / "01_fraud_claims.flow"
        shutil.copy(FLOWS / flow.name, flow)
        return flow, f"claims.csv={FLOWS / 'data' / 'fraud_claims.csv'}", "policy_id"
    (folder / "weather.yaml").write_text(_WEATHER)
    return folder / "weather.yaml", f"weather.csv={path('weather.csv')}", "reading"


def _rows(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for part in folder.glob("*.csv"):
        with part.open(newline="", encoding="utf-8") as file:
            found += csv.DictReader(file)
    return found


def _check(
    cloud: Emulator, folder: Path, wanted: list[dict[str, str]], name: str, identifier: str
) -> None:
    """Values are the same, as numbers where they are numbers.

    The claims' event time is the moment their flow runs, so it is another one each time.
    """
    changes = {"event_time"} if name == "fraud_claims" else set()
    names = [one for one in wanted[0] if one not in changes]
    features = {one: feature_name(one, []) for one in names}
    stored = DeltaTable(str(folder / f"lake/offline/{name}")).to_pyarrow_table().to_pylist()
    by_key = {str(row[identifier]): row for row in stored}
    assert len(stored) == len({row[identifier] for row in wanted})
    endpoint = aws.Endpoint(cloud.region, cloud.url, str(cloud.credentials_file))
    runtime = aws.client(endpoint, "sagemaker-featurestore-runtime")
    for n, row in enumerate(wanted):
        plain = {features[one]: _value(row[one]) for one in names if row[one] != ""}
        offline = by_key[row[identifier]]
        assert {one: _value(offline[one]) for one in plain} == plain
        if n % 50 == 0:
            answer = runtime.get_record(
                FeatureGroupName=name, RecordIdentifierValueAsString=row[identifier]
            )
            record = {one["FeatureName"]: one["ValueAsString"] for one in answer["Record"]}
            assert {one: _value(record[one]) for one in plain} == plain
    made = (folder / "training").glob("*.parquet")
    assert sum(1 for _ in made) > 0


def _value(value: Any) -> Any:
    """A number where it is one."""
    if isinstance(value, bool):
        return float(value)
    try:
        return float({"true": "1", "false": "0"}.get(str(value), value))
    except ValueError:
        return str(value)
