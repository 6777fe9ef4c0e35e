"""What is durable, what is on its way, and what chance does: all that drivers share.

Objects are put if absent. Staged files, markers and rejects can be collected, so whoever reads one
may find it missing; journals, manifests and pins stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Hashable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from penstock.ledger.journal import State
from tests.model.rules import Rules
from tests.model.settings import Setting
from tests.model.stores import Answer, Batch, Call, Commit, Key, Online, Request, Row, Table

SPAN = 100  # event times of a window


class StoppedError(Exception):
    """A driver ends and may be started again: exit 75."""


class MissingError(Exception):
    """A file is not there any more: the driver dies of it."""


class Violated(Exception):  # noqa: N818 - what the model is there to find, no error of its own
    """A promise is broken."""


class Event(NamedTuple):
    """An event of a journal."""

    state: State
    epoch: int
    data: Any


@dataclass
class Journal:
    """The events of a batch and their fold, as the engine's journal has it."""

    events: list[Event] = field(default_factory=list)
    state: State | None = None
    epoch: int = 0

    def add(self, event: Event) -> None:
        """One more event; a claim changes no state but the first."""
        self.events.append(event)
        self.epoch = max(self.epoch, event.epoch)
        if self.state is None or event.state is not State.CLAIMED:
            self.state = event.state


class Manifest(NamedTuple):
    """What was staged: by whom, from which version of the source, and all that is counted in."""

    run: int
    epoch: int
    feed: int
    chunk_rows: int
    compare: bool
    correct: bool
    sends: bool
    figures: dict[str, Any]


@dataclass(eq=False)
class Driver:
    """A driver on its way, at a point; asleep until a tick."""

    window: int
    steps: Generator[str, None, None]
    number: int
    feed: int
    wakes: int = 0
    point: str = ""


