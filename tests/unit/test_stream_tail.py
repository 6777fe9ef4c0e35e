"""What lags behind a stream: bounded in time and rows, in order, and an error is everybody's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import MismatchError, TemporaryError
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


def test_many_batches_do_not_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the lag is: who resumes reads their manifests. One commit has no more."""
    monkeypatch.setattr(module, "MAX_BATCHES", 2)
    tail = bench.tail()
    for number in range(3):
        tail.add(*bench.batch(number))
    tail.start()
    until(lambda: tail.reached >= 1)
    assert bench.offline.commits == [[0, 1]]
    time.sleep(0.2)
    assert tail.reached == 1
    tail.close()
    assert bench.offline.commits == [[0, 1], [2]]


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
    """The next batch, a look, the end; what waits keeps its files and is known to wait.

    Before that it was tried again, after longer and longer pauses.
    """
    bench.offline.error = TemporaryError("others came first", "Run it again")
    tail = bench.tail(lag_s=0.0)
    tail.start()
    tail.add(*bench.batch(0))
    until(lambda: tail.failed)
    assert bench.pauses == list(module.PAUSES_S)
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
    tail.prepare()
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


def test_a_table_that_is_not_there_is_not_widened(bench: Bench) -> None:
    """Its first commit makes it; where the service writes it, there is none."""
    bench.offline.exists = False
    bench.tail().prepare()
    bench.tail(own=False).prepare()
    assert bench.offline.calls == []


@pytest.mark.parametrize("error", [TemporaryError("slow down", ""), OSError("no answer")])
def test_a_storage_that_answers_again_ends_the_trouble(bench: Bench, error: Exception) -> None:
    """After the pauses it took; what was put aside meanwhile is entered once."""
    bench.offline.error = error

    def sleep(pause: float) -> None:
        bench.pauses.append(pause)
        bench.offline.error = error if len(bench.pauses) < 2 else None

    bench.context = replace(bench.context, sleep=sleep)
    tail = bench.tail(lag_s=0.0)
    tail.start()
    tail.add(*bench.batch(0, b"bad"))
    tail.close()
    assert bench.pauses == list(module.PAUSES_S[:2])
    assert (bench.offline.commits, bench.positions(), tail.failed) == ([[0]], [0], False)


def test_what_no_patience_mends_is_told_at_once(bench: Bench) -> None:
    """Rows that were lost, say."""
    bench.offline.error = MismatchError("rows were lost", "")
    tail = bench.tail(lag_s=0.0)
    tail.start()
    tail.add(*bench.batch(0))
    until(lambda: tail.failed)
    with pytest.raises(MismatchError):
        tail.close()
    assert bench.pauses == []


def test_who_was_taken_over_commits_nothing(bench: Bench) -> None:
    """Neither rows nor what was put aside; the files stay for the new driver."""
    tail = bench.tail()
    tail.add(*bench.batch(0, b"bad"))
    bench.ours = False
    with pytest.raises(TemporaryError, match="taken over"):
        tail.flush()
    assert (bench.offline.calls, Refusals.noted, tail.reached) == ([], [], -1)
    assert not bench.context.quarantine.exists
    assert STORAGE.exists(f"{bench.places.batch(0)}/manifest.json")


def test_whether_it_is_ours_is_asked_before_each_commit(bench: Bench) -> None:
    """Also before each repeated one: pauses are long enough to be taken over in."""
    bench.offline.error = TemporaryError("slow down", "")

    def sleep(pause: float) -> None:
        bench.pauses.append(pause)
        bench.offline.error, bench.ours = None, False

    bench.context = replace(bench.context, sleep=sleep)
    tail = bench.tail(lag_s=0.0)
    tail.start()
    tail.add(*bench.batch(0))
    with pytest.raises(TemporaryError, match="taken over"):
        tail.close()
    assert bench.offline.commits == []


def test_where_commits_are_slower_the_stream_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most two commits' rows wait, and one batch; a commit lets the stream go on."""
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    entered, go = threading.Event(), threading.Event()
    plain = bench.offline.commit

    def slow(*told: Any) -> Any:
        entered.set()
        assert go.wait(WAIT_S)
        return plain(*told)

    monkeypatch.setattr(bench.offline, "commit", slow)
    tail, added = bench.tail(), list[int]()
    tail.start()
    batches = [bench.batch(number, rows=5) for number in range(4)]

    def add() -> None:
        for number, one in enumerate(batches):
            tail.add(*one)
            added.append(number)

    stream = threading.Thread(target=add)
    stream.start()
    assert entered.wait(WAIT_S)
    until(lambda: added == [0, 1])
    time.sleep(2 * module._LOOK_S + 0.2)
    assert added == [0, 1]
    go.set()
    stream.join(WAIT_S)
    tail.close()
    assert added == [0, 1, 2, 3]
    assert bench.offline.commits == [[0], [1], [2], [3]]


def test_a_stream_that_waits_for_commits_is_told_of_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever."""
    monkeypatch.setattr(module, "MAX_ROWS", 1)
    bench.offline.error = MismatchError("rows were lost", "")
    tail = bench.tail()
    tail.start()
    found: list[BaseException] = []

    def add() -> None:
        try:
            for number in range(50):
                tail.add(*bench.batch(number))
        except MismatchError as error:
            found.append(error)

    stream = threading.Thread(target=add, daemon=True)
    stream.start()
    stream.join(WAIT_S)
    with pytest.raises(MismatchError) as told:
        tail.close()
    assert found == [told.value]


def test_a_commit_has_about_so_many_rows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is never cut: one that is larger is committed alone; the order stays."""
    monkeypatch.setattr(module, "MAX_ROWS", 5)
    tail = bench.tail()
    for number, rows in enumerate((2, 3, 1, 9, 0, 5)):
        tail.add(*bench.batch(number, rows=rows))
    tail.flush()
    assert bench.offline.commits == [[0, 1], [2], [3], [4, 5]]
    assert bench.meter.offline == 20
