"""The SQL of a data set: both dialects' texts, run on DuckDB, answer what brute force answers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.cli.program import run
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.dataset import Dataset, HashSplit, Lookup
from penstock.errors import UsageError
from penstock.query import ATHENA, SPARK, Dialect, Table
from penstock.training.lookup import Moments
from penstock.training.scope import Scope
from penstock.training.sql import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
DIALECTS = [ATHENA, SPARK]
READ = {"athena": "trino", "spark": "spark"}
SECOND = 1_000_000_000
ZERO = 1_372_636_800 * SECOND  # 2013-07-01T00:00:00Z
STRING, DOUBLE, LONG = FeatureType.STRING, FeatureType.FRACTIONAL, FeatureType.INTEGRAL


def weather(kind: FeatureType = STRING, digits: Any = 9, name: str = "weather") -> FeatureGroup:
    """The group that is looked up."""
    features = {"origin": STRING, "at": kind, "sky": STRING, "wind-speed": DOUBLE}
    return _group(name, "origin", features, digits)


def visits(moment: FeatureType = STRING) -> FeatureGroup:
    """The base group: whom and when its current rows ask about."""
    return _group("visits", "id", {"id": STRING, "made": STRING, "who": STRING, "when": moment}, 0)


def _group(name: str, key: str, features: dict[str, FeatureType], digits: Any) -> FeatureGroup:
    kept = tuple(Feature(one, kind) for one, kind in features.items())
    event = list(features)[1]
    return FeatureGroup(name, key, event, kept, fraction_digits=digits)


class Row(NamedTuple):
    """One row of history; times are nanoseconds after :data:`ZERO`."""

    key: str
    at: int
    invoked: int
    written: int
    deleted: bool
    sky: str | None
    wind: float | None


class Case(NamedTuple):
    """How times are stored, and the finest step of each kind in nanoseconds."""

    group: FeatureGroup
    step: int
    moments: Moments
    moment_step: int


STORED = [(weather(), 1), (weather(digits=0), SECOND), (weather(DOUBLE), 1_000)]
ASKED: list[tuple[Moments, int]] = [("text", 1), ("seconds", 1_000), ("timestamp", 1_000)]
CASES = [Case(*stored, *asked) for stored in STORED for asked in ASKED]
#: Neighbours at each precision, on both sides of a whole second, and far apart.
TIMES = [0, 1, 2, 999, 1_000, 2_000, -1, -1_000, SECOND, -SECOND, 3 * SECOND]
micros = st.sampled_from([-SECOND, 0, 1_000, 2_000, SECOND, 2 * SECOND])
rows = st.builds(
    Row,
    st.sampled_from("ab"),
    st.sampled_from(TIMES[:6]) | st.sampled_from(TIMES),
    st.sampled_from([0, 1_000]),
    micros,
    st.sampled_from([False, False, True]),
    st.sampled_from(["x", "ü", "", None]),
    st.sampled_from([2.5, 0.0, -1.0, None]),
)
#: Nulls are one value of several: half of the labels would else ask nothing.
asking = st.tuples(
    st.sampled_from(["a", "b", "a", "b", "c", None]), st.sampled_from([*TIMES, None])
)
questions = st.lists(asking, min_size=4, max_size=12)
ages = st.sampled_from([None, None, 1_000, 2_000, SECOND, SECOND + 1_000])
#: Start and end of the labels, and when rows were written; half of the time there is none of it.
bounds = st.none() | st.sampled_from([-SECOND, 0, 1_000, SECOND])
scopes = st.just((None, None, None)) | st.tuples(bounds, bounds, bounds)


def text(ns: int, digits: int) -> str:
    """An instant as ISO text with so many digits."""
    whole, rest = divmod(ns, SECOND)
    day = datetime.fromtimestamp(whole, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{rest:09d}"[:digits]
    return f"{day}.{fraction}Z" if fraction else f"{day}Z"


def stored(ns: int, group: FeatureGroup) -> str | float:
    """An event time as the offline table has it."""
    if group.feature(group.event_time).type is DOUBLE:
        return ns // 1_000 / 1e6
    return text(ns, group.fraction_digits)


def stamp(ns: Sequence[int | None]) -> Any:
    """Timestamps."""
    return pa.array(
        [None if one is None else one // 1_000 for one in ns], pa.timestamp("us", "UTC")
    )


def events(history: list[Row], case: Case, zero: int) -> pa.Table:
    """The history as an offline table."""
    at = [stored(zero + row.at, case.group) for row in history]
    kind = pa.string() if case.group.feature("at").type is STRING else pa.float64()
    return pa.table(
        {
            "origin": pa.array([row.key for row in history], pa.string()),
            "at": pa.array(at, kind),
            "sky": pa.array([row.sky for row in history], pa.string()),
            "wind-speed": pa.array([row.wind for row in history], pa.float64()),
            "api_invocation_time": stamp([zero + row.invoked for row in history]),
            "write_time": stamp([zero + row.written for row in history]),
            "is_deleted": pa.array([row.deleted for row in history], pa.bool_()),
        }
    )


def labels(asked: list[tuple[str | None, int | None]], kind: Moments, zero: int) -> pa.Table:
    """A table of labels."""
    at = [None if one is None else zero + one for _, one in asked]
    if kind == "text":
        made = pa.array([None if one is None else text(one, 9) for one in at], pa.string())
    elif kind == "seconds":
        made = pa.array([None if one is None else one // 1_000 / 1e6 for one in at], pa.float64())
    else:
        made = stamp(at)
    return pa.table({"who": pa.array([who for who, _ in asked], pa.string()), "when": made})


def answered(made: str, dialect: Dialect, tables: dict[str, pa.Table]) -> list[tuple[Any, ...]]:
    """A text's rows, in DuckDB's dialect over ``lake.NAME``, each as a tuple."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'; CREATE SCHEMA lake")
        for name, table in tables.items():
            db.register("rows_in", table)
            quoted = '"' + name.replace('"', '""') + '"'
            db.execute(f"CREATE TABLE lake.{quoted} AS SELECT * FROM rows_in")
        duck = sqlglot.transpile(made, read=READ[dialect.name], write="duckdb")[0]
        return db.execute(duck).fetchall()


