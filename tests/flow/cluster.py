"""A Spark standalone cluster on loopback addresses, ended by whoever started it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests import shipped
from tests.jvm import SHORT_LIVED

HOSTS = ("127.0.0.1", "127.0.0.2")
START_S = 60.0
LIFE_S = 2_400
_PACKAGE = "org.apache.spark.deploy"


@dataclass(frozen=True)
class Cluster:
    """A master and its workers.

    Args:
        master: Its URL.
        python: The interpreter of drivers and executors.
        folder: Logs, work of executors, event logs.
    """

    master: str
    python: Path
    folder: Path

    def submit(
        self,
        job: Path,
        arguments: Sequence[str],
        *,
        py_files: Sequence[Path],
        packages: str | None,
        timeout: float = 240,
        settings: Mapping[str, str] = MappingProxyType({}),
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """``spark-submit`` a job to its end, from a folder that has nothing in it.

        Args:
            job: The script.
            arguments: Of the script.
            py_files: Archives of code.
            packages: Maven coordinates; None for none.
            timeout: Seconds it may take.
            settings: More of Spark's settings.
            env: Variables that the driver has beside the usual ones.
        """
        more = [word for key in settings for word in ("--conf", f"{key}={settings[key]}")]
        command = self._command(job, arguments, py_files, packages, {})
        command[1:1] = more
        environment = {**_environment(self.python), **env}
        return shipped.run(command, self._nowhere(), environment, timeout)

    def start(
        self,
        job: Path,
        arguments: Sequence[str],
        *,
        py_files: Sequence[Path],
        packages: str,
        log: Path,
        env: Mapping[str, str],
    ) -> subprocess.Popen[bytes]:
        """``spark-submit`` a job that runs on; what it says goes to ``log``.

        Args:
            job: The script.
            arguments: Of the script.
            py_files: Archives of code.
            packages: Maven coordinates.
            log: File for both outputs.
            env: Variables that driver and executors have beside the usual ones.
        """
        command = self._command(job, arguments, py_files, packages, env)
        with log.open("wb") as out:
            return subprocess.Popen(
                command,
                cwd=self._nowhere(),
                env={**_environment(self.python), **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def _nowhere(self) -> Path:
        nowhere = self.folder / "elsewhere"
        nowhere.mkdir(exist_ok=True)
        return nowhere

    def _command(
        self,
        job: Path,
        arguments: Sequence[str],
        py_files: Sequence[Path],
        packages: str | None,
        env: Mapping[str, str],
    ) -> list[str]:
        events = self.folder / "events"
        events.mkdir(exist_ok=True)
        settings = {
            "spark.driver.host": HOSTS[0],
            "spark.driver.bindAddress": HOSTS[0],
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "4",
            "spark.databricks.delta.snapshotPartitions": "2",
            "spark.driver.extraJavaOptions": SHORT_LIVED,
            "spark.executor.extraJavaOptions": SHORT_LIVED,
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": events.as_uri(),
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false",
            **{f"spark.executorEnv.{name}": value for name, value in env.items()},
        }
        command = [str(spark_home() / "bin" / "spark-submit"), "--master", self.master]
        command += ["--driver-memory", "1g", "--executor-memory", "600m"]
        command += ["--packages", packages] if packages else []
        command += ["--py-files", ",".join(str(one) for one in py_files)]
        for key, value in settings.items():
            command += ["--conf", f"{key}={value}"]
        return [*command, str(job), *arguments]

    def hosts(self) -> set[str]:
        """Where tasks of all jobs so far have ended well."""
        found: set[str] = set()
        for log in (self.folder / "events").iterdir():
            for line in log.read_text(encoding="utf-8").splitlines():
                event: dict[str, Any] = json.loads(line)
                reason = event.get("Task End Reason", {}).get("Reason")
                if event["Event"] == "SparkListenerTaskEnd" and reason == "Success":
                    found.add(event["Task Info"]["Host"])
        return found


@contextmanager
def cluster(folder: Path, python: Path) -> Iterator[Cluster]:
    """A master and a worker on each of :data:`HOSTS`, one core and 700 MB each."""
    with ExitStack() as stack:
        log = _daemon(stack, folder, python, "master.Master", "--host", HOSTS[0], "--port", "0")
        master = _said(log, r"Starting Spark master at (spark://\S+)")
        workers = []
        for host in HOSTS:
            more = ("--host", host, "--cores", "1", "--memory", "700M")
            work = ("--work-dir", str(folder / "work" / host), master)
            workers.append(_daemon(stack, folder, python, "worker.Worker", *more, *work))
        for worker in workers:
            _said(worker, r"(Successfully registered) with master")
        yield Cluster(master, python, folder)


def spark_home() -> Path:
    """Spark as pyspark brings it."""
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def _daemon(stack: ExitStack, folder: Path, python: Path, name: str, *arguments: str) -> Path:
    """Start a daemon of the cluster; it ends with the stack. Answers its log."""
    log = folder / f"{name}-{len(list(folder.glob('*.log')))}.log"
    # A bound of its own, should the tests be killed before they can end it.
    command = ["timeout", str(LIFE_S), str(spark_home() / "bin" / "spark-class")]
    command += [f"{_PACKAGE}.{name}", *arguments, "--webui-port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **_environment(python),
                "SPARK_DAEMON_MEMORY": "256m",
                "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED,
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    stack.callback(_end, process)
    return log


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=20)


def _said(log: Path, pattern: str) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
        time.sleep(0.1)
    message = f"{log.name} does not say {pattern!r}: {log.read_text(errors='replace')[-2000:]}"
    raise AssertionError(message)


def _environment(python: Path) -> dict[str, str]:
    return shipped.environment(
        SPARK_HOME=str(spark_home()),
        PYSPARK_PYTHON=str(python),
        SPARK_LOCAL_IP=HOSTS[0],
    )
