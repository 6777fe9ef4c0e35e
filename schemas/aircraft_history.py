"""What an aircraft did in the last 1, 7 and 28 days, as known at the end of a UTC day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType, Pipeline
from schemas.rules import between, matches
from schemas.sources import AIRPORTS, FLIGHTS
from transforms.aircraft_history import SPANS, aircraft_history

_USED = (
    "tailnum",
    "dest",
    "time_hour",
    "minute",
    "dep_delay",
    "arr_time",
    "arr_delay",
    "distance",
)


def _span(days: int) -> tuple[Feature, ...]:
    last = f"in the last {days} UTC days" if days > 1 else "on this UTC day"
    whole, fractional = FeatureType.INTEGRAL, FeatureType.FRACTIONAL
    flights, distance, late = f"flights_{days}d", f"distance_{days}d", f"late_{days}d"
    mean, worst = f"arrival_delay_mean_{days}d", f"arrival_delay_max_{days}d"
    return (
        Feature(flights, whole, f"Arrivals {last}.", (between(flights, 1, 48 * days),)),
        Feature(distance, whole, f"Miles flown {last}.", (between(distance, 1),)),
        Feature(late, whole, f"Arrivals 15 minutes late or more {last}.", (between(late, 0),)),
        Feature(mean, fractional, f"Mean arrival delay {last}, minutes."),
        Feature(
            worst,
            whole,
            f"Greatest arrival delay {last}, minutes.",
            (between(worst, -180, 2_880, on_fail="warn"),),
        ),
    )


GROUP = FeatureGroup(
    name="aircraft_history",
    description="Rolling figures of an aircraft's arrivals.",
    record_identifier="tailnum",
    event_time="day_end",
    features=(
        Feature(
            "tailnum",
            FeatureType.STRING,
            "Registration of the aircraft.",
            (matches("tailnum", r"^[A-Z0-9]{2,6}$"),),
        ),
        Feature("day_end", FeatureType.STRING, "Last second of the UTC day."),
        *[feature for days in SPANS for feature in _span(days)],
    ),
    expectations=(
        Expectation(
            "expect_compound_columns_to_be_unique",
            None,
            {"column_list": ["tailnum", "day_end"]},
            on_fail="fail",
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
            # 28 days, and the longest a real flight ran from scheduled hour to arrival: 33 hours.
            lookback=timedelta(days=30),
        ),
        "airports": AIRPORTS,
    },
    transform=aircraft_history,
    window="month",
)
