"""The shortest whole runs: what goes in comes out in both stores, once."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from penstock.emulator.faults import Rule, refused
from penstock.errors import DataGateError
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE

TEXT = """sensor,at,level,share
a,2024-01-01T00:00:00Z,1,0.5
a,2024-01-02T00:00:00Z,2,
b,2024-01-01T05:30:00+05:30,3,1e-3
b,2024-01-01T05:30:00+05:30,3,1e-3
"""


@pytest.mark.shows("3.4")
def test_rows_reach_both_stores_once_and_a_second_run_changes_nothing(lab: Lab) -> None:
    """Latest per identifier online, every distinct row offline; then nothing more."""
    file = _file(lab, TEXT)
    first = lab.ingest(PIPELINE, {"readings": file})
    rows = [
        {"sensor": "a", "at": "2024-01-01T00:00:00Z", "level": 1, "share": 0.5},
        {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": 2, "share": None},
        {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": 3, "share": 0.001},
    ]
    assert first.state == "done"
    assert (first.figures.read, first.figures.duplicates, first.figures.offline) == (4, 1, 3)
    assert lab.features(GROUP) == rows
    assert lab.online(GROUP, "a", "b") == {
        "a": {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": "2"},
        "b": {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": "3", "share": "0.001"},
    }
    before = lab.offline(GROUP)
    second = lab.ingest(PIPELINE, {"readings": file})
    assert second.state == "unchanged"
    assert lab.offline(GROUP) == before


@pytest.mark.shows("5.6")
def test_t31_reprocess_generation_of_some(lab: Lab) -> None:
    """A new generation leaves out rows that are offline already, and counts them.

    What it sends is what was staged: nothing leaves this group's online store, so no row is looked
    up in the history before it is sent.
    """
    file = _file(lab, TEXT)
    lab.ingest(PIPELINE, {"readings": file})
    file.write_text(TEXT + "c,2024-01-03T00:00:00Z,4,1\n", encoding="utf-8")
    again = lab.ingest(PIPELINE, {"readings": file})
    assert (again.state, again.figures.offline, again.figures.present) == ("done", 1, 3)
    assert [row["sensor"] for row in lab.offline(GROUP)] == ["a", "a", "b", "c"]
    assert not list((lab.root / "state" / "staged").rglob("selection-*"))


def test_what_the_service_refuses_is_in_quarantine_and_not_offline(lab: Lab) -> None:
    """One record refused: its neighbour arrives, its own older row stays, the figures agree."""
    lab.emulator.faults.add(Rule(refused("ValidationError", "no such thing"), identifier="a"))
    file = _file(lab, TEXT)
    done = lab.ingest(PIPELINE, {"readings": file}, online__max_reject_ratio=0.5)
    assert (done.figures.sent, done.figures.accepted, done.figures.rejected) == (2, 1, 1)
    assert [(row["sensor"], row["level"]) for row in lab.features(GROUP)] == [("a", 1), ("b", 3)]
    assert lab.online_identifiers(GROUP) == ["b"]
    (entry,) = lab.quarantine()
    assert (entry["stage"], entry["rule"]) == ("online", "ValidationError")
    assert json.loads(entry["payload"])["at"] == "2024-01-02T00:00:00Z"


def test_too_many_refusals_end_in_65_and_nothing_is_offline(lab: Lab) -> None:
    """The default limit is one in a hundred."""
    lab.emulator.faults.add(Rule(refused("ValidationError", "no"), identifier="a"))
    with pytest.raises(DataGateError, match="rejected 1 of 2 records"):
        lab.ingest(PIPELINE, {"readings": _file(lab, TEXT)})
    assert lab.offline(GROUP) == []


def test_the_example_of_a_contract_runs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/contract.md has it: null texts, a row put aside with its line, the newest online."""
    example = _example(lab.root)
    monkeypatch.setitem(sys.modules, example.__name__, example)
    file = lab.root / "payments.csv"
    text = "a,2024-01-01T01:00:00+01:00,5\na,2024-01-02T00:00:00Z,7.5\nb,2024-01-01T00:00:00Z,-1\n"
    file.write_text(f"card,paid_at,amount\n{text}c,2024-01-01T00:00:00Z,NA\n", encoding="utf-8")
    done = lab.ingest(example.PIPELINE, {"payments": file}, quality__max_quarantine_ratio=0.5)
    assert (done.state, done.figures.read, done.figures.offline) == ("done", 4, 2)
    newest = {"card": "a", "paid_at": "2024-01-02T00:00:00Z", "amount": "7.5"}
    assert lab.online(example.GROUP, "a") == {"a": newest}
    (entry,) = lab.quarantine()
    assert (entry["stage"], entry["file"], entry["position"]) == ("feature", str(file), 4)


def _example(folder: Path) -> ModuleType:
    page = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
    text = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert text is not None
    path = folder / "last_payment.py"
    path.write_text(text[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("last_payment", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def _file(lab: Lab, text: str) -> Path:
    file = lab.root / "readings.csv"
    file.write_text(text, encoding="utf-8")
    return file
