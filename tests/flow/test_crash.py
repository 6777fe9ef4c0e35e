"""Runs that are killed: from outside, at points seen from outside, then the same command again.

Nothing in the product helps: a point is recognised by the files a run leaves in its state folder.
Whatever was killed and how often, both stores, the quarantine and the figures equal those of a run
that nobody disturbed.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.entries import Transaction
from penstock.offline.delta import DeltaLog
from penstock.offline.table import OfflineTable
from penstock.stage.spark import rows_schema
from penstock.storage import LocalStorage
from tests.flow.processes import Seen, end, gone, under, until, workers
from tests.flow.project import GROUP, Answer, Small, ended
from tests.flow.stores import Stores, fine, provisioned, stores

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SENSORS = 5_000
SLOW = (
    "--set=online.in_flight=1",
    "--set=online.chunk_rows=50",
    "--set=online.max_write_units_per_s=200",
)
START_S = 180.0  # until a point is reached, on a busy machine
ORPHANS_S = 30.0  # until the children of a killed driver have ended by themselves
STOP_S = 30.0  # until a run that was asked to stop has stopped


@dataclass(frozen=True)
class Point:
    """Where a run is killed: ``reached`` tells from the files, and from the markers before."""

    name: str
    reached: Callable[[Small, int], bool]
    arguments: tuple[str, ...] = ()


def _total(small: Small) -> int:
    manifest = json.loads(small.manifest.read_text())
    size = manifest["chunk_rows"]
    return sum(-(-one["rows"] // size) for one in manifest["staged"]["send"])


def _staging(small: Small, _: int) -> bool:
    folder = small.manifest.parent
    return any(folder.rglob("*.parquet")) and not small.manifest.exists()


def _reached(state: str) -> Callable[[Small, int], bool]:
    return lambda small, _: state in small.states()


def _log(small: Small, _: int) -> bool:
    return any((small.lake / "offline").glob("*/_delta_log/*0.json"))


CLAIMED = Point("claimed", _reached("CLAIMED"))
PLANNED = Point("planned", _reached("PLANNED"))
STAGING = Point("staging", _staging)
STAGED = Point("manifest", lambda small, _: small.manifest.exists(), SLOW)
SENDING = Point("sending", lambda small, before: len(small.markers) >= before + 4, SLOW)
SENT = Point(
    "all sent",
    lambda small, _: small.manifest.exists() and len(small.markers) == _total(small),
    SLOW[:2],
)
ONLINE = Point("online done", _reached("ONLINE_DONE"), SLOW[:2])
COMMITTED = Point("committed", _log)
OFFLINE = Point("offline done", _reached("OFFLINE_COMMITTED"))
POINTS = (CLAIMED, PLANNED, STAGING, STAGED, SENDING, SENT, ONLINE, COMMITTED, OFFLINE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """What is left behind when nobody disturbs it."""
    small = provisioned(tmp_path_factory.mktemp("undisturbed"), SENSORS)
    return stores(small, fine(small.run("ingest", "--json")))


@pytest.mark.prove
@pytest.mark.shows("3.4")
def test_a_killed_run_is_finished_by_the_same_command(undisturbed: Stores, tmp_path: Path) -> None:
    """Killed while it sends; meanwhile a second driver names the first and ends with 75."""
    small = provisioned(tmp_path, SENSORS)
    _kill(small, SENDING, _a_second_driver_is_sent_away)
    assert 0 < len(small.markers) < _total(small)
    last = fine(small.run("ingest", "--json"))
    assert last.json[0]["state"] == "resumed"
    assert stores(small, last) == undisturbed


@pytest.mark.prove
@pytest.mark.shows("3.4")
def test_a_run_that_is_ended_four_times_in_four_ways_leaves_what_an_undisturbed_one_leaves(
    undisturbed: Stores, tmp_path: Path
) -> None:
    """Driver killed while staging, sending and after the commit; workers killed.

    Meanwhile a second driver names the first and ends with 75, and once all is done the same
    command changes nothing.
    """
    small = provisioned(tmp_path, SENSORS)
    _kill(small, STAGING)
    assert not small.manifest.exists()
    for table in (f"offline/{GROUP}", "quarantine"):  # as a kill inside a first commit leaves it
        (small.lake / table / "_delta_log").mkdir(parents=True, exist_ok=True)
    _kill(small, SENDING, _a_second_driver_is_sent_away)
    assert 0 < len(small.markers) < _total(small)
    _stopped(_end_workers(small), "a process of Spark died")
    assert "ONLINE_DONE" not in small.states()
    assert 0 < len(small.markers) < _total(small)
    _kill(small, COMMITTED)
    assert "OFFLINE_COMMITTED" not in small.states()
    last = fine(small.run("ingest", "--json"))
    assert last.json[0]["state"] == "resumed"
    assert stores(small, last) == undisturbed
    again = fine(small.run("ingest", "--json"))
    assert again.json[0]["state"] == "unchanged"
    assert stores(small, again) == undisturbed
    _a_damaged_ledger_is_named(small)


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_driver_killed_at_any_point(
    undisturbed: Stores, tmp_path: Path, point: Point, request: pytest.FixtureRequest
) -> None:
    """Killed there, then run again at once: the same stores; the killed run's children end."""
    for n in range(request.config.getoption("--rounds")):
        small = provisioned(tmp_path / str(n), SENSORS)
        _kill(small, point)
        assert "DONE" not in small.states()
        last = fine(small.run("ingest", "--json"))
        assert stores(small, last) == undisturbed
        assert small.states()[-1] == "DONE"
        shutil.rmtree(small.root)


