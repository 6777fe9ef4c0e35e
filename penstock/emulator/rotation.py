"""A new key pair in place of the old one, as when temporary credentials are renewed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from penstock.emulator.identity import KeyPair, key_pair

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def rotate(folder: Path) -> KeyPair:
    """Replace the credentials file of a data folder in one step (mode 0600); the new pair."""
    file = folder / "credentials"
    aside = file.with_name(f".credentials.{secrets.token_hex(8)}")
    lines = (
        "[default]",
        "aws_access_key_id = AKIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
        f"aws_secret_access_key = {secrets.token_urlsafe(30)}",
    )
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write("\n".join(lines) + "\n")
    aside.replace(file)
    return key_pair(folder)
