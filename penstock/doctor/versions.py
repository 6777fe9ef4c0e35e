"""Versions that are here beside those that were tested; Spark, its jars and its start."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from penstock.config import Settings
from penstock.doctor.finding import Finding

#: Spark line → what ``make matrix`` runs it with (constraints/); a test compares them.
TESTED: Mapping[str, Mapping[str, str]] = {
    "3.5": {"pyspark": "3.5.9", "delta-spark": "3.3.2", "Python": "3.11"},
    "4.0": {"pyspark": "4.0.2", "delta-spark": "4.0.0", "Python": "3.11"},
    "4.1": {"pyspark": "4.1.1", "delta-spark": "4.2.0", "Python": "3.11"},
}
#: The same on all lines.
TESTED_WITH: Mapping[str, str] = {
    "boto3": "1.44.8",
    "pyarrow": "26.0.1",
    "deltalake": "1.6.6",
    "great-expectations": "1.24.1",
}
#: The service's model of boto3 has BatchWriteRecord from here on (service facts).
BATCH_SINCE = (1, 43, 37)


def spark() -> Finding:
    """The Spark line, and whether penstock knows Delta for it."""
    if importlib.util.find_spec("pyspark") is None:
        return Finding("Spark", ok=False, found="none", remedy="pip install 'penstock[local]'")
    import pyspark

    from penstock.session import DELTA, spark_line

    ok = spark_line() in DELTA
    found = f"{pyspark.__version__}, Delta {DELTA.get(spark_line(), 'unknown')}"
    return Finding("Spark", ok, found, "" if ok else f"Install one of {', '.join(DELTA)}")


def start() -> Finding:
    """Not fast is no fault."""
    if importlib.util.find_spec("pyspark") is None:
        return Finding("Spark's start", ok=True, found="no Spark")
    from penstock import classes

    file = classes.there()
    found = "slow: Java loads every class anew" if file is None else f"fast, by {file}"
    remedy = "" if file else "'penstock doctor --warm' halves it (a minute, once)"
    return Finding("Spark's start", ok=True, found=found, remedy=remedy)


def jars(settings: Settings) -> Finding:
    """Delta's jars: named in conf, kept from an earlier start, or not there yet."""
    if importlib.util.find_spec("pyspark") is None:
        return Finding("jars", ok=None, found="no Spark", remedy="Install Spark first")
    from penstock import jars as kept
    from penstock.session import DELTA, spark_line

    named = [one for one in settings.spark.settings.get("spark.jars", "").split(",") if one.strip()]
    if named:
        return _named(named, spark_line())
    artifact = DELTA.get(spark_line(), "")
    packages = settings.spark.settings.get("spark.jars.packages", "")
    wrong = _scala_problem(packages, spark_line())
    if wrong:
        remedy = f"spark.settings in conf: name {artifact}, or leave it to penstock"
        return Finding("jars", ok=False, found=wrong, remedy=remedy)
    there = kept.known(artifact) if artifact else None
    if there is not None:
        return Finding("jars", ok=True, found=f"{artifact}, {len(there.split(','))} files kept")
    remedy = "The first start of Spark fetches them; offline: name the files in spark.jars in conf"
    return Finding("jars", ok=None, found=f"{artifact}: not fetched yet", remedy=remedy)


def _named(named: list[str], line: str) -> Finding:
    remedy = "Correct spark.settings 'spark.jars' in conf"
    plain = [one.strip() for one in named]
    local = [one for one in plain if urlsplit(one).scheme in ("", "file")]
    gone = [one for one in local if not Path(url2pathname(urlsplit(one).path)).is_file()]
    if gone:
        return Finding("jars", ok=False, found=f"{gone[0]}: there is no such file", remedy=remedy)
    wrong = next(filter(None, (_scala_problem(one, line) for one in plain)), None)
    if wrong:
        return Finding("jars", ok=False, found=wrong, remedy=remedy)
    delta = any("delta-spark" in one for one in plain)
    found = f"{len(plain)} named in spark.jars" + ("" if delta else ", Delta's not among them")
    return Finding("jars", delta, found, "" if delta else remedy)


def _scala_problem(text: str, line: str) -> str | None:
    """Delta's jar for another Scala than Spark's, which fails deep inside Spark; None where not."""
    wanted = "2.12" if line == "3.5" else "2.13"
    for one in re.findall(r"delta-spark[\w.]*[-:][\w.]*", text):
        found = re.search(r"_(2\.1\d)[-:]", one)
        if found and found[1] != wanted:
            return f"{one} is for Scala {found[1]}, Spark {line} is built with {wanted}"
    return None


def versions() -> list[Finding]:
    """penstock, boto3 and Spark against what was tested. Untested is no fault; too old is one."""
    return [_penstock(), _boto3(), _matrix()]


def _penstock() -> Finding:
    try:
        return Finding("penstock", ok=True, found=importlib.metadata.version("penstock"))
    except importlib.metadata.PackageNotFoundError:  # the .zip of --py-files
        return Finding("penstock", ok=None, found="not installed, but on Python's path")


def _boto3() -> Finding:
    version = _version("boto3")
    if version is None:
        return Finding("boto3", ok=False, found="none", remedy="pip install boto3")
    parts = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    remedy = ""
    if parts < BATCH_SINCE:
        since = ".".join(map(str, BATCH_SINCE))
        remedy = f"From {since} on records go by BatchWriteRecord, 25 in a call; now by PutRecord"
    return Finding("boto3", parts >= (1, 34), f"{version} (tested: {TESTED_WITH['boto3']})", remedy)


def _matrix() -> Finding:
    """This combination against the matrix."""
    pyspark = _version("pyspark")
    if pyspark is None:
        return Finding("tested", ok=None, found="no Spark", remedy="Install Spark first")
    line = ".".join(pyspark.split(".")[:2])
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    tested = TESTED.get(line)
    if tested is None:
        remedy = f"Tested are {', '.join(TESTED)}: docs/matrix.md"
        return Finding("tested", ok=False, found=f"Spark {line} was not", remedy=remedy)
    other = [
        f"{name} {found} (tested: {wanted})"
        for name, wanted in {**tested, **TESTED_WITH}.items()
        if name != "Python" and (found := _version(name)) is not None and found != wanted
    ]
    if here not in tested["Python"].split(", "):
        other.append(f"Python {here} (tested: {tested['Python']})")
    found = f"Spark {line}" + (f", but not: {', '.join(other)}" if other else ", all versions")
    remedy = "Other versions in the ranges of the wheel should do; docs/matrix.md" if other else ""
    return Finding("tested", ok=None if other else True, found=found, remedy=remedy)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
