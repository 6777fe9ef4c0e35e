"""What this machine has: Python, Java, packages, and places that can be written."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path

from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.contract import FeatureGroup
from penstock.doctor.finding import Finding
from penstock.errors import PenstockError
from penstock.quality import needed
from penstock.storage import absolute, is_s3, local_path

MIN_JAVA = 17  # Spark 4's documentation; Spark 3.5 takes it as well
MIN_FREE = 2  # GiB; what the flights project writes is a third of a GiB


def python() -> Finding:
    """The interpreter."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 10)
    return Finding("Python", ok, found, "" if ok else "Install Python 3.10 or newer")


def java() -> Finding:
    """The Java that Spark will start, by what it says itself."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    remedy = f"Install Java {MIN_JAVA} and set JAVA_HOME"
    if program is None or not Path(program).exists():
        return Finding("Java", ok=False, found="none", remedy=remedy)
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    except OSError as error:
        return Finding("Java", ok=False, found=f"{program}: {error.strerror}", remedy=remedy)
    version = re.search(r'version "(\d+)', said.stderr)
    major = int(version[1]) if version else 0
    ok = major >= MIN_JAVA
    return Finding("Java", ok, f"{major} ({program})", "" if ok else remedy)


def package(name: str, remedy: str) -> Finding:
    """A distribution that must be installed."""
    try:
        return Finding(name, ok=True, found=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, ok=False, found="none", remedy=remedy)


def great_expectations(groups: Iterable[FeatureGroup]) -> Finding:
    """An extra: only what some groups expect of their whole set needs it."""
    found = package("great_expectations", "pip install 'penstock[quality]'")
    if found.ok or needed(groups):
        return found
    return Finding(found.what, ok=True, found="none; no group has expectations that need it")


def place(what: str, uri: str, settings: Settings) -> Finding:
    """A folder, or a place on S3, which is written to and cleared again."""
    try:
        if not is_s3(uri):
            return _folder(what, Path(local_path(uri)))
        path = f"{absolute(uri)}/.penstock-doctor-{uuid.uuid4().hex}"
        storage = storage_of(uri, settings)
        storage.write(path, b"")
        storage.delete(path)
    except PenstockError as error:
        code = 77 if error.exit_code == 77 else 2  # noqa: PLR2004 - an exit code
        return Finding(what, False, f"{uri}: {error.message}", error.remedy, code)  # noqa: FBT003 - as the others
    return Finding(what, ok=True, found=f"{uri}, can be written")


def _folder(what: str, path: Path) -> Finding:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path):
            pass
    except OSError as error:
        remedy = f"Make it writable, or set {what} in conf"
        return Finding(what, ok=False, found=f"{path}: {error.strerror}", remedy=remedy)
    free = shutil.disk_usage(path).free // 2**30
    remedy = "" if free >= MIN_FREE else f"Make room, or set {what} in conf"
    return Finding(what, free >= MIN_FREE, f"{path}, {free} GiB free", remedy)
