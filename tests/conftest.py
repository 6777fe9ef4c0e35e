"""``--issue N``: run the tests that prove lines of an issue, and say which line has which."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

_LINES: dict[str, list[str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options."""
    parser.addoption("--issue", help="only tests marked shows('N.k') for this N")
    parser.addoption("--rounds", type=int, default=1, help="how often crash tests repeat")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what proves the issue."""
    issue = config.getoption("--issue")
    if issue is None:
        return
    kept = []
    for item in items:
        lines = [str(mark.args[0]) for mark in item.iter_markers("shows")]
        wanted = [line for line in lines if line.split(".")[0] == issue]
        if wanted:
            kept.append(item)
        for line in wanted:
            _LINES.setdefault(line, []).append(item.nodeid)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Line by line, how many of its tests passed."""
    if not _LINES:
        return
    passed = {report.nodeid for report in terminalreporter.stats.get("passed", [])}
    terminalreporter.section("shown")
    for line in sorted(_LINES, key=lambda one: [int(n) for n in re.findall(r"\d+", one)]):
        tests = _LINES[line]
        good = sum(test in passed for test in tests)
        terminalreporter.write_line(f"{line}: {good} of {len(tests)} tests passed")


@pytest.fixture
def own_project() -> Iterator[None]:
    """Other tests have the flights project's modules in this process; put them back after.

    Compiled modules are not kept: one that is changed twice in a second would be taken as it was.
    """
    path, kept, written = list(sys.path), _taken_out(), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    yield
    sys.dont_write_bytecode = written
    _taken_out()
    sys.path[:] = path
    sys.modules.update(kept)


def _taken_out() -> dict[str, ModuleType]:
    names = [one for one in sys.modules if one.partition(".")[0] in ("schemas", "transforms")]
    return {name: sys.modules.pop(name) for name in names}
