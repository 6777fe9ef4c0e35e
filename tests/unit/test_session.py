"""What is asked of a session, and what is read out of the errors Spark wraps ours in."""

from __future__ import annotations

import pytest

from penstock.errors import DataGateError, UsageError
from penstock.session import merged, raised

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
