"""What every table format of the offline store can do: files that are written become rows, at once.

The formats differ in what "at once" means to readers that are not ours: see each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from penstock.entries import Commit, Files, Part, Transaction
from penstock.layout import Layout


@dataclass(frozen=True)
class Brought:
    """Rows of one append, by the instants that are pinned for it, to the microsecond.

    Args:
        first: Least ``api_invocation_time``, aware.
        last: Greatest one.
        at: ``write_time``, aware.
    """

    first: datetime
    last: datetime
    at: datetime


class TableLog(Protocol):
    """The log of the table in a folder; there may be none yet."""

    layout: Layout | None  # of the files that :meth:`append` takes

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""

    def version(self) -> int | None:
        """The table's version, which grows with each change; None where there is no table."""

    def files(self, version: int) -> Files | None:
        """The files with the rows at a version; None where only Spark can tell these rows.

        Raises:
            UsageError: Nobody here can.
        """

    def find(self, transaction: Transaction) -> Commit | None:
        """The commit of a transaction; None where it was never made, or the log forgot it."""

    def widen(self, schema: pa.Schema) -> None:
        """Add the columns the table lacks; nothing else of it changes.

        Raises:
            ContractError: A column is there with another type.
            TemporaryError: Others came first again and again.
        """

    def of_files(self, schema: pa.Schema) -> pa.Schema:
        """The schema as files have it, after :meth:`widen`."""

    def append(
        self,
        parts: Sequence[Part],
        schema: pa.Schema,
        transaction: Transaction | None = None,
        *,
        present: int = 0,
        read: int | None = None,
        blind: bool = True,
    ) -> bool:
        """Commit files; a transaction that is in already stays as it is.

        Arguments, answer and errors are those of :meth:`penstock.commits.Log.append`.
        """

    def take_out(self, brought: Brought, rows: int) -> None:
        """Delete what one append brought, in one commit. Doing it again changes nothing.

        Raises:
            MismatchError: Other rows than so many are there; nothing was deleted.
            TemporaryError: Others came first again and again.
        """

    def matching(self, column: str, values: Sequence[str]) -> pa.Table:
        """Rows whose ``column``, as text, is one of the values; without Spark. Empty: no table."""


class RowErasure(Protocol):
    """Rows with some record identifiers, which are to leave a table for good; there may be none."""

    def check(self) -> None:
        """Return where the table can be rewritten.

        Raises:
            UsageError: Its rows are not plainly those of its files.
            MismatchError: Files of the newest version are not there.
        """

    def rows(self) -> int:
        """How many such rows the newest version has."""

    def carry_out(self, check: Callable[[], None] = lambda: None) -> int:
        """Delete them, and whatever the newest version does not need. Doing it again is safe.

        Args:
            check: Raises where somebody may write meanwhile; called before files are deleted.

        Returns:
            Rows that left the newest version.

        Raises:
            TemporaryError: Others came first, again and again or in between.
            MismatchError: Files of the newest version are not there; no file was deleted.
        """
