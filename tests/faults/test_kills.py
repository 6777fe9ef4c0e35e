"""T02 and T07 in small: processes that send are killed in a chunk, or send the same rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from penstock.emulator.server import Emulator
from tests.faults.crew import worker
from tests.faults.field import Field
from tests.flow.processes import until
from tests.sending import table

ROWS, CHUNK, ROUNDS = 3_000, 200, 3


@pytest.mark.shows("5.6")
def test_t02_worker_kill9_three_rounds_of_some(
    emulator: Emulator, make: Callable[..., Field]
) -> None:
    """Whoever comes after sends what has no marker: nothing lost, at most a chunk a kill again."""
    field = make(chunk_rows=CHUNK, in_flight=2)
    field.stage(table(ROWS))
    (file,) = field.files
    for number in range(ROUNDS):
        with worker(field.job, 2_000.0) as process:
            assert process.stdin is not None
            process.stdin.write(f"{file}\n".encode())
            process.stdin.flush()
            until(partial(_taken, emulator, 450 * (number + 1)), "rows", 60)
            assert process.poll() is None
        assert 0 < field.marked() < ROWS // CHUNK
    field.assure(field.send(), floor=ROWS)
    assert 0 < len(emulator.journal()) - ROWS <= ROUNDS * CHUNK + 2 * 25 * ROUNDS


@pytest.mark.shows("5.6")
def test_t07_speculation_duplicates_of_some(emulator: Emulator, make: Callable[..., Field]) -> None:
    """Two attempts at one file at once, as Spark speculates: rows go twice, and count once."""
    field = make(chunk_rows=CHUNK, in_flight=2)
    field.stage(table(ROWS))
    (file,) = field.files
    with worker(field.job, 2_000.0) as slow, worker(field.job, 2_000.0) as quick:
        for process in (slow, quick):
            assert process.stdin is not None
            process.stdin.write(f"{file}\n\n".encode())
            process.stdin.flush()
        assert [process.wait(60) for process in (slow, quick)] == [0, 0]
    assert len(emulator.journal()) > ROWS
    field.assure(field.send(), floor=ROWS)
    assert field.totals().figures.accepted == ROWS


def _taken(emulator: Emulator, rows: int) -> bool:
    return len(emulator.journal()) >= rows
