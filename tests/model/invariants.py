"""What must hold of a window when it is DONE, and of everything when nothing is under way any more.

What can be seen earlier is looked for where it happens: a row that is appended twice
(:meth:`~tests.model.world.World.commit`), an old value that comes back
(:meth:`~tests.model.world.World.serve`), figures that do not agree and a command that speaks for
rows which are not in (:mod:`tests.model.driver`).
"""

from __future__ import annotations

from collections import defaultdict

from penstock.ledger.journal import State
from tests.model.sending import ALL
from tests.model.stores import Batch, Call, Row, transaction_name
from tests.model.world import Violated, World


def check_done(world: World, batch: Batch) -> None:
    """A window that is DONE has made each of its rows the current one of its event time.

    What it sent and was not refused is online, or something newer is; except where the online store
    may forget, and where there is a newer event, offline or refused, whose business it is then.

    Raises:
        Violated: A store shows another value, or none.
    """
    rejects, service = _rejects(world, batch), world.setting.service
    for row in set() if service else _rows(world, batch) - rejects:
        found = world.table.value(row.key)
        if found != row:
            raise Violated(f"{batch}: the current row is {found}, not {row}")
    for call in () if world.setting.forgets else _calls(world, batch):
        row = call.row
        if not call.online or row in rejects or _beyond(world, row):
            continue
        found = world.online.records.get(row.identifier)
        if found is None or found.at < row.at or (found.at == row.at and found != row):
            raise Violated(f"{batch}: online is {found}, not {row}")


def check(world: World) -> None:
    """The end of a schedule.

    Raises:
        Violated: With what is wrong.
    """
    check_finished(world)
    _check_online(world)


def check_finished(world: World) -> None:
    """What must hold of every window that is DONE, whatever is under way.

    Raises:
        Violated: With what is wrong.
    """
    for batch in world.journals:
        if world.state(batch) is State.DONE:
            _check_sent(world, batch)
            if not world.setting.service:
                _check_commits(world, batch)


def _check_sent(world: World, batch: Batch) -> None:
    """Each staged row ended in one place; what a marker says was answered by the service."""
    rejects, rows = _rejects(world, batch), _rows(world, batch)
    sent = {one.row for one in _calls(world, batch)}
    refused = {one for one in sent if one.value < 0}
    if refused != rejects or rejects - world.dead[batch]:
        raise Violated(f"{batch}: refused {refused}, in the dead letters {rejects}")
    unanswered = sent - rejects - world.acknowledged[batch]
    if unanswered:
        raise Violated(f"{batch}: marked without an answer: {unanswered}")
    stored = world.online.service if world.setting.service else world.table.ever_appended
    lost = rows - rejects - stored
    if lost:
        raise Violated(f"{batch}: lost offline: {lost}")
    all_sent = world.data(batch, State.ONLINE_DONE)["number"] == ALL and sent
    if all_sent and not world.setting.service and _latest(rows) - sent:
        raise Violated(f"{batch}: never sent: {_latest(rows) - sent}")


def _check_commits(world: World, batch: Batch) -> None:
    """What was appended for a window is what was staged, without what was refused, as pinned."""
    rows, rejects = _rows(world, batch), _rejects(world, batch)
    for commit in world.table.commits:
        if (commit.name, commit.version) != (transaction_name(batch[0]), batch[1]):
            continue
        if set(commit.rows) - rows:
            raise Violated(f"{batch}: unexpected offline: {set(commit.rows) - rows}")
        if set(commit.rows) & rejects:
            raise Violated(f"{batch}: refused, and offline: {set(commit.rows) & rejects}")
        if commit.api != world.objects["api", batch]:
            raise Violated(f"{batch}: api_invocation_time is not the pinned one")


def _check_online(world: World) -> None:
    """Online is the newest that was accepted of each identifier, with its current value."""
    accepted: dict[int, set[Row]] = defaultdict(set)
    for batch in world.journals:
        for call in _calls(world, batch):
            if call.online and call.row.value >= 0:
                accepted[call.row.identifier].add(call.row)
    for identifier, rows in accepted.items():
        if identifier not in world.crossed:
            _check_record(world, max(rows, key=lambda one: one.at))


def _check_record(world: World, newest: Row) -> None:
    """One record. It may be gone where it was deleted, or its time to live is over."""
    table, found = world.table, world.online.records.get(newest.identifier)
    wanted = newest if world.setting.service else table.value(newest.key)
    if newest.gone:
        right = found is None or (found.gone and found.at == newest.at)
    elif world.online.expired(newest):
        right = found is None or found.at < newest.at
    else:
        right = found == wanted
    stays = world.setting.forgets if found is None else found in table.ever_appended
    if not right and not (stays and _beyond(world, newest)):
        raise Violated(f"online is {found}, not {wanted}")


def _beyond(world: World, row: Row) -> bool:
    """Whether there is a newer event that is not online, so that the row's record stays as it was.

    One the offline table has was born expired, or was not to be sent. One that was refused was the
    latest of its window, and the identifier's other rows there are offline only, unseen by the
    service (facts: reliability, 3.8).
    """
    newest = max(world.table.newest(row.identifier), world.refused.get(row.identifier, -1))
    return newest > row.at


def _rows(world: World, batch: Batch) -> set[Row]:
    manifest = world.manifest(batch)
    return set() if manifest is None else set(world.noted[batch, ("rows", manifest.epoch)])


def _calls(world: World, batch: Batch) -> tuple[Call, ...]:
    """What was sent of a window, as its ONLINE_DONE has it; nothing where it is not so far."""
    manifest, number = world.manifest(batch), world.data(batch, State.ONLINE_DONE).get("number")
    if manifest is None or number is None:
        return ()
    name = ("send", manifest.epoch)
    if number != ALL:
        name = world.objects["selection", batch, number].name
    found: tuple[Call, ...] = world.noted[batch, name]
    return found


def _rejects(world: World, batch: Batch) -> set[Row]:
    return set(world.data(batch, State.ONLINE_DONE).get("rejects", ()))


def _latest(rows: set[Row]) -> set[Row]:
    return set({one.identifier: one for one in sorted(rows)}.values())
