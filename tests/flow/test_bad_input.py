"""Bad rows among good ones: each is in quarantine once, with its place; good ones arrive exactly.

Every format gets all cases in one file and one run; a second run meets the same file with two rows
more.
"""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from tests.lab import Lab

AT = "2024-01-01T00:00:00Z"
NAMES = ("id", "at", "whole", "number", "words")
GROUP = FeatureGroup(
    name="mixed",
    record_identifier="id",
    event_time="at",
    features=(
        Feature("id", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("whole", FeatureType.INTEGRAL),
        Feature("number", FeatureType.FRACTIONAL),
        Feature("words", FeatureType.STRING),
    ),
)
SOURCE = Source(
    columns=(
        Column("id"),
        Column("at", ColumnType.TIMESTAMP),
        Column("whole", ColumnType.LONG),
        Column("number", ColumnType.DOUBLE),
        Column("words"),
    )
)
PIPELINE = Pipeline(GROUP, {"mixed": SOURCE})


@dataclass(frozen=True)
class Case:
    """A row as text or bytes, and the (column, rule, stage) it must be put aside with, if any."""

    id: str | None
    at: str | None = AT
    whole: str | None = "1"
    number: str | None = "0.5"
    words: str | bytes | None = "w"
    aside: tuple[str | None, str, str] | None = None
    line: bytes | None = None

    @property
    def values(self) -> tuple[str | bytes | None, ...]:
        """In the order of the columns."""
        return self.id, self.at, self.whole, self.number, self.words


def source(column: str, rule: str, **values: Any) -> Case:
    """A row the source gate puts aside."""
    return Case(
        f"bad {column} {next(iter(values.values()))!a}", **values, aside=(column, rule, "source")
    )


BAD = [
    *(
        source("whole", "TYPE", whole=text)
        for text in ("1.5", "１２", "1_000", " 1 ", "1e3", "0x10", "true", "1\n", "NaN")
    ),
    *(source("whole", "RANGE", whole=text) for text in (str(2**63), str(-(2**63) - 1), "9" * 40)),
    *(
        source("number", "NON_FINITE", number=text)
        for text in ("NaN", "nan", "Infinity", "-inf", "1e400")
    ),
    *(source("number", "TYPE", number=text) for text in ("0x1p3", "1,5", "1 000", "١", "0.5f")),
    *(
        source("at", "EVENT_TIME", at=text)
        for text in (
            "2024",
            "12:30:00",
            "1704067200000",
            "1704067200",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-02-30T00:00:00Z",
            f"{AT}\n",
        )
    ),
    Case("bad far future", at="2199-01-01T00:00:00Z", aside=("at", "FUTURE", "feature")),
    Case("bad end of time", at="9999-12-31T23:59:59Z", aside=("at", "FUTURE", "feature")),
    Case("bad beginning of time", at="0001-01-01T00:00:00Z", aside=("at", "RANGE", "feature")),
    Case("bad no time", at=None, aside=("at", "NULL_KEY", "feature")),
    Case(None, aside=("id", "NULL_KEY", "feature")),
    Case("k" * 3072, aside=("id", "OVERSIZE", "feature")),
    Case("é" * 1024 + "x", aside=("id", "OVERSIZE", "feature")),
    Case("bad record", words="x" * 358_400, aside=(None, "OVERSIZE", "feature")),
    Case("bad two ways", whole="x", number="y", aside=("whole", "TYPE", "source")),
]
#: Texts that must come out of both stores as they went in.
WORDS = [
    "🦜 👩‍👩‍👧‍👦 naïve ﷺ",
    'say "hi", it\'s `quoted`',
    "two\nlines\r\nand\ta tab",
    "nul\x00in the middle\x00",
    "back\\slash \\n \\u0041",
    " blanks ",
    "NaN",
    "null",
    "\u2028\ufeff\x1f\x7f",
    "x" * 100_000,
    "',(SELECT 1)--",
    "=1+1",
]
NUMBERS = ["-0.0", "5e-324", "1.7976931348623157e308", "0.1", "+1", "1.", ".5", "1e-400", None]
WHOLES = [str(2**63 - 1), str(-(2**63)), "+1", "007", "-0", None]
GOOD = [
    *(Case(f"word {n}", words=text) for n, text in enumerate(WORDS)),
    *(Case(f"number {n}", number=text) for n, text in enumerate(NUMBERS)),
    *(Case(f"whole {n}", whole=text) for n, text in enumerate(WHOLES)),
    *(Case(one) for one in ("🦜", 'id "q"', "k" * 2048, " id ", "id\\", "id/../id", "Id", "id")),
    Case("before 1970", at="1969-12-31T23:59:59.999999Z"),
    Case("another zone", at="2024-01-01T05:30:00+05:30"),
    Case("nanoseconds", at="2024-01-01T00:00:00.123456789Z"),
]
TIMES = {"before 1970": "1969-12-31T23:59:59Z"}


def rows_of(*more: Case) -> list[Case]:
    """Good and bad ones side by side, then more."""
    mixed = [one for pair in zip(GOOD, BAD, strict=False) for one in pair]
    return [*mixed, *GOOD[len(BAD) :], *BAD[len(GOOD) :], *more]


def write_csv(path: Path, cases: list[Case]) -> list[int]:
    """Every value quoted; answers the line each case starts on."""
    places = []
    with path.open("wb") as file:
        file.write(b"more,words,number,whole,at,id\n")
        lines = 2
        for case in cases:
            if case.line is None:
                fields = [b"", *(_bytes(one) for one in reversed(case.values))]
                data = b",".join(b'"' + one.replace(b'"', b'""') + b'"' for one in fields) + b"\n"
            else:
                data = case.line
            places.append(lines)
            file.write(data)
            lines += data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")
    return places


def _bytes(value: str | bytes | None) -> bytes:
    return b"" if value is None else value if isinstance(value, bytes) else value.encode()


def write_json(path: Path, cases: list[Case]) -> list[int]:
    """Numbers as JSON numbers, lone surrogates as escapes; answers the lines."""
    with path.open("wb") as file:
        for case in cases:
            file.write(_json_line(case) if case.line is None else case.line)
    return list(range(1, len(cases) + 1))


def _json_line(case: Case) -> bytes:
    row: dict[str, Any] = {"more": [1]}
    for name, value in zip(NAMES, case.values, strict=True):
        if value is not None:
            row[name] = (
                value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value
            )
    text = json.dumps(row)
    if case.whole is not None and case.whole.lstrip("-").isascii() and case.whole.isdecimal():
        text = text.replace(f'"whole": "{case.whole}"', f'"whole": {case.whole.lstrip("0") or 0}')
    return text.encode() + b"\n"


def write_parquet(path: Path, cases: list[Case]) -> list[int]:
    """Text columns in small row groups; answers the rows' indices."""
    columns = list(zip(*(case.values for case in cases), strict=True))
    arrays = [pa.array([_raw(one) for one in c], pa.binary()).view(pa.string()) for c in columns]
    table = pa.Table.from_arrays([*arrays, pa.nulls(len(cases))], [*NAMES, "more"])
    pq.write_table(table, path, row_group_size=7)
    return list(range(len(cases)))


def _raw(value: str | bytes | None) -> bytes | None:
    return None if value is None else _bytes(value)


@dataclass(frozen=True)
class Format:
    """How a format's file is written, and the bad rows only it can hold."""

    write: Callable[[Path, list[Case]], list[int]]
    only: list[Case]


def _text(aside: bytes) -> Case:
    return Case("bad bytes", words=aside, aside=("words", "ENCODING", "source"))


SHAPE = (None, "SHAPE", "source")
FORMATS = {
    "csv": Format(
        write_csv,
        [
            _text(b"caf\xe9"),
            _text(b"\xed\xa0\xbd"),
            Case("", aside=("id", "NULL_KEY", "feature")),
            Case("bad long", line=b"a,b,c,d,e,f,g\n", aside=SHAPE),
            Case("bad short", line=b'"a","b\nc"\n', aside=SHAPE),
            Case("bad quote", line=b'"a"b,b,c,d,e,f\n', aside=SHAPE),
        ],
    ),
    "json": Format(
        write_json,
        [
            _text(b"\xed\xa0\xbd"),
            _text(b"\xed\xb3\x83\xed\xb2\xa9"),  # escapes that look like the bytes of é
            _text(b"\xed\xb2\x80"),
            Case("bad bare", line=b'"text"\n', aside=SHAPE),
            Case("bad end", line=b'{"id":"a","at":\n', aside=SHAPE),
            Case("bad nested", line=b'{"id":"a","whole":{"a":1}}\n', aside=SHAPE),
            Case("bad twice", line=b'{"id":"a","id":"b"}\n', aside=SHAPE),
            Case(
                "bad bytes",
                line=b'{"id":"a\xff","at":"%s"}\n' % AT.encode(),
                aside=("id", "ENCODING", "source"),
            ),
            Case(
                "bad nan",
                line=b'{"id":"a","number":NaN}\n',
                aside=("number", "NON_FINITE", "source"),
            ),
            Case(
                "bad 2^63",
                line=b'{"id":"a","whole":9223372036854775808}\n',
                aside=("whole", "RANGE", "source"),
            ),
        ],
    ),
    "parquet": Format(
        write_parquet,
        [
            _text(b"caf\xe9"),
            _text(b"\xed\xa0\xbd"),
            Case("", aside=("id", "NULL_KEY", "feature")),
            Case("bad empty", whole="", aside=("whole", "TYPE", "source")),
        ],
    ),
}


@pytest.mark.shows("3.5")
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.prove) if one != "csv" else one for one in FORMATS],
)
def test_every_bad_row_is_put_aside_once_and_every_good_one_arrives(lab: Lab, name: str) -> None:
    """File, position, column, rule, stage of each; good text is the same bytes in both stores."""
    made = FORMATS[name]
    path = lab.root / f"mixed.{name}"
    cases = rows_of(*made.only)
    places = made.write(path, cases)
    result = _ingest(lab, name, path)
    assert result.figures.sources[0].extra == ("more",)
    assert result.figures.all_quarantined == sum(one.aside is not None for one in cases)
    assert result.figures.offline == len(GOOD)
    assert result.figures.read == len(cases)
    _check(lab, cases, [(str(path), place) for place in places])
    assert _ingest(lab, name, path).state == "unchanged"
    # A new generation meets every bad row again, and one more.
    more = [Case("late", words="later"), source("whole", "TYPE", whole="later still")]
    places = made.write(path, [*cases, *more])
    again = _ingest(lab, name, path)
    assert (again.state, again.figures.offline) == ("done", 1)
    _check(lab, [*cases, *more], [(str(path), place) for place in places])


