"""The Spark session of tests: as penstock itself starts it, small and on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.config import Spark
from penstock.session import spark_session
from tests.jvm import SHORT_LIVED, packages

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def local_session() -> SparkSession:
    """A session with Delta on two cores, in UTC; the active one where there is one."""
    settings = {
        "spark.driver.extraJavaOptions": SHORT_LIVED,
        "spark.driver.memory": "2g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    spark = Spark(master="local[2]", settings={**settings, **packages()})
    session = spark_session(spark, "penstock tests", kafka=True)
    session.sparkContext.setLogLevel("ERROR")
    return session
