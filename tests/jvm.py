"""Options of JVMs that tests start, small and short or long: starting is most of what they do."""

from __future__ import annotations

from penstock.session import KAFKA, spark_line

#: Neither compiling thoroughly nor verifying Spark's own classes is worth it (measured: a small job
#: takes 44 s with verification and 37 s without). With the first compiler alone Java keeps 48 MiB
#: for code, which a hundred jobs fill: then it throws code away and compiles it again (measured:
#: the same work took 17 s the second time, and 13 s with more room).
SHORT_LIVED = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:MetaspaceSize=256m "
    "-XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
#: Spark line → release of its source for Kafka, where that of the Spark that is pinned was not to
#: be had: an older one of the line, which reads the same.
_KAFKA = {"3.5": "3.5.1", "4.0": "4.0.0"}


def packages() -> dict[str, str]:
    """Settings of a session by which it reads Kafka's topics, if it is to read some."""
    line = spark_line()
    if line not in _KAFKA:
        return {}
    return {"spark.jars.packages": f"{KAFKA[line]}:{_KAFKA[line]}"}