@pytest.mark.shows("3.5")
def test_bad_rows_of_a_delta_table_name_its_file(lab: Lab) -> None:
    """The same from a Delta source, which does not say which row of its file a row is."""
    path, cases = lab.root / "mixed", rows_of(FORMATS["parquet"].only[2])
    write_parquet(lab.root / "t.parquet", cases)
    rows = lab.spark.read.parquet(str(lab.root / "t.parquet")).withColumn("more", F.lit(1))
    rows.coalesce(1).write.format("delta").save(str(path))
    (file,) = path.glob("*.parquet")
    result = _ingest(lab, "delta", path)
    assert result.figures.sources[0].extra == ("more",)
    assert (result.figures.read, result.figures.offline) == (len(cases), len(GOOD))
    _check(lab, cases, [(str(file), None)] * len(cases))


def _ingest(lab: Lab, format_: str, path: Path) -> Any:
    location = {"format": format_, "path": str(path)}
    return lab.ingest(PIPELINE, {"mixed": location}, quality__max_quarantine_ratio=1.0)


def _check(lab: Lab, cases: list[Case], places: Sequence[tuple[str, int | None]]) -> None:
    """The quarantine, the Delta table and the online store hold exactly what they must."""
    wanted = [
        (*place, *case.aside)
        for case, place in zip(cases, places, strict=True)
        if case.aside is not None
    ]
    entries = lab.quarantine()
    columns = ("position", "column", "rule", "stage")
    found = [(_local(row["file"]), *(row[name] for name in columns)) for row in entries]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert len({row["row_key"] for row in entries}) == len(entries)
    assert {row["feature_group"] for row in entries} == {GROUP.name}
    good = {case.id: case for case in cases if case.aside is None}
    stored = {row["id"]: row for row in lab.features(GROUP)}
    assert stored.keys() == good.keys()
    assert len(lab.offline(GROUP)) == len(good)
    assert lab.online_identifiers(GROUP) == sorted(str(one) for one in good)
    sent = lab.online(GROUP, *(str(one) for one in good))
    for identifier, case in good.items():
        assert identifier is not None
        record = sent[identifier]
        assert record is not None
        _compare(case, stored[identifier], record)


