"""T26 to T28: ties, values of every kind, and sizes at the limit, from the gate to GetRecord."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from random import Random
from typing import Any
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import encoding
from penstock.contract import Feature, FeatureGroup
from penstock.gate import Bounds, FeatureGate, Gated
from penstock.online import SendJob, fold, send_file
from penstock.online.line import Line
from penstock.online.pacing import Pacer
from penstock.online.sender import Timing
from penstock.stage.versions import Settled, Versions
from tests.checker import Evidence, Row, assure
from tests.faults import evidence as gathering
from tests.faults.direct import Direct, Stand, stand
from tests.faults.field import create
from tests.faults.memory import Memory
from tests.sending import JOB, TIME, table

GROUP = FeatureGroup(
    name="birds",
    record_identifier="id",
    event_time="at",
    features=tuple(Feature(n, kind) for n, kind in zip(JOB.features, JOB.types, strict=True)),
)
GATE = FeatureGate(GROUP, Bounds(), datetime(2030, 1, 1, tzinfo=timezone.utc))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """An embedded AWS without sockets."""
    with stand(tmp_path_factory.mktemp("aws")) as made:
        yield made


@pytest.mark.shows("4.3")
def test_t26_ties_deterministic(ground: Stand) -> None:
    """1,000 ties, five runs with 1 to 8 partitions and rows in any order: the same records win."""
    rows = tied_rows(1_000)
    found = []
    for n, partitions in enumerate((1, 2, 3, 5, 8)):
        winners = latest(rows, partitions, Random(n))
        assert sum(map(len, winners)) == 1_500
        evidence = sent(ground, f"ties{n}", winners)
        assure(evidence, floor=1_500)
        found.append(evidence.online)
    assert all(one == found[0] for one in found)


def tied_rows(ties: int) -> pa.Table:
    """Twice as many rows of ``ties`` identifiers that share an event time, and 500 others."""
    identifiers = [f"k{n % ties}" for n in range(2 * ties)] + [f"other{n}" for n in range(500)]
    legs = [Random(n).randrange(1_000_000) for n in range(len(identifiers))]
    return table(len(identifiers), id=identifiers, legs=legs)


def latest(rows: pa.Table, partitions: int, chance: Random) -> list[pa.Table]:
    """What staging would send: shuffled, placed by identifier, the latest of each."""
    order = list(range(len(rows)))
    chance.shuffle(order)
    identifiers = rows.column("id").to_pylist()
    made = []
    for place in range(partitions):
        own = [n for n in order if crc32(identifiers[n].encode()) % partitions == place]
        own.sort(key=lambda n: identifiers[n])
        versions = Versions("id", "at", buffer_rows=chance.choice([1, 100, 10_000]))
        settled: list[Settled] = []
        for start in range(0, len(own), 64):
            settled += versions.add(rows.take(own[start : start + 64]))
        settled += versions.finish()
        made.append(pa.concat_tables([one.latest for one in settled]))
    return made


#: Text of any kind: valid, and bytes that are none.
TEXTS = st.none() | st.text(max_size=30).map(str.encode) | st.binary(max_size=8)
WHOLES = st.none() | st.integers().map(str) | st.integers(-(2**63), 2**63 - 1).map(str)
NUMBERS = st.none() | st.floats() | st.floats().map(lambda one: struct.unpack("f", _single(one))[0])
VALUES = st.lists(st.tuples(TEXTS, NUMBERS, WHOLES), min_size=1, max_size=12)


def _single(number: float) -> bytes:
    try:
        return struct.pack("f", number)
    except OverflowError:
        return struct.pack("f", 0.0)


@pytest.mark.shows("4.3")
def test_t27_hypothesis_values_roundtrip(ground: Stand) -> None:
    """Any text, number and whole number: GetRecord answers it to the bit, or it was put aside."""
    _round_trips(ground, 60)


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_t27_hypothesis_values_roundtrip_2000(ground: Stand) -> None:
    """The same, 2,000 examples."""
    _round_trips(ground, 2_000)


def _round_trips(ground: Stand, examples: int) -> None:
    numbers = iter(range(10**9))
    seen = {"fit": 0, "bad": 0}

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(VALUES)
    def holds(values: list[tuple[bytes | None, float | None, str | None]]) -> None:
        gated = gate(values)
        seen["fit"] += len(gated.rows)
        seen["bad"] += len(gated.bad)
        assert len(gated.rows) + len(gated.bad) == len(values)
        evidence = sent(ground, f"values{next(numbers)}", [gated.rows.select(JOB.features)])
        assure(evidence)
        assert len(evidence.answered) == len(gated.rows)
        for identifier, row in evidence.online.items():
            assert row == _plain(values[int(identifier)], identifier)

    holds()
    assert min(seen.values()) >= examples // 3  # a floor, whatever the examples


def gate(values: Sequence[tuple[bytes | None, float | None, str | None]]) -> Gated:
    """What the feature gate makes of rows whose identifier is their number."""
    texts, numbers, wholes = zip(*values, strict=True)
    return GATE.check(
        pa.RecordBatch.from_pydict(
            {
                "id": pa.array([str(n) for n in range(len(values))]),
                "at": pa.array([TIME] * len(values)),
                "kind": pa.array(texts, pa.binary()).view(pa.string()),
                "length": pa.array(numbers, pa.float64()),
                "legs": pa.array(wholes, pa.string()),
            }
        )
    )


def _plain(values: tuple[bytes | None, float | None, str | None], identifier: str) -> Row:
    text, number, whole = values
    kept: dict[str, Any] = {"id": identifier, "at": TIME, "length": number}
    kept["kind"] = None if text is None else text.decode()
    kept["legs"] = None if whole is None else int(whole)
    return gathering.shape_of(JOB).row(kept)


NAMES_BYTES = sum(len(name) for name in JOB.features)


@pytest.mark.shows("4.3")
@pytest.mark.parametrize("letter", ["x", "é", "🦜"])
@pytest.mark.parametrize(
    ("identifier", "record", "rule"),
    [
        (10, 358_399, None),
        (10, 358_400, None),
        (10, 358_401, encoding.OVERSIZE),
        (2_047, 5_000, None),
        (2_048, 5_000, None),
        (2_049, 5_000, encoding.OVERSIZE),
    ],
)
def test_t28_oversize_boundaries(
    ground: Stand, letter: str, identifier: int, record: int, rule: str | None
) -> None:
    """At the limit a record passes gate and service; one byte more is put aside by both."""
    one = _sized(letter, identifier, record)
    gated = GATE.check(one)
    assert [bad["rule"] for bad in gated.bad.to_pylist()] == ([] if rule is None else [rule])
    group = f"size{letter.encode().hex()}x{identifier}x{record}"
    evidence = sent(ground, group, [pa.Table.from_batches([one])])
    assure(evidence)
    assert len(evidence.dead) == (rule is not None)


def _sized(letter: str, identifier: int, record: int) -> pa.RecordBatch:
    """One record of exactly so many bytes, names and values, of which the identifier has some."""
    own = _filled(letter, identifier)
    rest = record - identifier - len(TIME) - NAMES_BYTES
    rows = table(1, id=[own], kind=[_filled(letter, rest + len("length") + len("legs"))],
                 length=[None], legs=[None])  # fmt: skip
    return rows.to_batches()[0]


def _filled(letter: str, size: int) -> str:
    width = len(letter.encode())
    return "x" * (size % width) + letter * (size // width)


def sent(ground: Stand, group: str, files: Sequence[pa.Table]) -> Evidence:
    """Send tables as files to a group of their own, and gather the evidence."""
    job = replace(JOB, group=group, results=f"{group}/results")
    storage = Memory()
    paths = {f"{group}/part-{n:05d}.parquet": rows for n, rows in enumerate(files)}
    create(ground.control, job)
    try:
        for path, rows in paths.items():
            sink = pa.BufferOutputStream()
            pq.write_table(rows, sink)
            storage.write(path, sink.getvalue().to_pybytes())
            _send(ground, job, path, storage)
        fold(storage, job.results, {path: len(rows) for path, rows in paths.items()}, 100)
        return _evidence(ground, job, list(paths), storage)
    finally:
        ground.control.delete_feature_group(FeatureGroupName=group)


def _send(ground: Stand, job: SendJob, path: str, storage: Memory) -> None:
    clock = ground.clock
    line = Line(Direct(ground, 8), Pacer(clock.now, None, 1e6), job.api)
    timing = Timing(clock, lambda: 1.7e9 + clock.now, Random(1).random)
    send_file(job, path, storage, line=line, timing=timing)


def _evidence(ground: Stand, job: SendJob, paths: list[str], storage: Memory) -> Evidence:
    found = gathering.of_send_files(job, paths, storage)
    evidence = Evidence(
        rows=found.sent,
        sent=found.sent,
        answered=found.answered,
        dead=found.dead,
        journal=gathering.journal(ground.data, job.group, ground.written),
        online=gathering.online(ground.runtime, job),
        figures=found.figures,
    )
    ground.written += len(evidence.journal)
    return evidence
