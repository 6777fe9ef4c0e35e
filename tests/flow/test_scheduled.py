"""Scheduled runs: each window once, whatever firings come, and never two at one window."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyspark.sql import DataFrame

from penstock.contract import Pipeline, Source
from penstock.errors import TemporaryError
from penstock.ledger.lease import held
from penstock.ledger.window import Window
from penstock.run.due import ingest_due
from penstock.run.places import Places, state_folder
from penstock.schedule.firing import windows
from tests.lab import Lab
from tests.readings import GROUP, SOURCE

READINGS = Source(SOURCE.columns, time="at")
PIPELINE = Pipeline(GROUP, {"readings": READINGS}, window="day")
DELAY = timedelta(hours=3)


def test_firings_load_each_day_once_also_the_one_a_firing_did_not_come_for(
    lab: Lab, tmp_path: Path
) -> None:
    """The firing of the 3rd is lost; those of the 4th load the 2nd and the 3rd, each of them once.

    While somebody else is at the day that was missed, the newest one does not wait for it: the run
    ends with 75, and what it could load is loaded.
    """
    settings = lab.settings({"readings": _file(tmp_path, 4)})
    lab.provision(GROUP, settings)
    context = lab.context(settings)
    missed = _fired(4)[0]
    lease = Places(state_folder(settings), GROUP.name, missed).lease
    with held(context.storage, lease, time.time), pytest.raises(TemporaryError, match="is owned"):
        ingest_due(context, PIPELINE, _fired(4))
    assert [row["at"][8:10] for row in lab.features(GROUP)] == ["03"]
    ran = [*ingest_due(context, PIPELINE, _fired(4)), *ingest_due(context, PIPELINE, _fired(4))]
    states = [(one.window[6:8], one.state) for one in ran]
    assert states == [("02", "done"), ("03", "unchanged"), ("03", "unchanged")]
    assert [row["at"][8:10] for row in lab.features(GROUP)] == ["02", "03"]
    online = lab.online(GROUP, "a")["a"]
    assert online is not None
    assert online["at"] == "2024-01-03T12:00:00Z"


def test_a_window_fired_again_while_it_is_loaded_is_left_to_its_run(
    lab: Lab, tmp_path: Path
) -> None:
    """The second run names the holder and ends with 75; the first is not disturbed."""
    settings = lab.settings({"readings": _file(tmp_path, 2)})
    lab.provision(GROUP, settings)
    refused: list[TemporaryError] = []

    def fires_again(readings: DataFrame) -> DataFrame:
        """As it is; in the middle of the first run the schedule fires a second time."""
        with pytest.raises(TemporaryError, match=r"this window is owned by .*, process") as caught:
            ingest_due(lab.context(settings), again, _fired(2)[-1:])
        refused.append(caught.value)
        return readings

    pipeline = Pipeline(GROUP, {"readings": READINGS}, fires_again, window="day")
    again = Pipeline(GROUP, {"readings": READINGS}, fires_again, window="day")
    (first,) = ingest_due(lab.context(settings), pipeline, _fired(2)[-1:])
    assert (first.state, first.figures.offline) == ("done", 1)
    assert {one.exit_code for one in refused} == {75}
    (second,) = ingest_due(lab.context(settings), again, _fired(2)[-1:])
    assert second.state == "unchanged"
    assert len(lab.offline(GROUP)) == 1


def _fired(day: int) -> list[Window]:
    """The windows of the firing at three in the morning of a day of January 2024."""
    return windows(datetime(2024, 1, day, 3, tzinfo=timezone.utc), "day", DELAY, 1)


def _file(folder: Path, days: int) -> Path:
    """One reading at noon of each day."""
    file = folder / "readings.csv"
    lines = [f"a,2024-01-{day:02}T12:00:00Z,{day},0.5" for day in range(1, days + 1)]
    file.write_text("\n".join(["sensor,at,level,share", *lines]) + "\n", encoding="utf-8")
    return file
