"""Sources as a flow says them (facts: wrangler, 1.1 and 4, 'Read CSV')."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.errors import UsageError
from penstock.wrangle import document
from penstock.wrangle.reading import Reader
from penstock.wrangle.running import Run
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


_ROWS = [{"a": n, "b": f"x{n}"} for n in range(5)]
#: Ways to write the same rows as JSON.
_WRITTEN = {
    "a value a line": "\n".join(json.dumps(one) for one in _ROWS),
    "an array in a line": json.dumps(_ROWS),
    "an array of lines": "[\n" + ",\n".join(json.dumps(one) for one in _ROWS) + "\n]\n",
    "an array, indented": "\ufeff\n" + json.dumps(_ROWS, indent=2),
    "arrays, one a line": f"{json.dumps(_ROWS[:2])}\n{json.dumps(_ROWS[2:])}\n",
}


@pytest.mark.shows("8.1")
@pytest.mark.parametrize("how", _WRITTEN)
def test_json_in_any_form(spark: SparkSession, tmp_path: Path, how: str) -> None:
    """Facts: wrangler, 1.1: JSON and JSON lines, by whatever name."""
    (tmp_path / "a.json").write_text(_WRITTEN[how], encoding="utf-8")
    frame = Reader(spark, tmp_path, {})(Source("a", path="a.json", format="json"))
    assert frame.columns == ["a", "b"]
    assert [tuple(one) for one in frame.collect()] == [(n, f"x{n}") for n in range(5)]


@pytest.mark.shows("8.1")
def test_json_that_is_none(spark: SparkSession, tmp_path: Path) -> None:
    """One line, of which file; a document that is broken is not read in part."""
    for text in ("not json\n", json.dumps(_ROWS, indent=1)[:-9]):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match=r"a\.json: there is no JSON in it"):
            Reader(spark, tmp_path, {})(Source("a", path="a.json", format="json"))


def test_the_example_of_our_yaml_runs(spark: SparkSession, tmp_path: Path) -> None:
    """As docs/wrangling.md has it, with a file in the place of its feature group."""
    page = (Path(__file__).parents[3] / "docs" / "wrangling.md").read_text(encoding="utf-8")
    text = re.search(r"## Our YAML\n\n```yaml\n(.*?)```", page, re.DOTALL)
    assert text is not None
    (tmp_path / "claims.yaml").write_text(text[1], encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.csv").write_text("claim,customer,amount\n1,7,50\n2,8,100\n")
    (tmp_path / "history.csv").write_text("customer_id,claims\n7,3\n")
    flow = document.load(tmp_path / "claims.yaml")
    given = {"history": str(tmp_path / "history.csv")}
    frame, _ = Run(flow, Reader(spark, tmp_path, given)).watched(flow.result())
    assert frame.columns == ["claim", "customer", "amount", "customer_id", "claims"]
    rows = sorted((one["claim"], one["amount"], one["claims"]) for one in frame.collect())
    assert rows == [(1, 0.0, "3"), (2, 1.0, None)]
