"""Processes under another one, seen from outside through /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """A process: its id, its start in the kernel's ticks, its command line."""

    pid: int
    born: str
    command: str

    @property
    def lives(self) -> bool:
        """Whether this very process is still there and has not ended."""
        now = _stat(self.pid)
        return now is not None and now[19] == self.born and now[0] not in "ZX"


def under(pid: int) -> list[Seen]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    stats = {int(one.name): _stat(int(one.name)) for one in Path("/proc").glob("[0-9]*")}
    for one, stat in stats.items():
        if stat is not None:
            parents.setdefault(int(stat[1]), []).append(one)
    found, waiting = [], [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        waiting += below
        for one in below:
            stat = stats[one]
            assert stat is not None
            found.append(Seen(one, stat[19], _command(one)))
    return found


def workers(pid: int) -> list[Seen]:
    """Python workers of Spark under a driver: the children of its daemon."""
    daemons = [one for one in under(pid) if "pyspark.daemon" in one.command]
    known = {one.pid for one in daemons}
    return [one for one in daemons if _parent(one.pid) in known]


def executors() -> list[Seen]:
    """JVMs of executors on clusters that this process has started."""
    return [one for one in under(os.getpid()) if "CoarseGrainedExecutorBackend" in one.command]


def until(reached: Callable[[], bool], what: str, seconds: float) -> float:
    """Wait for something that must come; answers how long it took."""
    began = time.monotonic()
    while not reached():
        took = time.monotonic() - began
        assert took < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.002)
    return time.monotonic() - began


def gone(processes: list[Seen], seconds: float) -> float:
    """Wait until all have ended by themselves."""
    return until(
        lambda: not any(one.lives for one in processes),
        f"these live on: {[one.command[:60] for one in processes if one.lives]}",
        seconds,
    )


def end(processes: list[Seen], number: int) -> None:
    """Send a signal to each that is still there."""
    for one in processes:
        if one.lives:
            os.kill(one.pid, number)


def _parent(pid: int) -> int:
    stat = _stat(pid)
    return 0 if stat is None else int(stat[1])


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def _command(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace")
