"""One definition, run as a batch over days, as a backfill day by day, and as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.backfill.execution import execute
from penstock.backfill.plan import Range
from penstock.backfill.planning import planned
from penstock.emulator.server import Emulator
from penstock.ledger.window import window
from schemas.route_traffic import PIPELINE
from tests.flights import path
from tests.kafka import Broker, started
from tests.lab import Lab
from tests.streams import Fed, events_of, flights, send

FIRST, LAST = "2013-01-01", "2013-01-04"  # all that the flights below arrive in
FLIGHTS = 1_500
GROUP = PIPELINE.group
Row = dict[str, Any]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker."""
    with started(tmp_path / "broker") as found:
        yield found


@pytest.fixture
def labs(lab: Lab, tmp_path: Path) -> Iterator[tuple[Lab, Lab, Lab]]:
    """Three laboratories, each with an AWS of its own."""
    with ExitStack() as stack:
        found = [lab]
        for name in ("backfill", "stream"):
            data = tmp_path / f"{name}-aws"
            emulator = stack.enter_context(Emulator(data=data, region="us-east-1"))
            found.append(replace(lab, emulator=emulator, root=tmp_path / name))
        yield found[0], found[1], found[2]


def current(lab: Lab) -> dict[tuple[str, str], Row]:
    """Of each route and hour the row with the greatest event time."""
    found: dict[tuple[str, str], Row] = {}
    for row in lab.features(GROUP):
        hour = (row["route"], row["window_start"])
        if hour not in found or row["event_time"] > found[hour]["event_time"]:
            found[hour] = row
    return found


@pytest.mark.prove
@pytest.mark.shows("7.6")
def test_batch_backfill_and_stream_give_the_same(
    labs: tuple[Lab, Lab, Lab], broker: Broker, tmp_path: Path
) -> None:
    """The same current rows offline, of each hour and of each route, and the same online."""
    batch, backfill, stream = labs
    rows = flights(FLIGHTS)
    file = tmp_path / "flights.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    airports = {"airports": path("airports.csv")}
    sources = {"flights": {"format": "json", "path": str(file)}, **airports}
    batch.ingest(PIPELINE, sources, window(FIRST, LAST))
    context = backfill.context(backfill.settings(sources))
    backfill.provision(GROUP, context.settings)
    plan = planned(context, PIPELINE, Range(FIRST, LAST, "day"), count=False)
    ended = list(execute(context, PIPELINE, plan, 2))
    assert len(ended) == 3
    broker.create_topic("days", partitions=2)
    fed = Fed(
        stream,
        PIPELINE,
        broker,
        "days",
        airports,
        {"source": "flights", "kafka": {"max_rows": 500}},
    )
    send(broker, "days", events_of(rows, "flight"))
    assert fed.run().figures["events"] == FLIGHTS
    wanted = current(batch)
    assert len(wanted) > 500
    assert current(backfill) == wanted
    assert current(stream) == wanted
    identifiers = batch.online_identifiers(GROUP)
    online = batch.online(GROUP, *identifiers)
    for one in (backfill, stream):
        assert one.online_identifiers(GROUP) == identifiers
        assert one.online(GROUP, *identifiers) == online
