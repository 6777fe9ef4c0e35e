"""A flow as a pipeline's transform: batch, backfill by windows, stream and profile agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.backfill.execution import execute
from penstock.backfill.plan import Range
from penstock.backfill.planning import planned
from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.emulator.server import Emulator
from penstock.errors import ContractError, UsageError
from penstock.profiling.study import Asked, studied
from penstock.streaming.steps import kind_of
from penstock.wrangle import document
from penstock.wrangle.flow import Input
from penstock.wrangle.reading import Reader
from penstock.wrangle.running import Fitted, Run, pinned
from penstock.wrangle.transform import FlowTransform, flow
from tests.lab import Lab

_FLOW = """
sources:
  claims.csv: {path: claims.csv}
steps:
  - infer_types: {}
  - flag_missing: {columns: [age]}
  - impute: {columns: [age], strategy: mean}
  - ordinal: {columns: [kind], type: integer}
    name: ranked
  - scale: {columns: [amount], scaler: min_max}
  - formula: {formula: "amount * age", output: weight}
  - event_time: {column: at, output: event_time}
  - drop_columns: {columns: [at]}
    name: done
"""
_DAYS, _ROWS = 3, 120
_TEXT, _WHOLE, _BROKEN = FeatureType.STRING, FeatureType.INTEGRAL, FeatureType.FRACTIONAL
GROUP = FeatureGroup(
    name="claims",
    record_identifier="id",
    event_time="event_time",
    features=(
        Feature("id", _TEXT),
        Feature("age", _BROKEN),
        Feature("kind", _WHOLE),
        Feature("amount", _BROKEN),
        Feature("age_indicator", _WHOLE),
        Feature("weight", _BROKEN),
        Feature("event_time", _TEXT),
    ),
)
CLAIMS = Source(
    (
        Column("id"),
        Column("at", ColumnType.TIMESTAMP),
        Column("age", ColumnType.DOUBLE),
        Column("kind"),
        Column("amount", ColumnType.DOUBLE),
    ),
    time="at",
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with the flow, and its data."""
    folder = tmp_path / f"prepared_{tmp_path.name}"  # imported once: each test has its own
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "claims.yaml").write_text(_FLOW)
    lines = ["id,at,age,kind,amount"]
    for n in range(_ROWS):
        age = "" if n % 7 == 0 else str(20 + n % 50)
        at = f"2024-01-{n % _DAYS + 1:02d}T{n % 24:02d}:00:00Z"
        lines.append(f"c{n:03d},{at},{age},{'abc'[n % 5 % 3]},{n * 1.25}")
    (folder / "claims.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.fixture
def fitted(lab: Lab, package: Path) -> Path:
    """The same, and what ``flow fit`` leaves."""
    found = document.load(package / "claims.yaml")
    with pinned(lab.spark):
        run = Run(found, Reader(lab.spark, package, {}))
        run.frame(found.result())
    (package / "claims.fitted.json").write_text(Fitted(run.states).text)
    return package


@pytest.fixture
def other(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """A second laboratory."""
    with Emulator(tmp_path / "other-aws") as emulator:
        yield replace(lab, emulator=emulator, root=tmp_path / "other")


def pipeline(package: Path, node: str = "") -> Pipeline:
    """The pipeline of the flow as it stands now."""
    made = flow(package.name, "claims.yaml", sources={"claims": "claims.csv"}, node=node)
    return Pipeline(GROUP, {"claims": CLAIMS}, made, window="day")


@pytest.mark.shows("8.3")
def test_batch_backfill_and_profile_give_the_same_rows(lab: Lab, other: Lab, fitted: Path) -> None:
    """One window over all of it, a window a day, and the frame that a profile studies."""
    data = {"claims": str(fitted / "claims.csv")}
    lab.ingest(pipeline(fitted), data)
    settings = other.settings(data)
    other.provision(GROUP, settings)
    context = other.context(settings)
    plan = planned(context, pipeline(fitted), Range("2024-01-01", "2024-01-04", "day"))
    assert len(execute(context, pipeline(fitted), plan)) == _DAYS
    rows = lab.features(GROUP)
    assert len(rows) == _ROWS
    assert other.features(GROUP) == rows
    with pinned(lab.spark):
        found = document.load(fitted / "claims.yaml")
        known = Fitted.parse((fitted / "claims.fitted.json").read_text(), "claims")
        frame = Run(found, Reader(lab.spark, fitted, {}), known).frame(found.result())
        plain = sorted(tuple(one) for one in frame.select(*GROUP.names).collect())
        assert plain == [tuple(one[name] for name in GROUP.names) for one in rows]
        study = studied(frame, Asked())
    figures = {one.name: one for one in study.evidence.columns}
    assert study.evidence.rows == _ROWS
    assert figures["weight"].maximum == max(one["weight"] for one in rows)
    assert figures["kind"].distinct == len({one["kind"] for one in rows})


@pytest.mark.shows("8.3")
def test_it_streams_where_its_steps_allow(lab: Lab, fitted: Path) -> None:
    """Row by row once it has learnt; a step that needs all rows is named before it starts."""
    assert kind_of(lab.spark, pipeline(fitted), "claims", {}) == "rows"
    text = (fitted / "claims.yaml").read_text()
    (fitted / "claims.yaml").write_text(text + "  - sort_rows: {columns: [id]}\n")
    with pytest.raises(UsageError, match="order needs all rows"):
        kind_of(lab.spark, pipeline(fitted), "claims", {})


def test_what_has_not_learnt_is_no_transform(lab: Lab, package: Path) -> None:
    """The error says how to fit it; so does a step whose settings changed since."""
    with pytest.raises(UsageError, match=r"nothing is learnt yet for: .*penstock flow fit"):
        lab.ingest(pipeline(package), {"claims": str(package / "claims.csv")})


def test_its_meaning_is_its_steps_and_what_they_learnt(fitted: Path) -> None:
    """A comment changes nothing; another setting, or another state, does."""
    before = pipeline(fitted).meaning
    path = fitted / "claims.yaml"
    path.write_text("# a comment\n" + path.read_text())
    assert pipeline(fitted).meaning == before
    assert pipeline(fitted, "ranked").meaning != before
    state = fitted / "claims.fitted.json"
    state.write_text(state.read_text().replace('"hash"', '"hash" '))
    assert pipeline(fitted).meaning == before
    path.write_text(path.read_text().replace("amount * age", "amount + age"))
    assert pipeline(fitted).meaning != before


def test_sources_that_do_not_match(fitted: Path) -> None:
    """Says what the flow reads and what it is fed."""
    with pytest.raises(ContractError, match=r"the flow reads claims\.csv; fed are other"):
        flow(fitted.name, "claims.yaml", sources={"claims": "other"})
    found = document.load(fitted / "claims.yaml")
    made = FlowTransform(found, Input("done"), Fitted(), {"claims": "claims.csv"}, code=False)
    assert Pipeline(GROUP, {"claims": CLAIMS}, made).meaning
