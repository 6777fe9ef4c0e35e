"""The flights transforms against pandas, on all the data and under every session setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd  # noqa: TID253 - the computation that Spark is compared with
import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.sql import functions as fn

from penstock.contract import ColumnType
from penstock.frames import next_showing, plus_minutes, utc_day, utc_text
from schemas import aircraft_history, airport_weather, flight_status, route_traffic
from tests import flights as reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import Column, DataFrame, SparkSession

    from penstock.contract import Pipeline, Source

    Read = Callable[[Source, pd.DataFrame], DataFrame]

PIPELINES = {
    one.PIPELINE.group.name: one.PIPELINE
    for one in (airport_weather, flight_status, aircraft_history, route_traffic)
}
ARROW = {
    ColumnType.STRING: pa.string(),
    ColumnType.LONG: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
}
SPARK_TYPES = {
    "String": ("string", "timestamp"),
    "Integral": ("bigint",),
    "Fractional": ("double",),
}
ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
SHOWINGS = (  # after, minute of the day, zone, the instant
    ("2013-07-01T12:00:00Z", 8 * 60, "America/New_York", "2013-07-02T12:00:00Z"),
    ("2013-07-01T12:00:00Z", 8 * 60 + 1, "America/New_York", "2013-07-01T12:01:00Z"),
    ("2013-07-01T12:00:30Z", 8 * 60 + 1, "America/New_York", "2013-07-01T12:01:00Z"),
    ("2013-07-01T12:00:00Z", 1_440, "America/New_York", "2013-07-02T04:00:00Z"),
    ("2013-07-01T12:00:00Z", 0, "America/New_York", "2013-07-02T04:00:00Z"),
    ("2013-03-10T04:06:00Z", 2 * 60 + 3, "America/New_York", "2013-03-10T07:03:00Z"),
    ("2013-11-03T02:17:00Z", 60 + 14, "America/Los_Angeles", "2013-11-03T08:14:00Z"),
    ("1969-12-31T23:00:00Z", 5 * 60 + 31, "Asia/Kolkata", "1970-01-01T00:01:00Z"),
)
INSTANTS = (
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "2000-02-29T10:20:30Z",
    "2013-03-10T07:03:09Z",
)


@pytest.fixture(scope="session")
def raw() -> dict[str, pd.DataFrame]:
    """The files as text, by source name."""
    return {
        "flights": reference.flights(),
        "weather": reference.weather(),
        "airports": reference.airports(),
    }


@pytest.fixture(scope="session")
def sample(raw: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """What is hard about the data: clock changes, midnights, odd ends, whole aircraft."""
    of = raw["flights"]
    night = of["time_hour"].str.slice(0, 10)
    chosen = (
        night.isin(["2013-03-10", "2013-11-03"])
        | (of["arr_time"] == "2400")
        | (of["dep_time"].notna() & of["arr_delay"].isna())
        | of["tailnum"].isin(["N328AA", "N725MQ", "D942DN"])
    )
    return raw | {"flights": of[chosen].head(5_000), "weather": raw["weather"].tail(2_000)}


@pytest.fixture(scope="session")
def read(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Text to typed DataFrame as the engine hands it to a transform."""

    def typed(source: Source, text: pd.DataFrame) -> DataFrame:
        file = tmp_path_factory.mktemp("raw") / "rows.parquet"
        parquet.write_table(_typed(source, text), file)
        return spark.read.parquet(file.as_uri())

    return typed


@pytest.fixture(scope="session")
def history(raw: dict[str, pd.DataFrame], read: Read) -> pd.DataFrame:
    """All of aircraft_history, from Spark."""
    return _result("aircraft_history", raw, read)


