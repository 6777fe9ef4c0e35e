"""The page about a life of a stream: few points however long it lives, and what its meter said."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from penstock import aws
from penstock.config import Settings
from penstock.report.shelf import Shelf
from penstock.run.context import Context
from penstock.storage import LocalStorage
from penstock.streaming.meter import Meter
from penstock.streaming.track import MOST, Track


def _context(root: Path, **more: Any) -> Context:
    settings = Settings(project="small", lake=str(root / "lake"), state=str(root / "state"), **more)
    endpoint = aws.Endpoint("us-east-1", "http://127.0.0.1:1", "")
    return Context(lambda: pytest.fail("no session is needed"), endpoint, settings, root)


def _lived(context: Context, looks: int) -> Track:
    track, meter = Track(context, "readings", 3, "0123456789ab"), Meter(0.0)
    for second in range(looks):
        track.add(meter.plain(float(second)), float(second))
    track.close(meter.plain(float(looks)))
    return track


def test_a_long_life_has_few_points(tmp_path: Path) -> None:
    """From its start to its end, evenly."""
    points = _lived(_context(tmp_path), 10_000).points
    seconds = [one["s"] for one in points]
    assert MOST / 4 <= len(points) < MOST
    assert seconds == sorted(seconds)
    assert seconds[-1] > 9_000
    gaps = [two - one for one, two in pairwise(seconds)]
    assert max(gaps) <= 2 * min(gaps)


def test_a_life_leaves_a_page(tmp_path: Path) -> None:
    """Under the name of its stream; it is not what the next run is compared with."""
    _lived(_context(tmp_path), 5)
    shelf = Shelf(LocalStorage(), str(tmp_path / "lake" / "reports" / "readings"))
    (page,) = shelf.pages().items()
    assert page[0] == "stream-3"
    assert "From an event" not in Path(page[1]).read_text(encoding="utf-8")  # there was none
    plain = json.loads(Path(page[1]).with_suffix(".json").read_text(encoding="utf-8"))
    assert len(plain["progress"]) == 5
    assert shelf.previous("another") is None


def test_a_life_that_failed_says_so(tmp_path: Path) -> None:
    """By the kind of the error alone: its words may hold values."""
    try:
        json.loads("canary-4f1d9c")
    except ValueError:
        _lived(_context(tmp_path), 1)
    shelf = Shelf(LocalStorage(), str(tmp_path / "lake" / "reports" / "readings"))
    text = Path(shelf.pages()["stream-3"]).read_text(encoding="utf-8")
    assert "failed: JSONDecodeError" in text
    assert "canary" not in text


def test_no_report_where_none_is_wanted_or_none_can_be(tmp_path: Path) -> None:
    """Neither ends the stream."""
    _lived(_context(tmp_path, report=False), 1)
    assert not (tmp_path / "lake").exists()
    (tmp_path / "lake").write_text("no folder", encoding="utf-8")
    _lived(_context(tmp_path), 1)
