"""A Kafka broker for tests: the real one, alone in KRaft mode, on loopback.

    with started(tmp_path / "kafka") as kafka:
        kafka.create_topic("flights", partitions=2)
        kafka.kill()     # as a machine that loses power: nothing is said to anybody
        kafka.start()    # on the same logs, at the same address

Its jars come from Maven Central, the first time, through the Ivy that Spark brings (46 MB, a
minute), and stay in penstock's cache folder. The process ends with the test's own process, however
that ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyspark
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from penstock import jars

VERSION = "3.9.1"  # that of the clients which Spark 4.1's Kafka source brings
STARTED_S = 60.0
_JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
#: Below the ports that systems give to outgoing connections: a client that tries again and again to
#: reach a broker that is down could otherwise be given its port, and would be connected to itself.
_PORTS = range(20_000, 30_000)
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # A broker that was killed may come back when its session has run out: 9 s unless set.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.io.threads": "2",
    "num.network.threads": "2",
}
#: The shell is the one who waits: its standard input ends when this process does.
_WATCHED = '"$@" </dev/null & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait $!'
_LOG = logging.getLogger(__name__)


class Broker:
    """One broker.

    Args:
        folder: For its settings, logs and output; nobody else's.
        settings: More settings of the broker. ``listener.name.client.*`` are those of the listener
            that clients use.
        protocol: Of that listener.
        client: More settings of our own clients, where the protocol asks for some.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] = MappingProxyType({}),
        protocol: str = "PLAINTEXT",
        client: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder, self._own, self._protocol = folder, settings, protocol
        self._client = client
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._port = 0
        folder.mkdir(parents=True)

    @property
    def address(self) -> str:
        """HOST:PORT of the listener for clients."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The broker's process."""
        return self._pid

    def start(self) -> None:
        """Start it, the first time on empty logs, and wait until it answers."""
        first = self._port == 0
        for _ in range(3 if first else 1):
            if first:
                self._format()
            self._launch()
            if self._answers():
                return
            self.kill()  # somebody else took the port in between
        text = (self._folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"Kafka did not start: {text[-2000:]}")

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        if self._process is None:
            return
        if self.lives:
            os.kill(self._pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process = None

    close = kill

    @property
    def lives(self) -> bool:
        """Whether the broker's process is there."""
        try:
            text = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return text.rsplit(")", 1)[1].split()[0] not in "ZX"

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """A topic that is there when this returns."""
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(timeout=30)
        _until(lambda: len(_partitions(admin, name)) == partitions, f"topic {name}")

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """What retention does: events before these offsets by partition are gone for good."""
        wanted = [TopicPartition(topic, one, offset) for one, offset in before.items()]
        admin = self.admin()  # one that nobody holds is gone before it is answered
        for answer in admin.delete_records(wanted).values():
            answer.result(timeout=30)

    def admin(self) -> AdminClient:
        """A client for all else."""
        settings: dict[str, Any] = {"bootstrap.servers": self.address, "logger": _LOG}
        settings |= {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}
        return AdminClient(settings | dict(self._client))

    def _format(self) -> None:
        self._port, controller = _free_port(), _free_port()
        logs = self._folder / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        settings = {
            **_SETTINGS,
            "listeners": f"CLIENT://{self.address},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://{self.address}",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": f"CLIENT:{self._protocol},CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(logs),
            **self._own,
        }
        lines = [f"{key}={_property(value)}\n" for key, value in settings.items()]
        (self._folder / "server.properties").write_text("".join(lines), encoding="ascii")
        # 22 characters as Kafka's own; one that began with a hyphen would be read as an option.
        name = f"A{uuid.uuid4().hex[:20]}A"
        words = ["format", "-t", name, "-c", "server.properties"]
        done = subprocess.run(
            [*_java(), "kafka.tools.StorageTool", *words],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _launch(self) -> None:
        with (self._folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                ["sh", "-c", _WATCHED, "sh", *_java(), "kafka.Kafka", "server.properties"],
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the tests
            )
        assert self._process.stdout is not None
        self._pid = int(self._process.stdout.readline())

    def _answers(self) -> bool:
        admin, end = self.admin(), time.monotonic() + STARTED_S
        while self.lives and time.monotonic() < end:
            try:
                return bool(admin.list_topics(timeout=0.3).brokers)
            except KafkaException:
                continue
        return False


@contextmanager
def started(
    folder: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    protocol: str = "PLAINTEXT",
    client: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Broker]:
    """A broker that runs as long as the context."""
    broker = Broker(folder, settings, protocol, client)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


def libraries() -> Path:
    """The folder of Kafka's jars; fetched where they are not there. Several may call it at once."""
    folder = jars.cache() / f"kafka-{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    """Through Ivy's own command line, with a cache of its own that is not kept."""
    ivy = next((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "jars"
        words = ["-cache", f"{scratch}/ivy", "-confs", "default", "-types", "jar", "bundle"]
        words += ["-dependency", "org.apache.kafka", "kafka_2.13", VERSION]
        words += ["-retrieve", f"{made}/[artifact]-[revision].[ext]"]
        done = subprocess.run(
            ["java", "-cp", str(ivy), "org.apache.ivy.Main", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        failed = done.returncode or not list(made.glob(f"kafka_2.13-{VERSION}.jar"))
        assert not failed, f"Kafka's jars could not be fetched: {done.stdout[-2000:]}"
        made.rename(folder)


def _java() -> list[str]:
    return ["java", *_JAVA, "-cp", f"{libraries()}/*"]


def _property(value: str) -> str:
    """A value of a Java properties file, in ASCII."""
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    wide = escaped.encode("utf-16-be", "surrogatepass")
    units = [int.from_bytes(wide[n : n + 2], "big") for n in range(0, len(wide), 2)]
    return "".join(chr(one) if 32 < one < 127 else f"\\u{one:04x}" for one in units)


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _partitions(admin: AdminClient, topic: str) -> list[int]:
    """Those that have a leader."""
    found = admin.list_topics(topic, timeout=10).topics[topic].partitions
    return [number for number, one in found.items() if one.leader >= 0]


def _until(reached: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)
