"""Scripts of ``jobs/``: the command of their name, with the arguments of that command."""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path

import pytest

from penstock.cli.program import run

JOBS = Path(__file__).parents[2] / "jobs"
NAMES = sorted(one.stem for one in JOBS.glob("*.py") if one.stem != "__init__")


def test_each_command_that_needs_a_cluster_has_one() -> None:
    """Those that read or write rows at scale."""
    assert {"provision", "ingest", "backfill", "stream", "dataset", "flow", "reconcile"} <= {*NAMES}


@pytest.mark.shows("3.7")
@pytest.mark.parametrize("name", NAMES)
def test_a_job_takes_what_its_command_takes(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word by word the same help; and no SystemExit, which wrappers may take for a failure."""
    assert run([name, "--help"]) == 0
    here = capsys.readouterr().out
    script = str(JOBS / f"{name}.py")
    monkeypatch.setattr("sys.argv", [script, "--help"])
    runpy.run_path(script, run_name="__main__")
    assert capsys.readouterr().out == here
    monkeypatch.setattr("sys.argv", [script, "--no-such-option"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(script, run_name="__main__")
    assert stopped.value.code == 2


def test_a_flow_comes_out_of_the_projects_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a job was shipped there is no folder of the project; a file that is there wins."""
    monkeypatch.chdir(tmp_path)
    flow = JOBS.parent / "transforms" / "airport_weather_prepared.yaml"
    with zipfile.ZipFile("project.zip", "w") as archive:
        archive.write(flow, "transforms/told.yaml")
    monkeypatch.syspath_prepend(str(tmp_path / "project.zip"))
    assert run(["flow", "explain", str(flow)]) == 0
    told = capsys.readouterr().out
    assert run(["flow", "explain", "transforms/told.yaml"]) == 0
    assert capsys.readouterr().out == told.replace(flow.stem, "told")
    assert run(["flow", "explain", "transforms/none.yaml"]) == 2
    assert "transforms/none.yaml: No such file" in capsys.readouterr().err
