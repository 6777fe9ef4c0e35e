"""Commands that work long say beforehand what they could not end with."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.program import run

_FLOW = "sources: {a: {path: a.csv}}\nsteps:\n  - fill_missing: {columns: [x], value: 0}\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("profile lacking.csv", "lacking.csv: no such file"),
        (
            "profile README.md",
            "README.md: files that end in .md are not read. .csv, .parquet, .json, .jsonl, .orc, ",
        ),
        ("profile a.csv --output no/page.html", "no/page.html: there is no folder no"),
        (
            "flow export a.yaml --group g --record-identifier x --event-time y --output no/a.ipynb",
            "there is no folder no",
        ),
        ("flow run a.yaml --output .", "a.csv is read from there"),
        ("flow run a.yaml --output out --input b=c", "the flow has no source 'b'"),
        ("flow explain empty.flow", "empty.flow: no JSON"),
    ],
)
def test_what_is_wrong_is_said_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    said: str,
) -> None:
    """Exit code 2, one line, and no Spark."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "a.yaml").write_text(_FLOW)
    (tmp_path / "empty.flow").touch()
    (tmp_path / "README.md").touch()
    assert run(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("penstock: ")
    assert said in error
    assert len(error.splitlines()) == 1
