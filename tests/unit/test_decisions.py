"""What is decided about rows of the quarantine: one order, nothing forgotten, no damage unseen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import MismatchError
from penstock.ledger.decisions import (
    OPEN,
    Decision,
    Decisions,
    Kind,
    Outcome,
    Verdict,
    What,
    history,
    verdicts,
)
from penstock.ledger.window import Window, parse_name, replay_window
from penstock.storage import LocalStorage

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)
KEYS = ("a", "b", "c")
WHATS: tuple[What, ...] = ("accepted", "dropped", "moved", "unfit", "rejected")
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass
class Racing(LocalStorage):
    """Before a put, ``between`` acts once, as another process might."""

    between: Callable[[], None] | None = field(default=None)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As it should be."""
        other, self.between = self.between, None
        if other is not None:
            other()
        return super().put_if_absent(path, data)


@st.composite
def _events(draw: st.DrawFn) -> list[Decision]:
    found = []
    for number in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(KINDS))
        keys = tuple(draw(st.sets(st.sampled_from(KEYS), min_size=1)))
        outcomes = {}
        if kind == "replayed":
            outcomes = {key: Outcome(draw(st.sampled_from(WHATS)), "TYPE") for key in keys}
        found.append(Decision(number + 1, kind, "", "", keys, outcomes, {"window": "w"}))
    return found


@given(_events())
def test_a_row_stands_as_its_last_settling_decision_says(events: list[Decision]) -> None:
    """Counted apart from the fold: walk one row's decisions and ask each what it changes."""
    stand = verdicts(events)
    for key in KEYS:
        mine = history(events, key)
        verdict = stand.get(key, OPEN)
        tried = [one.outcomes[key] for one in mine if key in one.outcomes]
        assert verdict.tries == len(tried)
        assert verdict.rule == (tried[-1].rule if tried else None)
        assert verdict.last == (mine[-1] if mine else None)
        settled = [
            one
            for one in mine
            if one.kind in ("discarded", "resolved")
            or (key in one.outcomes and one.outcomes[key].what in ("accepted", "dropped", "moved"))
        ]
        if not settled:
            assert verdict.standing == "open"
        returned = [one.number for one in mine if one.kind == "returned"]
        if settled and not [one for one in returned if one > settled[0].number]:
            assert verdict.standing != "open"


@given(_events())
def test_only_a_replay_that_came_through_brings_back_what_was_discarded(
    events: list[Decision],
) -> None:
    """Meeting the row again does not; a row in the stores cannot be called discarded."""
    first = Decision(1, "discarded", "", "", ("a",), {}, {"reason": "r"})
    after = verdicts([first, *events])["a"]
    through = [
        one
        for one in events
        if "a" in one.outcomes and one.outcomes["a"].what in ("accepted", "dropped", "moved")
    ]
    if not through:
        assert after.standing == "discarded"
    elif not [one for one in events if one.kind == "discarded"]:
        assert after.standing != "discarded"


def _log(folder: Path, storage: LocalStorage | None = None) -> Decisions:
    return Decisions(storage or LocalStorage(), str(folder / "decisions")).refresh()


def _discard(log: Decisions, *keys: str) -> bool:
    return log.add("discarded", keys, by="ann", now=NOW, reason="r")


def test_decisions_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Kinds, outcomes with rule and entry, and what else was said."""
    log = _log(tmp_path)
    told: dict[str, Any] = {"window": "dlq-1", "run": "r1"}
    assert log.add("replaying", ("b", "a"), by="ann", now=NOW, **told)
    outcomes = {"a": Outcome("moved", "ValidationError", "k"), "b": Outcome("unfit", "TYPE")}
    assert log.add("replayed", outcomes, by="ann", now=NOW, outcomes=outcomes, **told)
    assert _discard(log, "b")
    again = _log(tmp_path).events
    assert again == log.events
    assert [one.kind for one in again] == ["replaying", "replayed", "discarded"]
    assert again[0].keys == ("a", "b")
    assert again[1].outcomes == outcomes
    assert again[2].data == {"reason": "r"}
    assert again[2].at == "2024-01-01T00:00:00.000000Z"


def test_of_two_that_decide_at_once_one_comes_first_and_the_other_looks_again(
    tmp_path: Path,
) -> None:
    """Nobody's decision is lost, and each was made knowing all before it."""
    storage = Racing()
    ours = _log(tmp_path, storage)
    theirs = _log(tmp_path)
    storage.between = lambda: _said(_discard(theirs, "a"))
    seen = []

    def decide(stand: Mapping[str, Verdict]) -> bool:
        seen.append(dict(stand))
        return _discard(ours, *(key for key in ("a", "b") if key not in stand))

    ours.settle(decide)
    events = _log(tmp_path).events
    assert [one.keys for one in events] == [("a",), ("b",)]
    assert [sorted(one) for one in seen] == [[], ["a"]]


def _said(done: bool) -> None:
    assert done


def test_a_plan_is_pending_until_it_ends_or_is_given_up(tmp_path: Path) -> None:
    """Also when rows are discarded meanwhile; another window's end is not its own."""
    log = _log(tmp_path)
    log.add("replaying", ("a",), by="", now=NOW, window="w1")
    _discard(log, "b")
    log.add("replayed", ("c",), by="", now=NOW, outcomes={"c": Outcome("unfit", "TYPE")})
    assert _window(log) == "w1"
    log.add("abandoned", (), by="", now=NOW, window="w1")
    assert _window(log) is None
    log.add("replaying", ("a",), by="", now=NOW, window="w2")
    log.add("replayed", ("a",), by="", now=NOW, window="w2")
    assert _window(log) is None


def _window(log: Decisions) -> object:
    return log.pending and log.pending.data["window"]


@pytest.mark.parametrize("harm", ["changed", "torn", "missing", "copied"])
def test_a_damaged_decision_is_named(harm: str, tmp_path: Path) -> None:
    """Never folded over: what was discarded must not come back because a file is bad."""
    log = _log(tmp_path)
    for key in KEYS:
        _discard(log, key)
    second = tmp_path / "decisions" / "000002.json"
    text = second.read_bytes()
    if harm == "changed":
        second.write_bytes(text.replace(b'"b"', b'"x"'))
    elif harm == "torn":
        second.write_bytes(text[:-5])
    elif harm == "missing":
        second.unlink()
    else:
        second.write_bytes((tmp_path / "decisions" / "000001.json").read_bytes())
    with pytest.raises(MismatchError, match=r"000002\.json"):
        _log(tmp_path)


def test_a_file_is_json_with_sorted_keys(tmp_path: Path) -> None:
    """For people with a pager."""
    _discard(_log(tmp_path), "b", "a")
    found = json.loads((tmp_path / "decisions" / "000001.json").read_text())
    assert (found["kind"], found["keys"], found["by"]) == ("discarded", ["a", "b"], "ann")


def test_the_window_of_a_replay_takes_every_row_and_says_what_time_it_spans() -> None:
    """Its gate has no bounds; a window of other days learns that it shares nothing with it."""
    day = datetime(2024, 1, 2, tzinfo=timezone.utc)
    window = replay_window("0f", NOW, day)
    assert (window.start, window.end, window.replays) == (None, None, True)
    assert window.name == "dlq-0f_20240101T000000Z_20240102T000000Z"
    assert parse_name(window.name) == Window(NOW, day, window.name)
    assert parse_name(window.name).name == window.name
    assert not Window(NOW, day).replays
