"""Sources in Python packages: each process has them elsewhere, as containers of EMR and Glue do."""

from __future__ import annotations

import base64
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.config import Location
from penstock.contract import Column, Source
from penstock.errors import ConfigError, TemporaryError
from penstock.gate import FILE
from penstock.packages import PackageStorage
from penstock.source.files import Pin, check_unchanged, pins, place
from penstock.source.splits import Reading, Split, cut

SOURCE = Source(columns=(Column("id"), Column("text")))
THERE = PackageStorage()
Form = Literal["csv", "parquet"]
#: What a task does: read what it was sent, with the packages of its own container.
_TASK = """
import base64, pickle, sys
reading, splits = pickle.loads(base64.b64decode(sys.stdin.read()))
rows = [row for one in splits for batch in reading.batches(one) for row in batch.to_pylist()]
sys.stdout.write(base64.b64encode(pickle.dumps(rows)).decode())
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package of data, which nobody imports."""
    folder = tmp_path / "driver" / "cargo"
    (folder / "more").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (folder / "a.csv").write_text("id,text\n1,a\n2,b\n", encoding="utf-8")
    table = pa.table({"id": ["3"], "text": ["c"]})
    pq.write_table(table, folder / "more" / "b.parquet")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def planned(form: Form, path: str) -> tuple[Reading, list[Split], tuple[Pin, ...]]:
    """As a run plans a source."""
    location = Location(format=form, path=path)
    found = pins("s", place("s", location, Path()), THERE)
    reading, splits, _ = cut(location, SOURCE, found, THERE)
    return reading, splits, found


@pytest.mark.shows("9.2")
@pytest.mark.parametrize(
    ("form", "path", "file", "ids"),
    [
        ("csv", "package:cargo/a.csv", "package:cargo/a.csv", ["1", "2"]),
        ("csv", "package:cargo/*.csv", "package:cargo/a.csv", ["1", "2"]),
        ("parquet", "package:cargo/more", "package:cargo/more/b.parquet", ["3"]),
    ],
)
def test_a_task_reads_its_own_copy(
    package: Path, tmp_path: Path, form: Form, path: str, file: str, ids: list[str]
) -> None:
    """What the driver planned is read in another process, where the driver's folder is gone."""
    reading, splits, _ = planned(form, path)
    shutil.move(package.parent, tmp_path / "container")
    done = subprocess.run(
        [sys.executable, "-c", _TASK],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "container"), *sys.path])},
        input=base64.b64encode(pickle.dumps((reading, splits))).decode(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = pickle.loads(base64.b64decode(done.stdout))
    assert [(row["id"], row[FILE]) for row in rows] == [(one, file) for one in ids]


def test_installing_a_package_again_changes_nothing(package: Path) -> None:
    """A pin is what is in a file, not when it came; other bytes of the same length are a change."""
    _, _, found = planned("csv", "package:cargo/a.csv")
    os.utime(package / "a.csv", (1, 1))
    assert planned("csv", "package:cargo/a.csv")[2] == found
    check_unchanged(found, THERE)
    (package / "a.csv").write_text("id,text\n1,a\n2,c\n", encoding="utf-8")
    with pytest.raises(TemporaryError, match="changed while it was read"):
        check_unchanged(found, THERE)


def test_a_package_that_is_not_there_is_named() -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match=r"package:nope/a\.csv: the Python package 'nope'"):
        planned("csv", "package:nope/a.csv")
