"""The Spark session: the submitter's where there is one, else ours, with Delta for its line.

Results depend on no session setting (time zone, ANSI mode): nothing here sets them.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from penstock import classes, jars
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

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Spark line → Delta's Maven artifact (release notes of Delta; Glue and EMR ship their own).
DELTA = {
    "3.5": "io.delta:delta-spark_2.12:3.3.2",
    "4.0": "io.delta:delta-spark_2.13:4.0.0",
    "4.1": "io.delta:delta-spark_4.1_2.13:4.2.0",
}
#: Spark line → S3A of the Hadoop it comes with (the poms of spark-parent).
S3A = {
    "3.5": "org.apache.hadoop:hadoop-aws:3.3.4",
    "4.0": "org.apache.hadoop:hadoop-aws:3.4.1",
    "4.1": "org.apache.hadoop:hadoop-aws:3.4.2",
}
#: Spark line → its source of Kafka's topics, without its version: that is Spark's own.
KAFKA = {
    "3.5": "org.apache.spark:spark-sql-kafka-0-10_2.12",
    "4.0": "org.apache.spark:spark-sql-kafka-0-10_2.13",
    "4.1": "org.apache.spark:spark-sql-kafka-0-10_2.13",
}
#: Spark line → where S3A finds credentials: all of AWS's usual places, as boto3.
_CREDENTIALS = {
    "3.5": "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
    "4.0": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
    "4.1": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
}
_PROVIDER = "spark.hadoop.fs.s3a.aws.credentials.provider"
_PACKAGES = "spark.jars.packages"
_JAVA = "spark.driver.extraJavaOptions"
_OURS = "spark.driver.defaultJavaOptions"  # come before those, wherever they are set
_DAEMON = "spark.python.daemon.module"
_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_NO_MODULE = re.compile(r"No module named '(penstock|schemas|transforms)\b")
_RAISED = re.compile(r"penstock\.errors\.(\w+): (.*)")
_KINDS: dict[str, type[PenstockError]] = {
    kind.__name__: kind
    for kind in (
        ConfigError,
        ContractError,
        CredentialsError,
        DataGateError,
        MismatchError,
        PenstockError,
        TemporaryError,
        UsageError,
    )
}


def spark_line() -> str:
    """The installed Spark line, such as ``4.1``."""
    import pyspark

    return ".".join(pyspark.__version__.split(".")[:2])


def spark_session(
    settings: Spark,
    name: str,
    s3: Mapping[str, str] = MappingProxyType({}),
    *,
    kafka: bool = False,
) -> SparkSession:
    """The active session, or a new one.

    Under spark-submit, on EMR and on Glue the submitter decides where it runs, brings Delta's jar
    and wins over every setting here; in a plain Python process the master and the jars come from
    here.

    Args:
        settings: Of ``conf``.
        name: Of the application.
        s3: Settings by which a new session reads ``s3://``; empty where none is read.
        kafka: Whether a new session is to read Kafka's topics.

    Raises:
        UsageError: The session that is there has no Delta, or this Spark line is not supported.
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is None:
        active = _builder(settings, name, s3, kafka=kafka).getOrCreate()
        _remember(active, settings)
    if _EXTENSION not in (active.conf.get("spark.sql.extensions", "") or ""):
        message = "this Spark session was started without Delta"
        remedy = f"Start it with --conf spark.sql.extensions={_EXTENSION} and Delta's jar"
        raise UsageError(message, remedy)
    if not _has_class(active, _CATALOG):
        message = "Delta's jar is not on the class path of this Spark session"
        raise UsageError(message, f"Submit with --packages {DELTA.get(spark_line(), 'io.delta:…')}")
    return active


def merged(settings: Mapping[str, str], submitted: Mapping[str, str]) -> dict[str, str]:
    """What to ask of a session under spark-submit: ours where the submitter says nothing.

    Delta's extension joins extensions that were named; a catalogue that was chosen stays.
    """
    ours = {"spark.sql.catalog.spark_catalog": _CATALOG, **settings}
    found = {key: value for key, value in ours.items() if key not in submitted}
    named = submitted.get("spark.sql.extensions", settings.get("spark.sql.extensions", ""))
    extensions = [one.strip() for one in named.split(",") if one.strip()]
    if _EXTENSION not in extensions:
        extensions.append(_EXTENSION)
    return {**found, "spark.sql.extensions": ",".join(extensions)}


def check_kafka(session: SparkSession) -> None:
    """Return where the session can read Kafka's topics.

    Raises:
        UsageError: It cannot.
    """
    if not _has_class(session, "org.apache.spark.sql.kafka010.KafkaSourceProvider"):
        message = "this Spark session has no source for Kafka"
        remedy = f"Submit with --packages {_kafka()}; penstock submit takes it from conf,"
        raise UsageError(message, f"{remedy} deploy.TARGET.settings: spark.jars.packages")


