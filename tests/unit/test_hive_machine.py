"""A Hive table in the hands of Hypothesis: whatever comes after whatever, it is the model's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from penstock.entries import Transaction
from penstock.offline import hive_journal
from penstock.offline.hive import HiveLog
from penstock.storage import LocalStorage
from tests.hive_tables import (
    SCHEMA,
    WIDE,
    DiedError,
    Row,
    brought,
    by_name,
    check_whole,
    hive,
    mortal,
    rows,
    seen,
    written,
)

RUNS = 4
CALLS = st.none() | st.integers(0, 60)


class Machine(RuleBasedStateMachine):
    """One table and one process at a time; every act may be the last of its process."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/table"
        self.log = hive(self.path)
        self.runs: dict[int, list[Row]] = {}  # that are in, also those taken out again
        self.out: set[int] = set()
        self.wide = False

    def teardown(self) -> None:
        """Whoever opens it at the end finds it whole."""
        check_whole(self.path)
        self.folder.cleanup()

    @rule(run=st.integers(0, RUNS), size=st.integers(0, 3), dies=CALLS)
    def append(self, run: int, size: int, dies: int | None) -> None:
        """What a run brings, in a file of its own or in one with rows of nobody."""
        others = rows(*(f"{run}-other-{n}" for n in range(size % 2)), run=run + 50)
        schema = WIDE if self.wide else SCHEMA
        some = [*rows(*(f"{run}-{n}" for n in range(size)), run=run), *others]
        name = Transaction("run", run)

        def act(log: HiveLog) -> None:
            assert log.append(written(log, self.path, some, schema), schema, name)

        was = max(self.runs, default=-1)
        self._acts(act, dies)
        if run > was and self.log.find(name) is not None:
            self.runs[run] = some

    @rule(run=st.integers(0, RUNS), dies=CALLS)
    def take_out(self, run: int, dies: int | None) -> None:
        """What it brought, or nothing."""
        at = brought(run).at
        some = [one for one in self.runs.get(run, []) if one["write_time"] == at]
        self._acts(lambda log: log.take_out(brought(run), len(some)), dies)
        if some and not {one["id"] for one in some} & {one["id"] for one in self._stored()}:
            self.out.add(run)

    @rule(dies=CALLS)
    def widen(self, dies: int | None) -> None:
        """Once is enough."""
        self._acts(lambda log: log.widen(WIDE), dies)
        self.wide = self.wide or (dies is None and bool(self.runs))

    @rule()
    def reopen(self) -> None:
        """Another process."""
        self.log = hive(self.path)

    @rule()
    def forget(self) -> None:
        """What only spares work is lost."""
        spare = [f"{self.path}/log/published"]
        spare += [one for one in LocalStorage().list(f"{self.path}/log") if "snapshot" in one]
        LocalStorage().delete_all(spare)

    @invariant()
    def the_table_is_the_models(self) -> None:
        """To this process, and to whoever lists folders after it has looked."""
        version = self.log.version()
        assert self.log.exists == (version is not None)
        expected = [
            one
            for run, some in self.runs.items()
            for one in some
            if run not in self.out or one["write_time"] != brought(run).at
        ]
        assert seen(self.path) == by_name(expected)
        assert by_name(self._stored()) == by_name(expected)
        for run in range(RUNS + 1):
            found = self.log.find(Transaction("run", run))
            assert (found is not None) == (run in self.runs)
            assert found is None or found.rows == len(self.runs[run])

    def _stored(self) -> list[Row]:
        names = [one["id"] for some in self.runs.values() for one in some]
        found = self.log.matching("id", names)
        return found.select(SCHEMA.names).to_pylist() if found.num_columns else []

    def _acts(self, act: Callable[[HiveLog], object], dies: int | None) -> None:
        """By this process, or by one that dies."""
        if dies is None:
            act(self.log)
            return
        try:
            act(hive(self.path, mortal(dies)))
        except DiedError:
            self.log = hive(self.path)


def test_a_table_is_its_model() -> None:
    """Appends, deletions, new columns, deaths at any call, other processes, lost spare files."""
    every, hive_journal.EVERY = hive_journal.EVERY, 3
    try:
        run_state_machine_as_test(
            Machine, settings=settings(max_examples=40, stateful_step_count=15, deadline=None)
        )
    finally:
        hive_journal.EVERY = every
