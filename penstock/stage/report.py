"""What a staging task did: figures it counted and files it wrote.

Only reports of successful task attempts reach the driver, so what a failed or speculative attempt
wrote is never referred to. The driver compares the figures with the footers of the files: two
separate counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.parquet as pq

from penstock.errors import MismatchError
from penstock.storage import Storage


@dataclass(frozen=True)
class Staged:
    """A staged Parquet file: path and rows; one of a greater phase is sent before all others."""

    path: str
    rows: int
    phase: int = 0


@dataclass(frozen=True)
class Report:
    """Figures and files of one task, or the sum of many.

    ``rows_in = fit + quarantined + dropped + outside + duplicates``; none is found by subtraction.

    Args:
        rows_in: Rows that came to the gate.
        fit: Rows written to ``rows``.
        quarantined: Rows written to ``bad``.
        dropped: Rows removed by an expectation with ``on_fail: drop``.
        outside: Rows that do not belong to the window.
        duplicates: Rows equal to another in every feature, removed.
        ties: Rows that share identifier and event time with another and differ elsewhere.
        identifiers: Distinct identifiers among the fit rows.
        older: Candidates the offline store knows a newer event of.
        expired: Candidates whose time to live is over.
        corrected: Candidates that correct what is online.
        replaced: Of these, candidates whose record is removed first.
        rows: Files of fit rows.
        bad: Files of rows put aside.
        send: Files with the rows to send: the latest of each identifier, or every row.
        gone: Files with what removes records before that.
    """

    rows_in: int = 0
    fit: int = 0
    quarantined: int = 0
    dropped: int = 0
    outside: int = 0
    duplicates: int = 0
    ties: int = 0
    identifiers: int = 0
    older: int = 0
    expired: int = 0
    corrected: int = 0
    replaced: int = 0
    rows: tuple[Staged, ...] = ()
    bad: tuple[Staged, ...] = ()
    send: tuple[Staged, ...] = ()
    gone: tuple[Staged, ...] = ()

    def plain(self) -> dict[str, Any]:
        """A JSON form; :func:`report` reads it back."""
        return asdict(self)


@dataclass
class Tally:
    """A report in the making."""

    figures: dict[str, int] = field(default_factory=dict)

    def count(self, **figures: int) -> None:
        """Add to the figures."""
        for name, value in figures.items():
            self.figures[name] = self.figures.get(name, 0) + value

    def report(self, **files: tuple[Staged, ...]) -> Report:
        """The figures so far, with the files."""
        made: dict[str, Any] = {**self.figures, **files}
        return Report(**made)


_FIGURES = (
    "rows_in",
    "fit",
    "quarantined",
    "dropped",
    "outside",
    "duplicates",
    "ties",
    "identifiers",
    "older",
    "expired",
    "corrected",
    "replaced",
)
_FILES = ("rows", "bad", "send", "gone")


def report(plain: dict[str, Any]) -> Report:
    """The report a JSON form stands for."""
    files = {name: tuple(Staged(**one) for one in plain.get(name, ())) for name in _FILES}
    return Report(**{**plain, **files})


def total(reports: Sequence[Report]) -> Report:
    """The sum of the figures and all files, sorted by path."""
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in reports) for name in _FIGURES}
    files: dict[str, Any] = {
        name: tuple(
            sorted((f for one in reports for f in getattr(one, name)), key=lambda f: f.path)
        )
        for name in _FILES
    }
    return Report(**sums, **files)


def check_files(what: str, summed: Report, storage: Storage, *, online: str = "latest") -> None:
    """Compare the figures with each other and with the footers of the files.

    Args:
        what: Of which gate, for the message.
        summed: The sum of the tasks' reports.
        storage: Where the files are.
        online: What is to be sent: of each identifier the ``latest`` row, of ``each`` event time
            the one that wins it, or every row (``service``).

    Raises:
        MismatchError: Rows were lost or made between counting and writing.
    """
    written = {name: _footers(getattr(summed, name), storage) for name in ("rows", "bad", "send")}
    pairs = [
        ("fit", summed.fit, written["rows"]),
        ("quarantined", summed.quarantined, written["bad"]),
    ]
    if summed.send:
        of = {"service": ("fit", 0), "each": ("fit", summed.ties)}
        name, kept = of.get(online, ("identifiers", 0))
        pairs.append((name, getattr(summed, name), written["send"] + kept))
    out = written["rows"] + written["bad"] + summed.dropped + summed.outside + summed.duplicates
    pairs.append(("in and out", summed.rows_in, out))
    for name, counted, found in pairs:
        if counted != found:
            message = f"{what}: {name}: counted {counted} rows, found {found}"
            raise MismatchError(message, "Nothing was published; please report this as a defect")


def check_selection(what: str, rows: int, summed: Report, storage: Storage) -> None:
    """Compare a selection's figures with the rows it was made from and with the files it wrote.

    Raises:
        MismatchError: A candidate was lost or made.
    """
    out = _footers(summed.send, storage) + summed.older + summed.expired
    gone = _footers(summed.gone, storage)
    if not rows == summed.rows_in == out or gone != summed.replaced:
        message = (
            f"{what}: {rows} candidates, {summed.rows_in} came, {out} were told apart; "
            f"{summed.replaced} to be replaced, {gone} removals"
        )
        raise MismatchError(message, "Nothing was sent; please report this as a defect")


def rows_of(path: str, storage: Storage) -> int:
    """Rows of a Parquet file, by its footer."""
    with storage.open_input(path) as opened:
        return int(pq.ParquetFile(opened).metadata.num_rows)


def _footers(files: Sequence[Staged], storage: Storage) -> int:
    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(lambda file: rows_of(file.path, storage), files))
