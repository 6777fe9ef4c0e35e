"""What kind of group a schedule is played with, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """What kind of group, and what happens to it.

    Args:
        name: For people.
        windows: Windows, run in any order; with ``overlaps`` every second one has all rows of the
            one before.
        identifiers: Distinct ones in all windows.
        feeds: Versions of each window's source; each but the first is a restatement.
        fresh: Rows that come to a source with each version.
        service: Who writes the offline store: the service, or we.
        forgets: Records have deletions and times to live.
        overlaps: Windows share their rows in pairs.
        unsent: Whether some versions are loaded with ``--online never``.
        crowd: Drivers at a time, beside those that sleep.
        takeover: Chance that a window is begun which somebody else is at, with the same version.
        kills: Chance of a kill at each step.
        naps: Chance that a driver stalls at a step, and is overtaken.
        pace: Chance at each step that a source changes.
        lost: Chance that a request has no answer: half of these are done, a quarter comes later.
        late: Chance at each step that one of those that come later comes.
        nap: Most steps of a nap.
        fatal: Points where every second driver is killed.
        slow: Points where most drivers stall.
        mixed: Whether event times of the windows lie between each other, as those of windows do
            that are made by arrival.
    """

    name: str
    windows: int = 3
    identifiers: int = 6
    feeds: int = 1
    fresh: int = 1
    service: bool = False
    forgets: bool = False
    overlaps: bool = False
    unsent: bool = False
    crowd: int = 3
    takeover: float = 0.15
    kills: float = 0.02
    naps: float = 0.04
    pace: float = 0.05
    lost: float = 0.2
    late: float = 0.1
    nap: int = 120
    fatal: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    mixed: bool = False


SETTINGS = {
    one.name: one
    for one in (
        Setting("plain", windows=5),
        Setting("restated", windows=3, feeds=3, unsent=True),
        Setting("arrivals", windows=3, identifiers=9, feeds=3, unsent=True, mixed=True),
        Setting("forgetting", windows=4, feeds=2, forgets=True),
        Setting("overlapping", windows=4, overlaps=True),
        Setting("service", windows=3, feeds=2, service=True),
    )
}
