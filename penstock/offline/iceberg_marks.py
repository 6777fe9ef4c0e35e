"""Transactions of an Iceberg table: marks in the summaries of its snapshots.

A snapshot that is expired takes its mark along, unless a later snapshot carries the marks of those
before it: then they are found as long as that one is there. A mark says a window's name, counts and
a version, nothing of its rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock.entries import Commit, Transaction

if TYPE_CHECKING:
    from pyiceberg.table import Table

APPLICATION, GENERATION, PRESENT = "penstock", "penstock.generation", "penstock.present"
EARLIER = "penstock.earlier"  # marks of snapshots that were expired


def noted(transaction: Transaction, present: int) -> dict[str, str]:
    """What the summary of a transaction's snapshot says, beside its rows."""
    return {
        APPLICATION: transaction.application,
        GENERATION: str(transaction.version),
        PRESENT: str(present),
    }


def marks(table: Table) -> list[tuple[Transaction, Commit]]:
    """Each transaction that is known, with what it did; the oldest first.

    Of the snapshots the table is made of: what somebody rolled back is not in it.
    """
    from pyiceberg.table.snapshots import ancestors_of

    found = []
    for one in reversed([*ancestors_of(table.current_snapshot(), table.metadata)]):
        summary = {} if one.summary is None else one.summary.additional_properties
        found += _earlier(summary)
        if APPLICATION in summary:
            name = Transaction(summary[APPLICATION], int(summary[GENERATION]))
            rows, present = int(summary.get("added-records", 0)), int(summary[PRESENT])
            found.append((name, Commit(rows, present, one.sequence_number or 0)))
    return found


def carried(table: Table) -> dict[str, str]:
    """All marks, for the summary of the snapshot that is to stand for those before it."""
    made = [
        [one.application, one.version, did.rows, did.present, did.version]
        for one, did in marks(table)
    ]
    return {EARLIER: json.dumps(made)}


def _earlier(summary: Mapping[str, str]) -> list[tuple[Transaction, Commit]]:
    return [
        (Transaction(application, generation), Commit(*did))
        for application, generation, *did in json.loads(summary.get(EARLIER, "[]"))
    ]
