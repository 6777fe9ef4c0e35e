"""The four questions asked of an offline table, as SQL for Athena and for Spark.

``explore`` shows rows as they are; ``latest`` the current row of each identifier, deleted ones too;
``live`` the same without the deleted; ``as-of`` what ``live`` says of the rows up to an instant of
event time. Ranking comes first and deletion after it: a deleted record stays deleted.

Texts are pure functions of the contract. Event times are compared as they are stored, text of fixed
width or epoch seconds, never converted: no session zone and no ANSI mode changes a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timezone
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from penstock import encoding
from penstock.catalog.table import SYSTEM_COLUMNS
from penstock.contract import FeatureGroup, FeatureType
from penstock.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Kind = Literal["explore", "latest", "live", "as-of"]
KINDS: tuple[Kind, ...] = ("explore", "latest", "live", "as-of")
SYSTEM = tuple(name for name, _, _ in SYSTEM_COLUMNS)
#: No feature may start with an underscore (contract), so this name is free in every group.
_RANK = "_rank"
_VIEW = "_penstock_asked"
#: The event-time converter wants a latest instant; questions may be asked about any.
_ANY_TIME = datetime(9999, 12, 31, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Dialect:
    """How one engine writes identifiers and doubles.

    Args:
        name: Its name.
        quote: The character around identifiers; doubled inside them.
        double: Format of an exact double literal.
    """

    name: str
    quote: str
    double: str

    def identifier(self, name: str) -> str:
        """``name`` quoted: any text is safe."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote


ATHENA = Dialect("athena", '"', "DOUBLE '{}'")
SPARK = Dialect("spark", "`", "{}D")


@dataclass(frozen=True)
class Table:
    """A table by the parts of its name, each quoted when the text is made."""

    parts: tuple[str, ...]

    @classmethod
    def registered(cls, database: str, table: str) -> Table:
        """A table of the Glue catalogue."""
        return cls((database, table))

    @classmethod
    def at(cls, path: str) -> Table:
        """A Delta table by its folder; Spark only."""
        return cls(("delta", path))

    def text(self, dialect: Dialect) -> str:
        """The quoted name.

        Raises:
            UsageError: Spark would take a part of it for a variable.
        """
        if dialect is SPARK and any("${" in part for part in self.parts):
            message = f"{'.'.join(self.parts)}: Spark replaces variables in a query's text"
            raise UsageError(message, "Name the folder without ${")
        return ".".join(dialect.identifier(part) for part in self.parts)


def sql(
    kind: Kind,
    group: FeatureGroup,
    table: Table,
    dialect: Dialect,
    *,
    limit: int = 100,
    moment: datetime | str | None = None,
) -> str:
    """The text of one query.

    ``explore`` and ``latest`` answer the features and the three system columns, ``live`` and
    ``as-of`` the features alone. Rows come in no particular order.

    Ranking is by event time, api_invocation_time and write_time, as in AWS's own queries, then by
    is_deleted and all features, all descending: where two rows of one run share an identifier and
    an event time, every engine picks the same one. Rows that tie even then are equal.

    Args:
        kind: Which of the four.
        group: The contract.
        table: The offline table.
        dialect: Athena's or Spark's.
        limit: Rows ``explore`` shows.
        moment: The instant of ``as-of``: aware, or ISO text with T, seconds, and Z or an offset.
            Parts finer than the group's event times are cut off, which changes no answer.

    Raises:
        UsageError: Unknown kind, a limit below 1, or no instant where one is needed.
    """
    if kind == "explore":
        return _explore(group, table.text(dialect), dialect, limit)
    if kind == "latest":
        return _current(group, table.text(dialect), dialect, [], deleted=True)
    if kind == "live":
        return _current(group, table.text(dialect), dialect, [], deleted=False)
    if kind == "as-of":
        bound = _bound(group, dialect, moment)
        return _current(group, table.text(dialect), dialect, [bound], deleted=False)
    raise UsageError(f"there is no query {kind!r}", f"Use one of {', '.join(KINDS)}")


