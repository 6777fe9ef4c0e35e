"""The Kinesis source over real HTTP: boto3, our fault proxy, moto's streams behind it."""

from __future__ import annotations

import json
import pickle
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from tests.kinesis_proxy import CORRECTED, Proxy, proxied
from tests.service.moto import served

pytest.importorskip("pyspark.sql.datasource", reason="Spark 3.5 has no Python data sources")

SHARD = "shardId-00000000000{}"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto whose Kinesis keeps to AWS's documents."""
    with served(CORRECTED) as url:
        yield url


@pytest.fixture
def proxy(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The address a reader is given; its credentials are in the environment alone."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with proxied(moto) as found:
        yield found


class Producer:
    """A stream of two shards and what was put into it."""

    def __init__(self, url: str, stream: str) -> None:
        self.stream = stream
        self.put: dict[str, list[str]] = defaultdict(list)
        factory: Callable[..., Any] = boto3.client
        self.client = factory("kinesis", region_name="eu-west-1", endpoint_url=url)
        self.client.create_stream(StreamName=stream, ShardCount=2)

    def send(self, count: int) -> None:
        """Records of 20 keys, numbered by key."""
        records = []
        for number in range(count):
            key = f"k{number % 20}"
            value = f"{key}-{len(self.put[key])}"
            self.put[key].append(value)
            records.append({"Data": value.encode(), "PartitionKey": key})
        told = self.client.put_records(StreamName=self.stream, Records=records)
        assert told["FailedRecordCount"] == 0

    def split(self, shard: str) -> None:
        """In the middle of its hashes."""
        told = self.client.list_shards(StreamName=self.stream)["Shards"]
        keys = next(one["HashKeyRange"] for one in told if one["ShardId"] == shard)
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"])) // 2
        self.client.split_shard(
            StreamName=self.stream, ShardToSplit=shard, NewStartingHashKey=str(middle)
        )

    def merge(self, one: str, other: str) -> None:
        """Two neighbours."""
        self.client.merge_shards(
            StreamName=self.stream, ShardToMerge=one, AdjacentShardToMerge=other
        )


class Query:
    """What Spark does with a reader, with what goes over its wires: JSON and pickles."""

    def __init__(self, producer: Producer, url: str, **options: str) -> None:
        self._options = {
            "stream": producer.stream,
            "region": "eu-west-1",
            "endpoint": url,
            **options,
        }
        self.logged: list[str] = []
        self.rows: list[list[dict[str, Any]]] = []
        self.reader = self._made()

    def _made(self) -> Any:
        from pyspark.sql.types import StructField, StructType

        from penstock.streaming.kinesis_source import KinesisSource

        names = ["key", "value", "shard", "sequence", "timestamp"]
        schema = StructType([StructField(name, StructType()) for name in names])
        source = pickle.loads(pickle.dumps(KinesisSource(self._options)))
        return pickle.loads(pickle.dumps(source.streamReader(schema)))

    def log(self) -> bool:
        """Whether there is a new offset."""
        end = json.dumps(self.reader.latestOffset())
        if end == (self.logged[-1] if self.logged else json.dumps(self.reader.initialOffset())):
            return False
        self.logged.append(end)
        return True

    def run(self) -> None:
        """Run what was logged last."""
        start = self.logged[-2] if len(self.logged) > 1 else json.dumps(self.reader.initialOffset())
        rows = self.read(start, self.logged[-1])
        assert len(self.rows) == len(self.logged) - 1
        self.rows.append(rows)
        self.reader.commit(json.loads(self.logged[-1]))

    def read(self, start: str, end: str) -> list[dict[str, Any]]:
        """Rows of a batch, from an executor's reader."""
        parts = self.reader.partitions(json.loads(start), json.loads(end))
        executor = self._made()
        found: list[dict[str, Any]] = []
        for part in pickle.loads(pickle.dumps(parts)):
            for batch in executor.read(part):
                found += batch.to_pylist()
        return found

    def restart(self) -> None:
        """A new process."""
        self.reader.stop()
        self.reader = self._made()
        if self.logged:
            last = json.loads(self.logged[-1])
            assert self.reader.partitions(last, last) == []

    def drain(self, until: int) -> None:
        """Batches until so many rows are there, and one look more."""
        deadline = time.monotonic() + 30
        while sum(map(len, self.rows)) < until and time.monotonic() < deadline:
            if self.log():
                self.run()
        if self.log():
            self.run()

    def found(self) -> dict[str, list[str]]:
        """Values by key, in the order of the batches."""
        found: dict[str, list[str]] = defaultdict(list)
        for rows in self.rows:
            for row in rows:
                found[row["key"]].append(row["value"].decode())
        return found


def total(producer: Producer) -> int:
    """Records that were put."""
    return sum(map(len, producer.put.values()))


def test_t41_kinesis_split_merge_expire(moto: str, proxy: Proxy) -> None:
    """2 to 3 to 2 shards, iterators expired, calls throttled, two restarts: all once, in order."""
    producer = Producer(moto, "t41")
    query = Query(producer, proxy.url, maxRecords="50")
    producer.send(60)
    query.drain(60)

    producer.send(60)
    producer.split(SHARD.format(1))  # its last records are not read yet
    producer.send(80)
    proxy.expire()
    proxy.throttle(3)
    query.drain(130)
    proxy.expire()
    while not query.log():  # the log is written; then the process ends, and the batch is repeated
        pass
    query.restart()
    query.run()
    query.drain(total(producer))
    assert proxy.calls[SHARD.format(2)]
    assert proxy.calls[SHARD.format(3)]

    producer.send(40)
    producer.merge(SHARD.format(0), SHARD.format(2))
    producer.send(80)
    query.reader.latestOffset()  # read, and known to nobody when the process ends
    query.restart()
    proxy.expire()
    proxy.throttle(2)
    query.drain(total(producer))

    assert query.found() == producer.put  # missing 0, dup 0, order of each key
    assert max(map(len, query.rows)) <= 50
    assert proxy.expired > 0
    assert proxy.throttled == 5
    shards = {row["shard"] for rows in query.rows for row in rows}
    assert shards == {SHARD.format(number) for number in range(5)}
    query.reader.stop()


def test_a_batch_is_read_once(moto: str, proxy: Proxy) -> None:
    """Where nothing happens a shard is asked once a batch, however often the batch is evaluated."""
    producer = Producer(moto, "once")
    query = Query(producer, proxy.url)
    for turn in range(4):
        producer.send(40)
        before = sum(proxy.calls.values())
        assert query.log()
        start = query.logged[-2] if turn else json.dumps(query.reader.initialOffset())
        assert query.read(start, query.logged[-1]) == query.read(start, query.logged[-1])
        query.run()
        assert sum(proxy.calls.values()) - before == 2, "two shards, one call each"
    assert query.found() == producer.put
    query.reader.stop()


def test_a_repeated_batch_is_the_same(moto: str, proxy: Proxy) -> None:
    """After a restart nobody has the records: executors read the very same from the shards."""
    producer = Producer(moto, "same")
    query = Query(producer, proxy.url)
    producer.send(100)
    assert query.log()
    query.run()
    producer.send(100)  # what came since belongs to a later batch
    query.restart()
    before = sum(proxy.calls.values())
    start = json.dumps(query.reader.initialOffset())
    assert query.read(start, query.logged[0]) == query.rows[0]
    assert sum(proxy.calls.values()) > before
    query.drain(total(producer))
    assert query.found() == producer.put
    query.reader.stop()


def test_latest_leaves_out_what_was_there(moto: str, proxy: Proxy) -> None:
    """The moment the query began, on the service's clock, which tells whole seconds."""
    producer = Producer(moto, "latest")
    producer.send(40)
    time.sleep(1.1)
    producer.put.clear()
    query = Query(producer, proxy.url, starting="LATEST")
    query.reader.initialOffset()
    producer.send(40)
    query.drain(40)
    assert query.found() == producer.put
    query.reader.stop()


def test_a_stream_that_is_not_there(moto: str, proxy: Proxy) -> None:
    """One line with the options to look at, and no credentials among them."""
    from penstock.errors import ConfigError

    producer = Producer(moto, "other")
    producer.stream = "no-such-stream"
    query = Query(producer, proxy.url)
    with pytest.raises(ConfigError, match="stream no-such-stream does not exist"):
        query.reader.latestOffset()
    query.reader.stop()
