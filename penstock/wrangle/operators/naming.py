"""Names of columns that come from data."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 64  # of a feature's name, as SageMaker Feature Store has it


def column_names(wanted: Sequence[str], *, safe: bool) -> list[str]:
    """Names that can stand in one table: Spark and Glue tell them apart without capitals.

    One that is taken gets ``_2``, ``_3``, ….

    Args:
        wanted: In order.
        safe: Whether names are made ones a feature may have: letters, digits, ``_`` and ``-``, no
            longer than 64, with a letter or digit at both ends.
    """
    made: list[str] = []
    taken: set[str] = set()
    for name in wanted:
        start = _safe(name) if safe else name
        free, n = start, 1
        while free.lower() in taken:
            n += 1
            ending = f"_{n}"
            free = (start[: _LONGEST - len(ending)] if safe else start) + ending
        taken.add(free.lower())
        made.append(free)
    return made


def _safe(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")
    return plain[:_LONGEST].rstrip("_-") or "value"
