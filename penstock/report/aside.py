"""Rows that were put aside, as a report shows them: counts by rule, and a few rows without values.

A value is shown by its shape alone: ``2013-13-01`` is ``9999-99-99``, ``N14228`` is ``A99999``. Of
a feature that the contract calls ``pii``, and of a source's column of its name, not even that.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.storage import Storage

SAMPLES = 12
MAX_ROWS = 200_000  # that are counted by rule
_LONGEST = 40  # characters of a shape
_HIDDEN = "(hidden)"
_WHY = ("row_key", "stage", "source", "column", "rule")
_WHERE = ("file", "position", "payload")


def put_aside(storage: Storage, files: Sequence[str], hidden: Collection[str]) -> dict[str, Any]:
    """What is in files a gate wrote, as plain JSON.

    Args:
        storage: Where they are.
        files: Paths; a file that was cut off is left out, the rows of it are in another.
        hidden: Columns whose values do not even show their shape.

    Returns:
        ``rules``: stage, source, column, rule and rows, most rows first; ``samples``: of each rule
        in turn, where the row came from and its shape; ``counted``: rows looked at; ``whole``:
        whether that is all of them.
    """
    seen: set[str] = set()
    counts: Counter[tuple[Any, ...]] = Counter()
    samples: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    hides = {one.lower() for one in hidden}
    whole = True
    for path in files:
        if len(seen) >= MAX_ROWS:
            whole = False
            break
        for row in _rows(storage, path, full=len(samples) < SAMPLES):
            if row["row_key"] in seen:
                continue
            seen.add(row["row_key"])
            rule = tuple(row[name] for name in _WHY[1:])
            counts[rule] += 1
            shown = samples.setdefault(rule, [])
            if len(shown) < SAMPLES and row.get("payload") is not None:
                shown.append(_sample(row, hides))
    return {
        "rules": [
            {**dict(zip(_WHY[1:], rule, strict=True)), "rows": rows}
            for rule, rows in counts.most_common()
        ],
        "samples": _in_turn([samples[rule] for rule, _ in counts.most_common()]),
        "counted": len(seen),
        "whole": whole,
    }


def shape(value: object) -> str:
    """A value without what it says: letters are a or A, digits 9; other signs of ASCII stay."""
    if value is None:
        return "null"
    if isinstance(value, (bool, dict, list)):
        return type(value).__name__
    text = str(value)
    drawn = "".join(_sign(one) for one in text[:_LONGEST])
    return drawn if len(text) <= _LONGEST else f"{drawn}… ({len(text)} characters)"


def _sign(character: str) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character if " " <= character <= "~" else "·"


def _rows(storage: Storage, path: str, *, full: bool) -> list[dict[str, Any]]:
    """Rows of one file; values only of its first ones."""
    try:
        with storage.open_input(path) as opened:
            file = pq.ParquetFile(opened)
            why = file.read(columns=list(_WHY)).slice(0, MAX_ROWS).to_pylist()
            if not full:
                return list(why)
            first = next(file.iter_batches(SAMPLES * 20, columns=list(_WHERE)), None)
    except (pa.ArrowInvalid, FileNotFoundError):
        return []
    where = [] if first is None else first.to_pylist()
    return [{**one, **(where[n] if n < len(where) else {})} for n, one in enumerate(why)]


def _sample(row: dict[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    try:
        payload = json.loads(row["payload"])
    except ValueError:
        payload = {}
    shown = {
        name: _HIDDEN if name.lower() in hidden and value is not None else shape(value)
        for name, value in payload.items()
    }
    file = None if row["file"] is None else str(row["file"]).rsplit("/", 1)[-1]
    told = {name: row[name] for name in _WHY[1:]}
    return {**told, "file": file, "position": row["position"], "row": shown}


def _in_turn(groups: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The first of each, then the second: a rare rule is seen beside a frequent one."""
    longest = max(map(len, groups), default=0)
    mixed = [one[n] for n in range(longest) for one in groups if n < len(one)]
    return mixed[:SAMPLES]
