"""Jars of a Maven artifact as Spark resolved them last time: asking again costs seconds a start.

A list of paths in the user's cache folder. A jar that is gone voids it; it is made anew by the next
start that resolves. Those that Spark brings itself, in whatever version, are left out: it would
copy them at each start and load its own all the same (``MutableURLClassLoader`` asks its parent).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import uuid
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

_VERSION = re.compile(r"-\d[\w.\-]*\.jar$")


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
    named = [one for one in jars.split(",") if urlsplit(one).scheme == "file"]
    local = [one for one in named if not _brought(one)]
    file = _file(artifact)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(local), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _brought(jar: str) -> bool:
    """Whether Spark has it: Ivy calls a file ORGANISATION_ARTIFACT-VERSION.jar."""
    return _VERSION.sub("", jar.rsplit("/", 1)[1]).partition("_")[2] in _spark_has()


@functools.cache
def _spark_has() -> frozenset[str]:
    import pyspark

    jars = Path(pyspark.__file__).parent / "jars"
    return frozenset(_VERSION.sub("", one.name) for one in jars.glob("*.jar"))


def cache() -> Path:
    """The folder for what can be made again, the user's own."""
    place = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(place) / "penstock"


def _file(artifact: str) -> Path:
    return cache() / f"{artifact.replace(':', '_')}.json"
