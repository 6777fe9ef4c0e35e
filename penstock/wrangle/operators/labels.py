"""What encoders do to a frame: rows kept or refused, labels as numbers, columns and vectors."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as fn

from penstock.wrangle.columns import at, keep, put


def label_of(column: Column, *, ordinal: bool) -> Column:
    """A value as the text of its label; ``ordinal``: it is a whole number, whatever its type."""
    # A cast to bigint makes NaN 0, the most frequent category.
    whole = fn.when(~fn.isnan(column.cast("double")), column.cast("bigint"))
    return (whole if ordinal else column).cast("string")


def place_of(text: Column, labels: list[str]) -> Column:
    """Where a text stands among labels, from 0; null where it does not.

    Looked up by a hash: a row costs the same with a thousand labels as with ten. The table is text
    that Spark parses once, when it plans.
    """
    import json
    import zlib

    size = 1 + len(labels) // 8
    tables: list[dict[str, int]] = [{} for _ in range(size)]
    for place, label in enumerate(labels):
        tables[zlib.crc32(label.encode()) % size][label] = place
    table = fn.from_json(fn.lit(json.dumps(tables)), "array<map<string,bigint>>")
    return fn.try_element_at(fn.get(table, (fn.crc32(text) % size).cast("int")), text)


def keep_known(frame: DataFrame, labels: dict[str, list[str]], *, ordinal: bool) -> DataFrame:
    """Rows whose values all have a label."""
    for column, known in labels.items():
        frame = frame.where(label_of(at(column), ordinal=ordinal).isin(known))
    return frame


def refuse_unknown(frame: DataFrame, labels: dict[str, list[str]], *, ordinal: bool) -> DataFrame:
    """All rows; one with a value that has no label fails when it is computed."""
    made = {}
    for column, known in labels.items():
        label = label_of(at(column), ordinal=ordinal)
        said = fn.concat(fn.lit(f"no category of {column}: "), fn.coalesce(label, fn.lit("null")))
        failed = fn.raise_error(said).cast(frame.schema[column].dataType)
        made[column] = fn.when(label.isin(known), at(column)).otherwise(failed)
    return put(frame, made)


def index_categories(
    frame: DataFrame,
    columns: dict[str, str],
    labels: dict[str, list[str]],
    invalid: str,
    type_name: str,
) -> DataFrame:
    """The number of each value's label, into the column named.

    A value without one gets the number after the last (``keep``), or NaN (``nan``), which is null
    in whole numbers.
    """
    made = {}
    for column, output in columns.items():
        place = place_of(at(column).cast("string"), labels[column]).cast(type_name)
        if invalid == "keep":
            place = fn.coalesce(place, fn.lit(len(labels[column])).cast(type_name))
        elif type_name == "double":
            place = fn.coalesce(place, fn.lit(float("nan")))
        made[output] = place
    return put(frame, made)


def one_hot_columns(
    frame: DataFrame,
    columns: dict[str, dict[str, str]],
    type_name: str,
    empty: list[str],
    drop: list[str],
    *,
    ordinal: bool,
) -> DataFrame:
    """1 where a value is the label, else 0: a column for each, after all others.

    Args:
        frame: Of which.
        columns: New columns with their labels, by column.
        type_name: ``double`` or ``bigint``.
        empty: New columns that hold null.
        drop: Columns that go.
        ordinal: See :func:`label_of`.

    Raises:
        ValueError: A new column has the name of one that stays.
    """
    made = {}
    for column, labels in columns.items():
        label = label_of(at(column), ordinal=ordinal)
        for output, wanted in labels.items():
            one = fn.when(label == wanted, 1).otherwise(0).cast(type_name)
            made[output] = fn.lit(None).cast(type_name) if output in empty else one
    kept = [name for name in frame.columns if name not in drop]
    taken = {name.lower() for name in kept}
    for output in made:
        if output.lower() in taken:
            raise ValueError(f"there is a column {output} already; set output, or safe_names")
    new = [column.alias(output) for output, column in made.items()]
    return frame.select(*[at(name) for name in kept], *new)


def one_hot_vectors(
    frame: DataFrame,
    columns: dict[str, str],
    labels: dict[str, list[str]],
    *,
    ordinal: bool,
    invalid: bool,
    drop_last: bool,
) -> DataFrame:
    """A sparse vector with a 1 at the place of a value's label, into the column named.

    Args:
        frame: Of which.
        columns: Where results go, by column.
        labels: By column, in the order of their places.
        ordinal: See :func:`label_of`.
        invalid: Whether a value without a label has a place of its own, after the last.
        drop_last: Whether the last place is left out.
    """
    from pyspark.ml.feature import OneHotEncoder

    there = frame.columns
    places = {f"_place_{n}": column for n, column in enumerate(columns)}
    indexed = []
    for name, column in places.items():
        known = labels[column]
        place = place_of(label_of(at(column), ordinal=ordinal), known)
        place = fn.coalesce(place, fn.lit(len(known)))
        # How many there are, as Spark's encoder reads it: it need not count.
        nominal = {"ml_attr": {"type": "nominal", "num_vals": max(len(known) + invalid, 1)}}
        indexed.append(place.cast("double").alias(name, metadata=nominal))
    frame = frame.select("*", *indexed)
    vectors = [f"{name}_vector" for name in places]
    encoder = OneHotEncoder(inputCols=list(places), outputCols=vectors, dropLast=drop_last)
    frame = encoder.fit(frame).transform(frame)
    made = {columns[places[name]]: at(f"{name}_vector") for name in places}
    new = [one for one in made if one not in there]
    return keep(put(frame, made), [*there, *new])
