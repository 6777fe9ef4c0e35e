"""Jars of a Maven artifact as Spark resolved them last time: asking again costs seconds a start.

A list of paths in the user's cache folder. A jar that is gone voids it; it is made anew by the next
start that resolves.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def known(artifact: str) -> str | None:
    """The jars, as ``spark.jars`` takes them; None where they are not all there."""
    try:
        jars = json.loads(_file(artifact).read_text(encoding="utf-8"))
        there = bool(jars) and all(Path(url2pathname(urlsplit(one).path)).is_file() for one in jars)
    except (OSError, ValueError, TypeError):
        return None
    return ",".join(jars) if there else None


def remember(artifact: str, jars: str) -> None:
    """Keep what was resolved; where the cache cannot be written nothing is kept."""
    local = [one for one in jars.split(",") if urlsplit(one).scheme == "file"]
    file = _file(artifact)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(local), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _file(artifact: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "penstock" / f"{artifact.replace(':', '_')}.json"
