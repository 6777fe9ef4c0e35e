"""A driver: one command for one window, walked as the engine walks it."""

from __future__ import annotations

from collections.abc import Generator

from penstock.ledger.journal import State
from tests.model.invariants import check_done
from tests.model.steps import Run, Steps, steps_of
from tests.model.world import StoppedError, Violated, World


def command(world: World, window: int, feed: int, number: int) -> Generator[str, None, None]:
    """Bring a version of a window's source into both stores, finishing first what is begun."""
    sends = (window, feed) not in world.unsent
    skew = 0 if world.rules.clocks_agree else world.random.randint(-2000, 2000)
    while True:
        generation = world.generation(window)
        if world.state((window, generation)) is State.DONE:
            if world.data((window, generation), State.DONE)["feed"] == feed:
                _answer(world, window, feed, generation)
                return
            generation += 1
            if world.ending or (world.rules.graceful and world.busy(window)):
                raise StoppedError("requests of the generation before are under way")
        batch = (window, generation)
        staged, epoch = world.manifest(batch) is not None, world.epoch(batch) + 1
        yield "cp00"
        world.append(batch, State.CLAIMED, epoch, {"run": number})
        compare = generation > 0 or world.overlaps(window)
        yield "cp01"
        if world.rules.looks_after_claim:
            if world.state(batch) is State.DONE:
                continue
            staged = world.manifest(batch) is not None
        if world.rules.finishes_first and not staged and world.unfinished(window):
            raise StoppedError("a window that shares time with this one is not done")
        run = Run(world, batch, epoch, feed, number, skew, compare, sends)
        yield from _walk(run, staged=staged)
        if not staged and (run.manifest.run == number or not world.rules.answers_for_itself):
            _answer(world, window, feed, generation)
            return


def _answer(world: World, window: int, feed: int, generation: int) -> None:
    """The command says that it is done."""
    manifest = world.manifest((window, generation))
    if manifest is None or manifest.feed != feed:
        raise Violated(f"window {window}: done was said of version {feed}, which is not in")
    world.tell(f"window {window}: version {feed} is in, as generation {generation}")
    world.answered.add((window, feed))


def _walk(run: Run, *, staged: bool) -> Steps:
    world, steps = run.world, steps_of(run.world.rules)
    states = [state for state, _ in steps]
    state = world.state(run.batch)
    reached = states.index(state) + 1 if staged and state in states else 0
    for state, step in steps[reached:]:
        data = yield from step(run)
        world.append(run.batch, state, run.epoch, data)
        world.tell(f"#{run.number} {run.batch}: {state.value}")
        if state is State.DONE:
            check_done(world, run.batch)
        yield f"after {state.value}"
