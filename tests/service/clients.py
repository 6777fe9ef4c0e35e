"""The environment of AWS's own clients: the AWS CLI and the SageMaker SDK v3, apart from ours.

    python tests/service/clients.py

Prints the path of the environment's Python, which it makes in ``.venv-clients`` when it is not
there yet: 1.2 GB, pinned in ``constraints/clients.txt`` and installed as it stands there. Several
processes may call it at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-clients"
PINS = ROOT / "constraints" / "clients.txt"


class MissingError(Exception):
    """The environment could not be made; the text is one line that says what to do."""


def python() -> Path:
    """Path of the environment's Python; the environment is made where it is absent or stale.

    Raises:
        MissingError: pip could not install what is pinned.
    """
    FOLDER.mkdir(exist_ok=True)
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    ready = FOLDER / ".ready"
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.is_file() or ready.read_text() != wanted:
            _run([sys.executable, "-m", "venv", str(FOLDER)])
            pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps"]
            _run([*pip, "--disable-pip-version-check", "-r", str(PINS)])
            ready.write_text(wanted)
    return FOLDER / "bin" / "python"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MissingError(
            f"the AWS CLI and SageMaker SDK could not be installed (Python 3.11 and a package "
            f"registry are needed): {last}"
        )


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{python()}\n")
    except MissingError as problem:
        sys.exit(str(problem))
