"""T43: the protocol's model in the hands of Hypothesis, which looks for the acts that break it.

A test may start drivers, also where one is at work, let them go on, kill them where they stand,
change sources (late rows, restatements, deletions, as the setting has them), let late requests
arrive and the collector work. What must hold of finished windows is looked at after every act, and
everything at the end, when all has been played out. Damage to a ledger is not in the model: that is
T36's.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.model.collector import collector
from tests.model.invariants import check_finished
from tests.model.mutants import mutants
from tests.model.rules import PROTOCOL, Rules
from tests.model.schedule import change, late, new_world, open_windows, play, start, step
from tests.model.settings import SETTINGS
from tests.model.world import Violated

STEPS = 40


class Machine(RuleBasedStateMachine):
    """One world; every act is the test's, every answer of the world comes from its seed."""

    protocol: Rules = PROTOCOL

    @initialize(name=st.sampled_from(sorted(SETTINGS)), seed=st.integers(0, 2**32))
    def begin(self, name: str, seed: int) -> None:
        """Nobody is killed and nobody sleeps but by an act."""
        setting = replace(SETTINGS[name], kills=0.0, naps=0.0, takeover=0.6)
        self.world = new_world(setting, seed, self.protocol)
        self.collecting = collector(self.world)

    @rule()
    def start(self) -> None:
        """One more driver, at most five at a time."""
        windows = open_windows(self.world)
        if windows and len(self.world.drivers) < 5:
            start(self.world, windows)

    @precondition(lambda self: self.world.drivers)
    @rule(chosen=st.integers(0, 4), steps=st.integers(1, 25))
    def go_on(self, chosen: int, steps: int) -> None:
        """A driver takes some steps."""
        driver = self.world.drivers[chosen % len(self.world.drivers)]
        for _ in range(steps):
            if driver in self.world.drivers:
                self.world.tick += 1
                step(self.world, driver)

    @precondition(lambda self: self.world.drivers)
    @rule(chosen=st.integers(0, 4))
    def kill(self, chosen: int) -> None:
        """A driver dies where it stands."""
        self.world.drivers.pop(chosen % len(self.world.drivers))
        self.world.counts["kills"] += 1

    @rule()
    def change(self) -> None:
        """A source brings late rows, restates others; time goes on."""
        change(self.world)

    @rule()
    def late(self) -> None:
        """A request that was given up arrives."""
        late(self.world)

    @rule(steps=st.integers(1, 10))
    def collect(self, steps: int) -> None:
        """The collector of staged files goes on."""
        for _ in range(steps):
            next(self.collecting)

    @invariant()
    def finished_windows_keep_their_promises(self) -> None:
        """Of every window that is DONE."""
        if hasattr(self, "world"):
            check_finished(self.world)

    def teardown(self) -> None:
        """All is played out, and everything must hold."""
        if hasattr(self, "world"):
            target(float(self.world.counts["kills"] + self.world.counts["drivers"]))
            play(self.world)


class Careless(Machine):
    """One that forgets what it has committed."""

    protocol = mutants()["transactional"][0]


def _run(machine: type[Machine], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.shows("5.6")
def test_t43_state_machine_dual_write_of_some() -> None:
    """30 examples of up to 40 acts."""
    _run(Machine, 30)


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t43_state_machine_dual_write() -> None:
    """300 examples of up to 40 acts."""
    _run(Machine, 300)


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t43_state_machine_finds_what_is_broken() -> None:
    """Without transactions it finds rows that are offline twice."""
    with pytest.raises(Violated):
        _run(Careless, 300)
