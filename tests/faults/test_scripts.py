"""Random scripts of faults, on a clock of the test's own: the promises hold through every one.

Each example is a group of its own, one or two attempts under the script, one of which may be cut
off by the death of the worker, and a resume without faults, which must complete.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, event, given, seed, settings
from hypothesis import strategies as st

from penstock.emulator import faults
from penstock.emulator.faults import Quota, Reply, Rule, Shape
from penstock.errors import PenstockError
from penstock.online import fold, send_file
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.sender import Timing
from tests.checker import Evidence, Row, assure, received
from tests.faults import evidence as gathering
from tests.faults.direct import REGION, Direct, Killed, Stand, stand
from tests.faults.field import create
from tests.faults.memory import Memory
from tests.sending import JOB, table

SEED = int(os.environ.get("PENSTOCK_FAULT_SEED") or random.randrange(2**32))
OLD = "2024-04-30T00:00:00Z"
#: Codes that are the record's own fault, in the words of scripts.
OWN_FAULT = frozenset({"ValidationError", "ValidationException", "Unheard"})


def _reply(status: int, body: str = "{}", code: str | None = None, **more: Any) -> Reply:
    return Reply(f"{status} {code}", status, body, code, **more)


ALIEN = [faults.garbage(), _reply(302, "<a href='/'>moved</a>", bare=True)]
DENIED = [
    faults.denied(),
    faults.expired(),
    faults.rotated(),
    _reply(403, code="InvalidSignatureException"),
]
REFUSED = [
    _reply(400, '{"message": "bad"}', "ValidationException"),
    _reply(400, '{"message": "bad"}', "ValidationError"),
    _reply(418, '{"message": "odd"}', "Unheard"),
    faults.refused(),
    faults.refused("Unheard", "odd"),
]
PASSING = [
    *(faults.throttled(shape) for shape in ("exception", "null", "bare", "provisioned", "limit")),
    *(faults.throttled("coded", retry_after=after) for after in (0, 300, 90_000)),
    *(faults.failing(status) for status in (500, 502, 503, 504, 509)),
    *(faults.hanging(seconds) for seconds in (0.2, 40.0)),
    *(faults.delayed(seconds) for seconds in (0.1, 11.0, 40.0)),
    faults.vanished("birds"),
    faults.reset_before(),
    faults.reset_after(),
    faults.truncated(),
    *(faults.closed(applied=applied) for applied in (True, False)),
    *(faults.dripped(pace) for pace in (1.0, 200.0)),
    faults.turned("Updating"),
    faults.unprocessed(),
    faults.refused("InternalFailure", "later"),
    faults.refused("ThrottlingException", "slower"),
    faults.refused("ResourceNotFound", "Resource Not Found"),
    _reply(200, "[1]"),
    _reply(408),
]
RULES = st.builds(
    Rule,
    st.one_of(*(st.sampled_from(some) for some in (PASSING, PASSING, REFUSED, DENIED, ALIEN))),
    operation=st.sampled_from(
        [None, None, "BatchWriteRecord", "PutRecord", "DeleteRecord", "UpdateRecord"]
    ),
    identifier=st.sampled_from([None, None, "7$", "^k1", "^k[0-3]$", "^k[0-9]{2}$"]),
    first=st.none() | st.integers(1, 40),
    every=st.none() | st.integers(1, 9),
    probability=st.none() | st.sampled_from([0.02, 0.2, 0.5, 0.9]),
    seed=st.integers(0, 99),
)
QUOTAS = st.builds(
    Quota,
    st.sampled_from([0.0, 1.0, 20.0, 500.0]),
    per=st.sampled_from(["all", "group", "identifier"]),
    burst=st.sampled_from([0.0, 0.1, 1.0]),
    schedule=st.sampled_from([(), ((5.0, 0.0), (30.0, 100.0)), ((1.0, 3.0),)]),
    batch=st.sampled_from(["entries", "call"]),
    shape=st.sampled_from(get_args(Shape)),
    retry_after=st.sampled_from([None, 200]),
)


@dataclass(frozen=True)
class Case:
    """One example: a script, a job, and after how many answers the first worker dies.

    ``controls`` of ten rows, the first are deleted and the next corrected; half of the identifiers
    are online before.
    """

    rules: list[Rule]
    quotas: list[Quota]
    api: Any
    rows: int
    chunk_rows: int
    in_flight: int
    attempts: int
    dies_after: int | None
    ceiling: float | None
    chance: int
    controls: tuple[int, int]
    deletion: Any


CASES = st.builds(
    Case,
    st.lists(RULES, max_size=4),
    st.lists(QUOTAS, max_size=2),
    st.sampled_from(["auto", "batch", "put"]),
    st.integers(1, 160),
    st.sampled_from([1, 10, 25, 64]),
    st.sampled_from([1, 2, 8]),
    st.integers(1, 2),
    st.none() | st.integers(0, 60),
    st.none() | st.sampled_from([5.0, 200.0]),
    st.integers(0, 2**32),
    st.sampled_from([(0, 0), (0, 0), (3, 0), (0, 4), (2, 2), (10, 0)]),
    st.sampled_from(["SoftDelete", "HardDelete"]),
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One embedded AWS for all examples; each has a group of its own."""
    with stand(tmp_path_factory.mktemp("aws")) as made:
        yield made


