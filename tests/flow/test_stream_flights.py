"""All 336,776 flights through Kafka: both stores equal what a batch of the same file brings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TID253 - the independent computation
import pytest
from deltalake import DeltaTable

from penstock import aws
from penstock.contract import FeatureGroup, Pipeline
from penstock.emulator.server import Emulator
from schemas.flight_status import PIPELINE as FLIGHT_STATUS
from schemas.route_traffic import PIPELINE as ROUTE_TRAFFIC
from tests import flights
from tests.kafka import Broker, started
from tests.lab import Lab
from tests.streams import Event, Fed, send

pytestmark = [
    pytest.mark.prove,
    pytest.mark.shows("7.1"),
]
COUNT = 336_776
PAGE = 100  # records of a BatchGetRecord
Record = dict[str, str]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker; each test has a topic of its own."""
    with started(tmp_path_factory.mktemp("kafka") / "broker") as found:
        yield found


@pytest.fixture
def batch(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A second laboratory, for what a batch gives."""
    with Emulator(data=tmp_path / "batch-aws", region="us-east-1") as emulator:
        yield replace(lab, emulator=emulator, root=tmp_path / "batch")


def events(found: pd.DataFrame) -> Iterator[Event]:
    """Each row as an event, its key the number of the flight."""
    names = list(found.columns)
    for row in found.itertuples(index=False, name=None):
        told = dict(zip(names, row, strict=True))
        yield (str(told["flight"]), json.dumps(told).encode(), None)


def ingested(batch: Lab, pipeline: Pipeline) -> None:
    """The file, as a batch."""
    files = {name: flights.path(f"{name}.csv") for name in pipeline.sources if name != "flights"}
    batch.ingest(pipeline, {**files, "flights": flights.path("flights.csv.zip")})


def fed(lab: Lab, pipeline: Pipeline, broker: Broker, topic: str, partitions: int) -> Fed:
    """The pipeline, its topic made."""
    broker.create_topic(topic, partitions=partitions)
    airports = {"airports": flights.path("airports.csv")}
    return Fed(lab, pipeline, broker, topic, airports, {"source": "flights"})


def offline(lab: Lab, group: FeatureGroup) -> pd.DataFrame:
    """All rows, without what a run adds, in the order of their features."""
    table = DeltaTable(f"{lab.root}/lake/offline/{group.name}").to_pyarrow_table(
        columns=list(group.names)
    )
    found: pd.DataFrame = table.to_pandas()
    return found.sort_values(list(group.names), ignore_index=True)


def online(lab: Lab, group: FeatureGroup, identifiers: Sequence[str]) -> dict[str, Record]:
    """Records, by many at a time."""
    runtime = aws.client(lab.endpoint, "sagemaker-featurestore-runtime")
    found: dict[str, Record] = {}
    for n in range(0, len(identifiers), PAGE):
        some = identifiers[n : n + PAGE]
        asked: list[Any] = [
            {"FeatureGroupName": group.name, "RecordIdentifiersValueAsString": some}
        ]
        answer = runtime.batch_get_record(Identifiers=asked)
        assert not answer["Errors"]
        for one in answer["Records"]:
            record = {each["FeatureName"]: each["ValueAsString"] for each in one["Record"]}
            found[one["RecordIdentifierValueAsString"]] = record
    return found


def test_all_flights_equal_the_batch(
    lab: Lab, batch: Lab, broker: Broker, record_property: Any
) -> None:
    """``flight_status``: every offline row, every identifier online and every third record."""
    group = FLIGHT_STATUS.group
    ingested(batch, FLIGHT_STATUS)
    stream = fed(lab, FLIGHT_STATUS, broker, "all", 3)
    send(broker, "all", events(flights.flights()))
    ended = stream.run()
    record_property("figures", json.dumps(dict(ended.figures)))
    figures = ended.figures
    assert (figures["events"], figures["put_aside"], figures["offline"]) == (COUNT, 0, COUNT)
    pd.testing.assert_frame_equal(offline(lab, group), offline(batch, group))
    identifiers = batch.online_identifiers(group)
    assert len(identifiers) == COUNT
    assert lab.online_identifiers(group) == identifiers
    some = identifiers[::3]
    assert online(lab, group, some) == online(batch, group, some)


def test_the_last_rows_of_all_hours_equal_the_batch(
    lab: Lab, batch: Lab, broker: Broker, record_property: Any
) -> None:
    """``route_traffic``, in the order of departures: no event is late, each update is newer."""
    group = ROUTE_TRAFFIC.group
    ingested(batch, ROUTE_TRAFFIC)
    stream = fed(lab, ROUTE_TRAFFIC, broker, "hours", 1)
    in_order = flights.flights()
    told = in_order.assign(minutes=in_order["minute"].astype(int))
    in_order = told.sort_values(["time_hour", "minutes"], kind="stable").drop(columns="minutes")
    send(broker, "hours", events(in_order))
    ended = stream.run()
    record_property("figures", json.dumps(dict(ended.figures)))
    figures = ended.figures
    assert (figures["events"], figures["put_aside"], figures["late"]) == (COUNT, 0, 0)
    found, wanted = offline(lab, group), offline(batch, group)
    hour = ["route", "window_start"]
    assert not found.duplicated([*hour, "event_time"]).any()
    assert len(found) > len(wanted)  # some hours came in more than one batch
    last = found.sort_values("event_time").drop_duplicates(hour, keep="last")
    last = last.sort_values(list(group.names), ignore_index=True)
    pd.testing.assert_frame_equal(last, wanted)
    identifiers = batch.online_identifiers(group)
    assert lab.online_identifiers(group) == identifiers
    assert online(lab, group, identifiers) == online(batch, group, identifiers)
