"""Files become rows with their place, and nothing is lost on the way, whatever the file."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Location
from penstock.contract import Column, Source
from penstock.errors import ContractError, DataGateError, PenstockError
from penstock.gate import FILE, POSITION, PROBLEM
from penstock.source.delimited import read_csv
from penstock.source.files import pins, place
from penstock.source.json_lines import read_json
from penstock.source.splits import cut
from penstock.source.text import BATCH_ROWS
from penstock.storage import LocalStorage

HERE = LocalStorage()
NAMES = ("id", "text")
SOURCE = Source(columns=tuple(Column(name) for name in NAMES))
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
Row = tuple[Any, ...]
PIECES = [b"a", b"1", b",", b",", b"\n", b"\n", b"\r\n", b"\r", b'"', b'"', b"\0", b"\xff"]
WHOLE = "Fetch the file again; nothing was published"


def rows_of(batches: Iterator[pa.RecordBatch], columns: tuple[str, ...] = NAMES) -> list[Row]:
    """(position, values…) of each row, or (position, problem)."""
    found: list[Row] = []
    for batch in batches:
        for row in texts_of(batch):
            problem = row.get(PROBLEM)
            values = [row[name] for name in columns] if problem is None else [problem]
            found.append((row[POSITION], *values))
    return found


def texts_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows of a batch; bytes that are not UTF-8 as lone surrogates."""
    columns = []
    for column in batch.columns:
        text = pa.types.is_string(column.type)
        raw = column.cast(pa.binary()).to_pylist() if text else column.to_pylist()
        columns.append(
            [one.decode("utf-8", "surrogateescape") if type(one) is bytes else one for one in raw]
        )
    names = batch.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def csv_rows(path: Path, data: bytes, **more: Any) -> list[Row]:
    """Rows of a CSV with these bytes."""
    path.write_bytes(data)
    given_options: dict[str, Any] = {"delimiter": ",", "header": True, "null_texts": (), **more}
    return rows_of(read_csv(str(path), HERE, NAMES, **given_options))


def json_rows(path: Path, data: bytes) -> list[Row]:
    """Rows of a JSON Lines file with these bytes."""
    path.write_bytes(data)
    return rows_of(read_json(str(path), HERE, NAMES, null_texts=()))


