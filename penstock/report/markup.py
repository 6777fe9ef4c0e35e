"""Text that may stand in a page as it is, and how all other text becomes it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """Markup made by penstock. Any other string is data and goes through :func:`escaped`."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Data as text of a page, in elements and in quoted attributes; Html stays as it is.

    Characters that no page may have (controls) become the sign for a character that is unknown.
    """
    if isinstance(value, Html):
        return value
    text = "".join(_plain(one) for one in str(value))
    return Html(escape(text, quote=True))


def joined(parts: Iterable[object]) -> Html:
    """Parts one after another, data among them escaped."""
    return Html("".join(escaped(one) for one in parts))


def _plain(character: str) -> str:
    return character if character.isprintable() or character in "\n\t " else "\ufffd"
