"""Bodies of puts and batches read without JSON: those of one client differ in their values alone.

A *form* is a request without the values of its features: method, path, query and the text between
the values. What a form means is parsed and checked once, when it is first met; a later request of
the same form only has its values cut out. Whatever looks otherwise is parsed as JSON, as ever.

Sound because a value that is cut out stands between two quotes of JSON and has neither quote,
backslash nor control character: exchanging it for another such leaves the rest of the document as
it was. A form is kept only when a document of this form with values of ours, no two of them equal,
has each of them where it was put and no other: so nothing hides in keys that are given twice.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from penstock.emulator.records import Record
from penstock.emulator.wire import Request

_VALUE = re.compile(rb'"ValueAsString":"([^"\\\x00-\x1f]*)"')
#: Between values and between the texts around them; no JSON document has it bare.
_BETWEEN = b"\x1f"
#: Sparse records have any number of forms; all are forgotten when there are this many.
_MAX_FORMS = 128
_MAX_BYTES = 2**17

_Key = tuple[str, str, str, bytes]


class Cut(NamedTuple):
    """A request taken apart: its form, and the values of its features as they come."""

    key: _Key
    values: list[str]


class _Form(NamedTuple):
    """What requests of a form mean.

    Args:
        operation: PutRecord or BatchWriteRecord.
        parameters: As the model has them, but for the records.
        entries: The entries of a batch, but for their records; None for a put.
        names: Names of the features of each record.
        bounds: Positions of the first and behind the last value of each record.
    """

    operation: str
    parameters: dict[str, Any]
    entries: list[dict[str, Any]] | None
    names: list[tuple[str, ...]]
    bounds: list[tuple[int, int]]

    def filled(self, values: list[str]) -> dict[str, Any]:
        """The parameters of a request with these values."""
        records = [
            Record(names, values[start:end])
            for names, (start, end) in zip(self.names, self.bounds, strict=True)
        ]
        if self.entries is None:
            return self.parameters | {"Record": records[0]}
        entries = [
            entry | {"Record": record} for entry, record in zip(self.entries, records, strict=True)
        ]
        return self.parameters | {"Entries": entries}


class Forms:
    """The forms met so far, up to a bound."""

    def __init__(self) -> None:
        self._forms: dict[_Key, _Form | None] = {}

    @staticmethod
    def cut(request: Request) -> Cut | None:
        """The request taken apart; None when it has no plain value, or is too long to keep."""
        if _BETWEEN in request.body:
            return None
        parts = _VALUE.split(request.body)
        text = _BETWEEN.join(parts[::2])
        if len(parts) == 1 or len(text) > _MAX_BYTES:
            return None
        try:
            values = _BETWEEN.join(parts[1::2]).decode()
        except UnicodeDecodeError:
            return None
        return Cut((request.method, request.path, request.query, text), values.split("\x1f"))

    def read(self, cut: Cut) -> tuple[str, dict[str, Any]] | None:
        """Operation and valid parameters, if the form is known."""
        form = self._forms.get(cut.key)
        return None if form is None else (form.operation, form.filled(cut.values))

    def learn(self, cut: Cut, operation: str, parameters: dict[str, Any]) -> None:
        """Keep the form of a valid request that is met a second time."""
        if cut.key not in self._forms:
            if len(self._forms) >= _MAX_FORMS:
                self._forms.clear()
            self._forms[cut.key] = None
            return
        entries = parameters["Entries"] if operation == "BatchWriteRecord" else None
        probe, wanted = _probe(cut.key[3])
        owners = [probe] if entries is None else probe["Entries"]
        try:
            names = [tuple([item["FeatureName"] for item in one["Record"]]) for one in owners]
            values = [item["ValueAsString"] for one in owners for item in one["Record"]]
            plain = all(len(item) == 2 for one in owners for item in one["Record"])  # noqa: PLR2004 - the two just read
        except (KeyError, TypeError):
            return
        if not plain or values != wanted or not all(type(n) is str for ns in names for n in ns):
            return
        ends = [0, *accumulate(map(len, names))]
        self._forms[cut.key] = _Form(
            operation,
            _without(parameters, "Record", "Entries"),
            None if entries is None else [_without(one, "Record") for one in entries],
            names,
            list(pairwise(ends)),
        )


def _probe(text: bytes) -> tuple[Any, list[str]]:
    """A document of a form, and its values, which are all different."""
    first, *others = text.split(_BETWEEN)
    values = [f"value {n}" for n in range(len(others))]
    filled = [
        f'"ValueAsString":"{value}"'.encode() + other
        for value, other in zip(values, others, strict=True)
    ]
    return json.loads(first + b"".join(filled)), values


def _without(given: dict[str, Any], *members: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in members}