def _local(file: str) -> str:
    return unquote(urlparse(file).path) if file.startswith("file:") else file


def _compare(case: Case, stored: dict[str, Any], record: dict[str, str]) -> None:
    """Python's own int and float judge numbers; -0.0 is not 0.0."""
    at = TIMES.get(str(case.id), AT)
    whole = None if case.whole is None else int(case.whole)
    number = None if case.number is None else float(case.number)
    assert (stored["at"], stored["whole"], stored["words"]) == (at, whole, case.words)
    assert (record["id"], record["at"], record["words"]) == (case.id, at, case.words)
    assert record.get("whole") == (None if whole is None else str(whole))
    for found in (stored["number"], record.get("number")):
        assert (found is None) == (number is None)
        if found is not None and number is not None:
            assert struct.pack("d", float(found)) == struct.pack("d", number)


def _spoilt(mixed: DataFrame) -> DataFrame:
    """A transform that keeps where a row is from, and computes what cannot be stored."""
    number = F.when(F.col("whole") == 13, F.lit(float("nan"))).otherwise(F.col("number"))
    identifier = F.when(F.col("whole") == 14, F.lit(None)).otherwise(F.col("id"))
    return mixed.withColumns({"number": number, "id": identifier, "unused": F.lit(1)})


def _placeless(mixed: DataFrame) -> DataFrame:
    """The same without the place: what comes of a group by, say."""
    return _spoilt(mixed).drop("_source")


