"""The legs of ``make matrix``: what is installed where, and what runs in it.

A leg is a virtual environment of its own and two things done in it: the flights pipeline, from raw
files to four feature groups in an embedded AWS, and the tests of the service (``tests/service``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Valid rows of each feature group: docs/flights.md has where they come from.
FLIGHTS: Mapping[str, int] = {
    "aircraft_history": 250_723,
    "airport_weather": 26_115,
    "flight_status": 336_776,
    "route_traffic": 276_278,
}
TESTING = "local,quality,stream,dev"
#: Tools that lint need newer packages than the oldest that penstock runs with.
OLD_TESTING = "local,quality,stream,iceberg"
OLD_TOOLS = ("pytest", "hypothesis", "pandas", "moto", "flask", "flask-cors", "duckdb", "build")


@dataclass(frozen=True)
class Leg:
    """One environment.

    Args:
        name: As it is asked for.
        spark: The Spark line.
        python: Version of Python.
        pins: File of constraints.
        old: Whether the packages are the oldest that are supported.
        wheel: Whether penstock is the built wheel, with nothing of the checkout on the path.
    """

    name: str
    spark: str
    python: str
    pins: str
    wheel: bool = False
    old: bool = False

    @property
    def folder(self) -> Path:
        """Its virtual environment; of the plain ones that of ``make setup``."""
        plain = self.name == self.spark
        return ROOT / (f".venv-{self.spark}" if plain else f".venv-matrix-{self.name}")


LEGS = (
    Leg("3.5", "3.5", "3.11", "spark-3.5.txt"),
    Leg("4.0", "4.0", "3.11", "spark-4.0.txt"),
    Leg("4.1", "4.1", "3.11", "spark-4.1.txt"),
    Leg("4.0-py3.13", "4.0", "3.13", "spark-4.0.txt"),
    Leg("4.1-py3.13", "4.1", "3.13", "spark-4.1.txt"),
    Leg("wheel", "4.1", "3.11", "spark-4.1.txt", wheel=True),
    Leg("oldest", "3.5", "3.11", "oldest.txt", old=True),
)


def interpreter(version: str) -> str | None:
    """A Python of that version that starts; None where the machine has none.

    Those that pyenv has installed are found whether or not it is told to use them.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    managed = sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
    named = (shutil.which(f"python{version}"), shutil.which("python3"))
    for program in (*named, *map(str, managed)):
        if program is None:
            continue
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        said = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
        if said.returncode == 0 and said.stdout.strip() == version:
            return program
    return None


def outcome(output: str) -> dict[str, int]:
    """Figures of pytest's last line by word: passed, failed, skipped, error."""
    lines = [one for one in output.splitlines() if re.search(r"\b\d+ (passed|failed|error)", one)]
    if not lines:
        return {}
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])
    return {word: int(count) for count, word in found}
