"""What the project promises of itself: its own checks, on both Spark lines, in the time it says."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 15 * 60


def _make(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.monotonic()
    environment = {key: value for key, value in os.environ.items() if key != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done, time.monotonic() - began


@pytest.mark.shows("3.2")
def test_ci_calls_the_commands_the_readme_names() -> None:
    """One test command, the same for people and machines."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make lint", "make test"} <= set(ci)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "    make run " in readme
    assert "    make test " in readme


@pytest.mark.prove
@pytest.mark.shows("3.2")
def test_lint_is_clean() -> None:
    """Ruff, mypy strict on engine, project and tests, and the layers."""
    done, _ = _make("lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 4 kept, 0 broken." in done.stdout


@pytest.mark.prove
@pytest.mark.shows("3.2")
def test_all_tests_pass_in_fifteen_minutes() -> None:
    """On the Spark line it is developed on."""
    done, seconds = _make("test")
    assert done.returncode == 0, done.stdout[-3_000:]
    assert seconds <= LIMIT_S


@pytest.mark.prove
@pytest.mark.shows("3.6")
def test_all_tests_pass_on_spark_3_5() -> None:
    """The same tests on the line of Glue 5.1 and EMR 7."""
    done, _ = _make("test", "SPARK=3.5")
    assert done.returncode == 0, done.stdout[-3_000:]
