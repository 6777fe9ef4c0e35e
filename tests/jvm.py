"""Options of the JVMs that tests start: they live for seconds, so starting is most of what they do.

``python -m tests.jvm`` keeps the classes that a small job loads, as Java maps them, in the virtual
environment (class data sharing, in the manual of the ``java`` command). With them a small job takes
three quarters of the time (measured). A JVM passes over an archive that is not there or that was
made by another Java or of other jars.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ARCHIVE = Path(sys.prefix) / "spark.jsa"
#: Small data: compiling thoroughly costs more than it saves (measured).
_PLAIN = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xlog:cds=off -Xlog:cds+dynamic=off"
SHORT_LIVED = f"{_PLAIN} -XX:SharedArchiveFile={ARCHIVE}"


def archive() -> None:
    """Run a small project's job in this process and keep what its JVM loaded."""
    from pyspark import SparkContext

    from penstock.cli.program import run
    from tests.flow import project

    with tempfile.TemporaryDirectory() as folder:
        small = project.make(Path(folder))
        conf = small.root / "conf" / "local.yaml"
        text = conf.read_text(encoding="utf-8")
        keeping = f"{_PLAIN} -XX:ArchiveClassesAtExit={ARCHIVE}"
        conf.write_text(text.replace(SHORT_LIVED, keeping), encoding="utf-8")
        for command in ("provision", "ingest"):
            code = run([command, "--project", folder])
            if code:
                raise SystemExit(code)
        SparkContext.getOrCreate().stop()
        java = SparkContext._gateway.proc
        java.stdin.close()  # its sign to end
        java.wait()


if __name__ == "__main__":
    archive()
