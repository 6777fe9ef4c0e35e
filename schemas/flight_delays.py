"""Will a flight be late? One row a flight, with what was known when it was to leave."""

from __future__ import annotations

from datetime import timedelta

from penstock.dataset import Dataset, Lookup, TimeSplit
from transforms.flight_delays import labels, new_features

DATASET = Dataset(
    name="flight_delays",
    description="Flights with a known arrival delay, and what was known when they were to leave.",
    base="flight_status",
    time="scheduled_departure",
    labels=labels,
    lookups=(
        Lookup("aircraft_history", on="tailnum", max_age=timedelta(days=28)),
        Lookup("airport_weather", on="origin", max_age=timedelta(hours=3)),
    ),
    transform=new_features,
    split=TimeSplit({"train": "2013-09-01T00:00:00Z", "validation": "2013-11-01T00:00:00Z"}),
)