@pytest.mark.shows("3.5")
def test_bad_rows_a_transform_makes_are_traced_to_their_source(lab: Lab) -> None:
    """File and line where the transform keeps ``_source``; without it they are kept too."""
    path = lab.root / "mixed.csv"
    cases = [Case("a"), Case("b", whole="13"), Case("c", whole="14"), Case("d", whole="x")]
    places = write_csv(path, cases)
    sources = {"mixed": path}
    spoilt = replace(PIPELINE, transform=_spoilt)
    found = lab.ingest(spoilt, sources, quality__max_quarantine_ratio=1.0).figures
    assert (found.quarantined, found.all_quarantined, found.offline) == (2, 3, 1)
    assert _entries(lab) == [
        (str(path), places[1], "number", "NON_FINITE", "feature"),
        (str(path), places[2], "id", "NULL_KEY", "feature"),
        (str(path), places[3], "whole", "TYPE", "source"),
    ]
    places = write_csv(path, [*cases, Case("e")])
    placeless = replace(PIPELINE, transform=_placeless)
    again = lab.ingest(placeless, sources, quality__max_quarantine_ratio=1.0).figures
    assert (again.quarantined, again.offline, again.present) == (2, 1, 1)
    assert [one for one in _entries(lab) if one[0] is None] == [
        (None, None, "id", "NULL_KEY", "feature"),
        (None, None, "number", "NON_FINITE", "feature"),
    ]
    assert len(_entries(lab)) == 5


def _entries(lab: Lab) -> list[tuple[Any, ...]]:
    names = ("file", "position", "column", "rule", "stage")
    return [tuple(row[name] for name in names) for row in lab.quarantine()]


NUMBERED = FeatureGroup(
    name="numbered",
    record_identifier="id",
    event_time="at",
    features=(
        Feature("id", FeatureType.INTEGRAL),
        Feature("at", FeatureType.FRACTIONAL),
        Feature("number", FeatureType.FRACTIONAL),
        Feature("words", FeatureType.STRING),
    ),
)


