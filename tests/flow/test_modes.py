"""Which stores a group has and who writes the offline one: what reaches which, what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from penstock import aws
from penstock.contract import Column, ColumnType, Pipeline, Source
from penstock.difference import create_request
from penstock.emulator.buckets import folder
from penstock.emulator.server import Emulator
from penstock.errors import ContractError, UsageError
from penstock.ledger.window import Window
from penstock.run.ingest import ingest_pipeline
from tests.lab import Lab
from tests.readings import COLUMNS, LEVELS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GROUP = replace(LEVELS, deleted_when="gone")
SOURCE = Source((*COLUMNS, Column("gone", ColumnType.BOOLEAN)))
PIPELINE = Pipeline(GROUP, {"readings": SOURCE})
TEXT = """sensor,at,level,gone
a,2024-01-01T00:00:00Z,1,
a,2024-01-02T00:00:00Z,2,
b,2024-01-01T00:00:00Z,3,
b,2024-01-01T00:00:00Z,4,
c,2024-01-01T00:00:00Z,5,
c,2024-01-02T00:00:00Z,,true
"""
ROLE = "arn:aws:iam::000000000000:role/feature-store"
SERVICE = {"owner": "service", "s3_uri": "s3://bucket/offline", "role_arn": ROLE}
ONLINE = {
    "a": {"sensor": "a", "at": "2024-01-02T00:00:00Z", "level": "2"},
    "b": {"sensor": "b", "at": "2024-01-01T00:00:00Z", "level": "4"},
    "c": None,
}


@pytest.fixture
def kept(spark: SparkSession, tmp_path: Path) -> Iterator[Lab]:
    """A laboratory whose embedded AWS keeps a journal of what was written."""
    with Emulator(
        data=tmp_path / "aws", region="us-east-1", journal=True, replication_delay=0
    ) as emulator:
        yield Lab(spark, emulator, tmp_path)


@pytest.mark.shows("4.3")
def test_the_service_gets_every_row_and_penstock_writes_no_table(kept: Lab) -> None:
    """Latest rows go to both stores, the others offline only, the loser of a tie before it."""
    done = _ingest(kept, SERVICE)
    found = done.figures
    assert (found.valid, found.candidates, found.sent, found.accepted) == (6, 6, 6, 6)
    assert (found.offline, found.present) == (0, 0)
    assert kept.online(GROUP, *"abc") == ONLINE
    journal = [(one.identifier, one.event_time[:10], one.stores) for one in kept.emulator.journal()]
    both, offline = _stores(kept)
    assert journal[0] == ("b", "2024-01-01", offline)
    assert sorted(journal) == [
        ("a", "2024-01-01", offline),
        ("a", "2024-01-02", both),
        *sorted([("b", "2024-01-01", offline), ("b", "2024-01-01", both)]),
        ("c", "2024-01-01", offline),
        ("c", "2024-01-02", both),
    ]
    assert not (kept.root / "lake" / "offline").exists()
    assert _ingest(kept, SERVICE).state == "unchanged"
    with pytest.raises(UsageError, match="offline store of its own") as caught:
        kept.ingest(PIPELINE, {}, **_flags({}))
    assert "groups.readings.owner: service" in str(caught.value)


@pytest.mark.shows("6.5")
def test_what_the_service_writes_offline_are_the_valid_rows(kept: Lab) -> None:
    """All versions, the loser of a tie too, and the deletion: read off the files of its store."""
    valid = _ingest(kept, SERVICE).figures.valid
    described = aws.client(kept.endpoint, "sagemaker").describe_feature_group(
        FeatureGroupName=GROUP.name
    )
    place = described["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
    where, until = folder(kept.root / "aws", place), time.monotonic() + 20
    rows: list[dict[str, Any]] = []
    while len(rows) < valid and time.monotonic() < until:
        time.sleep(0.1)
        files = list(where.rglob("*.parquet"))
        rows = [row for one in files for row in pq.read_table(one).to_pylist()]
    found = [(one["sensor"], one["at"][:10], one["level"], one["is_deleted"]) for one in rows]
    assert sorted(found, key=str) == [
        ("a", "2024-01-01", 1, False),
        ("a", "2024-01-02", 2, False),
        ("b", "2024-01-01", 3, False),
        ("b", "2024-01-01", 4, False),
        ("c", "2024-01-01", 5, False),
        ("c", "2024-01-02", None, True),
    ]
    tied = sorted(
        (row["api_invocation_time"], row["level"]) for row in rows if row["sensor"] == "b"
    )
    assert [level for _, level in tied] == [3, 4]


def test_an_online_group_has_no_table(lab: Lab) -> None:
    """The latest rows are sent; nothing is written offline and nothing is registered."""
    done = _ingest(lab, {"stores": "online"})
    assert (done.figures.sent, done.figures.offline, done.figures.valid) == (3, 0, 6)
    assert lab.online(GROUP, *"abc") == ONLINE
    assert not (lab.root / "lake" / "offline").exists()
    glue = aws.client(lab.endpoint, "glue")
    assert not glue.get_databases()["DatabaseList"]
    # Once the group gets an offline store, the same command fills it.
    again = _ingest(lab, {"stores": "both"})
    assert (again.state, again.figures.offline) == ("done", 6)


def test_an_offline_group_is_unknown_to_the_service(lab: Lab) -> None:
    """All rows are in the table, deletions too; there is no feature group and nothing is sent."""
    done = _ingest(lab, {"stores": "offline"})
    assert (done.figures.candidates, done.figures.sent, done.figures.offline) == (0, 0, 6)
    rows = [(row["sensor"], row["level"], row["is_deleted"]) for row in lab.offline(GROUP)]
    assert rows == [
        *(("a", n, False) for n in (1, 2)),
        *(("b", n, False) for n in (3, 4)),
        ("c", 5, False),
        ("c", None, True),
    ]
    assert lab.table(GROUP)["Name"] == "readings"
    sagemaker = aws.client(lab.endpoint, "sagemaker")
    assert not sagemaker.list_feature_groups()["FeatureGroupSummaries"]
    assert _ingest(lab, {"stores": "offline"}).state == "unchanged"


@pytest.mark.shows("6.5")
def test_a_feed_is_never_ended_in_silence(lab: Lab) -> None:
    """A group with an offline store of its own is written directly only if somebody says so."""
    sagemaker = aws.client(lab.endpoint, "sagemaker")
    sagemaker.create_feature_group(**create_request(GROUP, lab.settings(**_flags(SERVICE))))
    settings = lab.settings({"readings": _file(lab)}, **_flags({}))
    with pytest.raises(ContractError, match="would get no rows any more"):
        lab.provision(GROUP, settings)
    with pytest.raises(UsageError, match="would get no rows any more") as caught:
        ingest_pipeline(lab.context(settings), PIPELINE, Window())
    assert caught.value.exit_code == 2
    assert "detach_offline: true" in caught.value.remedy
    done = _ingest(lab, {"detach_offline": True})
    assert (done.figures.sent, done.figures.offline) == (3, 6)


@pytest.mark.parametrize(
    ("place", "asked", "said"),
    [
        (SERVICE, {"online": "never"}, "nothing is written but what is sent"),
        (SERVICE, {"correct": "update"}, "no two stores"),
        ({"stores": "online"}, {"correct": "update"}, "no two stores"),
        ({"stores": "offline"}, {"correct": "update"}, "no two stores"),
        ({}, {"online": "never", "correct": "update"}, "no two stores"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    lab: Lab, place: dict[str, Any], asked: Any, said: str
) -> None:
    """Exit 2, and no ledger is begun."""
    context = lab.context(lab.settings({"readings": _file(lab)}, **_flags(place)))
    with pytest.raises(UsageError, match=said):
        ingest_pipeline(context, PIPELINE, Window(), **asked)
    assert not (lab.root / "state" / "ledger").exists()


def _ingest(lab: Lab, place: dict[str, Any]) -> Any:
    return lab.ingest(PIPELINE, {"readings": _file(lab)}, **_flags(place))


def _flags(place: dict[str, Any]) -> dict[str, Any]:
    return {"groups__readings": place}


def _stores(lab: Lab) -> tuple[str, str]:
    """How the journal writes both stores, and the offline store."""
    both = next(one.stores for one in lab.emulator.journal() if "Online" in one.stores)
    return both, "OfflineStore"


def _file(lab: Lab) -> Path:
    file = lab.root / "readings.csv"
    if not file.exists():
        file.write_text(TEXT, encoding="utf-8")
    return file
