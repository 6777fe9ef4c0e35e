"""The crash points cp00 to cp16 (facts: reliability, 3.4), each hit for certain.

A point is one line more in a copy of the package: whoever comes to it writes down which window it
is and stops there, so that the driver can be killed from outside while it stands at the point.
cp06 and cp07 are in code of executors. cp10 is inside Delta, where no line of ours can be: there
the line says only that the append begins, and the driver's JVM is halted as soon as a file of the
append is whole. cp16 is in another command, the collection of what was staged.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from tests.flow.copies import change, copied
from tests.flow.processes import Seen, end, under, until

_WORK, _SENDER = "work.places.window.name", "self._job.results.split('/')[-2]"
_APPENDED = "            work.journal.append(step.state, work.epoch, data, context.now())\n"


@dataclass(frozen=True)
class Point:
    """A crash point.

    Args:
        name: As in the table.
        module: File below the package.
        snippet: Lines that stand there once.
        after: Whether the point is behind them, not before.
        window: Expression for the name of the window that has come here; none where it is unknown.
        when: Condition, beside the window.
        state: Fold of the window's events afterwards; None where it may be any.
        staged: Whether there is a manifest then; None where it may be or not.
    """

    name: str
    module: str
    snippet: str
    after: bool = False
    window: str = _WORK
    when: str = "True"
    state: str | None = None
    staged: bool | None = None

    def copy(self, folder: Path, hit: Path, first: str = "") -> Path:
        """A copy of the package that stops here, in a window not before ``first``."""
        here = self.window or "''"
        waits = "" if self.name == "cp10" else "; __import__('time').sleep(900)"
        only = f"{here} >= {first if self.window else ''!r}"
        self.insert(copied(folder), f"open({str(hit)!r}, 'w').write({here}){waits}", only)
        return folder

    def insert(self, folder: Path, statement: str, only: str = "True") -> None:
        """One line more in a copy: what is done at this point, under a condition."""
        indent = self.snippet[: len(self.snippet) - len(self.snippet.lstrip(" "))]
        line = f"{indent}if ({self.when}) and ({only}): {statement}\n"
        both = (self.snippet, line)
        change(folder, self.module, self.snippet, "".join(both if self.after else both[::-1]))


def _event(name: str, state: str) -> Point:
    """Behind an event of the journal."""
    when = f"step.state.value == '{state}'"
    return Point(name, "run/ingest.py", _APPENDED, after=True, when=when, state=state)


POINTS = (
    Point("cp00", "run/ingest.py", "    epoch = journal.epoch + 1\n", window="places.window.name"),
    Point(
        "cp01",
        "run/ingest.py",
        "    return Work(\n        context=context,\n",
        window="places.window.name",
    ),
    _event("cp02", "PLANNED"),
    Point(
        "cp03", "run/staging.py", "    staged = stage_features(frame", state="PLANNED", staged=False
    ),
    Point("cp04", "run/staging.py", "    return Manifest(\n", state="PLANNED", staged=False),
    Point(
        "cp05", "run/steps.py", "    found = work.manifest.figures\n", state="PLANNED", staged=True
    ),
    Point(
        "cp06",
        "online/sender.py",
        "        self._settle(parcel.chunk, now)\n\n    def _wait",
        window=_SENDER,
        when="0 < parcel.chunk.figures.accepted < parcel.chunk.count",
        state="STAGED",
        staged=True,
    ),
    Point(
        "cp07",
        "online/marker.py",
        "        self._storage.put_if_absent(path, json.dumps(marker",
        window=_SENDER,
        state="STAGED",
        staged=True,
    ),
    Point(
        "cp08",
        "run/steps.py",
        "        send_files(work, chosen.files, chosen.results)\n",
        after=True,
        state="STAGED",
        staged=True,
    ),
    _event("cp09", "ONLINE_DONE"),
    Point("cp10", "run/steps.py", "    done = work.table.append(\n", state="ONLINE_DONE"),
    Point(
        "cp11",
        "run/steps.py",
        '    return {"offline": done.rows, "present": done.present, "version"',
        state="ONLINE_DONE",
    ),
    _event("cp12", "OFFLINE_COMMITTED"),
    Point("cp13", "catalog/glue.py", '        return "created"\n', window=""),
    _event("cp14", "REGISTERED"),
    _event("cp15", "DONE"),
)

#: In the middle of removing what a window staged: the first file is gone.
COLLECTING = Point("cp16", "storage.py", "            self.delete(path)\n", after=True, window="")


def named(name: str) -> Point:
    """A point by its name."""
    return next(one for one in POINTS if one.name == name)


def kill(
    process: subprocess.Popen[Any], point: Point, hit: Path, table: Path, seconds: float
) -> str | None:
    """Wait until a driver stands at a point, and kill it and all under it.

    Args:
        process: The driver, or what started it.
        point: Where.
        hit: File the copy writes.
        table: Folder of the offline table.
        seconds: How long it may take.

    Returns:
        The window that stood at the point; None where the driver ended before.
    """
    try:
        until(lambda: hit.exists() or process.poll() is not None, point.name, seconds)
        if not hit.exists():
            return None
        if point.name != "cp10":
            time.sleep(0.05)  # until the name of the window is in the file
        elif not _halted(process, table, seconds):
            return None
    finally:
        below = under(process.pid)
        process.kill()
        end(below, signal.SIGKILL)
        process.wait(60)
    return hit.read_text(encoding="utf-8")


def files(table: Path) -> set[Path]:
    """Parquet files of a table's folder, committed or not."""
    return {one for one in table.rglob("*.parquet") if "_delta_log" not in one.parts}


def _halted(process: subprocess.Popen[Any], table: Path, seconds: float) -> bool:
    """Halt the JVM, step by step, where an append has a whole file that no commit names."""
    before = files(table)  # what drivers before this one left, and windows beside this one wrote

    def there() -> bool:
        return process.poll() is not None or bool(_loose(table) - before)

    until(there, "a file of the append", seconds)
    jvm = next((one.pid for one in under(process.pid) if _java(one)), process.pid)

    def whole() -> bool:
        os.kill(jvm, signal.SIGSTOP)
        found = any(one.read_bytes()[-4:] == b"PAR1" for one in _loose(table) - before)
        if not found:
            os.kill(jvm, signal.SIGCONT)
        return found

    if process.poll() is None:
        until(whole, "a whole file", seconds)
    return process.poll() is None


def _loose(table: Path) -> set[Path]:
    """Files that no commit names: those of an append that is under way, or was."""
    found = files(table)  # first: a file committed a moment later is not taken for loose
    if not DeltaTable.is_deltatable(str(table)):
        return found
    committed = {Path(one).name for one in DeltaTable(str(table)).file_uris()}
    return {one for one in found if one.name not in committed}


def _java(one: Seen) -> bool:
    return one.command.split(" ")[0].endswith("java")
