"""``make matrix``: flights and the service tests on every supported line, and a table of it.

    python -m bench.matrix                     # all legs; writes docs/matrix.md
    python -m bench.matrix --legs 4.0,oldest   # some; the other rows of the table stay
    python -m bench.matrix --legs 4.0 --setup  # only make their environments

It needs pip's registry, git and Java 17; a leg takes about ten minutes on two cores. What went
wrong in a leg is in ``bench/results/matrix-LEG.log``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.legs import (
    FLIGHTS,
    LEGS,
    OLD_TESTING,
    OLD_TOOLS,
    ROOT,
    TESTING,
    Leg,
    interpreter,
    outcome,
)
from bench.matrix_page import page

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "matrix.md"
PATIENCE_S = 3_600
PACKAGES = ("pyspark", "delta-spark", "pyarrow", "boto3", "deltalake", "great-expectations")
#: What the tests read of the checkout beside the engine.
_BESIDE = ("tests", "schemas", "transforms", "jobs", "conf", "docs", "bench", "constraints")
_FILES = ("pyproject.toml", "Makefile", "README.md", "CHANGELOG.md")


class BrokenError(Exception):
    """A step of a leg failed; the text is one line."""


@dataclass
class Run:
    """A leg on its way: where it works, what it is told, what it said."""

    leg: Leg
    folder: Path
    log: Path
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """Of its environment."""
        return self.leg.folder / "bin" / "python"

    def call(self, words: Sequence[str | Path], cwd: Path, **env: str) -> str:
        """Run a command to its end; both outputs go to the log.

        Raises:
            BrokenError: It ended with another code than 0, or not at all.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYSPARK_", "SPARK_", "PYTHONPATH", "AWS_", "VIRTUAL_ENV"))
        }
        try:
            said = subprocess.run(
                [str(one) for one in words],
                cwd=cwd,
                env={**kept, **env},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BrokenError(f"{words[0]}: not done after {PATIENCE_S} s") from None
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(map(str, words))}\n{said.stdout}{said.stderr}\n")
        self.found["output"] = said.stdout
        if said.returncode:
            raise BrokenError(f"exit code {said.returncode}: see {self.log.relative_to(ROOT)}")
        return said.stdout


def run_leg(leg: Leg, *, setup_only: bool = False) -> dict[str, Any]:
    """One leg; its outcome as a row of the table. Never raises for what went wrong in it."""
    program = interpreter(leg.python)
    row: dict[str, Any] = {"leg": leg.name, "spark": leg.spark, "python": leg.python}
    if program is None:
        return {**row, "state": "not run", "why": f"no Python {leg.python} on this machine"}
    RESULTS.mkdir(exist_ok=True)
    log = RESULTS / f"matrix-{leg.name}.log"
    log.unlink(missing_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"penstock-{leg.name}-") as folder:
        run = Run(leg, Path(folder), log)
        try:
            _set_up(run, program)
            row["versions"] = _versions(run)
            if not setup_only:
                row["flights"] = _flights(run)
                row["tests"] = _tests(run)
            row["state"] = "set up" if setup_only else "passed"
        except BrokenError as error:
            row |= {"state": "failed", "why": str(error)}
            row.setdefault("tests", outcome(run.found.get("output", "")))
    return {**row, "seconds": round(time.monotonic() - began)}


def _set_up(run: Run, program: str) -> None:
    """The environment, as it stands in the constraints; one that is ready is used as it is."""
    leg, pins = run.leg, ROOT / "constraints" / run.leg.pins
    ready = leg.folder / ".ready"
    fresh = ready.exists() and ready.stat().st_mtime >= max(
        one.stat().st_mtime for one in (pins, ROOT / "pyproject.toml")
    )
    if not fresh:
        run.call([program, "-m", "venv", "--clear", leg.folder], ROOT)
        extras = f".[{OLD_TESTING if leg.old else TESTING}]"
        what = [extras] if leg.wheel else ["-e", extras]
        if leg.old:
            what += OLD_TOOLS
        run.call([*_pip(run), "-c", pins, *what], ROOT)
        ready.touch()
    if leg.wheel:
        dist = run.folder / "dist"
        run.call(["make", "dist", "SPARK=4.1", f"DIST={dist}"], ROOT)
        wheel = next(dist.glob("penstock-*.whl"))
        run.call([*_pip(run), "--no-deps", "--force-reinstall", wheel], run.folder)


