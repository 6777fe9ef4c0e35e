"""Schedules as ``conf`` names them: what is loaded when (``schedules``), and what starts it where.

Where is the environment's business: ``scheduler`` holds roles, application and job, once for all
schedules, so that ``schedules`` can stand in ``base.yaml`` and read the same everywhere.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from penstock.conf_record import Record
from penstock.timetable import Timetable, Unit, after_end, duration, parse

_ROLE = r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$"


class Schedule(Record):
    """One schedule: some groups, the size of what a firing loads, and when it fires."""

    window: Literal["hour", "day", "week", "month", "all"] = Field(
        description="What a firing loads: the last UTC unit that has ended, or everything."
    )
    groups: tuple[str, ...] = Field(
        default=(), description="Feature groups; none means all of the project.", strict=False
    )
    delay: str = Field(
        default="0m", description="How long after a window's end its rows are waited for: 90m, 3h."
    )
    every: str | None = Field(
        default=None,
        description="rate(1 day) or cron(0 3 * * ? *); unset: at the window's end plus the delay.",
    )
    timezone: str = Field(default="UTC", description="Time zone of 'every'; windows stay UTC.")
    catch_up: int = Field(
        default=1, ge=0, le=1_000, description="Windows before it that a firing makes up for."
    )
    target: Literal["cron", "emr-serverless", "glue"] = Field(
        default="cron", description="What starts the run."
    )
    enabled: bool = Field(default=True, description="False keeps the entry and fires nothing.")

    @field_validator("delay")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        duration(text)
        return text

    @field_validator("every")
    @classmethod
    def _is_timetable(cls, text: str | None) -> str | None:
        if text is not None:
            parse(text)
        return text

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _check(self) -> Schedule:
        if self.every is None and (self.window == "all" or self.timezone != "UTC"):
            wanted = "window: all" if self.window == "all" else "timezone"
            raise ValueError(f"must say 'every' together with {wanted}")
        if self.window == "all" and self.waits:
            raise ValueError("cannot have window: all together with delay")
        timetable = self.timetable  # raises where there is none
        if self.target == "cron":
            timetable.crontab()
        return self

    @property
    def waits(self) -> timedelta:
        """The delay."""
        return duration(self.delay)

    @property
    def unit(self) -> Unit | None:
        """The window's unit; None for everything."""
        return None if self.window == "all" else self.window

    @property
    def timetable(self) -> Timetable:
        """When it fires."""
        if self.every is not None:
            return parse(self.every)
        assert self.unit is not None
        return after_end(self.unit, self.waits)

    @property
    def expression(self) -> str:
        """When it fires, as EventBridge Scheduler reads it."""
        if self.every is not None:
            return self.every
        assert self.unit is not None
        return after_end(self.unit, self.waits).expression()


class EmrServerless(Record):
    """The application that runs the jobs."""

    application_id: str = Field(pattern=r"^[0-9a-z]{1,64}$", description="Id of the application.")
    execution_role_arn: str = Field(pattern=_ROLE, description="Role the job runs with.")
    entry_point: str = Field(min_length=1, max_length=256, description="s3:// of jobs/ingest.py.")
    spark_submit: str | None = Field(
        default=None, description="spark-submit parameters: --py-files, --conf spark.…, --jars."
    )


class Glue(Record):
    """The Glue job whose script is ``jobs/ingest.py``."""

    job: str = Field(min_length=1, max_length=255, description="Name of the job.")


class Scheduler(Record):
    """What starts scheduled runs in this environment."""

    role_arn: str | None = Field(
        default=None, pattern=_ROLE, description="Role EventBridge Scheduler takes to start a job."
    )
    dead_letter_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]{1,80}$",
        description="SQS queue of starts that were given up.",
    )
    emr_serverless: EmrServerless | None = None
    glue: Glue | None = None
    arguments: tuple[Annotated[str, Field(pattern=r"^[^\r\n]+$")], ...] = Field(
        default=(),
        strict=False,
        description="More arguments of the job, such as --project DIR or --set KEY=VALUE.",
    )
    command: str | None = Field(
        default=None,
        pattern=r"^[^\r\n]+$",
        description="What a crontab line runs instead of 'penstock ingest'.",
    )
