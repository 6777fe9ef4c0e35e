"""The coverage document is as new as the rules, and every rule that is kept has its test."""

from __future__ import annotations

import ast
from pathlib import Path

from penstock.emulator.coverage import document, rules

ROOT = Path(__file__).parents[2]


def _named() -> set[str]:
    """Every text in a ``rule`` mark of a test module beside this one."""
    return {
        str(one.value)
        for file in Path(__file__).parent.glob("test_emulator_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rule"
        for one in node.args
        if isinstance(one, ast.Constant)
    }


def test_the_document_is_generated() -> None:
    """docs/emulator-coverage.md is what the rules say now; the remedy is in its first lines."""
    assert (ROOT / "docs" / "emulator-coverage.md").read_text() == document()


def test_every_rule_has_its_test() -> None:
    """What is called emulated is named by a test; no test names a rule that is not there."""
    kept = {f"{one.operation}: {one.rule}" for one in rules() if one.emulated}
    assert kept - _named() == set()
    assert _named() - kept == set()


def test_rules_are_told_apart() -> None:
    """No rule stands twice, and what is not emulated says what happens instead."""
    assert len({(one.operation, one.rule) for one in rules()}) == len(rules())
    assert all(one.note for one in rules() if not one.emulated)
