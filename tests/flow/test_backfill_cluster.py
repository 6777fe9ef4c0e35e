"""A year of an aircraft's history by months on two workers, the driver killed at every point.

What must be in the stores is computed in pandas from the raw flights (:mod:`tests.flights`), and
judged by the checker; what an undisturbed run over the whole year leaves is compared as well.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd  # noqa: TID253 - the independent computation
import pytest
from deltalake import DeltaTable

from penstock import aws
from penstock.emulator.server import Emulator
from penstock.ledger.interval import covers, split, unit
from penstock.ledger.journal import Journal
from penstock.ledger.window import window
from penstock.run.timeline import read_calendar
from penstock.storage import LocalStorage
from schemas.aircraft_history import GROUP, PIPELINE
from tests import flights, shipped
from tests.checker import Evidence, Row, Shape, assure
from tests.faults import evidence as gathering
from tests.faults.runs import job_of, ledger_of, send_files
from tests.flow.cluster import cluster
from tests.flow.points import COLLECTING, Point, files, kill, named
from tests.flow.year import END, POINT_S, RANGE, SIZE, START, Year

YEAR = window(START, END)
ROWS = 250_723
#: A driver killed at a point leaves windows beside it anywhere, so a point is looked for from a
#: month on: later months have not come so far. cp13 is the making of Glue's table: the first month.
KILLS = (
    *(("cp13", 0), ("cp00", 2), ("cp01", 2), ("cp02", 3), ("cp03", 3), ("cp04", 4), ("cp05", 4)),
    *(("cp06", 5), ("cp07", 6), ("cp08", 7), ("cp09", 7), ("cp10", 8), ("cp11", 9), ("cp12", 10)),
    *(("cp14", 11), ("cp15", 11)),
)

pytestmark = pytest.mark.prove


@dataclass(frozen=True)
class Both:
    """The year that was killed, and the one nobody disturbed."""

    killed: Year
    whole: Year


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """One run over the year; and 13 windows, killed at every point and resumed with --takeover."""
    folder = tmp_path_factory.mktemp("year")
    dist = shipped.build(folder / "dist")
    python = shipped.interpreter(folder / "python", shipped.all_packages())
    shared = folder / "shared"
    shutil.copytree(dist / "conf", shared / "conf")
    with zipfile.ZipFile(flights.path("flights.csv.zip")) as archive:
        (shared / "flights.csv").write_bytes(archive.read("flights.csv"))
    with (
        cluster(folder, python) as running,
        Emulator(folder / "aws-killed", journal=True) as first,
        Emulator(folder / "aws-whole") as second,
    ):
        killed, whole = (
            Year(name, dist, running, emulator, shared)
            for name, emulator in (("killed", first), ("whole", second))
        )
        for one in (killed, whole):
            one.prepare()
        months = split(*_borders(), unit(SIZE))
        for name, month in KILLS:
            killed.kill(named(name), months[month].name)
            _check_left(killed, named(name))
        killed.run("backfill", *RANGE, "--parallel", "2", "--takeover")
        whole.run("ingest")
        yield Both(killed, whole)


@pytest.mark.shows("5.1")
def test_every_point_was_hit_all_over_the_year(both: Both) -> None:
    """Sixteen points of a backfill, many months; workers too. The collection's point comes last."""
    hits = both.killed.hits
    assert set(hits) == {f"cp{n:02d}" for n in range(16)}
    assert len(set(hits.values()) - {""}) >= 8
    assert both.killed.ended >= 3
    claims = [state for one in _months() for state, _ in _ledger(both.killed, one)]
    assert claims.count("CLAIMED") >= 13 + 10


@pytest.mark.shows("5.1")
def test_both_stores_are_those_of_one_undisturbed_run(both: Both) -> None:
    """Offline row by row, also at each window's start, where lookback matters; online as well."""
    found = both.killed.offline()
    assert len(found) == ROWS
    pd.testing.assert_frame_equal(found, both.whole.offline())
    starts = {f"{one[:4]}-{one[4:6]}-01T23:59:59Z" for one in _months()}
    assert set(found["day_end"]) >= starts
    assert both.killed.online() == both.whole.online()


