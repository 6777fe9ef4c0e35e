"""What a firing runs: the words of ``penstock ingest``, the same whatever fires.

The window is not among them: it follows from the scheduled time, which whoever fires fills in.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from penstock.conf_schedule import Schedule
from penstock.config import Settings

#: EventBridge Scheduler puts the time it was to fire in its place, ``2022-03-22T18:59:43Z``
#: (AWS: context attributes of EventBridge Scheduler).
SCHEDULED = "<aws.scheduler.scheduled-time>"
#: The same from the clock of a machine that runs cron; a crontab reads a bare % as a new line.
_CLOCK = r"$(date -u +\%Y-\%m-\%dT\%H:\%M:00Z)"


def words(settings: Settings, schedule: Schedule, environment: str, scheduled: str) -> list[str]:
    """The arguments of ``ingest``.

    Args:
        settings: For the arguments that every job of the environment gets.
        schedule: What is run.
        environment: Overlay of the configuration that the job reads.
        scheduled: What stands for the scheduled time.
    """
    found = [*schedule.groups]
    if schedule.unit is not None:
        found += ["--scheduled-time", scheduled, "--window", schedule.unit]
        found += ["--delay", schedule.delay, "--catch-up", str(schedule.catch_up)]
    return [*found, "--env", environment, *settings.scheduler.arguments]


def crontab(
    settings: Settings, schedules: Mapping[str, Schedule], environment: str, root: Path
) -> Iterator[str]:
    """The lines of a crontab, one a schedule, under the time zone they are meant in.

    Args:
        settings: For the command and its arguments.
        schedules: What is run, by name.
        environment: Overlay of the configuration.
        root: The project's folder; the command is started in it.
    """
    for zone in sorted({one.timezone for one in schedules.values()}):
        yield f"CRON_TZ={zone}"
        for name, one in schedules.items():
            if one.timezone == zone:
                yield f"# {name}"
                yield crontab_line(settings, one, environment, root)


def crontab_line(settings: Settings, schedule: Schedule, environment: str, root: Path) -> str:
    """The line of one schedule; commented out where it is not enabled.

    Minutes are those of the crontab's clock, and the scheduled time is taken from it when the
    command starts: that is the minute it was to start in, or a little later.
    """
    command = settings.scheduler.command or f"{shlex.quote(_penstock())} ingest"
    given = words(settings, schedule, environment, _CLOCK)
    quoted = " ".join(one if one == _CLOCK else _escaped(shlex.quote(one)) for one in given)
    off = "" if schedule.enabled else "# off: "
    place = _escaped(shlex.quote(str(root.absolute())))
    return f"{off}{schedule.timetable.crontab()} cd {place} && {_escaped(command)} {quoted}"


def _escaped(text: str) -> str:
    return text.replace("%", r"\%")


def _penstock() -> str:
    """The console script beside this Python, for cron's PATH is short."""
    beside = Path(sys.executable).with_name("penstock")
    return str(beside) if beside.is_file() else "penstock"