@pytest.fixture(params=[(zone, ansi) for zone in ZONES for ansi in ("true", "false")], ids=str)
def settings(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[None]:
    """One of six sessions: three time zones, ANSI on and off."""
    wanted = dict(
        zip(("spark.sql.session.timeZone", "spark.sql.ansi.enabled"), request.param, strict=True)
    )
    before = {key: spark.conf.get(key) for key in wanted}
    for key, value in wanted.items():
        spark.conf.set(key, value)
    yield
    for key, old in before.items():
        spark.conf.set(key, str(old))


@pytest.mark.parametrize("name", PIPELINES)
def test_output_is_what_the_contract_says(
    name: str, raw: dict[str, pd.DataFrame], read: Read
) -> None:
    """Columns are the features in their order, natural types, and ``_source`` at most."""
    group = PIPELINES[name].group
    few = {source: text.head(10) for source, text in raw.items()}
    types = dict(_frame(name, few, read).dtypes)
    types.pop("_source", None)
    assert tuple(types) == group.names
    for feature in group.features:
        assert types[feature.name] in SPARK_TYPES[feature.type.value], feature.name


@pytest.mark.shows("3.6")
@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", PIPELINES)
def test_session_settings_change_nothing(
    name: str, sample: dict[str, pd.DataFrame], read: Read
) -> None:
    """The hard rows come out as in pandas under every time zone, ANSI on and off."""
    _assert_same(_result(name, sample, read), _expected(name, sample))


def test_airport_weather_is_every_observation(raw: dict[str, pd.DataFrame], read: Read) -> None:
    """All 26,115 observations, each as in the file."""
    result = _result("airport_weather", raw, read)
    assert len(result) == 26_115
    _assert_same(result, reference.airport_weather(raw["weather"]))


@pytest.mark.prove
@pytest.mark.shows("3.1")
def test_flight_status_is_every_flight(raw: dict[str, pd.DataFrame], read: Read) -> None:
    """336,776 identifiers, each once, and every feature as in pandas."""
    result = _result("flight_status", raw, read)
    assert result["flight_id"].nunique() == len(result) == 336_776
    assert result["status"].value_counts().to_dict() == {
        "landed": 327_346,
        "cancelled": 8_255,
        "diverted": 717,
        "departed": 458,
    }
    _assert_same(result, reference.flight_status(raw["flights"]))


def test_route_traffic_is_every_arrival(raw: dict[str, pd.DataFrame], read: Read) -> None:
    """Each hour of each route as in pandas; together all arrivals, tail number or not."""
    result = _result("route_traffic", raw, read)
    assert result["flights"].sum() == raw["flights"]["arr_time"].notna().sum()
    _assert_same(result, reference.route_traffic(raw["flights"]))


@pytest.mark.shows("3.1")
def test_every_arrival_is_counted_once(raw: dict[str, pd.DataFrame], history: pd.DataFrame) -> None:
    """The sum of flights_1d is the number of arrived flights with a tail number: 328,063."""
    of = raw["flights"]
    arrived = int((of["arr_time"].notna() & of["tailnum"].notna()).sum())
    assert history["flights_1d"].sum() == arrived == 328_063
    _assert_same(history, reference.aircraft_history(of))


@pytest.mark.shows("3.9")
def test_no_row_knows_a_flight_that_had_not_arrived(
    raw: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    """Every feature of every row follows from arrivals at or before its event time alone."""
    landed = reference.arrivals(raw["flights"])
    keys = history[["tailnum", "day_end"]].copy()
    keys["day_end"] = pd.to_datetime(keys["day_end"], format=reference.ISO, utc=True)
    _assert_same(history, reference.known(landed, keys))


@pytest.mark.shows("3.9")
def test_later_flights_change_no_earlier_row(
    raw: dict[str, pd.DataFrame], read: Read, history: pd.DataFrame
) -> None:
    """Take all arrivals after an instant away: the rows up to it stay the same."""
    arrival = reference.times(raw["flights"])["arrival"]
    cut = pd.Timestamp("2013-06-15T23:59:59Z")
    kept = raw | {"flights": raw["flights"][~(arrival > cut)]}
    upto = history[history["day_end"] <= cut.strftime(reference.ISO)]
    _assert_same(_result("aircraft_history", kept, read), upto)


@pytest.mark.parametrize(
    ("start", "end"), [("2013-04-01", "2013-05-01"), ("2014-01-01", "2014-02-01")]
)
def test_a_window_with_its_lookback_equals_the_whole(
    raw: dict[str, pd.DataFrame], read: Read, history: pd.DataFrame, start: str, end: str
) -> None:
    """A month computed from its own rows and the lookback's is the same month of the full run."""
    first = pd.Timestamp(start) - PIPELINES["aircraft_history"].sources["flights"].lookback
    hour = raw["flights"]["time_hour"]
    part = raw | {"flights": raw["flights"][(hour >= first.strftime(reference.ISO)) & (hour < end)]}
    result, whole = _result("aircraft_history", part, read), history
    inside = [one[(one["day_end"] >= start) & (one["day_end"] < end)] for one in (result, whole)]
    assert len(inside[1]) > 0
    _assert_same(*inside)


def test_unknown_zones_are_not_guessed(raw: dict[str, pd.DataFrame], read: Read) -> None:
    """An arrival where no zone is known gets no event time, and stays visible as a row."""
    unlisted = {"airports": raw["airports"][raw["airports"]["faa"] != "IAH"]}
    one = raw | {"flights": raw["flights"].head(1)} | unlisted
    for name, time in (("flight_status", "event_time"), ("aircraft_history", "day_end")):
        result = _result(name, one, read)
        assert len(result) == 1
        assert result[time].isna().all()


def test_an_airport_listed_twice_repeats_no_flight(
    raw: dict[str, pd.DataFrame], read: Read
) -> None:
    """The join to airports keeps the number of flights."""
    twice = raw | {"airports": pd.concat([raw["airports"]] * 2), "flights": raw["flights"].head(50)}
    assert len(_result("flight_status", twice, read)) == 50


def test_both_ways_to_an_arrival_agree(raw: dict[str, pd.DataFrame]) -> None:
    """Schedule plus delay, and the destination's clock, name one instant for all 327,346 delays."""
    of = raw["flights"]
    when = reference.times(of)
    timed = of["arr_delay"].notna()
    clock = reference.by_clock(of, when["departure"])
    assert int(timed.sum()) == 327_346
    pd.testing.assert_series_equal(clock[timed], when["arrival"][timed], check_names=False)


def test_a_row_names_its_origin(raw: dict[str, pd.DataFrame], read: Read) -> None:
    """``_source`` of a flight_status row is that of the flight it was made from."""
    few = raw | {"flights": raw["flights"].head(200)}
    rows = _frame("flight_status", few, read).select("flight_number", "_source.position").collect()
    numbers = reference.number(few["flights"], "flight").to_list()
    assert sorted((row[1], row[0]) for row in rows) == list(enumerate(numbers))


@pytest.mark.usefixtures("settings")
def test_next_showing(spark: SparkSession) -> None:
    """Strictly later; 2400 is the next midnight; skipped minutes move on, repeated are first."""
    shown = [
        utc_text(next_showing(fn.lit(minute), fn.lit(zone), _instant(after)))
        for after, minute, zone, _ in SHOWINGS
    ]
    assert list(_row(spark, *shown)) == [expected for *_, expected in SHOWINGS]


@pytest.mark.usefixtures("settings")
def test_instants_read_the_same_everywhere(spark: SparkSession) -> None:
    """Text, day and shifts of an instant are UTC's, before and after 1970."""
    for text in INSTANTS:
        instant, expected = _instant(text), pd.Timestamp(text)
        back = utc_text(plus_minutes(instant, fn.lit(-61)))
        assert list(_row(spark, utc_text(instant), utc_day(instant), back)) == [
            text,
            expected.floor("D").timestamp() // 86_400,
            (expected - pd.Timedelta(minutes=61)).strftime(reference.ISO),
        ]


@pytest.mark.parametrize("step", [utc_text, utc_day])
def test_null_instants_stay_null(spark: SparkSession, step: Callable[[Column], Column]) -> None:
    """Null in, null out."""
    assert _row(spark, step(fn.lit(None).cast("timestamp"))) == (None,)


def _typed(source: Source, text: pd.DataFrame) -> pa.Table:
    columns = {
        column.name: pa.array(text[column.name], pa.string()).cast(ARROW[column.type])
        for column in source.columns
    }
    position = pa.array(np.arange(len(text)), pa.int64())
    file = pa.array(["file"] * len(text), pa.string())
    origin = pa.StructArray.from_arrays([file, position], ["file", "position"])
    return pa.table({**columns, "_source": origin})


def _frame(name: str, raw: dict[str, pd.DataFrame], read: Read) -> DataFrame:
    pipeline: Pipeline = PIPELINES[name]
    assert pipeline.transform is not None
    frames = {key: read(source, raw[key]) for key, source in pipeline.sources.items()}
    result: DataFrame = pipeline.transform(**frames)
    return result


def _result(name: str, raw: dict[str, pd.DataFrame], read: Read) -> pd.DataFrame:
    """The transform's rows; event times as text, written here without Spark's own formatting."""
    group = PIPELINES[name].group
    seconds = fn.unix_seconds(fn.col(group.event_time)).alias(group.event_time)
    columns = [seconds if one == group.event_time else fn.col(one) for one in group.names]
    rows = _frame(name, raw, read).select(*columns).toPandas()
    instants = pd.to_datetime(rows[group.event_time], unit="s", utc=True)
    rows[group.event_time] = instants.dt.strftime(reference.ISO)
    return rows


def _expected(name: str, raw: dict[str, pd.DataFrame]) -> pd.DataFrame:
    if name == "airport_weather":
        return reference.airport_weather(raw["weather"])
    found: pd.DataFrame = getattr(reference, name)(raw["flights"])
    return found


def _assert_same(result: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same rows, bit by bit, in any order; null and NaN are one in pandas."""
    keys = [one for one in ("flight_id", "tailnum", "route", "origin") if one in expected][:1]
    keys += [one for one in ("day_end", "event_time", "observed_at") if one in expected]
    one, other = (frame.sort_values(keys).reset_index(drop=True) for frame in (result, expected))
    pd.testing.assert_frame_equal(one, other, check_dtype=False, check_exact=True)


def _instant(text: str) -> Column:
    return fn.timestamp_seconds(fn.lit(int(pd.Timestamp(text).timestamp())))


def _row(spark: SparkSession, *columns: Column) -> tuple[object, ...]:
    return tuple(spark.range(1).select(*columns).collect()[0])
