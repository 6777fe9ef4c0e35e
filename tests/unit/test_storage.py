"""Put-if-absent has one winner, whatever races; writes are whole or not there."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.storage import LocalStorage, absolute, is_s3, local_path, uri_of

RACERS, NAMES = 8, 100


def _race(folder: str, racer: int, start: Barrier, won: str) -> None:
    start.wait()
    storage = LocalStorage()
    mine = [n for n in range(NAMES) if storage.put_if_absent(f"{folder}/{n}", b"%d" % racer)]
    Path(won, str(racer)).write_text(" ".join(map(str, mine)), encoding="ascii")


def _names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.shows("3.4")
def test_of_eight_processes_exactly_one_wins_each_name(tmp_path: Path) -> None:
    """Every name has one winner, and holds what that winner wrote."""
    context = multiprocessing.get_context("spawn")
    start, won = context.Barrier(RACERS), tmp_path / "won"
    won.mkdir()
    folder = tmp_path / "names"
    racers = [
        context.Process(target=_race, args=(str(folder), n, start, str(won))) for n in range(RACERS)
    ]
    for one in racers:
        one.start()
    for one in racers:
        one.join(60)
        assert one.exitcode == 0
    wins = {n: [int(name) for name in (won / str(n)).read_text().split()] for n in range(RACERS)}
    assert sorted(name for mine in wins.values() for name in mine) == list(range(NAMES))
    for racer, mine in wins.items():
        assert {(folder / str(name)).read_text() for name in mine} <= {str(racer)}
    assert len(_names(folder)) == NAMES  # no temporary file is left


def test_of_eight_threads_exactly_one_wins(tmp_path: Path) -> None:
    """Threads of one process race alike."""
    start, wins = threading.Barrier(RACERS), []

    def race(racer: int) -> None:
        start.wait()
        if LocalStorage().put_if_absent(str(tmp_path / "name"), b"%d" % racer):
            wins.append(racer)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(RACERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [str(one) for one in wins] == [(tmp_path / "name").read_text()]


def test_a_write_is_whole_for_whoever_reads_meanwhile(tmp_path: Path) -> None:
    """A reader sees one content or the other, never a part, never nothing."""
    storage, path = LocalStorage(), str(tmp_path / "folder" / "name")
    contents = [b"a" * 100_000, b"b" * 50_000]
    storage.write(path, contents[0])
    stop = threading.Event()

    def write() -> None:
        for n in range(200):
            storage.write(path, contents[n % 2])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = {storage.read(path) for _ in iter(stop.is_set, True)}
    writer.join()
    assert seen <= set(contents)
    assert _names(tmp_path / "folder") == ["name"]


def test_a_name_that_exists_is_left_alone(tmp_path: Path) -> None:
    """The second put touches nothing and leaves nothing."""
    storage, path = LocalStorage(), str(tmp_path / "name")
    assert storage.put_if_absent(path, b"first")
    assert not storage.put_if_absent(path, b"second")
    assert storage.read(path) == b"first"
    assert _names(tmp_path) == ["name"]


def test_a_put_that_cannot_be_written_leaves_no_name(tmp_path: Path) -> None:
    """Where a file stands in the way of a folder, the error comes out and nothing is made."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        LocalStorage().put_if_absent(str(tmp_path / "file" / "name"), b"")
    assert _names(tmp_path) == ["file"]


def test_listing(tmp_path: Path) -> None:
    """Direct children, sorted, without what is still being written; nothing where nothing is."""
    storage = LocalStorage()
    for name in ("b", "a", ".c.tmp", "d/e"):
        storage.write(str(tmp_path / name), b"")
    assert storage.list(str(tmp_path)) == [str(tmp_path / name) for name in ("a", "b", "d")]
    assert storage.list(str(tmp_path / "none")) == []
    assert storage.list(str(tmp_path / "a")) == []
    storage.remove(str(tmp_path / "d"))
    storage.remove(str(tmp_path / "none"))
    assert not storage.exists(str(tmp_path / "d" / "e"))


def test_reading_and_creating(tmp_path: Path) -> None:
    """What was created can be read; what was not raises FileNotFoundError."""
    storage, path = LocalStorage(), str(tmp_path / "folder" / "name")
    with storage.create(path) as file:
        file.write(b"text")
    with storage.open_input(path) as file:
        assert file.read() == b"text"
    for read in (storage.read, storage.open_input):
        with pytest.raises(FileNotFoundError):
            read(str(tmp_path / "none"))


def test_a_copy_across_file_systems(tmp_path: Path) -> None:
    """Nothing can be linked there; the bytes go, whole, and a second time as well."""
    source = tmp_path / "name"
    source.write_bytes(b"text")
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        for _ in range(2):
            LocalStorage().copy(str(source), f"{folder}/in/name")
            assert Path(folder, "in", "name").read_bytes() == b"text"
        assert _names(Path(folder, "in")) == ["name"]
        with pytest.raises(FileNotFoundError):
            LocalStorage().copy(str(tmp_path / "none"), f"{folder}/in/none")


_REMOVER = """
import os, sys, time
while os.path.exists(sys.argv[1]):
    time.sleep(0.0003)
    for folder in sys.argv[2:]:
        try:
            os.rmdir(folder)
        except OSError:
            pass
"""


def test_what_is_made_beside_whoever_removes_empty_folders(tmp_path: Path) -> None:
    """Copies and files are made though another process takes their folders again and again."""
    storage, source, folder = LocalStorage(), str(tmp_path / "name"), tmp_path / "a" / "b"
    storage.write(source, b"text")
    command = [sys.executable, "-S", "-c", _REMOVER, source, str(folder), str(folder.parent)]
    with subprocess.Popen(command) as remover:
        try:
            folder.mkdir(parents=True)
            while folder.exists():  # until it is at work
                pass
            for n in range(300):
                copy, file = str(folder / f"copy{n}"), str(folder / f"file{n}")
                storage.copy(source, copy)
                storage.delete(copy)
                storage.create(file).close()
                assert _names(folder) == [f"file{n}"]
                storage.delete(file)
        finally:
            storage.delete(source)
    assert remover.returncode == 0
    storage.write(source, b"text")
    with pytest.raises(NotADirectoryError):
        storage.copy(source, f"{source}/in")


def test_places() -> None:
    """Folders, file URIs and S3 are places; another scheme is refused with what to do."""
    assert [is_s3(one) for one in ("/folder", "file:///folder", "s3://bucket/state")] == [
        False,
        False,
        True,
    ]
    assert local_path("file:///a/b") == local_path("/a/b") == "/a/b"
    assert absolute("s3://bucket/state/") == uri_of("s3://bucket/state") == "s3://bucket/state"
    assert uri_of(absolute("file:///a/b c")) == "file:///a/b%20c"
    with pytest.raises(ConfigError, match="hdfs://"):
        is_s3("hdfs://host/folder")
