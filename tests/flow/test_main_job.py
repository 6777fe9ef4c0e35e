"""The main job as a newcomer runs it: all flights through the command line, once for all."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TID253 - the independent computation
import pytest
from deltalake import DeltaTable

from tests import flights

ROOT = Path(__file__).parents[2]
PENSTOCK = [str(Path(sys.executable).parent / "penstock")]
CELL = re.compile(r"\s{2,}")


@dataclass(frozen=True)
class Job:
    """The finished main job: where it worked, what it printed, how long it took."""

    folder: Path
    printed: str
    told: str
    seconds: float

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One more command on the same lake, ledger and embedded AWS."""
        return _run(self.folder, *words)

    def offline(self, group: str) -> pd.DataFrame:
        """A group's offline table."""
        return DeltaTable(str(self.folder / "lake" / "offline" / group)).to_pandas()


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    where = ["--set", f"lake={folder / 'lake'}", "--set", f"state={folder / 'state'}"]
    command = [*PENSTOCK, *words, *where]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """``penstock provision && penstock ingest`` on everything."""
    folder = tmp_path_factory.mktemp("main-job")
    provisioned = _run(folder, "provision")
    assert provisioned.returncode == 0, provisioned.stderr
    began = time.monotonic()
    ingested = _run(folder, "ingest")
    assert ingested.returncode == 0, ingested.stderr
    return Job(folder, ingested.stdout, ingested.stderr, time.monotonic() - began)


@pytest.mark.shows("3.1")
def test_the_closing_table_says_what_happened(job: Job) -> None:
    """Read, sent and accepted as the files have them; then where the lake is and what to type."""
    rows = {}
    for line in job.printed.splitlines():
        cells = CELL.split(line.strip())
        if cells[0] in ("airport_weather", "flight_status", "aircraft_history"):
            rows[cells[0]] = [cell.replace(",", "") for cell in cells[1:]]
    # read, quarantined, exact duplicates, valid, identifiers, sent, accepted
    assert rows["airport_weather"][:7] == ["26115", "0", "0", "26115", "3", "3", "3"]
    flights_and_airports = str(336_776 + 1_458)
    everything = "336776"
    assert rows["flight_status"][:7] == [flights_and_airports, "0", "0", *([everything] * 4)]
    assert rows["flight_status"][8] == everything  # offline rows
    assert f"The lake is in {job.folder / 'lake'}" in job.printed
    assert "Next: penstock query latest" in job.printed
    assert "Traceback" not in job.told


@pytest.mark.shows("3.1")
def test_flights_of_a_day_add_up_to_all_arrivals(job: Job) -> None:
    """The sum of flights_1d is the count of arrived flights with a tail number, by pandas."""
    raw = flights.flights()
    arrived = int((raw["arr_time"].notna() & raw["tailnum"].notna()).sum())
    assert arrived == 328_063
    assert int(job.offline("aircraft_history")["flights_1d"].sum()) == arrived


def test_arrivals_of_routes_add_up_to_all_arrivals(job: Job) -> None:
    """Hour by hour; and each row is stamped with its newest arrival and their number."""
    arrived = int(flights.flights()["arr_time"].notna().sum())
    traffic = job.offline("route_traffic")
    assert int(traffic["flights"].sum()) == arrived
    begun = pd.to_datetime(traffic["window_start"])
    stamped = pd.to_datetime(traffic["event_time"])
    newest = stamped - pd.to_timedelta(traffic["flights"], unit="ms")
    assert ((newest >= begun) & (newest < begun + pd.Timedelta(hours=1))).all()


@pytest.mark.shows("3.1")
def test_all_records_went_through_the_batch_operation(job: Job) -> None:
    """Accepted 336,776 in calls of 25: BatchWriteRecord, not PutRecord."""
    markers = (job.folder / "state" / "online" / "flight_status").rglob("*-??????.json")
    said = [json.loads(one.read_text(encoding="utf-8")) for one in markers]
    assert sum(one["accepted"] for one in said) == 336_776
    assert sum(one["calls"] for one in said) < 336_776 / 20


@pytest.mark.shows("3.1")
def test_running_again_says_in_seconds_that_nothing_is_to_do(job: Job) -> None:
    """No Spark is started for it; both stores stay as they are."""
    before = {one: len(job.offline(one)) for one in ("airport_weather", "flight_status")}
    began = time.monotonic()
    again = job.run("ingest")
    assert (again.returncode, time.monotonic() - began < 10) == (0, True)
    assert "Nothing to do" in again.stdout
    assert "starting Spark" not in again.stderr
    assert {one: len(job.offline(one)) for one in before} == before


@pytest.mark.prove
@pytest.mark.shows("3.1")
def test_the_job_takes_four_minutes_at_most(job: Job) -> None:
    """On two cores with nothing else to do."""
    assert job.seconds <= 240


