"""Two drivers on one window: who works, who is told, and who is fenced after a takeover."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from penstock.errors import TemporaryError
from penstock.ledger.journal import Journal, State
from penstock.ledger.lease import LEASE_S, check_free, held, owner
from penstock.storage import LocalStorage

BEGAN = 1_700_000_000.0
STORAGE = LocalStorage()


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = BEGAN

    def __call__(self) -> float:
        """Epoch seconds."""
        return self.now

    @property
    def date(self) -> datetime:
        """As the journal wants it."""
        return datetime.fromtimestamp(self.now, timezone.utc)


@pytest.mark.shows("5.2")
@pytest.mark.shows("5.6")
def test_the_second_driver_is_told_and_after_the_lease_fences_the_first(tmp_path: Path) -> None:
    """Within the lease it says who holds it; later it claims, and the first writes no event more.

    The first one renews no more: it is stalled, and goes on when the second one has claimed.
    """
    clock, lease, folder = Clock(), str(tmp_path / "lease.json"), str(tmp_path / "ledger")
    first, second = (Journal(STORAGE, folder) for _ in range(2))
    first.append(State.CLAIMED, 1, {"owner": owner()}, clock.date)
    with held(STORAGE, lease, clock, renew_s=3_600):
        first.append(State.PLANNED, 1, {}, clock.date)
        clock.now += LEASE_S - 1
        with pytest.raises(TemporaryError, match=r"owned by .*process \d+, for 1 s more") as told:
            check_free(STORAGE, lease, clock())
        assert told.value.exit_code == 75
        assert "--takeover" in told.value.remedy
        clock.now += 1
        check_free(STORAGE, lease, clock())
        second.append(State.CLAIMED, second.refresh().epoch + 1, {"owner": "who came"}, clock.date)
        with held(STORAGE, lease, clock, renew_s=3_600):
            with pytest.raises(TemporaryError, match="was claimed by who came meanwhile"):
                first.append(State.STAGED, 1, {}, clock.date)
            second.append(State.STAGED, 2, {}, clock.date)
            with pytest.raises(TemporaryError, match="owned by"):
                check_free(STORAGE, lease, clock())
    states = [(one.state, one.epoch) for one in second.refresh().events]
    assert states == [
        (State.CLAIMED, 1),
        (State.PLANNED, 1),
        (State.CLAIMED, 2),
        (State.STAGED, 2),
    ]
    check_free(STORAGE, lease, clock())


@dataclass
class Away(LocalStorage):
    """A folder that cannot be reached for a while."""

    away: bool = False
    refused: int = 0

    def read(self, path: str) -> bytes:
        """Unless it is away."""
        if self.away:
            self.refused += 1
            raise TemporaryError("nobody answers", "Run the same command again")
        return super().read(path)


def test_a_lease_outlasts_a_storage_that_is_away(tmp_path: Path) -> None:
    """It is renewed afterwards; what ends the run is not hidden by a lease that cannot be ended."""
    storage, clock, lease = Away(), Clock(), str(tmp_path / "lease.json")

    def until() -> float:
        found: float = json.loads(STORAGE.read(lease))["until"]
        return found

    def run() -> None:
        with held(storage, lease, clock, renew_s=0.01):
            storage.away = True
            while storage.refused < 3:
                time.sleep(0.01)
            clock.now += 30
            storage.away = False
            while until() < clock.now + LEASE_S:
                time.sleep(0.01)
            storage.away = True
            raise KeyError("the run's own")

    with pytest.raises(KeyError, match="the run's own"):
        run()
    with pytest.raises(TemporaryError, match="owned by"):
        check_free(STORAGE, lease, clock())