def _kafka() -> str:
    import pyspark

    return f"{KAFKA[spark_line()]}:{pyspark.__version__}"


def _builder(
    settings: Spark, name: str, s3: Mapping[str, str], *, kafka: bool
) -> SparkSession.Builder:
    import pyspark
    from pyspark.sql import SparkSession

    line = spark_line()
    if line not in DELTA:
        message = f"pyspark {pyspark.__version__} is not supported"
        raise UsageError(message, f"Install one of {', '.join(DELTA)}")
    builder = SparkSession.builder.appName(name)
    given = _submitted() if _is_submitted() else {}
    for key, value in merged(settings.settings, given).items():
        builder = builder.config(key, value)
    if _is_submitted():
        return builder
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if settings.master is not None:
        builder = builder.master(settings.master)
    if (settings.master or "").startswith("local[") and _DAEMON not in settings.settings:
        builder = builder.config(_DAEMON, "penstock.daemon")
    java = classes.options(settings.settings.get(_JAVA, ""))
    if java is not None and _OURS not in settings.settings:
        builder = builder.config(_OURS, java)
    wanted = artifacts(settings.settings.get(_PACKAGES, ""), s3=bool(s3), kafka=kafka)
    if s3:
        for key, value in {_PROVIDER: _CREDENTIALS[line], **s3, **settings.settings}.items():
            builder = builder.config(key, value)
    there = jars.known(wanted) if _by_name(settings) else None
    if there is not None:
        # Empty, or Spark would resolve what conf names and copy all of it.
        return builder.config("spark.jars", there).config(_PACKAGES, "")
    return builder.config(_PACKAGES, wanted)


def artifacts(own: str, *, s3: bool, kafka: bool) -> str:
    """What a session of ours has, as ``spark.jars.packages`` takes it.

    Args:
        own: What conf names there: it comes first, and what we need too has the version it says.
        s3: Whether S3A is needed.
        kafka: Whether the source for Kafka's topics is.
    """
    line = spark_line()
    named = [one.strip() for one in own.split(",") if one.strip()]
    there = {one.rpartition(":")[0] for one in named}
    needed = [DELTA[line], *([S3A[line]] if s3 else []), *([_kafka()] if kafka else [])]
    return ",".join([*named, *(one for one in needed if one.rpartition(":")[0] not in there)])


def _by_name(settings: Spark) -> bool:
    """Whether names of artifacts are all that is said of jars: they mean the same files again."""
    return {one for one in settings.settings if one.startswith("spark.jars")} <= {_PACKAGES}


def _remember(session: SparkSession, settings: Spark) -> None:
    """What Spark resolved, where a session of ours asked for it by name."""
    made = session.sparkContext.getConf()
    asked = made.get(_PACKAGES)
    if asked and _by_name(settings) and not _is_submitted():
        jars.remember(asked, made.get("spark.jars") or "")


def _is_submitted() -> bool:
    """Whether spark-submit has started the JVM."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _submitted() -> dict[str, str]:
    """Everything the submitter set, which the JVM holds."""
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()  # noqa: SLF001 - no public way to the JVM before a context
    return dict(SparkConf().getAll())


def _has_class(session: SparkSession, name: str) -> bool:
    from py4j.protocol import Py4JJavaError

    jvm = session.sparkContext._jvm  # noqa: SLF001 - pyspark has no public question for a class
    assert jvm is not None
    try:
        jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)
    except Py4JJavaError:
        return False
    return True


def quiet(session: SparkSession) -> None:
    """Leave the terminal, and the log, to our own lines.

    Spark's would quote rows: a task that fails is logged with the text of its error. What there is
    to know without it is raised.
    """
    session.sparkContext.setLogLevel("OFF")
    logging.getLogger("py4j").setLevel(logging.ERROR)
    # Spark 4 writes an error of an expression to standard error before it raises it.
    for kind in ("DataFrame", "SQL"):
        logging.getLogger(f"{kind}QueryContextLogger").setLevel(logging.CRITICAL)


def raised(error: Exception) -> PenstockError | None:
    """The error of ours that a task raised and Spark wrapped as text, or None."""
    absent = _NO_MODULE.search(str(error))
    if absent:
        message = f"the executors cannot import {absent[1]!r}"
        remedy = "Send penstock.zip and project.zip with --py-files; a .whl does not import there"
        return UsageError(message, remedy)
    for kind, text in _RAISED.findall(str(error)):
        if kind in _KINDS:
            message, _, remedy = text.rpartition(". ")
            return _KINDS[kind](message or remedy, remedy if message else "")
    return None
