"""What is wrong with a ledger: every event of every window, the snapshot, and windows it lost.

A window that was staged has a manifest, and one that ended a note of it, both outside the ledger;
so a journal that is gone, or has lost its end, is found too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penstock.errors import MismatchError
from penstock.ledger.history import Ledger
from penstock.ledger.journal import State
from penstock.ledger.window import parse_name
from penstock.run.places import Places


@dataclass(frozen=True)
class Damage:
    """One journal or snapshot that is not what it was.

    Args:
        group: The feature group.
        window: Name of the window; None of a snapshot.
        generation: Its generation; None of a snapshot.
        what: The file, and what is wrong with it.
    """

    group: str
    window: str | None
    generation: int | None
    what: str


def damages(
    ledger: Ledger, window: str | None = None, tell: Callable[[int, int], None] | None = None
) -> list[Damage]:
    """All that is wrong with a group's ledger, or with one window of it. Changes nothing.

    Args:
        ledger: Of one group.
        window: Name of the only window that is looked at.
        tell: Is called with how many windows were looked at, and how many there are.
    """
    found: list[Damage] = []
    inside: dict[str, int] = {}
    try:
        snapshot = ledger.snapshot()
        snapshot.check_hash()  # every chain in it was checked when it was made
        inside = snapshot.generations()
    except MismatchError as error:
        found.append(Damage(ledger.group, None, None, str(error)))
    except FileNotFoundError as error:
        found.append(Damage(ledger.group, None, None, f"{error}: is missing"))
    names = _names(ledger) if window is None else [window]
    for n, name in enumerate(names):
        found += _of(ledger, name, inside.get(name, -1))
        if tell is not None:
            tell(n + 1, len(names))
    return found


def _names(ledger: Ledger) -> list[str]:
    folders = (ledger.folder, f"{ledger.state}/staged/{ledger.group}")
    paths = (path for folder in folders for path in ledger.storage.list(folder))
    return sorted({path.rsplit("/", 1)[-1] for path in paths})


def _of(ledger: Ledger, window: str, inside: int) -> Iterator[Damage]:
    """Damages of one window, by generation; those up to ``inside`` are compacted."""
    places = Places(ledger.state, ledger.group, parse_name(window))
    folders = (f"{ledger.folder}/{window}", f"{ledger.state}/staged/{ledger.group}/{window}")
    names = {path.rsplit("/", 1)[-1] for one in folders for path in ledger.storage.list(one)}
    for number in sorted(int(name) for name in names if name.isdigit()):
        if number > inside:
            try:
                _check(ledger, places, number)
            except MismatchError as error:
                yield Damage(ledger.group, window, number, str(error))


def _check(ledger: Ledger, places: Places, generation: int) -> None:
    journal = ledger.begun(places.window.name, generation).refresh()
    if not journal.events and ledger.storage.exists(places.manifest(generation)):
        raise MismatchError(f"{journal.folder}: no event is left of what was staged")
    done = any(one.state is State.DONE for one in journal.events)
    if not done and ledger.storage.exists(places.pin(generation, "done")):
        raise MismatchError(f"{journal.folder}: the end of it, DONE, is missing")
