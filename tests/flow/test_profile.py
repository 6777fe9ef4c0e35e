"""The profile of a data set: what it finds, and its page as people open it, in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.sql import Observation
from pyspark.sql import functions as fn

from penstock.cli.program import run
from penstock.errors import UsageError
from penstock.profiling.document import document
from penstock.profiling.study import Asked, Study, studied
from tests.browser import INSTALL, Browser, browser

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
_ROWS = 1_200
_SECTIONS = [
    *("Summary", "Findings", "Columns", "Distributions", "Correlation", "Pairs of numbers"),
    *("Multicollinearity", "Target leakage", "Quick model", "Over time"),
]
_SCRIPT = "<script>alert('x')</script>"


@dataclass(frozen=True)
class Seen:
    """A study and its page."""

    study: Study
    page: Path


@pytest.fixture(scope="module")
def seen(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Hours of a season with two that stand out; a leak, a copy, gaps, and a name that is a tag."""
    random = np.random.default_rng(7)
    start = datetime(2024, 1, 1, tzinfo=timezone.utc)
    rows = []
    for n in range(_ROWS):
        load = 50 + 10 * np.sin(n / 24 * 2 * np.pi) + random.normal()
        load += 40 if n in (300, 800) else 0
        late = bool(random.random() < 0.3)
        kind = _SCRIPT if n % 40 == 0 else "abc"[n % 3]
        tempo = float(load * 2 + 1) if n % 9 else None
        told = 5.0 + random.random() if late else random.random()
        rows.append((n, start + timedelta(hours=n), float(load), tempo, kind, "NA", told, late))
    schema = (
        "id long, at timestamp, load double, tempo double, kind string, none string, "
        "told double, late boolean"
    )
    frame = spark.createDataFrame([*rows, rows[-1]], schema).coalesce(1)
    counted = Observation()  # as a flow's run in the same session leaves behind
    frame.observe(counted, fn.count(fn.lit(1)).alias("rows")).collect()
    study = studied(frame, Asked(target="late"))
    page = tmp_path_factory.mktemp("profile") / "page.html"
    page.write_text(document(study, f"Profile of {_SCRIPT}", "a test"), encoding="utf-8")
    return Seen(study, page)


@pytest.mark.shows("8.4")
def test_it_finds_what_is_to_be_found(seen: Seen) -> None:
    """Counts are exact; each finding says what to do."""
    study = seen.study
    columns = {one.name: one for one in study.evidence.columns}
    assert (study.evidence.rows, study.evidence.duplicates) == (_ROWS + 1, 1)
    assert columns["tempo"].missing == len(range(0, _ROWS, 9))
    assert columns["none"].null_like == _ROWS + 1
    assert columns["load"].mean == pytest.approx(study.sample["load"].mean(), rel=1e-12)
    assert columns["load"].deviation == pytest.approx(study.sample["load"].std(), rel=1e-9)
    found = {(one.about, one.gravity) for one in study.findings}
    assert {("told", "high"), ("tempo, load", "low"), ("none", "low"), ("rows", "low")} <= found
    assert all(one.remedy for one in study.findings)
    assert study.model is not None
    assert study.model.score > 0.95 > study.model.baseline
    assert study.model.importance[0][0] == "told"
    (series,) = [one for one in study.series if one.column == "load"]
    assert (series.period, set(series.odd) >= {300, 800}) == (24, True)
    parts = zip(series.trend, series.season, series.rest, strict=True)
    assert [sum(one) for one in parts] == pytest.approx(list(series.observed))


def test_what_is_not_there(spark: SparkSession) -> None:
    """A target that is no column; no rows at all; a column of nothing."""
    rows = spark.createDataFrame([], "a double, b string")
    with pytest.raises(UsageError, match="target: there is no column 'c'"):
        studied(rows, Asked(target="c"))
    study = studied(rows, Asked(target="a"))
    assert [one.about for one in study.findings if one.gravity == "high"] == ["rows"]
    assert "<h2>Summary</h2>" in document(study, "none", "").replace(' id="part-0"', "")
    empty = spark.createDataFrame([(None, "x")] * 3, "a double, b string")
    assert ("a", "is empty") in {(one.about, one.text) for one in studied(empty, Asked()).findings}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages."""
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.prove
@pytest.mark.shows("8.4")
def test_a_file_of_another_kind_is_one_line(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file without an ending may be Parquet; what is none is said."""
    monkeypatch.chdir(tmp_path)
    Path("LICENSE").write_text("Anybody may do anything.")
    assert spark.version
    assert run(["profile", f"{tmp_path}/LICENSE"]) == 2
    said = capsys.readouterr().err
    assert "/LICENSE: it cannot be read as parquet. .csv, .parquet, " in said
    spark.range(3).coalesce(1).write.parquet(str(tmp_path / "rows"))
    (part,) = Path("rows").glob("*.parquet")
    part.rename("numbers")
    assert run(["profile", f"{tmp_path}/numbers"]) == 0


@pytest.mark.parametrize("width", [400, 1_400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(seen: Seen, chromium: Browser, width: int, scheme: str) -> None:
    """No console error, no request but itself, no script, every plot drawn, nothing too wide."""
    chromium.open(seen.page, width, scheme=scheme)
    look = chromium.look()
    assert chromium.console() == []
    assert chromium.requests() == [seen.page.as_uri()]
    assert look["width"] == width
    assert max(look["scroll"], look["body"]) <= width
    assert look["wide"] == []
    assert look["scripts"] == 0
    assert look["headless"] == 0
    assert look["headings"][1:] == _SECTIONS
    assert _SCRIPT in look["text"]
    assert len(look["charts"]) >= 20
    for chart in look["charts"]:
        assert chart["width"] > 100, chart["name"]
        assert chart["height"] > 20, chart["name"]
        assert chart["drawn"] > 0, chart["name"]


@pytest.mark.shows("8.4")
def test_the_readme_shows_a_profile() -> None:
    """A picture of at most 200 KB, and how to get a browser where the proofs are named."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docs/img/profile.png" in readme
    assert INSTALL in readme
    assert 10_000 < (ROOT / "docs" / "img" / "profile.png").stat().st_size <= 200_000


def test_figures_for_programs(seen: Seen) -> None:
    """Findings are plain: JSON holds them."""
    assert json.loads(json.dumps([vars(one) for one in seen.study.findings]))
