"""The SQL of a data set: one row a label, each lookup's features as known at the label's moment.

It answers what building answers before the transform. Times of all kinds are compared as whole
nanoseconds, as :mod:`penstock.training.asof` compares them. Pure: no Spark. Not verified on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock import query
from penstock.contract import FeatureGroup
from penstock.dataset import Dataset
from penstock.errors import UsageError
from penstock.query import SPARK, Dialect, Table
from penstock.training.join import Plan, plan_of
from penstock.training.lookup import OF, Moment, Moments, labels_after, nanoseconds, steps
from penstock.training.scope import EVERYTHING, Scope


def sql(
    dataset: Dataset,
    groups: Mapping[str, FeatureGroup],
    tables: Mapping[str, Table],
    dialect: Dialect,
    *,
    labels: Table | None = None,
    moments: Moments | None = None,
    scope: Scope = EVERYTHING,
) -> str:
    """The text: a comment that says what is left out, then one query. Rows come in no order.

    A label whose identifier or moment is null finds nothing, and a null moment is in no range.
    (Building refuses a null moment.)

    Args:
        dataset: What is asked for; its split and transform are left out.
        groups: Contracts by name.
        tables: Offline tables by the name of their group.
        dialect: Athena's or Spark's.
        labels: A table of labels; None takes the current rows of the base group.
        moments: What the moments in ``labels`` are. By default as the base group has that column,
            else timestamps.
        scope: Which labels, and which rows of the offline tables; ``labels`` is read as it is.

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
    moment, parts = Moment(dataset.time, kind), []
    if labels is not None:
        first = f"SELECT *\nFROM {labels.text(dialect)}"
    elif scope.written is None:
        first = query.sql("live", base, tables[dataset.base], dialect)
    else:
        rows = f"SELECT *\nFROM {_written(tables[dataset.base], scope, dialect)}"
        parts, first = [(_BASE, rows)], query.sql("live", base, Table((_BASE,)), dialect)
    parts.append((labels_after(0), _within(first, moment, scope, dialect)))
    for plan in plans:
        group = groups[plan.lookup.group]
        table = _written(tables[plan.lookup.group], scope, dialect)
        source = labels_after(_source(plan, plans))
        parts += steps(plan, group, table, source, moment, dialect)
    quoted = dialect.identifier
    queries = ",\n".join(f"{quoted(name)} AS (\n{_indented(text)}\n)" for name, text in parts)
    text = f"WITH {queries}\nSELECT *\nFROM {quoted(labels_after(len(plans)))}"
    if dialect is SPARK and "${" in text:
        message = f"data set {dataset.name!r}: Spark replaces variables in a query's text"
        raise UsageError(message, "Name columns and prefixes without ${")
    return f"{_comment(dataset, labels, scope)}\n{text}"


_BASE = "_base"


def _written(table: Table, scope: Scope, dialect: Dialect) -> str:
    """An offline table, or those of its rows that were written in time."""
    if scope.written is None:
        return table.text(dialect)
    written = nanoseconds(dialect, "timestamp", dialect.identifier("write_time"))
    return f"{table.text(dialect)} WHERE {written} <= {scope.written}"


def _within(labels: str, moment: Moment, scope: Scope, dialect: Dialect) -> str:
    """Those labels whose moments are in the range."""
    if not scope.ranges:
        return labels
    end = "" if scope.after is None else f"\n  AND {moment.text(dialect)} < {scope.after}"
    return (
        f"SELECT *\nFROM (\n{_indented(labels)}\n) AS {dialect.identifier('_all')}\n"
        f"WHERE {moment.text(dialect)} >= {scope.first}{end}"
    )


def _moments(
    dataset: Dataset, base: FeatureGroup, labels: Table | None, moments: Moments | None
) -> Moments:
    own = base.feature(dataset.time).type if dataset.time in base.names else None
    if labels is not None:
        return moments or (OF.get(own, "timestamp") if own else "timestamp")
    where = f"data set {dataset.name!r}"
    if moments is not None:
        message = f"{where}: what moments are is known where the labels are no table"
        raise UsageError(message, "Name the table with --labels, or leave --moments out")
    if own is None:
        message = f"{where}: the labels have no column {dataset.time!r}"
        raise UsageError(message, f"They have: {', '.join(base.names)}")
    if own not in OF:
        message = f"{where}: the moments in {dataset.time!r} are {own.value}"
        raise UsageError(message, "Name a column of ISO text with T and Z, or of epoch seconds")
    return OF[own]


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
        kinds = [group.feature(name).type for name in plan.chosen] * lookup.recent
        types |= zip(plan.names, kinds, strict=True)
        columns += plan.names
        plans.append(plan)
    return plans


def _source(plan: Plan, plans: list[Plan]) -> int:
    """After how many lookups the labels have the column this one asks by.

    The labels themselves wherever they do: Athena computes a name of WITH each time it is used.
    """
    for other in plans[: plan.number]:
        if plan.lookup.on in other.names:
            return other.number + 1
    return 0


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _comment(dataset: Dataset, labels: Table | None, scope: Scope) -> str:
    lines = [f"Data set {dataset.name}: its labels, with features as known at each one's moment."]
    if dataset.labels is not None:
        lines.append("Labels are made by Python; here a table of them is read.")
    elif labels is not None:
        lines.append("Labels are read from a table, not from the base group.")
    at = scope.plain()
    if scope.ranges:
        lines.append(f"Moments: from {at['start'] or 'the first'} to before {at['end'] or 'none'}.")
    if scope.as_of is not None:
        others = "" if labels is None else ", but all labels of their table"
        lines.append(f"Rows of offline tables that were written by {at['as_of']}{others}.")
    if dataset.transform is not None:
        lines.append("The transform is Python: it is left out, and with it the columns it makes.")
    if dataset.split is not None:
        lines.append("The split into parts is left out.")
    return "\n".join(f"-- {line}" for line in (*lines, "Not verified on AWS."))
