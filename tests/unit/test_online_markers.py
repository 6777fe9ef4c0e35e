"""Markers and rejects: durable in the right order, first one wins, and they must add up."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import (
    MismatchError,
    PenstockError,
    TemporaryError,
)
from penstock.online import REJECT_COLUMNS, Figures, SendJob, fold, missing, send_file
from penstock.online.marker import MAX_MESSAGE, scrubbed
from penstock.storage import LocalStorage
from tests.scripted import Scripted, error, poisoned, scripted
from tests.sending import job_of, line_for, staged, table

STORAGE = LocalStorage()


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server; afterwards no sending thread is left."""
    with scripted() as state:
        yield state
    left = [one.name for one in threading.enumerate() if one.name.startswith("penstock")]
    assert not left


@pytest.mark.parametrize("api", ["auto", "put"])
def test_rejected_rows_are_kept_whole_and_named(server: Scripted, tmp_path: Path, api: str) -> None:
    """T23: nine bad records of 200: nine rejects with code and payload; the rest is accepted."""
    server.script = poisoned
    job = job_of(server.url, tmp_path, api=api)
    data = table(200)
    path = staged(tmp_path, data)
    outcome = send_file(job, path, STORAGE, line=line_for(job))
    assert (outcome.figures.accepted, outcome.figures.rejected) == (191, 9)
    totals = fold(STORAGE, job.results, {path: 200}, job.chunk_rows)
    assert totals.figures.by_code == {"ValidationError": 9}
    (file,) = totals.rejects_files
    rejects = pq.read_table(file)
    assert rejects.column_names == [name for name, _ in REJECT_COLUMNS] + list(job.features)
    rows = rejects.column("_row").to_pylist()
    assert rows == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert rejects.select(list(job.features)).to_pylist() == data.take(rows).to_pylist()
    assert set(rejects.column("_code").to_pylist()) == {"ValidationError"}
    for message in rejects.column("_message").to_pylist():
        assert "wren" not in message
        assert "10.5" not in message


