"""What lags behind a stream: bounded in time and rows, in order, and an error is everybody's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from penstock import lake
from penstock.aws import Endpoint
from penstock.config import Settings
from penstock.errors import TemporaryError
from penstock.online.totals import OnlineTotals
from penstock.quarantine import Quarantine
from penstock.run.context import Context
from penstock.run.places import quarantine_path
from penstock.streaming import tail as module
from penstock.streaming.batch import Batch, keep
from penstock.streaming.committing import Committed
from penstock.streaming.meter import Meter
from penstock.streaming.places import StreamPlaces
from penstock.streaming.tail import Tail
from tests.streams import GROUP, START, STORAGE, day, sent, staged

WAIT_S = 20.0  # for a thread; it is awaited, not slept


@dataclass
class Clock:
    """Stands still until it is moved."""

    at: datetime = START

    def __call__(self) -> datetime:
        """When it is."""
        return self.at


@dataclass
class Offline:
    """An offline table that notes what is done to it."""

    reached: int = -1
    exists: bool = True
    calls: list[tuple[str, list[int]]] = field(default_factory=list)
    error: Exception | None = None

    def widen(self) -> None:
        """Noted."""
        self.calls.append(("widen", []))

    def commit(
        self, batches: Sequence[Batch], rejects: Sequence[Sequence[str]], at: datetime
    ) -> Committed:
        """Noted, unless it is to fail."""
        assert len(batches) == len(rejects)
        assert at.tzinfo is not None
        if self.error is not None:
            raise self.error
        self.calls.append(("commit", [one.number for one in batches]))
        self.reached = batches[-1].number
        return Committed(sum(one.staged.fit for one in batches), 0, 0)

    @property
    def commits(self) -> list[list[int]]:
        """Numbers of the batches of each commit."""
        return [numbers for what, numbers in self.calls if what == "commit"]


class Refusals(Quarantine):
    """A quarantine that notes rejects: entering those needs Spark."""

    noted: ClassVar[list[tuple[list[str], int]]] = []  # with the greatest batch entered by then

    def add_rejects(self, files: Sequence[str], group: Any, entry: Any) -> None:
        """Noted."""
        del group, entry
        self.noted.append((list(files), self.reached(PLACES)))


PLACES = "penstock:g:stream-0001"


@dataclass(frozen=True)
class Surroundings(Context):
    """Without Spark."""

    @property
    def quarantine(self) -> Quarantine:
        """Real but for rejects."""
        return Refusals(cast("Any", None), quarantine_path(self.settings), STORAGE)


class Bench:
    """A tail and all it is made of."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.offline = Clock(), Offline()
        values = {
            "project": "p",
            "lake": f"{folder}/lake",
            "state": f"{folder}/state",
            "aws": {"region": "us-east-1"},
            "catalog": {"register": False},
        }
        self.context = Surroundings(
            lambda: cast("Any", None),
            Endpoint("us-east-1", "http://127.0.0.1:9", None),
            Settings.model_validate(values),
            folder,
            now=self.clock,
        )
        self.places = StreamPlaces(f"{folder}/state", "g", 1)
        self.meter = Meter(START.timestamp())
        Refusals.noted.clear()

    def tail(self, lag_s: float = 3600.0, *, own: bool = True) -> Tail:
        """One that was not started yet."""
        offline = cast("Any", self.offline if own else None)
        places, meter = self.places, self.meter
        return Tail(
            self.context, GROUP, "meaning", places, offline, meter, lag_s, "run", compare=False
        )

    def batch(self, number: int, *bad: bytes, rows: int = 1, refused: bool = False) -> Any:
        """A batch that is online, as :meth:`Tail.add` takes it."""
        some = [(f"{n}", day(1), n, False) for n in range(rows)]
        made = staged(self.places.batches, number, some, bad, offset=number)
        keep(STORAGE, self.places.batch(number), made)
        return made, sent(self.places.batches, made, ["0"] if refused else [])

    def positions(self) -> list[int]:
        """Offsets of what is in the quarantine."""
        path = quarantine_path(self.context.settings)
        return sorted(one["position"] for one in lake.quarantined(path, STORAGE))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """One; no thread is left behind."""
    yield Bench(tmp_path)
    assert not [one.name for one in threading.enumerate() if one.name == "penstock-tail"]


