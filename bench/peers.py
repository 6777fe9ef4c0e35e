"""The Spark 3.5 environment of the side-by-side runs: AWS's connector, boto3, and penstock itself.

    python bench/peers.py [--need go,java]

Prints the path of the environment's Python, which it makes when it is not there yet (about two
minutes: the connector alone is 360 MB). Everything is pinned in ``constraints/peers.txt`` and
installed as it stands there; penstock is this checkout, by a path file. It needs nothing but the
standard library and may be called by several processes at once.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-peers"
PINS = ROOT / "constraints" / "peers.txt"
JAVA = range(8, 18)  # Spark 3.5 runs on Java 8, 11 and 17
PYTHON = (3, 11)  # what the pinned versions need


class MissingError(Exception):
    """A tool is not there; the text is one line that says what to install."""


def python() -> str:
    """Path of the environment's Python; the environment is made where it is absent or stale.

    Raises:
        MissingError: This Python is too old, or pip could not install what is pinned.
    """
    if sys.version_info < PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        raise MissingError(f"Python {found} is too old: install Python 3.11 or later")
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    with _alone():
        ready = FOLDER / ".ready"
        if not ready.is_file() or ready.read_text() != wanted:
            _make()
            ready.write_text(wanted)
    return str(FOLDER / "bin" / "python")


def missing(tools: list[str]) -> list[str]:
    """One line for each of ``go`` and ``java`` that is asked for and not to be used."""
    checks: dict[str, Callable[[], str | None]] = {"go": _go, "java": _java}
    unknown = [name for name in tools if name not in checks]
    if unknown:
        return [f"unknown tool {unknown[0]!r}: go and java can be asked for"]
    return [line for name in tools if (line := checks[name]()) is not None]


def connector_jar() -> Path:
    """The connector's jar for Spark 3.5 in the environment."""
    pattern = "lib/python*/site-packages/feature_store_pyspark/jars/*-3.5.jar"
    return next(FOLDER.glob(pattern))


def _go() -> str | None:
    if shutil.which("go"):
        return None
    return "Go is missing: install Go 1.22 or later (Debian: golang-go)"


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    remedy = "install a Java 17 runtime (Debian: openjdk-17-jre-headless)"
    if found is None:
        return f"Java is missing: {remedy}"
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    number = re.search(r'version "(?:1\.)?(\d+)', said)
    if number is None or int(number[1]) not in JAVA:
        version = number[1] if number else "of unknown version"
        return f"Java {version} does not run Spark 3.5: {remedy} and set JAVA_HOME to it"
    return None


@contextmanager
def _alone() -> Iterator[None]:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make() -> None:
    print(f"making {FOLDER.name} (Spark 3.5, AWS's connector, boto3)", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(FOLDER)])
    pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps"]
    _run([*pip, "--disable-pip-version-check", "-r", str(PINS)])
    site = next(FOLDER.glob("lib/python*/site-packages"))
    (site / "penstock-checkout.pth").write_text(f"{ROOT}\n")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        what = " ".join(command[1:4])
        raise MissingError(
            f"the Spark 3.5 environment could not be made: '{what}' failed, see above"
        )


def main() -> int:
    """Print the path, or what is missing."""
    parser = argparse.ArgumentParser(description="The environment of the side-by-side runs.")
    parser.add_argument("--need", default="", help="tools that must be there too: go,java")
    asked = parser.parse_args().need
    lines = missing([name for name in asked.split(",") if name])
    try:
        found = "" if lines else python()
    except MissingError as error:
        lines = [str(error)]
    if lines:
        print("\n".join(lines), file=sys.stderr)
        return 2
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
