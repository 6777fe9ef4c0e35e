"""Deletions and times to live, in both stores, and old values that must not come back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock import aws, lake, query
from penstock.contract import Column, ColumnType, Pipeline, Source
from penstock.emulator.faults import Rule, denied
from penstock.errors import CredentialsError
from penstock.ledger.window import window
from penstock.offline.delta import DeltaLog
from penstock.run.places import offline_path
from penstock.run.status import statuses
from penstock.storage import LocalStorage
from tests.lab import Lab
from tests.readings import COLUMNS, LEVELS

GROUP = replace(LEVELS, deleted_when="gone", ttl_from="keep_s")
CONTROLS = (Column("gone", ColumnType.BOOLEAN), Column("keep_s", ColumnType.LONG))
PIPELINE = Pipeline(GROUP, {"readings": Source((*COLUMNS, *CONTROLS), time="at")})
HEAD = "sensor,at,level,gone,keep_s\n"
DAY = "2024-01-0{}T00:00:00Z".format
#: Until 2092.
LONG = 2**31 - 1


def test_a_deletion_is_one_in_both_stores(lab: Lab) -> None:
    """Deleted, deleted and back, deleted only, alive: online and the four queries agree.

    The run's figures stand in its ledger, and second by second in its metrics file.
    """
    text = f"""a,{DAY(1)},1,,
a,{DAY(2)},5,true,
b,{DAY(1)},1,,
b,{DAY(2)},,true,
b,{DAY(3)},3,false,{LONG}
c,{DAY(1)},,true,
d,{DAY(1)},1,,
d,{DAY(1)},2,true,
e,{DAY(1)},1,,
"""
    done = lab.ingest(PIPELINE, {"readings": _file(lab, text)})
    found = done.figures
    assert (found.valid, found.identifiers, found.sent, found.accepted) == (9, 5, 5, 5)
    assert (found.skipped, found.older, found.expired, found.offline) == (0, 0, 0, 9)
    b, e = {"sensor": "b", "at": DAY(3), "level": 3}, {"sensor": "e", "at": DAY(1), "level": 1}
    assert _online(lab, "abcde") == {"a": None, "b": b, "c": None, "d": None, "e": e}
    assert lab.online_identifiers(GROUP) == ["b", "e"]
    assert _remembered(lab) == [*"abcde"]
    assert _expiry(lab, "b") == "2092-01-21T03:14:07Z"
    assert _expiry(lab, "e") is None
    deleted = [(row["sensor"], row["at"], row["level"]) for row in _deleted(lab)]
    assert deleted == [(*one, None) for one in zip("abcd", map(DAY, (2, 2, 1, 1)), strict=True)]
    assert _ask(lab, "live") == {"b": b, "e": e}
    assert _ask(lab, "as-of", DAY(1)) == {
        one: {"sensor": one, "at": DAY(1), "level": 1} for one in "abe"
    }
    latest = _ask(lab, "latest")
    assert {one: row["is_deleted"] for one, row in latest.items()} == {
        **dict.fromkeys("acd", True),
        **dict.fromkeys("be", False),
    }
    assert len(_rows(lab, "explore")) == found.valid
    path = offline_path(lab.settings(), GROUP.name)
    assert sorted(lake.current_rows(DeltaLog(path, LocalStorage()), GROUP, [*"abcde"])) == [
        "b",
        "e",
    ]
    _check_metrics(lab, found.plain())


@pytest.mark.prove
@pytest.mark.shows("4.3")
@pytest.mark.shows("5.6")
def test_t29_what_the_online_store_forgot_does_not_come_back(lab: Lab) -> None:
    """A window is interrupted; a later one deletes its record for good; then it is finished.

    The selection of the interrupted run knew nothing of the deletion, so it is made anew. What
    expired before it was sent is offline only; figures name both.
    """
    flags: dict[str, Any] = {"online__deletion": "hard", "online__api": "put"}
    first, second, third = (window(f"2024-01-0{n}", f"2024-01-0{n + 1}") for n in (1, 2, 3))
    text = f"""x,{DAY(1)},1,,
