"""Which rows the entries of a BatchWriteRecord answer speak of.

Entries come back as they were sent, not by number. They are matched by (identifier, event time),
which is unique in a send file; never by comparing records, for two rows may carry equal values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.online.outcome import Outcome, Verdict, classify_entry

if TYPE_CHECKING:
    from penstock.online.parcel import Parcel

_UNPROCESSED = Verdict(Outcome.THROTTLE, "UnprocessedEntry", "the service left the entry for later")


def outcomes(parcel: Parcel, document: Mapping[str, Any]) -> list[tuple[Verdict, list[int]]] | None:
    """Rows that were not written, grouped by verdict; None where an entry is not one of ours.

    An entry that is named as error and as unprocessed is unprocessed: sending again is harmless.
    """
    errors = document.get("Errors") or []
    left = document.get("UnprocessedEntries") or []
    if not errors and not left:
        return []
    rows = {parcel.chunk.bodies.key(row): row for row in parcel.rows}
    names = parcel.chunk.bodies.keys
    found: dict[int, Verdict] = {}
    for error in errors:
        row = rows.get(_key(error.get("Entry"), names))
        if row is None:
            return None
        found[row] = classify_entry(error.get("ErrorCode"), error.get("ErrorMessage"))
    for entry in left:
        row = rows.get(_key(entry, names))
        if row is None:
            return None
        found[row] = _UNPROCESSED
    return _grouped(found)


def _key(entry: Any, names: tuple[str, str]) -> tuple[str, str]:
    record = entry.get("Record") if isinstance(entry, Mapping) else None
    values = {
        one.get("FeatureName"): one.get("ValueAsString")
        for one in (record if isinstance(record, Sequence) else ())
        if isinstance(one, Mapping)
    }
    return str(values.get(names[0])), str(values.get(names[1]))


def _grouped(found: Mapping[int, Verdict]) -> list[tuple[Verdict, list[int]]]:
    """Equal outcomes travel on together; a rejected row needs its own message and goes alone."""
    together: dict[Any, tuple[Verdict, list[int]]] = {}
    for row in sorted(found):
        verdict = found[row]
        alone = verdict.outcome in (Outcome.RECORD, Outcome.UNKNOWN)
        key = row if alone else (verdict.outcome, verdict.code)
        together.setdefault(key, (verdict, []))[1].append(row)
    return list(together.values())
