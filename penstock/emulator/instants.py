"""Event times as instants: what the service accepts, and a key by which they order.

Text keys drop the Z and trailing zeros of the fraction, so that plain text order is time order for
any number of digits. Numeric keys are epoch seconds as the double the service stores.
Accepted: ``yyyy-MM-ddTHH:mm:ss[.f{1,9}]Z`` of the years 0000 to 9999 (AWS developer guide; which
fraction lengths are accepted is not documented), or epoch seconds within the same years.
"""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

FIRST_SECOND = -62_167_219_200.0  # 0000-01-01T00:00:00Z
LAST_SECOND = 253_402_300_800.0  # 10000-01-01T00:00:00Z, exclusive

_TEXT = re.compile(
    r"(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(\.\d{1,9})?Z",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CYCLE_YEARS = 400  # the calendar repeats; datetime has no year 0
_SHORTEST_MONTH = 28
_CYCLE_SECONDS = 146_097 * 86_400


@lru_cache(maxsize=16_384)
def text_key(text: str) -> str:
    """Ordering key of a String event time; ValueError when the text is no instant."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError
    day = int(match[3])
    if day > _SHORTEST_MONTH:
        year, month = int(match[1]), int(match[2])
        if day > calendar.monthrange(year or _CYCLE_YEARS, month)[1]:
            raise ValueError
    return text[:-1] if match[7] is None else text[:-1].rstrip("0").rstrip(".")


def number_key(text: str) -> float:
    """Ordering key of a Fractional event time; ValueError when it is no instant in range."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError
    seconds = float(text)
    if not FIRST_SECOND <= seconds < LAST_SECOND:
        raise ValueError
    return seconds


def epoch_millis(key: str | float) -> int:
    """Milliseconds since the epoch of an ordering key."""
    if isinstance(key, float):
        return int(key * 1000)
    year = int(key[:4])
    moment = datetime.fromisoformat(f"{year or _CYCLE_YEARS:04}{key[4:19]}+00:00")
    seconds = (moment - _EPOCH) // timedelta(seconds=1) - (0 if year else _CYCLE_SECONDS)
    return seconds * 1000 + int(key[20:23].ljust(3, "0") if len(key) > 20 else 0)  # noqa: PLR2004 - after the point


def iso_text(millis: int) -> str:
    """UTC text of milliseconds since the epoch, cut to the years datetime knows."""
    low, high = -62_135_596_800_000, 253_402_300_799_000
    moment = _EPOCH + timedelta(milliseconds=min(max(millis, low), high))
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{millis % 1000:03}Z" if millis % 1000 else "Z"
    )
