"""``plan`` and ``backfill`` as commands, where no window is to be run: no Spark is started."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock import aws, config
from penstock.cli.program import run
from penstock.ledger.journal import State
from penstock.ledger.window import window
from penstock.project import load_project
from penstock.run.context import Context
from penstock.run.inputs import inputs
from tests.ledgers import Ledger

ROOT = Path(__file__).parents[2]
GROUP = "airport_weather"
DAYS = ("2013-01-07", "2013-01-08", "2013-01-09")
RANGE = ["--start", DAYS[0], "--end", DAYS[2], "--window", "day"]


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Two days of the reference project that are done, as its sources are and mean now."""
    pipeline = load_project(ROOT).pipeline(GROUP)
    context = Context(
        _no_spark, aws.Endpoint("us-east-1"), config.load(ROOT / "conf", "local"), ROOT
    )
    pins = {one.name: one.pin for one in inputs(context, pipeline)}
    ledger = Ledger(tmp_path, GROUP)
    for first, last in pairwise(DAYS):
        ledger.write(window(first, last), State.DONE, meaning=pipeline.meaning, pins=pins)
    where = [f"--set={name}={tmp_path / name}" for name in ("lake", "state")]
    return ["--project", str(ROOT), *where]


def _no_spark() -> Any:
    raise AssertionError("Spark is not needed")


def test_what_is_done_is_left(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both commands say so; the plan's file is read back, and more than it said contradicts."""
    file = tmp_path / "plan.json"
    assert run(["plan", GROUP, *RANGE, "--out", str(file), *place]) == 0
    said = capsys.readouterr()
    assert "Nothing to do." in said.out
    assert "starting Spark" not in said.err
    assert [one["action"] for one in json.loads(file.read_bytes())["windows"]] == ["leave"] * 2
    by_plan = ["backfill", GROUP, "--plan", str(file), *place]
    assert run([*by_plan, "--json", "--max-cost", "0"]) == 0
    ended = json.loads(capsys.readouterr().out)
    assert [(one["state"], one["exit_code"]) for one in ended] == [("left", 0)] * 2
    assert run([*by_plan, "--online", "latest"]) == 2
    assert "--online contradicts" in capsys.readouterr().err
    file.write_text("{}", encoding="utf-8")
    assert run(by_plan) == 2
    assert "is no plan" in capsys.readouterr().err


def test_a_range_needs_its_ends_and_a_size(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, with what to write; a pipeline without windows names no size."""
    for words, said in (
        ([], "needs --start and --end"),
        (RANGE[:4], "names no size"),
        ([*RANGE[:4], "--window", "fortnight"], "'fortnight' is not the size of a window"),
        (["--start", DAYS[2], "--end", DAYS[0], "--window", "day"], "is not after its start"),
    ):
        assert run(["backfill", GROUP, *words, *place]) == 2
        assert said in capsys.readouterr().err


def test_status_tells_people_and_programs(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The table as it was, then the calendar; in JSON beside each window."""
    assert run(["status", GROUP, *place]) == 0
    said = capsys.readouterr().out
    assert f"{GROUP}: windows: 2 done; done up to 2013-01-09" in said
    assert run(["status", GROUP, "--json", *place]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(one["state"], one["standing"]) for one in rows] == [("DONE", "done")] * 2
