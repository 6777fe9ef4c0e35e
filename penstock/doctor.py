"""``penstock doctor``: what this machine and this configuration lack, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock import aws
from penstock.bucket import storage_of
from penstock.config import Settings
from penstock.errors import PenstockError
from penstock.storage import absolute, is_s3, local_path

MIN_JAVA = 17  # Spark 4's documentation; Spark 3.5 takes it as well


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what, whether it is fit, what was found, what to do."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything a run needs. Writes nothing but a file it removes again."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _java,
        _spark,
        _start,
        lambda: _package("pyarrow", "pip install pyarrow"),
        lambda: _package("boto3", "pip install boto3"),
        lambda: _package("great_expectations", "pip install 'penstock[quality]'"),
        lambda: _package("deltalake", "pip install deltalake"),
        lambda: _place("lake", settings.lake, settings),
        lambda: _place("state", settings.state, settings),
        lambda: _aws(settings),
    ]
    return [check() for check in checks]


def _python() -> Finding:
    found = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info >= (3, 10)
    return Finding("Python", ok, found, "" if ok else "Install Python 3.10 or newer")


def _java() -> Finding:
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


def _spark() -> Finding:
    if importlib.util.find_spec("pyspark") is None:
        return Finding("Spark", ok=False, found="none", remedy="pip install 'penstock[local]'")
    import pyspark

    from penstock.session import DELTA, spark_line

    ok = spark_line() in DELTA
    found = f"{pyspark.__version__}, Delta {DELTA.get(spark_line(), 'unknown')}"
    return Finding("Spark", ok, found, "" if ok else f"Install one of {', '.join(DELTA)}")


def _start() -> Finding:
    """Not fast is no fault."""
    if importlib.util.find_spec("pyspark") is None:
        return Finding("Spark's start", ok=True, found="no Spark")
    from penstock import classes

    file = classes.there()
    found = "slow: Java loads every class anew" if file is None else f"fast, by {file}"
    remedy = "" if file else "'penstock doctor --warm' halves it (a minute, once)"
    return Finding("Spark's start", ok=True, found=found, remedy=remedy)


def _package(name: str, remedy: str) -> Finding:
    try:
        return Finding(name, ok=True, found=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, ok=False, found="none", remedy=remedy)


def _place(what: str, uri: str, settings: Settings) -> Finding:
    """A folder, or a place on S3, which is written to and cleared again."""
    try:
        if not is_s3(uri):
            return _folder(what, Path(local_path(uri)))
        path = f"{absolute(uri)}/.penstock-doctor-{uuid.uuid4().hex}"
        storage = storage_of(uri, settings)
        storage.write(path, b"")
        storage.delete(path)
    except PenstockError as error:
        return Finding(what, ok=False, found=f"{uri}: {error.message}", remedy=error.remedy)
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
    return Finding(what, ok=True, found=f"{path}, {free} GiB free")


def _aws(settings: Settings) -> Finding:
    try:
        with aws.connected(settings) as endpoint:
            who = aws.client(endpoint, "sts").get_caller_identity()["Arn"]
            place = "embedded" if settings.aws.embedded else (endpoint.url or endpoint.region)
            return Finding("AWS", ok=True, found=f"{place}, as {who}")
    except PenstockError as error:
        return Finding("AWS", ok=False, found=error.message, remedy=error.remedy)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with AWS is what was asked for
        ours = aws.explained(error)
        remedy = ours.remedy if ours else "Check aws in conf"
        return Finding("AWS", ok=False, found=str(ours or error)[:200], remedy=remedy)
