"""send_file against the embedded AWS, which checks signatures and models, under its faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from botocore.credentials import Credentials

from penstock.aws import Endpoint
from penstock.emulator import faults
from penstock.emulator.server import Emulator
from penstock.errors import CredentialsError, MismatchError
from penstock.online import FileOutcome, SendJob, fold, send_file
from penstock.online.keys import Keys
from penstock.storage import LocalStorage
from tests.sending import JOB, line_for, staged, table
from tests.service.conftest import Aws, definitions

STORAGE = LocalStorage()
ROWS = 1000


@pytest.fixture(params=["fast", "plain"])
def job(request: pytest.FixtureRequest, emulator: Emulator, aws: Aws, tmp_path: Path) -> SendJob:
    """The birds' group exists, and the job that feeds it, on either transport."""
    kinds = {name: kind.value for name, kind in zip(JOB.features, JOB.types, strict=True)}
    aws.control.create_feature_group(
        FeatureGroupName="birds",
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="at",
        FeatureDefinitions=definitions(**kinds),
        OnlineStoreConfig={"EnableOnlineStore": True, "StorageType": "InMemory"},
    )
    endpoint = Endpoint(emulator.region, emulator.url, str(emulator.credentials_file))
    results = str(tmp_path / "results")
    return replace(JOB, endpoint=endpoint, results=results, transport=request.param)


def send(emulator: Emulator, job: SendJob, path: str) -> FileOutcome:
    """One attempt with a line of its own."""
    keys = Keys(lambda: Credentials(emulator.access_key, emulator.secret_key))
    return send_file(job, path, STORAGE, line=line_for(job, keys))


def applied(emulator: Emulator) -> Counter[str]:
    """How often each identifier's record became the online one."""
    return Counter(one.identifier for one in emulator.journal() if one.applied)


@pytest.mark.parametrize(("api", "operation"), [("auto", "BatchWriteRecord"), ("put", "PutRecord")])
def test_boto3_reads_back_what_was_staged(
    emulator: Emulator, aws: Aws, job: SendJob, tmp_path: Path, api: Any, operation: str
) -> None:
    """Awkward text, extreme numbers and nulls arrive exactly, through either operation."""
    data = table(
        6,
        id=["a", "b c/d", 'q"\\', "é🦜", "tab\t", "u\u2028v"],
        kind=["line\nbreak", "", None, "\x00nul", "🦜", "' or 1=1"],
        length=[0.1, -0.0, 5e-324, 1.7976931348623157e308, None, 1e10],
        legs=[2**63 - 1, -(2**63), 0, None, 1, 2],
    )
    outcome = send(emulator, replace(job, api=api), staged(tmp_path, data))
    assert (outcome.figures.accepted, outcome.figures.rejected) == (6, 0)
    assert {one.operation for one in emulator.journal()} == {operation}
    for row in data.to_pylist():
        found = aws.get(row["id"], "birds")
        assert found is not None
        wanted = {name: value for name, value in row.items() if value is not None}
        assert {name: type(wanted[name])(text) for name, text in found.items()} == wanted


