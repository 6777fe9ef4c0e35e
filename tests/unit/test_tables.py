"""Results on standard output."""

from __future__ import annotations

import pytest

from penstock.cli import tables

HEAD = ("feature group", "read", "quarantined", "exact duplicates", "identifiers", "records/s")
ROWS = [("flight_status", 338_234, 0, 0, 336_776, "13,809"), ("weather", 26_115, 3, None, 3, "1")]


def test_a_wide_table_has_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers with separators, nothing for None."""
    tables.show(HEAD, ROWS)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["flight_status", "338,234", "0", "0", "336,776", "13,809"] in lines
    assert ["weather", "26,115", "3", "3", "1"] in lines


def test_one_too_wide_for_the_terminal_is_turned(capsys: pytest.CaptureFixture[str]) -> None:
    """Figures one below the other, a column a feature group; no word is folded."""
    tables.show(HEAD, ROWS, width=60)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["feature", "group", "flight_status", "weather"] in lines
    assert ["exact", "duplicates", "0"] in lines
    assert ["records/s", "13,809", "1"] in lines


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Text stays readable, times become text."""
    tables.show_json({"a": "é"})
    assert capsys.readouterr().out == '{\n  "a": "é"\n}\n'
