"""T08, T23, T24, T26, T30, T31 and T35 as whole runs, with exit codes and the offline store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import pytest

from penstock.emulator.faults import Reply, Rule, refused
from tests.checker import assure
from tests.faults.runs import Line, Run, pipeline
from tests.lab import Lab

OLD, NEW = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"


def lines(rows: int, poisoned: int = 0) -> list[Line]:
    """Two versions of every fourth sensor; some sensors that the service will not take."""
    made: list[Line] = []
    for n in range(rows):
        name = f"poison{n}" if n < poisoned else f"s{n}"
        made.append((name, NEW, n, n / 8))
    return [*made, *((name, OLD, level, 0.5) for name, _, level, _ in made[poisoned::4])]


@pytest.mark.shows("4.3")
@pytest.mark.prove
@pytest.mark.parametrize("rows", [3_800, 10_000])
def test_t23_poison_records_in_a_run(lab: Lab, rows: int) -> None:
    """37 bad: strictly 65 with nothing offline; tolerated they are 37 dead letters and exit 0."""
    run = Run(lab, pipeline())
    run.write(lines(rows, 37))
    rule = Rule(refused(message="no"), identifier="^poison")
    lab.emulator.faults.add(rule)
    code, said = run.ingest(online__max_reject_ratio=0.0)
    assert f"rejected 37 of {rows} records" in said
    assure(run.evidence(code), floor=rows - 37, exit_code=65)
    assert lab.offline(run.group) == []
    lab.emulator.faults.add(rule)
    code, _ = run.ingest()
    evidence = run.evidence(code)
    assure(evidence, floor=rows - 37)
    assert len(evidence.dead) == 37
    assert len(evidence.offline or ()) == len(run.lines) - 37
    refusals = [one for one in lab.quarantine() if one["stage"] == "online"]
    assert [one["rule"] for one in refusals] == ["ValidationError"] * 37


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_t24_everything_rejected_in_a_run(lab: Lab) -> None:
    """The service takes nothing: exit 65, nothing offline; once it does, the run completes."""
    run = Run(lab, pipeline())
    run.write(lines(2_000))
    rule = Rule(refused(message="no"), operation="BatchWriteRecord")
    lab.emulator.faults.add(rule)
    code, _ = run.ingest()
    assert lab.emulator.faults.strikes[rule] <= 2 * (100 + 33 * 25)
    assure(run.evidence(code), floor=0, exit_code=65)
    assert lab.offline(run.group) == []
    code, _ = run.ingest()
    assure(run.evidence(code), floor=1_900)


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_t26_ties_in_runs(lab: Lab) -> None:
    """1,000 ties in one or in five partitions, rows in another order: the same records win."""
    rows: list[Line] = [(f"s{n % 1_000}", NEW, Random(n).randrange(10**6), 0.5)
                        for n in range(2_000)]  # fmt: skip
    found = []
    for partitions in (1, 5):
        run = Run(lab, pipeline(f"ties{partitions}"))
        run.write(_shuffled(rows, partitions))
        lab.spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        try:
            code, _ = run.ingest()
        finally:
            lab.spark.conf.set("spark.sql.shuffle.partitions", "4")
        evidence = run.evidence(code)
        assure(evidence, floor=1_000)
        assert len(evidence.offline or ()) == len(set(rows))
        found.append(evidence.online)
    assert found[0] == found[1]


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_t30_correction_same_event_time(lab: Lab) -> None:
    """New values at a written event time: refused; with --correct update both stores have them."""
    run = Run(lab, pipeline())
    tier = {"readings": {"storage_type": "Standard_V2"}}
    first = lines(400)
    run.write(first)
    assert run.ingest(groups__readings=tier["readings"]) == (0, "")
    assure(run.evidence(0), floor=400)
    run.write([(a, b, c + 1 if n < 40 else c, d) for n, (a, b, c, d) in enumerate(first)])
    code, said = run.ingest(groups__readings=tier["readings"])
    assert (code, "--correct update" in said) == (65, True)
    assert run.online()["s3"] == run.row(first[3])
    code, said = run.ingest("update", groups__readings=tier["readings"])
    assert (code, said) == (0, "")
    online = run.online()
    assert [online[line[0]] for line in run.lines[:400]] == [run.row(x) for x in run.lines[:400]]
    assert len(lab.offline(run.group)) == len(first) + 40
    updates = [one for one in lab.emulator.journal() if one.operation == "UpdateRecord"]
    assert len(updates) == 40


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t31_reprocess_generation(lab: Lab) -> None:
    """3 % of the rows are changed: the second generation adds these, offline and online."""
    run, tier = Run(lab, pipeline()), {"storage_type": "Standard_V2"}
    first = lines(4_000)
    changed = len(first) * 3 // 100
    run.write(first)
    assert run.ingest(groups__readings=tier) == (0, "")
    before = len(lab.emulator.journal())
    run.write([(a, b, c + 1 if n < changed else c, d) for n, (a, b, c, d) in enumerate(first)])
    assert run.ingest("update", groups__readings=tier) == (0, "")
    assert len(lab.offline(run.group)) == len(first) + changed
    applied = [one for one in lab.emulator.journal()[before:] if one.applied]
    assert len(applied) == changed
    online = run.online()
    assert [online[one[0]] for one in run.lines[:4_000]] == [
        run.row(one) for one in run.lines[:4_000]
    ]


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t35_glue_faults(lab: Lab) -> None:
    """Throttles, lost races, and Glue that is down: exit 0 or 75, and the data committed once."""
    passing = Run(lab, pipeline("passing"))
    passing.write(lines(400))
    codes = (
        ("GetTable", "ThrottlingException", 2),
        ("CreateTable", "ConcurrentModificationException", 3),
        ("CreateDatabase", "AlreadyExistsException", 1),
    )
    for operation, fault, times in codes:
        lab.emulator.faults.add(Rule(_glue(fault), operation=operation, first=times))
    assert passing.ingest() == (0, "")
    assure(passing.evidence(0), floor=400)
    down = Run(lab, pipeline("down"))
    down.write(lines(400))
    lab.emulator.faults.add(Rule(_glue("InternalServiceException"), operation="GetTable"))
    code, said = down.ingest()
    assert (code, "Glue did not take" in said) == (75, True)
    assert len(lab.offline(down.group)) == len(down.lines)
    lab.emulator.faults.clear()
    assert down.ingest() == (0, "")
    assure(down.evidence(0), floor=400)
    assert len({row["write_time"] for row in lab.offline(down.group)}) == 1


@pytest.mark.shows("5.6")
def test_t08_cached_rdd_not_reingested_of_some(lab: Lab) -> None:
    """A frame that was ingested is dropped from the cache and counted: no record is sent again."""
    group = pipeline().group
    frame = lab.spark.createDataFrame(
        lines(200), "sensor string, at string, level long, share double"
    )
    frame = frame.cache()
    assert lab.ingest_frame(frame, group).figures.accepted == 200
    sent = len(lab.emulator.journal())
    frame.unpersist(blocking=True)
    assert frame.count() == 250
    assert len(lab.emulator.journal()) == sent == 200


def _glue(code: str) -> Reply:
    return Reply(code, 400, json.dumps({"__type": code, "message": "scripted"}))


def _shuffled(rows: Sequence[Line], seed: int) -> list[Line]:
    made = list(rows)
    Random(seed).shuffle(made)
    return made
