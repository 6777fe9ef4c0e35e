"""Java's archive of Spark's classes, by which Spark on this machine starts in half the time.

Of a short command most is Java loading classes; an archive of those that a first Spark program
loaded spares it most of that (JEP 350, dynamic class-data sharing; measured: an empty session and
its first small job took 20 s and 13 s, and 10 s with the first compiler alone). Java compares the
archive with itself and its class path, and does without where they differ.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from penstock.errors import PenstockError, TemporaryError
from penstock.jars import cache

MAKING_S = 600.0
#: An archive that does not fit this Java is none, and nothing to talk about: Java would do so on
#: the standard output, which is a command's own.
_SILENT = "-Xlog:cds*=off -Xlog:class+path=off"


def options(given: str) -> str | None:
    """Java's options for a driver on this machine; None where there are none of ours.

    Args:
        given: Those of the configuration; one that names an archive is the user's own.
    """
    file = there()
    if file is None or not _plain(file) or "Archive" in given:
        return None
    return f"-XX:SharedArchiveFile={file} {_SILENT}"


def there() -> Path | None:
    """The archive for this Java and Spark, or None."""
    file = place()
    return file if file.is_file() else None


def make() -> Path:
    """Run a small Spark program and keep the classes it loaded. Made anew where there is one.

    Raises:
        TemporaryError: Java did not write it: it cannot (it is older than 13), or was stopped.
        PenstockError: The cache folder cannot be written.
    """
    file = place()
    new = file.with_name(f".{uuid.uuid4().hex}.jsa")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            said = subprocess.run(
                [sys.executable, "-m", "penstock.classes", str(new)],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)},
                capture_output=True,
                text=True,
                timeout=MAKING_S,
                check=False,
            )
        if said.returncode or not new.is_file():
            lines = (said.stderr or said.stdout).strip().splitlines()
            message = f"Java wrote no archive of Spark's classes: {lines[-1] if lines else ''}"
            raise TemporaryError(message, "penstock works without; see whether 'java' is 17")
        new.replace(file)
        for one in file.parent.glob(f"{_ours()}*.jsa"):
            if one != file:  # of a Java or a Spark that was here before
                one.unlink()
    except subprocess.TimeoutExpired:
        message = f"Java wrote no archive of Spark's classes within {MAKING_S:.0f} s"
        raise TemporaryError(message, "penstock works without; try again") from None
    except OSError as error:
        message = f"{file.parent}: {error.strerror}"
        raise PenstockError(message, "Name a folder in XDG_CACHE_HOME") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink()
    return file


def place() -> Path:
    """Where the archive for this environment, its Java and Spark is, once there is one."""
    import pyspark

    java = Path(os.environ.get("JAVA_HOME") or shutil.which("java") or "none").resolve()
    home = java if java.is_dir() else java.parents[1]
    # Java refuses an archive of jars with other times, and of another build of itself.
    jars = _stamp(Path(pyspark.__file__).parent / "jars")
    key = f"{java} {_stamp(home / 'release')} {pyspark.__version__} {jars}"
    return cache() / f"{_ours()}{_digest(key)}.jsa"


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _ours() -> str:
    """What the names of this environment's archives begin with."""
    return f"spark-{_digest(sys.prefix)}-"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(file: Path) -> bool:
    """Whether the path can be one of Java's options among others."""
    return not set(str(file)) & set(" \"'\\")


def _train(file: str) -> None:
    """What the first minutes of most commands ask of Spark; Java writes the archive as it ends."""
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    from penstock.config import Spark
    from penstock.session import spark_session

    settings = {
        "spark.driver.extraJavaOptions": f"-XX:ArchiveClassesAtExit={file} -Xlog:disable",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    spark = spark_session(Spark(master="local[2]", settings=settings), "penstock classes")
    rows = spark.range(0, 1_000, 1, 2).selectExpr("id % 10 AS k", "id % 7 AS day", "id AS v")
    rows = rows.mapInArrow(lambda batches: batches, "k bigint, day bigint, v bigint").persist()
    names = spark.createDataFrame([(n, f"name {n}") for n in range(10)], "k bigint, name string")
    days = rows.join(names, "k").groupBy("k", "name", "day").agg(fn.sum("v").alias("v"))
    span = Window.partitionBy("k").orderBy("day").rangeBetween(-3, 0)
    days.select("k", "name", "day", fn.max("v").over(span).alias("most")).write.parquet("days")
    spark.read.parquet("days").where("most > 3").orderBy("k").toPandas()
    rows.write.format("delta").save("table")
    spark.read.format("delta").load("table").groupBy("k").count().collect()
    gateway = spark.sparkContext._gateway  # noqa: SLF001 - pyspark has no public way to await it
    spark.stop()
    assert gateway is not None
    gateway.proc.stdin.close()
    gateway.proc.wait()


if __name__ == "__main__":
    _train(sys.argv[1])
