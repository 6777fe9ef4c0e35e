"""The embedded AWS as a process of its own, which can be killed and started again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from penstock.aws import Endpoint


@dataclass
class Served:
    """A server on a folder; its port stays the same from start to start.

    Args:
        data: Its state, journal included.
        options: Further options of the command.
    """

    data: Path
    options: tuple[str, ...] = ()
    port: int = 0
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self, *options: str) -> Endpoint:
        """Start it; answers once it serves."""
        command = [sys.executable, "-m", "penstock.emulator", "--data", str(self.data)]
        command += ["--port", str(self.port), "--journal", "--exit-with-stdin"]
        self._process = subprocess.Popen(
            [*command, *self.options, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the embedded AWS did not start"
        said = json.loads(line)
        self.port = said["port"]
        return Endpoint(said["region"], f"http://127.0.0.1:{self.port}", said["credentials"])

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def served(data: Path, *options: str) -> Iterator[Served]:
    """A server that is not yet started; it is killed in the end."""
    made = Served(data, options)
    try:
        yield made
    finally:
        made.kill()
