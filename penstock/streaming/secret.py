"""Secrets by reference: looked up when they are needed, held nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.errors import CredentialsError


def secret(reference: str) -> str:
    """What stands behind ``env:NAME`` or ``file:/PATH``; of a file without its last line end.

    Raises:
        CredentialsError: Nothing stands there. The message names the reference only.
    """
    kind, _, place = reference.partition(":")
    try:
        found = os.environ.get(place, "") if kind == "env" else _file(place)
    except (OSError, UnicodeDecodeError) as error:
        message = f"the secret {reference!r} cannot be read: {type(error).__name__}"
        raise CredentialsError(message, "Put it there, or name another place in conf") from None
    if not found:
        message = f"there is no secret at {reference!r}"
        raise CredentialsError(message, "Put it there, or name another place in conf")
    return found


def _file(path: str) -> str:
    text = Path(path).read_bytes().decode("utf-8")
    return text.removesuffix("\n").removesuffix("\r")
