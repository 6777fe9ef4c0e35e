"""What is asked of a session, and what is read out of the errors Spark wraps ours in."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import jars
from penstock.errors import DataGateError, UsageError
from penstock.session import DELTA as DELTAS
from penstock.session import KAFKA, S3A, artifacts, merged, raised, spark_line

DELTA = "io.delta.sql.DeltaSparkSessionExtension"
CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"


def test_a_session_of_ours_has_delta_and_the_settings() -> None:
    """Nobody submitted: everything is asked for."""
    assert merged({"spark.ui.enabled": "false"}, {}) == {
        "spark.ui.enabled": "false",
        "spark.sql.extensions": DELTA,
        "spark.sql.catalog.spark_catalog": CATALOG,
    }


def test_the_submitter_wins_over_conf() -> None:
    """What the submitter set is not asked for again; what was left out is."""
    submitted = {
        "spark.driver.host": "10.0.0.7",
        "spark.sql.catalog.spark_catalog": "theirs.Catalog",
        "spark.sql.extensions": "theirs.Extensions",
    }
    settings = {"spark.driver.host": "127.0.0.1", "spark.sql.shuffle.partitions": "8"}
    assert merged(settings, submitted) == {
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.extensions": f"theirs.Extensions,{DELTA}",
    }


def test_conf_says_in_which_version_an_artifact_comes() -> None:
    """As where a registry lacks that of the newest Spark of a line."""
    delta, s3a, kafka = DELTAS[spark_line()], S3A[spark_line()], KAFKA[spark_line()]
    assert artifacts("", s3=False, kafka=False) == delta
    assert artifacts("", s3=True, kafka=True).startswith(f"{delta},{s3a},{kafka}:{spark_line()}.")
    own = f"a:b:1, {kafka}:{spark_line()}.0"
    assert artifacts(own, s3=False, kafka=True) == f"a:b:1,{kafka}:{spark_line()}.0,{delta}"
    assert artifacts(f"{kafka}x:1", s3=False, kafka=True).count(f"{kafka}:") == 1


@pytest.mark.parametrize("named", [DELTA, f"a.B, {DELTA}"])
def test_an_extension_is_named_once(named: str) -> None:
    """Delta's stays where it is, from the submitter or from conf."""
    wanted = ",".join(one.strip() for one in named.split(","))
    assert merged({}, {"spark.sql.extensions": named})["spark.sql.extensions"] == wanted
    assert merged({"spark.sql.extensions": named}, {})["spark.sql.extensions"] == wanted


def test_an_error_of_a_task_is_ours_again() -> None:
    """Kind, message and remedy survive Spark's text; what is not ours is None."""
    text = "Job aborted\nTraceback …\npenstock.errors.DataGateError: x.csv: truncated. Fetch it\n"
    found = raised(RuntimeError(text))
    assert isinstance(found, DataGateError)
    assert (found.message, found.remedy) == ("x.csv: truncated", "Fetch it")
    assert raised(RuntimeError("java.lang.OutOfMemoryError")) is None


@pytest.mark.parametrize("name", ["penstock", "penstock.run", "schemas", "transforms.clock"])
def test_an_import_that_fails_on_executors_says_what_to_send(name: str) -> None:
    """The likeliest mistake of a first spark-submit."""
    found = raised(RuntimeError(f"…\nModuleNotFoundError: No module named '{name}'\n…"))
    assert isinstance(found, UsageError)
    assert name.partition(".")[0] in found.message
    assert "penstock.zip" in found.remedy


def test_jars_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Spark resolved is taken the next time, as long as all of it is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artifact = "io.delta:delta-spark_2.13:4.0.0"
    assert jars.known(artifact) is None
    files = [tmp_path / "a jar.jar", tmp_path / "b.jar"]
    for one in files:
        one.touch()
    resolved = ",".join(one.as_uri() for one in files)
    jars.remember(artifact, resolved)
    assert jars.known(artifact) == resolved
    assert jars.known("io.delta:delta-spark_2.12:3.3.2") is None
    files[1].unlink()
    assert jars.known(artifact) is None
    jars.remember(artifact, "")
    assert jars.known(artifact) is None


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark resolves again; a list that was damaged is none."""
    (tmp_path / "cache").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jars.remember("a:b:1", "file:///a.jar")
    assert jars.known("a:b:1") is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    damaged = tmp_path / "other" / "penstock" / "a_b_1.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("[1")
    assert jars.known("a:b:1") is None
