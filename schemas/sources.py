"""The raw files as the pipelines read them; where they lie is in ``conf``.

Only columns that are used are declared. ``NA`` is how these files write null.
"""

from __future__ import annotations

from penstock.contract import Column, ColumnType, Source
from schemas.rules import between, matches, present

NULL_TEXTS = ("", "NA")

FLIGHTS = Source(
    columns=(
        Column("carrier"),
        Column("flight", ColumnType.LONG),
        Column("tailnum"),
        Column("origin"),
        Column("dest"),
        Column("time_hour", ColumnType.TIMESTAMP),  # scheduled hour, UTC
        Column("minute", ColumnType.LONG),  # scheduled minute after time_hour
        Column("dep_time", ColumnType.LONG),  # local HHMM, like the next two
        Column("sched_arr_time", ColumnType.LONG),
        Column("arr_time", ColumnType.LONG),
        Column("dep_delay", ColumnType.LONG),  # minutes, like the next two
        Column("arr_delay", ColumnType.LONG),
        Column("air_time", ColumnType.LONG),
        Column("distance", ColumnType.LONG),  # miles
    ),
    null_texts=NULL_TEXTS,
    expectations=(
        present("carrier"),
        present("flight"),
        present("origin"),
        present("dest"),
        present("time_hour"),
        between("minute", 0, 59),
        between("dep_time", 1, 2400),
        between("sched_arr_time", 1, 2400),
        between("arr_time", 1, 2400),
    ),
)

WEATHER = Source(
    columns=(
        Column("origin"),
        Column("time_hour", ColumnType.TIMESTAMP),  # hour of observation, UTC
        Column("temp", ColumnType.DOUBLE),
        Column("dewp", ColumnType.DOUBLE),
        Column("humid", ColumnType.DOUBLE),
        Column("wind_dir", ColumnType.LONG),
        Column("wind_speed", ColumnType.DOUBLE),
        Column("wind_gust", ColumnType.DOUBLE),
        Column("precip", ColumnType.DOUBLE),
        Column("pressure", ColumnType.DOUBLE),
        Column("visib", ColumnType.DOUBLE),
    ),
    null_texts=NULL_TEXTS,
)

AIRPORTS = Source(
    columns=(Column("faa"), Column("tzone")),
    null_texts=NULL_TEXTS,
    # A name that is no zone would end the whole run inside Spark.
    expectations=(present("faa"), matches("tzone", r"^[A-Z][A-Za-z]+(/[A-Z][A-Za-z_]+)+$")),
)
