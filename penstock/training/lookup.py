"""The SQL of one lookup: queries that follow one another, from the events to what labels get.

It is a union and a running minimum over the ranks of the events, so it costs no more where one
identifier has many labels and many versions (facts, point in time). For several versions of a
feature what that minimum outdoes goes through the same again, once for each. Labels meet what was
found by identifier and moment, so equal labels stay as many as they are. Pure: no Spark. Not
verified on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from penstock import query
from penstock.contract import FeatureGroup, FeatureType
from penstock.query import ATHENA, SPARK, SYSTEM, Dialect
from penstock.training.join import Plan

#: What moments are: ISO text with a zone, epoch seconds, or timestamps.
Moments = Literal["text", "seconds", "timestamp"]
OF: Mapping[FeatureType, Moments] = {
    FeatureType.STRING: "text",
    FeatureType.FRACTIONAL: "seconds",
}
_SECONDS = "CAST(round({} * 1e6) AS bigint) * 1000"
_NANOS = "CAST(rpad(coalesce(regexp_extract({}, '[.]([0-9]+)', 1), ''), 9, '0') AS bigint)"
_WHOLE = "regexp_replace({}, '[.][0-9]+', '')"
#: Nanoseconds since the epoch of a column, by dialect and kind. A text's fraction is read apart:
#: neither engine's own reader of ISO text is exact below a microsecond. Doubles count to the
#: microsecond.
_NANOSECONDS: Mapping[tuple[str, Moments], str] = {
    (ATHENA.name, "text"): (
        f"CAST(to_unixtime(from_iso8601_timestamp({_WHOLE})) AS bigint) * 1000000000 + {_NANOS}"
    ),
    (SPARK.name, "text"): (f"unix_seconds(CAST({_WHOLE} AS timestamp)) * 1000000000 + {_NANOS}"),
    (ATHENA.name, "seconds"): _SECONDS,
    (SPARK.name, "seconds"): _SECONDS,
    (ATHENA.name, "timestamp"): _SECONDS.format("to_unixtime({})"),
    (SPARK.name, "timestamp"): "unix_micros({}) * 1000",
}


class Moment:
    """The labels' column of moments."""

    def __init__(self, column: str, kind: Moments) -> None:
        self.column, self.kind = column, kind

    def text(self, dialect: Dialect, of: str = "") -> str:
        """Its nanoseconds."""
        return nanoseconds(dialect, self.kind, of + dialect.identifier(self.column))


def steps(
    plan: Plan, group: FeatureGroup, table: str, source: str, moment: Moment, dialect: Dialect
) -> list[tuple[str, str]]:
    """Names of WITH and their queries: events, questions, answers, labels with the answers.

    Args:
        plan: The lookup.
        group: Contract of its group.
        table: Text of what its offline rows are read from.
        source: Name of the labels that it asks for.
        moment: The labels' column of moments.
        dialect: Athena's or Spark's.
    """
    events, asked, seen, found = (f"_{one}_{plan.number}" for one in _STEPS)
    last, quoted = labels_after(plan.number), dialect.identifier
    both = _both(plan, quoted(events), quoted(asked), dialect)
    if plan.lookup.recent == 1:
        picked = [(seen, _seen(both, dialect)), (found, _found(plan, events, seen, dialect))]
    else:
        passes = [f"{seen}_{nth}" for nth in range(1, plan.lookup.recent)]
        sources = [both, *map(quoted, passes)]
        picked = [
            (name, _pass(nth, of, dialect))
            for nth, (name, of) in enumerate(zip([*passes, seen], sources, strict=True), 1)
        ]
        picked.append((found, _all_found(plan, events, seen, dialect)))
    return [
        (events, _events(plan, group, table, dialect)),
        (asked, _asked(plan, quoted(source), moment, dialect)),
        *picked,
        (
            labels_after(plan.number + 1),
            _joined(plan, quoted(last), quoted(found), moment, dialect),
        ),
    ]


_STEPS = ("events", "asked", "seen", "found")


