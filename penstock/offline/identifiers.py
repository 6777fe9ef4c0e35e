"""Record identifiers as the column has them, from the texts people give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def typed(texts: Sequence[str], kind: pa.DataType) -> pa.Array:
    """The values of a type that have these texts; a text that none has is left out.

    Doubles are told as numbers, for each engine writes them in its own way; zero has no sign here.
    """
    values = [_value(one, kind) for one in texts]
    return pa.array([one for one in values if one is not None], kind)


def are(column: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray:
    """Which values of a column are among those of :func:`typed`; no null among it."""
    if pa.types.is_floating(column.type):
        column = pc.add(column, 0.0)  # makes 0.0 of -0.0, which Arrow tells apart
    return pc.is_in(column, value_set=wanted)


def _value(text: str, kind: pa.DataType) -> Any:
    try:
        found = pc.cast(pa.array([text], pa.string()), kind)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return None
    value = found[0].as_py()
    if pa.types.is_floating(kind):
        return None if math.isnan(value) else value + 0.0
    return value if pc.cast(found, pa.string())[0].as_py() == text else None
