"""Files that lack something, are broken, empty or many: the right exit code, nothing half done."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.errors import ContractError, DataGateError, PenstockError
from penstock.ledger.journal import Journal, State
from penstock.ledger.window import Window
from penstock.run.places import Places, offline_path, state_folder
from penstock.storage import LocalStorage
from tests.flow.project import make
from tests.lab import Lab

AT = "2024-01-01T00:00:00Z"
GROUP = FeatureGroup(
    name="files",
    record_identifier="id",
    event_time="at",
    features=(
        Feature("id", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("n", FeatureType.INTEGRAL),
    ),
)
SOURCE = Source(
    columns=(Column("id"), Column("at", ColumnType.TIMESTAMP), Column("n", ColumnType.LONG))
)
PIPELINE = Pipeline(GROUP, {"files": SOURCE})
HEADER = "id,at,n\n"


def lines(first: int, end: int, n: str = "1") -> str:
    """Good CSV rows, unless ``n`` is none."""
    return "".join(f"k{one},{AT},{n}\n" for one in range(first, end))


def journal(lab: Lab) -> Journal:
    """The ledger of the first generation."""
    places = Places(state_folder(lab.settings()), GROUP.name, Window())
    return Journal(LocalStorage(), places.journal(0)).refresh()


def check_nothing_published(lab: Lab) -> None:
    """No offline table, no record online, no Glue table."""
    assert not Path(offline_path(lab.settings(), GROUP.name)).exists()
    assert lab.online_identifiers(GROUP) == []
    with pytest.raises(Exception, match="EntityNotFound"):
        lab.table(GROUP)


@pytest.mark.shows("3.5")
def test_a_missing_column_stops_before_any_write(lab: Lab) -> None:
    """Exit 2 that names file and column, in any format and any one of the files; nothing exists."""
    folder = lab.root / "in"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + lines(0, 3), encoding="utf-8")
    (folder / "b.csv").write_text("id,at,N\n" + lines(3, 6), encoding="utf-8")
    rows = lab.root / "t.json"
    rows.write_text(json.dumps({"id": "a", "at": AT}) + "\n", encoding="utf-8")
    table = lab.root / "t.parquet"
    pq.write_table(pa.table({"id": ["a"], "at": [AT], "N": [1]}), table)
    for place, format_ in ((folder, "csv"), (rows, "json"), (table, "parquet")):
        location = {"format": format_, "path": str(place)}
        with pytest.raises(ContractError, match="declared column 'n' is missing") as caught:
            lab.ingest(PIPELINE, {"files": location})
        assert caught.value.exit_code == 2
    check_nothing_published(lab)
    assert not (lab.root / "lake").exists()
    assert not (lab.root / "state").exists()


@pytest.mark.shows("3.5")
def test_empty_files_are_no_rows(lab: Lab) -> None:
    """No byte, a header, blank lines, a Parquet file without rows: exit 0 and nothing in."""
    for format_, texts in {"csv": ("", HEADER, "\n\n"), "json": ("", "\n")}.items():
        folder = lab.root / format_
        folder.mkdir()
        for n, text in enumerate(texts):
            (folder / f"{n}.{format_}").write_text(text, encoding="utf-8")
    kinds = {"id": pa.string(), "at": pa.string(), "n": pa.int64()}
    (lab.root / "parquet").mkdir()
    pq.write_table(pa.schema(kinds.items()).empty_table(), lab.root / "parquet" / "t.parquet")
    for format_ in ("csv", "json", "parquet"):
        location = {"format": format_, "path": str(lab.root / format_)}
        found = lab.ingest(PIPELINE, {"files": location})
        assert found.state == "done"
        assert (found.figures.read, found.figures.offline, found.figures.sent) == (0, 0, 0)
    assert lab.features(GROUP) == []
    assert lab.quarantine() == []


@pytest.mark.shows("3.5")
def test_a_truncated_file_ends_the_run_and_publishes_nothing(lab: Lab) -> None:
    """Cut in the middle, where a task meets it: exit 65 with its name; whole again, it runs."""
    folder = lab.root / "in"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + lines(0, 5), encoding="utf-8")
    # Too large for a first block, so that its header can be read.
    whole = gzip.compress((HEADER + lines(5, 30_000)).encode())
    cut = folder / "b.csv.gz"
    cut.write_bytes(whole[: len(whole) - 20])
    sources = {"files": folder}
    with pytest.raises(DataGateError, match=r"b\.csv\.gz: truncated or corrupt") as caught:
        lab.ingest(PIPELINE, sources)
    assert caught.value.exit_code == 65
    assert "\n" not in str(caught.value)
    assert journal(lab).state is State.GATED
    check_nothing_published(lab)
    with pytest.raises(DataGateError):
        lab.ingest(PIPELINE, sources)
    cut.write_bytes(gzip.compress((HEADER + lines(5, 50)).encode()))
    done = lab.ingest(PIPELINE, sources)
    assert (done.state, done.figures.offline, done.figures.accepted) == ("done", 50, 50)


@pytest.mark.shows("3.5")
def test_too_many_bad_rows_end_the_run_and_publish_nothing(lab: Lab) -> None:
    """Six of a hundred with a limit of 5 %: exit 65, GATED, listed once; five of a hundred run."""
    path = lab.root / "t.csv"
    path.write_text(HEADER + lines(0, 94) + lines(94, 100, "1.5"), encoding="utf-8")
    for _ in range(2):
        with pytest.raises(DataGateError, match="6 of 100 rows") as caught:
            lab.ingest(PIPELINE, {"files": path})
        assert caught.value.exit_code == 65
    assert journal(lab).state is State.GATED
    check_nothing_published(lab)
    listed = [(row["position"], row["column"], row["rule"]) for row in lab.quarantine()]
    assert listed == [(96 + n, "n", "TYPE") for n in range(6)]
    path.write_text(HEADER + lines(0, 95) + lines(95, 100, "1.5"), encoding="utf-8")
    done = lab.ingest(PIPELINE, {"files": path})
    assert (done.figures.all_quarantined, done.figures.offline) == (5, 95)
    assert [row["position"] for row in lab.quarantine()] == [96 + n for n in range(6)]
    assert lab.online_identifiers(GROUP) == sorted(f"k{n}" for n in range(95))


@pytest.mark.shows("3.5")
def test_a_folder_of_many_files_names_each_of_them(lab: Lab) -> None:
    """Thirty files, each with a good and a bad row, some packed, two names for one of them."""
    folder = lab.root / "in"
    folder.mkdir()
    for n in range(30):
        text = f"\ufeff{HEADER}" + f'"k{n}",{AT},"{n}"\r\n' + f"k{n},{AT},x{n}\r\n"
        if n % 2:
            (folder / f"f{n}.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"f{n}.csv").write_bytes(text.encode())
    (folder / "same.csv").symlink_to(folder / "f0.csv")
    found = lab.ingest(PIPELINE, {"files": folder}, quality__max_quarantine_ratio=1.0).figures
    assert (found.read, found.duplicates, found.offline) == (62, 1, 30)
    assert {row["id"]: row["n"] for row in lab.features(GROUP)} == {f"k{n}": n for n in range(30)}
    names = [f"f{n}.csv{'.gz' if n % 2 else ''}" for n in range(30)] + ["same.csv"]
    listed = [(Path(row["file"]).name, row["position"]) for row in lab.quarantine()]
    assert sorted(listed) == sorted((name, 3) for name in names)


TYPED = FeatureGroup(
    name="typed",
    record_identifier="id",
    event_time="at",
    fraction_digits=9,
    features=(
        Feature("id", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature("whole", FeatureType.INTEGRAL),
        Feature("number", FeatureType.FRACTIONAL),
        Feature("flag", FeatureType.INTEGRAL),
        Feature("date", FeatureType.STRING),
    ),
)
TYPED_SOURCE = Source(
    columns=(
        Column("id"),
        Column("at", ColumnType.TIMESTAMP),
        Column("whole", ColumnType.LONG),
        Column("number", ColumnType.DOUBLE),
        Column("flag", ColumnType.BOOLEAN),
        Column("date", ColumnType.DATE),
    )
)
EARLY = datetime(1899, 12, 31, 23, 59, 59, 123456, tzinfo=timezone.utc)
FINE = 1_704_067_200_123_456_789


def _typed_files() -> dict[str, dict[str, pa.Array]]:
    """By file, the columns: every layout a writer may choose, and values it may hold."""
    nan, inf = float("nan"), float("inf")
    return {
        "plain": {
            "id": pa.array(["a", "b", "c"]).dictionary_encode(),
            "at": pa.array([EARLY] * 3, pa.timestamp("us", "America/New_York")),
            "whole": pa.array([2**63 - 1, 2**63, None], pa.uint64()),
            "number": pa.array([nan, 1.5, -inf]),
            "flag": pa.array([True, False, None]),
            "date": pa.array([date(1066, 10, 14), None, date(1970, 1, 1)]),
        },
        "wide": {
            "id": pa.array(["d", "e"], pa.large_string()),
            "at": pa.array([FINE, 2**62], pa.int64()).view(pa.timestamp("ns", "UTC")),
            "whole": pa.array([Decimal("7.00"), Decimal("7.50")], pa.decimal128(20, 2)),
            "number": pa.array([Decimal("5.10"), None], pa.decimal128(38, 10)),
            "flag": pa.array(["TRUE", "f"]),
            "date": pa.array(["2024-02-29", "2024-02-29"]),
        },
        "narrow": {
            "id": pa.array([1, 2], pa.int8()),
            "at": pa.array([0, None], pa.timestamp("ms", "UTC")),
            "whole": pa.array([2.0, 2.5], pa.float32()),
            "number": pa.array([3, None], pa.int16()),
            "flag": pa.array([None, 1], pa.int32()),
            "date": pa.nulls(2),
        },
        "bare": {
            "id": pa.array(["f", "g"]),
            "at": pa.array([0, None], pa.timestamp("us")),
            "whole": pa.array([b"1", None], pa.binary()),
            "number": pa.array([{"a": 1}, None]),
            "flag": pa.array([[True], None]),
            "date": pa.array([0, None], pa.timestamp("s", "UTC")),
        },
    }


@pytest.mark.shows("3.5")
def test_typed_parquet_is_read_exactly_or_put_aside(lab: Lab) -> None:
    """Unsigned, decimal, dictionary, large, nanoseconds, no zone, before 1970, NaN: row by row."""
    folder = lab.root / "in"
    folder.mkdir()
    for name, columns in _typed_files().items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    location = {"format": "parquet", "path": str(folder)}
    pipeline = Pipeline(TYPED, {"typed": TYPED_SOURCE})
    lab.ingest(pipeline, {"typed": location}, quality__max_quarantine_ratio=1.0)
    aside = [
        (Path(row["file"]).stem, row["position"], row["stage"], json.loads(row["findings"]))
        for row in lab.quarantine()
    ]
    everything = ["at:TYPE", "whole:TYPE", "number:TYPE", "flag:TYPE", "date:TYPE"]
    assert aside == [
        ("bare", 0, "source", everything),
        ("bare", 1, "feature", ["at:NULL_KEY"]),
        ("narrow", 1, "source", ["whole:TYPE", "flag:TYPE"]),
        ("plain", 0, "source", ["number:NON_FINITE"]),
        ("plain", 1, "source", ["whole:RANGE"]),
        ("plain", 2, "source", ["number:NON_FINITE"]),
        ("wide", 1, "source", ["whole:TYPE"]),
    ]
    assert lab.features(TYPED) == [
        {
            "id": "1",
            "at": "1970-01-01T00:00:00.000000000Z",
            "whole": 2,
            "number": 3.0,
            "flag": None,
            "date": None,
        },
        {
            "id": "d",
            "at": "2024-01-01T00:00:00.123456000Z",
            "whole": 7,
            "number": 5.1,
            "flag": 1,
            "date": "2024-02-29",
        },
    ]
    record = lab.online(TYPED, "d")["d"]
    assert record is not None
    assert (record["number"], record["flag"], record["whole"]) == ("5.1", "1", "7")


@pytest.mark.shows("3.5")
def test_times_long_ago_come_through_the_transform_unchanged(lab: Lab) -> None:
    """1899 and 1066 from Parquet and from text: no calendar is rebased on any Spark line."""
    path = lab.root / "t.parquet"
    row = {name: array.slice(0, 1) for name, array in _typed_files()["plain"].items()}
    pq.write_table(pa.table({**row, "number": pa.array([1.0])}), path)
    pipeline = Pipeline(TYPED, {"typed": TYPED_SOURCE})
    lab.ingest(pipeline, {"typed": {"format": "parquet", "path": str(path)}})
    (stored,) = lab.features(TYPED)
    assert (stored["at"], stored["date"]) == ("1899-12-31T23:59:59.123456000Z", "1066-10-14")
    assert stored["whole"] == 2**63 - 1


@pytest.mark.prove
@pytest.mark.shows("3.5")
def test_bad_input_is_one_line_on_the_screen(tmp_path: Path) -> None:
    """Exit 65 and one line; with --debug the traceback too; never in between."""
    small = make(tmp_path, sensors=20)
    whole = gzip.compress(("sensor,at,level,share\n" + lines(0, 30_000)).encode())
    (tmp_path / "data" / "cut.csv.gz").write_bytes(whole[:-20])
    assert small.run("provision").code == 0
    answer = small.run("ingest", "--json")
    assert (answer.code, answer.out) == (65, "")
    (line,) = answer.err.splitlines()
    assert line.startswith("penstock: ")
    assert "cut.csv.gz: truncated or corrupt" in line
    assert "Traceback" not in answer.err
    (tmp_path / "data" / "cut.csv.gz").write_bytes(b"no gzip at all")
    debugged = small.run("ingest", "--json", "--debug")
    assert debugged.code == 65
    assert "Traceback" in debugged.err
    assert debugged.err.splitlines()[-1].startswith("penstock: ")


@pytest.mark.shows("3.5")
@pytest.mark.parametrize(
    "broken",
    [b"no gzip", gzip.compress(b"id,at,n\n" * 99)[:15], b""],
    ids=["something else", "cut off", "nothing"],
)
def test_what_is_no_gzip_is_named_before_spark_starts(lab: Lab, broken: bytes) -> None:
    """Where the header cannot be read; a packed file of no bytes is truncated too."""
    path = lab.root / "t.csv.gz"
    path.write_bytes(broken)
    never: Callable[[], Any] = lambda: pytest.fail("Spark was asked for")  # noqa: E731 - one expression
    settings = lab.settings({"files": path})
    context = replace(lab.context(settings), start=never)
    from penstock.run.ingest import ingest_pipeline

    with pytest.raises(PenstockError, match=r"t\.csv\.gz") as caught:
        ingest_pipeline(context, PIPELINE, Window())
    assert caught.value.exit_code == 65
