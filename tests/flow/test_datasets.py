"""Training data sets from ingested groups to files: what is in them, and what is said of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)
from penstock.dataset import Dataset, HashSplit, Lookup, StratifiedSplit, TimeSplit
from penstock.emulator.server import Emulator
from penstock.errors import DataGateError, MismatchError, UsageError
from penstock.training.build import Built, Format, build
from penstock.training.scope import EVERYTHING, Scope
from tests.lab import Lab

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TEXT, WHOLE = FeatureType.STRING, FeatureType.INTEGRAL


def _group(name: str, key: str, *features: Feature) -> FeatureGroup:
    return FeatureGroup(name, key, "at", (Feature(key, TEXT), Feature("at", TEXT), *features))


LOADS = _group("loads", "load_id", Feature("site", TEXT), Feature("leaves", TEXT))
WEATHER = _group("weather", "site", Feature("rain", WHOLE))
GROUPS = {one.name: one for one in (LOADS, WEATHER)}


def _pipeline(group: FeatureGroup) -> Pipeline:
    kinds = {WHOLE: ColumnType.LONG, TEXT: ColumnType.STRING}
    columns = tuple(Column(one.name, kinds[one.type]) for one in group.features)
    return Pipeline(group, {group.name: Source(columns)})


def day(number: int, hour: int = 0) -> str:
    """An instant of July 2024."""
    return f"2024-07-{number:02d}T{hour:02d}:00:00Z"


def loads(count: int) -> list[str]:
    """A load a day: its record is of the day it arrived, its moment the day before at noon."""
    return [f"L{n},{day(n + 1)},s{n % 2},{day(n, 12)}" for n in range(1, count + 1)]


RAIN = [f"s0,{day(n)},{n}" for n in range(1, 9)] + [
    f"s1,{day(n, 13)},{10 + n}" for n in range(1, 4)
]


def known(frame: DataFrame) -> DataFrame:
    """Labels without the record's own event time."""
    return frame.drop("at")


def halved(frame: DataFrame) -> DataFrame:
    """A new feature."""
    return frame.selectExpr("*", "rain / 2 AS half")


BY_TIME = TimeSplit({"train": day(5), "validation": day(7)})
DATASET = Dataset(
    name="loads_by_rain",
    base="loads",
    time="leaves",
    labels=known,
    lookups=(Lookup("weather", on="site", features=("at", "rain"), max_age=timedelta(days=2)),),
    transform=halved,
    split=BY_TIME,
)


