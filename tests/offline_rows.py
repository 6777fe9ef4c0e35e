"""An offline table with every hard case, and pandas' answers to the questions asked of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pandas as pd  # noqa: TID253 - the independent computation the queries are compared with

from penstock.contract import Feature, FeatureGroup, FeatureType

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.query import Kind

UTC = timezone.utc
T0 = datetime(2013, 7, 1, tzinfo=UTC)


def group_of(kind: FeatureType, digits: Any = 0) -> FeatureGroup:
    """A group whose event time is of a kind; one name needs quotes."""
    return FeatureGroup(
        name="weather",
        record_identifier="origin",
        event_time="at",
        features=(
            Feature("origin", FeatureType.STRING),
            Feature("at", kind),
            Feature("wind-speed", FeatureType.FRACTIONAL),
            Feature("gusts", FeatureType.INTEGRAL),
        ),
        fraction_digits=digits,
    )


STRING, SECONDS = group_of(FeatureType.STRING), group_of(FeatureType.FRACTIONAL)
COLUMNS = ["origin", "at", "wind-speed", "gusts", "api_invocation_time", "write_time", "is_deleted"]


def row(origin: str, at: Any, wind: float | None, gusts: int | None, *times: int) -> list[Any]:
    """A row; ``times`` are minutes of api_invocation_time and write_time, then 1 for deleted."""
    api, write, deleted = times
    day = pd.Timestamp("2013-08-01", tz="UTC")
    minutes = [day + pd.Timedelta(minutes=one) for one in (api, write)]
    return [origin, at, wind, gusts, *minutes, bool(deleted)]


def frame(event: Callable[[int], Any]) -> pd.DataFrame:
    """Duplicates, deletions, late rows, ties at each level; ``event`` makes an event time."""
    rows = [
        row("EWR", event(1), 1.0, 1, 0, 0, 0),
        row("EWR", event(3), 3.0, 3, 1, 1, 0),
        row("EWR", event(2), 2.0, 2, 9, 9, 0),  # late: written last, older by event time
        row("JFK", event(1), 1.0, 1, 0, 0, 0),
        row("JFK", event(2), None, None, 1, 1, 1),  # deleted
        row("LGA", event(1), 1.0, 1, 0, 0, 0),
        row("LGA", event(2), None, None, 1, 1, 1),  # deleted, then back
        row("LGA", event(4), 4.0, 4, 2, 2, 0),
        row("BOS", event(2), 1.0, 1, 0, 0, 0),
        row("BOS", event(2), 2.0, 2, 1, 0, 0),  # corrected: same event, later call
        row("PHL", event(2), 1.0, 1, 1, 0, 0),
        row("PHL", event(2), 2.0, 2, 1, 5, 0),  # same call, later write
        row("DCA", event(2), 5.0, None, 1, 1, 0),
        row("DCA", event(2), 5.0, 7, 1, 1, 0),  # a tie in all three times
        row("DCA", event(2), None, 9, 1, 1, 0),
        row("IAD", event(2), 5.0, 7, 1, 1, 0),
        row("IAD", event(2), None, None, 1, 1, 1),  # a tie with a deletion
        row("BWI", event(2), 6.0, 6, 1, 1, 0),
        row("BWI", event(2), 6.0, 6, 1, 1, 0),  # an exact duplicate
        row("é'\"`", event(5), 6.0, 6, 1, 1, 0),
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"gusts": "Int64"})


def text_event(minute: int) -> str:
    """A String event time."""
    return (T0 + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_event(minute: int) -> float:
    """A Fractional event time."""
    return (T0 + timedelta(minutes=minute)).timestamp()


def expected(kind: Kind, rows: pd.DataFrame, until: Any = None) -> pd.DataFrame:
    """The same question in pandas: sort ascending, keep the last of each identifier."""
    found = rows if until is None else rows[rows["at"] <= until]
    order = ["at", "api_invocation_time", "write_time", "is_deleted", "wind-speed", "gusts"]
    found = found.sort_values(order, na_position="first", kind="stable")
    found = found.drop_duplicates("origin", keep="last")
    if kind == "latest":
        return found
    return found.loc[~found["is_deleted"], COLUMNS[:4]]


def plain(rows: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows as sorted tuples: None for null, instants as UTC microseconds."""

    def value(one: Any) -> Any:
        if pd.isna(one):
            return None
        if isinstance(one, pd.Timestamp):
            return one.tz_convert("UTC").value // 1_000
        return one.item() if hasattr(one, "item") else one

    return sorted(
        (tuple(value(one) for one in line) for line in rows.itertuples(index=False, name=None)),
        key=repr,
    )


#: A group, and what makes its stored event times.
CASES: list[tuple[FeatureGroup, Callable[[int], Any]]] = [
    (STRING, text_event),
    (SECONDS, seconds_event),
]
