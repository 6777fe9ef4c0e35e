"""The folder of reports: the newest of each window, what a run is compared with, how many stay."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.report import shelf as reports
from penstock.report.shelf import Shelf
from penstock.storage import LocalStorage

AT = datetime(2026, 11, 29, tzinfo=timezone.utc)


def _put(shelf: Shelf, run: str, window: str, minute: int, **more: Any) -> str:
    plain = {"run": run, "window": window, "state": "done", "features": [{"name": "a"}], **more}
    return shelf.put(plain, f"<p>{run}</p>", AT + timedelta(minutes=minute))


def test_the_newest_of_each_window(tmp_path: Path) -> None:
    """Windows of any name, in order of time."""
    shelf = Shelf(LocalStorage(), str(tmp_path))
    windows = (
        "all",
        "20130101T000000Z_20130201T000000Z",
        "dlq-5b05_20240101T000000Z_all",
        "stream-1",
    )
    for n, window in enumerate(windows):
        _put(shelf, "old", window, n)
    newest = {window: _put(shelf, "new", window, 10 + n) for n, window in enumerate(windows)}
    assert shelf.pages() == newest


def test_a_run_is_compared_with_the_newest_other_one_that_ended(tmp_path: Path) -> None:
    """Not with itself, a run a gate stopped, a replay, or a page that is torn."""
    shelf = Shelf(LocalStorage(), str(tmp_path))
    assert shelf.previous("this") is None
    _put(shelf, "first", "all", 0)
    _put(shelf, "second", "all", 1)
    _put(shelf, "stopped", "all", 2, state="stopped")
    _put(shelf, "replay", "dlq-5b05_all", 3)
    _put(shelf, "stream", "stream-1", 4, features=[])
    _put(shelf, "this", "all", 5)
    (tmp_path / "20261129T235959000000Z-torn-all.json").write_text("{", encoding="utf-8")
    found = shelf.previous("this")
    assert found is not None
    assert found["run"] == "second"


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files of each."""
    monkeypatch.setattr(reports, "KEPT", 3)
    shelf = Shelf(LocalStorage(), str(tmp_path))
    for n in range(5):
        _put(shelf, f"run{n}", "all", n)
    assert sorted(one.name.split("-")[1] for one in tmp_path.iterdir()) == sorted(
        ["run2", "run3", "run4"] * 2
    )
