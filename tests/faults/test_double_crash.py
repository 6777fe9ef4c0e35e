"""T05: a run dies at one crash point, its resumption at another; whichever two, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator.server import Emulator
from tests.flow.copies import copied
from tests.flow.points import POINTS

ROOT = Path(__file__).parents[2]
NAMES = tuple(one.name for one in POINTS)
SENSORS = 80
#: Behind an event, or what is made but once: a resumption does not come there again.
ONCE = {"cp09", "cp12", "cp13", "cp14", "cp15"}
Pair = tuple[str, str]


@pytest.mark.shows("5.6")
def test_t05_double_crash_of_some(emulator: Emulator, tmp_path: Path) -> None:
    """Every point once: a run dies at one, and its resumption at the next."""
    pairs = list(zip(NAMES[::2], NAMES[1::2], strict=True))
    _hold(_tried(emulator, tmp_path, pairs), pairs)


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t05_double_crash(emulator: Emulator, tmp_path: Path) -> None:
    """All pairs of the sixteen points of a run; cp16 is in a command of its own."""
    pairs = [(first, second) for first in NAMES for second in NAMES]
    found = _tried(emulator, tmp_path, pairs)
    assert len(found) == 256
    _hold(found, pairs)


def _hold(found: Sequence[dict[str, Any]], pairs: list[Pair]) -> None:
    """Each died where it should, came to its end, and left what an undisturbed run leaves."""
    assert [tuple(one["pair"]) for one in found] == pairs
    for one in found:
        first, second, last = one["codes"]
        assert (first, last) == (-9, 0), one
        assert second in (-9, 0), one
        assert not one["wrong"], one
    died = {(first, second) for one in found if one["codes"][1] == -9
            for first, second in [one["pair"]]}  # fmt: skip
    assert died >= {
        (first, second)
        for first, second in pairs
        if first < second or (first == second and first not in ONCE)
    }


def _tried(emulator: Emulator, root: Path, pairs: list[Pair]) -> list[dict[str, Any]]:
    copy = copied(root / "copy")
    for point in POINTS:
        if point.name != "cp10":  # inside Delta: the stand-in calls it
            call = f"__import__('tests.faults.standins', fromlist=['at']).at({point.name!r})"
            point.insert(copy, call)
    place = root / "pairs"
    place.mkdir()
    where = [emulator.region, emulator.url, str(emulator.credentials_file), str(root / "aws")]
    where.append(str(SENSORS))
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.pairs", str(place), *where, json.dumps(pairs)],
        cwd=place,
        env={**os.environ, "PYTHONPATH": f"{copy}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]
