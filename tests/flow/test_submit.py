"""spark-submit on a standalone cluster of two workers, with nothing of ours but ``make dist``."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from penstock import aws
from penstock.contract import FeatureGroup
from penstock.session import DELTA, spark_line
from schemas.aircraft_history import PIPELINE as AIRCRAFT_HISTORY
from schemas.airport_weather import PIPELINE as AIRPORT_WEATHER
from schemas.flight_status import PIPELINE as FLIGHT_STATUS
from tests import flights, shipped
from tests.flow.cluster import HOSTS, Cluster, cluster
from tests.lab import Lab

PIPELINES = (AIRCRAFT_HISTORY, AIRPORT_WEATHER, FLIGHT_STATUS)
FLIGHTS, WEATHER = 1_500, 2_500  # rows of the small input
WHERE = """lake: {folder}/lake
state: {folder}/state
aws:
  embedded: true
  region: us-east-1
quality:
  docs: false
"""
SOURCES = """sources:
  flights:
    path: {folder}/flights.csv
  weather:
    path: {folder}/weather.csv
"""
DAYS = ("--start=2013-01-07", "--end=2013-01-09", "--window=day", "--online=never")
# Run by an executor: says what it imported, and where.
WHENCE = """
import socket, sys
from pyspark.sql import SparkSession

def whence(_):
    import penstock.run, schemas, transforms
    yield [penstock.run.__file__, schemas.__file__, transforms.__file__]

spark = SparkSession.builder.getOrCreate()
for found in spark.sparkContext.parallelize(range(4), 4).mapPartitions(whence).collect():
    print("WHENCE", *found)
"""


@dataclass(frozen=True)
class Site:
    """What was built, where it runs, and a folder that all of the cluster sees."""

    dist: Path
    cluster: Cluster
    shared: Path

    def submit(self, job: Path, *arguments: str, environment: str, timeout: float = 240) -> str:
        """Submit, see it succeed; answers its standard output."""
        conf = ("--conf", str(self.shared / "conf"), "--env", environment)
        done = self.cluster.submit(
            job,
            (*arguments, *conf),
            py_files=(self.dist / "penstock.zip", self.dist / "project.zip"),
            packages=DELTA[spark_line()],
            timeout=timeout,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def job(self, name: str, *arguments: str, environment: str, timeout: float = 240) -> Any:
        """A job of the distribution; its JSON."""
        script = self.dist / "jobs" / f"{name}.py"
        said = self.submit(script, *arguments, "--json", environment=environment, timeout=timeout)
        # On Spark 3.5 spark-submit itself first prints how it resolves packages.
        begin = re.search(r"^[\[{]", said, re.MULTILINE)
        assert begin is not None, said[-2_000:]
        return json.loads(said[begin.start() :])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A cluster whose Python has everything but penstock, and what ``make dist`` built."""
    folder = tmp_path_factory.mktemp("cluster")
    dist = shipped.build(folder / "dist")
    python = shipped.interpreter(folder / "python", shipped.all_packages())
    shared = folder / "shared"
    shutil.copytree(dist / "conf", shared / "conf")
    cut(shared)
    text = WHERE.format(folder=shared) + SOURCES.format(folder=shared)
    (shared / "conf" / "small.yaml").write_text(text, encoding="utf-8")
    with cluster(folder, python) as running:
        yield Site(dist, running, shared)


@pytest.fixture(scope="module")
def done(site: Site) -> Mapping[str, Any]:
    """What the jobs said, in this order."""
    return {
        "provision": site.job("provision", environment="small"),
        "ingest": site.job("ingest", environment="small"),
        "reconcile": site.job("reconcile", "airport_weather", environment="small"),
        # After that: windows that are not online on purpose cannot be compared.
        "backfill": site.job("backfill", "airport_weather", *DAYS, environment="small"),
        "query": site.job("query", "latest", "flight_status", "--limit", "5", environment="small"),
        "dataset": site.job("dataset", "build", "flight_delays", environment="small"),
        "flow": _flow(site),
    }


