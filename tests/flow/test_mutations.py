"""Engines that lose one row: each must end with 70 and mark nothing done.

A mutant is a copy of the package with one snippet replaced, first on the path of a real run in a
process of its own, so that driver and workers lose the row alike. The product knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import penstock
from tests.flow.copies import change, copied
from tests.flow.points import COLLECTING, POINTS, Point
from tests.flow.project import make

SENSORS = 300


@dataclass(frozen=True)
class Mutant:
    """One snippet of one module, replaced.

    Args:
        name: Where the row is lost.
        module: File below the package.
        snippet: Stands there exactly once.
        replaced: What stands there instead.
        says: Words of the line the run ends with.
        arguments: Of the run.
    """

    name: str
    module: str
    snippet: str
    replaced: str
    says: str
    arguments: tuple[str, ...] = ()


def _reader(name: str, snippet: str, replaced: str, says: str) -> Mutant:
    return Mutant(name, "source/text.py", snippet, replaced, says)


def _tasks(name: str, snippet: str, replaced: str, says: str) -> Mutant:
    return Mutant(name, "stage/tasks.py", snippet, replaced, says)


FIRST = ".slice(1)"
MUTANTS = (
    _reader(
        "file reader: parsed and not given on",
        "while taken := list(itertools.islice(counted, BATCH_ROWS)):",
        "while taken := list(itertools.islice(counted, BATCH_ROWS))[1:]:",
        "rows were parsed",
    ),
    Mutant(
        "file reader: read at once and not given on",
        "source/delimited.py",
        "some = table.slice(n, BATCH_ROWS)",
        "some = table.slice(n + 1, BATCH_ROWS)",
        "given on as",
    ),
    Mutant(
        "file reader: a whole file left out",
        "source/splits.py",
        "return reading, [split for splits, _ in looked for split in splits], tuple(sorted(extra))",
        "return reading, [split for splits, _ in looked[1:] for split in splits], ()",
        "was not read",
    ),
    _tasks(
        "source gate: counted and not written",
        "            rows.write(gated.rows)\n",
        f"            rows.write(gated.rows{FIRST})\n",
        "source readings: fit: counted",
    ),
    _tasks(
        "source gate: put aside and not written",
        "            tally.count(fit=gated.rows.num_rows)\n"
        "            rows.write(gated.rows)\n"
        "            bad.write(gated.bad)\n",
        "            tally.count(fit=gated.rows.num_rows)\n"
        "            rows.write(gated.rows)\n"
        f"            bad.write(gated.bad{FIRST})\n",
        "source readings: quarantined: counted",
    ),
    Mutant(
        "gate: neither fit nor put aside",
        "gate.py",
        "bad=put_aside(batch, pc.invert(fit), findings.of, place),",
        f"bad=put_aside(batch, pc.invert(fit), findings.of, place){FIRST},",
        "in and out: counted",
    ),
    Mutant(
        "gate: fit and not kept",
        "gate.py",
        "rows=pa.Table.from_batches([typed.filter(kept)]),",
        f"rows=pa.Table.from_batches([typed.filter(kept)]){FIRST},",
        "in and out: counted",
    ),
    Mutant(
        "between the gates: a row fewer comes out of the staged files",
        "stage/spark.py",
        "    return frame.select(",
        "    return frame.limit(frame.count() - 1).select(",
        "passed the source gate",
    ),
    _tasks(
        "feature gate: passed and not kept for its identifier",
        "versions.add(gated.rows.drop_columns([ORIGIN]))",
        f"versions.add(gated.rows.drop_columns([ORIGIN]){FIRST})",
        "feature gate: in and out",
    ),
    _tasks(
        "feature gate: put aside and not written",
        "                bad.write(gated.bad)\n                for",
        f"                bad.write(gated.bad{FIRST})\n                for",
        "feature gate: quarantined",
    ),
    _tasks(
        "settled rows: counted and not written",
        "        rows.write(settled.rows)\n",
        f"        rows.write(settled.rows{FIRST})\n",
        "feature gate: fit",
    ),
    Mutant(
        "versions: a row of the waiting ones forgotten",
        "stage/versions.py",
        "        keys = [(self._identifier, ",
        "        rows = rows.slice(1)\n        keys = [(self._identifier, ",
        "feature gate: in and out",
    ),
    Mutant(
        "versions: a row taken for a duplicate",
        "stage/versions.py",
        "dropped[index] = payload in seen",
        "dropped[index] = payload in seen or index == groups[0][0]",
        "feature gate: in and out",
    ),
    Mutant(
        "versions: an identifier without its latest row",
        "stage/versions.py",
        "latest = rows.filter(last).drop_columns([TIE])",
        f"latest = rows.filter(last).drop_columns([TIE]){FIRST}",
        "feature gate: identifiers",
    ),
    _tasks(
        "send files: settled and not written",
        "            self._phase(0).write(settled.latest)\n",
        f"            self._phase(0).write(settled.latest{FIRST})\n",
        "feature gate: identifiers",
    ),
    _tasks(
        "send files: none at all",
        "        if not self._task.send:\n",
        "        if self._task.send:\n",
        "identifiers to send = candidates",
    ),
    Mutant(
        "quarantine: put aside and not entered",
        "quarantine.py",
        "complete.coalesce(1), _TABLE",
        "complete.limit(complete.count() - 1).coalesce(1), _TABLE",
        "not in the quarantine",
    ),
    Mutant(
        "selection: a send file forgotten",
        "run/selection.py",
        "    staged = work.manifest.staged.send\n    own",
        "    staged = work.manifest.staged.send[1:]\n    own",
        "identifiers to send = candidates",
    ),
    Mutant(
        "sending: a send file forgotten",
        "run/steps.py",
        "    files = {one.path: one.rows for one in chosen.files}\n",
        "    files = {one.path: one.rows for one in chosen.files[1:]}\n",
        "candidates = sent",
    ),
    Mutant(
        "sending: a row of the file not read",
        "online/parcel.py",
        "            own = rows.select([*job.features, *controls_in(rows.schema)])\n",
        "            own = rows.select([*job.features, *controls_in(rows.schema)]).slice(1)\n",
        "rows expected",
    ),
    Mutant(
        "sending: never sent but marked",
        "online/parcel.py",
        "self.figures.settled >= self.count",
        "self.figures.settled >= self.count - 1",
        "rows, sent and answered",
        ("--set=online.api=put", "--set=online.in_flight=1"),
    ),
    Mutant(
        "sending: a row nobody puts into a request",
        "online/parcel.py",
        "return Parcel(self, self._order[start:end])",
        "return Parcel(self, self._order[start + (start == 0):end])",
        "rows that nobody sends",
        ("--set=online.api=batch",),
    ),
    Mutant(
        "sending: a record that is not in the request's body",
        "online/body.py",
        "joined = self.frame.batch_between.join([records[row] for row in rows])",
        "joined = self.frame.batch_between.join([records[row] for row in rows][1:])",
        "records holds",
        ("--set=online.api=batch",),
    ),
    Mutant(
        "markers: one that speaks of fewer rows",
        "online/marker.py",
        '"rows": chunk.rows.num_rows,',
        '"rows": chunk.rows.num_rows - 1,',
        "rows expected",
    ),
    Mutant(
        "offline: a row not appended",
        "offline/table.py",
        "        return rows.select(\n",
        "        return rows.limit(rows.count() - 1).select(\n",
        "produced = offline",
    ),
    Mutant(
        "offline: in hand and not in a file",
        "parts.py",
        "self._file.write(rows)",
        "self._file.write(rows.slice(1))",
        "produced = offline",
    ),
    Mutant(
        "offline: in a file that is not committed",
        "commits.py",
        "for one in parts]",
        "for one in parts[1:]]",
        "produced = offline",
    ),
    Mutant(
        "offline: a staged file not read",
        "run/steps.py",
        "[one.path for one in manifest.staged.rows]",
        "[one.path for one in manifest.staged.rows[1:]]",
        "produced = offline",
    ),
)
#: One of each kind in `make test`: a worker's reader, a worker's count, sending, the driver.
QUICK = ("sending: never sent but marked",)
COMPARING = (
    Mutant(
        "comparing: taken for present",
        "offline/table.py",
        "        return read, stored.present(rows).count(), ",
        "        return read, stored.present(rows).count() - 1, ",
        "produced = offline",
    ),
    Mutant(
        "comparing: new and left out",
        "offline/table.py",
        "stored.present(rows).count(), stored.fresh(rows)\n",
        "stored.present(rows).count(), (f := stored.fresh(rows)).limit(f.count() - 1)\n",
        "produced = offline",
    ),
)


def _named(mutants: tuple[Mutant, ...], *, quick: bool) -> list[Mutant]:
    return [one for one in mutants if (one.name in QUICK) is quick]


@pytest.mark.shows("3.4")
@pytest.mark.parametrize(
    "one", [*MUTANTS, *COMPARING, *POINTS, COLLECTING], ids=lambda one: one.name
)
def test_every_mutant_and_crash_point_has_its_snippet(one: Mutant | Point) -> None:
    """Else the long proofs would not try what they say they do."""
    file = Path(penstock.__file__).parent / one.module
    assert file.read_text(encoding="utf-8").count(one.snippet) == 1


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.parametrize("mutant", _named(MUTANTS, quick=True), ids=lambda one: one.name)
def test_an_engine_that_loses_one_row_ends_with_70(mutant: Mutant, tmp_path: Path) -> None:
    """One line that names the figure; the window is not done."""
    _ends_with_70(mutant, tmp_path)


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.parametrize("mutant", _named(MUTANTS, quick=False), ids=lambda one: one.name)
def test_so_does_one_that_loses_it_elsewhere(mutant: Mutant, tmp_path: Path) -> None:
    """The same at every other stage."""
    _ends_with_70(mutant, tmp_path)


@pytest.mark.prove
@pytest.mark.shows("3.4")
@pytest.mark.parametrize("mutant", COMPARING, ids=lambda one: one.name)
def test_so_does_one_that_loses_it_while_comparing(mutant: Mutant, tmp_path: Path) -> None:
    """In a second generation, whose rows are compared with what is offline already."""
    fine = make(tmp_path / "project", SENSORS)
    assert fine.run("provision").code == 0
    assert fine.run("ingest").code == 0
    with (fine.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"new{n},2024-06-01T00:00:00Z,1,\n" for n in range(3))
    _mutated(mutant, tmp_path / "mutant")
    answer = type(fine)(fine.root, (tmp_path / "mutant",)).run("ingest")
    assert answer.code == 70, answer
    assert mutant.says in answer.err.splitlines()[-1]


@pytest.mark.prove
@pytest.mark.shows("3.4")
def test_a_copy_that_loses_nothing_is_done(tmp_path: Path) -> None:
    """It is the mutation, not the copying, that ends with 70; and the copy is what runs."""
    mutant = Mutant("none", "__init__.py", '"""', '"""Copy. ', "")
    small = make(tmp_path / "project", SENSORS, (tmp_path / "mutant",))
    _mutated(mutant, tmp_path / "mutant", count=2)
    assert small.run("provision").code == 0
    answer = small.run("ingest")
    assert answer.code == 0, answer
    assert small.states()[-1] == "DONE"


def _ends_with_70(mutant: Mutant, root: Path) -> None:
    small = make(root / "project", SENSORS, (root / "mutant",))
    _mutated(mutant, root / "mutant")
    assert small.run("provision").code == 0
    answer = small.run("ingest", *mutant.arguments)
    assert answer.code == 70, answer
    line = answer.err.splitlines()[-1]
    assert line.startswith("penstock: ")
    assert mutant.says in line
    assert "DONE" not in small.states()


def _mutated(mutant: Mutant, folder: Path, count: int = 1) -> None:
    """A copy of the package in ``folder`` with the snippet replaced."""
    change(copied(folder), mutant.module, mutant.snippet, mutant.replaced, count)
