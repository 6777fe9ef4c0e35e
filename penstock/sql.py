"""A query in Athena's dialect, run on Spark: the same text here and there.

Tables are named as in Glue (``database.table``, or the table alone), or by their feature group.
sqlglot translates the dialect; only a single query is taken, nothing that writes. Two engines agree
on what SQL says; on functions of their own they may not (docs/querying.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from sqlglot import exp

_VIEW = "_penstock_{}"


@dataclass(frozen=True)
class Known:
    """A table that may be asked for.

    Args:
        group: The feature group.
        table: Its name in Glue.
        path: Folder of the table.
        types: Column → type, in Athena's names.
    """

    group: str
    table: str
    path: str
    types: Mapping[str, str]


@dataclass(frozen=True)
class Statement:
    """A query as both engines take it.

    Args:
        athena: Its text for Athena: tables of Glue.
        spark: Its text for Spark, on views.
        views: View → the table behind it.
    """

    athena: str
    spark: str
    views: Mapping[str, Known]


def statement(text: str, known: list[Known], database: str) -> Statement:
    """Translate a query. Pure.

    Args:
        text: One SELECT, with WITH, joins, unions as Athena has them.
        known: Tables there are.
        database: The Glue database they are in.

    Raises:
        UsageError: It is no query, more than one, or asks for a table there is not.
    """
    query = _parsed(text)
    views: dict[str, Known] = {}
    schema: dict[str, object] = {}
    athena, spark = query.copy(), query.copy()
    for one in _tables(athena):
        found = _found(one, known, database)
        _rename(one, found.table, database)
    for one in _tables(spark):
        found = _found(one, known, database)
        view = _VIEW.format(known.index(found))
        views[view], schema[view] = found, dict(found.types)
        _rename(one, view, None)
    return Statement(_text(athena, "athena"), _text(_typed(spark, schema), "spark"), views)


def run(
    spark: SparkSession,
    asked: Statement,
    rows: Callable[[str], DataFrame] | None = None,
) -> DataFrame:
    """The answer, lazily.

    Args:
        spark: The session.
        asked: What :func:`statement` gives.
        rows: Feature group → all rows of its offline table, where that is no Delta table.

    Raises:
        UsageError: Spark refuses the text: an unknown column, a type that does not fit. Or there is
            no offline table.
    """
    from pyspark.errors import AnalysisException, ParseException

    from penstock.offline.table import present

    for view, one in asked.views.items():
        with present(one.group, one.path):
            found = spark.read.format("delta").load(one.path) if rows is None else rows(one.group)
            found.createOrReplaceTempView(view)
    try:
        return spark.sql(asked.spark)
    except (AnalysisException, ParseException) as error:
        said = str(error).split("\n", 1)[0]
        raise UsageError(f"Spark refuses the query: {said}", "See its text: --sql-only") from None


def _parsed(text: str) -> exp.Query:
    try:
        import sqlglot
    except ImportError:
        message = "sqlglot is not installed"
        raise UsageError(message, "pip install 'penstock[local]', or ask Athena itself") from None
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        found = [one for one in sqlglot.parse(text, read="athena") if one is not None]
    except SqlglotError as error:
        said = str(error).split("\n", 1)[0].removesuffix(".")
        raise UsageError(f"this is no SQL of Athena's: {said}") from None
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        message = "one query is taken, and nothing that changes or describes tables"
        raise UsageError(message, 'For example: penstock sql "SELECT count(*) FROM flight_status"')
    return found[0]


def _tables(query: exp.Query) -> list[exp.Table]:
    """Tables, names that WITH gives left out."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    found: dict[int, exp.Table] = {}
    for scope in traverse_scope(query):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                found[id(source)] = source
    return list(found.values())


def _found(one: exp.Table, known: list[Known], database: str) -> Known:
    """The table a name means; Athena does not tell upper case from lower."""
    name, place = one.name.lower(), one.db.lower()
    for table in known:
        if name == table.table.lower() and place in ("", database.lower()):
            return table
    for table in known:
        if name == table.group.lower() and place in ("", database.lower()):
            return table
    there = ", ".join(table.group for table in known) or "none"
    asked = f"{one.db}.{one.name}" if one.db else one.name
    raise UsageError(f"there is no table {asked!r} here", f"There are: {there}")


def _rename(one: exp.Table, name: str, database: str | None) -> None:
    """Another table under the name the rest of the query knows it by."""
    from sqlglot import exp

    if not one.alias:
        one.set("alias", exp.TableAlias(this=exp.to_identifier(one.name, quoted=True)))
    one.set("this", exp.to_identifier(name, quoted=True))
    one.set("db", None if database is None else exp.to_identifier(database, quoted=True))
    one.set("catalog", None)


def _typed(query: exp.Query, schema: dict[str, object]) -> exp.Query:
    """With types, so that a division of whole numbers stays one."""
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.annotate_types import annotate_types
    from sqlglot.optimizer.qualify import qualify

    try:
        whole = qualify(
            query.copy(),
            schema=schema,
            dialect="athena",
            validate_qualify_columns=False,
        )
        return annotate_types(whole, schema=schema, dialect="athena")
    except SqlglotError:  # what it cannot resolve Spark may, or says better what is wrong
        return query


def _text(query: exp.Query, dialect: str) -> str:
    return query.sql(dialect, pretty=True)