def _flow(site: Site) -> Any:
    """A flow that only the project's archive has, over a file that all of the cluster sees."""
    name, rows = "transforms/airport_weather_prepared.yaml", site.shared / "weather.csv"
    given = ("--input", f"weather.csv={rows}", "--output", str(site.shared / "prepared"))
    return site.job("flow", "run", name, *given, "--format", "parquet", environment="small")


@pytest.mark.prove
@pytest.mark.shows("3.7")
def test_every_job_runs_from_what_was_built(site: Site, done: Mapping[str, Any]) -> None:
    """Each of ``jobs/*.py`` ends well, and both workers worked.

    The Python of driver and executors cannot import penstock by itself: it came with --py-files.
    """
    plain = [str(site.cluster.python), "-c", "import penstock"]
    alone = shipped.run(plain, site.shared, shipped.environment())
    assert "No module named 'penstock'" in alone.stderr
    jobs = {path.stem for path in (site.dist / "jobs").glob("*.py")} - {"__init__"}
    jobs.remove("stream")  # needs a broker: its own tests run it
    assert jobs == set(done)
    assert {one["action"] for one in done["provision"]} == {"created"}
    valid = {one["group"]: one["valid"] for one in done["ingest"]}
    assert valid.pop("route_traffic") > 0
    assert valid == {
        "aircraft_history": len(_offline(site.shared, AIRCRAFT_HISTORY.group)),
        "airport_weather": WEATHER,
        "flight_status": FLIGHTS,
    }
    assert [one["accepted"] for one in done["ingest"]] == [
        one["identifiers"] for one in done["ingest"]
    ]
    # The rows are there already, from the run over everything: none is written twice.
    assert [(one["state"], one["figures"]["offline"]) for one in done["backfill"]] == [
        ("done", 0),
        ("done", 0),
    ]
    assert (done["reconcile"]["differing"], done["reconcile"]["kinds"]["equal"]) == (0, 3)
    assert len(done["query"]["rows"]) == 5
    assert done["dataset"]["made"]
    assert sum(done["dataset"]["parts"].values()) == done["dataset"]["labels"] > 0
    assert done["flow"]["columns"]
    assert [*(site.shared / "prepared").glob("*.parquet")]
    assert site.cluster.hosts() == set(HOSTS)


@pytest.mark.prove
@pytest.mark.shows("3.7")
def test_the_stores_are_those_of_a_local_run(site: Site, done: Mapping[str, Any], lab: Lab) -> None:
    """Offline and online, row by row, what a local session makes of the same input."""
    assert done["ingest"]
    sources = {name: str(site.shared / f"{name}.csv") for name in ("flights", "weather")}
    sources["airports"] = str(flights.path("airports.csv"))
    with aws.embedded(site.shared / "aws", "us-east-1") as there:
        for pipeline in PIPELINES:
            lab.ingest(pipeline, {name: sources[name] for name in pipeline.sources})
            group = pipeline.group
            rows = lab.features(group)
            assert _offline(site.shared, group) == rows
            names = sorted({row[group.record_identifier] for row in rows})
            assert _online(there, group, names) == _online(lab.endpoint, group, names)


@pytest.mark.prove
@pytest.mark.shows("3.7")
def test_executors_import_the_archives(site: Site, tmp_path: Path) -> None:
    """Asked where their code lies, executors name the .zip files."""
    script = tmp_path / "whence.py"
    script.write_text(WHENCE, encoding="utf-8")
    said = site.submit(script, environment="small")
    found = [line.split()[1:] for line in said.splitlines() if line.startswith("WHENCE")]
    assert len(found) == 4
    for penstock, schemas, transforms in found:
        assert "/penstock.zip/penstock/" in penstock
        assert "/project.zip/schemas/" in schemas
        assert "/project.zip/transforms/" in transforms