def newest(
    history: list[Row], who: str | None, at: int | None, lookup: Lookup, chosen: Sequence[str]
) -> list[Row]:
    """The rows a label gets, the newest first, by looking at every one."""

    def known(time: int) -> bool:
        return at is not None and (time < at if lookup.before else time <= at)

    seen = [row for row in history if row.key == who and known(row.at)]
    if lookup.written:
        seen = [row for row in seen if known(row.written)]
    found: list[Row] = []
    for time in sorted({row.at for row in seen}, reverse=True):
        row = max((one for one in seen if one.at == time), key=lambda one: _rank(one, chosen))
        if row.deleted or (lookup.oldest is not None and (at or 0) - row.at > lookup.oldest):
            break
        found.append(row)
    return found[: lookup.recent]


def instant(zero: int, after: int | None) -> datetime | None:
    """A bound of a scope."""
    if after is None:
        return None
    whole = datetime.fromtimestamp(zero // SECOND, timezone.utc)
    return whole + timedelta(microseconds=after // 1_000)


def _within(at: int | None, start: int | None, end: int | None) -> bool:
    if at is None:
        return start is None and end is None
    return (start is None or at >= start) and (end is None or at < end)


def _rank(row: Row, chosen: Sequence[str]) -> tuple[Any, ...]:
    values = {
        "sky": (row.sky is not None, (row.sky or "").encode()),
        "wind-speed": (row.wind is not None, row.wind or 0.0),
        "at": (True, 0),
    }
    return (row.at, row.invoked, row.written, row.deleted, *(values[one] for one in chosen))


def tables_of(*groups: FeatureGroup) -> dict[str, Table]:
    """Their tables."""
    return {one.name: Table.registered("lake", one.name) for one in groups}


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("examples", [50, pytest.param(500, marks=pytest.mark.prove)])
def test_the_text_equals_brute_force(examples: int) -> None:
    """Every label once, equal ones too, with the best of what was known at its moment."""

    @settings(max_examples=examples, deadline=None)
    @given(
        st.lists(rows, max_size=30) | st.lists(rows, min_size=8, max_size=30),
        questions,
        st.sampled_from(CASES),
        st.sampled_from([ZERO, 0, -86_400 * SECOND]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        ages,
        st.sampled_from([("at", "sky", "wind-speed"), ("wind-speed", "sky"), ("sky",)]),
        st.sampled_from([1, 1, 2, 3, 5]),
        scopes,
        st.sampled_from(DIALECTS),
    )
    def answers(
        history: list[Row],
        asked: list[tuple[str | None, int | None]],
        case: Case,
        zero: int,
        before: bool,
        written: bool,
        required: bool,
        age: int | None,
        chosen: tuple[str, ...],
        recent: int,
        scoped: tuple[int | None, int | None, int | None],
        dialect: Dialect,
    ) -> None:
        lookup = Lookup(
            "weather",
            on="who",
            features=chosen,
            prefix="then_",
            max_age=None if age is None else timedelta(microseconds=age // 1_000),
            before=before,
            written=written,
            required=required,
            recent=recent,
        )
        history = [one._replace(at=one.at // case.step * case.step) for one in history]
        cut = case.moment_step
        asked = [(who, None if at is None else at // cut * cut) for who, at in asked]
        start, end, as_of = scoped
        if start is not None and end is not None and end <= start:
            end = None
        groups = {"visits": visits(), "weather": case.group}
        made = sql(
            Dataset("asked", "visits", "when", (lookup,)),
            groups,
            tables_of(*groups.values()),
            dialect,
            labels=Table.registered("lake", "labels"),
            moments=case.moments,
            scope=Scope(*(instant(zero, one) for one in (start, end, as_of))),
        )
        there = {
            "weather": events(history, case, zero),
            "labels": labels(asked, case.moments, zero),
        }
        wanted = []
        own = there["labels"].to_pylist()
        held = [one for one in history if as_of is None or one.written <= as_of]
        for (who, at), label in zip(asked, own, strict=True):
            if not _within(at, start, end):
                continue
            found = newest(held, who, at, lookup, chosen)
            if not found and required:
                continue
            kept: list[Any] = []
            for row in found:
                values = {
                    "at": stored(zero + row.at, case.group),
                    "sky": row.sky,
                    "wind-speed": row.wind,
                }
                kept += [values[one] for one in chosen]
            kept += [None] * (recent * len(chosen) - len(kept))
            wanted.append((*label.values(), *kept))
        assert sorted(answered(made, dialect, there), key=repr) == sorted(wanted, key=repr)

    answers()


def _one(**values: Any) -> Row:
    return Row("a", 0, 0, 0, deleted=False, sky="", wind=None)._replace(**values)


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("options", "history", "asked", "wanted"),
    [
        ({}, [_one(sky="x")], [("a", 0), ("a", 0), ("a", -1)], ["x", "x", None]),
        ({}, [_one(sky="x")], [(None, 0), ("a", None), ("b", 0)], [None, None, None]),
        ({}, [_one(sky="y", at=1), _one(sky="z", invoked=1_000)], [("a", 1)], ["y"]),
        ({}, [_one(sky="y", invoked=1_000), _one(sky="z", written=1_000)], [("a", 0)], ["y"]),
        ({}, [_one(sky="y", written=1_000), _one(sky="z", deleted=True)], [("a", 0)], ["y"]),
        ({}, [_one(deleted=True), _one(sky="z")], [("a", 0)], [None]),
        ({}, [_one(sky="y"), _one(sky="z"), _one(sky=None)], [("a", 0)], ["z"]),
        ({}, [_one(sky=""), _one(sky=None)], [("a", 0)], [""]),
        ({}, [_one(sky="x"), _one(at=1, deleted=True)], [("a", 0), ("a", 1)], ["x", None]),
        ({"before": True}, [_one(sky="x")], [("a", 0), ("a", 1)], [None, "x"]),
        (
            {"max_age": timedelta(microseconds=1)},
            [_one(sky="x")],
            [("a", 1_000), ("a", 1_001)],
            ["x", None],
        ),
        (  # the newest known is deleted or too old: no older one takes its place
            {"max_age": timedelta(microseconds=1)},
            [_one(sky="x"), _one(at=1, deleted=True)],
            [("a", 2)],
            [None],
        ),
        (
            {"written": True},
            [_one(sky="x"), _one(at=1, written=2_000, sky="y"), _one(at=2, written=1_000, sky="z")],
            [("a", 999), ("a", 1_000), ("a", 2_000)],
            ["x", "z", "z"],
        ),
        (
            {"written": True, "before": True},
            [_one(sky="x", written=1_000)],
            [("a", 1_000), ("a", 1_001)],
            [None, "x"],
        ),
        ({"required": True}, [_one(sky=None)], [("a", 0), ("a", 0), ("a", -1)], [None, None]),
    ],
)
def test_each_option_does_what_the_docs_say(
    options: dict[str, Any],
    history: list[Row],
    asked: list[tuple[str | None, int | None]],
    wanted: list[str | None],
    dialect: Dialect,
) -> None:
    """One rule a case: ties at each level, nulls, both sides of each boundary."""
    groups = {"visits": visits(), "weather": weather()}
    made = sql(
        Dataset("asked", "visits", "when", (Lookup("weather", "who", ("sky",), **options),)),
        groups,
        tables_of(*groups.values()),
        dialect,
        labels=Table.registered("lake", "labels"),
    )
    there = {
        "weather": events(history, CASES[0], ZERO),
        "labels": labels(asked, "text", ZERO),
    }
    answer = answered(made, dialect, there)
    own = [tuple(one.values()) for one in there["labels"].to_pylist()]
    expected = [(*one, sky) for one, sky in zip(own, wanted, strict=False)]
    assert sorted(answer, key=repr) == sorted(expected, key=repr)


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("options", "history", "at", "wanted"),
    [
        ({}, [_one(sky="x"), _one(at=1, sky="y")], 1, ["y", "x", None]),
        ({}, [_one(sky="x"), _one(at=1, sky="y")], 0, ["x", None, None]),
        ({"before": True}, [_one(sky="x"), _one(at=1, sky="y")], 1, ["x", None, None]),
        # Rows of one time are one event, of which the winner counts.
        ({}, [_one(sky="x"), _one(sky="y"), _one(at=-1, sky="z")], 0, ["y", "z", None]),
        ({}, [_one(sky="x"), _one(sky="x"), _one(sky="x")], 0, ["x", None, None]),
        # Nothing is seen through a deletion; one that lost its tie is none.
        (
            {},
            [_one(sky="x"), _one(at=1, deleted=True), _one(at=2, sky="y"), _one(at=3, sky="z")],
            3,
            ["z", "y", None],
        ),
        (
            {},
            [_one(sky="x"), _one(at=1, deleted=True), _one(at=1, sky="y", invoked=1_000)],
            1,
            ["y", "x", None],
        ),
        # Each for itself is too old.
        (
            {"max_age": timedelta(microseconds=2)},
            [_one(sky="x"), _one(at=1_000, sky="y"), _one(at=3_000, sky="z")],
            3_000,
            ["z", "y", None],
        ),
        # The winner of a time is the best that was known: the better one came too late.
        (
            {"written": True},
            [_one(sky="x"), _one(at=1, sky="y"), _one(at=1, sky="z", written=2_000)],
            1_000,
            ["y", "x", None],
        ),
        (
            {"written": True},
            [_one(sky="x"), _one(at=1, sky="y"), _one(at=1, sky="z", written=2_000)],
            2_000,
            ["z", "x", None],
        ),
        # Late rows find their place among those that were there before.
        (
            {"written": True},
            [_one(at=2, sky="z"), _one(sky="x", written=1_000), _one(at=1, sky="y", written=2_000)],
            2_000,
            ["z", "y", "x"],
        ),
        (
            {"written": True},
            [_one(at=2, sky="z"), _one(sky="x"), _one(at=1, deleted=True, written=2_000)],
            2_000,
            ["z", None, None],
        ),
    ],
)
def test_the_most_recent_versions(
    options: dict[str, Any],
    history: list[Row],
    at: int,
    wanted: list[str | None],
    dialect: Dialect,
) -> None:
    """One rule a case; the newest first, in numbered columns."""
    groups = {"visits": visits(), "weather": weather()}
    lookup = Lookup("weather", "who", ("sky",), recent=3, **options)
    made = sql(
        Dataset("asked", "visits", "when", (lookup,)),
        groups,
        tables_of(*groups.values()),
        dialect,
        labels=Table.registered("lake", "labels"),
    )
    there = {
        "weather": events(history, CASES[0], ZERO),
        "labels": labels([("a", at), ("b", at)], "text", ZERO),
    }
    answer = sorted(answered(made, dialect, there))
    assert answer[0][2:] == tuple(wanted)
    assert answer[1][2:] == (None, None, None)


def test_a_lookup_asks_by_an_older_version_of_another() -> None:
    """What a numbered column holds can be looked up like any other."""
    history = [
        Row("a", 0, 0, 0, False, "c", 1.0),
        Row("a", 1, 0, 0, False, "d", 2.0),
        Row("c", 0, 0, 0, False, "x", 3.0),
    ]
    groups = {"visits": visits(), "weather": weather()}
    lookups = (
        Lookup("weather", "who", ("sky",), prefix="own_", recent=2),
        Lookup("weather", "own_sky_2", ("wind-speed",), prefix="then_"),
    )
    made = sql(
        Dataset("asked", "visits", "when", lookups),
        groups,
        tables_of(*groups.values()),
        ATHENA,
        labels=Table.registered("lake", "labels"),
    )
    there = {
        "weather": events(history, CASES[0], ZERO),
        "labels": labels([("a", 1)], "text", ZERO),
    }
    assert [row[2:] for row in answered(made, ATHENA, there)] == [("d", "c", 3.0)]


def test_as_many_versions_as_may_be_make_a_text_athena_takes() -> None:
    """Its texts have 262,144 bytes at most."""
    groups = {"visits": visits(), "weather": weather()}
    dataset = Dataset("asked", "visits", "when", (Lookup("weather", "who", recent=100),))
    made = sql(dataset, groups, tables_of(*groups.values()), ATHENA)
    assert len(made.encode()) < 262_144
    assert made.count('FROM "lake"."weather"') == 1
    assert made.count('"_events_0"') == 3  # made once, read twice, however many versions


VISITS = [
    # id, made, who, when, minutes of both system times, deleted
    ("1", text(ZERO, 0), "a", text(ZERO, 0), 0, False),
    ("1", text(ZERO + SECOND, 0), "b", text(ZERO + 3 * SECOND, 0), 0, False),  # the current one
    ("2", text(ZERO, 0), "b", text(ZERO + 3 * SECOND, 0), 0, False),  # asks the same
    ("3", text(ZERO, 0), None, text(ZERO, 0), 0, False),
    ("4", text(ZERO, 0), "a", None, 0, False),
    ("5", text(ZERO, 0), "a", text(ZERO, 0), 0, False),
    ("5", text(ZERO, 0), "a", text(ZERO, 0), 1, True),  # deleted
    ("6", text(ZERO, 0), "a", "2013-07-01T04:00:01.5+04:00", 0, False),  # an offset, one digit
]


def visited() -> pa.Table:
    """The base group's offline table."""
    columns = list(zip(*VISITS, strict=True))
    names = ["id", "made", "who", "when"]
    made = {
        name: pa.array(values, pa.string()) for name, values in zip(names, columns, strict=False)
    }
    system = stamp([ZERO + one * 60 * SECOND for one in columns[4]])
    return pa.table(
        made
        | {"api_invocation_time": system, "write_time": system}
        | {"is_deleted": pa.array(columns[5])}
    )


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_labels_are_the_current_rows_of_the_base_group(dialect: Dialect) -> None:
    """Two lookups of one group side by side, a third by a column the first one found."""
    history = [
        Row("a", 0, 0, 0, False, "b", 1.0),
        Row("a", SECOND, 0, 0, False, "c", 2.0),
        Row("b", SECOND, 0, 0, False, "a", 3.0),
        Row("c", SECOND, 0, 0, False, "x", 4.0),
    ]
    groups = {"visits": visits(), "weather": weather()}
    lookups = (
        Lookup("weather", "who", features=("sky",), prefix="own_"),
        Lookup("weather", "who", features=("wind-speed",), prefix="last_", before=True),
        Lookup("weather", "own_sky", features=("origin", "wind-speed"), prefix="near_"),
    )
    made = sql(
        Dataset("asked", "visits", "when", lookups), groups, tables_of(*groups.values()), dialect
    )
    there = {"visits": visited(), "weather": events(history, CASES[0], ZERO)}
    found = answered(made, dialect, there)
    answer = {row[0]: row[2:3] + row[4:] for row in found}
    assert len(found) == len(answer)
    assert answer == {
        "1": ("b", "a", 3.0, "a", 2.0),
        "2": ("b", "a", 3.0, "a", 2.0),
        "3": (None, None, None, None, None),
        "4": ("a", None, None, None, None),
        "6": ("a", "c", 2.0, "c", 4.0),
    }


@pytest.mark.shows("6.2")
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("scope", "wanted"),
    [
        (Scope(), {"1": "b", "2": "b", "3": None, "4": None, "6": None}),
        # Half a minute later the fifth was there, and of the history the rows of that minute.
        (
            Scope(as_of=datetime(2013, 7, 1, 0, 0, 30, tzinfo=timezone.utc)),
            {"1": "b", "2": "b", "3": None, "4": None, "5": "a", "6": "a"},
        ),
        (Scope(as_of=datetime(2013, 6, 30, tzinfo=timezone.utc)), {}),
        (
            Scope(datetime(2013, 7, 1, 0, 0, 2, tzinfo=timezone.utc)),
            {"1": "b", "2": "b"},
        ),
        (
            Scope(end=datetime(2013, 7, 1, 0, 0, 3, tzinfo=timezone.utc)),
            {"3": None, "6": None},
        ),
    ],
    ids=["all", "written by", "before all", "from", "until"],
)
def test_a_scope_is_that_of_the_base_group_too(
    dialect: Dialect, scope: Scope, wanted: dict[str, str | None]
) -> None:
    """Labels are current as of then: what was deleted later is there."""
    history = [
        Row("a", 0, 0, 0, False, "a", 1.0),
        Row("a", 0, 0, 60 * SECOND, True, None, None),
        Row("b", 1, 0, 0, False, "b", 2.0),
    ]
    groups = {"visits": visits(), "weather": weather()}
    made = sql(
        Dataset("asked", "visits", "when", (Lookup("weather", "who", ("sky",)),)),
        groups,
        tables_of(*groups.values()),
        dialect,
        scope=scope,
    )
    there = {"visits": visited(), "weather": events(history, CASES[0], ZERO)}
    answer = answered(made, dialect, there)
    assert {row[0]: row[-1] for row in answer} == wanted
    assert len(answer) == len(wanted)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_without_a_lookup_it_is_the_labels(dialect: Dialect) -> None:
    """Nothing is looked up, nothing is lost."""
    groups = {"visits": visits()}
    made = sql(Dataset("asked", "visits", "when", ()), groups, tables_of(visits()), dialect)
    answer = answered(made, dialect, {"visits": visited()})
    assert sorted(row[0] for row in answer) == ["1", "2", "3", "4", "6"]


def test_a_name_of_with_is_computed_for_each_lookup_once_more_and_no_oftener() -> None:
    """Athena computes such a name at each use: lookups by the labels' own columns do not chain."""
    groups = {"visits": visits(), "weather": weather()}
    lookups = tuple(Lookup("weather", "who", prefix=f"p{n}_") for n in range(6))
    made = sql(
        Dataset("asked", "visits", "when", lookups), groups, tables_of(*groups.values()), ATHENA
    )
    assert made.count('FROM "_labels_0"') == 7
    assert [made.count(f'FROM "_labels_{n}"') for n in range(1, 7)] == [1] * 6


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", ['a"b', "a`b", "x' --", "a;DROP TABLE y", "{}", "é /*", "a b\\"])
def test_hostile_names_stay_names(dialect: Dialect, name: str) -> None:
    """The labels' columns and table, the prefix: whatever it is called, that is what is read."""
    groups = {"visits": visits(), "weather": weather()}
    lookup = Lookup("weather", f"who{name}", features=("sky",), prefix=name)
    made = sql(
        Dataset("asked", "visits", f"when{name}", (lookup,)),
        groups,
        tables_of(*groups.values()),
        dialect,
        labels=Table.registered("lake", name),
        moments="text",
    )
    asked = labels([("a", 0), ("b", 0)], "text", ZERO)
    there = {
        name: asked.rename_columns([f"{one}{name}" for one in asked.column_names]),
        "weather": events([Row("a", 0, 0, 0, False, "x", 1.0)], CASES[0], ZERO),
    }
    assert sorted(answered(made, dialect, there)) == [
        ("a", text(ZERO, 9), "x"),
        ("b", text(ZERO, 9), None),
    ]
    parsed = sqlglot.parse(made, read=READ[dialect.name])
    assert len(parsed) == 1


def _refused(dataset: Dataset, dialect: Dialect = ATHENA, **more: Any) -> str:
    groups = {"visits": visits(), "weather": weather(), "counts": COUNTS}
    with pytest.raises(UsageError) as caught:
        sql(dataset, groups, tables_of(*groups.values()), dialect, **more)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return f"{caught.value} {caught.value.remedy}"


COUNTS = _group("counts", "number", {"number": LONG, "at": STRING, "n": LONG}, 0)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (Dataset("d", "visits", "then", ()), "no column 'then'"),
        (Dataset("d", "counts", "n", ()), "Integral"),
        (Dataset("d", "visits", "when", (Lookup("nobody", "who"),)), "no feature group 'nobody'"),
        (Dataset("d", "visits", "when", (Lookup("weather", "whom"),)), "no column 'whom'"),
        (Dataset("d", "visits", "when", (Lookup("weather", "who", ("rain",)),)), "'rain'"),
        (Dataset("d", "visits", "when", (Lookup("counts", "who"),)), "is String, not Integral"),
        (Dataset("d", "visits", "when", (Lookup("weather", "who"),) * 2), "already"),
        (Dataset("d", "visits", "when", (), labels=lambda rows: rows), "--labels"),
    ],
)
def test_what_has_no_sql_is_refused_in_one_line(dataset: Dataset, said: str) -> None:
    """As building refuses it, and before a text is made."""
    assert said in _refused(dataset)


def test_moments_are_named_for_a_table_of_labels_alone() -> None:
    """Of the base group's rows it is known what they are."""
    assert "--moments" in _refused(Dataset("d", "visits", "when", ()), moments="text")


def test_a_prefix_spark_would_rewrite_is_refused() -> None:
    """Spark replaces ${…} everywhere in a text, quoted or not."""
    lookup = Lookup("weather", "who", prefix="${env:HOME}")
    assert "variables" in _refused(Dataset("d", "visits", "when", (lookup,)), SPARK)


@pytest.mark.parametrize("micros", [1, 3, 9, 1_001, 2_500_001, 8_000_003, 10**15 + 1])
def test_an_age_is_exact(micros: int) -> None:
    """No second passes through a double: the boundary is at the very microsecond."""
    assert Lookup("g", "on", max_age=timedelta(microseconds=micros)).oldest == micros * 1_000


def test_the_longest_age_fits_a_number_of_both_engines() -> None:
    """Longer than all times there can be is no limit."""
    assert Lookup("g", "on", max_age=timedelta.max).oldest == 2**63 - 1


def test_the_comment_says_what_is_left_out() -> None:
    """Python and parts are no SQL; nothing is said of what there is not."""
    plain = Dataset("d", "visits", "when", ())
    whole = Dataset(
        "d",
        "visits",
        "when",
        (),
        labels=lambda rows: rows,
        transform=lambda rows: rows,
        split=HashSplit("who", {"one": 0.5, "two": 0.5}),
    )
    said = {}
    for name, one, table in (("plain", plain, None), ("whole", whole, Table(("labels",)))):
        made = sql(one, {"visits": visits()}, tables_of(visits()), ATHENA, labels=table)
        said[name] = [line for line in made.split("\n") if line.startswith("--")]
    assert len(said["plain"]) == 2
    assert said["plain"][-1] == "-- Not verified on AWS."
    left = " ".join(said["whole"])
    assert all(word in left for word in ("Labels are made by Python", "transform", "split"))


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Options that put lake and state into a folder of the test."""
    where = {"lake": tmp_path / "lake", "state": tmp_path / "state"}
    sets = [f"{key}={value}" for key, value in where.items()]
    return ["--project", str(ROOT), "--set", sets[0], "--set", sets[1]]


def test_the_command_prints_one_query_for_athena(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Comments, then SQL that a parser of Athena's dialect takes, in the catalogue's database."""
    assert run(["dataset", "sql", "flight_delays", "--labels", "late", *place]) == 0
    said = capsys.readouterr().out
    assert said.startswith("-- Data set flight_delays:")
    assert 'FROM "penstock_flights"."late"' in said
    assert 'FROM "penstock_flights"."airport_weather"' in said
    assert f"<= {28 * 86_400 * SECOND}" in said
    assert len(sqlglot.parse(said, read="trino")) == 1


def test_the_command_says_which_labels_and_which_rows(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In numbers of the query, and for people in the comment above it."""
    words = ["dataset", "sql", "flight_delays", "--labels", "late", "--start", "2013-07-01"]
    scope = ["--end", "2013-07-01T12:00:00Z", "--as-of", "2014-01-01"]
    assert run([*words, *scope, *place]) == 0
    said = capsys.readouterr().out
    assert f">= {ZERO}\n" in said
    assert f"< {ZERO + 12 * 3_600 * SECOND}\n" in said
    assert said.count("<= 1388534400000000000") == 2  # of either lookup
    assert "-- Moments: from 2013-07-01T00:00:00Z to before 2013-07-01T12:00:00Z." in said
    assert "written by 2014-01-01T00:00:00Z, but all labels of their table." in said
    assert len(sqlglot.parse(said, read="trino")) == 1


def test_a_build_refuses_an_instant_without_a_zone_before_anything_runs(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, one line, and Spark was not started for it."""
    assert run(["dataset", "build", "flight_delays", "--as-of", "2013-07-01T00:00:00", *place]) == 2
    said = capsys.readouterr()
    assert "2013-07-01T00:00:00' is neither a date nor an instant. Write 2013-01-01" in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_the_command_names_folders_for_spark(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Offline tables by their path; so a table of labels that is a path."""
    words = ["dataset", "sql", "flight_delays", "--engine", "spark", "--labels", "/some/late"]
    assert run([*words, "--moments", "timestamp", "--json", *place]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engine"] == "spark"
    assert "FROM `delta`.`/some/late`" in found["sql"]
    assert f"`delta`.`{tmp_path}/lake/offline/aircraft_history`" in found["sql"]
    assert "unix_micros(`_l`.`scheduled_departure`)" in found["sql"]
    assert len(sqlglot.parse(found["sql"], read="spark")) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "its labels are made by Python"),
        (["--labels", "lake."], "'lake.' is no table"),
        (["--labels", ""], "'' is no table"),
        (["--labels", "l", "--start", "2013-07-01T00:00:00"], "is neither a date nor an instant"),
        (["--labels", "l", "--as-of", "now"], "'now' is neither a date nor an instant"),
        (
            ["--labels", "l", "--start", "2013-07-01", "--end", "2013-07-01T00:00:00Z"],
            "is not after the start",
        ),
    ],
)
def test_the_command_refuses_in_one_line(
    words: list[str], said: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, and what to type instead."""
    assert run(["dataset", "sql", "flight_delays", *words, *place]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