def found_in(
    path: Path, format_: Any, source: Source = SOURCE
) -> tuple[list[Row], tuple[str, ...]]:
    """All rows of a file or folder as a run reads it, and the columns nobody declared."""
    location = Location(format=format_, path=str(path))
    reading, splits, extra = cut(location, source, pins("s", str(path), HERE), HERE)
    columns = tuple(one.name for one in source.columns)
    return [row for one in splits for row in rows_of(reading.batches(one), columns)], extra


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), max_size=20),
    st.sampled_from(["\r\n", "\n"]),
    st.booleans(),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_any_table_of_text_reads_back_from_csv(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    ending: str,
    last: bool,
    mark: bytes,
) -> None:
    """What csv.writer writes comes back, each row with the line its record starts on."""
    out, places = io.StringIO(newline=""), []
    writer = csv.writer(out, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(["text", "id"])
    for one, two in table:
        lines = out.getvalue().replace("\r\n", "\n").replace("\r", "\n").count("\n")
        places.append(lines + 1)
        writer.writerow([two, one])
    text = out.getvalue() if last else out.getvalue()[: -len(ending)]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    wanted = [(place, one, two) for place, (one, two) in zip(places, table, strict=True)]
    assert csv_rows(path, mark + text.encode()) == wanted


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.integers(1, 24))
def test_blocks_of_any_size_are_read_as_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int
) -> None:
    """Whatever the bytes: what Python's csv reads, with its lines, or the same refusal."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    options = {"header": False, "null_texts": ("",)}

    def read(**more: Any) -> list[Row] | str:
        try:
            return csv_rows(path, data, **options, **more)
        except DataGateError as error:
            return str(error)

    found = read(block_bytes=size)
    assert found == read(block_bytes=1 << 20)
    assert found == by_python(data, str(path))


def by_python(data: bytes, path: str) -> list[Row] | str:
    """What the csv module says of a file of two columns."""
    kept: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(data.decode("utf-8", "surrogateescape"), newline=""):
            kept.append(line)
            yield line

    reader, rows = csv.reader(lines(), strict=True), list[Row]()
    while True:
        line = reader.line_num + 1
        kept.clear()
        try:
            fields: list[str | None] = [one or None for one in next(reader)]
        except StopIteration:
            return rows
        except csv.Error as error:
            if "unexpected end" in str(error):
                why = f"the quote opened on line {line} is never closed"
                return str(DataGateError(f"{path}: truncated or corrupt: {why}", WHOLE))
            rows.append((line, "".join(kept)))
            continue
        if len(fields) == len(NAMES):
            rows.append((line, *fields))
        elif fields:
            rows.append((line, "".join(kept)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), max_size=20), st.booleans())
def test_any_table_of_text_reads_back_from_json(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str | None, str | None]],
    escaped: bool,
) -> None:
    """Escaped or not, with absent keys for null; line by line."""
    lines = [
        json.dumps(
            {k: v for k, v in zip(NAMES, row, strict=True) if v is not None}, ensure_ascii=escaped
        )
        for row in table
    ]
    path = tmp_path_factory.mktemp("json") / "t.json"
    wanted = [(n, *row) for n, row in enumerate(table, start=1)]
    assert json_rows(path, "\n".join(lines).encode()) == wanted


@pytest.mark.shows("3.5")
def test_csv_lines_are_counted_through_whatever_stands_in_them(tmp_path: Path) -> None:
    """Quoted newlines, blank lines, ragged rows, stray quotes: each row keeps its line."""
    data = (
        b"id,text\r\n"
        b'1,"two\nlines"\r\n'  # 2
        b"\r\n"
        b"2,short,long\r\n"  # 5: too long
        b"3\r\n"  # 6: too short
        b'4,"a"b\r\n'  # 7: text after a quote
        b'5,""\r\n'  # 8
        b'6,say "hi"\n'  # 9: a quote inside is a quote
        b"7,nul\x00\n"  # 10
        b"8,tab\tand\x1funit\xe2\x80\xa8sep\n"  # 11: U+2028 ends no line
        b" ,\xc2\xa0"  # 12: blanks are values; no newline at the end
    )
    assert csv_rows(tmp_path / "t.csv", data) == [
        (2, "1", "two\nlines"),
        (5, "2,short,long\r\n"),
        (6, "3\r\n"),
        (7, '4,"a"b\r\n'),
        (8, "5", ""),
        (9, "6", 'say "hi"'),
        (10, "7", "nul\x00"),
        (11, "8", "tab\tand\x1funit\u2028sep"),
        (12, " ", "\xa0"),
    ]


@pytest.mark.shows("3.5")
def test_json_lines_that_are_no_rows_are_problems(tmp_path: Path) -> None:
    """Broken, nested, doubled or bare lines are kept whole; numbers keep their digits."""
    data = (
        b'\xef\xbb\xbf{"id":1.50,"text":12345678901234567890123}\r\n'
        b'{"id":NaN,"text":true}\n'
        b"\n"
        b'{"id":"x","text":{"a":1}}\n'  # 4
        b'{"id":"x","id":"y"}\n'  # 5
        b'[1]\n"x"\nnull\n'  # 6, 7, 8
        b'{"id":"x"\n'  # 9
        b"\xc2\xa0\n"  # 10: not blank, not JSON
        b'{"id":"z","other":[[[]]]}'  # 11
    )
    assert json_rows(tmp_path / "t.json", data) == [
        (1, "1.50", "12345678901234567890123"),
        (2, "NaN", "true"),
        (4, '{"id":"x","text":{"a":1}}\n'),
        (5, '{"id":"x","id":"y"}\n'),
        (6, "[1]\n"),
        (7, '"x"\n'),
        (8, "null\n"),
        (9, '{"id":"x"\n'),
        (10, "\xa0\n"),
        (11, "z", None),
    ]
    deep = b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert json_rows(tmp_path / "deep.json", deep) == [(1, deep.decode())]


@pytest.mark.shows("3.5")
@pytest.mark.parametrize(
    "escapes", ["\\ud83d", "\\udc80", "\\udcc3\\udca9", "\\udcf0\\udc9f\\udca6\\udc9c", "x\\ude00"]
)
def test_lone_surrogates_never_become_another_character(tmp_path: Path, escapes: str) -> None:
    """Escapes that look like smuggled bytes stay invalid; a true pair is a character."""
    path = tmp_path / "t.json"
    path.write_bytes(b'{"id":"\\ud83e\\udd9c","text":"%s"}\n' % escapes.encode())
    (batch,) = read_json(str(path), HERE, NAMES, null_texts=())
    assert batch.column("id").to_pylist() == ["🦜"]
    with pytest.raises(pa.ArrowInvalid):
        batch.column("text").validate(full=True)


def test_bytes_that_are_no_utf_8_stay_those_bytes(tmp_path: Path) -> None:
    """In CSV they reach the gate as they lie in the file."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,text\n\xff\xfe,caf\xe9\n")
    (batch,) = read_csv(str(path), HERE, NAMES, delimiter=",", header=True, null_texts=())
    assert batch.column("id").cast(pa.binary()).to_pylist() == [b"\xff\xfe"]
    assert batch.column("text").cast(pa.binary()).to_pylist() == [b"caf\xe9"]