def _events(plan: Plan, group: FeatureGroup, table: str, dialect: Dialect) -> str:
    """Rows of the offline table, numbered within their identifier: the best is 1."""
    quoted = dialect.identifier
    kind = OF[group.feature(group.event_time).type]
    at = nanoseconds(dialect, kind, quoted(group.event_time))
    known = ""
    if plan.lookup.written:
        written = nanoseconds(dialect, "timestamp", quoted("write_time"))
        known = f"    greatest({at}, {written}) AS {quoted('_known')},\n"
    order = query.descending(dialect, ("_at", *SYSTEM, *plan.chosen))
    key = quoted(group.record_identifier)
    return (
        f"SELECT\n  *,\n  row_number() OVER (\n    PARTITION BY {quoted('_key')}\n"
        f"    ORDER BY {order}\n  ) AS {quoted('_place')}\n"
        f"FROM (\n  SELECT\n    {key} AS {quoted('_key')},\n    {at} AS {quoted('_at')},\n"
        f"{known}{query.listed(dialect, (*SYSTEM, *plan.chosen), '    ')}\n"
        f"  FROM {table}\n) AS {quoted('_rows')}"
    )


def _asked(plan: Plan, source: str, moment: Moment, dialect: Dialect) -> str:
    """Whom and when the labels ask about, each pair once."""
    quoted = dialect.identifier
    on = quoted(plan.lookup.on)
    return (
        f"SELECT DISTINCT\n  {on} AS {quoted('_key')},\n"
        f"  {moment.text(dialect)} AS {quoted('_moment')}\nFROM {source}\n"
        f"WHERE {on} IS NOT NULL AND {quoted(moment.column)} IS NOT NULL"
    )


def _both(plan: Plan, events: str, asked: str, dialect: Dialect) -> str:
    """Events, each when it became known, and questions, each at its moment."""
    quoted = dialect.identifier
    key, moment, place = quoted("_key"), quoted("_moment"), quoted("_place")
    when, side = quoted("_when"), quoted("_side")
    known = quoted("_known" if plan.lookup.written else "_at")
    side_of = 0 if plan.lookup.before else 2  # events are 1: at the very moment they count or not
    null = "CAST(NULL AS bigint)"
    facts = f"{key}, {null} AS {moment}, {known} AS {when}, 1 AS {side}, {place}"
    questions = f"{key}, {moment}, {moment} AS {when}, {side_of} AS {side}, {null} AS {place}"
    if plan.lookup.recent > 1:
        at = quoted("_at")
        facts, questions = f"{facts}, {at}", f"{questions}, {null} AS {at}"
    return (
        f"(\n  SELECT\n    {facts}\n  FROM {events}\n  UNION ALL\n"
        f"  SELECT\n    {questions}\n  FROM {asked}\n) AS {quoted('_both')}"
    )


def _seen(both: str, dialect: Dialect) -> str:
    """The best place among the events known at each moment."""
    quoted = dialect.identifier
    key, moment, place = quoted("_key"), quoted("_moment"), quoted("_place")
    return (
        f"SELECT\n  {key},\n  {moment},\n  min({place}) OVER (\n    PARTITION BY {key}\n"
        f"    ORDER BY {quoted('_when')}, {quoted('_side')}\n"
        f"    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW\n  ) AS {place}\nFROM {both}"
    )


def _pass(nth: int, source: str, dialect: Dialect) -> str:
    """The best place so far as the n-th; the event that is outdone by it goes on to the next pass.

    A worse event of the same time goes on nowhere, so the n best places are of n event times.
    """
    quoted = dialect.identifier
    place, at = quoted("_place"), quoted("_at")
    names = ("_key", "_moment", "_when", "_side", *(f"_place_{n}" for n in range(1, nth)))
    order = (
        f"    PARTITION BY {quoted('_key')}\n"
        f"    ORDER BY {quoted('_when')}, {quoted('_side')}, {place}\n"
        "    ROWS BETWEEN UNBOUNDED PRECEDING AND"
    )
    best = f"min({place}) OVER (\n{order} CURRENT ROW\n  )"
    before = f"min({place}) OVER (\n{order} 1 PRECEDING\n  )"
    newest = f"max({at}) OVER (\n{order} 1 PRECEDING\n  )"
    return (
        f"SELECT\n{query.listed(dialect, names, '  ')},\n  {best} AS {quoted(f'_place_{nth}')},\n"
        f"  CASE WHEN {at} <> {newest} THEN greatest({place}, {before}) END AS {place},\n"
        f"  CASE WHEN {at} <> {newest} THEN least({at}, {newest}) END AS {at}\nFROM {source}"
    )


