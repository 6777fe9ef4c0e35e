"""The ledger's keys of ``conf``: how long what a run staged is kept after it is done."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator

from penstock.conf_record import Record
from penstock.timetable import duration

NEVER = "never"


class Ledger(Record):
    """The ledger and what lies beside it."""

    collect_after: str = Field(
        default="7d",
        description="How long a window must be DONE before 'ledger collect' takes what it staged: "
        "12h, 30d; never keeps it.",
    )

    @field_validator("collect_after")
    @classmethod
    def _is_duration(cls, text: str) -> str:
        if text != NEVER:
            try:
                duration(text)
            except ValueError as error:
                raise ValueError(f"{error}, or {NEVER}") from None
        return text

    @property
    def retention(self) -> timedelta | None:
        """It as a span; None keeps everything."""
        return None if self.collect_after == NEVER else duration(self.collect_after)
