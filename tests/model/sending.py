"""ONLINE: what is chosen of the candidates, chunk by chunk, and what the markers say of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from tests.model.stores import Answer, Batch, Call, Row
from tests.model.world import Manifest, Violated, World

Steps = Generator[str, None, Any]
ALL = -1  # number of the selection where all candidates are sent


class Selection(NamedTuple):
    """What is sent of the candidates, decided once for a version of the table."""

    version: int
    guard: bool
    name: tuple[str, int, int]
    older: int
    expired: int
    corrected: int


class Marker(NamedTuple):
    """What came of a chunk."""

    sent: int
    accepted: int
    skipped: int
    rejects: tuple[Row, ...]


class Sending(NamedTuple):
    """One driver's ONLINE step.

    Args:
        world: Everything else.
        batch: Window and generation.
        epoch: Of the driver.
        manifest: Of the batch.
        guard: Whether candidates may be too old to win, so that the offline table is asked.
        since: When the step began.
    """

    world: World
    batch: Batch
    epoch: int
    manifest: Manifest
    guard: bool
    since: int


def send(world: World, batch: Batch, epoch: int, manifest: Manifest) -> Steps:
    """Send what has no marker yet; gives what ONLINE_DONE carries."""
    guard = not world.setting.service and (world.setting.forgets or world.behind(batch[0]))
    step = Sending(world, batch, epoch, manifest, guard, world.tick)
    calls: tuple[Call, ...] = world.read(batch, ("send", manifest.epoch))
    figures = {"candidates": len(calls)}
    looks = guard or (manifest.correct and not world.setting.service)
    version = world.table.version if looks else None
    number = ALL
    if calls and (version is not None or (looks and world.setting.forgets)):
        number, chosen = yield from _selected(step, calls, version or 0)
        calls = world.read(batch, chosen.name)
        _check_selected(step, calls)
        figures |= {"older": chosen.older, "expired": chosen.expired}
        figures |= {"corrected": chosen.corrected}
        world.counts["older"] += chosen.older
        world.counts["corrected"] += chosen.corrected
    chunks = yield from _chunks(step, number, calls)
    markers: list[Marker] = [world.read(batch, ("marker", number, one)) for one in range(chunks)]
    rejects = tuple(row for one in markers for row in one.rejects)
    world.dead[batch].update(rejects)
    figures |= {name: sum(getattr(one, name) for one in markers) for name in ("sent", "accepted")}
    figures |= {"skipped": sum(one.skipped for one in markers), "rejected": len(rejects)}
    return {**figures, "rejects": rejects, "number": number}


def _selected(
    step: Sending, calls: tuple[Call, ...], version: int
) -> Generator[str, None, tuple[int, Selection]]:
    """The selection that holds now, and its number; made, where there is none."""
    world, batch = step.world, step.batch
    number, found = _newest(world, batch)
    same = found is not None and (found.version, found.guard) == (version, step.guard)
    if found is not None and (same or not world.rules.selects_anew):
        return number, found
    while True:
        number += 1
        kept, older, expired = _judged(step, calls)
        yield "selecting"
        name = ("selected", number, step.epoch)
        world.write(batch, name, kept)
        corrected = sum(one.kind == "update" for one in kept)
        made = Selection(version, step.guard, name, older, expired, corrected)
        yield "selected"
        found = world.put(("selection", batch, number), made)
        assert found is not None
        yield "selection made"
        fresh = found.version >= version and found.guard >= step.guard
        if fresh or not world.rules.selection_checked:
            return number, found
        world.counts["lost selection"] += 1


def _check_selected(step: Sending, calls: tuple[Call, ...]) -> None:
    """Nothing is to be sent that was known to be out of date when the step began."""
    world = step.world
    for call in calls if step.guard else ():
        if world.table.knew(call.row, step.since):
            raise Violated(f"{step.batch}: chosen, though a newer event was known: {call.row}")


def _newest(world: World, batch: Batch) -> tuple[int, Selection | None]:
    number, found = -1, None
    while ("selection", batch, number + 1) in world.objects:
        number += 1
        found = world.objects["selection", batch, number]
    return number, found


def _judged(step: Sending, calls: tuple[Call, ...]) -> tuple[tuple[Call, ...], int, int]:
    """What can win, and how many can not: older than what is known, or expired."""
    world = step.world
    kept, older, expired = [], 0, 0
    for call in calls:
        row, newest = call.row, world.table.newest(call.row.identifier)
        if step.guard and world.rules.guarded and newest > row.at:
            older += 1
        elif world.online.expired(row):
            expired += 1
        else:
            found = world.table.value(row.key) if step.manifest.correct else None
            fits = found is not None and found != row and newest <= row.at
            kept.append(call._replace(kind="update") if fits else call)
    return tuple(kept), older, expired


def _chunks(step: Sending, number: int, calls: tuple[Call, ...]) -> Generator[str, None, int]:
    """Send the chunks that have no marker; markers are put behind, off the path of sending."""
    world, batch = step.world, step.batch
    size = step.manifest.chunk_rows if world.rules.chunks_fixed else world.random.randint(2, 4)
    chunks = -(-len(calls) // size)
    waiting: list[tuple[int, Marker]] = []
    for index in range(chunks):
        if ("marker", number, index) in world.files[batch]:
            continue
        chunk = calls[index * size : index * size + size]
        if not world.rules.marks_after_answers:
            _mark(step, number, index, Marker(len(chunk), len(chunk), 0, ()))
        waiting.append((index, (yield from _sent(step, chunk))))
        if world.random.random() < 0.5:
            _mark_all(step, number, waiting)
            yield "cp07"
    _mark_all(step, number, waiting)
    yield "cp07"
    return chunks


def _mark_all(step: Sending, number: int, waiting: list[tuple[int, Marker]]) -> None:
    for index, marker in waiting:
        _mark(step, number, index, marker)
    waiting.clear()


def _mark(step: Sending, number: int, index: int, marker: Marker) -> None:
    if not step.world.rules.rejects_before_marker:
        refused = len(marker.rejects)
        marker = marker._replace(rejects=(), accepted=marker.accepted + refused)
    step.world.files[step.batch].setdefault(("marker", number, index), marker)


def _sent(step: Sending, chunk: tuple[Call, ...]) -> Generator[str, None, Marker]:
    accepted, skipped, rejects = 0, 0, []
    for call in chunk:
        answer = yield from _delivered(step, call)
        if answer == "rejected":
            rejects.append(call.row)
            known = step.world.refused.get(call.row.identifier, -1)
            step.world.refused[call.row.identifier] = max(known, call.row.at)
        else:
            accepted += answer == "accepted"
            skipped += answer == "skipped"
            step.world.acknowledged[step.batch].add(call.row)
        yield "cp06"
    return Marker(len(chunk), accepted, skipped, tuple(rejects))


def _delivered(step: Sending, call: Call) -> Generator[str, None, Answer]:
    """Ask until there is an answer."""
    world = step.world
    while True:
        answer = world.request(call, step.batch, step.since)
        if answer == "gone" and world.rules.puts_where_gone:
            call = call._replace(kind="put")
            world.counts["put where gone"] += 1
        elif answer != "lost":
            world.tell(f"   {step.batch}: {call.kind} {tuple(call.row)}: {answer}")
            return "skipped" if answer == "gone" else answer
        yield "cp06 again"
