"""The steps of a run: what each of them reads, does and makes durable, as in the engine.

Every ``yield`` is a point where the driver may be killed, stall, or be overtaken by another. The
names of the points are those of the crash table (``cp00`` to ``cp14``) where it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from penstock.errors import MismatchError
from penstock.ledger.journal import State
from penstock.run.figures import Figures, reconcile
from tests.model.rules import Rules
from tests.model.sending import send
from tests.model.stores import Batch, Call, Commit, Row, transaction_name
from tests.model.world import Manifest, StoppedError, Violated, World

Steps = Generator[str, None, Any]
_FOREVER, _LITTLE = 1_000_000, 1  # commits looked through


@dataclass
class Run:
    """One claim of one batch.

    Args:
        world: Everything else.
        batch: Window and generation.
        epoch: Of the claim.
        feed: Version of the source the command was given.
        number: Of the driver.
        skew: How far its clock is ahead.
        compare: Whether rows may be offline already, as it looked at the claim.
        sends: Whether it sends anything: some versions are loaded offline before they are sent.
    """

    world: World
    batch: Batch
    epoch: int
    feed: int
    number: int
    skew: int
    compare: bool
    sends: bool

    @property
    def window(self) -> int:
        """The window."""
        return self.batch[0]

    @property
    def manifest(self) -> Manifest:
        """What is staged, by this driver or another."""
        found = self.world.manifest(self.batch)
        assert found is not None
        return found

    def clock(self) -> int:
        """What the driver believes the time is."""
        return self.world.tick + self.skew


def steps_of(rules: Rules) -> list[tuple[State, Callable[[Run], Steps]]]:
    """The steps in order, each with the state it reaches."""
    online = (State.ONLINE_DONE, _send)
    offline = (State.OFFLINE_COMMITTED, _commit)
    both = [online, offline] if rules.online_first else [offline, online]
    return [
        (State.PLANNED, _plan),
        (State.STAGED, _stage),
        *both,
        (State.REGISTERED, _register),
        (State.DONE, _finish),
    ]


def _plan(_: Run) -> Steps:
    yield "cp02"
    return {}


def _stage(run: Run) -> Steps:
    world, batch = run.world, run.batch
    if world.manifest(batch) is None or not world.rules.manifest_stands:
        rows = world.evaluate(run.window, run.feed)
        yield "cp03"
        valid = list(dict.fromkeys(one for one in rows if one.value))
        bad = {one for one in rows if not one.value}
        calls = _calls(run, valid)
        for name, value in (("rows", tuple(valid)), ("send", calls), ("bad", bad)):
            world.write(batch, (name, run.epoch), value)
        yield "cp04"
        manifest = _manifest(run, rows, valid, calls)
        if world.rules.offline_only_adds and not manifest.sends and _changes(run, valid):
            world.unsent.discard((run.window, run.feed))  # it will be run again, and sent
            raise StoppedError("values would change that may be online")
        yield "manifest made"
        if world.rules.manifest_stands:
            world.put(("manifest", batch), manifest)
        else:
            world.objects["manifest", batch] = manifest
    yield "cp05"
    return {}


def _calls(run: Run, valid: list[Row]) -> tuple[Call, ...]:
    """What is to be sent: the latest row of each identifier, or every row."""
    world = run.world
    if not run.sends:
        return ()
    latest: dict[int, Row] = {}
    for row in sorted(valid):
        latest[row.identifier] = row
    if not world.setting.service:
        return tuple(Call("delete" if one.gone else "put", one) for one in latest.values())
    if not world.rules.sends_every:
        valid = list(latest.values())
    last = {one.key for one in latest.values()}
    return tuple(Call("delete" if one.gone else "put", one, one.key in last, True) for one in valid)


def _changes(run: Run, rows: list[Row]) -> bool:
    """Whether one of the rows has another value than is written at its event time."""
    return any(run.world.table.value(one.key) not in (None, one) for one in rows)


def _manifest(run: Run, rows: list[Row], valid: list[Row], calls: tuple[Call, ...]) -> Manifest:
    world = run.world
    differs = run.compare and _changes(run, [one.row for one in calls])
    distinct = len(set(rows))
    figures = {
        "produced": len(rows),
        "quarantined": sum(not one.value for one in rows),
        "duplicates": sum(bool(one.value) for one in rows) - len(valid),
        "valid": len(valid),
        "identifiers": len({one.identifier for one in valid}),
    }
    world.counts["restated"] += differs
    world.tell(f"#{run.number} {run.batch}: staged {distinct} rows of version {run.feed}")
    return Manifest(
        run=run.number,
        epoch=run.epoch,
        feed=run.feed,
        chunk_rows=world.random.randint(2, 4),
        compare=run.compare,
        sends=run.sends,
        correct=differs and world.rules.corrects,
        figures=figures,
    )


def _send(run: Run) -> Steps:
    run.world.put(("api", run.batch), run.clock())
    data = yield from send(run.world, run.batch, run.epoch, run.manifest)
    yield "cp08"
    return data


def _commit(run: Run) -> Steps:
    world, batch = run.world, run.batch
    if world.setting.service:
        return {"offline": 0, "present": 0}
    api, write = (world.put((name, batch), run.clock()) for name in ("api", "write"))
    if not world.rules.pinned_instants:
        api = run.clock()
    yield "cp09"
    rejects = world.data(batch, State.ONLINE_DONE).get("rejects", ())
    rows = [one for one in _rows(run) if one not in rejects]
    done = _found(run) or (yield from _appended(run, rows, api, write))
    return {"offline": len(done.rows), "present": done.present}


def _appended(run: Run, rows: list[Row], api: int, write: int) -> Generator[str, None, Commit]:
    """Append what is not there; what came of it only the table itself knows."""
    world, compare = run.world, run.manifest.compare
    snapshot = len(world.table.commits) if compare else None
    fresh = tuple(one for one in rows if not (compare and _present(world, one)))
    yield "cp10"
    commit = Commit(*_transaction(run), fresh, len(rows) - len(fresh), api, world.tick)
    answer = world.commit(commit, write, snapshot)
    world.tell(f"#{run.number} {run.batch}: commit of {len(fresh)} rows: {answer}")
    world.counts[answer] += 1
    yield "cp11 unknown"
    done = _found(run) if world.rules.transactional or answer != "done" else commit
    if done is None and answer == "known":
        raise Violated(f"{run.batch}: Delta knows the commit, and it is not found")
    if done is None:
        raise StoppedError(f"commit: {answer}")
    yield "cp11"
    return done


def _found(run: Run) -> Commit | None:
    """The commit of this batch, if it has happened."""
    if not run.world.rules.transactional:
        return None
    last = _FOREVER if run.world.rules.remembers else _LITTLE
    return run.world.table.find(*_transaction(run), last)


def _transaction(run: Run) -> tuple[str, int]:
    """Name and version of the append of a batch."""
    if run.world.rules.transaction_per_window:
        return transaction_name(run.window), run.batch[1]
    return "pipeline", run.window


def _rows(run: Run) -> list[Row]:
    world, epoch = run.world, run.manifest.epoch
    if world.rules.staged_once:
        return list(world.read(run.batch, ("rows", epoch)))
    return list(dict.fromkeys(one for one in world.evaluate(run.window, run.feed) if one.value))


def _present(world: World, row: Row) -> bool:
    if not world.rules.compares:
        return False
    if not world.rules.compares_with_current:
        return row in world.table.ever_appended
    return world.table.value(row.key) == row


def _register(_: Run) -> Steps:
    yield "cp13"
    return {}


def _finish(run: Run) -> Steps:
    """DONE, if the engine's own equations hold; what the gates put aside is looked at once more."""
    world, batch, manifest = run.world, run.batch, run.manifest
    world.read(batch, ("bad", manifest.epoch))
    online = dict(world.data(batch, State.ONLINE_DONE))
    for name in ("rejects", "number"):
        online.pop(name, None)
    found = Figures(**manifest.figures, **online, **world.data(batch, State.OFFLINE_COMMITTED))
    sent = "service" if world.setting.service else "latest" if manifest.sends else "never"
    try:
        reconcile("model", found, sent, "service" if world.setting.service else "own")
    except MismatchError as error:
        raise Violated(str(error)) from error
    yield "cp14"
    return {"feed": manifest.feed}
