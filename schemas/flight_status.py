"""What became of each flight: one record per flight scheduled out of New York City in 2013."""

from __future__ import annotations

from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType, Pipeline
from schemas.rules import between, matches, one_of
from schemas.sources import AIRPORTS, FLIGHTS
from transforms.flight_status import flight_status

_TEXT, _WHOLE = FeatureType.STRING, FeatureType.INTEGRAL

GROUP = FeatureGroup(
    name="flight_status",
    description="Outcome of each flight, stamped when it became known.",
    record_identifier="flight_id",
    event_time="event_time",
    features=(
        Feature(
            "flight_id",
            _TEXT,
            "Carrier, flight number, origin and scheduled hour in UTC.",
            (matches("flight_id", r"^[A-Z0-9]{2}-[0-9]+-[A-Z]{3}-[0-9T:-]{19}Z$"),),
        ),
        Feature("event_time", _TEXT, "Arrival; where there is none, the scheduled departure."),
        Feature(
            "status",
            _TEXT,
            "landed, diverted, departed or cancelled.",
            (one_of("status", "landed", "diverted", "departed", "cancelled", on_fail="fail"),),
            listed=True,
        ),
        Feature("carrier", _TEXT, "Airline, two letters.", listed=True),
        Feature("flight_number", _WHOLE, "Flight number.", (between("flight_number", 1, 9_999),)),
        Feature("tailnum", _TEXT, "Registration of the aircraft."),
        Feature("origin", _TEXT, "Airport it leaves.", listed=True),
        Feature(
            "dest",
            _TEXT,
            "Airport it flies to.",
            (matches("dest", r"^[A-Z0-9]{3}$"),),
            listed=True,
        ),
        Feature("distance", _WHOLE, "Miles between the two.", (between("distance", 1, 12_000),)),
        Feature("scheduled_departure", _TEXT, "UTC, ISO 8601."),
        Feature("departure", _TEXT, "UTC, ISO 8601."),
        Feature("scheduled_arrival", _TEXT, "UTC, ISO 8601."),
        Feature("arrival", _TEXT, "UTC, ISO 8601."),
        Feature(
            "departure_delay",
            _WHOLE,
            "Minutes; negative is early.",
            (between("departure_delay", -180, 2_880),),
        ),
        Feature(
            "arrival_delay",
            _WHOLE,
            "Minutes; negative is early.",
            (between("arrival_delay", -180, 2_880),),
        ),
        Feature("air_time", _WHOLE, "Minutes in the air.", (between("air_time", 1, 1_440),)),
    ),
    expectations=(
        Expectation("expect_column_values_to_be_unique", "flight_id", {}, on_fail="warn"),
    ),
    tags=("daily", "flights"),
)

PIPELINE = Pipeline(
    group=GROUP, sources={"flights": FLIGHTS, "airports": AIRPORTS}, transform=flight_status
)
