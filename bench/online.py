"""What a record costs on the online write path, side by side with boto3 and AWS's connector.

    make bench-online                     all of it, up to half an hour, then the page
    python -m bench.online --docs         write docs/performance.md from the last results

Runs in the environment of ``bench/peers.py``. Writes ``bench/results/online.json``; missed targets
are printed as such and never fail the run: whoever reads the file judges.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import report
from bench.figures import Arm, Sample, document

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from bench.server import Identity, Stub
    from bench.suite import Suite

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "online.json"
PAGE = ROOT / "docs" / "performance.md"
REGION = "us-east-1"
SUITES = ("sides", "latency", "alone")
ROUNDS, RECORDS = 5, 40_000
PUT_10MS, BATCH_10MS = 100_000, 300_000  # seconds of sending, so that starting a job weighs little


@dataclass
class Log:
    """What was measured, told line by line."""

    began: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A line with the time."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        print(f"{minutes:3d}:{seconds:02d}  {text}", file=sys.stderr, flush=True)

    def sample(self, what: str, number: int, one: Sample) -> None:
        """A line for one turn of one arm."""
        label = f"{what} {number}" if number else what
        costs = f"{one.cpu_s_per_1k:8.4f} CPU s / 1,000 {one.records_per_s:10,.0f} records/s"
        self.say(f"{label:9} {one.arm:26} {costs}")


def main() -> int:
    """Measure, or write the page."""
    options = _options()
    if options.docs:
        PAGE.write_text(report.page(json.loads(RESULTS.read_text())))
        return 0
    made = measured(options)
    RESULTS.parent.mkdir(exist_ok=True)
    out = Path(options.out)
    out.write_text(json.dumps(made, indent=1) + "\n")
    print("\n".join([*report.table(made), "", *report.verdict(made)]))
    print(f"\nwritten: {out}")
    return 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """All suites that are wanted, as one document."""
    from bench import profiling, server
    from bench.suite import Suite

    log = Log()
    log.say("building the stub")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder, identity = Path(name), server.Identity()
        with server.running(server.build(folder), identity) as stub:
            _environment(stub, identity)
            with _session(folder) as spark:
                online = {"transport": options.transport} if options.transport else {}
                suite = Suite(spark, stub, folder, options.records, online)
                arms = _run(suite, options, log)
                facts = _facts(spark, options, log)
            log.say("profiling the online arm")
            profiling.write(stub, folder, RESULTS.parent, options.transport)
    return document(arms, log.samples, facts)


def _run(suite: Suite, options: argparse.Namespace, log: Log) -> list[Arm]:
    from bench.suite import rounds

    suites = {
        "sides": suite.side_by_side,
        "latency": lambda: suite.latency(options.put_10ms, options.batch_10ms),
        "alone": suite.alone,
    }
    arms = []
    for name in options.suites:
        tasks = [one for one in suites[name]() if not options.arms or one.arm.name in options.arms]
        arms += [one.arm for one in tasks]
        log.samples += rounds(suite, tasks, options.rounds, log.sample)
    return arms


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost per record of the online write path.")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md and end")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--records", type=int, default=RECORDS, help="records an arm at 0 ms")
    parser.add_argument("--put-10ms", type=int, default=PUT_10MS, help="ours at 10 ms")
    parser.add_argument("--batch-10ms", type=int, default=BATCH_10MS, help="ours at 10 ms")
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=SUITES)
    parser.add_argument("--arms", nargs="+", help="only these arms of the suites")
    parser.add_argument("--transport", choices=("fast", "plain"), help="default: the product's")
    parser.add_argument("--out", default=str(RESULTS), help="where the results go")
    return parser.parse_args()


def _environment(stub: Stub, identity: Identity) -> None:
    """What driver, JVM and workers inherit: this identity, this stub, nobody's settings."""
    for name in [one for one in os.environ if one.startswith("AWS_") or "proxy" in one.lower()]:
        del os.environ[name]
    urls = {
        f"AWS_ENDPOINT_URL_{name}": stub.url
        for name in ("SAGEMAKER", "SAGEMAKER_FEATURESTORE_RUNTIME", "STS")
    }
    os.environ.update(
        urls,
        AWS_ACCESS_KEY_ID=identity.key,
        AWS_SECRET_ACCESS_KEY=identity.secret,
        AWS_SESSION_TOKEN=identity.token,
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_CA_BUNDLE=str(stub.authority),
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        PYTHONPATH=str(ROOT),
        SPARK_LOCAL_IP="127.0.0.1",
    )


@contextmanager
def _session(folder: Path) -> Iterator[SparkSession]:
    """One executor core, a warm JVM's defaults, Delta and the connector's jar."""
    from bench.peers import connector_jar
    from penstock.config import Spark
    from penstock.session import quiet, spark_session

    settings = {
        "spark.jars": str(connector_jar()),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "3g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.default.parallelism": "1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    session = spark_session(Spark(master="local[1]", settings=settings), "penstock bench")
    quiet(session)
    try:
        yield session
    finally:
        session.stop()


def _facts(spark: SparkSession, options: argparse.Namespace, log: Log) -> dict[str, Any]:
    """When, where and with what."""
    jvm = spark.sparkContext._jvm  # noqa: SLF001 - pyspark has no public question for a property
    assert jvm is not None
    packages = {
        "connector": "sagemaker-feature-store-pyspark",
        "boto3": "boto3",
        "pyarrow": "pyarrow",
    }
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "java": jvm.java.lang.System.getProperty("java.version"),
        **{name: metadata.version(package) for name, package in packages.items()},
        "rounds": options.rounds,
        "minutes": round((time.monotonic() - log.began) / 60),
        "transport": options.transport or "default",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