@pytest.mark.shows("3.5")
@pytest.mark.parametrize("rows", [0, 1, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1, 2 * BATCH_ROWS])
def test_no_row_is_lost_at_the_border_of_a_batch(tmp_path: Path, rows: int) -> None:
    """CSV, JSON and Parquet of any number of rows, and the last row's place is right."""
    data = "id,text\n" + "".join(f"{n},t\n" for n in range(rows))
    found = csv_rows(tmp_path / "t.csv", data.encode())
    assert [row[1] for row in found] == [str(n) for n in range(rows)]
    assert not rows or found[-1][0] == rows + 1
    lines = "".join(f'{{"id":{n},"text":"t"}}\n' for n in range(rows))
    assert [row[:2] for row in json_rows(tmp_path / "t.json", lines.encode())] == [
        (n + 1, str(n)) for n in range(rows)
    ]
    table = pa.table({"id": [str(n) for n in range(rows)], "text": pa.nulls(rows, pa.string())})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=10_000)
    parquet, _ = found_in(tmp_path / "t.parquet", "parquet")
    assert parquet == [(n, str(n), None) for n in range(rows)]


PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress}


@pytest.mark.shows("3.5")
@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_packed_file_cut_anywhere_is_refused(tmp_path: Path, kind: str, format_: str) -> None:
    """However many bytes are missing, all of them too: never fewer rows, its name and exit 65."""
    head = b"id,text\n" if format_ == "csv" else b""
    line = b"%d,t\n" if format_ == "csv" else b'{"id":%d,"text":"t"}\n'
    whole = PACKED[kind](head + b"".join(line % n for n in range(200)))
    path = tmp_path / f"t.{format_}.{kind}"
    path.write_bytes(whole)
    assert len(found_in(path, format_)[0]) == 200
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DataGateError, match=path.name) as caught:
            found_in(path, format_)
        assert caught.value.exit_code == 65
    path.write_bytes(whole + whole)
    if format_ == "json":  # two members are one file, as in gzip itself
        assert len(found_in(path, format_)[0]) == 400
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 255]) + whole[-8:])
    with pytest.raises(DataGateError, match=path.name):
        found_in(path, format_)


@pytest.mark.shows("3.5")
def test_a_parquet_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Of any length short of its own, none included; garbage too."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["a"] * 50, "text": ["b"] * 50}), path)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataGateError, match=r"t\.parquet"):
            found_in(path, "parquet")
    path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(DataGateError, match=r"t\.parquet"):
        found_in(path, "parquet")


@pytest.mark.shows("3.5")
def test_a_page_that_does_not_match_its_checksum_is_refused(tmp_path: Path) -> None:
    """A flipped bit in a value is no other value."""
    path = tmp_path / "t.parquet"
    table = pa.table({"id": ["a" * 50], "text": ["b" * 50]})
    bare = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, path, write_page_checksum=True, **bare)
    whole = path.read_bytes()
    place = whole.index(b"a" * 50) + 20
    path.write_bytes(whole[:place] + b"z" + whole[place + 1 :])
    with pytest.raises(DataGateError, match=r"t\.parquet"):
        found_in(path, "parquet")


@pytest.mark.shows("3.5")
def test_zip_archives(tmp_path: Path) -> None:
    """One member is read; two, none, a broken one or one with a flipped byte are refused."""
    path = tmp_path / "t.zip"
    data = b"id,text\n" + b"".join(b"%d,t\n" % n for n in range(100))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/t.csv", data)
    whole = path.read_bytes()
    assert len(found_in(path, "csv")[0]) == 100
    for broken in (whole[:-5], whole[:60], whole[:50] + b"\x00\xff" + whole[52:], b""):
        path.write_bytes(broken)
        with pytest.raises(DataGateError, match=r"t\.zip"):
            found_in(path, "csv")
    for members in (("a.csv", "b.csv"), ()):
        with zipfile.ZipFile(path, "w") as archive:
            for name in members:
                archive.writestr(name, data)
        with pytest.raises(DataGateError, match=f"holds {len(members)} files"):
            found_in(path, "csv")


@pytest.mark.shows("3.5")
def test_an_unclosed_quote_is_a_truncated_file(tmp_path: Path) -> None:
    """The rest of the file is inside the quote: nobody knows how many rows that is."""
    with pytest.raises(DataGateError, match="line 3 is never closed"):
        csv_rows(tmp_path / "t.csv", b'id,text\n1,a\n2,"b\n3,c\n')
    with pytest.raises(DataGateError, match=r"t\.csv"):
        found_in(tmp_path / "t.csv", "csv", Source(columns=(Column("id"),)))
    with pytest.raises(DataGateError, match="first line"):
        csv_rows(tmp_path / "u.csv", b'id,"text\n1,a\n')


