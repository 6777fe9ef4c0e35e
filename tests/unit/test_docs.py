"""The documentation: every page in the navigation, every link to something, what is generated new.

``make docs`` builds the site, strictly; here it is checked without mkdocs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from bench import stream_page
from bench.legs import LEGS, outcome
from bench.matrix_page import NOT_RUN, page
from penstock.config import Settings
from penstock.crawler.place import Account
from penstock.errors import DIFFERENT, GRAVEST, REPAIRED
from penstock.reference import contract, document
from penstock.rights import rights

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def _listed(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for one in entry.values():
            yield from _listed(one)
    else:
        for one in entry:
            yield from _listed(one)


def test_every_page_is_in_the_navigation_once() -> None:
    """And nothing that is no page; a new one goes into ``nav`` of mkdocs.yml."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed, there = [*_listed(nav)], {str(one.relative_to(DOCS)) for one in PAGES}
    assert there - set(listed) == set()
    assert set(listed) - there == set()
    assert len(listed) == len(there)


def _anchors(file: Path) -> set[str]:
    """As Markdown's toc makes them of headings."""
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", one).strip().lower() for one in titles)
    return {re.sub(r"[-\s]+", "-", one) for one in plain}


@pytest.mark.parametrize("file", [*PAGES, ROOT / "README.md"], ids=lambda one: one.name)
def test_links_lead_somewhere(file: Path) -> None:
    """Inside the documentation: to a page that is there, and to a heading of it."""
    text = _CODE.sub("", file.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (file.parent / name).resolve() if name else file
        assert target.exists(), f"{file.name}: {link}"
        if file.is_relative_to(DOCS):
            assert target.is_relative_to(DOCS), f"{file.name}: {link} leaves the site"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{file.name}: {link}: no such heading"


def test_the_configuration_reference_is_generated() -> None:
    """docs/configuration.md is what the records say now; ``make docs`` writes it."""
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == document()


def test_the_reference_of_contracts_is_generated() -> None:
    """docs/contract.md is what the dataclasses say now; ``make docs`` writes it."""
    assert (DOCS / "contract.md").read_text(encoding="utf-8") == contract()


def test_every_key_says_what_it_means() -> None:
    """No row of the reference ends in an empty cell."""
    rows = [one for one in document().splitlines() if one.startswith("| `")]
    assert len(rows) > 60
    assert [one for one in rows if one.endswith("|  |")] == []


def test_operations_has_every_exit_code() -> None:
    """Those that errors have, those that are answers, and 0."""
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    codes = [int(one) for one in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]
    assert codes == sorted({0, *GRAVEST, DIFFERENT, REPAIRED})


def test_the_policies_allow_what_doctor_asks_for() -> None:
    """Every action that doctor has simulated is in the policies of docs/security.md."""
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    allowed: set[str] = set()
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        for statement in json.loads(block)["Statement"]:
            actions = statement["Action"]
            allowed |= {actions} if isinstance(actions, str) else {*actions}
    role = "arn:aws:iam::111122223333:role/service"
    settings = Settings.model_validate(
        {
            "project": "p",
            "lake": "s3://b/l",
            "state": "s3://b/s",
            "groups": {"g": {"role_arn": role}},
        }
    )
    wanted = rights(settings, ["g"], Account("111122223333", "us-east-1"))
    asked = {f"{one.service}:{action}" for one in wanted for action in one.actions}
    assert {"iam:PassRole", "glue:UpdateTable", "s3:ListBucket"} <= asked
    assert asked <= allowed


def test_the_matrix_page_is_that_of_its_results() -> None:
    """Or says that nothing was run yet."""
    results = ROOT / "bench" / "results" / "matrix.json"
    wanted = page(json.loads(results.read_text(encoding="utf-8"))) if results.exists() else NOT_RUN
    assert (DOCS / "matrix.md").read_text(encoding="utf-8") == wanted


def test_the_page_of_freshness_is_that_of_its_results() -> None:
    """No figure in it is typed in by hand."""
    results = ROOT / "bench" / "results" / "stream.json"
    wanted = stream_page.page(json.loads(results.read_text(encoding="utf-8")))
    assert (DOCS / "freshness.md").read_text(encoding="utf-8") == wanted


def test_a_matrix_says_what_was_not_run_and_what_failed() -> None:
    """In the table, by the words of the run."""
    base: dict[str, Any] = {"spark": "4.1", "python": "3.11", "date": "2026-01-02"}
    passed = outcome("= 5 passed, 1 skipped, 2 deselected in 3s =")
    failed = outcome("2 failed, 3 passed in 1s")
    versions = {"pyspark": "4.1.1", "python": "3.11.7"}
    rows: list[dict[str, Any]] = [
        {**base, "leg": "4.1", "state": "passed", "flights": {"a": 2, "b": 3}, "tests": passed}
        | {"versions": versions},
        {**base, "leg": "4.1-py3.13", "state": "not run", "why": "no Python 3.13"},
        {**base, "leg": "oldest", "state": "failed", "flights": {"a": 1}, "tests": failed},
        {**base, "leg": "wheel", "state": "failed", "why": "exit code 2"},
    ]
    lines = page({"machine": "m", "legs": rows}).splitlines()
    assert "On m." in lines
    found = {one.split("|")[1].strip(): one for one in lines if one.startswith("| ")}
    assert "| 2026-01-02 | 4.1.1 | 3.11.7 |" in found["4.1"]
    assert found["4.1"].endswith("| 2 groups, 5 rows | 5 passed, 1 skipped |")
    assert found["4.1-py3.13"].endswith("| not run: no Python 3.13 | not run |")
    assert found["oldest"].endswith("| 1 groups, 1 rows | FAILED: 2 failed, 3 passed |")
    assert "FAILED: exit code 2" in found["wheel"]


def test_every_leg_has_its_pins() -> None:
    """Three lines, two of them on another Python as well, the wheel alone, the oldest."""
    assert {one.spark for one in LEGS} == {"3.5", "4.0", "4.1"}
    assert {"wheel", "oldest"} <= {one.name for one in LEGS}
    for leg in LEGS:
        assert (ROOT / "constraints" / leg.pins).is_file()