def _found(plan: Plan, events: str, seen: str, dialect: Dialect) -> str:
    """The events at those places that are neither deletions nor too old."""
    quoted = dialect.identifier
    key, moment, place = quoted("_key"), quoted("_moment"), quoted("_place")
    e, s = quoted("_e"), quoted("_s")
    features = "".join(f",\n  {e}.{quoted(name)}" for name in plan.chosen)
    oldest = plan.lookup.oldest
    age = "" if oldest is None else f"\n  AND {s}.{moment} - {e}.{quoted('_at')} <= {oldest}"
    return (
        f"SELECT\n  {s}.{key},\n  {s}.{moment}{features}\nFROM {quoted(seen)} AS {s}\n"
        f"JOIN {quoted(events)} AS {e} ON {e}.{key} = {s}.{key} AND {e}.{place} = {s}.{place}\n"
        f"WHERE {s}.{moment} IS NOT NULL AND NOT {e}.{quoted('is_deleted')}{age}"
    )


def _all_found(plan: Plan, events: str, seen: str, dialect: Dialect) -> str:
    """The same for several places, side by side, each up to the first deletion or too old event.

    The table of events is read once more, however many they are: Athena computes a name of WITH
    each time it is used.
    """
    quoted = dialect.identifier
    key, moment, place = quoted("_key"), quoted("_moment"), quoted("_place")
    e, s, nth, end = quoted("_e"), quoted("_s"), quoted("_nth"), quoted("_end")
    numbers = range(1, plan.lookup.recent + 1)
    rows = ", ".join(f"({n})" for n in numbers)
    places = " ".join(f"WHEN {n} THEN {quoted(f'_place_{n}')}" for n in numbers)
    oldest = plan.lookup.oldest
    age = "" if oldest is None else f" OR {s}.{moment} - {e}.{quoted('_at')} > {oldest}"
    features = "".join(f",\n    {e}.{quoted(name)}" for name in plan.chosen)
    columns = "".join(
        f",\n  max(CASE WHEN {nth} = {n} THEN {quoted(name)} END) AS {quoted(name + behind)}"
        for n, behind in enumerate(plan.ends, 1)
        for name in plan.chosen
    )
    return (
        f"SELECT\n  {key},\n  {moment}{columns}\nFROM (\n"
        f"  SELECT\n    {s}.{key},\n    {s}.{moment},\n    {s}.{nth},\n"
        f"    min(CASE WHEN {e}.{quoted('is_deleted')}{age} THEN {s}.{nth} END) OVER (\n"
        f"      PARTITION BY {s}.{key}, {s}.{moment}\n    ) AS {end}{features}\n  FROM (\n"
        f"    SELECT\n      {key},\n      {moment},\n      {nth},\n"
        f"      CASE {nth} {places} END AS {place}\n    FROM {quoted(seen)}\n"
        f"    CROSS JOIN (VALUES {rows}) AS {quoted('_numbers')} ({nth})\n"
        f"    WHERE {moment} IS NOT NULL\n  ) AS {s}\n"
        f"  JOIN {quoted(events)} AS {e} ON {e}.{key} = {s}.{key} AND {e}.{place} = {s}.{place}\n"
        f") AS {quoted('_rows')}\nWHERE {end} IS NULL OR {nth} < {end}\nGROUP BY {key}, {moment}"
    )


def _joined(plan: Plan, labels: str, found: str, moment: Moment, dialect: Dialect) -> str:
    """The labels with the features that were found; without them where none were."""
    quoted = dialect.identifier
    lab, fnd = quoted("_l"), quoted("_f")
    found_names = (name + end for end in plan.ends for name in plan.chosen)
    features = "".join(
        f",\n  {fnd}.{quoted(name)} AS {quoted(plan.lookup.prefix + name)}" for name in found_names
    )
    return (
        f"SELECT\n  {lab}.*{features}\nFROM {labels} AS {lab}\n"
        f"{'JOIN' if plan.lookup.required else 'LEFT JOIN'} {found} AS {fnd}\n"
        f"  ON {fnd}.{quoted('_key')} = {lab}.{quoted(plan.lookup.on)}\n"
        f"  AND {fnd}.{quoted('_moment')} = {moment.text(dialect, f'{lab}.')}"
    )


def nanoseconds(dialect: Dialect, kind: Moments, column: str) -> str:
    """Text of a column's nanoseconds since the epoch."""
    return _NANOSECONDS[dialect.name, kind].replace("{}", column)


def labels_after(after: int) -> str:
    """The labels after so many lookups."""
    return f"_labels_{after}"