@pytest.fixture(scope="module")
def filled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Both groups, eight loads; tests put what they build into folders of their own."""
    root = tmp_path_factory.mktemp("datasets")
    with Emulator(data=root / "aws", region="us-east-1") as emulator:
        lab = Lab(spark, emulator, root)
        fill(lab)
        yield lab


def fill(lab: Lab) -> None:
    """Both groups."""
    for group, lines in ((LOADS, loads(8)), (WEATHER, RAIN)):
        path = lab.root / f"{group.name}.csv"
        path.write_text("\n".join([",".join(group.names), *lines]) + "\n")
        lab.ingest(_pipeline(group), {group.name: path})


def make(
    lab: Lab,
    folder: Path,
    dataset: Dataset = DATASET,
    form: Format = "parquet",
    scope: Scope = EVERYTHING,
) -> Built:
    """Build it."""
    context = lab.context(lab.settings())
    return build(context, dataset, GROUPS, folder=str(folder), form=form, scope=scope)


def rows(built: Built, part: str) -> dict[str, dict[str, Any]]:
    """What lies in a part, by load."""
    folder = Path(built.path) / "data" / f"part={part}"
    made = [
        row for one in folder.glob("*.parquet") for row in pq.ParquetFile(one).read().to_pylist()
    ]
    return {row["load_id"]: row for row in made}


@pytest.mark.shows("6.3")
def test_rows_parts_and_manifest(filled: Lab, tmp_path: Path) -> None:
    """Each load with the rain known at its moment, in the part of its moment; all figures told."""
    built = make(filled, tmp_path)
    train, validation, test = (rows(built, part) for part in ("train", "validation", "test"))
    assert {*train} == {"L1", "L2", "L3", "L4"}
    assert {*validation} == {"L5", "L6"}
    assert {*test} == {"L7", "L8"}
    found = {one: row["rain"] for part in (train, validation, test) for one, row in part.items()}
    # s1 rains at 13h of days 1 to 3: at noon of day 1 none is known, at noon of day 7 all are old.
    assert found == {"L1": None, "L2": 2, "L3": 12, "L4": 4, "L5": 13, "L6": 6, "L7": None, "L8": 8}
    assert train["L2"] == {
        "load_id": "L2",
        "site": "s0",
        "leaves": day(2, 12),
        "at": day(2),
        "rain": 2,
        "half": 1.0,
    }
    assert built.manifest["parts"] == {"train": 4, "validation": 2, "test": 2}
    (lookup,) = built.manifest["lookups"]
    assert (built.manifest["labels"], lookup["found"], lookup["naive_join_leaks"]) == (8, 6, 5)
    assert lookup["oldest_s"] == timedelta(days=1, hours=23).total_seconds()
    assert [name for name, _ in built.manifest["columns"]] == list(train["L2"])
    assert [one["group"] for one in built.manifest["lineage"]] == ["loads", "weather"]
    again = make(filled, tmp_path)
    assert (again.made, again.path, again.manifest) == (False, built.path, built.manifest)


@pytest.mark.prove
@pytest.mark.parametrize("lab", ["iceberg", "hive"], indirect=True)
def test_rows_out_of_other_formats(lab: Lab, tmp_path: Path) -> None:
    """The same as out of Delta tables."""
    fill(lab)
    built = make(lab, tmp_path)
    parts = [rows(built, part) for part in ("train", "validation", "test")]
    found = {one: row["rain"] for part in parts for one, row in part.items()}
    assert found == {"L1": None, "L2": 2, "L3": 12, "L4": 4, "L5": 13, "L6": 6, "L7": None, "L8": 8}


@pytest.mark.prove
@pytest.mark.shows("6.3")
def test_required_lookups_hash_splits_and_csv(filled: Lab, tmp_path: Path) -> None:
    """Labels without features are left out and counted; a site is in one part only."""
    lookup = replace(DATASET.lookups[0], required=True)
    split = HashSplit("site", {"train": 0.5, "test": 0.5})
    dataset = replace(DATASET, lookups=(lookup,), split=split, transform=None)
    built = make(filled, tmp_path, dataset)
    parts = {part: rows(built, part) for part in ("train", "test")}
    assert sorted([*parts["train"], *parts["test"]]) == ["L2", "L3", "L4", "L5", "L6", "L8"]
    sites = [{row["site"] for row in part.values()} for part in parts.values()]
    assert not sites[0] & sites[1]
    assert built.manifest["labels"] == 8
    text = make(filled, tmp_path, replace(dataset, split=None), "csv")
    lines = [
        line
        for one in (Path(text.path) / "data").glob("*.csv")
        for line in one.read_text().splitlines()
    ]
    assert f"L2,s0,{day(2, 12)},{day(2)},2" in lines
    assert text.manifest["parts"] == {"all": 6}
    said = json.loads((Path(text.path) / "manifest.json").read_text())
    assert said == text.manifest
    table = make(filled, tmp_path, dataset, "delta")
    written = DeltaTable(f"{table.path}/data").to_pyarrow_table().to_pylist()
    assert {row["load_id"]: row["part"] for row in written} == {
        name: part for part, some in parts.items() for name in some
    }
    assert table.manifest["parts"] == built.manifest["parts"]


def dropping(frame: DataFrame) -> DataFrame:
    """A transform that loses rows."""
    return frame.where("rain IS NOT NULL")


def nameless(frame: DataFrame) -> DataFrame:
    """Labels without moments."""
    return frame.selectExpr("load_id", "site", "CAST(NULL AS STRING) AS leaves")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"transform": dropping}, MismatchError, "of 8 labels 6 rows were made"),
        ({"labels": nameless}, DataGateError, "times are null"),
        ({"time": "left"}, UsageError, "the labels have no column 'left'"),
        ({"base": "cargo"}, UsageError, "there is no feature group 'cargo'"),
        ({"split": HashSplit("town", {"all": 1.0})}, UsageError, "no column 'town' to split by"),
        (
            {"split": StratifiedSplit("town", {"all": 1.0})},
            UsageError,
            "no column 'town' to split by",
        ),
        ({"split": TimeSplit({"train": "July"})}, UsageError, "'July', which is no instant"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_leaves_no_manifest(
    filled: Lab, tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    """What, which, and what next."""
    with pytest.raises(error, match=re.escape(words)):
        make(filled, tmp_path, replace(DATASET, **changes))
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.shows("6.3")
def test_strata(filled: Lab, tmp_path: Path) -> None:
    """Of the four loads of each site two are in each part, and the same ones in a second build."""
    split = StratifiedSplit("site", {"train": 0.5, "test": 0.5})
    built = make(filled, tmp_path / "one", replace(DATASET, split=split))
    found = {part: rows(built, part) for part in split.parts}
    assert sorted(one for part in found.values() for one in part) == [f"L{n}" for n in range(1, 9)]
    for part in found.values():
        sites = [row["site"] for row in part.values()]
        assert sorted(sites) == ["s0", "s0", "s1", "s1"]
    assert built.manifest["parts"] == {part: len(some) for part, some in found.items()}
    again = make(filled, tmp_path / "two", replace(DATASET, split=split))
    assert {part: rows(again, part) for part in split.parts} == found


@pytest.mark.shows("6.3")
def test_labels_of_a_range(filled: Lab, tmp_path: Path) -> None:
    """From its start on, before its end; another data set than the whole, and it says so."""
    noon = datetime(2024, 7, 1, 12, tzinfo=timezone.utc)  # L1 is asked about then, L2 a day later
    scope = Scope(noon + timedelta(days=2), noon + timedelta(days=5))
    built = make(filled, tmp_path, scope=scope)
    assert {*rows(built, "train")} == {"L3", "L4"}
    assert {*rows(built, "validation")} == {"L5"}
    assert built.manifest["parts"] == {"train": 2, "validation": 1, "test": 0}
    assert built.manifest["labels"] == 3
    assert built.manifest["scope"] == {
        "start": "2024-07-03T12:00:00Z",
        "end": "2024-07-06T12:00:00Z",
        "as_of": None,
    }
    whole = make(filled, tmp_path)
    assert (whole.made, whole.path != built.path) == (True, True)
    assert not make(filled, tmp_path, scope=scope).made
    none = make(filled, tmp_path, scope=Scope(noon + timedelta(days=99)))
    assert none.manifest["labels"] == sum(none.manifest["parts"].values()) == 0


@pytest.mark.shows("6.3")
@pytest.mark.parametrize(
    "lab", ["delta", pytest.param("iceberg", marks=pytest.mark.prove)], indirect=True
)
def test_what_the_tables_held_by_an_instant(lab: Lab, tmp_path: Path) -> None:
    """Of labels and features alike only what was written by then, whatever came later."""
    fill(lab)
    then = max(row["write_time"] for group in (LOADS, WEATHER) for row in lab.offline(group))
    before = make(lab, tmp_path / "before")
    for group, line in ((LOADS, f"L9,{day(9)},s1,{day(6, 12)}"), (WEATHER, f"s1,{day(6)},99")):
        path = lab.root / f"{group.name}.csv"
        path.write_text(path.read_text() + f"{line}\n")
        lab.ingest(_pipeline(group), {group.name: path})
    now = make(lab, tmp_path / "now")
    by_then = make(lab, tmp_path / "then", scope=Scope(as_of=then))
    parts = ("train", "validation", "test")
    assert [rows(by_then, one) for one in parts] == [rows(before, one) for one in parts]
    assert by_then.manifest["lookups"] == before.manifest["lookups"]
    assert rows(now, "test")["L7"]["rain"] == 99
    assert rows(now, "validation")["L9"]["rain"] == 99
    assert (by_then.manifest["labels"], now.manifest["labels"]) == (8, 9)


@pytest.mark.prove
@pytest.mark.shows("6.3")
def test_other_rows_or_another_meaning_make_another_data_set(filled: Lab, tmp_path: Path) -> None:
    """The old one stays as it was; a build that was killed before its manifest is made again."""
    first = make(filled, tmp_path)
    path = filled.root / "weather.csv"
    path.write_text(path.read_text() + f"s1,{day(6)},99\n")
    filled.ingest(_pipeline(WEATHER), {"weather": path})
    second = make(filled, tmp_path)
    assert second.path != first.path
    assert rows(second, "test")["L7"]["rain"] == 99
    assert rows(first, "test")["L7"]["rain"] is None
    (Path(second.path) / "manifest.json").unlink()
    third = make(filled, tmp_path)
    assert (third.path, third.made) == (second.path, True)
    assert rows(third, "test")["L7"]["rain"] == 99
