"""What a point-in-time join costs, side by side with what people use for it.

    make bench-join                       all sizes, all arms, a quarter of an hour; then the page
    python -m bench.join --docs           write docs/point-in-time.md from the last results

Writes ``bench/results/join.json``. Missed targets are printed as such and never fail the run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.join import report
from bench.join.arms import ARMS, CORES
from bench.join.data import PER_KEY, PER_LABEL, SKEW, Case, make
from bench.report import verdict

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results" / "join.json"
PAGE = ROOT / "docs" / "point-in-time.md"
SIZES = {"10^5": 100_000, "10^6": 1_000_000, "10^7": 10_000_000}
TIMES = {"10^5": 3, "10^6": 3, "10^7": 2}
START_S = 90  # a process, a JVM and a first run
TIMEOUT_S = 120  # of one run


@dataclass(frozen=True)
class Arm:
    """One arm over all sizes.

    Args:
        name: One of :data:`bench.join.arms.ARMS`.
        folder: Where the cases are.
        sizes: Names and feature rows.
        timeout_s: Seconds a run may take; then the arm is ended, with what came after.
    """

    name: str
    folder: Path
    sizes: dict[str, int]
    timeout_s: float

    def measured(self) -> dict[str, Any]:
        """By size: median wall and CPU seconds, all of them, and the answer."""
        runs: list[dict[str, Any]] = []
        timed_out = False
        for one in self._runs():
            if one is None:
                timed_out = True
            elif one["warm"]:
                runs.append(one)
                report.say(f"{self.name:16} {one['rows']:>11,} rows {one['wall_s']:8.2f} s")
        found: dict[str, Any] = {}
        for size, rows in self.sizes.items():
            own = [one for one in runs if one["rows"] == rows]
            found[size] = _summary(own) if own else {"timed_out_s": self.timeout_s}
        if timed_out:
            report.say(f"{self.name:16} ended: a run took more than {self.timeout_s:g} s")
        return found

    def _runs(self) -> Iterator[dict[str, Any] | None]:
        """Each run as it ends; None where one takes too long, and nothing more."""
        command = [sys.executable, "-m", "bench.join.arms", self.name, str(self.folder)]
        command += [f"{rows}:{TIMES[size]}" for size, rows in self.sizes.items()]
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that its JVM and workers end with it
        ) as process:
            lines: queue.Queue[str] = queue.Queue()
            reader = threading.Thread(target=_pump, args=(process, lines), daemon=True)
            reader.start()
            wait = START_S + self.timeout_s
            try:
                while line := lines.get(timeout=wait):
                    yield json.loads(line)
                    wait = self.timeout_s
            except queue.Empty:
                yield None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                reader.join()
        if process.returncode not in (0, -signal.SIGKILL):
            raise SystemExit(f"arm {self.name} failed with exit code {process.returncode}")


def _pump(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put("")


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        name: round(statistics.median(one[name] for one in runs), 3) for name in ("wall_s", "cpu_s")
    }
    every = [round(one["wall_s"], 3) for one in runs]
    return {**made, "runs_wall_s": every, "answer": runs[0]["answer"]}


def measured(sizes: dict[str, int], arms: Sequence[str], timeout_s: float) -> dict[str, Any]:
    """All arms, one after the other, as one document."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bench-join-"))
    try:
        for rows in sizes.values():
            for skewed in (False, True):
                report.say(f"making {rows:,} feature rows{', skewed' if skewed else ''}")
                make(Case(folder, rows, skewed))
        found = {arm: Arm(arm, folder, sizes, timeout_s).measured() for arm in arms}
    finally:
        shutil.rmtree(folder)
    made = {
        "arms": found,
        "made": {
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
            "cores": CORES,
            "machine": platform.machine(),
            "spark": metadata.version("pyspark"),
            "duckdb": metadata.version("duckdb"),
            "timeout_s": timeout_s,
            "per_key": PER_KEY,
            "per_label": PER_LABEL,
            "skew": SKEW,
            "minutes": round((time.monotonic() - began) / 60, 1),
        },
    }
    return {**made, "targets": report.targets(made)}


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.join", description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the page from the last results")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds of one run")
    parser.add_argument("--out", default=str(RESULTS))
    options = parser.parse_args()
    if options.docs:
        PAGE.write_text(report.page(json.loads(RESULTS.read_text())))
        return
    sizes = {one: SIZES[one] for one in SIZES if one in options.sizes}
    made = measured(sizes, options.arms, options.timeout)
    if wrong := report.disagreements(made):
        raise SystemExit("\n".join(["arms do not agree; nothing is written", *wrong]))
    Path(options.out).write_text(json.dumps(made, indent=1) + "\n")
    print("\n".join([*report.table(made), "", *verdict(made)]))
    print(f"\nwritten: {options.out}")


if __name__ == "__main__":
    main()
