"""Reading Kinesis in batches: every record once, in the order of its key, whatever happens."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import (
    ConfigError,
    CredentialsError,
    DataGateError,
    MismatchError,
    TemporaryError,
)
from penstock.streaming.kinesis_offsets import Position, Span
from penstock.streaming.kinesis_reader import REFRESH_S, Bounds, Tail, again, aggregated
from penstock.streaming.kinesis_shard import Cursor
from penstock.streaming.kinesis_stream import Stream
from tests.kinesis import BEGIN, Clock, Fake, Query, refused

HOUR = 3600.0
MANY = 500_000.0  # seconds; longer than any retention here
THROTTLE = "ProvisionedThroughputExceededException"


class World:
    """A stream, a query on it, and what was put."""

    def __init__(self, shards: int = 2, *, stuck: bool = False, **options: Any) -> None:
        self.clock = Clock()
        self.fake = Fake(self.clock, shards, stuck=stuck)
        self.options = options
        self.fail = bool(options.pop("fail_on_loss", True))
        self.put: dict[str, list[int]] = defaultdict(list)
        self.query = Query(self.tail, self.stream())

    def stream(self) -> Stream:
        """As each process makes one."""
        return Stream(self.fake, "s", self.clock.timing(), fail_on_loss=self.fail)

    def tail(self) -> Tail:
        """As the driver makes one."""
        return Tail(self.stream(), **self.options)

    def send(self, key: str = "k", value: bytes = b"v", count: int = 1) -> None:
        """Records, a millisecond apart."""
        for _ in range(count):
            self.clock.now += 0.001
            self.put[key].append(self.fake.put(key, value))

    def drain(self) -> None:
        """Batches until twenty looks in a row find nothing, and no trouble is left."""
        quiet = 0
        while quiet < 20:
            busy = self.query.batch() or self.fake.refusals or self.fake.hollow
            quiet = 0 if busy else quiet + 1
            self.clock.now += 0.1

    def found(self) -> dict[str, list[int]]:
        """Sequence numbers by key, batch after batch; a key is in one shard of a batch alone."""
        found: dict[str, list[int]] = defaultdict(list)
        for batch in self.query.batches:
            seen: set[str | None] = set()
            for records in batch.read.values():
                keys = {one.key for one in records}
                assert not keys & seen
                seen |= keys
                for one in records:
                    found[str(one.key)].append(int(one.sequence))
        return found


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("split"), st.integers(0, 9)),
        st.tuples(st.just("merge"), st.integers(0, 9)),
        st.tuples(st.just("expire"), st.just(0)),
        st.tuples(st.just("throttle"), st.integers(1, 4)),
        st.tuples(st.just("hollow"), st.integers(1, 4)),
        st.tuples(st.just("pass"), st.sampled_from([1, 400, 4_000])),
        st.tuples(st.just("batch"), st.just(0)),
        st.tuples(st.just("restart"), st.sampled_from([0, 1, 2])),
        st.tuples(st.just("repeat"), st.just(0)),
    ),
    max_size=40,
)


def happens(world: World, action: str, value: int) -> None:
    """What a stream does, whoever reads it."""
    fake = world.fake
    if action == "send":
        world.send(f"k{value}", count=value + 1)
    elif action == "split":
        names = [name for name, one in fake.open().items() if one.high - one.low > 4]
        fake.split(names[value % len(names)])
    elif action == "merge":
        ordered = sorted(fake.open().items(), key=lambda one: one[1].low)
        if len(ordered) > 1:
            place = value % (len(ordered) - 1)
            fake.merge(ordered[place][0], ordered[place + 1][0])
    elif action == "expire":
        fake.expire()
    elif action == "throttle":
        fake.refusals += [refused("any", THROTTLE)] * value
    elif action == "hollow":
        fake.hollow += value
    else:
        world.clock.now += value


def reads(query: Query, action: str, value: int) -> None:
    """What a query does, up to dying in the middle of it."""
    if action == "batch":
        query.batch()
    elif action == "restart":
        if value == 1 and len(query.logged) == len(query.batches):
            query.latest()  # ends after the log was written: the batch is repeated
        if value == 2:
            query.tail.latest()  # ends before it: nobody knows of what was read
        query.restart()
    elif query.batches:
        assert query.repeated() == query.batches[-1].read


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3), st.sampled_from([1, 3, 1_000]), ACTIONS)
def test_every_record_once_and_in_order(
    shards: int, most: int, actions: list[tuple[str, int]]
) -> None:
    """Whatever happens between: shards, throttles, expired iterators, restarts, repeats."""
    world = World(shards, bounds=Bounds(records=most))
    for action, value in actions:
        if action in ("batch", "restart", "repeat"):
            reads(world.query, action, value)
        else:
            happens(world, action, value)
    world.drain()
    assert world.found() == world.put
    if not {"restart", "repeat"} & {action for action, _ in actions}:
        assert world.fake.too_fast == 0  # readers know nothing of one another's calls
    for batch in world.query.batches:
        assert sum(map(len, batch.read.values())) <= most
    if world.query.batches:
        assert world.query.repeated() == world.query.batches[-1].read


def test_each_record_is_read_once_where_nothing_happens() -> None:
    """The driver hands over what it read: no shard is asked for it again."""
    world = World()
    for turn in range(5):
        world.send("k1", count=10 + turn)
        world.send("k2", count=3)
        before = sum(world.fake.calls.values())
        world.query.batch()
        assert sum(world.fake.calls.values()) - before == 2
        world.clock.now += 1
    assert world.found() == world.put


def test_a_batch_is_bounded_and_shards_take_turns() -> None:
    """No shard waits while another has more than a batch holds."""
    world = World(2, bounds=Bounds(records=2))
    for number in range(40):
        world.send(f"k{number}")
    for _ in range(4):
        world.query.batch()
    each = [set(batch.read) for batch in world.query.batches]
    assert each == [{"shardId-000000000000", "shardId-000000000001"}] * 4
    narrow = World(2, bounds=Bounds(records=1))
    for number in range(40):
        narrow.send(f"k{number}")
    for _ in range(6):
        narrow.query.batch()
    shards = [next(iter(batch.read)) for batch in narrow.query.batches]
    assert shards == ["shardId-000000000000", "shardId-000000000001"] * 3


def test_bytes_bound_a_batch() -> None:
    """No call is made once the size is there; the pace follows 2 MiB a second."""
    world = World(1, bounds=Bounds(size=1024 * 1024, seconds=60))
    world.send(value=bytes(512 * 1024), count=60)
    world.query.batch()
    assert len(world.query.batches[0].read["shardId-000000000000"]) == 20  # one answer: 10 MiB
    world.drain()
    assert world.found() == world.put
    assert world.fake.too_fast == 0


def test_the_plan_asked_for_twice_is_the_same() -> None:
    """Spark may plan a batch several times, and ask for the latest offset without planning."""
    world = World()
    world.send(count=5)
    tail = world.query.tail
    first = tail.latest()
    world.send(count=5)
    world.clock.now += 1
    second = tail.latest()
    assert first.step == second.step == 1
    parts = tail.planned(tail.initial(), second)
    assert tail.planned(tail.initial(), second) == parts
    assert [len(one.records or ()) for one in parts] == [10]
    assert tail.latest() == second


def test_an_older_answer_is_planned_by_reading_again() -> None:
    """The tail goes on where Spark says it is, not where the tail thought."""
    world = World()
    world.send(count=5)
    tail = world.query.tail
    first = tail.latest()
    world.send(count=5)
    world.clock.now += 1
    tail.latest()
    parts = tail.planned(tail.initial(), first)
    assert [one.records for one in parts] == [None]
    assert len(list(again(world.stream(), parts[0].span))) == 5
    second = tail.latest()
    assert [len(one.records or ()) for one in tail.planned(first, second)] == [5]


def test_a_reader_that_was_not_told_where_it_is_reads_nothing_twice() -> None:
    """Spark's wrapper for availableNow asks for the latest offset before it tells the last one."""
    world = World()
    for _ in range(3):
        world.send()
        world.query.batch()
    tail = world.tail()
    end = tail.latest()
    with pytest.raises(MismatchError, match=r"step 3, then 1.*triggerAvailableNowWrapper"):
        tail.planned(world.query.logged[-1], end)