def until(true: Callable[[], bool]) -> None:
    """Wait for a thread."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)


def test_batches_wait_for_the_lag_and_go_together(bench: Bench) -> None:
    """Nothing before the oldest has waited so long; then all that are there, in one commit."""
    tail = bench.tail(lag_s=10.0)
    tail.start()
    tail.add(*bench.batch(0))
    assert bench.meter.waiting_since == START.timestamp()
    bench.clock.at += timedelta(seconds=9.9)
    tail.add(*bench.batch(1))
    time.sleep(0.3)
    assert bench.offline.commits == []
    bench.clock.at += timedelta(seconds=0.1)
    tail.add(*bench.batch(2))
    until(lambda: tail.reached >= 0)
    tail.close()
    assert [n for one in bench.offline.commits for n in one] == [0, 1, 2]
    assert bench.offline.commits[0][:2] == [0, 1]
    assert bench.meter.plain(bench.clock.at.timestamp())["offline_behind_s"] == 0.0
    assert (bench.meter.offline, tail.reached) == (3, 2)


def test_the_lag_ends_by_itself(bench: Bench) -> None:
    """No other batch has to come; the wall clock moves here."""
    bench.context = Surroundings(
        bench.context.start, bench.context.endpoint, bench.context.settings, bench.context.root
    )
    tail = bench.tail(lag_s=0.2)
    tail.start()
    began = time.monotonic()
    tail.add(*bench.batch(0))
    until(lambda: tail.reached == 0)
    assert time.monotonic() - began >= 0.15
    tail.close()


def test_many_rows_do_not_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the lag is."""
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    tail = bench.tail()
    tail.start()
    tail.add(*bench.batch(0, rows=4))
    time.sleep(0.2)
    assert bench.offline.commits == []
    tail.add(*bench.batch(1, rows=1))
    until(lambda: tail.reached == 1)
    assert bench.offline.commits == [[0, 1]]
    tail.close()


def test_close_commits_what_waits(bench: Bench) -> None:
    """And what is in both stores has no files left; nothing twice, nothing where nothing waits."""
    tail = bench.tail()
    tail.start()
    for number in range(3):
        tail.add(*bench.batch(number, b"bad"))
    assert len(STORAGE.list(bench.places.batches)) == 3
    tail.close()
    tail.close()
    assert bench.offline.commits == [[0, 1, 2]]
    assert bench.positions() == [0, 1, 2]
    assert STORAGE.list(bench.places.batches) == []


def test_an_error_is_raised_wherever_the_stream_asks(bench: Bench) -> None:
    """The next batch, a look, the end; what waits keeps its files and is known to wait."""
    bench.offline.error = TemporaryError("others came first", "Run it again")
    tail = bench.tail(lag_s=0.0)
    tail.start()
    tail.add(*bench.batch(0))
    until(lambda: tail._error is not None)
    for ask in (tail.check, lambda: tail.add(*bench.batch(1)), tail.close):
        with pytest.raises(TemporaryError, match="others came first"):
            ask()
    assert tail.reached == -1
    assert bench.meter.waiting_since == START.timestamp()
    assert STORAGE.exists(f"{bench.places.batch(0)}/manifest.json")


def test_what_was_put_aside_is_entered_before_the_offline_commit(bench: Bench) -> None:
    """Whoever dies between brings it again, with more: each row is entered once."""
    bench.offline.error = TemporaryError("the power is gone", "")
    first = bench.tail()
    batches = [bench.batch(0, b"bad", refused=True), bench.batch(1, b"bad")]
    for one in batches:
        first.add(*one)
    with pytest.raises(TemporaryError):
        first.flush()
    assert bench.positions() == [0, 1]
    bench.offline.error = None
    second = bench.tail()
    for one in (*batches, bench.batch(2, b"bad")):
        second.add(*one)
    second.flush()
    assert bench.positions() == [0, 1, 2]
    assert bench.offline.commits == [[0, 1, 2]]
    rejects = list(cast("OnlineTotals", batches[0][1]).rejects_files)
    assert len(rejects) == 1
    assert Refusals.noted == [(rejects, 1), (rejects, 2)]


def test_left_batches_go_into_a_table_with_all_columns(bench: Bench) -> None:
    """A feature may have come since they were staged: first the columns, then the rows."""
    tail = bench.tail()
    tail.flush()
    assert bench.offline.calls == []
    tail.add(*bench.batch(0))
    tail.flush()
    assert bench.offline.calls == [("widen", []), ("commit", [0])]


def test_without_a_table_of_ours_it_is_noted_how_far_it_came(bench: Bench) -> None:
    """The next run reads it; rows are put aside all the same."""
    tail = bench.tail(own=False)
    assert tail.reached == -1
    tail.add(*bench.batch(0, b"bad"))
    tail.add(*bench.batch(1))
    tail.flush()
    assert bench.offline.calls == []
    assert bench.positions() == [0]
    assert bench.tail(own=False).reached == tail.reached == 1
