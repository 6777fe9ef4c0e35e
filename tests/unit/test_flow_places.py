"""Where a flow reads and writes: nothing is deleted but an earlier result."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.wrangle.reading import call, located
from penstock.wrangle.source import Source
from penstock.wrangle.writing import check_folder


def test_a_new_folder_an_empty_one_and_an_earlier_result(tmp_path: Path) -> None:
    """All may be written to; so may a folder within one that is read."""
    check_folder(str(tmp_path / "new"), [str(tmp_path / "a.csv"), "s3://b/new"])
    out = tmp_path / "out"
    out.mkdir()
    check_folder(str(out), [str(tmp_path), str(tmp_path / "*.csv")])
    for name in ("_SUCCESS", "._SUCCESS.crc", "part-0.csv", ".part-0.csv.crc"):
        (out / name).touch()
    check_folder(str(out), [])
    (out / "_delta_log").mkdir()
    (out / "aB").mkdir()
    check_folder(str(out), [])


@pytest.mark.parametrize(
    ("folder", "read", "said"),
    [
        (".", [], "'data' is there, which is no earlier result"),
        ("keep.txt", [], "a file is there"),
        ("data", ["data/a.csv"], "data/a.csv is read from there"),
        ("data", ["data"], "data is read from there"),
        ("data/../data/", ["data/*.csv"], "read from there"),
        ("s3a://b/x", ["s3://b/x/y.csv"], "read from there"),
        ("file:data", ["data"], "read from there"),
    ],
)
def test_what_would_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, read: list[str], said: str
) -> None:
    """A folder that is read, or holds what nobody asked to delete, is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keep.txt").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").touch()
    folder = folder.replace("file:", f"file://{tmp_path}/")
    with pytest.raises(UsageError, match=said):
        check_folder(folder, read)


def test_names_alike_are_other_folders(tmp_path: Path) -> None:
    """data2 is not within data."""
    check_folder(str(tmp_path / "data"), [str(tmp_path / "data2" / "a.csv"), "s3://b/data"])


def test_a_source_without_a_path() -> None:
    """It has to be given; the flow's folder is not read in its place."""
    with pytest.raises(UsageError, match="--input a=PATH"):
        located(Source("a"), Path(), {})
    assert located(Source("a"), Path(), {"a": "x.csv"}).path == "x.csv"


def test_folders_within_and_names_of_files_are_asked_for() -> None:
    """Of any format; where lines are skipped they cannot be, and are refused by name."""
    for form in ("csv", "parquet"):
        asked = call(Source("a", path="a", format=form, nested=True, filename=True)).arguments
        assert (asked["nested"], asked["filename"]) == (True, True)
        assert "nested" not in call(Source("a", path="a", format=form)).arguments
    with pytest.raises(UsageError, match="lines to skip do not go with filename"):
        call(Source("a", path="a", skip=1, filename=True))