def test_latest_begins_at_the_moment_the_query_began() -> None:
    """Not at the moment a shard gives its first record: what came between belongs to the query."""
    world = World(1, starting="LATEST")
    world.send(count=5)
    world.fake.split("shardId-000000000000")
    world.clock.now += 10
    del world.put["k"]
    world.query.tail.initial()
    world.query.batch()
    world.send("a")
    world.query.batch()
    world.send("k")
    world.query.restart()
    world.send("k")
    world.drain()
    assert world.found() == world.put


def test_a_time_to_begin_at() -> None:
    """It holds for children as well, and shards that ended before it give nothing."""
    world = World(1, starting=round((BEGIN + 100) * 1000))
    world.send(count=5)
    world.fake.split("shardId-000000000000")
    world.send(count=5)
    del world.put["k"]
    world.clock.now = BEGIN + 200
    world.send(count=5)
    world.drain()
    assert world.found() == world.put


@pytest.mark.parametrize("stuck", [False, True])
def test_records_trimmed_before_they_were_read_are_an_error(stuck: bool) -> None:
    """Never silent: it names shard and sequence number."""
    world = World(1, stuck=stuck)
    world.send(count=3)
    world.query.batch()
    last = world.put["k"][-1]
    world.send(count=3)
    world.clock.now += 25 * HOUR
    world.send()
    world.query.restart()
    with pytest.raises(MismatchError, match=f"shard shardId-0+ of stream s: .*{last}.*24 h"):
        world.query.batch()