class Watched(LocalStorage):
    """Storage that notes what is written and can fail or dawdle."""

    def __init__(self, *, breaks: str = "", slow_s: float = 0.0) -> None:
        self.written: list[str] = []
        self._breaks, self._slow_s = breaks, slow_s

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As told."""
        time.sleep(self._slow_s)
        if self._breaks and path.endswith(self._breaks):
            raise OSError(28, "No space left on device")
        self.written.append(path)
        return super().put_if_absent(path, data)


def test_a_marker_follows_its_rejects(server: Scripted, tmp_path: Path) -> None:
    """The rejects a marker names are durable before the marker is."""
    server.script = poisoned
    job = job_of(server.url, tmp_path)
    storage = Watched()
    send_file(job, staged(tmp_path, table(100)), storage, line=line_for(job))
    assert [name.rsplit(".", 1)[1] for name in storage.written] == ["parquet", "json"]


def test_no_marker_where_rejects_could_not_be_written(server: Scripted, tmp_path: Path) -> None:
    """A full disk while writing rejects: the error surfaces and the chunk stays unmarked."""
    server.script = poisoned
    job = job_of(server.url, tmp_path)
    path = staged(tmp_path, table(100))
    with pytest.raises(TemporaryError, match="No space left"):
        send_file(job, path, Watched(breaks=".parquet"), line=line_for(job))
    assert missing(STORAGE, job.results, {path: 100}, job.chunk_rows) == ["part-00000-000000"]


def test_sending_does_not_wait_for_markers(server: Scripted, tmp_path: Path) -> None:
    """Markers that take 0.2 s each: all calls are made long before the markers are there."""
    job = job_of(server.url, tmp_path)
    path = staged(tmp_path, table(2000))
    began = time.monotonic()
    send_file(job, path, Watched(slow_s=0.2), line=line_for(job))
    whole = time.monotonic() - began
    assert server.calls[-1].at - began < whole - 0.3
    assert not missing(STORAGE, job.results, {path: 2000}, job.chunk_rows)


def test_two_attempts_at_once_are_harmless(server: Scripted, tmp_path: Path) -> None:
    """Speculation: both send everything, each chunk has one marker, the fold counts rows once."""
    server.script = poisoned
    job = job_of(server.url, tmp_path)
    path = staged(tmp_path, table(1000))
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            send_file(job, path, STORAGE, line=line_for(job))
        except PenstockError as problem:
            errors.append(problem)

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    totals = fold(STORAGE, job.results, {path: 1000}, job.chunk_rows)
    assert (totals.figures.sent, totals.figures.accepted) == (1000, 991)
    assert pq.read_table(totals.rejects_files[0]).num_rows == 9


def marked_job(server: Scripted, folder: Path) -> tuple[SendJob, str]:
    """A finished file of 250 rows."""
    job = job_of(server.url, folder)
    path = staged(folder, table(250))
    send_file(job, path, STORAGE, line=line_for(job))
    return job, path


def test_a_missing_marker_is_named(server: Scripted, tmp_path: Path) -> None:
    """One marker gone: the fold says which chunk, and to run again."""
    job, path = marked_job(server, tmp_path)
    (tmp_path / "results" / "part-00000-000001.json").unlink()
    with pytest.raises(TemporaryError, match="part-00000-000001"):
        fold(STORAGE, job.results, {path: 250}, job.chunk_rows)


@pytest.mark.parametrize("change", [{"rows": 99}, {"sent": 99}, {"accepted": 99}, {"chunk": 2}])
def test_a_marker_that_does_not_add_up_is_refused(
    server: Scripted, tmp_path: Path, change: dict[str, Any]
) -> None:
    """A figure off by one in one marker ends in exit 70: nothing is derived by subtraction."""
    job, path = marked_job(server, tmp_path)
    marker = tmp_path / "results" / "part-00000-000001.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | change))
    with pytest.raises(MismatchError, match="100 rows expected"):
        fold(STORAGE, job.results, {path: 250}, job.chunk_rows)


def test_a_file_with_one_row_less_is_noticed(server: Scripted, tmp_path: Path) -> None:
    """A manifest that speaks of 251 rows where 250 were sent ends in exit 70."""
    job, path = marked_job(server, tmp_path)
    with pytest.raises(MismatchError, match="51 rows expected, 50 noted"):
        fold(STORAGE, job.results, {path: 251}, job.chunk_rows)


def test_messages_lose_values_and_keep_names() -> None:
    """Quoted and bracketed text goes unless it is a feature's name; so do the row's values."""
    words = (
        'Feature [kind] of \'birds\': value "secret" (42, O\'Hara) exceeds {"x": 1}\n of 42.5 [7]'
    )
    clean = scrubbed(words, ["42", "O'Hara", ""], {"kind", "birds"})
    assert clean.startswith("Feature [kind] of 'birds': value \"…\" (…, ")
    for value in ("secret", "42,", "Hara", '"x"', "7", "\n"):
        assert value not in clean
    assert len(scrubbed("word " * 400, [], set())) <= MAX_MESSAGE


def test_arrow_types_survive_in_rejects(server: Scripted, tmp_path: Path) -> None:
    """Nulls and types of the payload are those of the send file, so that it can be replayed."""
    server.script = lambda _: error(400, "ValidationError")
    job = job_of(server.url, tmp_path)
    data = table(3, kind=[None, "é🦜", ""], length=[None, 1e-300, -0.0], legs=[2**63 - 1, None, 0])
    path = staged(tmp_path, data)
    send_file(job, path, STORAGE, line=line_for(job))
    (file,) = fold(STORAGE, job.results, {path: 3}, job.chunk_rows).rejects_files
    kept: pa.Table = pq.read_table(file).select(list(job.features))
    assert kept.equals(data)


def test_markers_of_an_older_version_are_read(server: Scripted, tmp_path: Path) -> None:
    """Figures they do not have count as nothing; the others as they stand there."""
    job, path = marked_job(server, tmp_path)
    new = fold(STORAGE, job.results, {path: 250}, job.chunk_rows)
    assert new.figures.in_flight > 0
    assert sum(new.figures.latency.values()) == new.figures.calls == 10
    assert new.figures.p99_ms is not None
    for marker in (tmp_path / "results").glob("*.json"):
        held = json.loads(marker.read_text())
        for name in ("skipped", "latency", "in_flight"):
            del held[name]
        marker.write_text(json.dumps(held))
    old = fold(STORAGE, job.results, {path: 250}, job.chunk_rows)
    assert old.figures == replace(new.figures, latency={}, in_flight=0)
    assert (old.figures.p50_ms, old.figures.p99_ms) == (None, None)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_percentiles_are_exact_to_a_sixteenth(times: list[int]) -> None:
    """Whatever the times are, in one marker or in many: within 6.3 % of the true ones."""
    halves = Figures(), Figures()
    for place, microseconds in enumerate(times):
        halves[place % 2].answered(microseconds / 1e6)
    halves[0].add(halves[1])
    for share, found in ((0.5, halves[0].p50_ms), (0.99, halves[0].p99_ms)):
        true = sorted(times)[math.ceil(share * len(times)) - 1]
        assert found is not None
        assert found * 1000 == pytest.approx(true, rel=0.063, abs=1.5)
