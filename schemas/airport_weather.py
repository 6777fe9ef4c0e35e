"""Hourly weather at EWR, JFK and LGA."""

from __future__ import annotations

from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType, Pipeline
from schemas.rules import between, matches
from schemas.sources import WEATHER
from transforms.airport_weather import airport_weather

_FRACTIONAL = FeatureType.FRACTIONAL

GROUP = FeatureGroup(
    name="airport_weather",
    description="Hourly weather observations at the airports of New York City.",
    record_identifier="origin",
    event_time="observed_at",
    features=(
        Feature(
            "origin",
            FeatureType.STRING,
            "Airport, three letters.",
            (matches("origin", r"^[A-Z]{3}$"),),
        ),
        Feature("observed_at", FeatureType.STRING, "Hour of the observation."),
        Feature("temp", _FRACTIONAL, "Temperature, °F.", (between("temp", -60, 140),)),
        Feature("dewp", _FRACTIONAL, "Dew point, °F.", (between("dewp", -60, 140),)),
        Feature("humid", _FRACTIONAL, "Relative humidity, %.", (between("humid", 0, 100),)),
        Feature(
            "wind_dir",
            FeatureType.INTEGRAL,
            "Where the wind comes from, degrees; 0 is calm.",
            (between("wind_dir", 0, 360),),
        ),
        Feature(
            "wind_speed",
            _FRACTIONAL,
            "Wind speed, mph.",
            # One real row says 1048 mph. It is reported and kept: docs/flights.md.
            (between("wind_speed", 0), between("wind_speed", 0, 250, on_fail="warn")),
        ),
        Feature("wind_gust", _FRACTIONAL, "Speed of gusts, mph.", (between("wind_gust", 0, 250),)),
        Feature("precip", _FRACTIONAL, "Precipitation, inches.", (between("precip", 0, 20),)),
        Feature("pressure", _FRACTIONAL, "At sea level, mbar.", (between("pressure", 850, 1100),)),
        Feature("visib", _FRACTIONAL, "Visibility, miles.", (between("visib", 0, 10),)),
    ),
    expectations=(
        Expectation(
            "expect_column_distinct_values_to_be_in_set",
            "origin",
            {"value_set": ["EWR", "JFK", "LGA"]},
            on_fail="warn",
        ),
    ),
    tags=("daily", "flights", "weather"),
)

PIPELINE = Pipeline(group=GROUP, sources={"weather": WEATHER}, transform=airport_weather)
