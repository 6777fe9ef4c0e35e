"""Runs that meet: over the same time, in the same window, on the same table; and stores that part.

Each was found as a schedule of the protocol's model (tests/model) that the engine got wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from penstock.errors import DataGateError, TemporaryError
from penstock.ledger.window import Window, window
from penstock.progress import Silent
from penstock.run.context import Context
from penstock.run.ingest import Result, ingest_frame, ingest_pipeline
from penstock.run.places import offline_path
from tests.flow.test_corrections import NEW, OLD
from tests.lab import Lab
from tests.readings import GROUP, PIPELINE

JANUARY = window("2024-01-01", "2024-02-01")
TIER = {"storage_type": "Standard_V2"}

pytestmark = [pytest.mark.prove, pytest.mark.shows("5.6")]


class Killed(BaseException):
    """What ends a driver here: nothing catches it."""


@dataclass(frozen=True)
class Hook(Silent):
    """Acts when a step begins whose words begin so."""

    words: str
    act: Callable[[], object]

    def step(self, what: str, detail: str) -> None:
        """See :class:`penstock.progress.Progress`."""
        super().step(what, detail)
        if detail.startswith(self.words):
            self.act()


def killed() -> None:
    """The driver dies here."""
    raise Killed


def context(lab: Lab, text: str, **changes: Any) -> Context:
    """On a file of readings with these lines, on a tier that can update."""
    file = lab.root / "readings.csv"
    whole = f"sensor,at,level,share\n{text}"
    if not file.exists() or file.read_text(encoding="utf-8") != whole:
        file.write_text(whole, encoding="utf-8")
    settings = lab.settings({"readings": Path(file)}, groups__readings=TIER)
    lab.provision(GROUP, settings)
    return replace(lab.context(settings), **changes)


def run(lab: Lab, text: str, of: Window, online: Any = "latest", correct: Any = None) -> Result:
    """One window of these lines."""
    return ingest_pipeline(context(lab, text), PIPELINE, of, online, correct)


def rows(lab: Lab) -> list[tuple[str, str, int]]:
    """Offline: sensor, event time, level; the row written last at each comes last."""
    return [(row["sensor"], row["at"], row["level"]) for row in lab.offline(GROUP)]


def test_a_window_finished_after_a_wider_one_adds_nothing_twice(lab: Lab) -> None:
    """Killed before its commit; meanwhile everything is run; resumed, it finds its rows there."""
    text = f"a,{OLD},1,0.5\na,{NEW},2,0.5\nb,{OLD},3,0.5\n"
    dying = context(lab, text, progress=Hook("writing the offline store", killed))
    with pytest.raises(Killed):
        ingest_pipeline(dying, PIPELINE, JANUARY)
    everything = run(lab, text, Window())
    resumed = run(lab, text, JANUARY)
    assert (everything.figures.offline, resumed.state) == (3, "resumed")
    assert (resumed.figures.offline, resumed.figures.present) == (0, 3)
    assert rows(lab) == [("a", OLD, 1), ("a", NEW, 2), ("b", OLD, 3)]


def test_a_run_without_online_does_not_part_the_stores(lab: Lab) -> None:
    """A new value at a written event time would stay offline alone: refused, nothing changed."""
    run(lab, f"a,{NEW},2,0.5\nb,{NEW},3,0.5\n", Window())
    changed = f"a,{NEW},20,0.5\nb,{NEW},3,0.5\n"
    with pytest.raises(DataGateError, match=r"1 identifiers have new values.*--online never"):
        run(lab, changed, Window(), online="never")
    assert rows(lab) == [("a", NEW, 2), ("b", NEW, 3)]
    done = run(lab, changed, Window(), correct="update")
    online = lab.online(GROUP, "a")["a"]
    assert (done.figures.corrected, online and online["level"]) == (1, "20")
    assert rows(lab) == [("a", NEW, 2), ("a", NEW, 20), ("b", NEW, 3)]


def test_what_was_never_sent_is_sent_before_it_is_corrected(lab: Lab) -> None:
    """An update of a record that is not online makes nothing: refused, with the way out."""
    first, changed = f"a,{NEW},2,0.5\n", f"a,{NEW},20,0.5\n"
    run(lab, first, Window(), online="never")
    with pytest.raises(DataGateError, match="window all went offline alone"):
        run(lab, changed, Window(), correct="update")
    assert run(lab, first, Window()).figures.accepted == 1
    assert run(lab, changed, Window(), correct="update").figures.accepted == 1
    online = lab.online(GROUP, "a")["a"]
    assert (online and online["level"], rows(lab)[-1]) == ("20", ("a", NEW, 20))


def test_who_takes_over_answers_for_its_own_rows(lab: Lab) -> None:
    """The first driver stages first and is fenced; the second one's rows arrive all the same."""
    staged, go_on = threading.Event(), threading.Event()
    frames = {
        key: lab.spark.createDataFrame(
            [(key, at, 1, 0.5)], "sensor string, at string, level long, share double"
        )
        for key, at in (("a", OLD), ("b", NEW))
    }
    base = context(lab, "")
    told: list[str] = []

    def pause() -> None:
        staged.set()
        go_on.wait(120)

    def first() -> None:
        try:
            paused = replace(base, progress=Hook("transforming", pause))
            ingest_frame(paused, frames["a"], GROUP)
        except Exception as error:  # noqa: BLE001 - whatever ends it is what is asked
            told.append(str(error))

    rival = threading.Thread(target=first)
    rival.start()
    assert staged.wait(120)

    def let_go() -> None:
        go_on.set()
        rival.join(120)

    taking = replace(base, progress=Hook("transforming", let_go), takeover=True)
    assert ingest_frame(taking, frames["b"], GROUP).state == "done"
    assert "was claimed by" in told[0]
    assert [sensor for sensor, _, _ in rows(lab)] == ["a", "b"]
    assert lab.online_identifiers(GROUP) == ["a", "b"]


