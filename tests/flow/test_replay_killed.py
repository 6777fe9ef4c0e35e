"""``penstock quarantine replay`` as a process that is killed while it sends.

Then the same command again: both stores equal those of a project that never put the rows aside.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.flow.processes import end, gone, under, until
from tests.flow.project import GROUP, Answer, Small, make

SENSORS = 3_000
SLOW = (
    "--set=online.in_flight=1",
    "--set=online.chunk_rows=50",
    "--set=online.max_write_units_per_s=200",
)
LIMIT = """,
        expectations=(
            Expectation("expect_column_values_to_be_between", "level", {"max_value": 500_000}),
        ),
    ),
    {"""
OPEN = "\n    ),\n    {"


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_a_replay_that_is_killed_while_it_sends_is_finished_by_the_next(tmp_path: Path) -> None:
    """The driver gets a SIGKILL between two markers; about 3,000 rows of the feature gate.

    A row that ties with one that is there already is no replay's to decide: it stays open.
    """
    whole = make(tmp_path / "whole", SENSORS)
    _fine(whole.run("provision"))
    _fine(whole.run("ingest"))
    small = make(tmp_path / "small", SENSORS)
    schema = small.root / "schemas" / "readings.py"
    mended = schema.read_text(encoding="utf-8")
    strict = mended.replace(OPEN, LIMIT).replace(
        "    Feature,\n", "    Expectation,\n    Feature,\n"
    )
    schema.write_text(strict.replace("),,", "),"), encoding="utf-8")
    _fine(small.run("provision"))
    _fine(small.run("ingest", "--set=quality.max_quarantine_ratio=1"))
    aside = len(small.quarantine())
    assert len(small.offline()) < len(whole.offline())
    schema.write_text(mended, encoding="utf-8")
    process = small.start("quarantine", "replay", GROUP, "--json", *SLOW)
    until(lambda: process.poll() is not None or len(_markers(small)) >= 4, "sending", 180)
    assert process.poll() is None, process.communicate()
    children = under(process.pid)
    process.kill()
    process.communicate()
    gone(children, 60)
    end(children, signal.SIGKILL)
    before = len(_markers(small))
    answer = _fine(small.run("quarantine", "replay", GROUP, "--json"))
    assert answer.json["runs"][0]["state"] == "resumed"
    assert len(_markers(small)) > before
    assert set(answer.json["outcomes"]) <= {"accepted", "unfit"}
    # What is bad by itself is put aside in both projects, and stays.
    rules = answer.json["rules"]
    assert rules.pop("NULL_KEY", 0) == sum("NULL_KEY" in one for one in whole.quarantine())
    assert set(rules) <= {"CORRECTION"}
    again = _fine(small.run("quarantine", "replay", GROUP, "--json"))
    assert (again.json["runs"], again.json["outcomes"].keys() - {"unfit"}) == ([], set())
    stays = again.json["tried"]
    assert _rows(small) <= _rows(whole)
    assert len(_rows(whole) - _rows(small)) <= stays < aside / 20
    assert len(small.offline()) == len(_rows(small))
    ours, theirs = small.online(), whole.online()
    assert ours.keys() == theirs.keys()
    assert sum(ours[one] != theirs[one] for one in ours) <= stays
    assert len(small.quarantine()) == aside


def _rows(small: Small) -> set[tuple[object, ...]]:
    return {row[:4] for row in small.offline()}


def _markers(small: Small) -> list[Path]:
    return list((small.state / "online" / GROUP).glob("dlq-*/**/*.json"))


def _fine(answer: Answer) -> Answer:
    assert answer.code == 0, answer
    return answer
