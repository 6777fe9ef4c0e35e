"""T01, T02, T03, T07 and T08: executors and their Python workers die, or work twice.

On a standalone cluster of two workers, on two addresses, so that tasks can be speculated.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.emulator.server import Emulator
from tests.faults.runs import Line
from tests.flow.cluster import Cluster, cluster
from tests.flow.copies import copied
from tests.flow.outside import Outside, outside
from tests.flow.points import named
from tests.flow.processes import end, executors, until
from tests.flow.project import ended
from tests.flow.stores import fine

CHUNK, TASKS = 1_000, 2
LONG_S = 600.0
MANY = "--set=online.max_write_units_per_s={}"

pytestmark = [pytest.mark.prove, pytest.mark.shows("5.6")]
Make = Callable[..., Outside]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers with one core each; their Python is this one."""
    with cluster(tmp_path_factory.mktemp("cluster"), Path(sys.executable)) as running:
        yield running


@pytest.fixture
def make(workers: Cluster, tmp_path: Path) -> Iterator[Make]:
    """Makes the project on the cluster, with so many rows; more settings of Spark."""
    folder = tmp_path / "aws"
    with Emulator(folder, journal=True) as emulator:

        def made(rows: int, path: tuple[Path, ...] = (), **settings: str) -> Outside:
            lines: list[Line] = [
                (f"s{n:05d}", "2024-01-01T00:00:00Z", n, n / 8) for n in range(rows)
            ]
            spark = {
                "master": workers.master,
                "spark.executor.memory": "600m",
                "spark.executorEnv.AWS_SHARED_CREDENTIALS_FILE": str(emulator.credentials_file),
                "spark.executorEnv.PYTHONPATH": ":".join(map(str, path)),
                **{key.replace("__", "."): value for key, value in settings.items()},
            }
            return outside(tmp_path / "project", emulator, folder, lines, spark, path)

        yield made


def test_t01_executor_kill9_mid_partition(make: Make) -> None:
    """One of two executors is killed after 5,000 of 20,000 rows: at most a chunk a task again."""
    place = make(20_000)
    process = place.small.start("ingest", "--json", MANY.format(2_500))
    until(lambda: place.acknowledged(5_000), "5,000 rows", LONG_S)
    end(executors()[:1], signal.SIGKILL)
    fine(ended(process, LONG_S))
    place.assure(20_000)
    assert place.repeated <= TASKS * CHUNK


def test_t02_executor_kill9_three_rounds(make: Make) -> None:
    """Killed every 5 seconds, three times; none of 20,000 rows is lost or doubled."""
    place, rounds = make(20_000), 3
    process = place.small.start("ingest", "--json", MANY.format(1_000))
    until(lambda: place.acknowledged(1), "a row", LONG_S)
    for _ in range(rounds):
        time.sleep(5)
        assert process.poll() is None
        end(executors()[:1], signal.SIGKILL)
    fine(ended(process, LONG_S))
    place.assure(20_000)
    assert place.repeated <= rounds * TASKS * CHUNK


def test_t03_python_worker_sigkill(make: Make, tmp_path: Path) -> None:
    """Each task's worker kills itself once, in the middle of a chunk."""
    copy, died = copied(tmp_path / "copy"), tmp_path / "died"
    died.mkdir()
    context = "__import__('pyspark').TaskContext.get()"
    once = f"{str(died)!r} + '/' + str({context}.partitionId())"
    named("cp06").insert(
        copy,
        f"open({once}, 'x').close(); __import__('os').kill(__import__('os').getpid(), 9)",
        f"not __import__('os').path.exists({once})",
    )
    place = make(5_000, (copy,))
    fine(place.small.run("ingest", "--json", timeout=LONG_S))
    place.assure(5_000)
    assert len(list(died.iterdir())) >= TASKS
    assert place.repeated > 0


def test_t07_speculation_duplicates(make: Make, tmp_path: Path) -> None:
    """A slow first attempt is overtaken: rows are sent twice, and each store has them once."""
    copy, began = copied(tmp_path / "copy"), tmp_path / "began"
    context, pause = "__import__('pyspark').TaskContext.get()", "__import__('time').sleep"
    slow = f"({context}.attemptNumber(), {context}.partitionId()) == (0, 0)"
    # The others end only when it has sent something: how soon a worker is up decides nothing.
    waits = (
        f"[{pause}(0.05) for _ in iter(lambda: __import__('os').path.exists({str(began)!r}), True)]"
    )
    named("cp06").insert(copy, f"open({str(began)!r}, 'w').close(); {pause}(0.5)", slow)
    named("cp06").insert(copy, waits, f"not ({slow})")
    place = make(
        5_000,
        (copy,),
        spark__speculation="true",
        spark__speculation__quantile="0.5",
        spark__speculation__multiplier="1.2",
        spark__speculation__minTaskRuntime="200ms",
        spark__speculation__interval="200ms",
    )
    fine(place.small.run("ingest", "--json", timeout=LONG_S))
    assert place.repeated > 0
    time.sleep(5)  # zombies
    place.assure(5_000)


JOB = """
import sys
from pathlib import Path
from penstock import aws, config
from penstock.run.context import Context
from penstock.run.ingest import ingest_frame
from penstock.session import spark_session
from tests.flow.outside import FEATURES

root = Path(sys.argv[1])
settings = config.load(root / "conf", "local", {}).with_folders(
    lake=str(root / "lake"), state=str(root / "state")
)
spark = spark_session(settings.spark, "job")
frame = spark.read.option("header", True).csv(f"{root}/data").selectExpr(
    "sensor", "at", "cast(level as bigint) level", "cast(share as double) share"
).cache()
with aws.connected(settings) as endpoint:
    context = Context(lambda: spark, endpoint, settings, root)
    done = ingest_frame(context, frame, FEATURES)
    print("COUNT", frame.count(), done.figures.accepted, flush=True)
    sys.stdin.readline()
    print("COUNT", frame.count(), done.figures.accepted, flush=True)
"""


def test_t08_cached_rdd_not_reingested(make: Make) -> None:
    """A cached frame is ingested, its executors die, it is counted: no record is sent again."""
    place = make(5_000)
    process = subprocess.Popen(
        [sys.executable, "-c", JOB, str(place.small.root)],
        cwd=Path(__file__).parents[2],
        env={**place.small.environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert _counted(process) == [5_000, 5_000]
    assert place.writes == 5_000
    there = executors()
    assert there
    end(there, signal.SIGKILL)
    process.stdin.write("\n")
    process.stdin.flush()
    assert _counted(process) == [5_000, 5_000]
    assert process.wait(LONG_S) == 0
    assert place.writes == 5_000


def _counted(process: subprocess.Popen[str]) -> list[int]:
    """What the job counted in the end."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("COUNT"):
            return [int(one) for one in line.split()[1:]]
    raise AssertionError(f"it ended with {process.wait(60)}")