@dataclass
class World:
    """Everything outside the drivers."""

    random: Random
    setting: Setting
    rules: Rules
    sources: list[list[tuple[Row, ...]]]
    online: Online
    table: Table = field(default_factory=Table)
    tick: int = 0
    ending: bool = False
    story: list[str] | None = None
    objects: dict[Hashable, Any] = field(default_factory=dict)
    files: dict[Batch, dict[Hashable, Any]] = field(default_factory=lambda: defaultdict(dict))
    generations: dict[int, int] = field(default_factory=dict)
    noted: dict[tuple[Batch, Hashable], Any] = field(default_factory=dict)
    journals: dict[Batch, Journal] = field(default_factory=dict)
    version: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    unsent: set[tuple[int, int]] = field(default_factory=set)
    corrected: dict[Key, int] = field(default_factory=dict)
    sent: set[int] = field(default_factory=set)
    hurried: set[Batch] = field(default_factory=set)
    answered: set[tuple[int, int]] = field(default_factory=set)
    acknowledged: dict[Batch, set[Row]] = field(default_factory=lambda: defaultdict(set))
    dead: dict[Batch, set[Row]] = field(default_factory=lambda: defaultdict(set))
    refused: dict[int, int] = field(default_factory=dict)
    zombies: list[Request] = field(default_factory=list)
    drivers: list[Driver] = field(default_factory=list)
    crossed: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def tell(self, text: str) -> None:
        """A line of the story, if somebody listens."""
        if self.story is not None:
            self.story.append(f"{self.tick:5d}  {text}")

    def put(self, name: Hashable, value: Any) -> Any:
        """Put if absent; what is there then."""
        return self.objects.setdefault(name, value)

    def write(self, batch: Batch, name: Hashable, value: Any) -> None:
        """A file under a name of the driver's own."""
        self.files[batch][name] = self.noted[batch, name] = value

    def read(self, batch: Batch, name: tuple[Any, ...]) -> Any:
        """A file.

        Raises:
            MissingError: It was collected.
            Violated: It was, and is still needed.
        """
        found = self.files[batch].get(name)
        if found is None:
            if self._needs(batch, name):
                raise Violated(f"{batch}: {name} is needed, and was collected")
            raise MissingError(f"{batch}: {name}")
        return found

    def _needs(self, batch: Batch, name: tuple[Any, ...]) -> bool:
        """Whether a file is one that every later driver of the batch will read."""
        manifest = self.manifest(batch)
        if manifest is None or self.state(batch) is State.DONE:
            return False
        if name[0] == "selected":
            return bool(self.objects["selection", batch, name[1]].name == name)
        return bool(name[0] == "marker" or name[1] == manifest.epoch)

    def manifest(self, batch: Batch) -> Manifest | None:
        """The manifest of a batch, if it is staged."""
        found: Manifest | None = self.objects.get(("manifest", batch))
        return found

    def generation(self, window: int) -> int:
        """The newest generation of a window; 0 where there is none."""
        return self.generations.get(window, 0)

    def state(self, batch: Batch) -> State | None:
        """How far a batch is; None where nobody has begun."""
        found = self.journals.get(batch)
        return None if found is None else found.state

    def epoch(self, batch: Batch) -> int:
        """The newest epoch; 0 before the first claim."""
        found = self.journals.get(batch)
        return 0 if found is None else found.epoch

    def data(self, batch: Batch, state: State) -> Any:
        """What the newest event of a state carries; empty where there is none."""
        found = self.journals.get(batch)
        events = () if found is None else reversed(found.events)
        return next((one.data for one in events if one.state is state), {})

    def append(self, batch: Batch, state: State, epoch: int, data: Any) -> None:
        """Append an event; its answer may be lost.

        Raises:
            StoppedError: Another driver claimed, or the answer was lost.
            Violated: The batch was done.
        """
        newest = self.epoch(batch)
        claims = state is State.CLAIMED
        if ((newest >= epoch) if claims else (newest != epoch)) and (claims or self.rules.fenced):
            raise StoppedError("fenced")
        if state is State.ONLINE_DONE and data["sent"]:
            self.sent.add(batch[0])
        if self.state(batch) is State.DONE and not claims:
            raise Violated(f"{batch}: {state.value} after DONE")
        self.generations[batch[0]] = max(batch[1], self.generation(batch[0]))
        self.journals.setdefault(batch, Journal()).add(Event(state, epoch, data))
        if self.random.random() < 0.02:
            raise StoppedError(f"{state.value} is there, the answer was lost")

    def evaluate(self, window: int, feed: int) -> list[Row]:
        """The source's rows: others each time, some of them twice."""
        rows, chance = [], self.random.random
        for row in self.sources[window][feed]:
            if chance() < 0.9:
                rows.append(row)
                if chance() < 0.1:
                    rows.append(row)
        return rows

    def overlaps(self, window: int) -> bool:
        """Whether another window, done or begun, shares time with this one."""
        return any(one != window and self.shares(one, window) for one, _ in self.journals)

    def request(self, call: Call, batch: Batch, since: int) -> Answer:
        """Ask the service. The answer may be lost, and so may the request, or it comes later."""
        request, chance = Request(call, batch, since), self.random.random() / self.setting.lost
        if 0.5 <= chance < 1:
            if chance < 0.75:
                self.zombies.append(request)
            return "lost"
        answer = self.serve(request)
        return "lost" if chance < 0.5 else answer

    def serve(self, request: Request) -> Answer:
        """The service does it.

        Raises:
            Violated: A correction was undone by an earlier one; or an old value came back although
                the offline table had known a newer one when the driver began to send.
        """
        answer = self.online.serve(request)
        row, generation = request.call.row, request.batch[1]
        if request.call.kind == "update" and answer == "accepted":
            if self.corrected.get(row.key, 0) > generation:
                raise Violated(f"undone by an earlier correction: {row} of {request.batch}")
            self.corrected[row.key] = generation
        if self.online.returned:
            self.online.returned.clear()
            self._returned(request)
        return answer

    def _returned(self, request: Request) -> None:
        row = request.call.row
        if not self.setting.forgets:
            raise Violated(f"online went back: {row} of {request.batch}")
        if self.table.knew(row, request.since):
            raise Violated(f"an old value came back: {row} of {request.batch}")
        self.crossed.add(row.identifier)
        self.counts["crossed"] += 1

    def commit(self, commit: Commit, write: int, snapshot: int | None) -> str:
        """An append of Delta: ``done``, ``lost`` (the answer), ``known`` or ``conflict``.

        Args:
            commit: What is appended.
            write: ``write_time``.
            snapshot: Version that was read for it; None where nothing was read.
        """
        table = self.table
        if self.rules.transactional and table.knows(commit.name, commit.version):
            return "known"
        if snapshot is not None and snapshot != len(table.commits):
            return "conflict"
        table.append(commit, write)
        if table.doubles:
            raise Violated(f"twice offline: {table.doubles[0]} in {commit.name}")
        return "lost" if self.random.random() < 0.3 else "done"

    def behind(self, window: int) -> bool:
        """Whether the window starts before the end of another one whose records were sent."""
        return any(
            one != window and (one > window or self.setting.mixed or self.shares(one, window))
            for one in self.sent
        )

    def unfinished(self, window: int) -> bool:
        """Whether another window that shares time with this one is staged and not done."""
        return any(
            batch[0] != window
            and self.shares(batch[0], window)
            and self.manifest(batch) is not None
            and journal.state is not State.DONE
            for batch, journal in self.journals.items()
        )

    def shares(self, one: int, other: int) -> bool:
        """Whether two windows have rows in common."""
        return self.setting.overlaps and one // 2 == other // 2

    def busy(self, window: int, asks: int = 1) -> bool:
        """Whether requests of a window are under way, or drivers beside those that ask."""
        others = sum(one.window == window for one in self.drivers)
        return others > asks or any(one.batch[0] == window for one in self.zombies)
