"""What ``reconcile`` tells, to people and to programs, and the exit code that goes with it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.reconciling import _as_json, _for_people
from penstock.errors import DIFFERENT, REPAIRED
from penstock.reconcile.reconciliation import Difference, Reconciled, wilson
from penstock.reconcile.repair import Mended
from penstock.reconcile.task import Compared, total
from penstock.stage.report import Staged
from penstock.storage import LocalStorage

AT = "2024-05-01T00:00:00Z"


@pytest.fixture
def found(tmp_path: Path) -> Reconciled:
    """Twelve are missing, one is different, one is unknown offline, one is ahead."""
    some = [Difference(f"m{n:02d}", "missing", None, None, AT) for n in range(12)]
    some += [Difference("d", "different", "level, share", AT, AT)]
    some += [Difference("x", "unknown", None, AT, None), Difference("n", "ahead", None, AT, AT)]
    path = str(tmp_path / "found.parquet")
    pq.write_table(pa.Table.from_pylist([one._asdict() for one in some]), path)
    kinds = Counter(equal=85, missing=12, different=1, unknown=1, ahead=1)
    return Reconciled("readings", kinds, None, None, (Staged(path, len(some)),), LocalStorage())


def test_programs_get_every_difference(
    found: Reconciled, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON document; what offline never had is extra."""
    _as_json(found, None)
    told = json.loads(capsys.readouterr().out)
    assert (told["compared"], told["differing"], told["left"]) == (100, 15, 15)
    assert (told["kinds"]["extra"], told["kinds"]["missing"], told["kinds"]["stale"]) == (1, 12, 0)
    assert (told["exit_code"], told["mended"], told["share_95"]) == (DIFFERENT, None, None)
    assert len(told["differences"]) == 15
    assert told["differences"][12:14] == [
        {
            "identifier": "d",
            "kind": "different",
            "features": ["level", "share"],
            "online_at": AT,
            "offline_at": AT,
        },
        {
            "identifier": "x",
            "kind": "extra",
            "features": [],
            "online_at": AT,
            "offline_at": None,
        },
    ]
    _as_json(replace(found, kinds=Counter(equal=3), files=()), 3)
    told = json.loads(capsys.readouterr().out)
    assert (told["differences"], told["exit_code"]) == ([], 0)
    assert told["share_95"][0] == 0


def test_people_get_some_of_each_kind(
    found: Reconciled, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten of a kind, how many more there are, and what to type."""
    _for_people(found, None)
    told = capsys.readouterr().out
    assert ("m09" in told, "m10" in told) == (True, False)
    assert "2 more: --json has all" in told
    assert "level, share" in told
    assert "readings: 15 differ. Next: penstock reconcile readings --repair" in told
    lagging = replace(found, unlisted="it cannot be listed", under_way="window 2024 is not done")
    _for_people(lagging, 100)
    told = capsys.readouterr().out
    assert "window 2024 is not done: what is ahead may be of that and is no difference" in told
    assert "were not looked for: it cannot be listed" in told
    assert "readings: by this sample 7.76% to 20.98% of all" in told
    left = Counter(ahead=1)
    _for_people(replace(found, mended=Mended(16, 0, 0, left)), None)
    told = capsys.readouterr().out
    assert "16 writes for 15 records that differed: 1 still differ" in told
    assert "Next: penstock get readings ID" in told


def test_the_exit_code_tells(found: Reconciled) -> None:
    """Nothing differs, something does, all of it was mended; what is under way is left out."""
    none: Counter[str] = Counter()
    assert replace(found, kinds=Counter(equal=9, expired=1)).exit_code == 0
    assert found.exit_code == DIFFERENT
    assert replace(found, mended=Mended(1, 0, 0, none)).exit_code == REPAIRED
    assert replace(found, mended=Mended(1, 0, 0, Counter(ahead=1))).exit_code == DIFFERENT
    lagging = replace(found, under_way="a run is at work")
    assert (lagging.differing, lagging.exit_code) == (13, DIFFERENT)
    assert replace(lagging, kinds=Counter(equal=1, ahead=2, unknown=3)).exit_code == 0


@given(st.integers(0, 500), st.integers(0, 500))
def test_bounds_hold_the_share(hits: int, more: int) -> None:
    """Between 0 and 1, around what was seen, narrower with a larger sample."""
    size = hits + more
    low, high = wilson(hits, size)
    assert 0 <= low <= high <= 1
    if size:
        assert low - 1e-12 <= hits / size <= high + 1e-12
        wider = wilson(hits * 4, size * 4)
        assert wider[1] - wider[0] <= high - low
    assert wilson(0, 10_000)[1] < 0.0004


def test_reports_add_up() -> None:
    """Of tasks, through JSON, files in order."""
    one = Compared(Counter(equal=2), 0, (Staged("b", 1),))
    other = Compared(Counter(equal=1, missing=3), 2, (Staged("a", 3),), (), (Staged("g", 2),))
    summed = total([one.encoded(), other.encoded()])
    assert summed == Compared(
        Counter(equal=3, missing=3), 2, (Staged("a", 3), Staged("b", 1)), (), (Staged("g", 2),)
    )
    assert summed.differing == 3
