"""Flights through Kinesis: both stores equal the batch, whatever the stream's shards go through.

moto plays Kinesis, behind a proxy of ours that throttles and lets iterators expire.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from penstock.config import Settings
from penstock.emulator.server import Emulator
from penstock.run.quarantined import Choice
from penstock.run.replay import replay
from penstock.session import spark_line
from penstock.streaming.query import Asked, Ended, run_stream
from penstock.streaming.reentry import EventReentry
from schemas.flight_status import PIPELINE
from tests.flights import path
from tests.kinesis_proxy import CORRECTED, Proxy, proxied
from tests.lab import Lab
from tests.service.moto import served
from tests.streams import flights

pytestmark = pytest.mark.skipif(
    spark_line() == "3.5", reason="Spark 3.5 has no Python data sources"
)
PUT = 500  # records of a request, at most
Row = dict[str, Any]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Address of a moto whose Kinesis keeps to AWS's documents."""
    with served(CORRECTED) as url:
        yield url


@pytest.fixture
def proxy(moto: str) -> Iterator[Proxy]:
    """The address penstock is given."""
    with proxied(moto) as found:
        yield found


@dataclass(frozen=True)
class Fed:
    """``flight_status``, fed by a Kinesis stream of two shards."""

    lab: Lab
    stream: str
    url: str
    client: Any
    max_rows: int

    def put(self, rows: list[Row]) -> None:
        """Flights, by the aircraft."""
        for n in range(0, len(rows), PUT):
            records = [
                {"Data": json.dumps(row).encode(), "PartitionKey": str(row["tailnum"])}
                for row in rows[n : n + PUT]
            ]
            told = self.client.put_records(StreamName=self.stream, Records=records)
            assert told["FailedRecordCount"] == 0

    @property
    def settings(self) -> Settings:
        """What ``conf`` would say."""
        kinesis = {"stream": self.stream, "endpoint_url": self.url, "max_rows": self.max_rows}
        found = self.lab.settings({"airports": path("airports.csv")})
        stream = {"kinesis": kinesis, "source": "flights", "offline_lag_s": 1.0}
        plain = {**found.model_dump(by_alias=True), "streams": {"flight_status": stream}}
        return Settings.model_validate(plain)

    def run(self) -> Ended:
        """All that is there now."""
        settings = self.settings
        self.lab.provision(PIPELINE.group, settings)
        return run_stream(self.lab.context(settings), PIPELINE, Asked(available_now=True))


def fed(lab: Lab, proxy: Proxy, stream: str, max_rows: int) -> Fed:
    """A stream that is there."""
    factory: Callable[..., Any] = boto3.client
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client = factory("kinesis", region_name="us-east-1", endpoint_url=proxy.url, **keys)
    client.create_stream(StreamName=stream, ShardCount=2)
    return Fed(lab, stream, proxy.url, client, max_rows)


@pytest.mark.prove
@pytest.mark.shows("7.1")
def test_flights_through_kinesis_equal_the_batch(lab: Lab, proxy: Proxy, tmp_path: Path) -> None:
    """In two runs; between them a shard is split, iterators expire and calls are throttled."""
    _check(lab, proxy, tmp_path, "few", 1_200, 400)


@pytest.mark.prove
@pytest.mark.shows("7.1")
def test_30000_flights_through_kinesis_equal_the_batch(
    lab: Lab, proxy: Proxy, tmp_path: Path
) -> None:
    """The same with thirty thousand."""
    _check(lab, proxy, tmp_path, "many", 30_000, 5_000)


def _check(lab: Lab, proxy: Proxy, folder: Path, stream: str, count: int, max_rows: int) -> None:
    rows, group = flights(count), PIPELINE.group
    bad = [{**rows[n], "flight": f"{9_000 + n}", "distance": "far"} for n in range(5)]
    file = folder / "flights.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with Emulator(data=folder / "batch-aws", region="us-east-1") as emulator:
        batch = replace(lab, emulator=emulator, root=folder / "batch")
        sources = {"flights": {"format": "json", "path": str(file)}}
        batch.ingest(PIPELINE, {**sources, "airports": path("airports.csv")})
        identifiers = batch.online_identifiers(group)
        some = identifiers[:: max(1, len(identifiers) // 50)]
        online = batch.online(group, *some)
    source = fed(lab, proxy, stream, max_rows)
    source.put([*rows[: count // 2], *bad])
    first = source.run()
    shards = source.client.list_shards(StreamName=stream)["Shards"]
    hashes = shards[0]["HashKeyRange"]
    middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2
    source.client.split_shard(
        StreamName=stream, ShardToSplit=shards[0]["ShardId"], NewStartingHashKey=str(middle)
    )
    proxy.expire()
    proxy.throttle(3)
    source.put(rows[count // 2 :])
    second = source.run()
    assert first.figures["events"] + second.figures["events"] == count + len(bad)
    assert lab.features(group) == batch.features(group)
    assert lab.online_identifiers(group) == identifiers
    assert lab.online(group, *some) == online
    _replayed(source, len(bad))


def _replayed(source: Fed, bad: int) -> None:
    """Rows put aside name shard and sequence number, and come back under a mended contract."""
    lab, group = source.lab, PIPELINE.group
    entries = lab.quarantine()
    assert len({one["file"] for one in entries}) == len(entries) == bad
    place = rf"kinesis:{source.stream}/shardId-\d{{12}}/\d+"
    assert all(re.fullmatch(place, one["file"]) and one["position"] is None for one in entries)
    declared = PIPELINE.sources["flights"]
    texts = (*declared.null_texts, "far")
    mended = replace(
        PIPELINE, sources={**PIPELINE.sources, "flights": replace(declared, null_texts=texts)}
    )
    context, before = lab.context(source.settings), len(lab.offline(group))
    done = replay(
        context, mended, Choice(group.name), by="ann", reentry=EventReentry(context, mended)
    )
    assert dict(done.outcomes) == {"accepted": bad}
    rows = lab.offline(group)
    assert len(rows) == before + bad
    back = [row["flight_id"] for row in rows if row["flight_number"] >= 9_000]
    assert len(back) == bad
    assert all(lab.online(group, *back).values())
