"""The collector of what runs leave behind, and the rule it has to obey.

It looks, and deletes afterwards, one thing at a time, while drivers go on; so it may only go by
facts that never change back. There are two:

1. **A generation whose newest event other than a claim is DONE.** Its staged rows, send files, bad
   files, selections, markers and rejects may go: DONE is the end, for a driver that claims later
   finds it and takes no step (:attr:`~tests.model.rules.Rules.looks_after_claim`).
2. **A manifest.** What other drivers staged for that generation may go, and what they selected
   under a number whose selection is decided. *Whose* files the manifest stands for is told by its
   run, not by the files it names: rows put aside at a source are in no list of the manifest, and
   are read again before DONE. Without a manifest nothing may go, a claim of a later epoch does not
   matter: a fenced driver can still put the manifest.

Never deleted: events, manifests, pins, selections (the decision, not its files), the quarantine. A
driver that finds a file missing has lost its window already; it dies and harms nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any

from penstock.ledger.journal import State
from tests.model.stores import Batch
from tests.model.world import World


def collector(world: World) -> Generator[str, None, None]:
    """Collect for ever; it can be killed at any point."""
    while True:
        yield "looks"
        if not world.files:
            continue
        batch = world.random.choice(list(world.files))
        for name in _collectable(world, batch):
            yield "deletes"
            if world.files[batch].pop(name, None) is not None:
                world.counts["collected"] += 1
                world.tell(f"collected of {batch}: {name}")


def _collectable(world: World, batch: Batch) -> list[Any]:
    files, manifest = world.files[batch], world.manifest(batch)
    done = world.state(batch) is State.DONE
    if done or (not world.rules.collects_done and manifest is not None):
        return list(files)
    if manifest is None:
        epoch = world.epoch(batch)
        return [] if world.rules.collects_lost else [one for one in files if _epoch(one) < epoch]
    return [one for one in files if _lost(world, batch, one, manifest.epoch)]


def _lost(world: World, batch: Batch, name: Any, epoch: int) -> bool:
    """Whether a file is of a driver that was not the first."""
    if name[0] == "marker":
        return False
    if name[0] == "bad" and not world.rules.collects_by_run:
        return True
    if name[0] != "selected":
        return bool(name[1] != epoch)
    decided = world.objects.get(("selection", batch, name[1]))
    return decided is not None and decided.name != name


def _epoch(name: Hashable) -> int:
    return int(name[-1]) if isinstance(name, tuple) else 0
