"""CPU seconds of a whole process tree, from /proc: driver, JVM, Python workers, all children.

The kernel counts in hundredths of a second, so what is measured should last about a second of CPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What something took: CPU and wall, in seconds."""

    cpu_s: float
    wall_s: float


def cost(act: Callable[[], None], *, without: int) -> Cost:
    """Do it, and say what it cost this process and all its descendants but ``without``."""
    cpu, wall = tree_cpu(os.getpid(), without=without), time.perf_counter()
    act()
    wall = time.perf_counter() - wall
    return Cost(tree_cpu(os.getpid(), without=without) - cpu, wall)


def tree_cpu(root: int, *, without: int) -> float:
    """CPU seconds so far of ``root`` and its descendants, those that ended included."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent, used = _stat(entry)
            children.setdefault(parent, []).append(int(entry.name))
            ticks[int(entry.name)] = used
    total, waiting = 0, [root]
    while waiting:
        one = waiting.pop()
        if one != without:
            total += ticks.get(one, 0)
            waiting += children.get(one, [])
    return total / _TICKS


def _stat(entry: Path) -> tuple[int, int]:
    """Parent and ticks: user and system, its own and of the children it waited for."""
    try:
        fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0, 0  # it ended meanwhile
    return int(fields[1]), sum(map(int, fields[11:15]))