PASSING: dict[str, faults.Action] = {
    "throttled": faults.throttled("exception"),
    "throttled without words": faults.throttled("null"),
    "bare 429": faults.throttled("bare"),
    "asked to wait": faults.throttled("coded", retry_after=60),
    "500": faults.failing(500),
    "503": faults.failing(503),
    "reset before": faults.reset_before(),
    "reset after": faults.reset_after(),
    "truncated": faults.truncated(),
    "group flickers": faults.vanished("birds"),
    "unprocessed": faults.unprocessed(),
    "entries fail": faults.refused("InternalFailure", "later"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_leaves_no_trace_in_the_store(
    emulator: Emulator, job: SendJob, tmp_path: Path, name: str
) -> None:
    """T10 to T16, T22, T25: a tenth of calls or entries fail; all accepted, each applied once."""
    rule = faults.Rule(PASSING[name], every=10)
    emulator.faults.add(rule)
    path = staged(tmp_path, table(ROWS))
    outcome = send(emulator, job, path)
    assert emulator.faults.strikes[rule] >= 4
    assert applied(emulator) == Counter(f"k{n}" for n in range(ROWS))
    totals = fold(STORAGE, job.results, {path: ROWS}, job.chunk_rows)
    assert totals.figures == outcome.figures
    assert (totals.figures.accepted, totals.figures.rejected) == (ROWS, 0)
    assert totals.figures.repeated > 0


def test_lost_answers_are_counted_exactly(emulator: Emulator, job: SendJob, tmp_path: Path) -> None:
    """T15: answers withheld after applying: ambiguous is their number, nothing applied twice."""
    rule = faults.Rule(faults.reset_after(), probability=0.2, seed=3)
    emulator.faults.add(rule)
    outcome = send(emulator, replace(job, api="put"), staged(tmp_path, table(300)))
    assert (
        outcome.figures.ambiguous == outcome.figures.repeated == emulator.faults.strikes[rule] > 30
    )
    assert len(emulator.journal()) == 300 + outcome.figures.ambiguous
    assert applied(emulator) == Counter(f"k{n}" for n in range(300))


def test_refused_entries_are_rejected_and_only_they(
    emulator: Emulator, aws: Aws, job: SendJob, tmp_path: Path
) -> None:
    """T23: the service refuses ten identifiers of a thousand for good: ten rejects, by name."""
    rule = faults.Rule(
        faults.refused(message="bad wren"), identifier="^k[0-9]$", operation="BatchWriteRecord"
    )
    emulator.faults.add(rule)
    path = staged(tmp_path, table(ROWS))
    outcome = send(emulator, job, path)
    assert (outcome.figures.accepted, outcome.figures.rejected) == (ROWS - 10, 10)
    (file,) = fold(STORAGE, job.results, {path: ROWS}, job.chunk_rows).rejects_files
    assert pq.read_table(file).column("id").to_pylist() == [f"k{n}" for n in range(10)]
    assert aws.get("k3", "birds") is None
    assert aws.get("k10", "birds") is not None


def test_a_value_the_service_does_not_take_is_its_own_rows_fault(
    emulator: Emulator, job: SendJob, tmp_path: Path
) -> None:
    """An event time the service refuses, in a batch: that row is rejected, no neighbour is."""
    data = table(50, at=["yesterday" if n == 20 else "2024-05-01T00:00:00Z" for n in range(50)])
    outcome = send(emulator, job, staged(tmp_path, data))
    assert (outcome.figures.accepted, outcome.figures.rejected) == (49, 1)
    assert applied(emulator).keys() == {f"k{n}" for n in range(50)} - {"k20"}


def test_without_the_right_to_batch_records_go_singly(
    emulator: Emulator, job: SendJob, tmp_path: Path
) -> None:
    """BatchWriteRecord denied, PutRecord allowed: one refusal, then everything by PutRecord."""
    rule = faults.Rule(faults.denied(), operation="BatchWriteRecord")
    emulator.faults.add(rule)
    outcome = send(emulator, job, staged(tmp_path, table(100)))
    assert (outcome.api, outcome.figures.accepted) == ("put", 100)
    assert emulator.faults.strikes[rule] == 1


def test_denied_or_not_sagemaker_is_said_at_once(
    emulator: Emulator, job: SendJob, tmp_path: Path
) -> None:
    """T18 and T20: a handful of requests, the right error, nothing applied."""
    path = staged(tmp_path, table(ROWS))
    rule = faults.Rule(faults.denied())
    emulator.faults.add(rule)
    with pytest.raises(CredentialsError):
        send(emulator, job, path)
    assert emulator.faults.strikes[rule] <= 2
    emulator.faults.clear()
    emulator.faults.add(faults.Rule(faults.garbage()))
    with pytest.raises(MismatchError):
        send(emulator, job, path)
    assert not applied(emulator)


def test_a_wrong_secret_is_not_retried_for_ever(
    emulator: Emulator, job: SendJob, tmp_path: Path
) -> None:
    """The server checks signatures: a wrong secret ends in exit 77 after three look-ups."""
    looked = []

    def resolve() -> Credentials:
        looked.append(1)
        return Credentials(emulator.access_key, "not the secret")

    path = staged(tmp_path, table(10))
    line = line_for(job, Keys(resolve))
    with pytest.raises(CredentialsError):
        send_file(job, path, STORAGE, line=line)
    assert len(looked) == 3


def test_sending_again_changes_nothing(emulator: Emulator, job: SendJob, tmp_path: Path) -> None:
    """A repetition of all records, as a lost worker causes it, applies none of them again."""
    path = staged(tmp_path, table(ROWS))
    send(emulator, job, path)
    send(emulator, replace(job, results=str(tmp_path / "other")), path)
    assert len(emulator.journal()) == 2 * ROWS
    assert applied(emulator) == Counter(f"k{n}" for n in range(ROWS))


WORKER = """
import pickle, sys
from penstock.online import send_file
from penstock.storage import LocalStorage
job, path = pickle.loads(sys.stdin.buffer.read())
print(send_file(job, path, LocalStorage()).figures.accepted)
"""


def test_a_worker_finds_credentials_by_itself(
    emulator: Emulator, job: SendJob, tmp_path: Path
) -> None:
    """The job holds no secret; another process finds credentials, and needs no pyspark."""
    import pickle

    path = staged(tmp_path, table(200))
    sent = pickle.dumps((job, path))
    assert emulator.secret_key.encode() not in sent
    check = "import sys; assert not {'pyspark', 'delta'} & set(sys.modules)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-c", WORKER + check],
        input=sent,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
        env=environment,
    )
    assert json.loads(done.stdout) == 200
    assert len(applied(emulator)) == 200


