"""The flow of the flights project makes of 26,115 real rows what pandas makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd  # noqa: TID253 - the independent computation
import pytest

from penstock.wrangle import document, writing
from penstock.wrangle.reading import Reader, located
from penstock.wrangle.running import Run, pinned

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FLOW = Path(__file__).parents[2] / "transforms" / "airport_weather_prepared.yaml"
_SCALED = ["temp", "dewp", "humid", "wind_speed", "pressure"]


@pytest.mark.prove
@pytest.mark.shows("8.1")
def test_it_makes_what_pandas_makes(spark: SparkSession, tmp_path: Path) -> None:
    """Column by column and row by row; nothing is lost without a word."""
    flow = document.load(FLOW)
    with pinned(spark):
        run = Run(flow, Reader(spark, FLOW.parent, {}))
        frame, losses = run.watched(flow.result())
        writing.write(frame, str(tmp_path / "out"), "parquet")
        assert losses.counted() == {}
    found = pd.read_parquet(tmp_path / "out")
    wanted = _wanted(located(flow.sources["weather"], FLOW.parent, {}).path)
    assert list(found.columns) == list(wanted.columns)
    keys = ["origin", "observed_at"]
    found, wanted = (one.sort_values(keys, ignore_index=True) for one in (found, wanted))
    assert len(found) == 26_115
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=1e-9)
    assert found["pressure_missing"].sum() == 2_729
    assert found["wind_speed"].max() < 8  # without the 1048 mph, of which it would be 121


def _wanted(path: str) -> pd.DataFrame:
    raw = pd.read_csv(path)
    time = pd.to_datetime(raw["time_hour"], utc=True)
    made = raw[["origin", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]]
    made = made.assign(wind_speed=raw["wind_speed"].where(raw["wind_speed"] <= 250))
    made = made.assign(pressure_missing=raw["pressure"].isna().astype("int64"))
    for name in _SCALED:
        filled = made[name].fillna(made[name].mean())
        made[name] = (filled - filled.mean()) / filled.std()
    for name in ("precip", "visib"):
        low, high = made[name].min(), made[name].max()
        made[name] = (made[name] - low) / (high - low)
    for name, value, whole in (
        ("hour", time.dt.hour, 24),
        ("day_of_year", time.dt.dayofyear - 1, 366),
    ):
        made[f"at_{name}_1"] = np.sin(2 * np.pi * value / whole)
        made[f"at_{name}_2"] = np.cos(2 * np.pi * value / whole)
    return made.assign(observed_at=time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
