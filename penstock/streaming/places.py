"""Where the durable things of a stream lie, and which of a group's streams is the one that runs.

Each stream of a group has a number; a new one begins where there was none, or where somebody said
that the old one's checkpoint is lost and its events may be read again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import UsageError
from penstock.run.places import streams_folder
from penstock.storage import Storage

_DIGITS = 4
_IDENTITY = "stream.json"  # what a stream is: the first one to say it is right


@dataclass(frozen=True)
class StreamPlaces:
    """Folders of one stream under ``state``.

    Args:
        state: Absolute folder of the state.
        group: Logical name of the feature group.
        number: Of the stream, from 1.
        id: Its own name; that of Spark's query.
    """

    state: str
    group: str
    number: int
    id: str

    @property
    def folder(self) -> str:
        """All that is the stream's own."""
        return _folder(self.state, self.group, self.number)

    @property
    def started(self) -> str:
        """Is there once Spark may have read something."""
        return f"{self.folder}/started.json"

    @property
    def status(self) -> str:
        """How it goes."""
        return f"{self.folder}/status.json"

    @property
    def checkpoint(self) -> str:
        """Spark's own."""
        return f"{self.folder}/checkpoint"

    @property
    def batches(self) -> str:
        """Folders of batches that are not done."""
        return f"{self.folder}/batches"

    def batch(self, number: int) -> str:
        """Folder of one of them."""
        return f"{self.batches}/{number:010d}"

    @property
    def gated(self) -> str:
        """Folders of runs: rows of the batch at hand, and rows put aside of those not done."""
        return f"{self.folder}/gated"

    @property
    def gates(self) -> str:
        """Reports of source gates that run in Spark's tasks."""
        return f"{self.folder}/gates"

    @property
    def application(self) -> str:
        """Name of its transactions: batch numbers begin anew with each checkpoint."""
        return f"penstock:{self.group}:stream-{self.id}"


def lease_path(state: str, group: str) -> str:
    """The lease of whoever runs the group's stream."""
    return f"{state}/leases/{group}/stream.json"


def streams_of(storage: Storage, state: str, group: str) -> list[StreamPlaces]:
    """All streams of a group that were begun, oldest first."""
    found: list[StreamPlaces] = []
    for folder in storage.list(streams_folder(state, group)):
        name = folder.rsplit("/", 1)[-1]
        said = _said(storage, state, group, int(name)) if name.isdigit() else None
        if said is not None:
            found.append(StreamPlaces(state, group, int(name), said["id"]))
    return sorted(found, key=lambda one: one.number)  # names of five digits sort before 9999


@dataclass(frozen=True)
class Opened:
    """A stream that may be started.

    Args:
        places: Where it lies.
        compare: Whether rows may be in the offline table already.
        resumed: Whether it has read something before.
        again: Whether it reads again what another stream had read.
    """

    places: StreamPlaces
    compare: bool
    resumed: bool
    again: bool


def opened(
    storage: Storage,
    state: str,
    group: str,
    reads: Mapping[str, Any],
    *,
    filled: bool,
    again: bool,
) -> Opened:
    """The stream to go on with, or a new one. Doing it again gives the same one.

    Args:
        storage: Where the state is.
        state: Its absolute folder.
        group: The feature group.
        reads: What the stream reads, as JSON: other topics are another stream.
        filled: Whether the offline table has rows.
        again: Whether events that were read before may be read again, by a new stream.

    Raises:
        UsageError: The checkpoint is gone, or the stream reads something else than before.
    """
    last = next(reversed(streams_of(storage, state, group)), None)
    if last is None:
        return _begun(storage, state, group, 1, reads, compare=filled)
    said = _said(storage, state, group, last.number)
    assert said is not None
    begun = storage.exists(last.started)
    if begun and not storage.exists(f"{last.checkpoint}/metadata"):
        problem = f"the checkpoint of its stream is gone ({last.checkpoint})"
    elif said["reads"] != reads:
        problem = f"its stream reads {_told(said['reads'])}, and is now to read {_told(reads)}"
    else:
        return _begun(storage, state, group, last.number, reads, compare=said["compare"])
    if not again:
        raise _lost(group, problem)
    return _begun(storage, state, group, last.number + 1, reads, compare=True)


def _lost(group: str, problem: str) -> UsageError:
    """The error for a stream that cannot go on where it was, and the way out."""
    remedy = (
        "Restore it; or start with --allow-reprocess: events are read from the start, rows that "
        "are there add nothing"
    )
    return UsageError(f"{group}: {problem}", remedy)


def _begun(
    storage: Storage,
    state: str,
    group: str,
    number: int,
    reads: Mapping[str, Any],
    *,
    compare: bool,
) -> Opened:
    """Spark takes the name of a query from its checkpoint; the first one there is ours."""
    identity = {"reads": reads, "compare": compare, "id": str(uuid.uuid4())}
    path = f"{_folder(state, group, number)}/{_IDENTITY}"
    storage.put_if_absent(path, json.dumps(identity).encode())
    found = json.loads(storage.read(path))
    places = StreamPlaces(state, group, number, found["id"])
    if not storage.exists(places.started):
        metadata = json.dumps({"id": found["id"]}).encode()
        storage.put_if_absent(f"{places.checkpoint}/metadata", metadata)
        storage.put_if_absent(places.started, b"{}")
    resumed = bool(storage.list(f"{places.checkpoint}/offsets"))
    return Opened(places, bool(found["compare"]), resumed, number > 1)


def _said(storage: Storage, state: str, group: str, number: int) -> dict[str, Any] | None:
    """What a stream is; None where a first start was cut off before it could say so."""
    try:
        found: dict[str, Any] = json.loads(
            storage.read(f"{_folder(state, group, number)}/{_IDENTITY}")
        )
    except FileNotFoundError:
        return None
    return found


def _folder(state: str, group: str, number: int) -> str:
    return f"{streams_folder(state, group)}/{number:0{_DIGITS}d}"


def _told(reads: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(reads.items()))