@pytest.mark.shows("3.5")
def test_one_identifier_in_many_spellings_is_one_record(lab: Lab) -> None:
    """``1``, ``01`` and ``+1`` of an Integral identifier meet: one latest, duplicates collapsed."""
    rows = [
        *((spelled, 1704067200.0, "0.5", "w") for spelled in ("1", "01", "+1", "001")),
        *((spelled, 1704067200.0 + n, "0.5", "w") for n, spelled in enumerate(("2", "02", "+2"))),
        ("1.0", 1704067200.0, "0.5", "w"),
        (" 1", 1704067200.0, "0.5", "w"),
        ("3", 1704067200.25, "1e3", "w"),
    ]
    frame = lab.spark.createDataFrame(rows, "id string, at double, number string, words string")
    found = lab.ingest_frame(frame, NUMBERED, quality__max_quarantine_ratio=1.0).figures
    assert (found.duplicates, found.identifiers, found.offline, found.quarantined) == (3, 3, 5, 2)
    assert lab.online_identifiers(NUMBERED) == ["1", "2", "3"]
    online = lab.online(NUMBERED, "1", "2", "3")
    times = [float(one["at"]) for one in online.values() if one is not None]
    assert times == [1704067200.0, 1704067202.0, 1704067200.25]
    assert [one[2:] for one in _entries(lab)] == [("id", "TYPE", "feature")] * 2


@pytest.mark.shows("3.5")
def test_typed_columns_of_a_dataframe(lab: Lab) -> None:
    """Each Spark type has one written rule for each feature type, or is TYPE; nothing is cut."""
    instant = "timestamp_micros(1704067200123456)"
    rules: list[tuple[str, str, str, Any, Any]] = [
        # Spark expression of number, of words, what each becomes, or its rule
        ("cast(1.10 as decimal(38, 18))", "cast(1.10 as decimal(10, 2))", "ok", 1.1, "1.10"),
        ("cast(7 as tinyint)", "cast(7 as smallint)", "ok", 7.0, "7"),
        ("cast(0.1 as float)", "cast(0.1 as float)", "ok", 0.10000000149011612, "0.1"),
        ("cast(1 as bigint)", "cast(1 as double)", "ok", 1.0, "1.0"),
        ("cast(null as int)", "true", "ok", None, "true"),
        ("0.5D", instant, "ok", 0.5, "2024-01-01T00:00:00.123456Z"),
        ("0.5D", "date '1066-10-14'", "ok", 0.5, "1066-10-14"),
        ("9007199254740993", "'w'", "number", "RANGE", None),
        ("true", "'w'", "number", "TYPE", None),
        ("date '2024-01-01'", "'w'", "number", "TYPE", None),
        ("cast('NaN' as float)", "'w'", "number", "NON_FINITE", None),
        ("0.5D", "cast('Infinity' as double)", "words", "NON_FINITE", None),
        ("0.5D", "array(1)", "words", "TYPE", None),
        ("0.5D", "named_struct('a', cast(null as int))", "words", "TYPE", None),
        ("0.5D", "cast('w' as binary)", "words", "TYPE", None),
        ("0.5D", "timestamp_ntz '2024-01-01 00:00:00'", "words", "TYPE", None),
    ]
    for n, (number, words, *_) in enumerate(rules):
        group = replace(NUMBERED, name=f"typed{n}")
        frame = lab.spark.range(1).selectExpr(
            "id", f"{instant} as at", f"{number} as number", f"{words} as words"
        )
        _one_row(lab, frame, group, rules[n])


def _one_row(lab: Lab, frame: DataFrame, group: FeatureGroup, rule: tuple[Any, ...]) -> None:
    """Through the gate as a run does it, without the stores: they see the gate's types only."""
    from datetime import datetime, timezone

    from penstock.gate import Bounds
    from penstock.stage.spark import stage_features
    from penstock.stage.tasks import FeatureTask
    from penstock.storage import LocalStorage

    latest = datetime(2030, 1, 1, tzinfo=timezone.utc)
    folder = str(lab.root / group.name)
    task = FeatureTask(group, Bounds(), latest, folder, send=True)
    staged = stage_features(frame, task, 1, LocalStorage())
    _, _, column, number, words = rule
    if column != "ok":
        (entry,) = pq.read_table(staged.bad[0].path).to_pylist()
        assert (entry["column"], entry["rule"]) == (column, number)
        return
    (row,) = pq.read_table(staged.send[0].path).to_pylist()
    assert row == {"id": 0, "at": 1704067200.123456, "number": number, "words": words}


def test_cases_are_what_they_say() -> None:
    """Good and bad rows have different identifiers, and csv reads what was written."""
    good = [one.id for one in GOOD]
    assert len(set(good)) == len(good)
    assert not set(good) & {one.id for one in BAD}
    assert all(one.aside is not None for one in BAD)
    line = next(csv.reader(['"a ""q""",b']))
    assert line == ['a "q"', "b"]