def test_a_reader_that_retention_overtakes_is_told() -> None:
    """Its iterators are good all the while: they skip what is trimmed without a word."""
    world = World(1, bounds=Bounds(records=10))
    for _ in range(4):
        world.send(count=10)
        world.clock.now += 60
    world.clock.now += 23.99 * HOUR - 240
    world.query.batch()
    world.query.batch()
    assert sum(map(len, world.found().values())) == 20
    world.clock.now += 200  # less than an iterator's life; the third ten go
    last = world.put["k"][19]
    with pytest.raises(MismatchError, match=f"from sequence number {last} on may be trimmed"):
        world.query.batch()


@pytest.mark.parametrize("most", [1, 10])
def test_a_backlog_as_old_as_the_retention_is_read(most: int) -> None:
    """Near the trim horizon each place is proved anew, and no record comes twice for it."""
    world = World(1, bounds=Bounds(records=most))
    world.send(count=20)
    world.send("a", count=20)
    world.clock.now += 24 * HOUR - 30
    world.drain()
    assert world.found() == world.put
    assert {sum(map(len, one.read.values())) for one in world.query.batches} == {most}


@pytest.mark.parametrize("stuck", [False, True])
def test_losses_are_told_where_they_are_allowed(
    caplog: pytest.LogCaptureFixture,
    stuck: bool,
) -> None:
    """failOnDataLoss=false goes on with what is left."""
    world = World(1, stuck=stuck, fail_on_loss=False)
    world.send(count=3)
    world.query.batch()
    kept = world.put["k"][:]
    world.send(count=3)
    world.clock.now += 25 * HOUR
    world.send()
    world.query.restart()
    with caplog.at_level(logging.WARNING):
        world.drain()
    assert world.found()["k"] == [*kept, world.put["k"][-1]]
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    assert str(kept[-1]) in caplog.text


@pytest.mark.parametrize("stuck", [False, True])
def test_a_quiet_shard_is_no_loss(stuck: bool) -> None:
    """Its last record is trimmed, but it was watched all the time: nothing can be missing."""
    world = World(1, stuck=stuck)
    world.send()
    world.query.batch()
    for _ in range(60):
        world.clock.now += HOUR
        world.query.batch()
    world.query.restart()
    world.clock.now += 20 * HOUR
    world.send()
    world.drain()
    assert world.found() == world.put
    empty = [one for one in world.query.batches if not one.read]
    assert 30 <= len(empty) <= 61
    assert REFRESH_S == HOUR


