"""``penstock replay`` into a real Kafka broker and moto's Kinesis: what arrives, and in order."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import fastavro
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from penstock.cli.program import run
from penstock.errors import TemporaryError
from penstock.replay.events import Event
from penstock.replay.kafka import connected
from penstock.replay.pacing import Pace
from penstock.replay.sending import Surroundings, replay
from penstock.replay.target import KafkaTarget
from penstock.streaming.kafka_options import jaas
from tests.kafka import Broker, started
from tests.service.moto import served

ROOT = Path(__file__).parents[2]
PENSTOCK = [sys.executable, "-c", "from penstock.cli import main; main()"]
PASSWORD = "a \"b\" \\c\\ 'd' =;/* é"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
#: Refuses each third entry as a shard does that is at its limit.
_THROTTLING = """
from moto.kinesis.models import KinesisBackend
accepted, seen = KinesisBackend.put_records, iter(range(1, 1_000_000))
def put_records(self, stream_arn, stream_name, records):
    answer = {"FailedRecordCount": 0, "Records": []}
    for one in records:
        if next(seen) % 3 == 0:
            code = "ProvisionedThroughputExceededException"
            answer["Records"].append({"ErrorCode": code, "ErrorMessage": "Rate exceeded"})
            answer["FailedRecordCount"] += 1
        else:
            answer["Records"] += accepted(self, stream_arn, stream_name, [one])["Records"]
    return answer
KinesisBackend.put_records = put_records
"""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for all tests of the module; each has a topic of its own."""
    with started(tmp_path_factory.mktemp("kafka") / "broker") as broker:
        yield broker


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """A project of two sources: 3,000 rows of 7 keys, an hour apart, the last ones first; 4 bad."""
    rows = [f"{n},{n % 7},2024-01-{1 + n // 24 % 28:02}T{n % 24:02}:00:00Z" for n in range(3_000)]
    (tmp_path / "rows.csv").write_text("\n".join(["n,key,t", *rows]), encoding="utf-8")
    (tmp_path / "back.csv").write_text("\n".join(["n,key,t", *rows[50::-1]]), encoding="utf-8")
    bad = ["n,key,t", "1,1,2024-01-01T00:00:00Z", "2,NA", "3,1,soon"]
    (tmp_path / "bad.csv").write_text("\n".join(bad), encoding="utf-8")
    names = ("rows", "back", "bad")
    sources = "".join(f"  {one}: {{format: csv, path: {tmp_path}/{one}.csv}}\n" for one in names)
    conf = tmp_path / "conf"
    conf.mkdir()
    text = f"project: p\nlake: {tmp_path}/lake\nstate: {tmp_path}/state\nsources:\n{sources}"
    (conf / "base.yaml").write_text(text, encoding="utf-8")
    (conf / "local.yaml").write_text("aws: {region: us-east-1}\n", encoding="utf-8")
    return ["--project", str(ROOT), "--conf", str(conf)]


def _read(address: str, topic: str) -> list[tuple[int, str | None, dict[str, Any]]]:
    """All events of a topic: partition, key, value; those of a partition in their order."""
    settings = {"bootstrap.servers": address, "group.id": topic, "enable.auto.commit": False}
    consumer = Consumer(settings | {"logger": logging.getLogger(__name__)})
    numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    marks = {n: consumer.get_watermark_offsets(TopicPartition(topic, n)) for n in numbers}
    consumer.assign([TopicPartition(topic, n, low) for n, (low, _) in marks.items()])
    wanted = sum(high - low for low, high in marks.values())
    found: list[tuple[int, str | None, dict[str, Any]]] = []
    end = time.monotonic() + 60
    while len(found) < wanted:
        assert time.monotonic() < end
        for message in consumer.consume(500, timeout=0.2):
            assert message.error() is None
            key, value, number = message.key(), message.value(), message.partition()
            assert value is not None
            assert number is not None
            found.append((number, None if key is None else key.decode(), json.loads(value)))
    consumer.close()
    return found


