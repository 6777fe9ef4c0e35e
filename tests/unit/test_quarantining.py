"""``penstock quarantine`` without Spark: what it lists, shows and discards, and what it hides."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from penstock.cli.program import run
from penstock.ledger.decisions import Decisions, Outcome
from penstock.storage import LocalStorage

ROOT = Path(__file__).parents[2]
GROUP, OTHER = "flight_status", "airport_weather"
NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)
SECRET = "N14228"
Says = Callable[..., str]


def _entry(number: int, group: str, stage: str, rule: str, made_by: str) -> dict[str, Any]:
    return {
        "row_key": f"{number:032x}"[::-1],
        "feature_group": group,
        "stage": stage,
        "source": "flights",
        "file": "flights.csv",
        "position": number,
        "column": "tailnum",
        "rule": rule,
        "findings": "[]",
        "payload": json.dumps({"tailnum": SECRET}),
        "types": "{}",
        "run": made_by,
        "quarantined_at": NOW + timedelta(minutes=number),
    }


ENTRIES = [
    _entry(1, GROUP, "source", "TYPE", "r1"),
    _entry(2, GROUP, "feature", "TYPE", "r1"),
    _entry(3, GROUP, "online", "ValidationError", "r2"),
    _entry(4, OTHER, "feature", "FUTURE", "r3"),
    _entry(5, GROUP, "feature", "FUTURE", "r2"),
]
KEYS = [one["row_key"] for one in ENTRIES]


@pytest.fixture
def says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Says:
    """Runs ``penstock quarantine …`` on a lake with five entries; answers what it says."""
    write_deltalake(tmp_path / "lake" / "quarantine", pa.Table.from_pylist(ENTRIES))

    def said(*words: str, code: int = 0) -> str:
        where = [f"--set={name}={tmp_path / name}" for name in ("lake", "state")]
        assert run(["quarantine", *words, "--project", str(ROOT), *where]) == code
        found = capsys.readouterr()
        return found.out if code == 0 else found.err

    return said


def _listed(says: Says, *words: str) -> list[int]:
    """Positions of the entries listed."""
    return [one["position"] for one in json.loads(says("list", "--json", *words))]


def _replayed(folder: Path, *keys: str, outcome: Outcome) -> None:
    log = Decisions(LocalStorage(), str(folder / "state" / "decisions" / GROUP)).refresh()
    outcomes = dict.fromkeys(keys, outcome)
    assert log.add("replayed", keys, by="ann on host", now=NOW, outcomes=outcomes, run="r9")


@pytest.mark.parametrize(
    ("words", "positions"),
    [
        ([], [5, 4, 3, 2, 1]),
        ([GROUP], [5, 3, 2, 1]),
        ([GROUP, "--stage", "feature"], [5, 2]),
        (["--rule", "FUTURE"], [5, 4]),
        ([GROUP, "--run", "r1"], [2, 1]),
        (["--key", KEYS[2][:8]], [3]),
        (["--stage", "online", "--rule", "TYPE"], []),
        (["--state", "discarded"], []),
    ],
)
def test_entries_are_chosen_by_what_they_are(
    words: list[str], positions: list[int], says: Says
) -> None:
    """Newest first; every filter narrows."""
    assert _listed(says, *words) == positions


def test_a_discarded_row_is_kept_and_out_of_the_list(says: Says) -> None:
    """Twice is once; only rows that match; the reason stays with it."""
    words = ("discard", GROUP, "--stage", "feature", "--reason", "gate 7, INC-1204")
    assert "2 rows discarded" in says(*words)
    assert "0 rows discarded" in says(*words)
    assert _listed(says, GROUP) == [3, 1]
    assert _listed(says, GROUP, "--state", "discarded") == [5, 2]
    assert _listed(says, "--state", "all") == [5, 4, 3, 2, 1]
    text = says("show", KEYS[1])
    assert "discarded: gate 7, INC-1204" in text
    assert SECRET in text
    found = json.loads(says("show", KEYS[1], "--json"))
    assert (found["state"], [one["kind"] for one in found["history"]]) == (
        "discarded",
        ["discarded"],
    )
    assert found["history"][0]["reason"] == "gate 7, INC-1204"


def test_a_list_never_shows_values(says: Says) -> None:
    """Not in the table, not in JSON; the row as it came is what ``show`` is for."""
    for words in (("list",), ("list", "--json"), ("list", "--state", "all", "--json")):
        text = says(*words)
        assert KEYS[0][:12] in text
        assert SECRET not in text


def test_what_replays_came_to_is_told_in_order(says: Says, tmp_path: Path) -> None:
    """The newest rule is the one listed and filtered by; a row that came through is not open."""
    _replayed(tmp_path, KEYS[2], outcome=Outcome("rejected", "Throttled"))
    _replayed(tmp_path, KEYS[1], KEYS[2], outcome=Outcome("moved", "ValidationError", KEYS[4]))
    assert _listed(says, GROUP) == [5, 1]
    assert _listed(says, GROUP, "--state", "replayed") == [3, 2]
    found = json.loads(says("show", KEYS[2], "--json"))
    told = [(one["outcome"], one["rule"], one["run"]) for one in found["history"]]
    assert told == [("rejected", "Throttled", "r9"), ("moved", "ValidationError", "r9")]
    assert (found["state"], found["tries"], found["rule"]) == ("replayed", 2, "ValidationError")
    text = says("show", KEYS[2])
    first, second = text.index("refused it again (Throttled)"), text.index(f"see {KEYS[4]}")
    assert first < second
    _replayed(tmp_path, KEYS[4], outcome=Outcome("unfit", "TYPE"))
    assert _listed(says, GROUP, "--rule", "TYPE") == [5, 1]
    assert "1 open row in quarantine" in says("list", GROUP, "--rule", "TYPE", "--stage", "feature")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "ffff"], "0 entries have a key that starts with 'ffff'"),
        (["discard", "nope", "--reason", "r"], "there is no feature group 'nope'"),
        (["discard", GROUP, "--reason", " "], "the reason is empty"),
        (["discard", GROUP], "missing option '--reason'"),
        (["replay", "nope"], "there is no feature group 'nope'"),
    ],
)
def test_a_wrong_word_is_said_and_exit_2(words: list[str], said: str, says: Says) -> None:
    """Nothing is started for it."""
    assert said in says(*words, code=2)
