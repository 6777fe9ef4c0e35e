"""What a run of the small project leaves behind, to be compared with what another one leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.flow.project import Answer, Small, make

#: Figures that depend on time and on what was sent twice.
_TIMES = {"seconds", "online_s", "rate", "p50_ms", "p99_ms", "in_flight", "report"}
_VARIES = _TIMES | {"calls", "by_code", "repeated", "throttled", "ambiguous"}


@dataclass(frozen=True)
class Stores:
    """Both stores, the quarantine, and figures that depend on nothing but the rows."""

    offline: list[tuple[Any, ...]]
    online: dict[str, Any]
    quarantine: list[tuple[Any, ...]]
    figures: dict[str, Any]


def provisioned(root: Path, sensors: int) -> Small:
    """A project with its feature group."""
    small = make(root, sensors)
    fine(small.run("provision"))
    return small


def fine(answer: Answer) -> Answer:
    """One that ended well."""
    assert answer.code == 0, answer
    return answer


def stores(small: Small, answer: Answer) -> Stores:
    """What is there after a run that said so; one commit, so one write time."""
    (figures,) = answer.json
    kept = {key: value for key, value in figures.items() if key not in _VARIES | {"state"}}
    assert small.write_times() == 1
    return Stores(small.offline(), small.online(), small.quarantine(), kept)
