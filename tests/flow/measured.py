"""What a target of the Makefile measures, to be looked at by tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def measured(target: str, results: str) -> dict[str, Any]:
    """Run a target to its end; answers what it wrote under a name into ``bench/results``."""
    done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    made: dict[str, Any] = json.loads((ROOT / "bench" / "results" / results).read_text())
    return made
