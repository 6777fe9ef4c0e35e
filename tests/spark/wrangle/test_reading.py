"""Sources as a flow says them (facts: wrangler, 1.1 and 4, 'Read CSV')."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.wrangle.reading import Reader
from penstock.wrangle.source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.shows("8.1")
def test_csv_after_lines_to_skip(spark: SparkSession, tmp_path: Path) -> None:
    """Source: own rule: lines end as in CSV; a value may hold a break."""
    (tmp_path / "a.csv").write_text(
        'made by "x\nnobody\na,b\r\n1,"two\nlines, ""q"""\r\n2,u\u2028v\n'
    )
    source = Source("a", path="a.csv", skip=2, multiline=True)
    rows = Reader(spark, tmp_path, {})(source).collect()
    assert [tuple(one) for one in rows] == [("1", 'two\nlines, "q"'), ("2", "u\u2028v")]


@pytest.mark.shows("8.1")
def test_folders_within_and_names_of_files(spark: SparkSession, tmp_path: Path) -> None:
    """Facts: wrangler, 1.1: nested folders, a column of files' names; our rule: their addresses."""
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "a.csv").write_text("x\n1\n")
    (tmp_path / "data" / "in" / "b.csv").write_text("x\n2\n")
    source = Source("data", path="data", nested=True, filename=True)
    frame = Reader(spark, tmp_path, {})(source)
    assert frame.columns == ["x", "_data_source_filename"]
    found = {x: name.rsplit("/", 1)[1] for x, name in map(tuple, frame.collect())}
    assert found == {"1": "a.csv", "2": "b.csv"}
