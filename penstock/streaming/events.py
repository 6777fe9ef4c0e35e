"""The events of a stream as Spark reads them: from Kafka, or from Kinesis, in the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from penstock.aws import Endpoint
from penstock.conf_stream import KafkaStream, KinesisStream
from penstock.conf_streams import Stream
from penstock.errors import UsageError
from penstock.session import check_kafka, spark_line
from penstock.streaming.kafka_options import options
from penstock.streaming.messages import EVENT, HEADERS

if TYPE_CHECKING:
    from pyspark.sql import Column


def check_source(spark: SparkSession, stream: Stream) -> None:
    """Return where this session can read the stream.

    Raises:
        UsageError: It cannot; says what is lacking.
    """
    if stream.kafka is not None:
        check_kafka(spark)
    elif spark_line() == "3.5":
        message = "Spark 3.5 has no Python data sources, by which penstock reads Kinesis"
        raise UsageError(message, "Use Spark 4, or read Kinesis with EMR's or Glue's connector")


def events_of(spark: SparkSession, stream: Stream, endpoint: Endpoint, *, again: bool) -> DataFrame:
    """The stream of events: :data:`penstock.streaming.messages.EVENT`, and headers where asked for.

    Args:
        spark: The session.
        stream: What ``conf`` says.
        endpoint: Where AWS is.
        again: From the earliest event there is, wherever a first start was to begin.
    """
    if stream.kafka is not None:
        return _kafka(spark, stream.kafka, again=again)
    assert stream.kinesis is not None  # one of them is there
    return _kinesis(spark, stream.kinesis, endpoint, again=again)


def _kafka(spark: SparkSession, stream: KafkaStream, *, again: bool) -> DataFrame:
    told = options(stream).all()
    if again:
        told["startingOffsets"] = "earliest"
    place = fn.concat(fn.lit("kafka:"), "topic", fn.lit("/"), "partition")
    found = spark.readStream.format("kafka").options(**told).load()
    names = [*EVENT, *([HEADERS] if stream.headers else [])]
    return found.withColumns({"file": place, "position": fn.col("offset")}).select(*names)


def _kinesis(
    spark: SparkSession, stream: KinesisStream, endpoint: Endpoint, *, again: bool
) -> DataFrame:
    """A record has no number but a text of 56 digits: that is part of its place."""
    from penstock.streaming.kinesis_source import NAME, KinesisSource

    session: Any = spark  # the stubs of 3.5 know no data sources
    session.dataSource.register(KinesisSource)
    url = stream.endpoint_url or endpoint.url
    earliest = again or stream.starting == "earliest"
    told: dict[str, str | None] = {
        "stream": stream.stream,
        "region": endpoint.region,
        "starting": "TRIM_HORIZON" if earliest else "LATEST",
        "maxRecords": str(stream.max_rows),
        "failOnDataLoss": "true" if stream.fail_on_data_loss else "false",
        "aggregated": "keep",  # what cannot be read is put aside
        "endpoint": url,
        "credentialsFile": endpoint.credentials_file,  # a place: secrets are no options
    }
    columns: dict[str, Column] = {
        "key": fn.encode("key", "UTF-8"),
        "file": fn.concat(fn.lit(f"kinesis:{stream.stream}/"), "shard", fn.lit("/"), "sequence"),
        "position": fn.lit(None).cast("bigint"),
        "topic": fn.lit(stream.stream),
    }
    known = {name: one for name, one in told.items() if one is not None}
    found = spark.readStream.format(NAME).options(**known).load()
    return found.withColumns(columns).select(*EVENT)
