"""The aircraft's history on a cluster: its lake, ledger and AWS, and drivers that are killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd  # noqa: TID253 - the independent computation
from deltalake import DeltaTable

from penstock import aws, provision
from penstock.config import Settings
from penstock.emulator.server import Emulator
from penstock.ledger.window import parse_name
from penstock.run.places import Places, state_folder
from penstock.session import DELTA, spark_line
from schemas.aircraft_history import GROUP
from tests.checker import Row
from tests.faults import evidence as gathering
from tests.faults.runs import job_of
from tests.flow.cluster import Cluster
from tests.flow.points import Point, kill
from tests.flow.processes import end, executors, under
from tests.flow.project import RUN

ROOT = Path(__file__).parents[2]
START, END, SIZE = "2013-01-01", "2014-02-01", "month"
RANGE = ("--start", START, "--end", END, "--window", SIZE)
POINT_S, RUN_S = 600.0, 1_800.0
_CONF = """lake: {folder}/lake
state: {folder}/state
aws:
  region: {emulator.region}
  endpoint_url: {emulator.url}
quality:
  docs: false
online:
  chunk_rows: 250
sources:
  flights:
    path: {flights}
"""


@dataclass
class Year:
    """Lake, ledger and AWS of one environment, and the cluster it is filled on.

    Args:
        name: Of the environment; also that of its folder.
        dist: What was built.
        running: The cluster.
        emulator: AWS; it outlives drivers, and keeps a journal.
        shared: A folder all of the cluster sees.
        hits: Window that stood at each point.
        ended: Processes of workers that were killed.
        chance: When, and which.
    """

    name: str
    dist: Path
    running: Cluster
    emulator: Emulator
    shared: Path
    hits: dict[str, str] = field(default_factory=dict)
    ended: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(51))

    @property
    def settings(self) -> Settings:
        """Where everything lies."""
        folder = self.shared / self.name
        folders = {"lake": str(folder / "lake"), "state": str(folder / "state")}
        return Settings.model_validate({"project": "flights", **folders})

    @property
    def table(self) -> Path:
        """Folder of the offline table."""
        return self.shared / self.name / "lake" / "offline" / GROUP.name

    @property
    def endpoint(self) -> aws.Endpoint:
        """How tests reach AWS."""
        emulator = self.emulator
        return aws.Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))

    def places(self, name: str) -> Places:
        """Where a window lies."""
        return Places(state_folder(self.settings), GROUP.name, parse_name(name))

    def prepare(self) -> None:
        """Configuration, and the feature group."""
        text = _CONF.format(
            folder=self.shared / self.name,
            emulator=self.emulator,
            flights=self.shared / "flights.csv",
        )
        (self.shared / "conf" / f"{self.name}.yaml").write_text(text, encoding="utf-8")
        sagemaker, glue = (aws.client(self.endpoint, one) for one in ("sagemaker", "glue"))
        provision.provision(sagemaker, glue, GROUP, self.settings)

    def start(self, job: str, *words: str, package: Path, log: str) -> subprocess.Popen[bytes]:
        """Submit a job with this package; it runs on."""
        words = (*words, "--json", "--conf", str(self.shared / "conf"), "--env", self.name)
        return self.running.start(
            self.dist / "jobs" / f"{job}.py",
            (GROUP.name, *words),
            py_files=(package, self.dist / "project.zip"),
            packages=DELTA[spark_line()],
            log=self._log(log),
            env={"AWS_SHARED_CREDENTIALS_FILE": str(self.emulator.credentials_file)},
        )

    def run(self, job: str, *words: str) -> None:
        """Submit a job as it was built, to its end."""
        process = self.start(job, *words, package=self.dist / "penstock.zip", log=job)
        assert process.wait(RUN_S) == 0, self.said(job)

    def collect(self, package: Path | None = None) -> subprocess.Popen[bytes]:
        """Remove what finished windows staged, with this copy of the package; it runs on."""
        place = ("--project", str(ROOT), "--conf", str(self.shared / "conf"), "--env", self.name)
        words = ("ledger", "collect", GROUP.name, "--older-than", "0m", *place)
        return subprocess.Popen(
            [sys.executable, "-c", RUN, *words],
            cwd=self.shared,
            env={**os.environ, "PYTHONPATH": str(package or self.dist / "penstock.zip")},
        )

    def said(self, log: str) -> str:
        """The end of what a job said."""
        return self._log(log).read_text(encoding="utf-8", errors="replace")[-4_000:]

    def kill(self, point: Point, first: str) -> None:
        """Run the backfill until a window stands at the point, and kill the driver there."""
        folder = self.shared / "copies" / f"{self.name}-{point.name}"
        hit = folder.with_suffix(".hit")
        package = _zipped(point.copy(folder, hit, first))
        for _ in range(3):  # a worker that is killed may end a run before
            process = self.start(
                "backfill", *RANGE, "--parallel", "2", "--takeover", package=package, log=point.name
            )
            with self._loses_a_worker():
                found = kill(process, point, hit, self.table, POINT_S)
            if found is not None:
                self.hits[point.name] = found
                return
            assert process.returncode == 75, self.said(point.name)
        raise AssertionError(f"{point.name} was not reached: {self.said(point.name)}")

    @contextmanager
    def _loses_a_worker(self) -> Iterator[None]:
        """Meanwhile an executor or a Python worker of one is killed, at a random time."""

        def act() -> None:
            there = executors()
            there += [two for one in there for two in under(one.pid) if "pyspark" in two.command]
            end(there and [self.chance.choice(there)], signal.SIGKILL)
            self.ended += bool(there)

        timer = threading.Timer(self.chance.uniform(8, 30), act)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def offline(self) -> pd.DataFrame:
        """The offline rows, sorted."""
        rows = DeltaTable(str(self.table)).to_pandas()[list(GROUP.names)]
        return rows.sort_values(["tailnum", "day_end"]).reset_index(drop=True)

    def online(self) -> dict[str, Row]:
        """The online records."""
        runtime = aws.client(self.endpoint, "sagemaker-featurestore-runtime")
        return gathering.online(runtime, job_of(GROUP, "", 1))

    def _log(self, name: str) -> Path:
        return self.shared / f"{self.name}-{name}.log"


def _zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder / "penstock"), "zip", folder, "penstock"))
