"""``spark.readStream.format("penstock_kinesis")``: Kinesis as a Python data source (Spark 4).

Spark keeps one reader in one process of the driver for initialOffset, latestOffset, partitions and
commit (pyspark.sql.streaming.python_streaming_source_runner, 4.1.1); ``read`` runs on
executors, in readers that know the options alone. Credentials are each process's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from penstock import aws
from penstock.errors import ConfigError
from penstock.streaming.kinesis_offsets import Offset
from penstock.streaming.kinesis_reader import LANES, Bounds, Call, Slice, Tail, again
from penstock.streaming.kinesis_shard import Record
from penstock.streaming.kinesis_stream import Stream, Timing

NAME = "penstock_kinesis"
#: A task carries its records; Spark ships no message above 128 MiB (spark.rpc.message.maxSize).
LARGEST = 64 * 1024 * 1024
_ROWS = 10_000
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("value", pa.binary()),
        ("shard", pa.string()),
        ("sequence", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
    ]
)
_KNOWN = {
    one.lower(): one
    for one in (
        "stream",
        "region",
        "endpoint",
        "credentialsFile",
        "starting",
        "maxRecords",
        "maxBytes",
        "failOnDataLoss",
        "aggregated",
    )
}


@dataclass(frozen=True)
class Options:
    """The options of a query, read strictly; no secrets among them.

    Args:
        stream: Name or ARN.
        endpoint: Region and, for a stand-in, address.
        starting: ``TRIM_HORIZON``, ``LATEST`` or an epoch millisecond.
        bounds: Of a batch.
        fail_on_loss: Whether trimmed records end the query.
        keep_aggregated: Whether the KPL's aggregates are handed on.
    """

    stream: str
    endpoint: aws.Endpoint
    starting: str | int
    bounds: Bounds
    fail_on_loss: bool
    keep_aggregated: bool

    @classmethod
    def parsed(cls, given: Mapping[str, str]) -> Options:
        """From Spark's options, whose names have no case.

        Raises:
            ConfigError: One is unknown, missing or has a value that is none of its own.
        """
        texts = {name.lower(): text for name, text in given.items()}
        for name in texts:
            if name not in _KNOWN:
                close = difflib.get_close_matches(name, _KNOWN, 1)
                remedy = f"Did you mean {_KNOWN[close[0]]}?" if close else _all()
                raise ConfigError(f"{NAME} has no option {name}", remedy)
        stream = texts.get("stream", "")
        if not stream:
            raise ConfigError(f"{NAME} needs the option stream", "Set the stream's name or ARN")
        return cls(
            stream,
            aws.Endpoint(
                aws.region(texts.get("region")),
                texts.get("endpoint"),
                texts.get("credentialsfile"),
            ),
            _starting(texts.get("starting", "TRIM_HORIZON")),
            Bounds(
                _number(texts, "maxRecords", Bounds.records, 10_000_000),
                _number(texts, "maxBytes", Bounds.size, LARGEST),
            ),
            _word(texts, "failOnDataLoss", ("true", "false")) == "true",
            _word(texts, "aggregated", ("fail", "keep")) == "keep",
        )

    def opened(self) -> Stream:
        """The stream, through a client of this process."""
        # Once: waiting for a throttle is the reader's, which paces its calls by it.
        client = aws.client(self.endpoint, "kinesis", attempts=1)
        return Stream(client, self.stream, Timing(), fail_on_loss=self.fail_on_loss)


class KinesisSource(DataSource):
    """Register with ``spark.dataSource.register(KinesisSource)``."""

    @classmethod
    def name(cls) -> str:
        """What ``format`` is given."""
        return NAME

    def schema(self) -> str:
        """Columns of every stream."""
        return "key string, value binary, shard string, sequence string, timestamp timestamp"

    def streamReader(self, schema: StructType) -> KinesisStreamReader:  # noqa: N802 - Spark's name
        """The reader; nothing is called yet.

        Raises:
            ConfigError: An option is wrong.
        """
        if schema.names != _SCHEMA.names:
            message = f"{NAME} gives {', '.join(_SCHEMA.names)} and no other columns"
            raise ConfigError(message, "Leave .schema(…) away, and parse value in the query")
        return KinesisStreamReader(Options.parsed(self.options))


class KinesisPartition(InputPartition):
    """One shard's part of a batch."""

    def __init__(self, part: Slice) -> None:
        super().__init__(None)
        self.part = part


class KinesisStreamReader(DataSourceStreamReader):
    """Offsets and batches on the driver, rows on executors."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._tail: Tail | None = None
        self._pool: ThreadPoolExecutor | None = None

    def __reduce__(self) -> tuple[type[KinesisStreamReader], tuple[Options]]:
        return (type(self), (self.options,))

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Where a new query begins."""
        return self._opened().initial().to_json()

    def latestOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Read ahead; the end of the next batch."""
        return self._opened().latest().to_json()

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """One a shard that gave records between the two offsets."""
        found = self._opened().planned(Offset.from_json(start), Offset.from_json(end))
        return [KinesisPartition(one) for one in found]

    def commit(self, end: dict[str, Any]) -> None:
        """Let go of what was handed on."""
        self._opened().committed(Offset.from_json(end))

    def stop(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Rows of one shard, in its order: as they were handed over, or read again.

        Raises:
            MismatchError: Records of a batch that is repeated are trimmed meanwhile.
        """
        if not isinstance(partition, KinesisPartition):
            raise TypeError(f"not a partition of {NAME}: {type(partition).__name__}")
        part = partition.part
        found = part.records if part.records is not None else again(self._stream(), part.span)
        return _batches(part.span.shard, iter(found))

    def _stream(self) -> Stream:
        return self.options.opened()

    def _opened(self) -> Tail:
        if self._tail is None:
            pool = self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="kinesis")

            def spread(work: Any, calls: Sequence[Call]) -> Iterator[list[Record]]:
                return pool.map(work, calls)

            self._tail = Tail(
                self._stream(),
                self.options.starting,
                self.options.bounds,
                keep_aggregated=self.options.keep_aggregated,
                spread=spread,
            )
        return self._tail


def _batches(shard: str, records: Iterator[Record]) -> Iterator[pa.RecordBatch]:
    while rows := list(islice(records, _ROWS)):
        columns = [
            [one.key for one in rows],
            [one.value for one in rows],
            [shard] * len(rows),
            [one.sequence for one in rows],
            [one.arrived_us for one in rows],
        ]
        arrays = [
            pa.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _starting(text: str) -> str | int:
    if text.upper() in ("TRIM_HORIZON", "LATEST"):
        return text.upper()
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        message = f"{NAME}: starting={text} is no place to begin at"
        remedy = "TRIM_HORIZON, LATEST, or a time with its zone: 2026-03-01T00:00:00+00:00"
        raise ConfigError(message, remedy)
    return round(when.timestamp() * 1000)


def _number(texts: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = texts.get(name.lower())
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ConfigError(f"{NAME}: {name}={text} is not allowed", f"A number from 1 to {most}")
    return int(text)


def _word(texts: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    text = texts.get(name.lower(), allowed[0]).lower()
    if text not in allowed:
        raise ConfigError(f"{NAME}: {name}={text} is not allowed", f"One of {', '.join(allowed)}")
    return text


def _all() -> str:
    return f"Its options: {', '.join(_KNOWN.values())}"
