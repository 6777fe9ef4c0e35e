"""One schedule: who goes on, who dies, who sleeps, what the sources say, all from one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from penstock.ledger.journal import State
from tests.model.collector import collector
from tests.model.driver import command
from tests.model.invariants import check
from tests.model.rules import PROTOCOL, Rules
from tests.model.settings import Setting
from tests.model.stores import Online, Row
from tests.model.world import SPAN, Driver, MissingError, StoppedError, Violated, World

LIMIT = 20_000  # steps; a schedule that takes more makes no progress
MOST_KILLS, MOST_DRIVERS = 40, 10


@dataclass(frozen=True)
class Outcome:
    """How a schedule ended.

    Args:
        seed: Of the schedule.
        violation: What is wrong; None where nothing is.
        steps: Of all drivers.
        counts: What happened how often.
        story: Line by line, where it was asked for.
    """

    seed: int
    violation: str | None
    steps: int
    counts: Mapping[str, int]
    story: tuple[str, ...] = ()


def run(setting: Setting, seed: int, rules: Rules = PROTOCOL, *, tell: bool = False) -> Outcome:
    """Run one schedule to its end; the same arguments give the same one."""
    world, violation = new_world(setting, seed, rules, tell=tell), None
    try:
        play(world)
    except Violated as error:
        violation = str(error)
        world.tell(violation)
    return Outcome(seed, violation, world.tick, world.counts, tuple(world.story or ()))


def new_world(setting: Setting, seed: int, rules: Rules = PROTOCOL, *, tell: bool = False) -> World:
    """Sources, and stores with nothing in them; all chance in it comes from the seed."""
    random = Random(seed)
    return World(
        random=random,
        setting=setting,
        rules=rules,
        sources=_sources(random, setting),
        unsent=_unsent(random, setting),
        online=Online(hard=random.random() < 0.7, update_checks=rules.update_checks),
        story=[] if tell else None,
    )


def play(world: World) -> None:
    """Go on until every window is in as its sources are in the end, and nothing is under way.

    Raises:
        Violated: A promise was broken on the way, or is at the end.
    """
    random, setting, collecting = world.random, world.setting, collector(world)
    windows = open_windows(world)
    while windows:
        world.tick += 1
        if world.tick > LIMIT:
            raise Violated("no progress")
        chance = random.random()
        if chance < 0.1:
            next(collecting)
        elif chance < 0.1 + setting.late:
            late(world)
        elif chance < 0.1 + setting.late + setting.pace:
            change(world)
        _go_on(world, windows)
        if world.tick % 8 == 0:
            windows = open_windows(world)
    world.ending = True
    for driver in list(world.drivers):  # drivers that were overtaken go on after all is done
        while driver in world.drivers:
            world.tick += 1
            step(world, driver)
    while world.zombies:
        world.serve(world.zombies.pop())
    check(world)


def open_windows(world: World) -> list[int]:
    """Windows that are not in as their sources are in the end, or of which something is begun."""
    last = world.setting.feeds - 1
    return [
        one
        for one in range(world.setting.windows)
        if (one, last) not in world.answered
        or world.state((one, world.generation(one))) is not State.DONE
    ]


def _go_on(world: World, windows: list[int]) -> None:
    """One driver takes a step; now and then there is one more."""
    random, setting = world.random, world.setting
    awake = [one for one in world.drivers if one.wakes <= world.tick]
    if len(awake) < setting.crowd and len(world.drivers) < MOST_DRIVERS and random.random() < 0.3:
        start(world, windows)
    if awake:
        step(world, random.choice(awake))


def start(world: World, windows: list[int]) -> None:
    """Somebody types a command for one of the windows, with its source as it is now."""
    window = world.random.choice(windows)
    taken = [one.feed for one in world.drivers if one.window == window]
    newer = world.version[window] > max(taken, default=-1)
    if taken and world.random.random() > (0.5 if newer else world.setting.takeover):
        return
    if world.rules.exclusive and world.setting.overlaps:
        live = {one.window for one in world.drivers} - {window}
        if any(world.shares(one, window) for one in live):
            return
    batch = (window, world.generation(window))
    if world.state(batch) is State.DONE and world.rules.graceful and world.busy(window, 0):
        return
    world.counts["drivers"] += 1
    number, feed = world.counts["drivers"], world.version[window]
    world.tell(f"#{number} starts: window {window}, version {feed}")
    world.drivers.append(Driver(window, command(world, window, feed, number), number, feed))


def step(world: World, driver: Driver) -> None:
    """A driver goes on, or is killed, or falls asleep."""
    chance, setting = world.random.random(), world.setting
    kills = 0.5 if driver.point in setting.fatal else setting.kills
    naps = 0.7 if driver.point in setting.slow else setting.naps
    if chance < kills and world.counts["kills"] < MOST_KILLS:
        world.counts["kills"] += 1
        world.tell(f"#{driver.number} is killed at {driver.point}")
        world.drivers.remove(driver)
        return
    if chance > 1 - naps:
        driver.wakes, driver.point = world.tick + world.random.randint(10, world.setting.nap), ""
        world.tell(f"#{driver.number} sleeps until {driver.wakes}")
        return
    try:
        driver.point = next(driver.steps)
    except StopIteration:
        world.drivers.remove(driver)
    except (StoppedError, MissingError) as error:
        world.tell(f"#{driver.number} stops: {error}")
        world.counts[type(error).__name__] += 1
        world.drivers.remove(driver)


def late(world: World) -> None:
    """A request arrives that somebody gave up."""
    if world.zombies:
        request = world.zombies.pop(world.random.randrange(len(world.zombies)))
        world.tell(f"late: {request.call.kind} {tuple(request.call.row)} of {request.batch}")
        world.serve(request)


def change(world: World) -> None:
    """A source changes, once it was staged or, once a generation, while it is being staged.

    Where records have a time to live, time goes on.
    """
    window = world.random.randrange(world.setting.windows)
    batch, version = (window, world.generation(window)), world.version[window]
    manifest = world.manifest(batch)
    met = manifest is not None and manifest.feed == version
    hurries = manifest is None and batch in world.journals and batch not in world.hurried
    if version < world.setting.feeds - 1 and (met or hurries):
        world.version[window] += 1
        world.tell(f"the source of window {window} is version {version + 1} now")
        if not met:
            world.hurried.add(batch)
    if world.setting.forgets:
        most = world.setting.windows * SPAN
        world.online.expire(min(most, world.online.horizon + world.random.randint(0, 10)))


def _unsent(random: Random, setting: Setting) -> set[tuple[int, int]]:
    """Versions that are loaded offline only; never the last, so that both stores end alike."""
    pairs = [
        (window, feed) for window in range(setting.windows) for feed in range(setting.feeds - 1)
    ]
    return {one for one in pairs if setting.unsent and random.random() < 0.4}


def _sources(random: Random, setting: Setting) -> list[list[tuple[Row, ...]]]:
    """For each window the versions of its source."""
    found: list[list[tuple[Row, ...]]] = []
    for window in range(setting.windows):
        shared = setting.overlaps and window % 2
        rows = {row.key: row for row in found[-1][0]} if shared else {}
        count = len(rows) + random.randint(2, 3) if shared else random.randint(5, 9)
        found.append(
            _versions(random, setting, window, _drawn(random, setting, window, rows, count))
        )
    return found


def _versions(
    random: Random, setting: Setting, window: int, rows: dict[tuple[int, int], Row]
) -> list[tuple[Row, ...]]:
    versions = [tuple(rows.values())]
    for number in range(1, setting.feeds):
        rows = {key: _restated(random, setting, row, number) for key, row in rows.items()}
        rows = _drawn(random, setting, window, rows, len(rows) + setting.fresh)
        versions.append(tuple(rows.values()))
    return versions


def _drawn(
    random: Random, setting: Setting, window: int, rows: dict[tuple[int, int], Row], count: int
) -> dict[tuple[int, int], Row]:
    rows = dict(rows)
    while len(rows) < count:
        at = random.randrange(SPAN)
        at = at * setting.windows + window if setting.mixed else window * SPAN + at
        key = (random.randrange(setting.identifiers), at)
        chance = random.random()
        value = 0 if chance < 0.06 else -1 if chance < 0.14 else random.randint(1, 9)
        gone = setting.forgets and value > 0 and random.random() < 0.25
        brief = setting.forgets and not gone and random.random() < 0.3
        rows.setdefault(key, Row(*key, value, gone, brief))
    return rows


def _restated(random: Random, setting: Setting, row: Row, number: int) -> Row:
    """A row in a later version: mended, changed, changed back, or as it was."""
    chance = random.random()
    if row.value <= 0:
        return row._replace(value=random.randint(1, 9)) if chance < 0.4 else row
    if setting.service or row.gone or chance > 0.5:
        return row
    return row._replace(value=row.value % 10 + (10 if number % 2 else 0))
