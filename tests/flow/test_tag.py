"""Many groups in one command: a shared source is read once, one that fails stops no other."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from penstock.cli.program import run
from penstock.contract import Pipeline
from penstock.ledger.window import Window
from penstock.run.ingest import ingest_pipeline
from tests.flow.project import Small, make
from tests.lab import Lab
from tests.readings import PIPELINE, SOURCE

pytestmark = pytest.mark.usefixtures("own_project")

#: A group for each number; ``bad`` ends in an error of its transform, ``strict`` at its gate.
_GROUPS = """
from dataclasses import replace

from penstock.contract import Expectation
from schemas.readings import READINGS


def _plain(readings):
    return readings


def _bad(readings):
    return readings.select("nothing_of_that_name")


_RULE = Expectation("expect_column_values_to_be_between", "level", {"min_value": 10**9},
                    on_fail="quarantine")


def _pipeline(name):
    group = replace(READINGS.group, name=name, tags=("daily", name))
    if name == "strict":
        features = tuple(
            replace(one, expectations=(_RULE,)) if one.name == "level" else one
            for one in group.features
        )
        group = replace(group, features=features)
    return replace(READINGS, group=group, transform=_bad if name == "bad" else _plain)


for _name in NAMES:
    globals()[_name] = _pipeline(_name)
"""


def _project(root: Path, names: list[str], sensors: int) -> Small:
    small = make(root, sensors=sensors)
    text = f'"""Many groups of one source."""\n\nNAMES = {names!r}\n{_GROUPS}'
    (root / "schemas" / "many.py").write_text(text, encoding="utf-8")
    return small


@pytest.mark.shows("9.7")
def test_four_groups_of_which_two_fail(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are done, the summary says which failed, why, and what to type."""
    assert spark.version
    small = _project(tmp_path, ["bad", "fine", "good", "strict"], 60)
    where = ["--project", str(tmp_path)]
    assert run(["provision", "--tag", "daily", *where]) == 0
    capsys.readouterr()
    assert run(["ingest", "--tag", "daily", "--set", "online.chunk_rows=500", *where]) == 70
    said = capsys.readouterr()
    assert "DataFrameQueryContextLogger" not in said.err
    assert "Failed: 2 of 4 feature groups." in said.out
    lines = {
        one.split()[0]: one for one in said.out.splitlines() if one.startswith("  ") and one.strip()
    }
    assert "(exit code 70): AnalysisException: " in lines["bad"]
    assert "(exit code 65): " in lines["strict"]
    assert "penstock quarantine list" in lines["strict"]
    wanted = f"penstock ingest bad strict --project {tmp_path} --set online.chunk_rows=500"
    assert said.out.splitlines()[-1] == f"Next: do what the lines say, then {wanted}"
    # Read once, for all; what was put aside is in each group's own folder.
    assert _with_source_files(small, "rows") == {"bad"}
    assert _with_source_files(small, "bad") == {"bad", "fine", "good", "strict"}
    tables = {one: _rows(small, one) for one in ("fine", "good")}
    assert tables["fine"] == tables["good"] > 60
    entries = _entries(small)
    assert entries["fine"] == entries["good"] == entries["strict"]
    assert len(entries["fine"]) == 2  # the third has passed the source gate
    # Again: nothing is read for those that are done, and their state says so.
    assert run(["ingest", "fine", "good", "--json", *where]) == 0
    assert {one["state"] for one in json.loads(capsys.readouterr().out)} == {"unchanged"}


def _with_source_files(small: Small, kind: str) -> set[str]:
    staged = small.state / "staged"
    files = staged.glob(f"*/all/0000/*/source-readings/{kind}-*")
    return {one.relative_to(staged).parts[0] for one in files}


def _rows(small: Small, group: str) -> int:
    return int(DeltaTable(small.lake / "offline" / group).to_pyarrow_table().num_rows)


def _entries(small: Small) -> dict[str, set[tuple[str, int]]]:
    found: dict[str, set[tuple[str, int]]] = {}
    for row in DeltaTable(small.lake / "quarantine").to_pyarrow_table().to_pylist():
        if row["stage"] == "source":
            found.setdefault(row["feature_group"], set()).add((row["file"], row["position"]))
    return found


@pytest.mark.shows("9.7")
def test_a_source_that_changed_between_two_groups_is_read_anew(lab: Lab) -> None:
    """So is one that is declared otherwise, and one whose staged rows are gone."""
    file = lab.root / "readings.csv"
    settings = lab.settings({"readings": file})
    context = lab.context(settings)

    def read(name: str, pipeline: Pipeline = PIPELINE) -> int:
        one = replace(pipeline, group=replace(pipeline.group, name=name))
        lab.provision(one.group, settings)
        return ingest_pipeline(context, one, Window()).figures.valid

    file.write_text("sensor,at,level,share\na,2024-01-01T00:00:00Z,1,0.5\n", encoding="utf-8")
    assert (read("one"), read("two"), len(context.read)) == (1, 1, 1)
    with file.open("a", encoding="utf-8") as more:
        more.write("b,2024-01-01T00:00:00Z,2,0.5\n")
    assert (read("three"), len(context.read)) == (2, 2)
    other = replace(PIPELINE, sources={"readings": replace(SOURCE, null_texts=("", "-"))})
    assert (read("four", other), len(context.read)) == (2, 3)
    assert context.read.popitem()[1].reader == "four"
    for one in (lab.root / "state" / "staged" / "three").rglob("source-readings/rows-*"):
        one.unlink()
    assert read("five") == 2
    assert [one.reader for one in context.read.values()] == ["one", "five"]


GROUPS = 30
LIMIT_S = 3.0


@pytest.mark.prove
@pytest.mark.shows("9.7")
def test_thirty_small_groups_in_one_command(tmp_path: Path) -> None:
    """At most three seconds a group beside the start of one session; one fails, the others go on.

    The start is that of a command whose only group fails before anything is read.
    """
    names = ["bad", *(f"group_{n:02d}" for n in range(1, GROUPS))]
    small = _project(tmp_path, names, 500)
    assert small.run("provision", "--tag", "daily").code == 0
    small.run("ingest", "bad", timeout=120)  # Spark's jars are resolved, files are in memory
    began = time.monotonic()
    assert small.run("ingest", "bad", timeout=120).code == 70
    start = time.monotonic() - began
    began = time.monotonic()
    said = small.run("ingest", "--tag", "daily", timeout=600)
    took = time.monotonic() - began
    assert said.code == 70, said.err
    assert f"Failed: 1 of {GROUPS} feature groups." in said.out
    assert "Next: do what the lines say, then penstock ingest bad" in said.out
    assert len({_rows(small, one) for one in names[1:]}) == 1
    assert took <= GROUPS * LIMIT_S + start, (took, start)