def _pip(run: Run) -> list[str | Path]:
    return [run.python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]


def _versions(run: Run) -> dict[str, str]:
    """What is installed, and where penstock comes from."""
    code = (
        "import importlib.metadata as m, json, platform, penstock;"
        f"found = {{one: m.version(one) for one in {PACKAGES!r}}};"
        "found |= {'python': platform.python_version(), 'penstock': penstock.__file__};"
        "print(json.dumps(found))"
    )
    found: dict[str, str] = json.loads(run.call([run.python, "-c", code], run.folder))
    inside = found.pop("penstock").startswith(str(ROOT / "penstock"))
    if inside is run.leg.wheel:
        raise BrokenError("penstock comes from the wrong place")
    return found


def _flights(run: Run) -> dict[str, int]:
    """Provision and ingest the flights project: of the checkout, or made from the wheel.

    Raises:
        BrokenError: A command failed, or a group has another number of rows.
    """
    penstock, cwd = run.leg.folder / "bin" / "penstock", ROOT
    if run.leg.wheel:
        run.call([penstock, "init", "made"], run.folder)
        cwd = run.folder / "made"
    where = [f"--set={name}={run.folder / name}" for name in ("lake", "state")]
    run.call([penstock, "provision", *where], cwd)
    made = json.loads(run.call([penstock, "ingest", "--json", *where], cwd))
    found = {one["group"]: one["valid"] for one in made if one["offline"] == one["valid"]}
    if found != dict(FLIGHTS):
        raise BrokenError(f"the flights have other rows: {found}")
    return found


def _tests(run: Run) -> dict[str, int]:
    """The service tests; beside a wheel from copies, so that no engine but its own is there."""
    place = ROOT
    if run.leg.wheel:
        place = run.folder / "beside"
        place.mkdir()
        for name in _BESIDE:
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _FILES:
            shutil.copy(ROOT / name, place / name)
    words: list[str | Path] = [run.python, "-m", "pytest", "-q", "-m", "not prove"]
    words.append("tests/service")
    # Old packages warn of a Python that is newer than they are, and the embedded AWS, which knows
    # what boto3's model knows, lacks with an old one much of what its tests are about.
    if run.leg.old:
        words += ["-W", "default", "--ignore-glob=*/test_emulator_*"]
    return outcome(run.call(words, place))


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 where every leg that ran passed; 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = ",".join(one.name for one in LEGS)
    parser.add_argument("--legs", help=f"only these of {names}; other rows of the table stay")
    parser.add_argument("--setup", action="store_true", help="only make the environments")
    asked = parser.parse_args(arguments)
    wanted = [one for one in LEGS if asked.legs is None or one.name in asked.legs.split(",")]
    if not wanted:
        parser.error(f"there are: {names}")
    rows: list[dict[str, Any]] = []
    for leg in wanted:
        print(f"{leg.name} …", flush=True)
        row = run_leg(leg, setup_only=asked.setup)
        print(f"{leg.name}: {row['state']} {row.get('why', '')} {row.get('tests', '')}", flush=True)
        rows.append({**row, "date": f"{datetime.now(timezone.utc):%Y-%m-%d}"})
    if not asked.setup:
        _write(rows)
    return 1 if any(one["state"] == "failed" for one in rows) else 0


def _write(rows: Sequence[Mapping[str, Any]]) -> None:
    """The table; rows of legs that were not run now stay as they were."""
    file = RESULTS / "matrix.json"
    before = json.loads(file.read_text(encoding="utf-8"))["legs"] if file.exists() else []
    found = {one["leg"]: one for one in (*before, *rows)}
    made = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "legs": [found[one.name] for one in LEGS if one.name in found],
    }
    text = json.dumps(made, indent=2, sort_keys=True)
    file.write_text(f"{text}\n", encoding="utf-8")
    PAGE.write_text(page(made), encoding="utf-8")
    print(f"The table is in {PAGE.relative_to(ROOT)}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
