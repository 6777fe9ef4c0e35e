"""A proxy before moto's Kinesis that gives what moto does not: expired iterators and throttles.

It counts GetRecords by shard, and hands out iterators of its own: moto's are the same text whenever
they stand for the same place, so that one of them could not be expired and the next be good.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

#: Runs in moto's process. Where moto 5.2 leaves what AWS documents, and a reader that is right
#: cannot be tested on it (developer guide, "Data Routing, Data Persistence, and Shard State after a
#: Reshard"; GetRecords in the API model):
#:   - a split and a merge move the parents' records to the children; on AWS they stay;
#:   - later records of a key go to the closed parent; on AWS to the child that has its hash;
#:   - a closed shard that was read to its end goes on to give iterators; on AWS it gives none.
#: What is left as it is: sequence numbers begin at 1 in each shard, nothing is ever trimmed,
#: throttled or expired, and MillisBehindLatest is the distance to the last record.
CORRECTED = """
import hashlib
from collections import OrderedDict
from moto.kinesis.models import KinesisBackend, Stream
split, merge, records = Stream.split_shard, Stream.merge_shards, KinesisBackend.get_records

def kept(call, parents):
    held = [one.records for one in parents]
    for one in parents:
        one.records = OrderedDict()
    call()
    for one, own in zip(parents, held):
        one.records = own

def split_shard(self, name, key):
    kept(lambda: split(self, name, key), [self.shards[name]])

def merge_shards(self, name, other):
    kept(lambda: merge(self, name, other), [self.shards[name], self.shards[other]])

def get_shard_for_key(self, key, explicit):
    place = int(explicit or int(hashlib.md5(key.encode()).hexdigest(), 16))
    for one in list(self.shards.values()):
        if one.is_open and one.starting_hash <= place <= one.ending_hash:
            return one

def get_records(self, arn, iterator, limit):
    following, found, behind = records(self, arn, iterator, limit)
    from moto.kinesis.utils import decompose_shard_iterator
    stream, name, last = decompose_shard_iterator(following)
    shard = self.streams[stream].shards[name]
    ended = not shard.is_open and int(last) >= shard.get_max_sequence_number()
    return (None if ended else following), found, behind

Stream.split_shard, Stream.merge_shards = split_shard, merge_shards
Stream.get_shard_for_key, KinesisBackend.get_records = get_shard_for_key, get_records
"""


class Proxy:
    """Faults to come, and what was called."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.url = ""
        self.calls: Counter[str] = Counter()  # GetRecords by shard
        self.expired = self.throttled = 0  # answers of ours
        self._throttles = 0
        self._given: dict[str, tuple[str, str]] = {}
        self._dead: set[str] = set()
        self._lock = threading.Lock()

    def expire(self) -> None:
        """Every iterator that is out."""
        with self._lock:
            self._dead |= set(self._given)

    def throttle(self, count: int) -> None:
        """The next calls of GetRecords."""
        with self._lock:
            self._throttles += count

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        request = json.loads(body)
        shard = request.get("ShardId", "")
        if operation == "GetRecords":
            token = request["ShardIterator"]
            with self._lock:
                shard, request["ShardIterator"] = self._given[token]
                self.calls[shard] += 1
                code = self._fault(token)
            if code is not None:
                return 400, json.dumps({"__type": code, "message": "by script"}).encode()
        status, told = self._forwarded(headers, request)
        for key in ("ShardIterator", "NextShardIterator"):
            if told.get(key) and status == 200:
                with self._lock:
                    token = f"iterator-{len(self._given)}"
                    self._given[token] = (shard, told[key])
                told[key] = token
        return status, json.dumps(told).encode()

    def _fault(self, token: str) -> str | None:
        if token in self._dead:
            self.expired += 1
            return "ExpiredIteratorException"
        if self._throttles:
            self._throttles -= 1
            self.throttled += 1
            return "ProvisionedThroughputExceededException"
        return None

    def _forwarded(
        self, headers: dict[str, str], request: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        body = json.dumps(request).encode()
        sent = {**headers, "Host": self.target, "Content-Length": str(len(body))}
        connection = http.client.HTTPConnection(self.target, timeout=10)
        try:
            connection.request("POST", "/", body, sent)
            answer = connection.getresponse()
            read = answer.read()
            return answer.status, json.loads(read) if read else {}
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: Proxy

    def log_message(self, *_: Any) -> None:  # the server is quiet
        pass

    def do_POST(self) -> None:  # the name http.server looks for
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, told = self.state.answer(dict(self.headers.items()), body)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """Serve on the loopback, on a free port."""
    state = Proxy(target)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
