"""The page about a run, as people open it: in a browser, from the file the run has written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import INSTALL, Browser, browser
from tests.flow import project

_SHARE = 'Feature("share", FeatureType.FRACTIONAL)'
_RULE = (
    'Expectation("expect_column_values_to_be_between", None, {"min_value": 0, "max_value": 1e9})'
)
#: A rule that all rows keep.
_EDITS = (
    (_SHARE, _SHARE.replace(")", f", expectations=({_RULE},))")),
    ("    Feature,\n", "    Expectation,\n    Feature,\n"),
)
SECTIONS = [
    "How it ended",
    "Counts",
    "Time and rate",
    "Quarantine",
    "Expectations",
    "Drift",
    "Features",
    "Freshness",
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> project.Small:
    """A project that ran twice: the second time with some more rows, and told others of it."""
    made = project.make(tmp_path_factory.mktemp("report") / "small")
    schema = made.root / "schemas" / "readings.py"
    text = schema.read_text(encoding="utf-8")
    for one, other in _EDITS:
        assert one in text
        text = text.replace(one, other)
    schema.write_text(text, encoding="utf-8")
    assert made.run("provision").code == 0
    told = ("--set", "observe.emf=told/emf.jsonl", "--set", "observe.lineage=told/lineage.jsonl")
    first = made.run("ingest", "--json", *told)
    assert first.code == 0, first.err
    with (made.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"new-{n},2024-03-01T00:00:00Z,{n},{n / 7}\n" for n in range(400))
    second = made.run("ingest", "--json", *told)
    assert second.code == 0, second.err
    return made


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def _pages(small: project.Small) -> list[Path]:
    return sorted((small.lake / "reports" / project.GROUP).glob("*.html"))


def _plain(page: Path) -> Any:
    return json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.prove
@pytest.mark.shows("9.5")
@pytest.mark.parametrize("width", [400, 1_400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_in_a_browser(
    small: project.Small, chromium: Browser, width: int, scheme: str
) -> None:
    """No console error, no outside request, nothing beyond the window, every chart drawn."""
    page = _pages(small)[-1]
    chromium.open(page, width, scheme=scheme)
    seen = chromium.look()
    assert chromium.console() == []
    assert chromium.requests() == [page.as_uri()]
    assert seen["width"] == width
    assert max(seen["scroll"], seen["body"]) <= width
    assert seen["wide"] == []
    assert seen["scripts"] == 0
    assert seen["headless"] == 0
    assert seen["headings"][1:] == SECTIONS
    assert len(seen["charts"]) >= 5
    for chart in seen["charts"]:
        assert chart["width"] > 200, chart["name"]
        assert chart["height"] > 20, chart["name"]
        assert chart["drawn"] > 0, chart["name"]
        assert min(chart["letters"]) >= 9, chart["name"]


@pytest.mark.prove
@pytest.mark.shows("9.5")
def test_the_report_says_what_the_ledger_says(small: project.Small, chromium: Browser) -> None:
    """Its figures are those of 'ingest --json'; the second is compared with the first, by name."""
    first, second = (_plain(one) for one in _pages(small))
    (status,) = small.run("status", "--json").json
    assert status["report"] == str(_pages(small)[-1])
    assert str(_pages(small)[-1]) in small.run("status").out
    figures = status["data"]["figures"]
    assert {name: second["figures"][name] for name in figures} == figures
    assert second["figures"]["present"] > 0
    assert first["drift"]["source"] is None
    assert second["drift"]["source"]["run"] == first["run"]
    assert {one["name"] for one in second["drift"]["features"]} == {"level", "share"}
    assert (
        sum(one["rows"] for one in first["quarantine"]["rules"])
        == (first["figures"]["all_quarantined"])
    )
    assert [one["outcome"] for one in second["expectations"]] == ["met"]
    assert second["freshness"]["newest"] is not None
    assert [one["what"] for one in second["steps"]][-1] == "check the figures"
    chromium.open(_pages(small)[-1], 1_400)
    text = chromium.look()["text"]
    for figure in (figures["valid"], figures["accepted"], second["figures"]["read"]):
        assert f"{figure:,}" in text
    assert first["run"] in text


@pytest.mark.prove
@pytest.mark.shows("9.5")
def test_others_are_told_of_each_run(small: project.Small) -> None:
    """A line of metrics a run; a START and a COMPLETE of each, with rows."""
    folder = small.root / "told"
    metrics = [json.loads(one) for one in (folder / "emf.jsonl").read_text().splitlines()]
    assert [one["Done"] for one in metrics] == [1, 1]
    assert "MaxDrift" in metrics[1]
    events = [json.loads(one) for one in (folder / "lineage.jsonl").read_text().splitlines()]
    assert [one["eventType"] for one in events] == ["START", "COMPLETE"] * 2
    assert events[0]["run"]["runId"] == events[1]["run"]["runId"] != events[2]["run"]["runId"]
    rows = [one["outputFacets"]["outputStatistics"]["rowCount"] for one in events[1]["outputs"]]
    assert rows == [metrics[0]["OfflineRows"], metrics[0]["RecordsAccepted"]]


@pytest.mark.prove
@pytest.mark.shows("9.5")
def test_a_run_that_a_gate_stops_has_a_report(small: project.Small, chromium: Browser) -> None:
    """It says why; with no report asked for there is none; one that fails stops nobody."""
    before = len(_pages(small))
    with (small.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"bad-{n},yesterday,{n},1\n" for n in range(50))
    stopped = small.run("ingest", "--set", "quality.max_quarantine_ratio=0")
    assert stopped.code == 65
    page = _pages(small)[-1]
    assert len(_pages(small)) == before + 1
    assert _plain(page)["state"] == "stopped"
    chromium.open(page, 400)
    seen = chromium.look()
    assert "were put aside" in seen["text"]
    assert "yesterday" not in seen["text"]
    assert chromium.console() == []
    assert max(seen["scroll"], seen["body"]) <= 400
    (small.lake / "reports").rename(small.lake / "moved")
    (small.lake / "reports").write_text("no folder", encoding="utf-8")
    done = small.run("ingest", "--set", "quality.max_quarantine_ratio=1", "--json")
    assert done.code == 0, done.err
    assert done.json[0]["report"] is None
    logs = "".join(one.read_text() for one in (small.state / "logs").glob("*.log"))
    assert "no report of run" in logs
    (small.lake / "reports").unlink()
    with (small.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.write("last,2024-03-02T00:00:00Z,1,1\n")
    quiet = small.run("ingest", "--set", "report=false", "--set", "quality.max_quarantine_ratio=1")
    assert quiet.code == 0, quiet.err
    assert not (small.lake / "reports").exists()


def test_without_a_browser_a_proof_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails with the line to type; it is not skipped."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="apt-get install -y chromium"), browser(tmp_path):
        pass


@pytest.mark.shows("9.5")
def test_the_readme_shows_a_report() -> None:
    """A picture of at most 200 KB, and how to get a browser where the proofs are named."""
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert "(docs/img/run-report.png)" in readme
    assert INSTALL in readme
    picture = (root / "docs" / "img" / "run-report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= 200_000
