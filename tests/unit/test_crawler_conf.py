"""The crawler as conf and the command line name it: one line where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.program import run

BASE = """project: flights
lake: lake
state: state
catalog:
  crawler:
"""
BROKEN = {
    "    enabld: true\n": "6: unknown key 'catalog.crawler.enabld'. Did you mean 'enabled'?",
    "    enabled: true\n": (
        "5: 'catalog.crawler' must say 'schedule' together with enabled: true. Correct the value"
    ),
    "    enabled: daily\n": (
        "6: 'catalog.crawler.enabled' must be true or false. Write it without quotes"
    ),
    "    schedule: rate(1 day)\n": (
        "6: 'catalog.crawler.schedule' must be cron(minutes hours day month weekday year). "
        "Correct the value"
    ),
    "    schedule: cron(30 4 * * * *)\n": (
        "6: 'catalog.crawler.schedule' must have ? for either the day of the month or that of the "
        "week. Correct the value"
    ),
    "    schedule: cron(0/2 4 * * ? *)\n": (
        "6: 'catalog.crawler.schedule' must leave 5 minutes between two starts. Correct the value"
    ),
    "    schedule: cron(0,58 * * * ? *)\n": (
        "6: 'catalog.crawler.schedule' must leave 5 minutes between two starts. Correct the value"
    ),
    "    role: a/b\n": "6: 'catalog.crawler.role' must match pattern '^[A-Za-z0-9_+=,.@-]{1,64}$'",
    "    name: '*'\n": "6: 'catalog.crawler.name' must match pattern '^[A-Za-z0-9_.-]{1,255}$'",
    "    kms_key: alias/lake\n": "6: 'catalog.crawler.kms_key' must match pattern '^arn:aws",
}


@pytest.mark.parametrize("text", BROKEN, ids=str.strip)
def test_a_broken_section_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; file, line, and what to do."""
    assert _run(tmp_path, BASE + text, "show") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"penstock: {tmp_path / 'local.yaml'}:{BROKEN[text]}")


ON = "    enabled: true\n    schedule: cron(30 4 * * ? *)\n"


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        (ON, ["show"], "the lake {folder}/lake is not on S3, and Glue crawls nothing else"),
        (ON, ["apply", "--check"], "the lake {folder}/lake is not on S3"),
        ("    name: x\n", ["apply"], "{folder} has no crawler: catalog.crawler.enabled is false"),
        (ON + "aws:\n  embedded: true\n", ["remove"], "the embedded AWS has neither crawlers nor"),
    ],
)
def test_a_wrong_word_is_one_line(
    text: str, words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and AWS is not asked."""
    assert _run(tmp_path, BASE + text, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says.format(folder=tmp_path) in line


def _run(folder: Path, text: str, *arguments: str) -> int:
    """``penstock crawler`` with this configuration, on the project of this repository."""
    (folder / "base.yaml").write_text("", encoding="utf-8")
    (folder / "local.yaml").write_text(text, encoding="utf-8")
    place = ["--conf", str(folder), "--project", str(Path(__file__).parents[2])]
    place += ["--set", f"state={folder}/state", "--set", f"lake={folder}/lake"]
    return run(["crawler", *arguments, *place])
