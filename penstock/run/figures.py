"""What a run counted, and the equations its figures must satisfy before it is DONE.

Every figure is counted where it happens, by code that does not know the others; none is a
difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from penstock.errors import MismatchError
from penstock.stage.report import Report

#: Who writes the offline store.
Offline = Literal["own", "service", "none"]


@dataclass(frozen=True)
class SourceFigures:
    """The source gate: ``read = passed + quarantined + dropped + outside``.

    Args:
        name: The source.
        extra: Columns nobody declared.
    """

    name: str
    read: int
    passed: int
    quarantined: int
    dropped: int
    outside: int
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figures:
    """A whole run.

    Args:
        sources: The source gate, source by source; empty for a DataFrame.
        produced: Rows the transform gave.
        outside: Of these, rows outside the window.
        quarantined: Put aside by the feature gate.
        dropped: Removed by expectations.
        duplicates: Equal to another row in every feature.
        ties: Rows that share identifier and event time with another.
        valid: Rows fit to be written.
        identifiers: Distinct identifiers among them.
        candidates: Records that were to be sent.
        older: Of these, not sent because the offline store knows a newer event.
        expired: Of these, not sent because their time to live is over.
        corrected: Records sent to correct what is online.
        replaced: Of these, records that were removed first.
        sent: Records handed to the service.
        accepted: Records it acknowledged.
        skipped: Corrections and deletions that came too late: something newer won.
        rejected: Records it refused.
        repeated: Repeated sendings.
        throttled: Answers that asked to slow down.
        ambiguous: Sendings whose answer was lost.
        calls: HTTP requests.
        by_code: Records refused or put off, by the service's error code, once per answer.
        p50_ms: Median time of a call; None where none was answered.
        p99_ms: Time that 99 % of the calls kept to.
        in_flight: Most requests of a process under way at once.
        offline: Rows committed offline.
        present: Rows that were offline already.
        online_s: Seconds of the online stage.
        seconds: Seconds of the whole run.
    """

    sources: tuple[SourceFigures, ...] = ()
    produced: int = 0
    outside: int = 0
    quarantined: int = 0
    dropped: int = 0
    duplicates: int = 0
    ties: int = 0
    valid: int = 0
    identifiers: int = 0
    candidates: int = 0
    older: int = 0
    expired: int = 0
    corrected: int = 0
    replaced: int = 0
    sent: int = 0
    accepted: int = 0
    skipped: int = 0
    rejected: int = 0
    repeated: int = 0
    throttled: int = 0
    ambiguous: int = 0
    calls: int = 0
    by_code: Mapping[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None
    in_flight: int = 0
    offline: int = 0
    present: int = 0
    online_s: float = 0.0
    seconds: float = 0.0

    @property
    def read(self) -> int:
        """Rows read from the sources; of a DataFrame, the rows it gave."""
        return sum(one.read for one in self.sources) if self.sources else self.produced

    @property
    def all_quarantined(self) -> int:
        """Rows put aside by either gate."""
        return self.quarantined + sum(one.quarantined for one in self.sources)

    @property
    def rate(self) -> float:
        """Accepted records a second while sending."""
        return self.accepted / self.online_s if self.online_s else 0.0

    def plain(self) -> dict[str, Any]:
        """A JSON form; :func:`figures` reads it back."""
        return asdict(self)


def figures(plain: Mapping[str, Any]) -> Figures:
    """The figures a JSON form stands for."""
    return Figures(**{**plain, "sources": tuple(map(source_of, plain["sources"]))})


def source_of(plain: Mapping[str, Any]) -> SourceFigures:
    """The figures of one source a JSON form stands for."""
    return SourceFigures(**{**plain, "extra": tuple(plain["extra"])})


def source_figures(name: str, report: Report, extra: tuple[str, ...]) -> SourceFigures:
    """Figures of one source from its tasks' reports."""
    return SourceFigures(
        name,
        report.rows_in,
        report.fit,
        report.quarantined,
        report.dropped,
        report.outside,
        extra,
    )


def reconcile(group: str, found: Figures, online: str, offline: Offline = "own") -> None:
    """Check that nothing was lost or made on the way.

    Args:
        group: For the message.
        found: What was counted.
        online: ``latest``, ``each`` event time, ``service`` (every valid row) or ``never``:
            what was to be sent.
        offline: Who writes the offline store.

    Raises:
        MismatchError: Names the first equation that does not hold.
    """
    equations = [
        (
            f"source {one.name}: read = passed + quarantined + dropped + outside",
            one.read,
            one.passed + one.quarantined + one.dropped + one.outside,
        )
        for one in found.sources
    ]
    gone = found.quarantined + found.dropped + found.outside + found.duplicates
    stored, rows = _stored(found, offline)
    wanted = {
        "latest": ("identifiers", found.identifiers, found.candidates),
        "each": ("valid rows", found.valid, found.candidates + found.ties),
        "service": ("valid rows", found.valid, found.candidates),
        "never": ("nothing", 0, found.candidates),
    }
    what, records, candidates = wanted[online]
    equations += [
        (
            f"produced = {stored} + quarantined + dropped + outside + equal",
            found.produced,
            rows + gone,
        ),
        (f"valid = {stored}", found.valid, rows),
        (f"online {online}: {what} to send = candidates", records, candidates),
        (
            "candidates = sent + older + expired",
            found.candidates,
            found.sent + found.older + found.expired,
        ),
        (
            "sent = accepted + skipped + rejected",
            found.sent,
            found.accepted + found.skipped + found.rejected,
        ),
    ]
    for name, left, right in equations:
        if left != right:
            message = f"{group}: figures do not add up: {name}: {left} is not {right}"
            raise MismatchError(message, "Please report this as a defect; nothing is marked done")


def _stored(found: Figures, offline: Offline) -> tuple[str, int]:
    """Where the valid rows must have ended, in words and in rows."""
    if offline == "own":
        return "offline + present + rejected", found.offline + found.present + found.rejected
    if offline == "service":  # sent = accepted + skipped + rejected says what came of each
        return "sent", found.sent
    return "valid", found.valid
