"""The Spark session: the submitter's where there is one, else ours, with Delta for its line.

Results depend on no session setting (time zone, ANSI mode): nothing here sets them.
"""

from __future__ import annotations

import logging
import os
import re
import sys

import pyspark
from pyspark.sql import SparkSession

from penstock.config import Spark
from penstock.errors import (
    ConfigError,
    ContractError,
    CredentialsError,
    DataGateError,
    MismatchError,
    PenstockError,
    TemporaryError,
    UsageError,
)

#: Spark line → Delta's Maven artifact (release notes of Delta; Glue and EMR ship their own).
DELTA = {
    "3.5": "io.delta:delta-spark_2.12:3.3.2",
    "4.0": "io.delta:delta-spark_2.13:4.0.0",
    "4.1": "io.delta:delta-spark_4.1_2.13:4.2.0",
}
_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_RAISED = re.compile(r"penstock\.errors\.(\w+): (.*)")
_KINDS: dict[str, type[PenstockError]] = {
    kind.__name__: kind
    for kind in (
        ConfigError,
        ContractError,
        CredentialsError,
        DataGateError,
        MismatchError,
        TemporaryError,
        UsageError,
    )
}


def spark_line() -> str:
    """The installed Spark line, such as ``4.1``."""
    return ".".join(pyspark.__version__.split(".")[:2])


def spark_session(settings: Spark, name: str) -> SparkSession:
    """The active session, or a new one.

    Under spark-submit, on EMR and on Glue the submitter decides where it runs and brings Delta; in
    a plain Python process the master and the jars come from here.

    Raises:
        UsageError: The session that is there has no Delta, or this Spark line is not supported.
    """
    active = SparkSession.getActiveSession()
    if active is None:
        active = _builder(settings, name).getOrCreate()
    if _EXTENSION not in (active.conf.get("spark.sql.extensions", "") or ""):
        message = "this Spark session was started without Delta"
        remedy = f"Start it with --conf spark.sql.extensions={_EXTENSION} and Delta's jar"
        raise UsageError(message, remedy)
    return active


def _builder(settings: Spark, name: str) -> SparkSession.Builder:
    line = spark_line()
    if line not in DELTA:
        message = f"pyspark {pyspark.__version__} is not supported"
        raise UsageError(message, f"Install one of {', '.join(DELTA)}")
    builder = SparkSession.builder.appName(name)
    builder = builder.config("spark.sql.extensions", _EXTENSION)
    builder = builder.config("spark.sql.catalog.spark_catalog", _CATALOG)
    for key, value in settings.settings.items():
        builder = builder.config(key, value)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return builder  # spark-submit started the JVM: master and jars are decided
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if settings.master is not None:
        builder = builder.master(settings.master)
    return builder.config("spark.jars.packages", DELTA[line])


def quiet(session: SparkSession) -> None:
    """Leave the terminal to our own lines; Spark's warnings go to its own log files."""
    session.sparkContext.setLogLevel("ERROR")
    logging.getLogger("py4j").setLevel(logging.ERROR)


def raised(error: Exception) -> PenstockError | None:
    """The error of ours that a task raised and Spark wrapped as text, or None."""
    found = _RAISED.findall(str(error))
    for kind, text in found:
        if kind in _KINDS:
            message, _, remedy = text.rpartition(". ")
            return _KINDS[kind](message or remedy, remedy if message else "")
    return None
