"""T45: the protocol keeps its promises in every schedule, and not one of its rules can be left out.

``make test`` plays a few schedules of each kind, ``make prove`` all 20,000, and 500 without each of
the rules. A schedule that fails is told from beginning to end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from random import Random

import pytest

from penstock.errors import TemporaryError
from penstock.ledger.journal import Journal, State
from penstock.storage import LocalStorage
from tests.model.mutants import mutants
from tests.model.rules import PROTOCOL, Rules
from tests.model.schedule import Outcome, run
from tests.model.settings import SETTINGS, Setting
from tests.model.stores import Online
from tests.model.world import StoppedError, World

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)

SCHEDULES = 20_000
MUTATED = 500
#: What must have happened a number of times in 1,000 schedules, or nothing was shown.
HAPPENED = {
    "plain": {"kills": 2_000, "lost": 500, "known": 50, "collected": 5_000},
    "restated": {"kills": 4_000, "older": 8_000, "corrected": 2_000, "conflict": 20},
    "arrivals": {"kills": 4_000, "corrected": 2_000, "put where gone": 200, "conflict": 20},
    "forgetting": {"kills": 4_000, "older": 8_000, "corrected": 1_000, "crossed": 100},
    "overlapping": {"kills": 2_000, "lost": 500, "collected": 5_000},
    "service": {"kills": 2_000, "collected": 5_000},
}


@dataclass
class Memory(LocalStorage):
    """Objects in memory."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """As it should be."""
        return self.objects.setdefault(path, data) is data

    def read(self, path: str) -> bytes:
        """As it should be."""
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def list(self, folder: str) -> list[str]:
        """As it should be."""
        return sorted(one for one in self.objects if one.startswith(folder))


def _played(setting: Setting, seeds: Iterable[int], rules: Rules = PROTOCOL) -> list[Outcome]:
    return [run(setting, seed, rules) for seed in seeds]


def _told(name: str, setting: Setting, outcomes: list[Outcome]) -> str:
    """How to see the first schedule that broke a promise again, and its story."""
    wrong = [one for one in outcomes if one.violation is not None]
    if not wrong:
        return ""
    seed = wrong[0].seed
    head = f"{len(wrong)} of {len(outcomes)}; python -m tests.model {name} {seed}"
    return "\n".join([head, *run(setting, seed, tell=True).story])


def _keeps(name: str, seeds: range) -> None:
    outcomes = _played(SETTINGS[name], seeds)
    counts: Counter[str] = Counter()
    for one in outcomes:
        counts.update(one.counts)
    told = _told(name, SETTINGS[name], outcomes)
    assert not told, told
    few = {
        what: counts[what] for what, n in HAPPENED[name].items() if _rare(counts[what], n, seeds)
    }
    assert not few, f"too seldom to show anything: {few}"


def _rare(count: int, wanted: int, seeds: range) -> bool:
    """Whether something happened less often than ``wanted`` times in 1,000 schedules."""
    return count * 1_000 < wanted * len(seeds)


def _caught(rules: Rules, setting: Setting, seeds: range) -> float:
    outcomes = _played(setting, seeds, rules)
    return sum(one.violation is not None for one in outcomes) / len(seeds)


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("name", SETTINGS)
def test_t45_protocol_model_keeps_every_promise(name: str) -> None:
    """No promise is broken in any of the schedules, and enough goes wrong in them."""
    _keeps(name, range(1_000_000, 1_000_100))


@pytest.mark.prove
@pytest.mark.shows("5.6")
@pytest.mark.parametrize("name", SETTINGS)
def test_t45_protocol_model_keeps_every_promise_in_20000_schedules(name: str) -> None:
    """20,000 schedules in all, shared out among the settings."""
    _keeps(name, range(-(-SCHEDULES // len(SETTINGS))))


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("name", mutants())
def test_t45_mutants_are_caught(name: str) -> None:
    """Without any one of its rules the protocol breaks a promise, in a third of few schedules."""
    rules, setting = mutants()[name]
    assert _caught(rules, setting, range(20)) > 1 / 3


@pytest.mark.prove
@pytest.mark.shows("5.6")
@pytest.mark.parametrize("name", mutants())
def test_t45_mutants_are_caught_in_half_of_500_schedules(name: str) -> None:
    """Without any one of its rules the protocol breaks a promise in half of the schedules."""
    rules, setting = mutants()[name]
    assert _caught(rules, setting, range(MUTATED)) >= 1 / 2


@pytest.mark.prove
@pytest.mark.shows("5.6")
@pytest.mark.parametrize("name", mutants())
def test_t45_protocol_model_keeps_every_promise_where_mutants_are_tried(name: str) -> None:
    """What catches a mutant is the missing rule, not the setting it is tried in."""
    setting = mutants()[name][1]
    told = _told(name, setting, _played(setting, range(60)))
    assert not told, told


@pytest.mark.shows("5.6")
def test_t45_model_journal_is_the_engines() -> None:
    """Events and claims in any order: the model's journal and the engine's are of one mind."""
    for seed in range(40):
        random = Random(seed)
        world = World(
            random, SETTINGS["plain"], PROTOCOL, [], Online(hard=True, update_checks=True)
        )
        journal, batch = Journal(Memory(), "/ledger"), (0, 0)
        for _ in range(30):
            state, epoch = random.choice(list(State)), random.randint(1, 3) + world.epoch(batch) - 1
            if world.state(batch) is State.DONE:
                break
            assert _appended(world, batch, state, epoch) == _engine_appended(journal, state, epoch)
            assert (journal.state, journal.epoch) == (world.state(batch), world.epoch(batch))


def _appended(world: World, batch: tuple[int, int], state: State, epoch: int) -> bool:
    before = len(world.journals[batch].events) if batch in world.journals else 0
    try:
        world.append(batch, state, epoch, {"sent": 0})
    except StoppedError:
        return batch in world.journals and len(world.journals[batch].events) > before
    return True


def _engine_appended(journal: Journal, state: State, epoch: int) -> bool:
    try:
        journal.append(state, epoch, {}, NOW)
    except TemporaryError:
        return False
    return True
