"""Real Data Wrangler flows, as their owners committed them, parse, lint, explain and run.

They are not ours to ship: they are read from ``../shared/flows`` beside the project, or from
``PENSTOCK_FLOWS``.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.wrangle import document, explaining, linting, writing
from penstock.wrangle.flow import Flow
from penstock.wrangle.reading import Reader
from penstock.wrangle.running import Run, pinned
from penstock.wrangle.step import Step

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_BESIDE = Path(__file__).parents[3] / "shared" / "flows"
FLOWS = Path(os.environ.get("PENSTOCK_FLOWS", _BESIDE))
NAMES = (
    *("01_fraud_claims", "02_fraud_customers", "03_music_churn_dw_example"),
    *("05_retail_sales_preprocessing", "07_ts_quantile_selector"),
    *("09_hotel_bookings_classification", "10_ts_workshop_nyc_taxi"),
    *("14_predictive_maintenance_prm", "15_abalone_ingestion_only", "16_abalone_transformation"),
    *("20_contact_center_churn", "24_ts_workshop_l400", "26_loan_default_aim322"),
    "28_loan_default_inference_pipeline",
)
#: Input by source, for flows whose input is there; rows that come out; columns.
RUNS = {
    "01_fraud_claims": ({"claims.csv": "fraud_claims.csv"}, 5_000, 31),
    "02_fraud_customers": ({"customers.csv": "fraud_customers.csv"}, 5_000, 19),
    "14_predictive_maintenance_prm": (
        {
            "example_fleet_info.csv": "example_fleet_info.csv",
            "example_fleet_sensor_logs.csv": "example_fleet_sensor_logs.csv",
        },
        9_000,
        42,
    ),
    "15_abalone_ingestion_only": ({"features.csv": "features.csv"}, 99, 11),
    "16_abalone_transformation": ({"features.csv": "features.csv"}, 99, 13),
    "20_contact_center_churn": (
        {"dataset.csv": "contact_center_dataset.csv"},
        5_000,
        22,
    ),
}
#: What the owners' jobs wrote, of an older draw of the input.
WROTE = {
    "01_fraud_claims": "fraud_claims_preprocessed.csv",
    "02_fraud_customers": "fraud_customers_preprocessed.csv",
}

_OUTSIDE = ("spark.sql.ansi.enabled", "spark.sql.session.timeZone")

pytestmark = pytest.mark.prove


def test_all_of_them_are_here() -> None:
    """None was forgotten in the list above."""
    assert FLOWS.is_dir(), f"{FLOWS}: no flows; name their folder in PENSTOCK_FLOWS"
    assert {one.stem for one in FLOWS.glob("*.flow")} == set(NAMES)


@pytest.mark.shows("8.1")
@pytest.mark.parametrize("name", NAMES)
def test_each_parses_lints_and_explains(name: str) -> None:
    """No step is unknown; every step is a sentence."""
    flow = document.load(FLOWS / f"{name}.flow")
    found = linting.lint(flow)
    assert [one for one in found if one.gravity is linting.Gravity.ERROR] == []
    steps = [
        one for one in explaining.recipe(flow) if one.startswith("  ") and one.strip()[0].isdigit()
    ]
    transforms = [one for one in flow.nodes if isinstance(one.does, Step)]
    assert len(steps) == len(transforms)


@pytest.mark.shows("8.1")
@pytest.mark.parametrize("name", sorted(RUNS))
def test_each_with_its_input_runs(spark: SparkSession, tmp_path: Path, name: str) -> None:
    """To CSV; as many rows and columns as the input and the steps say."""
    given, rows, columns = RUNS[name]
    flow = document.load(FLOWS / f"{name}.flow")
    inputs = {}
    for source in flow.sources.values():
        key = next(one for one in (source.name, source.file_name) if one in given)
        inputs[source.name] = str(_laid_out(flow, FLOWS / "data" / given[key], tmp_path))
    with pinned(spark):
        run = Run(flow, Reader(spark, FLOWS, inputs), allow_code=True)
        wanted = flow.results[-1] if len(flow.results) > 1 else flow.result()
        frame, losses = run.watched(wanted)
        writing.write(frame, str(tmp_path / "out"), "csv", files=1)
    lines = _lines(next((tmp_path / "out").glob("*.csv")))
    assert (len(lines) - 1, len(lines[0])) == (rows, columns)
    if name == "01_fraud_claims":
        lost = "values of total_claim_amount lose what is after the point"
        assert losses.counted()[lost] > 4_000
    if name in WROTE:
        _check_columns(lines, _lines(FLOWS / "data" / WROTE[name]))


@pytest.mark.shows("8.1")
@pytest.mark.parametrize(
    "name", ["02_fraud_customers", "14_predictive_maintenance_prm", "20_contact_center_churn"]
)
def test_the_session_outside_changes_nothing(spark: SparkSession, name: str) -> None:
    """Rows are computed outside of where the plan was made, under ANSI mode and in another zone."""
    flow = document.load(FLOWS / f"{name}.flow")
    given = RUNS[name][0]
    names = {one.name: one for one in flow.sources.values()}
    inputs = {
        source: str(FLOWS / "data" / given[next(n for n in (source, one.file_name) if n in given)])
        for source, one in names.items()
    }
    found = []
    for settings in (("true", "Asia/Kolkata"), ("false", "UTC")):
        with pinned(spark, dict(zip(_OUTSIDE, settings, strict=True))):
            with pinned(spark):
                run = Run(flow, Reader(spark, FLOWS, inputs), allow_code=True)
                frame = run.frame(flow.result()).drop("event_time")
            assert tuple(spark.conf.get(key) for key in _OUTSIDE) == settings
            found.append(sorted(map(repr, frame.collect())))
    assert found[0] == found[1]
    assert len(found[0]) == RUNS[name][1]


def _laid_out(flow: Flow, path: Path, folder: Path) -> Path:
    """The input with its columns as the flow's owners had them: their order is part of a result."""
    stored = [one.trained["schema"] for one in flow.nodes if "schema" in one.trained]
    head, *rows = _lines(path)
    wanted = next((list(one) for one in stored if sorted(one) == sorted(head)), head)
    places = [head.index(one) for one in wanted]
    made = folder / path.name
    with made.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[row[n] for n in places] for row in (head, *rows)])
    return made


def _check_columns(ours: list[list[str]], owners: list[list[str]]) -> None:
    """The same columns in the same order, but where frequencies of the draws order categories.

    What is a number there is one here (the owners' job ran before casts to whole numbers were put
    in). The flow adds an event time, which the job's output has not.
    """
    names = [one for one in ours[0] if one != "event_time"]
    assert sorted(names) == sorted(owners[0])
    assert [_stem(one, names) for one in names] == [_stem(one, names) for one in owners[0]]
    for name in names:
        pairs = [(rows[0].index(name), rows) for rows in (ours, owners)]
        numbers = [all(map(_is_number, (row[n] for row in rows[1:]))) for n, rows in pairs]
        assert numbers[0] == numbers[1], name


def _stem(name: str, names: list[str]) -> str:
    """The part that a family of one-hot columns shares; the whole name elsewhere."""
    stem = name.rpartition("_")[0]
    return stem if stem and sum(one.startswith(f"{stem}_") for one in names) > 1 else name


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _lines(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))
