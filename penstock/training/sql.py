"""The SQL of a data set: one row a label, each lookup's features as known at the label's moment.

It answers what building answers before the transform. Times of all kinds are compared as whole
nanoseconds, as :mod:`penstock.training.asof` compares them. A lookup is a union and a running
minimum over the ranks of the events, so it costs no more where one identifier has many labels and
many versions (facts, point in time); labels meet what was found by identifier and moment, so equal
labels stay as many as they are. Pure: no Spark. Not verified on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from penstock import query
from penstock.contract import FeatureGroup, FeatureType
from penstock.dataset import Dataset
from penstock.errors import UsageError
from penstock.query import ATHENA, SPARK, SYSTEM, Dialect, Table
from penstock.training.join import Plan, plan_of

#: What moments are: ISO text with a zone, epoch seconds, or timestamps.
Moments = Literal["text", "seconds", "timestamp"]
_OF: Mapping[FeatureType, Moments] = {
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


def sql(
    dataset: Dataset,
    groups: Mapping[str, FeatureGroup],
    tables: Mapping[str, Table],
    dialect: Dialect,
    *,
    labels: Table | None = None,
    moments: Moments | None = None,
) -> str:
    """The text: a comment that says what is left out, then one query. Rows come in no order.

    A label whose identifier or moment is null finds nothing. (Building refuses a null moment.)

    Args:
        dataset: What is asked for; its split and transform are left out.
        groups: Contracts by name.
        tables: Offline tables by the name of their group.
        dialect: Athena's or Spark's.
        labels: A table of labels; None takes the current rows of the base group.
        moments: What the moments in ``labels`` are. By default as the base group has that column,
            else timestamps.

    Raises:
        UsageError: Labels are made by Python and no table of them is named; or a group or column
            is not there, is there twice, or has another type than the one it must equal.
    """
    if dataset.labels is not None and labels is None:
        message = f"data set {dataset.name!r}: its labels are made by Python, which is no SQL"
        raise UsageError(message, "Write them to a table and name it with --labels")
    missing = [name for name in dataset.groups if name not in groups]
    if missing:
        message = f"there is no feature group {missing[0]!r} in this project"
        raise UsageError(message, f"There are: {', '.join(sorted(groups))}")
    base = groups[dataset.base]
    kind = _moments(dataset, base, labels, moments)
    plans = _plans(dataset, groups, None if labels is not None else base)
    if labels is None:
        first = query.sql("live", base, tables[dataset.base], dialect)
    else:
        first = f"SELECT *\nFROM {labels.text(dialect)}"
    moment = _Moment(dataset.time, kind)
    parts = [(_labels(0), first)]
    for plan in plans:
        group = groups[plan.lookup.group]
        table = tables[plan.lookup.group].text(dialect)
        source = _labels(_source(plan, plans))
        parts += _lookup(plan, group, table, source, moment, dialect)
    quoted = dialect.identifier
    queries = ",\n".join(f"{quoted(name)} AS (\n{_indented(text)}\n)" for name, text in parts)
    text = f"WITH {queries}\nSELECT *\nFROM {quoted(_labels(len(plans)))}"
    if dialect is SPARK and "${" in text:
        message = f"data set {dataset.name!r}: Spark replaces variables in a query's text"
        raise UsageError(message, "Name columns and prefixes without ${")
    return f"{_comment(dataset, labels)}\n{text}"


class _Moment:
    """The labels' column of moments."""

    def __init__(self, column: str, kind: Moments) -> None:
        self.column, self.kind = column, kind

    def text(self, dialect: Dialect, of: str = "") -> str:
        """Its nanoseconds."""
        return _nanoseconds(dialect, self.kind, of + dialect.identifier(self.column))


def _moments(
    dataset: Dataset, base: FeatureGroup, labels: Table | None, moments: Moments | None
) -> Moments:
    own = base.feature(dataset.time).type if dataset.time in base.names else None
    if labels is not None:
        return moments or (_OF.get(own, "timestamp") if own else "timestamp")
    where = f"data set {dataset.name!r}"
    if moments is not None:
        message = f"{where}: what moments are is known where the labels are no table"
        raise UsageError(message, "Name the table with --labels, or leave --moments out")
    if own is None:
        message = f"{where}: the labels have no column {dataset.time!r}"
        raise UsageError(message, f"They have: {', '.join(base.names)}")
    if own not in _OF:
        message = f"{where}: the moments in {dataset.time!r} are {own.value}"
        raise UsageError(message, "Name a column of ISO text with T and Z, or of epoch seconds")
    return _OF[own]


def _plans(
    dataset: Dataset, groups: Mapping[str, FeatureGroup], base: FeatureGroup | None
) -> list[Plan]:
    """A plan a lookup; of a table of labels only the columns that must be there are known."""
    types = {} if base is None else {one.name: one.type for one in base.features}
    columns = [dataset.time] if base is None else list(base.names)
    plans: list[Plan] = []
    for number, lookup in enumerate(dataset.lookups):
        group = groups[lookup.group]
        if base is None and lookup.on not in columns:
            columns.append(lookup.on)
        plan = plan_of(lookup, group, columns, number)
        wanted = group.feature(group.record_identifier).type
        own = types.get(lookup.on, wanted)
        if own is not wanted:
            message = f"lookup of {group.name!r}: {lookup.on!r} is {own.value}, not {wanted.value}"
            raise UsageError(message, "Cast it where the labels are made")
        types |= {lookup.prefix + name: group.feature(name).type for name in plan.chosen}
        columns += [lookup.prefix + name for name in plan.chosen]
        plans.append(plan)
    return plans


