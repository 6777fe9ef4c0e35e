"""Windows of a group that share time: their rows may be the same rows."""

from __future__ import annotations

from penstock.ledger.interval import overlaps
from penstock.ledger.journal import State
from penstock.ledger.window import Window, parse_name
from penstock.run.places import Places, ledger_of, streams_folder
from penstock.storage import Storage


def others(storage: Storage, places: Places) -> tuple[Window, ...]:
    """Other windows of the group, done or begun, by name; nothing but names is read."""
    names = ledger_of(storage, places).windows()
    return tuple(parse_name(name) for name in names if name != places.window.name)


def overlapping(storage: Storage, places: Places) -> tuple[Window, ...]:
    """Those of them that share time with the one of ``places``."""
    return tuple(one for one in others(storage, places) if overlaps(one, places.window))


def streamed(storage: Storage, places: Places) -> bool:
    """Whether a stream feeds the group, or did: its rows may be any of those of a window."""
    return bool(storage.list(streams_folder(places.state, places.group)))


def shared(storage: Storage, places: Places) -> bool:
    """Whether rows of the window may be offline already, brought by another window or a stream."""
    return bool(overlapping(storage, places)) or streamed(storage, places)


def offline_alone(storage: Storage, places: Places) -> Window | None:
    """A window, sharing time with that of ``places`` or itself, whose rows were not sent online.

    What counts is the newest run of it that ended.
    """
    ledger = ledger_of(storage, places)
    for window in (places.window, *overlapping(storage, places)):
        for journal in reversed(ledger.journals(window.name).values()):
            done = journal.data(State.DONE)
            if done is not None:
                if str(done.get("mode", done.get("online"))).startswith("never"):
                    return window
                break
    return None