def controlled(data: pa.Table, **controls: list[Any]) -> pa.Table:
    """A send file's control columns, ``deleted`` for ``_deleted`` and so on."""
    for name, values in controls.items():
        kind = pa.int64() if name == "ttl_s" else pa.bool_()
        data = data.append_column(f"_{name}", pa.array(values, kind))
    return data


@pytest.mark.parametrize("deletion", ["SoftDelete", "HardDelete"])
def test_deletions_and_corrections_reach_the_store(
    emulator: Emulator, aws: Aws, job: SendJob, tmp_path: Path, deletion: Any
) -> None:
    """Old records, then a file that deletes, corrects and adds; what came too late is skipped.

    k0..k9 are deleted, of them k8 and k9 with an old event time; k10..k19 are corrected at their
    own event time, of them k18 is gone and k19 newer online; k20..k29 are new.
    """
    names = [f"k{n}" for n in range(30)]
    old, new, newest = (f"2024-05-0{day}T00:00:00Z" for day in (1, 2, 3))
    first = table(20, at=[newest if n in (8, 9, 19) else old for n in range(20)])
    first = first.filter(pc.not_equal(first.column("id"), "k18"))
    send(emulator, replace(job, results=str(tmp_path / "first")), staged(tmp_path, first))
    data = controlled(
        table(
            30,
            id=[f"k{n}" for n in range(30)],
            at=[new if n < 8 or n >= 20 else old for n in range(30)],
            kind=[None] * 10 + ["robin"] * 20,
            length=[None] * 10 + [1.5] * 20,
            legs=[None] * 30,
        ),
        deleted=[n < 10 for n in range(30)],
        correct=[10 <= n < 20 for n in range(30)],
    )
    (tmp_path / "second").mkdir()
    path = staged(tmp_path / "second", data)
    outcome = send(emulator, replace(job, deletion=deletion), path)
    figures = fold(STORAGE, job.results, {path: 30}, job.chunk_rows).figures
    assert figures == outcome.figures
    stale = 2 if deletion == "HardDelete" else 0
    assert (figures.sent, figures.accepted, figures.skipped) == (30, 28 - stale, 2 + stale)
    assert (figures.rejected, figures.repeated) == (0, 0)
    there = {name: aws.get(name, "birds") for name in names}
    assert [name for name, record in there.items() if record is None] == [
        *(f"k{n}" for n in range(8)),
        "k18",
    ]
    for name in names[10:18]:
        record = {"id": name, "at": old, "kind": "robin", "length": "1.5", "legs": "2"}
        assert there[name] == record
    kept = there["k19"]
    assert kept is not None
    assert (kept["at"], kept["kind"]) == (newest, "wren")


def test_records_have_their_own_time_to_live(
    emulator: Emulator, aws: Aws, job: SendJob, tmp_path: Path
) -> None:
    """One expired already, one that will in a long time, one without: singly and in a batch."""
    for api in ("batch", "put"):
        names = [f"{api}{n}" for n in range(3)]
        data = controlled(table(3, id=names), ttl_s=[60, 2**31 - 1, None])
        (tmp_path / api).mkdir()
        sent = replace(job, api=api, results=str(tmp_path / api / "results"))
        outcome = send(emulator, sent, staged(tmp_path / api, data))
        assert outcome.figures.accepted == 3
        assert [aws.get(name, "birds") is not None for name in names] == [False, True, True]