@pytest.mark.shows("3.5")
@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\r\n\r\n", b"id,text\n", b"\xef\xbb\xbf", b"\n\nid,text"]
)
def test_an_empty_csv_has_no_rows(tmp_path: Path, data: bytes) -> None:
    """Nothing, blank lines, a mark, a header alone: no rows and no complaint."""
    assert csv_rows(tmp_path / "t.csv", data) == []
    assert found_in(tmp_path / "t.csv", "csv") == ([], ())


def test_blank_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    """And counted."""
    assert csv_rows(tmp_path / "t.csv", b"\n\nid,text\n1,a\n") == [(4, "1", "a")]


@pytest.mark.shows("3.5")
def test_missing_and_extra_columns(tmp_path: Path) -> None:
    """Missing anywhere is exit 2 and says what is there; extra ones are named; case counts."""
    good, bad = tmp_path / "a.csv", tmp_path / "b.csv"
    good.write_text("more,text,id\nx,b,a\n", encoding="utf-8")
    assert found_in(tmp_path, "csv") == ([(2, "a", "b")], ("more",))
    for header in ("id,Text", "id", "id,text,text", " id,text"):
        bad.write_text(f"{header}\n", encoding="utf-8")
        with pytest.raises(ContractError, match=r"b\.csv: declared column") as caught:
            found_in(tmp_path, "csv")
        assert caught.value.exit_code == 2
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"ID": ["a"], "text": ["b"], "id": ["c"]}), table)
    assert found_in(table, "parquet") == ([(0, "c", "b")], ("ID",))
    pq.write_table(pa.table({"ID": ["a"], "text": ["b"]}), table)
    with pytest.raises(ContractError, match="declared column 'id' is missing"):
        found_in(table, "parquet")


@pytest.mark.shows("3.5")
def test_a_key_that_no_line_of_json_has_is_a_missing_column(tmp_path: Path) -> None:
    """A key may be absent here and there, null then; absent everywhere it is a missing column."""
    path = tmp_path / "t.json"
    path.write_text('{"id":1,"x":2}\n{"text":null}\n', encoding="utf-8")
    assert found_in(path, "json") == ([(1, "1", None), (2, None, None)], ("x",))
    path.write_text('{"id":1,"texts":"a"}\n', encoding="utf-8")
    with pytest.raises(ContractError, match="declared column 'text' is missing"):
        found_in(path, "json")
    path.write_text("\n", encoding="utf-8")
    assert found_in(path, "json") == ([], ())


def test_instants_of_spark_3_are_utc_and_do_not_wrap(tmp_path: Path) -> None:
    """INT96, which Spark 3 writes, has no zone written down; the year 9999 is not 1816."""
    path, kind = tmp_path / "t.parquet", pa.timestamp("us", "UTC")
    moments = [
        datetime(9999, 12, 31, tzinfo=timezone.utc),
        datetime(1890, 1, 1, 12, 30, tzinfo=timezone.utc),
        None,
    ]
    table = pa.table({"id": pa.array(moments, kind), "text": ["a", "b", "c"]})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)
    location = Location(format="parquet", path=str(path))
    reading, splits, _ = cut(location, SOURCE, pins("s", str(path), HERE), HERE)
    (batch,) = reading.batches(splits[0])
    assert batch.column("id").type == kind
    assert batch.column("id").to_pylist() == moments


def test_a_file_is_read_once_however_it_is_named(tmp_path: Path) -> None:
    """A folder, a glob that meets it twice, markers beside it: each data file is pinned once."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv", "_SUCCESS", ".a.csv.crc", "deep/_temporary"):
        (folder / name).write_text("id,text\n1,a\n", encoding="utf-8")
    for path in (folder, folder / "**" / "*.csv", f"file://{folder}"):
        found = pins("s", place("s", Location(format="csv", path=str(path)), tmp_path), HERE)
        assert [Path(pin.path).name for pin in found] == ["a.csv", "b.csv"]
    with pytest.raises(PenstockError, match="there is no file"):
        pins("s", str(folder / "c*.csv"), HERE)


def test_rows_say_which_file_they_are_from(tmp_path: Path) -> None:
    """The path as it was pinned."""
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a\n", encoding="utf-8")
    (batch,) = read_csv(str(path), HERE, NAMES, delimiter=",", header=True, null_texts=())
    assert batch.column(FILE).to_pylist() == [str(path)]