def test_corrections_of_two_windows_at_once_both_arrive(lab: Lab) -> None:
    """Both compare with the table, so Delta takes one commit first; the other one comes again."""
    days = [window(OLD, NEW), window(NEW, "2024-01-03")]
    text = f"a,{OLD},1,0.5\nb,{NEW},2,0.5\n"
    for one in days:
        run(lab, text, one)
    base = context(lab, text.replace(",1,", ",10,").replace(",2,", ",20,"))
    together = threading.Barrier(2)
    hooked = replace(base, progress=Hook("writing the offline store", lambda: together.wait(120)))
    found: list[Result] = []
    threads = [
        threading.Thread(
            target=lambda one=one: found.append(
                ingest_pipeline(hooked, PIPELINE, one, "latest", "update")
            )
        )
        for one in days
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert [one.figures.offline for one in found] == [1, 1]
    assert rows(lab) == [("a", OLD, 1), ("a", OLD, 10), ("b", NEW, 2), ("b", NEW, 20)]


def test_t06_two_drivers_same_window(lab: Lab) -> None:
    """Both stand before their append: one commit, every row once; the one taken over is fenced."""
    lines = [f"s{n},{NEW},{n},0.5" for n in range(1_000)]
    base = context(lab, "\n".join(lines) + "\n")
    together, told = threading.Barrier(2), dict[str, str]()
    arrived = threading.Event()

    def meet() -> None:
        arrived.set()
        together.wait(120)

    def drive(name: str, takeover: bool) -> None:
        hooked = Hook("writing the offline store", meet)
        try:
            done = ingest_pipeline(
                replace(base, progress=hooked, takeover=takeover), PIPELINE, JANUARY
            )
            told[name] = done.state
        except TemporaryError as error:
            told[name] = str(error)

    threads = [threading.Thread(target=drive, args=one) for one in (("1", False), ("2", True))]
    threads[0].start()
    assert arrived.wait(120)
    threads[1].start()
    for thread in threads:
        thread.join(300)
    assert told["2"] == "resumed"
    assert told["1"] == "resumed" or "was claimed by" in told["1"]
    assert len(rows(lab)) == len(set(rows(lab))) == 1_000
    assert len(lab.online_identifiers(GROUP)) == 1_000
    table = DeltaTable(offline_path(lab.settings(), GROUP.name))
    assert sum("penstock" in one.get("userMetadata", "") for one in table.history()) == 1
