"""Flows of our own that touch every operator: told, checked, run, and written out as scripts.

They are in ``tests/flows``, with a few rows each; what comes out was worked out by hand.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

from penstock.config import Aws, Settings
from penstock.wrangle import catalogue, document, explaining, linting, writing
from penstock.wrangle.export.document import Export, text
from penstock.wrangle.reading import Reader
from penstock.wrangle.running import Run, pinned
from penstock.wrangle.step import Step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FLOWS = Path(__file__).parents[1] / "flows"
NAMES = ("notes", "orders", "policies", "readings", "rows")
#: Record identifier of each flow's result, and columns of it by that.
WANTED: dict[str, tuple[str, dict[str, dict[Any, Any]]]] = {
    "notes": (
        "id",
        {
            "note": {"n1": "red auto red", "n2": "blue auto", "n3": "green bike 42"},
            "is_red": {"n1": 1, "n2": 0, "n3": 0},
            "note_word_count": {"n1": 3, "n2": 2, "n3": 3},
            "word_red": {"n1": 2, "n2": 0, "n3": 0},
        },
    ),
    # o1 has an item more, which the query leaves out; o3 has none.
    "orders": (
        "id",
        {
            "buyer_name": {"o1": "Ann", "o2": "Bob"},
            "twice": {"o1": 5.0, "o2": 8.0},
            "half": {"o1": 1.25, "o2": 2.0},
            "capital": {"o1": "A", "o2": "C"},
            "length": {"o1": 3, "o2": 3},
        },
    ),
    # The mean age is 40; 5,000 is clipped to 1,000; theft is rare.
    "policies": (
        "id",
        {
            "age": {"c1": 30.0, "c2": 40.0, "c3": 50.0, "c4": 40.0},
            "age_indicator": {"c1": 0, "c2": 1, "c3": 0, "c4": 0},
            "amount": {"c1": 100.0, "c2": 300.0, "c3": 1000.0, "c4": 200.0},
            "scaled": {"c1": 0.0, "c2": 200 / 900, "c3": 1.0, "c4": 100 / 900},
            "severity": {"c1": 0, "c2": 1, "c3": 0, "c4": 0},
            "kind_other": {"c1": 0, "c2": 0, "c3": 1, "c4": 0},
            "owner": {"c1": "NY/Ann", "c2": "NJ/Bob", "c3": "NY/Cy", "c4": ""},
            "at_month": {"c1": 1, "c2": 1, "c3": 1, "c4": 2},
            "record_id": {"c1": "c1_0", "c2": "c2_1", "c3": "c3_0", "c4": "c4_0"},
            "event_time": {
                "c1": "2024-01-01T06:00:00Z",
                "c2": "2024-01-02T12:00:00Z",
                "c3": "2024-01-03T18:00:00Z",
                "c4": "2024-02-04T00:00:00Z",
            },
        },
    ),
    # The hours between are on the line between those beside.
    "readings": (
        "sensor",
        {
            "value_0": {"s1": 1.0, "s2": 10.0},
            "value_2": {"s1": 2.5, "s2": 30.0},
            "before_1": {"s1": [None, 1.0, 1.0, 2.5], "s2": [None, 10.0, 20.0]},
            "value__mean": {"s1": [None, 1.0, 1.0, 1.75], "s2": [None, 10.0, 15.0]},
            "all__maximum": {"s1": 4.0, "s2": 30.0},
            "all__mean": {"s1": 2.125, "s2": 20.0},
            "event_time": {"s1": "2024-02-01T00:00:00Z", "s2": "2024-02-02T00:00:00Z"},
        },
    ),
    # Of the first six five are a. Of b there are two, then three, then six, of which half is drawn.
    "rows": (
        "label_0",
        {
            "early": {"a": 5, "b": 1},
            "whole": {"a": 6, "b": 2},
            "drawn": {"a": 3, "b": 3},
        },
    ),
}


#: A few rows: compiling their plans would take longer than running them.
_SMALL = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
}


@pytest.fixture
def small(spark: SparkSession) -> Iterator[SparkSession]:
    """The session for a few rows; as it was, after."""
    with pinned(spark, _SMALL):
        yield spark


def test_every_operator_is_in_one_of_them() -> None:
    """A new operator goes into a flow here."""
    flows = {one.stem: document.load(one) for one in FLOWS.glob("*.yaml")}
    assert sorted(flows) == sorted(NAMES)
    used = {
        node.does.kind
        for one in flows.values()
        for node in one.nodes
        if isinstance(node.does, Step)
    }
    assert catalogue.by_kind().keys() - used == set()


@pytest.mark.shows("8.1")
@pytest.mark.parametrize("name", NAMES)
def test_each_explains_and_lints(name: str) -> None:
    """Every step is a sentence; nothing keeps a step from running."""
    flow = document.load(FLOWS / f"{name}.yaml")
    gravities = {one.gravity for one in linting.lint(flow)}
    assert linting.Gravity.ERROR not in gravities
    steps = [one for one in flow.nodes if isinstance(one.does, Step)]
    recipe = "\n".join(explaining.recipe(flow))
    assert all(one.does.sentence() in recipe for one in steps if isinstance(one.does, Step))


@pytest.mark.shows("8.1")
@pytest.mark.shows("8.2")
@pytest.mark.parametrize("name", NAMES)
def test_each_runs_and_is_written_out(small: SparkSession, tmp_path: Path, name: str) -> None:
    """To Parquet, with exact values; its script is Python that names nothing that is not there."""
    flow = document.load(FLOWS / f"{name}.yaml")
    key, columns = WANTED[name]
    with pinned(small):
        run = Run(flow, Reader(small, FLOWS, {}), allow_code=True)
        wanted = flow.results[-1]
        writing.write(run.frame(wanted), str(tmp_path / "out"), "parquet")
        asked = Export(name, key, "event_time", form="script")
        settings = Settings(project="t", lake="l", state="s", aws=Aws(region="us-east-1"))
        script = text(run, wanted, asked, settings, FLOWS, {})
    rows = parquet.read_table(tmp_path / "out").to_pylist()
    found = {column: {row[key]: row[column] for row in rows} for column in columns}
    assert found == columns
    assert len(rows) == len(next(iter(columns.values())))
    assert ("'day_value'" in script) == (name == "readings")  # a column's name that is reserved
    compile(script, name, "exec")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,E9", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
