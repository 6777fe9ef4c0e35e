"""How Spark is told what was shipped: the same for EMR Serverless and EMR, but for the driver.

The libraries are an archive that Spark unpacks into the working folder of the driver and of each
executor (``spark.archives``; "Python package management" in Spark's guide), from where they come
first on Python's import path. In YARN's and in EMR Serverless's cluster mode the driver is such a
process too. Delta's jars are the release's own (EMR guides on Delta Lake); Kafka's source is none
of it, and comes from Maven (EMR Serverless guide, streaming connectors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.deploy.runtime import Runtime
from penstock.session import KAFKA

LIBRARIES = "libraries"  # the folder that the archive is unpacked into
_DELTA = "/usr/share/aws/delta/lib"
_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
STREAM = "stream"  # the command that runs until it is stopped
#: Line of Spark → its version in EMR's releases (release guides), which Kafka's source has as well.
_EMR = {"3.5": "3.5.6", "4.0": "4.0.2"}
#: Delta for sessions that the target starts before the script does.
DELTA = {
    "spark.sql.extensions": _EXTENSION,
    "spark.sql.catalog.spark_catalog": _CATALOG,
}


def settings(
    runtime: Runtime, driver: str, libraries: str | None, own: Mapping[str, str], *, kafka: bool
) -> dict[str, str]:
    """Spark's settings on EMR.

    Args:
        runtime: What the target runs.
        driver: Prefix of the driver's variables: ``spark.yarn.appMasterEnv.`` and the like.
        libraries: Where the archive of libraries is; None where the image has them, and a Python
            of its own.
        own: Of the project; they win.
        kafka: Whether it reads topics.
    """
    found = {"spark.jars": f"{_DELTA}/delta-spark.jar,{_DELTA}/delta-storage.jar", **DELTA}
    if kafka:
        found["spark.jars.packages"] = f"{KAFKA[runtime.spark]}:{_EMR[runtime.spark]}"
    if libraries is not None:
        found["spark.archives"] = f"{libraries}#{LIBRARIES}"
        for place in (driver, "spark.executorEnv."):
            found[f"{place}PYSPARK_PYTHON"] = runtime.interpreter
            found[f"{place}PYTHONPATH"] = f"./{LIBRARIES}"
        found[f"{driver}PYSPARK_DRIVER_PYTHON"] = runtime.interpreter
    return {**found, **own}


def endless(command: str, arguments: Sequence[str]) -> bool:
    """Whether a command runs until it is stopped."""
    return command == STREAM and "--available-now" not in arguments


def words(found: Mapping[str, str]) -> list[str]:
    """Settings as words of a command: ``--conf KEY=VALUE``."""
    return [word for key in found for word in ("--conf", f"{key}={found[key]}")]