@pytest.mark.shows("5.1")
def test_the_checker_finds_nothing_against_the_computation(both: Both) -> None:
    """Nothing lost, nothing twice, online the newest, every ledger legal."""
    year, shape = both.killed, gathering.shape_of(job_of(GROUP, "", 1))
    wanted = flights.aircraft_history(flights.flights())
    sent, candidates = [], []
    for name in _months():
        places = year.places(name)
        manifest = json.loads(Path(places.manifest(0)).read_bytes())
        chosen, results = send_files(places, 0, manifest)
        sent.append(gathering.of_send_files(job_of(GROUP, results, 250), chosen))
        every = [one["path"] for one in manifest["staged"]["send"]]
        candidates += gathering.of_send_files(job_of(GROUP, "", 250), every).sent
        assure(Evidence((), (), (), (), (), {}, {}, ledger=_ledger(year, name)))
    evidence = Evidence(
        rows=_rows(shape, wanted),
        sent=[row for one in sent for row in one.sent],
        answered=[row for one in sent for row in one.answered],
        dead=[row for one in sent for row in one.dead],
        journal=gathering.journal(year.shared.parent / "aws-killed", GROUP.name),
        online=year.online(),
        figures={
            name: sum(one.figures.get(name, 0) for one in sent)
            for name in ("sent", "accepted", "skipped", "rejected")
        },
        offline=_rows(shape, year.offline()),
        before=candidates,  # a selection that was made anew may leave out what was sent before
    )
    assure(evidence, floor=4_000)


@pytest.mark.shows("5.1")
def test_the_calendar_of_the_year_has_no_gap(both: Both) -> None:
    """Thirteen months, all done; one generation each, and one commit and write time a window."""
    year = both.killed
    calendar = read_calendar(year.settings, PIPELINE, datetime.now(timezone.utc))
    assert calendar.counts == {"done": 13}
    assert calendar.gaps == ()
    assert covers([one.window for one in calendar.cells], YEAR)
    for name in _months():
        assert _ledger(year, name)[-1][0] == "DONE"
        assert len(list(Path(year.places(name).journal(0)).parent.iterdir())) == 1
    table = DeltaTable(str(year.table)).to_pyarrow_table(columns=["write_time"])
    assert len(set(table.column(0).to_pylist())) == 13


@pytest.mark.shows("5.1")
def test_a_collection_that_is_killed_changes_neither_store_nor_calendar(
    both: Both, tmp_path: Path
) -> None:
    """cp16, the seventeenth point. The last test: what the others read of the ledger is gone."""
    year, hit = both.killed, tmp_path / "hit"
    before = (year.offline(), year.online())
    copy = COLLECTING.copy(tmp_path / "copy", hit)
    folder = Path(year.places(_months()[0]).manifest(0)).parents[2]
    assert kill(year.collect(copy), COLLECTING, hit, year.table, POINT_S) == ""
    some = len(list(folder.rglob("*.parquet")))
    assert some > 0
    assert year.collect().wait(POINT_S) == 0
    assert list(folder.rglob("*.parquet")) == []
    pd.testing.assert_frame_equal(year.offline(), before[0])
    assert year.online() == before[1]
    calendar = read_calendar(year.settings, PIPELINE, datetime.now(timezone.utc))
    assert (calendar.counts, calendar.gaps) == ({"done": 13}, ())


def _check_left(year: Year, point: Point) -> None:
    """What the table of crash points says is durable."""
    name = year.hits[point.name]
    if not name:
        assert aws.client(year.endpoint, "glue").get_tables(DatabaseName="penstock_flights")[
            "TableList"
        ]
        return
    places = year.places(name)
    journal = Journal(LocalStorage(), places.journal(0)).refresh()
    if point.state is not None:
        assert journal.state is not None
        assert journal.state.value == point.state, point.name
    if point.staged is not None:
        assert Path(places.manifest(0)).exists() is point.staged, point.name
    if point.name in ("cp10", "cp11"):
        table = DeltaTable(str(year.table))
        committed = {Path(one).name for one in table.file_uris()}
        orphans = {one.name for one in files(year.table)} - committed
        done = [one for one in table.history() if name in str(one.get("userMetadata"))]
        assert bool(done) is (point.name == "cp11")
        assert orphans or point.name == "cp11"


def _rows(shape: Shape, frame: pd.DataFrame) -> list[Row]:
    """Rows of a frame as the checker compares them, placed by their number; NaN is no value."""
    plain = frame.astype(object).where(frame.notna(), None)
    columns = [str(one) for one in plain.columns]
    values = plain.itertuples(index=False, name=None)
    return [shape.row(dict(zip(columns, one, strict=True)), str(n)) for n, one in enumerate(values)]


def _borders() -> tuple[datetime, datetime]:
    assert YEAR.start is not None
    assert YEAR.end is not None
    return YEAR.start, YEAR.end


def _months() -> list[str]:
    return [one.name for one in split(*_borders(), unit(SIZE))]


def _ledger(year: Year, name: str) -> list[tuple[str, int]]:
    return ledger_of(year.places(name).journal(0))
