"""How Spark starts on this machine: with Java's archive of its classes, and its own jars alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from penstock import classes, jars
from penstock.errors import UsageError
from penstock.session import check_kafka


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="it looks into /proc")
def test_java_takes_the_archive(spark: SparkSession) -> None:
    """``make setup`` has made it, and it fits the class path of a session."""
    there = classes.there()
    if there is None:
        pytest.skip("there is no archive: 'penstock doctor --warm' says why")
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    maps = Path(f"/proc/{gateway.proc.pid}/maps").read_text(encoding="utf-8")
    assert str(there) in maps


def test_jars_that_spark_has_are_not_copied(spark: SparkSession) -> None:
    """Delta's are there, Hadoop's and Parquet's, which it also names, come with Spark.

    A session that had to ask for them, the first on a machine, keeps the list for the next.
    """
    conf = spark.sparkContext.getConf()
    asked = conf.get("spark.jars.packages")
    named = jars.known(asked) if asked else conf.get("spark.jars")
    names = [one.rsplit("/", 1)[1] for one in (named or "").split(",")]
    assert any("delta-spark" in one for one in names)
    assert not [one for one in names if "hadoop" in one or "parquet" in one]


def test_workers_have_loaded_before_they_are_asked(spark: SparkSession) -> None:
    """Their daemon is ours, and takes the pyspark that is installed."""

    def told(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            archives = [one for one in sys.path if one.endswith("pyspark.zip")]
            values = [["penstock.gate" in sys.modules], [len(archives)]]
            yield pa.RecordBatch.from_arrays(
                [pa.array(values[0]), pa.array(values[1])], names=["loaded", "archives"]
            )

    rows = spark.range(0, 1, 1, 1).mapInArrow(told, "loaded boolean, archives bigint").collect()
    assert [tuple(one) for one in rows] == [(True, 0)]


def test_what_brings_kafkas_source_is_said(spark: SparkSession) -> None:
    """To who calls spark-submit, and to who has penstock call it; here on a thread without jars."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    thread = jvm.java.lang.Thread.currentThread()
    loader = thread.getContextClassLoader()
    thread.setContextClassLoader(loader.getParent())
    try:
        with pytest.raises(UsageError, match="has no source for Kafka") as raised:
            check_kafka(spark)
    finally:
        thread.setContextClassLoader(loader)
    check_kafka(spark)
    assert "--packages org.apache.spark:spark-sql-kafka-0-10_2.1" in str(raised.value)
    assert "deploy.TARGET.settings: spark.jars.packages" in str(raised.value)