@pytest.mark.prove
@pytest.mark.shows("3.7")
@pytest.mark.parametrize("mistake", ["wheel", "no Delta"])
def test_a_wrong_submit_says_what_to_do(mistake: str, site: Site, done: Mapping[str, Any]) -> None:
    """A .whl, which executors do not import, or no Delta: one line, exit 2."""
    assert done["provision"]
    wheel = next(site.dist.glob("*.whl"))
    conf = ("--conf", str(site.shared / "conf"), "--env", "small")
    ended = site.cluster.submit(
        site.dist / "jobs" / "ingest.py",
        ("airport_weather", "--start", "2013-01-01", "--end", "2013-02-01", *conf),
        py_files=(
            wheel if mistake == "wheel" else site.dist / "penstock.zip",
            site.dist / "project.zip",
        ),
        packages=DELTA[spark_line()] if mistake == "wheel" else None,
    )
    # spark-submit puts a driver's standard error into its own standard output.
    lines = [line for line in ended.stdout.splitlines() if line.startswith("penstock: ")]
    assert ended.returncode == 2, ended.stdout + ended.stderr[-4000:]
    assert len(lines) == 1, ended.stdout
    says = {
        "wheel": "penstock: the executors cannot import 'penstock'. Send penstock.zip and",
        "no Delta": "penstock: Delta's jar is not on the class path of this Spark session. Submit",
    }
    assert lines[0].startswith(says[mistake])
    assert "Traceback" not in ended.stdout


@pytest.mark.prove
@pytest.mark.shows("3.7")
def test_all_flights_go_through_the_cluster(site: Site) -> None:
    """336,776 identifiers are sent and accepted, and as many rows are offline."""
    folder = site.shared / "whole"
    text = WHERE.format(folder=folder)
    (site.shared / "conf" / "whole.yaml").write_text(text, encoding="utf-8")
    site.job("provision", environment="whole")
    found = {
        one["group"]: (one["valid"], one["sent"], one["accepted"], one["offline"])
        for one in site.job("ingest", environment="whole", timeout=1_200)
    }
    assert found["flight_status"] == (336_776,) * 4
    assert found["airport_weather"] == (26_115, 3, 3, 26_115)
    days = _offline(folder, AIRCRAFT_HISTORY.group)
    assert sum(day["flights_1d"] for day in days) == 328_063


def cut(shared: Path) -> None:
    """The first flights, and every so many observations, so that all three airports are there."""
    with zipfile.ZipFile(flights.path("flights.csv.zip")) as archive:
        name = next(one for one in archive.namelist() if one.endswith("flights.csv"))
        with archive.open(name) as file:
            lines = list(itertools.islice(file, FLIGHTS + 1))
    (shared / "flights.csv").write_bytes(b"".join(lines))
    with flights.path("weather.csv").open("rb") as file:
        head, *rows = file.readlines()
    chosen = rows[:: len(rows) // WEATHER][:WEATHER]
    (shared / "weather.csv").write_bytes(b"".join([head, *chosen]))


def _table(folder: Path, group: FeatureGroup) -> str:
    return str(folder / "lake" / "offline" / group.name)


def _offline(folder: Path, group: FeatureGroup) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = DeltaTable(_table(folder, group)).to_pyarrow_table().to_pylist()
    order = (group.record_identifier, group.event_time)
    rows.sort(key=lambda row: tuple(row[name] for name in order))
    return [{name: row[name] for name in group.names} for row in rows]


def _online(
    endpoint: aws.Endpoint, group: FeatureGroup, identifiers: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The records of all identifiers."""
    runtime = aws.client(endpoint, "sagemaker-featurestore-runtime")
    found: dict[str, dict[str, str]] = {}
    for first in range(0, len(identifiers), 100):
        asked = {
            "FeatureGroupName": group.name,
            "RecordIdentifiersValueAsString": identifiers[first : first + 100],
        }
        for one in runtime.batch_get_record(Identifiers=[asked])["Records"]:
            record = {each["FeatureName"]: each["ValueAsString"] for each in one["Record"]}
            found[one["RecordIdentifierValueAsString"]] = record
    assert len(found) == len(identifiers)
    return found