@pytest.mark.prove
@pytest.mark.shows("3.4")
def test_workers_killed_over_and_over(
    undisturbed: Stores, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """However often the workers die while records are sent, a run that is left alone ends well."""
    for n in range(request.config.getoption("--rounds")):
        small = provisioned(tmp_path / str(n), SENSORS)
        for _ in range(2):
            _stopped(_end_workers(small), "a process of Spark died")
        assert stores(small, fine(small.run("ingest", "--json"))) == undisturbed
        shutil.rmtree(small.root)


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.parametrize("point", [STAGING, SENDING], ids=lambda point: point.name)
def test_a_jvm_that_is_killed(undisturbed: Stores, tmp_path: Path, point: Point) -> None:
    """The driver says so in its last line, below what pyspark has to say, and ends with 75."""
    small = provisioned(tmp_path, SENSORS)
    process = _started(small, point)
    end([one for one in under(process.pid) if "java" in one.command.split(" ")[0]], signal.SIGKILL)
    answer = ended(process)
    assert answer.code == 75, answer
    assert answer.err.splitlines()[-1].startswith("penstock: a process of Spark died")
    assert stores(small, fine(small.run("ingest", "--json"))) == undisturbed


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.shows("5.6")
@pytest.mark.parametrize("point", [STAGING, SENDING], ids=lambda point: point.name)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_t09_sigterm_graceful(
    undisturbed: Stores, tmp_path: Path, point: Point, number: int
) -> None:
    """It ends within 30 s, in one line, with 75, and leaves nothing that keeps the next one out."""
    small = provisioned(tmp_path, SENSORS)
    _stopped(_terminate(small, number, point), "interrupted")
    assert stores(small, fine(small.run("ingest", "--json"))) == undisturbed


@pytest.mark.prove
@pytest.mark.shows("3.4")
def test_a_run_that_is_taken_over(undisturbed: Stores, tmp_path: Path) -> None:
    """``--takeover`` does not wait for the owner, which is fenced; together they do no harm."""
    small = provisioned(tmp_path, SENSORS)
    first = _started(small, SENDING)
    second = fine(small.run("ingest", "--json", "--takeover"))
    said = ended(first)
    assert stores(small, second) == undisturbed
    # A slow second run may find the first one finished.
    assert said.code in (0, 75)
    assert small.states().count("DONE") == 1
    if said.code == 75:
        assert "was claimed by" in said.err.splitlines()[-1]


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.shows("5.6")
def test_t06_two_drivers_that_start_together(undisturbed: Stores, tmp_path: Path) -> None:
    """One of them works; the other ends with 75, or with 0 when it came after the end."""
    small = provisioned(tmp_path, SENSORS)
    both = [small.start("ingest", "--json") for _ in range(2)]
    ends = [ended(one) for one in both]
    codes = sorted(one.code for one in ends)
    assert codes in ([0, 75], [0, 0]), [one.err for one in ends]
    for one in ends:
        if one.code == 75:
            assert "process" in one.err.splitlines()[-1]
    assert stores(small, next(one for one in ends if one.code == 0)) == undisturbed


def _started(small: Small, point: Point) -> subprocess.Popen[str]:
    """A run that has reached a point."""
    before = len(small.markers)
    process = small.start("ingest", "--json", *point.arguments)

    def there() -> bool:
        assert process.poll() is None, ended(process)
        return point.reached(small, before)

    until(there, point.name, START_S)
    return process


def _kill(
    small: Small, point: Point, first: Callable[[Small, int], None] | None = None
) -> list[Seen]:
    """Kill the driver and nothing else at a point; everything it had started ends by itself."""
    process = _started(small, point)
    if first is not None:
        first(small, process.pid)
    children = under(process.pid)
    assert process.poll() is None
    process.kill()
    ended(process)
    assert process.returncode == -signal.SIGKILL
    assert any("penstock.emulator" in one.command for one in children)
    gone(children, ORPHANS_S)
    return children


def _end_workers(small: Small) -> Answer:
    """Kill every Python worker while records are sent."""
    process = _started(small, SENDING)
    found = workers(process.pid)
    assert found
    end(found, signal.SIGKILL)
    return ended(process)


def _terminate(small: Small, number: int, point: Point = SENDING) -> Answer:
    process = _started(small, point)
    children = under(process.pid)
    began = time.monotonic()
    process.send_signal(number)
    answer = ended(process)
    assert time.monotonic() - began < STOP_S
    gone(children, ORPHANS_S)
    return answer


def _stopped(answer: Answer, words: str) -> None:
    """Exit 75 and one line."""
    assert answer.code == 75, answer
    assert answer.out == ""
    (line,) = filter(None, answer.err.splitlines())  # click ends the line that ^C is shown in
    assert line.startswith("penstock: ")
    assert words in line


def _a_second_driver_is_sent_away(small: Small, owner: int) -> None:
    answer = small.run("ingest", "--json")
    _stopped(answer, f"process {owner},")


def _a_damaged_ledger_is_named(small: Small) -> None:
    """Changed, cut off, empty or missing: exit 70 and the file's name, from all who read it.

    ``status`` reads the newest event only.
    """
    event = small.journal / "000003.json"
    whole = event.read_bytes()
    changed = whole.replace(b'"epoch"', b'"epocs"')
    assert changed != whole
    for damaged in (changed, whole[:-9], b""):
        event.write_bytes(damaged)
        _ends_with(small.run("ingest"), event)
    _is_verified(small, event)
    event.unlink()
    for command in ("ingest", "status"):
        _ends_with(small.run(command), event)
    _is_verified(small, event)


def _ends_with(answer: Answer, event: Path) -> None:
    assert answer.code == 70
    assert str(event) in answer.err.splitlines()[-1]


def _is_verified(small: Small, event: Path) -> None:
    """``ledger verify`` tables all damage."""
    answer = small.run("ledger", "verify")
    assert (answer.code, str(event) in answer.out) == (70, True)


class _Deaf(DeltaLog):
    """Commits, and never hears of it."""

    def append(self, *arguments: Any, **named: Any) -> NoReturn:
        """Made, and not told."""
        super().append(*arguments, **named)
        raise ConnectionError("the answer was lost")


@pytest.mark.shows("3.4")
@pytest.mark.shows("5.6")
def test_t33_delta_response_lost(spark: SparkSession, tmp_path: Path) -> None:
    """The commit is found and not repeated; generation 1 does not take 10 for its own."""
    group = FeatureGroup(
        "lost", "id", "at", (Feature("id", FeatureType.STRING), Feature("at", FeatureType.STRING))
    )
    at, schema = datetime(2024, 1, 1, tzinfo=timezone.utc), rows_schema(group)
    rows = spark.createDataFrame(
        [("a", "2024-01-01T00:00:00Z", 0)], "id string, at string, _tie int"
    )
    path, storage = str(tmp_path / "table"), LocalStorage()
    table, deaf = (
        OfflineTable(spark, path, storage, group, schema, log)
        for log in (DeltaLog(path, storage), _Deaf(path, storage))
    )
    tenth, first = Transaction("penstock:lost:all", 10), Transaction("penstock:lost:all", 1)
    told = deaf.append(rows, tenth, api_invocation_time=at, write_time=at, compare=False)
    assert (told.rows, told.present) == (1, 0)
    again = table.append(rows, tenth, api_invocation_time=at, write_time=at, compare=False)
    assert again == told
    assert table.find(first) is None
    assert spark.read.format("delta").load(str(tmp_path / "table")).count() == 1
