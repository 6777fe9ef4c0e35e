"""Records by their identifiers: BatchGetRecord, a hundred to a request.

Limits and shapes: botocore's model of the runtime API. A record that is not there is not in the
answer, which is how its absence is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.online.asking import Question, ask
from penstock.online.outcome import Outcome, Verdict, classify_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from penstock.online.asking import ReadJob, ReadLine
    from penstock.online.sender import Timing

PATH = "/BatchGetRecord"
MAX_IDENTIFIERS = 100  # botocore model, BatchGetRecordIdentifier.RecordIdentifiersValueAsString

_LEFT = Verdict(Outcome.THROTTLE, "UnprocessedIdentifier", "the service left it for later")
_IDENTIFIERS = "RecordIdentifiersValueAsString"


class Found(NamedTuple):
    """A record that is online.

    Args:
        values: Text of each feature that has one; values of collections are left out.
        expires_at: When its time to live is over, as the service writes it; None where it has none.
    """

    values: Mapping[str, str]
    expires_at: str | None


def records(
    job: ReadJob,
    identifiers: Sequence[str],
    *,
    line: ReadLine | None = None,
    timing: Timing | None = None,
) -> dict[str, Found]:
    """The records that are there, by identifier.

    Memory: all of them, so ask for some thousand at a time.

    Args:
        job: Who is asked.
        identifiers: Texts, each once.
        line: As of :func:`penstock.online.asking.ask`, whose errors are raised.
        timing: Likewise.
    """
    lookup = _Lookup(job.group)
    pages = range(0, len(identifiers), MAX_IDENTIFIERS)
    questions = [lookup.question(identifiers[one : one + MAX_IDENTIFIERS]) for one in pages]
    ask(job, questions, lookup, line=line, timing=timing)
    return lookup.found


class _Lookup:
    """A :class:`penstock.online.asking.Reader`."""

    operation = "BatchGetRecord"

    def __init__(self, group: str) -> None:
        self._group = group
        self.found: dict[str, Found] = {}

    def question(self, identifiers: Sequence[str]) -> Question:
        return Question(PATH, self._document(identifiers), len(identifiers))

    def read(
        self, question: Question, document: Mapping[str, Any]
    ) -> Iterator[tuple[Question, Verdict]]:
        for one in document.get("Records") or ():
            texts = {
                feature["FeatureName"]: feature["ValueAsString"]
                for feature in one["Record"]
                if feature.get("ValueAsString") is not None
            }
            self.found[one["RecordIdentifierValueAsString"]] = Found(texts, one.get("ExpiresAt"))
        for verdict, identifiers in _left(document).items():
            yield question.of(self._document(identifiers), len(identifiers)), verdict

    def _document(self, identifiers: Sequence[str]) -> Mapping[str, Any]:
        wanted = {"FeatureGroupName": self._group, _IDENTIFIERS: list(identifiers)}
        return {"Identifiers": [wanted], "ExpirationTimeResponse": "Enabled"}


def _left(document: Mapping[str, Any]) -> dict[Verdict, list[str]]:
    """Identifiers that were not looked up, by the reason."""
    found: dict[Verdict, list[str]] = {}
    for error in document.get("Errors") or ():
        verdict = classify_entry(error.get("ErrorCode"), error.get("ErrorMessage"))
        found.setdefault(verdict, []).append(error["RecordIdentifierValueAsString"])
    for one in document.get("UnprocessedIdentifiers") or ():
        found.setdefault(_LEFT, []).extend(one[_IDENTIFIERS])
    return found