@pytest.mark.prove
@pytest.mark.shows("3.1")
def test_a_fresh_clone_runs_in_twelve_minutes_and_after_a_reset_in_five(tmp_path: Path) -> None:
    """``make run`` in a clone of this checkout: set-up and job both timed; then without set-up."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    first, seconds = _made(clone, "run")
    assert seconds <= 12 * 60
    assert re.search(r"set-up: \d+ s", first)
    assert re.search(r"job: (\d+) s", first)
    _made(clone, "reset")
    second, seconds = _made(clone, "run")
    assert seconds <= 5 * 60
    assert "336,776" in second


def _made(clone: Path, target: str) -> tuple[str, float]:
    began = time.monotonic()
    environment = {key: value for key, value in os.environ.items() if key != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", target], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - began


@pytest.mark.shows("3.3")
def test_get_shows_online_beside_offline(job: Job) -> None:
    """Each feature of a known flight, the same in both stores."""
    name = flights.flight_status(flights.flights().head(1))["flight_id"].iloc[0]
    got = json.loads(job.run("get", "flight_status", name, "--json").stdout)[0]
    offline = {key: value for key, value in got["offline"].items() if value is not None}
    assert got["online"]["status"] == "landed"
    for feature, text in got["online"].items():
        assert text == str(offline[feature])
    table = job.run("get", "flight_status", name).stdout
    assert re.search(r"feature\s+online\s+offline", table)
    assert re.search(r"status\s+landed\s+landed", table)


@pytest.mark.prove
@pytest.mark.shows("3.3")
def test_a_query_prints_its_sql_and_right_answers(job: Job) -> None:
    """``as-of``: SQL for both engines, rows as pandas finds them in the offline table."""
    moment = "2013-07-01T00:00:00Z"
    words = ("query", "as-of", "aircraft_history", moment, "--limit", "10000", "--json")
    answer = json.loads(job.run(*words).stdout)
    assert 'FROM "penstock_flights"."aircraft_history"' in answer["sql"]["athena"]
    assert f"`{job.folder / 'lake' / 'offline' / 'aircraft_history'}`" in answer["sql"]["spark"]
    table = job.offline("aircraft_history")
    then = table[table["day_end"] <= moment].sort_values("day_end").groupby("tailnum").tail(1)
    wanted = dict(zip(then["tailnum"], then["flights_28d"], strict=True))
    assert {row["tailnum"]: row["flights_28d"] for row in answer["rows"]} == wanted
    assert len(wanted) > 3_000


@pytest.mark.shows("3.3")
def test_the_lines_of_the_readme_read_a_record_back(job: Job, tmp_path: Path) -> None:
    """The README's plain boto3 runs as it stands, on what ``penstock local env`` prints."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(import boto3\n.*?)```", text, re.DOTALL)
    assert block is not None
    assert len([line for line in block[1].splitlines() if line]) == 5
    script = tmp_path / "read.py"
    script.write_text(block[1], encoding="utf-8")
    with _local(job.folder / "aws") as environment:
        done = subprocess.run(
            [sys.executable, str(script)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "'status': 'landed'" in done.stdout


@contextmanager
def _local(data: Path) -> Iterator[dict[str, str]]:
    """``penstock local`` on the job's data, and the environment it asks for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = ["--port", port, "--data", str(data)]
    with subprocess.Popen(
        [*PENSTOCK, "local", *place], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert "answers at" in server.stdout.readline()
        exports = subprocess.run(
            [*PENSTOCK, "local", *place, "env"], capture_output=True, text=True, check=True
        ).stdout
        found = re.findall(r"export (\w+)=(\S+)", exports)
        try:
            yield {**os.environ, **{name: value.strip("'") for name, value in found}}
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.mark.shows("3.1")
def test_the_glue_tables_are_registered(job: Job) -> None:
    """Each group's table, at the place the rows are."""
    with _local(job.folder / "aws") as environment:
        code = (
            "import boto3, json; glue = boto3.client('glue');"
            "tables = glue.get_tables(DatabaseName='penstock_flights')['TableList'];"
            "print(json.dumps({t['Name']: t['StorageDescriptor']['Location'] for t in tables}))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    tables = json.loads(done.stdout)
    groups = ["aircraft_history", "airport_weather", "flight_status", "route_traffic"]
    assert sorted(tables) == groups
    place = (job.folder / "lake" / "offline" / "flight_status").as_uri()
    assert tables["flight_status"].rstrip("/") == place


@pytest.fixture(scope="module")
def delays(job: Job) -> tuple[dict[str, Any], float]:
    """What the data set's build says, and the seconds it took."""
    began = time.monotonic()
    said = job.run("dataset", "build", "flight_delays", "--json")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout), time.monotonic() - began


@pytest.mark.prove
@pytest.mark.shows("6.3")
def test_flight_delays_knows_nothing_of_the_future(delays: tuple[dict[str, Any], float]) -> None:
    """One row a flight with a delay, in two minutes; recomputed from the raw flights by pandas."""
    answer, seconds = delays
    assert seconds <= 120
    rows = pd.read_parquet(Path(answer["path"]) / "data").set_index("flight_id").sort_index()
    wanted = _delays(flights.flights()).sort_index()
    assert len(rows) == 327_346 == sum(answer["parts"].values())
    assert rows.index.equals(wanted.index)
    assert (rows["late"] == wanted["late"]).all()
    for name in (*HISTORY, "observed_at"):
        ours, theirs = rows[name], wanted[name]
        same = (ours == theirs) | (ours.isna() & theirs.isna())
        if ours.dtype == float:
            same |= (ours - theirs).abs() < 1e-9
        assert same.all(), name
    for name in ("day_end", "observed_at"):
        known = rows[name].notna()
        assert (rows[name] <= rows["scheduled_departure"])[known].all()
    aircraft, weather = answer["lookups"]
    assert aircraft["found"] == int(wanted["day_end"].notna().sum()) > 250_000
    assert weather["found"] == int(wanted["observed_at"].notna().sum()) > 300_000


@pytest.mark.prove
@pytest.mark.shows("6.3")
@pytest.mark.usefixtures("delays")
def test_features_carry_signal(job: Job) -> None:
    """The model of the README on what was built: it does better than the schedule alone."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = (
        one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "flight_delays" in one
    )
    (job.folder / ".penstock").mkdir()
    (job.folder / ".penstock" / "lake").symlink_to(job.folder / "lake")
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=job.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    found = {name: float(auc) for name, auc in re.findall(r"(\w[\w ]*): AUC (\S+)", said.stdout)}
    told = {
        name: float(auc)
        for name, auc in re.findall(
            r"^\| (baseline|with features) \|.*\| (\S+) \|$", text, re.MULTILINE
        )
    }
    assert set(found) == set(told) == {"baseline", "with features"}, said.stderr[-2_000:]
    assert found["with features"] > found["baseline"] + 0.03
    assert all(abs(found[name] - told[name]) <= 0.01 for name in told), found


@pytest.mark.prove
@pytest.mark.shows("6.3")
def test_flight_delays_of_one_day(job: Job) -> None:
    """The flights of a day of UTC alone; and none of them by an instant before all was written."""
    day = ["--start", "2013-07-01", "--end", "2013-07-02T00:00:00Z", "--json"]
    said = job.run("dataset", "build", "flight_delays", *day)
    assert said.returncode == 0, said.stderr
    answer = json.loads(said.stdout)
    status = job.offline("flight_status").dropna(subset=["arrival_delay"])
    leaves = status["scheduled_departure"]
    wanted = set(status["flight_id"][(leaves >= "2013-07-01T") & (leaves < "2013-07-02T")])
    rows = pd.read_parquet(Path(answer["path"]) / "data")
    assert set(rows["flight_id"]) == wanted
    assert len(rows) == answer["labels"] == len(wanted) > 500
    said = job.run("dataset", "build", "flight_delays", "--as-of", "2013-07-01", *day)
    assert (said.returncode, json.loads(said.stdout)["labels"]) == (0, 0)


HISTORY = ("day_end", *(f"{one}_{days}d" for days in flights.SPANS for one in flights.FIGURES))


def _delays(raw: pd.DataFrame) -> pd.DataFrame:
    """Flights with a delay, what their aircraft had done by then, and the last weather report."""
    leaves = flights.times(raw)["scheduled_departure"]
    status = flights.flight_status(raw)
    out = pd.DataFrame({"flight_id": status["flight_id"], "late": status["arrival_delay"] >= 15})
    out["late"] = out["late"].astype(int)
    out = out.assign(tailnum=raw["tailnum"], origin=raw["origin"], leaves=leaves)
    out = out[status["arrival_delay"].notna()].sort_values("leaves", kind="stable")
    landed = flights.arrivals(raw)
    landed["day_end"] = landed["arrival"].dt.floor("D") + flights.DAY - pd.Timedelta(seconds=1)
    days = landed[["tailnum", "day_end"]].drop_duplicates().sort_values("day_end", kind="stable")
    days["at"] = days["day_end"]
    span = 28 * flights.DAY
    out = pd.merge_asof(out, days, left_on="leaves", right_on="at", by="tailnum", tolerance=span)
    reports = flights.airport_weather(flights.weather())[["origin", "observed_at"]]
    reports["at"] = pd.to_datetime(reports["observed_at"], format=flights.ISO, utc=True)
    reports = reports.drop_duplicates().sort_values("at", kind="stable")
    out = pd.merge_asof(
        out.drop(columns="at"),
        reports,
        left_on="leaves",
        right_on="at",
        by="origin",
        tolerance=3 * flights.HOUR,
    )
    asked = out["day_end"].notna()
    figures = flights.known(landed, out.loc[asked, ["tailnum", "day_end"]])
    for name in HISTORY:
        out[name] = pd.Series(figures[name].to_numpy(), index=out.index[asked]).reindex(out.index)
    return out.set_index("flight_id")
