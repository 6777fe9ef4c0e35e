"""Windows of a group that share time: their rows may be the same rows."""

from __future__ import annotations

from dataclasses import replace

from penstock.ledger.interval import overlaps
from penstock.ledger.journal import Journal, State
from penstock.ledger.window import Window, parse_name
from penstock.run.places import Places, generations
from penstock.storage import Storage


def others(storage: Storage, places: Places) -> tuple[Window, ...]:
    """Other windows of the group, done or begun, by name; nothing but names is read."""
    folder = places.generations.rsplit("/", 1)[0]
    names = [path.rsplit("/", 1)[-1] for path in storage.list(folder)]
    return tuple(parse_name(name) for name in sorted(names) if name != places.window.name)


def overlapping(storage: Storage, places: Places) -> tuple[Window, ...]:
    """Those of them that share time with the one of ``places``."""
    return tuple(one for one in others(storage, places) if overlaps(one, places.window))


def offline_alone(storage: Storage, places: Places) -> Window | None:
    """A window, sharing time with that of ``places`` or itself, whose rows were not sent online.

    What counts is the newest run of it that ended.
    """
    for window in (places.window, *overlapping(storage, places)):
        own = replace(places, window=window)
        for number in reversed(generations(storage, own)):
            done = Journal(storage, own.journal(number)).refresh().data(State.DONE)
            if done is not None:
                if str(done.get("mode", done.get("online"))).startswith("never"):
                    return window
                break
    return None
