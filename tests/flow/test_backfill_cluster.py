"""A year of an aircraft's history by months on two workers, the driver killed at every point.

What must be in the stores is computed in pandas from the raw flights (:mod:`tests.flights`), and
judged by the checker; what an undisturbed run over the whole year leaves is compared as well.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd  # noqa: TID253 - the independent computation
import pytest
from deltalake import DeltaTable

from penstock import aws, provision
from penstock.config import Settings
from penstock.emulator.server import Emulator
from penstock.ledger.interval import covers, split, unit
from penstock.ledger.journal import Journal
from penstock.ledger.window import parse_name, window
from penstock.run.places import Places, state_folder
from penstock.run.timeline import read_calendar
from penstock.session import DELTA, spark_line
from penstock.storage import LocalStorage
from schemas.aircraft_history import GROUP, PIPELINE
from tests import flights, shipped
from tests.checker import Evidence, Row, Shape, assure
from tests.faults import evidence as gathering
from tests.faults.runs import job_of, ledger_of, send_files
from tests.flow.cluster import Cluster, cluster
from tests.flow.points import Point, files, kill, named
from tests.flow.processes import end, executors, under

START, END, SIZE = "2013-01-01", "2014-02-01", "month"
YEAR = window(START, END)
RANGE = ("--start", START, "--end", END, "--window", SIZE)
ROWS = 250_723
POINT_S, RUN_S = 600.0, 1_800.0
#: A driver killed at a point leaves windows beside it anywhere, so a point is looked for from a
#: month on: later months have not come so far. cp13 is the making of Glue's table: the first month.
KILLS = (
    *(("cp13", 0), ("cp00", 2), ("cp01", 2), ("cp02", 3), ("cp03", 3), ("cp04", 4), ("cp05", 4)),
    *(("cp06", 5), ("cp07", 6), ("cp08", 7), ("cp09", 7), ("cp10", 8), ("cp11", 9), ("cp12", 10)),
    *(("cp14", 11), ("cp15", 11)),
)
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

pytestmark = pytest.mark.prove


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


@dataclass(frozen=True)
class Both:
    """The year that was killed, and the one nobody disturbed."""

    killed: Year
    whole: Year


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """One run over the year; and 13 windows, killed at every point and resumed with --takeover."""
    folder = tmp_path_factory.mktemp("year")
    dist = shipped.build(folder / "dist")
    python = shipped.interpreter(folder / "python", shipped.all_packages())
    shared = folder / "shared"
    shutil.copytree(dist / "conf", shared / "conf")
    with zipfile.ZipFile(flights.path("flights.csv.zip")) as archive:
        (shared / "flights.csv").write_bytes(archive.read("flights.csv"))
    with (
        cluster(folder, python) as running,
        Emulator(folder / "aws-killed", journal=True) as first,
        Emulator(folder / "aws-whole") as second,
    ):
        killed, whole = (
            Year(name, dist, running, emulator, shared)
            for name, emulator in (("killed", first), ("whole", second))
        )
        for one in (killed, whole):
            one.prepare()
        months = split(*_borders(), unit(SIZE))
        for name, month in KILLS:
            killed.kill(named(name), months[month].name)
            _check_left(killed, named(name))
        killed.run("backfill", *RANGE, "--parallel", "2", "--takeover")
        whole.run("ingest")
        yield Both(killed, whole)


@pytest.mark.shows("5.1")
def test_every_point_was_hit_all_over_the_year(both: Both) -> None:
    """Sixteen points (cp16 is of a collection there is none of yet), many months; workers too."""
    hits = both.killed.hits
    assert set(hits) == {f"cp{n:02d}" for n in range(16)}
    assert len(set(hits.values()) - {""}) >= 8
    assert both.killed.ended >= 3
    claims = [state for one in _months() for state, _ in _ledger(both.killed, one)]
    assert claims.count("CLAIMED") >= 13 + 10


@pytest.mark.shows("5.1")
def test_both_stores_are_those_of_one_undisturbed_run(both: Both) -> None:
    """Offline row by row, also at each window's start, where lookback matters; online as well."""
    found = both.killed.offline()
    assert len(found) == ROWS
    pd.testing.assert_frame_equal(found, both.whole.offline())
    starts = {f"{one[:4]}-{one[4:6]}-01T23:59:59Z" for one in _months()}
    assert set(found["day_end"]) >= starts
    assert both.killed.online() == both.whole.online()


