"""A changed transform: what is stale, and both stores once it is restated.

Sixty sensors in two months. The changed transform moves the level of some, takes the level from
others, and moves all of 200 values of a few: an update can correct the first kind alone.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F  # noqa: N812 - the name all of Spark's documents use

from penstock.backfill.execution import Ended, execute, exit_code
from penstock.backfill.plan import Range
from penstock.backfill.planning import planned
from penstock.contract import Feature, FeatureType, Pipeline, Source
from penstock.query import run as query
from penstock.run.places import offline_path
from penstock.run.timeline import read_calendar
from tests.lab import Lab
from tests.readings import COLUMNS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from penstock.config import Settings

WIDE = tuple(f"v{n:03d}" for n in range(200))
VALUES = tuple(Feature(name, FeatureType.FRACTIONAL) for name in WIDE)
GROUP = replace(LEVELS, name="wide_readings", features=(*LEVELS.features, *VALUES))
SOURCE = Source(COLUMNS, time="at")
SENSORS = 60
#: Of the sensors by number: moved where it ends in 1, nulled in 2, wide in 3, all others as before.
MOVED, NULLED, BROAD = (range(n, SENSORS, 10) for n in (1, 2, 3))
CHANGED = len(MOVED) + len(NULLED) + len(BROAD)


def first(readings: DataFrame) -> DataFrame:
    """The level, and for a few sensors 200 values."""
    return _with_values(readings, 0)


def second(readings: DataFrame) -> DataFrame:
    """As the first, but for half of the sensors."""
    number = F.substring("sensor", 2, 2).cast("int") % 10
    level = F.when(number == 1, F.col("level") + 1).when(number != 2, F.col("level"))
    return _with_values(readings.withColumn("level", level), 1)


def _with_values(readings: DataFrame, by: int) -> DataFrame:
    broad = F.substring("sensor", 2, 2).cast("int") % 10 == 3
    values = {name: F.when(broad, F.lit(float(n + by))) for n, name in enumerate(WIDE)}
    return readings.withColumns(values)


@dataclass
class Field:
    """The group on one kind of online store."""

    lab: Lab
    tier: str
    transform: Callable[..., DataFrame] = first
    counts: set[int] = field(default_factory=set)

    @property
    def settings(self) -> Settings:
        """On the file of readings."""
        place: Any = {"storage_type": self.tier}
        sources = {"readings": self.lab.root / "readings.csv"}
        return self.lab.settings(sources, groups__wide_readings=place, online__removal_grace_s=0.2)

    @property
    def pipeline(self) -> Pipeline:
        """With the transform of now."""
        return Pipeline(GROUP, {"readings": SOURCE}, self.transform, window="month")

    def run(self, end: str, **asked: Any) -> list[Ended]:
        """Backfill from January on."""
        context = self.lab.context(self.settings)
        whole = Range("2013-01-01", end, "month", **asked)
        plan = planned(context, self.pipeline, whole, count=False)
        return list(execute(context, self.pipeline, plan))

    @property
    def standings(self) -> dict[str, int]:
        """Windows by how they stand."""
        now = datetime.now(timezone.utc)
        return read_calendar(self.settings, self.pipeline, now).counts

    def offline(self) -> dict[str, Any]:
        """The current row of each sensor, as a record; nulls are left out, as online."""
        path = offline_path(self.settings, GROUP.name)
        rows = query(self.lab.spark, "live", GROUP, path).collect()
        return {row["sensor"]: _record(row.asDict()) for row in rows}

    def online(self) -> dict[str, Any]:
        """What GetRecord answers."""
        return self.lab.online(GROUP, *(f"s{n:02d}" for n in range(SENSORS)))

    def watched(self, act: Callable[[], list[Ended]]) -> list[Ended]:
        """Do something while another reader counts the rows of the table."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.1):
                path = offline_path(self.settings, GROUP.name)
                self.counts.add(DeltaTable(path).to_pyarrow_dataset().count_rows())

        reader = threading.Thread(target=look)
        reader.start()
        try:
            return act()
        finally:
            over.set()
            reader.join()


def _record(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items() if value is not None}


@pytest.mark.prove
@pytest.mark.shows("5.5")
@pytest.mark.parametrize("tier", ["Standard_V2", "Standard"])
def test_a_restated_window_is_the_same_in_both_stores(lab: Lab, tier: str) -> None:
    """Refused with how many differ, until it is told to correct them; then nothing differs."""
    place = Field(lab, tier)
    lines = [
        f"s{n:02d},2013-0{m}-01T{n % 24:02d}:00:00Z,{n}" for m in (1, 2) for n in range(SENSORS)
    ]
    text = "\n".join(["sensor,at,level", *lines]) + "\n"
    (lab.root / "readings.csv").write_text(text, encoding="utf-8")
    lab.provision(GROUP, place.settings)
    assert [one.fate for one in place.run("2013-03-01")] == ["done", "done"]
    assert place.online() == place.offline()
    before = place.offline()

    place.transform = second
    assert place.standings == {"stale": 2}
    assert [one.fate for one in place.run("2013-03-01")] == ["left", "left"]
    ended = place.run("2013-03-01", restate=True)
    assert exit_code(ended) == 65
    said = [str(one.error) for one in ended]
    assert all(f"{CHANGED} identifiers have new values" in one for one in said)
    assert "--correct update" in said[0]  # January's rows are history online
    assert "--correct delete-put" in said[1]
    assert (place.online(), place.offline()) == (before, before)
    assert place.standings == {"failed": 2}

    ended = place.watched(lambda: place.run("2013-03-01", restate=True, correct="delete-put"))
    assert [(one.fate, one.step.action) for one in ended] == [("done", "run")] * 2
    assert place.standings == {"done": 2}
    january, february = (one.result.figures for one in ended if one.result is not None)
    assert (january.offline, january.corrected) == (CHANGED, 0)  # February's are current
    replaced = CHANGED if tier == "Standard" else len(NULLED) + len(BROAD)
    assert (february.offline, february.corrected, february.replaced) == (CHANGED, CHANGED, replaced)
    rows = 2 * SENSORS
    assert place.counts <= {rows, rows + CHANGED, rows + 2 * CHANGED}
    assert len(lab.offline(GROUP)) == rows + 2 * CHANGED
    after = place.offline()
    assert {key for key in after if after[key] != before[key]} == {
        f"s{n:02d}" for part in (MOVED, NULLED, BROAD) for n in part
    }
    assert after["s01"]["level"] == "2"
    assert "level" not in after["s02"]
    assert after["s03"]["v199"] == "200.0"
    assert place.online() == after
