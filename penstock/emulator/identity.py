"""Who the one user of the embedded AWS is: a generated key pair in a file, and GetCallerIdentity.

The key pair is made once per data folder and kept; two servers that start at once agree on one.
"""

from __future__ import annotations

import configparser
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.emulator.groups import ACCOUNT
from penstock.emulator.services import Call

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class KeyPair:
    """An access key and the file that holds it."""

    access_key: str
    secret_key: str
    file: Path


class Identity:
    """The STS operation."""

    def __init__(self) -> None:
        self.reads: Mapping[str, Callable[[Call], Any]] = {"GetCallerIdentity": _caller}


def key_pair(folder: Path) -> KeyPair:
    """The key pair of a data folder, made if there is none (file mode 0600)."""
    file = folder / "credentials"
    if not file.exists():
        _create(file)
    parser = configparser.RawConfigParser()
    parser.read(file)
    default = parser["default"]
    return KeyPair(default["aws_access_key_id"], default["aws_secret_access_key"], file)


def _create(file: Path) -> None:
    """Written aside and linked into place: the first of several starters wins."""
    access_key = "AKIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16))
    lines = [
        "[default]",
        f"aws_access_key_id = {access_key}",
        f"aws_secret_access_key = {secrets.token_urlsafe(30)}",
    ]
    aside = file.with_name(f".credentials.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write("\n".join(lines) + "\n")
    try:
        os.link(aside, file)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def _caller(call: Call) -> dict[str, str]:  # noqa: ARG001 - handlers take a call
    arn = f"arn:aws:iam::{ACCOUNT}:user/embedded"
    return {"UserId": "AIDAEMBEDDEDEMBEDDED", "Account": ACCOUNT, "Arn": arn}