@pytest.mark.shows("4.3")
def test_no_script_of_faults_breaks_a_promise(ground: Stand) -> None:
    """Whatever goes wrong: nothing lost, no phantom, no step back; the resume completes."""
    _search(ground, 20)


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_no_script_of_thousands_breaks_a_promise(ground: Stand) -> None:
    """The same, longer."""
    _search(ground, 1_000)


def _search(ground: Stand, examples: int) -> None:
    print(f"PENSTOCK_FAULT_SEED={SEED}")  # noqa: T201 - shown with a failure, to repeat it
    numbers = iter(range(10**9))

    @seed(SEED)
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a script runs as it was found; shrinking takes minutes
        database=None,
        print_blob=True,
    )
    @given(CASES)
    def holds(case: Case) -> None:
        _Example(ground, case, f"birds{next(numbers)}").check()

    holds()


class _Example:
    def __init__(self, ground: Stand, case: Case, group: str) -> None:
        self.ground, self.case, self.storage = ground, case, Memory()
        self.path = f"{group}/part-00000.parquet"
        self.job = replace(
            JOB,
            endpoint=replace(JOB.endpoint, region=REGION),
            group=group,
            api=case.api,
            chunk_rows=case.chunk_rows,
            in_flight=case.in_flight,
            deletion=case.deletion,
            results=f"{group}/results",
        )
        refuses = any(rule.action in REFUSED for rule in case.rules)
        self.causes = OWN_FAULT if refuses else frozenset()
        self.allowed = _allowed(case.rules)
        self.before: list[Row] = []

    def check(self) -> None:
        """The group is there for this example alone."""
        ground = self.ground
        ground.look_up()
        online = {"EnableOnlineStore": True, "StorageType": "Standard_V2"}
        create(ground.control, self.job, OnlineStoreConfig=online)
        if any(self.case.controls):
            self.before = self.prepare()
        try:
            self.attempts()
        finally:
            ground.faults.clear()
            ground.look_up()
            ground.control.delete_feature_group(FeatureGroupName=self.job.group)

    def prepare(self) -> list[Row]:
        """Every second identifier has an older record."""
        shape, rows = gathering.shape_of(self.job), []
        for n in range(0, self.case.rows, 2):
            values = {"id": f"k{n}", "at": OLD, "kind": "egg"}
            features = [{"FeatureName": a, "ValueAsString": b} for a, b in values.items()]
            self.ground.runtime.put_record(FeatureGroupName=self.job.group, Record=features)
            rows.append(shape.row(values))
        return rows

    def attempts(self) -> None:
        """Attempts under the script, then one without."""
        case, ground = self.case, self.ground
        sink = pa.BufferOutputStream()
        pq.write_table(controlled(case.rows, *case.controls), sink, row_group_size=37)
        self.storage.write(self.path, sink.getvalue().to_pybytes())
        for n in range(case.attempts):
            ground.faults.replace(case.rules, case.quotas)
            code = self.attempt(case.dies_after if n == 0 else None)
            event(f"exit {code}")
            assert code in self.allowed
            self.assure(code)
        last = self.attempt(None)
        evidence = self.assure(last)
        assert last == 0
        assert len(evidence.answered) + len(evidence.dead) == case.rows
        ground.written += len(evidence.journal)

    def attempt(self, dies_after: int | None) -> int | None:
        """Exit code of one attempt; None where the worker died."""
        case, job, clock = self.case, self.job, self.ground.clock
        self.ground.look_up()
        direct = Direct(self.ground, case.in_flight, dies_after)
        line = Line(direct, Pacer(clock.now, case.ceiling, 1e4), job.api)
        chance = random.Random(case.chance)
        timing = Timing(clock, lambda: 1.7e9 + clock.now, chance.random)
        began = clock.now
        code: int | None = None
        with suppress(Killed):
            try:
                send_file(job, self.path, self.storage, line=line, timing=timing)
                fold(self.storage, job.results, {self.path: case.rows}, job.chunk_rows)
                code = 0
            except PenstockError as error:
                code = error.exit_code
        # Bounded: the deadline of a record, and for each the slowest a limiter may get.
        assert clock.now - began <= 2 * job.deadline_s + 10.0 * case.rows
        return code

    def assure(self, code: int | None) -> Evidence:
        """The checker finds nothing."""
        ground, job = self.ground, self.job
        ground.faults.clear()
        ground.look_up()
        found = gathering.of_send_files(job, [self.path], self.storage)
        evidence = Evidence(
            rows=found.sent,
            sent=found.sent,
            answered=found.answered,
            dead=found.dead,
            journal=gathering.journal(ground.data, job.group, ground.written),
            online=gathering.online(ground.runtime, job),
            figures=found.figures,
            exit_code=-1 if code is None else code,
            before=self.before,
            causes=self.causes,
        )
        assure(evidence, exit_code=evidence.exit_code)
        self.assure_skipped(evidence)
        return evidence

    def assure_skipped(self, evidence: Evidence) -> None:
        """Only corrections of records that are not there were not written and are no dead letters.

        A group that is said to be missing for a moment must not pass for that.
        """
        taken = {(one.identifier, one.event_time) for one in received(evidence.journal)}
        skipped = {row.identifier for row in evidence.answered if row.key not in taken}
        assert not skipped & {row.identifier for row in self.before}


def controlled(rows: int, deleted: int, corrected: int) -> pa.Table:
    """Birds, of ten the first so many deleted and the next so many corrected."""
    made = table(rows)
    if not deleted + corrected:
        return made
    gone = [n % 10 < deleted for n in range(rows)]
    mended = [deleted <= n % 10 < deleted + corrected for n in range(rows)]
    for name in ("kind", "length", "legs"):
        place = made.schema.get_field_index(name)
        column = pc.if_else(pa.array(gone), None, made.column(name))
        made = made.set_column(place, made.schema.field(place), column)
    made = made.append_column("_deleted", pa.array(gone))
    return made.append_column("_correct", pa.array(mended))


def _allowed(rules: Sequence[Rule]) -> set[int | None]:
    """Exit codes that a script may lead to."""
    actions = [rule.action for rule in rules]
    codes: set[int | None] = {0, None, 75}
    if any(one in ALIEN for one in actions):
        codes.add(70)
    if any(one in DENIED for one in actions):
        codes.add(77)
    if any(one in REFUSED for one in actions):
        codes.add(65)
    return codes
