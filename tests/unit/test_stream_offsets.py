"""Offsets are read from Spark's own files, and what cannot be told is not guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.storage import LocalStorage
from penstock.streaming.offsets import Offsets, events_between, last_batch, offsets_of

STORAGE = LocalStorage()
#: As Spark 4.1 wrote them; the settings are shortened.
_QUERY = (
    '{"batchWatermarkMs":1358758800000,"batchTimestampMs":1795923771686,"conf":'
    '{"spark.sql.shuffle.partitions":"2","spark.sql.streaming.multipleWatermarkPolicy":"min"}}'
)
BEGAN = '\0v1\n{"flights":{"0":0,"1":0}}'
FIRST = f'v1\n{_QUERY}\n{{"flights":{{"0":10038,"1":9962}}}}'


def checkpoint(folder: Path, **files: str) -> str:
    """A checkpoint with ``offsets/N`` for oN, and with ``sources/0/0`` for ``began``."""
    for name, text in files.items():
        place = "sources/0/0" if name == "began" else f"offsets/{name[1:]}"
        STORAGE.write(f"{folder}/{place}", text.encode())
    return f"{folder}"


def test_a_batch_ends_where_spark_says(tmp_path: Path) -> None:
    """The first one begins where its source noted, behind the byte for old versions of Spark."""
    place = checkpoint(tmp_path, began=BEGAN, o0=FIRST)
    assert offsets_of(STORAGE, place, -1) == {"flights": {"0": 0, "1": 0}}
    assert offsets_of(STORAGE, place, 0) == {"flights": {"0": 10_038, "1": 9_962}}
    start, end = (offsets_of(STORAGE, place, batch) for batch in (-1, 0))
    assert events_between(start, end) == 20_000
    assert events_between(end, end) == 0


@pytest.mark.parametrize(
    "text",
    [
        f"v1\n{_QUERY}\n-",  # the source had nothing yet
        "v1\n",
        "",
        FIRST[:-1],  # half a file
        f"v1\n{_QUERY}\n[1]",
        f"v1\n{_QUERY}\n7",
    ],
)
def test_what_tells_no_offsets_is_none(tmp_path: Path, text: str) -> None:
    """A batch of a size nobody knows is staged by tasks; it is no error."""
    place = checkpoint(tmp_path, began=BEGAN, o0=text)
    assert offsets_of(STORAGE, place, 0) is None
    assert offsets_of(STORAGE, place, 7) is None
    assert events_between(offsets_of(STORAGE, place, -1), offsets_of(STORAGE, place, 0)) is None
    assert events_between(offsets_of(STORAGE, place, 0), offsets_of(STORAGE, place, -1)) is None


@pytest.mark.parametrize(
    ("start", "end", "events"),
    [
        ({"a": {"0": 5}}, {"a": {"0": 9, "1": 3}}, 7),  # a partition came: all it has, at most
        ({"a": {"0": 5}}, {"a": {"0": 9}, "b": {"0": 2}}, 6),
        ({"a": {"0": 5, "1": 8}}, {"a": {"0": 9}}, 4),  # one is gone
        ({}, {}, 0),
    ],
)
def test_partitions_come_and_go(start: Offsets, end: Offsets, events: int) -> None:
    """Of one that is new, its first offset is not known: the count is the most there can be."""
    assert events_between(start, end) == events


def test_a_line_is_found_whatever_ends_it(tmp_path: Path) -> None:
    """A file may end with a line break."""
    place = checkpoint(tmp_path, o3=FIRST + "\n")
    assert offsets_of(STORAGE, place, 3) == json.loads(FIRST.splitlines()[-1])


def test_the_last_batch_of_a_checkpoint(tmp_path: Path) -> None:
    """By number; Spark's checksums and half-written files do not count."""
    assert last_batch(STORAGE, f"{tmp_path}/none") == -1
    place = checkpoint(tmp_path, o9=FIRST, o10=FIRST)
    (tmp_path / "offsets" / ".11.crc").write_bytes(b"crc")
    STORAGE.write(f"{tmp_path}/offsets/12.tmp", b"")
    assert last_batch(STORAGE, place) == 10