def run(
    spark: SparkSession,
    kind: Kind,
    group: FeatureGroup,
    path: str,
    *,
    rows: DataFrame | None = None,
    limit: int = 100,
    moment: datetime | str | None = None,
) -> DataFrame:
    """The query's rows, read by Spark; else as :func:`sql`.

    Lazy: the DataFrame is computed when it is used.

    Args:
        spark: The session.
        kind: As of :func:`sql`.
        group: As of :func:`sql`.
        path: The table's folder, which Spark reads by itself where it is a Delta table.
        rows: All rows of a table of another format.
        limit: As of :func:`sql`.
        moment: As of :func:`sql`.

    Raises:
        UsageError: As for :func:`sql`, or there is no table at ``path``.
    """
    from penstock.offline.table import present

    table = Table.at(path)
    if rows is not None:
        table = Table((_VIEW,))
        rows.createOrReplaceTempView(_VIEW)
    text = sql(kind, group, table, SPARK, limit=limit, moment=moment)
    with present(group.name, path):
        return spark.sql(text)


def literal(group: FeatureGroup, dialect: Dialect, moment: datetime | str) -> str:
    """An instant as a literal that compares with the group's stored event times.

    Made by the converter that made those event times, so equal instants are equal here too.

    Raises:
        UsageError: Not an instant, or one the service has no event time for.
    """
    kind = group.feature(group.event_time).type
    text = moment if isinstance(moment, str) else _iso(moment)
    array = pa.array([text if text.isascii() else ""])  # Arrow takes no lone surrogates
    converted = encoding.event_time(array, kind, group.fraction_digits, _ANY_TIME)
    value = converted.values.to_pylist()[0]
    if value is None:
        message = f"{text!a} is not an instant"
        raise UsageError(message, "Write it like 2013-07-01T12:00:00Z, years 1678 to 2262")
    return f"'{value}'" if kind is FeatureType.STRING else dialect.double.format(repr(value))


def _explore(group: FeatureGroup, table: str, dialect: Dialect, limit: int) -> str:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise UsageError(f"a limit of {limit!r} rows", "Ask for one row or more")
    columns = listed(dialect, (*group.names, *SYSTEM), "  ")
    return f"SELECT\n{columns}\nFROM {table}\nLIMIT {limit}"


def _current(
    group: FeatureGroup, table: str, dialect: Dialect, bounds: list[str], *, deleted: bool
) -> str:
    """Rank within each identifier, keep the first, then look at the deletion."""
    quoted = dialect.identifier
    shown = (*group.names, *SYSTEM) if deleted else group.names
    order = descending(dialect, ranking(group))
    rank = (
        f"    row_number() OVER (\n"
        f"      PARTITION BY {quoted(group.record_identifier)}\n"
        f"      ORDER BY {order}\n"
        f"    ) AS {quoted(_RANK)}"
    )
    inner = listed(dialect, (*group.names, *SYSTEM), "    ")
    where = "".join(f"\n  WHERE {bound}" for bound in bounds)
    last = "" if deleted else f" AND NOT {quoted('is_deleted')}"
    return (
        f"SELECT\n{listed(dialect, shown, '  ')}\n"
        f"FROM (\n  SELECT\n{inner},\n{rank}\n  FROM {table}{where}\n) AS {quoted('_ranked')}\n"
        f"WHERE {quoted(_RANK)} = 1{last}"
    )


def ranking(group: FeatureGroup) -> tuple[str, ...]:
    """Columns by which the rows of one identifier are ranked, all descending, nulls last."""
    rest = [name for name in group.names if name not in (group.record_identifier, group.event_time)]
    return (group.event_time, *SYSTEM, *rest)


def descending(dialect: Dialect, names: tuple[str, ...]) -> str:
    """An ORDER BY list, the greatest first; both engines put nulls last in it."""
    return ", ".join(f"{dialect.identifier(name)} DESC" for name in names)


def _bound(group: FeatureGroup, dialect: Dialect, moment: datetime | str | None) -> str:
    if moment is None:
        raise UsageError("as-of needs an instant", "Add one, like 2013-07-01T12:00:00Z")
    return f"{dialect.identifier(group.event_time)} <= {literal(group, dialect, moment)}"


def _iso(moment: datetime) -> str:
    """UTC text; a naive instant stays without a zone, which the converter refuses."""
    aware = moment.utcoffset() is not None and MINYEAR < moment.year < MAXYEAR
    return (moment.astimezone(timezone.utc) if aware else moment).isoformat()


def listed(dialect: Dialect, names: tuple[str, ...], indent: str) -> str:
    """Columns of a SELECT, one a line."""
    return ",\n".join(f"{indent}{dialect.identifier(name)}" for name in names)
