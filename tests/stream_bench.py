"""What lags behind a stream, with a clock that is moved and an offline table that takes notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, cast

from penstock import lake
from penstock.aws import Endpoint
from penstock.config import Settings
from penstock.errors import TemporaryError
from penstock.online.totals import OnlineTotals
from penstock.quarantine import Quarantine
from penstock.run.context import Context
from penstock.run.places import quarantine_path
from penstock.streaming.batch import Batch, keep
from penstock.streaming.committing import Committed
from penstock.streaming.meter import Meter
from penstock.streaming.places import StreamPlaces
from penstock.streaming.tail import Tail
from tests.staged_batches import GROUP, START, STORAGE, day, sent, staged

APPLICATION = "penstock:g:stream-0001"


@dataclass
class Clock:
    """Stands still until it is moved."""

    at: datetime = START

    def __call__(self) -> datetime:
        """When it is."""
        return self.at


@dataclass
class Offline:
    """An offline table that notes what is done to it."""

    reached: int = -1
    exists: bool = True
    calls: list[tuple[str, list[int]]] = field(default_factory=list)
    error: Exception | None = None

    def widen(self) -> None:
        """Noted."""
        self.calls.append(("widen", []))

    def commit(
        self, batches: Sequence[Batch], rejects: Sequence[Sequence[str]], at: datetime
    ) -> Committed:
        """Noted, unless it is to fail."""
        assert len(batches) == len(rejects)
        assert at.tzinfo is not None
        if self.error is not None:
            raise self.error
        self.calls.append(("commit", [one.number for one in batches]))
        self.reached = batches[-1].number
        return Committed(sum(one.staged.fit for one in batches), 0, 0)

    @property
    def commits(self) -> list[list[int]]:
        """Numbers of the batches of each commit."""
        return [numbers for what, numbers in self.calls if what == "commit"]


class Refusals(Quarantine):
    """A quarantine that notes rejects: entering those needs Spark."""

    noted: ClassVar[list[tuple[list[str], int]]] = []  # with the greatest batch entered by then

    def add_rejects(self, files: Sequence[str], group: Any, entry: Any) -> None:
        """Noted."""
        del group, entry
        self.noted.append((list(files), self.reached(APPLICATION)))


@dataclass(frozen=True)
class Surroundings(Context):
    """Without Spark."""

    @property
    def quarantine(self) -> Quarantine:
        """Real but for rejects."""
        return Refusals(cast("Any", None), quarantine_path(self.settings), STORAGE)


class Bench:
    """A tail and all it is made of."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.offline = Clock(), Offline()
        self.pauses: list[float] = []  # that were asked for; none of them is slept
        values = {
            "project": "p",
            "lake": f"{folder}/lake",
            "state": f"{folder}/state",
            "aws": {"region": "us-east-1"},
            "catalog": {"register": False},
        }
        self.context = Surroundings(
            lambda: cast("Any", None),
            Endpoint("us-east-1", "http://127.0.0.1:9", None),
            Settings.model_validate(values),
            folder,
            now=self.clock,
            sleep=self.pauses.append,
        )
        self.places = StreamPlaces(f"{folder}/state", "g", 1, "0001")
        self.ours, self.asked = True, 0
        self.meter = Meter(START.timestamp())
        Refusals.noted.clear()

    def tail(self, lag_s: float = 3600.0, *, own: bool = True) -> Tail:
        """One that was not started yet."""
        offline = cast("Any", self.offline if own else None)
        places, meter, check = self.places, self.meter, self.check
        return Tail(
            self.context, GROUP, "meaning", places, offline, meter, lag_s, "run", check, again=False
        )

    def check(self) -> None:
        """Raise where somebody else has taken the stream over."""
        self.asked += 1
        if not self.ours:
            raise TemporaryError("g: the stream was taken over", "")

    def made(self, number: int, *bad: bytes, rows: int = 1) -> Batch:
        """A batch that was staged."""
        some = [(f"{n}", day(1), n, False) for n in range(rows)]
        return staged(self.places.batches, number, some, bad, offset=number)

    def sent(self, batch: Batch, *refused: str) -> OnlineTotals:
        """Mark its records as sent."""
        return sent(self.places.batches, batch, refused)

    def batch(
        self, number: int, *bad: bytes, rows: int = 1, refused: bool = False
    ) -> tuple[Batch, OnlineTotals]:
        """A batch that is online, as :meth:`Tail.add` takes it."""
        made = self.made(number, *bad, rows=rows)
        keep(STORAGE, self.places.batch(number), made)
        return made, self.sent(made, *(["0"] if refused else []))

    def positions(self) -> list[int]:
        """Offsets of what is in the quarantine."""
        path = quarantine_path(self.context.settings)
        return sorted(one["position"] for one in lake.quarantined(path, STORAGE))
