"""T04: the driver is killed with SIGKILL at every crash point, for certain, and resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penstock.ledger.journal import Journal
from penstock.storage import LocalStorage
from tests.flow.points import COLLECTING, POINTS, Point, kill
from tests.flow.project import GROUP
from tests.flow.stores import Stores, fine, provisioned, stores

SENSORS = 2_500
POINT_S = 300.0

pytestmark = [pytest.mark.prove, pytest.mark.shows("5.6")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """What is left behind when nobody disturbs it: 5,000 rows."""
    small = provisioned(tmp_path_factory.mktemp("undisturbed"), SENSORS)
    found = stores(small, fine(small.run("ingest", "--json")))
    assert len(found.offline) >= 5_000
    return found


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_t04_driver_kill9_all_crash_points(
    undisturbed: Stores, tmp_path: Path, point: Point
) -> None:
    """DONE by the same command, every row once, one api_invocation_time; the same stores."""
    small, hit = provisioned(tmp_path / "project", SENSORS), tmp_path / "hit"
    stopping = replace(small, path=(point.copy(tmp_path / "copy", hit),))
    process = stopping.start("ingest", "--json")
    assert kill(process, point, hit, small.lake / "offline" / GROUP, POINT_S) is not None
    journal = Journal(LocalStorage(), str(small.journal)).refresh()
    if point.state is not None:
        assert journal.state is not None
        assert journal.state.value == point.state
    if point.staged is not None:
        assert small.manifest.exists() is point.staged
    last = fine(small.run("ingest", "--json", "--takeover"))
    assert stores(small, last) == undisturbed
    assert small.states()[-1] == "DONE"


def test_t04_driver_kill9_in_a_collection(undisturbed: Stores, tmp_path: Path) -> None:
    """cp16: what is left goes with the next one; the window stays DONE, and is not run again."""
    small, hit = provisioned(tmp_path / "project", SENSORS), tmp_path / "hit"
    last = fine(small.run("ingest", "--json"))
    words = ("collect", GROUP, "--older-than", "0m")
    stopping = replace(small, path=(COLLECTING.copy(tmp_path / "copy", hit),))
    bulk = _bulk(small.state)
    assert len(bulk) > 2
    process = stopping.start("ledger", *words)
    assert kill(process, COLLECTING, hit, small.lake / "offline" / GROUP, POINT_S) == ""
    left = _bulk(small.state)
    assert len(left) == len(bulk) - 1
    assert stores(small, last) == undisturbed
    assert small.run("ledger", *words).code == 0
    assert _bulk(small.state) == []
    assert small.run("ledger", "verify").code == 0
    assert stores(small, last) == undisturbed
    again = small.run("ingest", "--json")
    assert (again.code, again.json[0]["state"]) == (0, "unchanged")
    assert small.states()[-1] == "DONE"


def _bulk(state: Path) -> list[Path]:
    """Staged and send files, and markers."""
    staged = (state / "staged").rglob("*.parquet")
    return sorted([*staged, *(state / "online").rglob("*.json")])
