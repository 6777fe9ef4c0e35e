"""The Glue crawler as ``conf`` names it, under ``catalog.crawler``."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, field_validator, model_validator

from penstock.conf_record import Record
from penstock.timetable import Cron, parse

LEAST_MINUTES = 5  # AWS Glue developer guide, time-based schedules for jobs and crawlers
_DAY = 24 * 60  # minutes


class Crawler(Record):
    """One crawler for all offline tables of the project that penstock writes."""

    enabled: bool = Field(default=False, description="Whether there is to be a crawler.")
    schedule: str | None = Field(
        default=None, description="When it starts, by UTC: cron(30 4 * * ? *)."
    )
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]{1,255}$",
        description="Its name; unset: penstock-PROJECT-ENV.",
    )
    role: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_+=,.@-]{1,64}$",
        description="Name of the IAM role made for it; unset: penstock-PROJECT-ENV-crawler.",
    )
    kms_key: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$",
        description="ARN of the key that the lake's objects are encrypted with, if one is.",
    )

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, text: str | None) -> str | None:
        if text is None:
            return None
        if not text.startswith("cron("):
            raise ValueError("must be cron(minutes hours day month weekday year)")
        found = parse(text)
        assert isinstance(found, Cron)
        if _closest(found) < LEAST_MINUTES:
            raise ValueError(f"must leave {LEAST_MINUTES} minutes between two starts")
        return text

    @model_validator(mode="after")
    def _check(self) -> Crawler:
        if self.enabled and self.schedule is None:
            raise ValueError("must say 'schedule' together with enabled: true")
        return self


def _closest(cron: Cron) -> int:
    """Minutes between the two closest starts of a day, midnight included."""
    starts = [60 * hour + minute for hour in cron.hours for minute in cron.minutes]
    return min(later - earlier for earlier, later in pairwise([*starts, starts[0] + _DAY]))
