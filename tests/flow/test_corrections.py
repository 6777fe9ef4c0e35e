"""New values at event times that are written already: refused, or corrected in both stores."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import DataGateError, UsageError
from penstock.ledger.window import Window
from penstock.query import run
from penstock.run.ingest import Correct, Result, ingest_pipeline
from penstock.run.places import offline_path
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE

OLD, NEW = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_a_correction_reaches_both_stores_or_neither(lab: Lab) -> None:
    """Refused without the flag; with it the new value is current in both, and again back.

    A second run adds nothing; a value that becomes null is refused with its reason.
    """
    done = _run(lab, f"a,{OLD},1,\na,{NEW},2,0.5\nb,{OLD},3,\n")
    assert done.figures.offline == 3
    before = lab.offline(GROUP)
    fixed = f"a,{OLD},1,\na,{NEW},20,0.5\nb,{OLD},3,\n"
    with pytest.raises(DataGateError, match="1 identifiers have new values") as caught:
        _run(lab, fixed)
    assert "--correct update" in caught.value.remedy
    assert lab.offline(GROUP) == before
    assert _level(lab) == ("2", 2)

    done = _run(lab, fixed, correct="update")
    found = done.figures
    assert (found.corrected, found.sent, found.accepted, found.skipped) == (1, 2, 2, 0)
    assert (found.offline, found.present) == (1, 2)
    assert _level(lab) == ("20", 20)
    assert lab.online(GROUP, "a")["a"] == {"sensor": "a", "at": NEW, "level": "20", "share": "0.5"}
    ways: tuple[Correct | None, ...] = ("update", None)
    for correct in ways:
        assert _run(lab, fixed, correct=correct).state == "unchanged"

    back = f"a,{OLD},1,\na,{NEW},2,0.5\nb,{OLD},3,0.25\n"
    found = _run(lab, back, correct="update").figures
    assert (found.corrected, found.offline, found.present) == (2, 2, 1)
    assert _level(lab) == ("2", 2)
    assert len(lab.offline(GROUP)) == 6

    with pytest.raises(DataGateError, match="1 with a feature that would become null"):
        _run(lab, f"a,{NEW},2,\nb,{OLD},3,0.25\n", correct="update")
    assert _level(lab) == ("2", 2)


TIER = "Standard"
FIRST = f"a,{NEW},2,0.5\nb,{OLD},3,0.25\nc,{OLD},1,\n"
FIXED = f"a,{NEW},3,\nb,{OLD},4,0.25\nc,{OLD},1,\n"


@pytest.mark.shows("5.5")
def test_a_tier_that_cannot_update_removes_and_puts(lab: Lab) -> None:
    """Both stores have the new value, also where it becomes null.

    What was not changed is neither removed nor written again.
    """
    _run(lab, FIRST, TIER)
    with pytest.raises(DataGateError, match="2 identifiers have new values") as caught:
        _run(lab, FIXED, TIER)
    assert "--correct delete-put" in caught.value.remedy
    found = _run(lab, FIXED, TIER, correct="delete-put").figures
    assert (found.corrected, found.replaced, found.sent, found.accepted) == (2, 2, 3, 3)
    assert (found.offline, found.present) == (2, 1)
    assert _level(lab) == ("3", 3)
    online = lab.online(GROUP, "a", "b", "c")
    assert online["a"] == {"sensor": "a", "at": NEW, "level": "3"}
    assert [(one or {}).get("level") for one in (online["b"], online["c"])] == ["4", "1"]
    assert _run(lab, FIXED, TIER, correct="delete-put").state == "unchanged"


@pytest.mark.prove
@pytest.mark.shows("5.5")
def test_what_a_tier_cannot_update_is_refused(lab: Lab) -> None:
    """With the number of identifiers and what to type; neither store is touched."""
    _run(lab, FIRST, TIER)
    before = lab.offline(GROUP)
    with pytest.raises(DataGateError, match=r"1 identifiers .* a feature that would become null"):
        _run(lab, FIXED, TIER, correct="update")
    with pytest.raises(DataGateError, match="of type Standard cannot update") as caught:
        _run(lab, f"a,{NEW},3,0.5\n", TIER, correct="update")
    assert (caught.value.exit_code, "--correct delete-put" in caught.value.remedy) == (65, True)
    assert (lab.offline(GROUP), _level(lab)) == (before, ("2", 2))


@pytest.mark.prove
@pytest.mark.shows("5.5")
def test_where_updates_can_they_do(lab: Lab) -> None:
    """``delete-put`` removes only what UpdateRecord cannot correct."""
    _run(lab, f"a,{NEW},2,0.5\nb,{OLD},3,0.25\n")
    fixed = f"a,{NEW},3,0.5\nb,{OLD},4,\n"
    found = _run(lab, fixed, correct="delete-put").figures
    assert (found.corrected, found.replaced, found.accepted) == (2, 1, 2)
    assert _level(lab) == ("3", 3)
    assert lab.online(GROUP, "b")["b"] == {"sensor": "b", "at": OLD, "level": "4"}


def test_each_event_time_is_sent(lab: Lab) -> None:
    """Three records of two identifiers; the newest is online, all are offline."""
    file = lab.root / "readings.csv"
    file.write_text(f"sensor,at,level,share\na,{NEW},2,\na,{OLD},1,\nb,{OLD},3,\nb,{OLD},4,\n")
    settings = lab.settings({"readings": file})
    lab.provision(GROUP, settings)
    context = lab.context(settings)
    found = ingest_pipeline(context, PIPELINE, Window(), "each").figures
    assert (found.candidates, found.accepted, found.ties, found.offline) == (3, 3, 1, 4)
    assert _level(lab) == ("2", 2)
    assert lab.online(GROUP, "b")["b"] == {"sensor": "b", "at": OLD, "level": "4"}
    with pytest.raises(UsageError, match="only the newest row"):
        ingest_pipeline(context, PIPELINE, Window(), "each", "update")
    forgetful = replace(PIPELINE, group=replace(GROUP, ttl=timedelta(days=1)))
    with pytest.raises(UsageError, match="could come back"):
        ingest_pipeline(context, forgetful, Window(), "each")


def _run(
    lab: Lab, text: str, tier: str = "Standard_V2", *, correct: Correct | None = None
) -> Result:
    file = lab.root / "readings.csv"
    text = f"sensor,at,level,share\n{text}"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    place: Any = {"storage_type": tier}
    settings = lab.settings(
        {"readings": Path(file)}, groups__readings=place, online__removal_grace_s=0.5
    )
    lab.provision(GROUP, settings)
    return ingest_pipeline(lab.context(settings), PIPELINE, Window(), correct=correct)


def _level(lab: Lab) -> tuple[str, int]:
    """The current level of ``a``, online and offline."""
    online = lab.online(GROUP, "a")["a"]
    assert online is not None
    path = offline_path(lab.settings(), GROUP.name)
    rows = {row["sensor"]: row["level"] for row in run(lab.spark, "live", GROUP, path).collect()}
    return online["level"], rows["a"]
