"""The process that Spark's Python workers are forked from, where Spark runs on this machine alone.

Spark's own daemon reads pyspark from an archive of sources, which compiles them each time, and its
workers each load Arrow and the gates for themselves. This one takes the pyspark that is installed,
and loads first. Measured on two slow cores: a first task after 1.6 s and 3.1 s (Spark's).
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib import import_module
from importlib.machinery import PathFinder

_ARCHIVES = re.compile(r"[/\\](pyspark|py4j-[\d.]+-src)\.zip$")
#: What the workers of any command load.
_FIRST = ("pyarrow.compute", "pyarrow.parquet", "pandas", "penstock.gate", "penstock.worker")


def main() -> None:
    """Answer Spark for as long as it lives, as ``python -m pyspark.daemon`` does."""
    path = [one for one in sys.path if not _ARCHIVES.search(one)]
    if all(PathFinder.find_spec(name, path) for name in ("pyspark", "py4j")):
        sys.path[:] = path
    for name in _FIRST:
        with suppress(ImportError):  # pandas need not be there, and what must is told by its user
            import_module(name)
    from pyspark import daemon

    daemon.manager()  # type: ignore[no-untyped-call]  # pyspark's daemon has no types


if __name__ == "__main__":
    main()