@pytest.mark.shows("5.1")
def test_the_checker_finds_nothing_against_the_computation(both: Both) -> None:
    """Nothing lost, nothing twice, online the newest, every ledger legal."""
    year, shape = both.killed, gathering.shape_of(job_of(GROUP, "", 1))
    wanted = flights.aircraft_history(flights.flights())
    sent, candidates = [], []
    for name in _months():
        places = year.places(name)
        manifest = json.loads(Path(places.manifest(0)).read_bytes())
        chosen, results = send_files(places, 0, manifest)
        sent.append(gathering.of_send_files(job_of(GROUP, results, 250), chosen))
        every = [one["path"] for one in manifest["staged"]["send"]]
        candidates += gathering.of_send_files(job_of(GROUP, "", 250), every).sent
        assure(Evidence((), (), (), (), (), {}, {}, ledger=_ledger(year, name)))
    evidence = Evidence(
        rows=_rows(shape, wanted),
        sent=[row for one in sent for row in one.sent],
        answered=[row for one in sent for row in one.answered],
        dead=[row for one in sent for row in one.dead],
        journal=gathering.journal(year.shared.parent / "aws-killed", GROUP.name),
        online=year.online(),
        figures={
            name: sum(one.figures.get(name, 0) for one in sent)
            for name in ("sent", "accepted", "skipped", "rejected")
        },
        offline=_rows(shape, year.offline()),
        before=candidates,  # a selection that was made anew may leave out what was sent before
    )
    assure(evidence, floor=4_000)


@pytest.mark.shows("5.1")
def test_the_calendar_of_the_year_has_no_gap(both: Both) -> None:
    """Thirteen months, all done; one generation each, and one commit and write time a window."""
    year = both.killed
    calendar = read_calendar(year.settings, PIPELINE, datetime.now(timezone.utc))
    assert calendar.counts == {"done": 13}
    assert calendar.gaps == ()
    assert covers([one.window for one in calendar.cells], YEAR)
    for name in _months():
        assert _ledger(year, name)[-1][0] == "DONE"
        assert len(list(Path(year.places(name).generations).iterdir())) == 1
    table = DeltaTable(str(year.table)).to_pyarrow_table(columns=["write_time"])
    assert len(set(table.column(0).to_pylist())) == 13


def _check_left(year: Year, point: Point) -> None:
    """What the table of crash points says is durable."""
    name = year.hits[point.name]
    if not name:
        assert aws.client(year.endpoint, "glue").get_tables(DatabaseName="penstock_flights")[
            "TableList"
        ]
        return
    places = year.places(name)
    journal = Journal(LocalStorage(), places.journal(0)).refresh()
    if point.state is not None:
        assert journal.state is not None
        assert journal.state.value == point.state, point.name
    if point.staged is not None:
        assert Path(places.manifest(0)).exists() is point.staged, point.name
    if point.name in ("cp10", "cp11"):
        table = DeltaTable(str(year.table))
        committed = {Path(one).name for one in table.file_uris()}
        orphans = {one.name for one in files(year.table)} - committed
        done = [one for one in table.history() if name in str(one.get("userMetadata"))]
        assert bool(done) is (point.name == "cp11")
        assert orphans or point.name == "cp11"


def _rows(shape: Shape, frame: pd.DataFrame) -> list[Row]:
    """Rows of a frame as the checker compares them, placed by their number; NaN is no value."""
    plain = frame.astype(object).where(frame.notna(), None)
    columns = [str(one) for one in plain.columns]
    values = plain.itertuples(index=False, name=None)
    return [shape.row(dict(zip(columns, one, strict=True)), str(n)) for n, one in enumerate(values)]


def _zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder / "penstock"), "zip", folder, "penstock"))


def _borders() -> tuple[datetime, datetime]:
    assert YEAR.start is not None
    assert YEAR.end is not None
    return YEAR.start, YEAR.end


def _months() -> list[str]:
    return [one.name for one in split(*_borders(), unit(SIZE))]


def _ledger(year: Year, name: str) -> list[tuple[str, int]]:
    return ledger_of(year.places(name).journal(0))
