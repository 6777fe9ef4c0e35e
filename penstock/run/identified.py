"""Whether a row that was put aside is of a record, by what its payload holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from penstock.aside import PROBLEM
from penstock.contract import FeatureGroup, FeatureType


class Held:
    """Rows of a group that hold one of these record identifiers.

    A row that a source's gate put aside need not have the identifier under its own name: there any
    value that is it counts. Of a line that could not be read any place counts, also with quotes
    doubled, as CSV has them, or characters escaped, as JSON has them.

    Args:
        group: The contract.
        identifiers: Texts as both stores write them.
    """

    def __init__(self, group: FeatureGroup, identifiers: Sequence[str]) -> None:
        self._name = group.record_identifier
        self._is_text = group.feature(self._name).type is FeatureType.STRING
        self._wanted = {self._form(one) for one in identifiers}
        self._within = {form for one in identifiers for form in _written(one)}

    def by(self, payload: str, event: str | None = None) -> bool:
        """Whether an entry of the quarantine holds one.

        Args:
            payload: A JSON object.
            event: The event it was made from, where it is of a stream: what nobody declared is
                in there too.
        """
        values = json.loads(payload)
        if PROBLEM in values:
            told = any(one in str(values[PROBLEM]) for one in self._within)
        else:
            own = values.get(self._name)
            if own is not None:
                return self._form(own) in self._wanted
            told = any(self._form(one) in self._wanted for one in _leaves(values))
        return told or (event is not None and self._event(event))

    def _event(self, event: str) -> bool:
        told = json.loads(event)
        headers = [one["value"] for one in told.get("headers") or ()]
        texts = [one for one in (told["key"], told.get("value"), *headers) if one is not None]
        return any(self._text(one) for one in texts)

    def _text(self, text: str) -> bool:
        """Whether a text that may be JSON holds one; of another one any place counts."""
        try:
            values = _leaves(json.loads(text))
        except (ValueError, RecursionError):
            return self._form(text) in self._wanted or any(one in text for one in self._within)
        return any(self._form(one) in self._wanted for one in (text, *values))

    def _form(self, value: Any) -> str:
        """What two writings of one identifier have in common."""
        text = str(value)
        if self._is_text:
            return text
        with suppress(ValueError):
            return str(int(text))
        with suppress(ValueError, OverflowError):
            number = float(text)
            return str(int(number)) if number.is_integer() else repr(number)
        return text


def _leaves(value: Any) -> Iterator[Any]:
    """Values at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def _written(text: str) -> set[str]:
    escaped = {json.dumps(text, ensure_ascii=one)[1:-1] for one in (True, False)}
    return {text, text.replace('"', '""'), *escaped}