def _source(plan: Plan, plans: list[Plan]) -> int:
    """After how many lookups the labels have the column this one asks by.

    The labels themselves wherever they do: Athena computes a name of WITH each time it is used.
    """
    for other in plans[: plan.number]:
        if plan.lookup.on in {other.lookup.prefix + name for name in other.chosen}:
            return other.number + 1
    return 0


def _lookup(
    plan: Plan, group: FeatureGroup, table: str, source: str, moment: _Moment, dialect: Dialect
) -> list[tuple[str, str]]:
    """Names of WITH and their queries: events, questions, answers, labels with the answers."""
    events, asked, seen, found = (f"_{one}_{plan.number}" for one in _STEPS)
    last, quoted = _labels(plan.number), dialect.identifier
    return [
        (events, _events(plan, group, table, dialect)),
        (asked, _asked(plan, quoted(source), moment, dialect)),
        (seen, _seen(plan, quoted(events), quoted(asked), dialect)),
        (found, _found(plan, quoted(events), quoted(seen), dialect)),
        (_labels(plan.number + 1), _joined(plan, quoted(last), quoted(found), moment, dialect)),
    ]


_STEPS = ("events", "asked", "seen", "found")


def _events(plan: Plan, group: FeatureGroup, table: str, dialect: Dialect) -> str:
    """Rows of the offline table, numbered within their identifier: the best is 1."""
    quoted = dialect.identifier
    kind = _OF[group.feature(group.event_time).type]
    at = _nanoseconds(dialect, kind, quoted(group.event_time))
    known = ""
    if plan.lookup.written:
        written = _nanoseconds(dialect, "timestamp", quoted("write_time"))
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


def _asked(plan: Plan, source: str, moment: _Moment, dialect: Dialect) -> str:
    """Whom and when the labels ask about, each pair once."""
    quoted = dialect.identifier
    on = quoted(plan.lookup.on)
    return (
        f"SELECT DISTINCT\n  {on} AS {quoted('_key')},\n"
        f"  {moment.text(dialect)} AS {quoted('_moment')}\nFROM {source}\n"
        f"WHERE {on} IS NOT NULL AND {quoted(moment.column)} IS NOT NULL"
    )


def _seen(plan: Plan, events: str, asked: str, dialect: Dialect) -> str:
    """The best place among the events known at each moment."""
    quoted = dialect.identifier
    key, moment, place = quoted("_key"), quoted("_moment"), quoted("_place")
    when, side = quoted("_when"), quoted("_side")
    known = quoted("_known" if plan.lookup.written else "_at")
    side_of = 0 if plan.lookup.before else 2  # events are 1: at the very moment they count or not
    null = "CAST(NULL AS bigint)"
    facts = f"{key}, {null} AS {moment}, {known} AS {when}, 1 AS {side}, {place}"
    questions = f"{key}, {moment}, {moment} AS {when}, {side_of} AS {side}, {null} AS {place}"
    return (
        f"SELECT\n  {key},\n  {moment},\n  min({place}) OVER (\n    PARTITION BY {key}\n"
        f"    ORDER BY {when}, {side}\n"
        f"    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW\n  ) AS {place}\n"
        f"FROM (\n  SELECT\n    {facts}\n  FROM {events}\n  UNION ALL\n"
        f"  SELECT\n    {questions}\n  FROM {asked}\n) AS {quoted('_both')}"
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
        f"SELECT\n  {s}.{key},\n  {s}.{moment}{features}\nFROM {seen} AS {s}\n"
        f"JOIN {events} AS {e} ON {e}.{key} = {s}.{key} AND {e}.{place} = {s}.{place}\n"
        f"WHERE {s}.{moment} IS NOT NULL AND NOT {e}.{quoted('is_deleted')}{age}"
    )


def _joined(plan: Plan, labels: str, found: str, moment: _Moment, dialect: Dialect) -> str:
    """The labels with the features that were found; without them where none were."""
    quoted = dialect.identifier
    lab, fnd = quoted("_l"), quoted("_f")
    features = "".join(
        f",\n  {fnd}.{quoted(name)} AS {quoted(plan.lookup.prefix + name)}" for name in plan.chosen
    )
    return (
        f"SELECT\n  {lab}.*{features}\nFROM {labels} AS {lab}\n"
        f"{'JOIN' if plan.lookup.required else 'LEFT JOIN'} {found} AS {fnd}\n"
        f"  ON {fnd}.{quoted('_key')} = {lab}.{quoted(plan.lookup.on)}\n"
        f"  AND {fnd}.{quoted('_moment')} = {moment.text(dialect, f'{lab}.')}"
    )


def _nanoseconds(dialect: Dialect, kind: Moments, column: str) -> str:
    return _NANOSECONDS[dialect.name, kind].replace("{}", column)


def _labels(after: int) -> str:
    """The labels after so many lookups."""
    return f"_labels_{after}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _comment(dataset: Dataset, labels: Table | None) -> str:
    lines = [f"Data set {dataset.name}: its labels, with features as known at each one's moment."]
    if dataset.labels is not None:
        lines.append("Labels are made by Python; here a table of them is read.")
    elif labels is not None:
        lines.append("Labels are read from a table, not from the base group.")
    if dataset.transform is not None:
        lines.append("The transform is Python: it is left out, and with it the columns it makes.")
    if dataset.split is not None:
        lines.append("The split into parts is left out.")
    return "\n".join(f"-- {line}" for line in (*lines, "Not verified on AWS."))
