"""Tokens of paged answers: the last key of a page, checked when it comes back."""

from __future__ import annotations

import base64
import binascii
import json

from penstock.emulator.refusal import Refusal


def token(scope: str, last: str) -> str:
    """Token for what follows ``last``; ``scope`` ties it to one question."""
    return base64.urlsafe_b64encode(json.dumps([scope, last]).encode()).decode()


def after(scope: str, given: str | None, code: str) -> str:
    """The last key a token stands for; empty at the start.

    Raises:
        Refusal: With ``code``, when the token is not one of ours for this scope.
    """
    if not given:
        return ""
    try:
        found, last = json.loads(base64.urlsafe_b64decode(given.encode()))
    except (ValueError, binascii.Error, TypeError):
        found, last = None, None
    if found != scope or not isinstance(last, str):
        raise Refusal(code, "The NextToken is not valid for this request.")
    return last