y,{DAY(1)},1,,{LONG}
z,{DAY(1)},1,,60
w,{DAY(2)},1,,
x,{DAY(3)},,true,
"""
    sources = {"readings": _file(lab, text)}
    lab.ingest(PIPELINE, sources, second, **flags)
    lab.emulator.faults.add(Rule(denied(), operation="PutRecord"))
    with pytest.raises(CredentialsError):
        lab.ingest(PIPELINE, sources, first, **flags)
    lab.emulator.faults.clear()
    last = lab.ingest(PIPELINE, sources, third, **flags)
    assert last.figures.accepted == 1
    done = lab.ingest(PIPELINE, sources, first, **flags)
    found = done.figures
    assert done.state == "resumed"
    assert (found.candidates, found.sent, found.older, found.expired) == (3, 1, 1, 1)
    assert lab.online_identifiers(GROUP) == ["w", "y"]
    assert _remembered(lab) == ["w", "y"]  # deleted for good: not even the time of it is left
    assert [(row["sensor"], row["at"], row["is_deleted"]) for row in lab.offline(GROUP)] == [
        ("w", DAY(2), False),
        ("x", DAY(1), False),
        ("x", DAY(3), True),
        ("y", DAY(1), False),
        ("z", DAY(1), False),
    ]
    assert sorted(_ask(lab, "live")) == ["w", "y", "z"]  # z: a deletion by time is not written


def _check_metrics(lab: Lab, figures: dict[str, Any]) -> None:
    (file,) = (lab.root / "state" / "metrics").iterdir()
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    last = lines[-1]
    assert (last["end"], last["group"], last["window"]) == (True, "readings", "all")
    assert last["run"] == file.stem
    names = {"candidates", "sent", "accepted", "skipped", "older", "expired", "rejected", "by_code"}
    names |= {"repeated", "throttled", "ambiguous", "calls", "p50_ms", "p99_ms", "in_flight"}
    assert {name: last[name] for name in names} == {name: figures[name] for name in names}
    assert last["calls"] >= 1
    assert 0 < last["p50_ms"] <= last["p99_ms"]
    assert last["in_flight"] >= 1
    assert last["rate"] > 0
    (status,) = statuses(lab.settings(), [GROUP.name])
    plain = status.plain()["data"]["figures"]
    assert {name: plain[name] for name in names} == {name: figures[name] for name in names}
    assert "5 accepted" in str(status.summary)


def _file(lab: Lab, text: str) -> Path:
    file = lab.root / "readings.csv"
    file.write_text(HEAD + text, encoding="utf-8")
    return file


def _online(lab: Lab, identifiers: str) -> dict[str, dict[str, Any] | None]:
    found = lab.online(GROUP, *identifiers)
    return {
        one: record and {**record, "level": int(record["level"])} for one, record in found.items()
    }


def _remembered(lab: Lab) -> list[str]:
    """Identifiers the online store knows, softly deleted ones too."""
    runtime = aws.client(lab.endpoint, "sagemaker-featurestore-runtime")
    found = runtime.list_records(FeatureGroupName=GROUP.name, IncludeSoftDeletedRecords=True)
    return sorted(found["RecordIdentifiers"])


def _expiry(lab: Lab, identifier: str) -> Any:
    runtime = aws.client(lab.endpoint, "sagemaker-featurestore-runtime")
    answer = runtime.get_record(
        FeatureGroupName=GROUP.name,
        RecordIdentifierValueAsString=identifier,
        ExpirationTimeResponse="Enabled",
    )
    return answer.get("ExpiresAt")


def _deleted(lab: Lab) -> list[dict[str, Any]]:
    return [row for row in lab.offline(GROUP) if row["is_deleted"]]


def _rows(lab: Lab, kind: query.Kind, moment: str | None = None) -> list[dict[str, Any]]:
    path = offline_path(lab.settings(), GROUP.name)
    return [
        one.asDict() for one in query.run(lab.spark, kind, GROUP, path, moment=moment).collect()
    ]


def _ask(lab: Lab, kind: query.Kind, moment: str | None = None) -> dict[str, dict[str, Any]]:
    return {row["sensor"]: row for row in _rows(lab, kind, moment)}