def test_a_shard_that_is_gone_is_a_loss() -> None:
    """It was split and read to some place; after the retention it is not even listed."""
    world = World(1)
    world.send(count=3)
    world.query.batch()
    world.send(count=3)
    world.fake.split("shardId-000000000000")
    world.clock.now += 30 * HOUR
    world.query.restart()
    last = world.put["k"][2]
    with pytest.raises(
        MismatchError, match=f"shardId-000000000000 .* after sequence number {last}"
    ):
        world.query.batch()
    world.fail = False
    world.query.restart()
    world.send()
    world.drain()
    assert world.found()["k"] == [*world.put["k"][:3], world.put["k"][-1]]


def test_a_child_nobody_came_to_is_a_loss() -> None:
    """Its parent was read to the end; then the query stood still for longer than the retention."""
    world = World(1)
    world.send(count=3)
    world.fake.split("shardId-000000000000")
    world.query.batch()
    world.send(count=3)
    world.clock.now += 25 * HOUR
    world.query.restart()
    with pytest.raises(MismatchError, match="the records it begins with may be trimmed"):
        world.query.batch()


def test_what_a_late_reader_leaves_to_a_child_is_not_taken_for_read() -> None:
    """A parent is read to its end hours after it ended: its child may be as old as that end."""
    world = World(1)
    world.send(count=3)
    world.fake.split("shardId-000000000000")
    world.send(count=3)
    world.clock.now += 20 * HOUR
    world.query.batch()  # of the parent alone
    world.clock.now += 5 * HOUR
    world.query.restart()
    with pytest.raises(MismatchError, match="the records it begins with may be trimmed"):
        world.query.batch()


def test_a_repeat_goes_on_after_an_iterator_expired() -> None:
    """In the middle of a range, at the record that was read last, which does not come twice."""
    world = World(1, bounds=Bounds(seconds=60, size=64 * 1024 * 1024))
    world.send(value=bytes(1024 * 1024), count=25)
    world.query.batch()
    records = world.query.batches[0].read["shardId-000000000000"]
    assert len(records) == 25
    span = Span("shardId-000000000000", records[0].sequence, records[-1].sequence)
    found = []
    world.clock.now += 10
    for record in again(world.stream(), span):
        found.append(record)
        if len(found) in (10, 20):
            world.fake.expire()
    assert found == records


def test_a_repeat_of_what_is_trimmed_is_an_error() -> None:
    """A batch is repeated whole or not at all."""
    world = World(1)
    world.send(count=3)
    world.query.batch()
    world.clock.now += 25 * HOUR
    with pytest.raises(MismatchError, match=str(world.put["k"][0])):
        world.query.repeated()
    world.send()
    with pytest.raises(MismatchError, match=str(world.put["k"][0])):
        world.query.repeated()


def test_a_span_whose_end_is_not_there_is_an_error() -> None:
    """No record is made up, and none left out, for an offset that names one that never was."""
    world = World(1)
    world.send(count=3)
    first, _, last = world.put["k"]
    with pytest.raises(MismatchError, match=f"{last + 1} is gone"):
        list(again(world.stream(), Span("shardId-000000000000", str(first), str(last + 1))))
    world.fake._next += 1
    world.send()
    span = Span("shardId-000000000000", str(first), str(last + 1))
    with pytest.raises(MismatchError, match=f"{last + 1} is gone"):
        list(again(world.stream(), span))
    world.fail = False
    assert [int(one.sequence) for one in again(world.stream(), span)] == world.put["k"][:3]


def test_children_that_are_listed_late_are_found() -> None:
    """ListShards need not show a split at once."""
    world = World(1)
    world.send()
    world.fake.split("shardId-000000000000")
    world.fake.hidden = {"shardId-000000000001", "shardId-000000000002"}
    world.send(count=3)
    for _ in range(4):
        world.query.batch()
    world.fake.hidden = set()
    world.drain()
    assert world.found() == world.put


