"""Arrivals on a route in an hour: fed by a stream, and the same as a batch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from penstock.contract import Feature, FeatureGroup, FeatureType, Pipeline
from schemas.rules import between, matches
from schemas.sources import AIRPORTS, FLIGHTS
from transforms.route_traffic import route_traffic

_USED = ("origin", "dest", "time_hour", "minute", "dep_delay", "arr_time", "arr_delay")
_TEXT, _WHOLE = FeatureType.STRING, FeatureType.INTEGRAL

GROUP = FeatureGroup(
    name="route_traffic",
    description="Arrivals on a route in an hour, with each update strictly newer.",
    record_identifier="route",
    event_time="event_time",
    fraction_digits=9,
    features=(
        Feature(
            "route",
            _TEXT,
            "Airports it leaves and flies to.",
            (matches("route", r"^[A-Z0-9]{3}-[A-Z0-9]{3}$"),),
        ),
        Feature("event_time", _TEXT, "Newest arrival of the hour, and a millisecond for each."),
        Feature("window_start", _TEXT, "Start of the hour, UTC, ISO 8601."),
        Feature("flights", _WHOLE, "Arrivals.", (between("flights", 1, 1_000),)),
        Feature("late", _WHOLE, "Of these, 15 minutes late or more.", (between("late", 0),)),
        Feature("arrival_delay_mean", FeatureType.FRACTIONAL, "Mean arrival delay, minutes."),
        Feature(
            "arrival_delay_max",
            _WHOLE,
            "Greatest arrival delay, minutes.",
            (between("arrival_delay_max", -180, 2_880, on_fail="warn"),),
        ),
    ),
    tags=("daily", "flights"),
)

PIPELINE = Pipeline(
    group=GROUP,
    sources={
        "flights": replace(
            FLIGHTS,
            columns=tuple(FLIGHTS.column(name) for name in _USED),
            expectations=tuple(one for one in FLIGHTS.expectations if one.column in _USED),
            time="time_hour",
            # The longest a real flight ran from its scheduled hour to its arrival is 33 hours.
            lookback=timedelta(days=2),
        ),
        "airports": AIRPORTS,
    },
    transform=route_traffic,
    window="day",
)