def test_every_row_arrives_once_under_its_key_and_in_order(
    kafka: Broker, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A key is in the one partition that Java's clients would choose; values are the text."""
    kafka.create_topic("rows", partitions=3)
    words = ["--to", f"kafka://{kafka.address}/rows", "--key", "key", "--json"]
    assert run(["replay", "rows", *words, *place]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sent"], said["failed"], said["skipped"]) == (3_000, 0, 0)
    found = _read(kafka.address, "rows")
    assert sorted(int(value["n"]) for _, _, value in found) == list(range(3_000))
    assert all(key == value["key"] == str(int(value["n"]) % 7) for _, key, value in found)
    partitions: dict[str | None, set[int]] = {}
    for number, key, _ in found:
        partitions.setdefault(key, set()).add(number)
        # murmur2 of one digit, as org.apache.kafka.common.utils.Utils has it
        assert key is not None
        assert number == (_murmur2(key.encode()) & 0x7FFFFFFF) % 3
    assert all(len(one) == 1 for one in partitions.values())
    for wanted in map(str, range(7)):
        of_key = [int(value["n"]) for _, key, value in found if key == wanted]
        assert of_key == sorted(of_key)


def _murmur2(data: bytes) -> int:
    """As in Kafka's ``org.apache.kafka.common.utils.Utils``, for less than four bytes."""
    assert len(data) < 4
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    for n in range(len(data) - 1, -1, -1):
        h ^= data[n] << (8 * n)
    if data:
        h = h * m & mask
    h ^= h >> 13
    h = h * m & mask
    return h ^ h >> 15


def test_time_sorts_and_spaces_them(
    kafka: Broker, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """50 hours, written backwards, at 90,000 times their speed: two seconds, oldest first."""
    kafka.create_topic("back")
    words = ["--to", f"kafka://{kafka.address}/back", "--speed", "90000", "--time", "t"]
    began = time.monotonic()
    assert run(["replay", "back", *words, "--json", *place]) == 0
    assert time.monotonic() - began >= 2.0
    assert json.loads(capsys.readouterr().out)["seconds"] >= 2.0
    found = _read(kafka.address, "back")
    assert [int(value["n"]) for _, _, value in found] == list(range(51))
    assert {key for _, key, _ in found} == {None}


def test_what_is_left_out_is_said(
    kafka: Broker, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """All else has arrived; the exit code is that of bad data."""
    kafka.create_topic("bad")
    words = ["--to", f"kafka://{kafka.address}/bad", "--speed", "1e9", "--time", "t"]
    assert run(["replay", "bad", *words, *place]) == 65
    said = capsys.readouterr()
    assert "topic 'bad'" in said.out
    assert ": 1 events sent in " in said.out
    assert said.err.splitlines()[-1] == (
        "penstock: 2 rows were left out: they cannot be read, or have no time. All others were sent"
    )
    assert [value["n"] for _, _, value in _read(kafka.address, "bad")] == ["1"]


def test_a_topic_that_is_not_there_is_not_made(
    kafka: Broker, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong word, in one line."""
    words = ["--to", f"kafka://{kafka.address}/typo"]
    assert run(["replay", "rows", *words, *place]) == 2
    said = capsys.readouterr().err.splitlines()
    remedy = "Create it, or correct --to"
    assert said == [f"penstock: there is no topic 'typo' at {kafka.address}. {remedy}"]
    assert "typo" not in kafka.admin().list_topics(timeout=10).topics


def test_a_broker_that_is_not_there_ends_it_soon(place: list[str]) -> None:
    """Within 15 seconds, and the command says one line: nothing of the client's own beside it."""
    began = time.monotonic()
    with pytest.raises(TemporaryError):
        connected(KafkaTarget("127.0.0.1:9", "rows"))
    assert time.monotonic() - began < 15.0
    words = ["--to", "kafka://127.0.0.1:9/rows", *place]
    done = subprocess.run(
        [*PENSTOCK, "replay", "rows", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 75
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("penstock: no Kafka broker answers at 127.0.0.1:9: ")


def test_ctrl_c_stops_it_with_what_it_has_sent(kafka: Broker, place: list[str]) -> None:
    """It says how much that is, and so it is."""
    kafka.create_topic("stopped")
    words = ["--to", f"kafka://{kafka.address}/stopped", "--rate", "200", *place]
    with subprocess.Popen(
        [*PENSTOCK, "replay", "rows", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as child:
        consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "x"})
        end = time.monotonic() + 60
        while consumer.get_watermark_offsets(TopicPartition("stopped", 0))[1] < 50:
            assert time.monotonic() < end
            time.sleep(0.05)
        consumer.close()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    said = json.loads(out)
    assert child.returncode == 75
    assert f"penstock: stopped after {said['sent']:,} events. " in err
    assert "Traceback" not in err
    found = [int(value["n"]) for _, _, value in _read(kafka.address, "stopped")]
    assert found == list(range(said["sent"]))
    assert 50 <= len(found) < 3_000
    assert said["failed"] == 0


def test_a_broker_that_is_killed_and_comes_back_has_everything_in_order(kafka: Broker) -> None:
    """Nothing lost, nothing twice: while it is away events wait, and it knows what it has."""
    kafka.create_topic("killed", partitions=2)
    target = KafkaTarget(kafka.address, "killed")
    killed = []

    def events() -> Iterator[Event]:
        for n in range(20_000):
            if n == 10_000:
                kafka.kill()
                killed.append(sink.sent)
            elif n == 15_000:
                kafka.start()
            yield Event(str(n % 5).encode(), json.dumps({"n": n}).encode())

    sink = connected(target)
    ended = replay(events(), Pace(), sink, Surroundings(time.monotonic, time.sleep))
    sink.close()
    assert (ended.sent, ended.failed, ended.failure) == (20_000, 0, None)
    assert killed[0] < 15_000  # some were on their way when it died
    found = _read(kafka.address, "killed")
    assert sorted(value["n"] for _, _, value in found) == list(range(20_000))
    for wanted in map(str, range(5)):
        of_key = [value["n"] for _, key, value in found if key == wanted]
        assert of_key == sorted(of_key)


def test_kafka_takes_the_password_that_we_write_for_java(tmp_path: Path) -> None:
    """Its own parser reads our JAAS text: who has the plain password is let in, others are not."""
    text = jaas(_PLAIN, username="me", password=PASSWORD, user_me=PASSWORD)
    listener = "listener.name.client"
    settings = {
        f"{listener}.plain.sasl.jaas.config": text,
        f"{listener}.sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
    }
    client = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
    client |= {"sasl.username": "me", "sasl.password": PASSWORD}
    with started(tmp_path / "kafka", settings, "SASL_PLAINTEXT", client) as kafka:
        kafka.create_topic("secret")
        assert "secret" in kafka.admin().list_topics(timeout=10).topics
        wrong = client | {"bootstrap.servers": kafka.address, "sasl.password": PASSWORD[:-1]}
        problems: list[str] = []
        noting = {"error_cb": lambda error: problems.append(error.name())}
        producer = Producer(wrong | noting | {"logger": logging.getLogger(__name__)})
        end = time.monotonic() + 30
        while "_AUTHENTICATION" not in problems:
            assert time.monotonic() < end, problems
            producer.poll(0.1)


def test_events_before_an_offset_can_be_made_to_vanish(kafka: Broker) -> None:
    """As retention does it: what tests of a stream that was away for too long need."""
    kafka.create_topic("old", partitions=2)
    producer = Producer({"bootstrap.servers": kafka.address})
    for n in range(20):
        producer.produce("old", json.dumps({"n": n}).encode(), partition=n % 2)
    assert producer.flush(30) == 0
    kafka.delete_records("old", {0: 4, 1: 10})
    assert [value["n"] for _, _, value in _read(kafka.address, "old")] == [8, 10, 12, 14, 16, 18]


def test_the_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Also with one that is killed: nobody is left to end it."""
    program = (
        "import sys, time; from pathlib import Path; from tests.kafka import Broker\n"
        "broker = Broker(Path(sys.argv[1])); broker.start(); print(broker.pid, flush=True)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "kafka")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        os.kill(pid, 0)
        child.kill()
    end = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto server whose Kinesis refuses each third entry."""
    with served(_THROTTLING) as url:
        yield url


@pytest.fixture
def kinesis(moto: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of it."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "x")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session: Any = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    return session.client("kinesis", region_name="us-east-1", endpoint_url=moto)


def _records(client: Any, stream: str) -> list[dict[str, Any]]:
    """All records of a stream; those of a shard in their order."""
    found = []
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        at = client.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := (answer := client.get_records(ShardIterator=at))["Records"]:
            found += records
            at = answer["NextShardIterator"]
    return found


def test_kinesis_gets_what_it_refused_again_and_each_key_in_order(
    kinesis: Any, moto: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row once, though each third entry was throttled."""
    kinesis.create_stream(StreamName="rows", ShardCount=3)
    words = ["--to", "kinesis://rows", "--key", "n", "--set", f"aws.endpoint_url={moto}"]
    assert run(["replay", "rows", *words, "--json", *place]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["sent"], said["failed"], said["skipped"]) == (3_000, 0, 0)
    found = [(one["PartitionKey"], json.loads(one["Data"])) for one in _records(kinesis, "rows")]
    assert Counter(int(value["n"]) for _, value in found) == Counter(range(3_000))
    assert all(key == value["n"] for key, value in found)
    kinesis.create_stream(StreamName="few", ShardCount=1)
    words = ["--to", "kinesis://few", "--key", "key", "--set", f"aws.endpoint_url={moto}"]
    assert run(["replay", "rows", *words, "--limit", "200", *place]) == 0
    few = [(one["PartitionKey"], json.loads(one["Data"])["n"]) for one in _records(kinesis, "few")]
    assert len(few) == 200
    for wanted in map(str, range(7)):
        of_key = [int(n) for key, n in few if key == wanted]
        assert of_key == sorted(of_key)


def test_a_kinesis_stream_that_is_not_there_is_a_wrong_word(
    kinesis: Any, moto: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And beside the embedded AWS there is none at all."""
    del kinesis
    words = ["replay", "rows", "--to", "kinesis://typo", *place]
    assert run([*words, "--set", f"aws.endpoint_url={moto}"]) == 2
    assert "there is no Kinesis stream 'typo'" in capsys.readouterr().err
    assert run([*words, "--set", "aws.embedded=true"]) == 2
    assert "the embedded AWS has no Kinesis" in capsys.readouterr().err


def test_a_topic_that_vanishes_fails_what_is_sent_to_it(
    kafka: Broker,
) -> None:
    """Failed is counted apart from sent, and the first reason is kept."""
    kafka.create_topic("gone")
    sink, admin = connected(KafkaTarget(kafka.address, "gone"), delivered_s=2.0), kafka.admin()
    admin.delete_topics(["gone"])["gone"].result(timeout=30)
    events = [Event(None, b"{}") for _ in range(10)]
    ended = replay(events, Pace(), sink, Surroundings(time.monotonic, time.sleep))
    sink.close()
    assert isinstance(ended.failure, TemporaryError)
    assert (ended.sent, ended.failed) == (0, 10)


def test_avro_arrives_as_the_schema_has_it(
    kafka: Broker, place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a key that is text; without a schema it is a wrong word."""
    kafka.create_topic("avro")
    schema: dict[str, Any] = {"type": "record", "name": "r"}
    schema["fields"] = [{"name": "n", "type": "long"}, {"name": "t", "type": "string"}]
    (tmp_path / "r.avsc").write_text(json.dumps(schema), encoding="utf-8")
    words = ["--to", f"kafka://{kafka.address}/avro", "--key", "key", "--format", "avro", *place]
    assert run(["replay", "rows", *words]) == 2
    assert "--format avro and --schema go together" in capsys.readouterr().err
    assert run(["replay", "rows", *words, "--schema", f"{tmp_path}/r.avsc", "--limit", "2"]) == 0
    consumer = Consumer({"bootstrap.servers": kafka.address, "group.id": "avro"})
    consumer.assign([TopicPartition("avro", 0, 0)])
    found: list[tuple[bytes | None, Any]] = []
    end = time.monotonic() + 60
    while len(found) < 2:
        assert time.monotonic() < end
        for one in consumer.consume(2, timeout=0.2):
            value = one.value()
            assert value is not None
            found.append((one.key(), fastavro.schemaless_reader(io.BytesIO(value), schema, None)))
    consumer.close()
    assert found == [
        (b"0", {"n": 0, "t": "2024-01-01T00:00:00Z"}),
        (b"1", {"n": 1, "t": "2024-01-01T01:00:00Z"}),
    ]
