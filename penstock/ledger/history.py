"""The ledger of one group as it is read: folders of events, and the snapshot of what is compacted.

Compaction goes on while others read. Its order is: the snapshot is durable, then folders go. So
folders are looked at first, the snapshot after; and where events are missing that were there, a
newer snapshot has them, and it is read anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from penstock.errors import MismatchError, PenstockError, TemporaryError
from penstock.ledger.journal import Journal, State, event_of, is_event
from penstock.ledger.snapshot import Snapshot, newest
from penstock.memory import all_kept
from penstock.storage import Storage

_T = TypeVar("_T")


class Told(Mapping[str, Any]):
    """What an event carries: JSON, which is parsed where somebody looks into it.

    Args:
        text: The JSON of an object.
    """

    __slots__ = ("_parsed", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parsed: dict[str, Any] | None = None

    @property
    def parsed(self) -> dict[str, Any]:
        """The object."""
        if self._parsed is None:
            self._parsed = json.loads(self.text)
        return self._parsed

    def __getitem__(self, name: str) -> Any:
        return self.parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parsed)

    def __len__(self) -> int:
        return len(self.parsed)


class Head(NamedTuple):
    """How far the newest generation of a window has come.

    Args:
        window: Its name.
        generation: From 0.
        state: As :attr:`penstock.ledger.journal.Journal.state`.
        at: When that was, ISO text.
        data: What the event carries.
        meaning: Of a finished one: hash of the meaning of the pipeline that made it.
        mode: Likewise, what was done to which store.
        pins: Likewise, what its sources were, as JSON.
    """

    window: str
    generation: int
    state: State
    at: str
    data: Told
    meaning: str | None = None
    mode: str | None = None
    pins: str | None = None


@dataclass(frozen=True)
class Ledger:
    """The ledger of ``group`` under the folder ``state``. Reading it changes nothing."""

    storage: Storage
    state: str
    group: str

    @property
    def folder(self) -> str:
        """Folder of the windows that are not compacted."""
        return f"{self.state}/ledger/{self.group}"

    def journal_folder(self, window: str, generation: int) -> str:
        """Folder of one generation's events."""
        return f"{self.folder}/{window}/{generation:04d}"

    def snapshot(self) -> Snapshot:
        """The newest one; raises MismatchError where its record is damaged."""
        return newest(self.storage, f"{self.state}/snapshots/{self.group}")

    def windows(self) -> list[str]:
        """Names of all windows, done or begun, sorted; of compacted ones nothing else is read."""
        names = {_name(path) for path in self.storage.list(self.folder)}

        def look(snapshot: Snapshot) -> list[str]:
            return sorted(names.union(snapshot.heads(["window"]).column(0).to_pylist()))

        return self._steadily(look)

    def newest(self, window: str) -> tuple[int, Journal]:
        """Number and journal of a window's newest generation; an empty one where there is none.

        Raises:
            MismatchError: An event is torn, changed or missing.
        """
        found = self._journals(window, newest_only=True)
        number = max(found, default=0)
        return number, found.get(number) or self.begun(window, number)

    def journals(self, window: str) -> dict[int, Journal]:
        """All journals of a window by generation, ascending; raises as :meth:`newest` does."""
        return self._journals(window, newest_only=False)

    def begun(self, window: str, generation: int) -> Journal:
        """The journal of a generation that is to be."""
        return Journal(self.storage, self.journal_folder(window, generation))

    def claim(
        self,
        window: str,
        generation: int,
        journal: Journal,
        epoch: int,
        data: Mapping[str, Any],
        now: datetime,
    ) -> None:
        """Claim a generation: its first event, or one after those of whoever had it.

        Raises:
            TemporaryError: Another run was faster; perhaps so much that it is compacted already.
        """
        journal.append(State.CLAIMED, epoch, data, now)
        # Events that were there fence us; the first event of a folder that is gone must not.
        if (
            len(journal.events) == 1
            and self._steadily(lambda s: s.generation(window)) >= generation
        ):
            message = f"{self.group}: another run has finished {window}, and it was compacted"
            raise TemporaryError(message, "Run the same command again: it finds what was done")

    def heads(self) -> list[Head]:
        """How far each window has come, by name.

        Only the newest event of a window is read. That it is whole, and that none before it is
        missing, is checked; the chain is checked by whoever goes on from it, and by ``verify``.

        Raises:
            MismatchError: Events are missing, or the newest one is damaged.
        """
        live = self._live()

        def look(snapshot: Snapshot) -> list[Head]:
            columns = ("window", "generation", "at", "data", "meaning", "mode", "pins")
            rows = zip(*(one.to_pylist() for one in snapshot.heads(columns).columns), strict=True)
            found = {
                window: Head(window, generation, State.DONE, at, Told(data), *about)
                for window, generation, at, data, *about in rows
            }
            for window, numbers in live.items():
                generation = max(numbers)
                if window not in found or found[window].generation < generation:
                    found[window] = self._head(window, generation, numbers[generation])
            return [found[name] for name in sorted(found)]

        with all_kept():
            return self._steadily(look)

    def _live(self) -> dict[str, dict[int, list[int]]]:
        """Numbers of events by window and generation, of what is not compacted."""
        found: dict[str, dict[int, list[int]]] = {}
        for path in self.storage.walk(self.folder):
            parts = path.removeprefix(f"{self.folder}/").split("/")
            if len(parts) == 3 and parts[1].isdigit() and is_event(path):  # noqa: PLR2004 - window, generation, event
                numbers = found.setdefault(parts[0], {}).setdefault(int(parts[1]), [])
                numbers.append(int(parts[2][:-5]))
        return found

    def _head(self, window: str, generation: int, numbers: list[int]) -> Head:
        """The newest event that is not a claim; where there are only claims, the newest of all."""
        folder = self.journal_folder(window, generation)
        missing = set(range(1, len(numbers) + 1)) - set(numbers)
        if missing:
            path = f"{folder}/{min(missing):06d}.json"
            raise MismatchError(f"{path}: this ledger event is missing", "Restore the file")
        found = None
        for number in range(len(numbers), 0, -1):
            path = f"{folder}/{number:06d}.json"
            event = event_of(path, self.storage.read(path))
            if event.number != number:
                raise MismatchError(f"{path}: is event {event.number}", "Restore the file")
            found = found or event
            if event.state is not State.CLAIMED:
                found = event
                break
        assert found is not None  # a generation is known by an event of it
        done = found.data if found.state is State.DONE else {}
        about = (done.get("meaning"), done.get("mode"), json.dumps(done.get("pins")))
        told = Told(json.dumps(dict(found.data)))
        return Head(window, generation, found.state, found.at, told, *about)

    def _journals(self, window: str, *, newest_only: bool) -> dict[int, Journal]:
        names = (_name(path) for path in self.storage.list(f"{self.folder}/{window}"))
        numbers = sorted(int(name) for name in names if name.isdigit())

        def look(snapshot: Snapshot) -> dict[int, Journal]:
            last = snapshot.generation(window)
            live = [one for one in numbers if one > last]
            found: dict[int, Journal] = {}
            if last >= 0 and not (live and newest_only):
                found = snapshot.journals(window, lambda one: self.journal_folder(window, one))
            for number in live[-1:] if newest_only else live:
                found[number] = self.begun(window, number).refresh()
                if not found[number].events and self.snapshot().number != snapshot.number:
                    raise FileNotFoundError(found[number].folder)
            return found

        return self._steadily(look)

    def _steadily(self, look: Callable[[Snapshot], _T]) -> _T:
        """What a look gives; once more where a newer snapshot has what it missed."""
        snapshot = self.snapshot()
        while True:
            try:
                return look(snapshot)
            except (FileNotFoundError, PenstockError) as error:
                newer = self.snapshot()
                if newer.number != snapshot.number:
                    snapshot = newer
                    continue
                if isinstance(error, PenstockError):
                    raise
                raise MismatchError(f"{error}: is missing", "Restore the file") from error


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
