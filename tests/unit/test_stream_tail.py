"""What lags behind a stream: bounded in time and rows, in order, and an error is everybody's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.errors import TemporaryError
from penstock.streaming import tail as module
from tests.staged_batches import START, STORAGE
from tests.stream_bench import Bench, Refusals, Surroundings

WAIT_S = 20.0  # for a thread; it is awaited, not slept


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
    rejects = list(batches[0][1].rejects_files)
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
