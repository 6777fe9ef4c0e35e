"""New values at event times that are written already: refused, or corrected in both stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.errors import DataGateError
from penstock.ledger.window import Window
from penstock.query import run
from penstock.run.ingest import Result, ingest_pipeline
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

    done = _run(lab, fixed, correct=True)
    found = done.figures
    assert (found.corrected, found.sent, found.accepted, found.skipped) == (1, 2, 2, 0)
    assert (found.offline, found.present) == (1, 2)
    assert _level(lab) == ("20", 20)
    assert lab.online(GROUP, "a")["a"] == {"sensor": "a", "at": NEW, "level": "20", "share": "0.5"}
    for correct in (True, False):
        assert _run(lab, fixed, correct=correct).state == "unchanged"

    back = f"a,{OLD},1,\na,{NEW},2,0.5\nb,{OLD},3,0.25\n"
    found = _run(lab, back, correct=True).figures
    assert (found.corrected, found.offline, found.present) == (2, 2, 1)
    assert _level(lab) == ("2", 2)
    assert len(lab.offline(GROUP)) == 6

    with pytest.raises(DataGateError, match="1 with a feature that would become null"):
        _run(lab, f"a,{NEW},2,\nb,{OLD},3,0.25\n", correct=True)
    assert _level(lab) == ("2", 2)


def test_a_tier_that_cannot_update_is_named(lab: Lab) -> None:
    """UpdateRecord is not for Standard: exit 65, and nothing is published."""
    tier = "Standard"
    _run(lab, f"a,{NEW},2,\n", tier)
    with pytest.raises(DataGateError, match="of type Standard cannot update") as caught:
        _run(lab, f"a,{NEW},3,\n", tier, correct=True)
    assert caught.value.exit_code == 65
    assert "a newer event time" in caught.value.remedy
    assert _level(lab) == ("2", 2)


def _run(lab: Lab, text: str, tier: str = "Standard_V2", *, correct: bool = False) -> Result:
    file = lab.root / "readings.csv"
    text = f"sensor,at,level,share\n{text}"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    place: Any = {"storage_type": tier}
    settings = lab.settings({"readings": Path(file)}, groups__readings=place)
    lab.provision(GROUP, settings)
    how: Any = "update" if correct else None
    return ingest_pipeline(lab.context(settings), PIPELINE, Window(), correct=how)


def _level(lab: Lab) -> tuple[str, int]:
    """The current level of ``a``, online and offline."""
    online = lab.online(GROUP, "a")["a"]
    assert online is not None
    path = offline_path(lab.settings(), GROUP.name)
    rows = {row["sensor"]: row["level"] for row in run(lab.spark, "live", GROUP, path).collect()}
    return online["level"], rows["a"]