def test_another_stream_of_the_same_name_is_refused() -> None:
    """Its sequence numbers mean nothing to us."""
    world = World()
    world.send()
    world.query.batch()
    world.fake.created += 100
    world.query.restart()
    with pytest.raises(MismatchError, match="the checkpoint is of stream s, created at"):
        world.query.batch()


def test_throttles_make_a_batch_smaller_and_end_after_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A batch does not wait for a shard that is throttled; for ever would be silence."""
    world = World(1)
    world.send(count=3)
    world.query.latest()
    world.fake.refusals = [refused("any", THROTTLE)] * 10_000
    begun = world.clock.now
    assert world.query.tail.latest().step == 1
    assert world.clock.now - begun < 7
    told = r"shard shardId-0+ of stream s has not answered for 30\d s"
    with pytest.raises(TemporaryError, match=told), caplog.at_level(logging.WARNING):
        forever(world)
    assert caplog.text.count(THROTTLE) == 1
    assert 300 < world.clock.now - begun < 500


@pytest.mark.parametrize(
    "trouble",
    [
        refused("any", "LimitExceededException"),
        refused("any", "ServiceUnavailable", 503),
        refused("any", "NeverHeardOf", 500),
        ReadTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
    ],
)
def test_trouble_that_passes_is_waited_for(trouble: Exception) -> None:
    """In control calls as in reads; what was waited before a success counts no more."""
    world = World(1)
    world.fake.refusals = [trouble] * 3
    for _ in range(30):
        world.send()
        world.drain()
        world.fake.refusals = [trouble] * 8  # 12 s of waits
    assert world.found() == world.put


def forever(world: World) -> None:
    """Ask as Spark does."""
    while True:
        world.clock.now += 0.01
        world.query.tail.latest()


@pytest.mark.parametrize(
    ("code", "expected"),
    [("AccessDeniedException", CredentialsError), ("KMSNotFoundException", TemporaryError)],
)
def test_trouble_that_does_not_pass_ends_at_once(code: str, expected: type[Exception]) -> None:
    """One call, one error."""
    world = World(1)
    world.query.latest()
    world.fake.refusals = [refused("any", code)]
    with pytest.raises(expected, match=code):
        world.query.tail.latest()


def test_a_stream_that_is_not_there() -> None:
    """Said with the options to look at."""
    world = World(1)

    def missing(**_request: Any) -> Any:
        raise refused("DescribeStreamSummary", "ResourceNotFoundException")

    world.fake.describe_stream_summary = missing  # type: ignore[method-assign]  # one stream only
    with pytest.raises(ConfigError, match="stream s does not exist"):
        world.query.latest()


def test_an_aggregate_is_refused_or_kept() -> None:
    """The KPL's magic bytes, and the digest that only an aggregate has."""
    message = b"\x0a\x03key"
    packed = b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()
    assert aggregated(packed)
    for value in (b"", b"\xf3\x89\x9a\xc2", packed[:-1], packed + b" ", b"{}" + packed):
        assert not aggregated(value)
    world = World(1)
    world.send(value=packed)
    number = world.put["k"][0]
    with pytest.raises(DataGateError, match=f"sequence number {number} is an aggregate"):
        world.query.batch()
    kept = World(1, keep_aggregated=True)
    kept.send(value=packed)
    kept.query.batch()
    assert kept.query.batches[0].read["shardId-000000000000"][0].value == packed


def test_the_pace_of_a_shard() -> None:
    """Five calls a second; none sooner than its bytes allow."""
    world = World(1)
    cursor = Cursor(world.stream(), "shardId-000000000000", Position())
    begun = world.clock.now
    for _ in range(11):
        cursor.read(10)
    assert world.clock.now - begun == pytest.approx(2.0)
    world.send(value=bytes(1024 * 1024), count=4)
    cursor.read(10)
    assert cursor.due - world.clock.now == pytest.approx(2.0, abs=0.01)
