"""T33 and T34: commits of Delta whose answer is lost, and many at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.entries import Transaction
from penstock.errors import ContractError
from penstock.offline.delta import DeltaLog
from penstock.offline.table import OfflineTable
from penstock.stage.spark import rows_schema
from penstock.storage import LocalStorage
from tests.flow.copies import change, copied
from tests.flow.stores import fine, provisioned, stores
from tests.readings import LEVELS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)
ROOT = Path(__file__).parents[2]
ROWS = 10
COMMITTED = "            if self._commits(table, parts, schema, transaction, present):\n"
JOB = """
import sys
from penstock.config import Spark
from penstock.session import spark_session
from tests.flow.test_commits import append

settings = {
    "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "700m", "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "1", "spark.databricks.delta.snapshotPartitions": "1",
}
spark = spark_session(Spark(master="local[1]", settings=settings), "appends")
append(spark, sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


def _table(spark: SparkSession, path: str, group: FeatureGroup) -> OfflineTable:
    log = DeltaLog(path, LocalStorage())
    return OfflineTable(spark, path, LocalStorage(), group, rows_schema(group), log)


def append(spark: SparkSession, path: str, who: str, times: int) -> None:
    """So many appends, each a transaction and :data:`ROWS` rows of its own."""
    table = _table(spark, path, LEVELS)
    for n in range(times):
        rows = spark.range(ROWS).selectExpr(
            f"concat('{who}-{n}-', id) as sensor", "'2024-01-01T00:00:00Z' as at", "id as level",
            "0 as _tie",
        )  # fmt: skip
        name = Transaction(f"penstock:readings:{who}-{n}", 0)
        done = table.append(rows, name, api_invocation_time=NOW, write_time=NOW, compare=False)
        assert done.rows == ROWS


def test_a_feature_more_is_a_column_more(spark: SparkSession, tmp_path: Path) -> None:
    """Rows from before have nulls there, and are told from those that come again with a value."""
    path = str(tmp_path / "table")
    append(spark, path, "before", 1)
    wide = replace(LEVELS, features=(*LEVELS.features, Feature("mood", FeatureType.STRING)))
    table = _table(spark, path, wide)
    rows = spark.range(2 * ROWS).selectExpr(
        "concat('before-0-', id) as sensor", "'2024-01-01T00:00:00Z' as at", "id as level",
        "if(id % 2 = 0, 'good', null) as mood", "0 as _tie",
    )  # fmt: skip
    name = Transaction("penstock:readings:wide", 0)
    done = table.append(rows, name, api_invocation_time=NOW, write_time=NOW, compare=True)
    assert (done.rows, done.present) == (ROWS + ROWS // 2, ROWS // 2)
    found = table.rows().groupBy("mood").count().collect()
    assert {row["mood"]: row["count"] for row in found} == {"good": ROWS, None: ROWS + ROWS // 2}
    mood = Feature("mood", FeatureType.INTEGRAL)
    other = replace(LEVELS, features=(*LEVELS.features, mood))
    table = _table(spark, path, other)
    with pytest.raises(ContractError, match="column 'mood' is string, not long"):
        table.append(rows, name, api_invocation_time=NOW, write_time=NOW, compare=False)


@pytest.mark.shows("5.6")
def test_t34_delta_concurrent_appends_of_some(spark: SparkSession, tmp_path: Path) -> None:
    """Three threads that make the table together, two appends each."""
    path, errors = str(tmp_path / "table"), list[BaseException]()

    def act(who: str) -> None:
        try:
            append(spark, path, who, 2)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=act, args=(one,)) for one in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not errors
    _check(path, 6)


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t34_delta_concurrent_appends(tmp_path: Path) -> None:
    """Four drivers, 25 appends each: a hundred commits, and the rows of all."""
    path = str(tmp_path / "table")
    drivers = [
        subprocess.Popen([sys.executable, "-c", JOB, path, one, "25"], cwd=ROOT) for one in "abcd"
    ]
    assert [one.wait(900) for one in drivers] == [0] * 4
    _check(path, 100)


@pytest.mark.prove
@pytest.mark.shows("5.6")
def test_t33_delta_response_lost_in_a_run(tmp_path: Path) -> None:
    """The commit fails after it was made: it is found, and the run ends with every row once."""
    small = provisioned(tmp_path / "undisturbed", 300)
    undisturbed = stores(small, fine(small.run("ingest", "--json")))
    deaf = provisioned(tmp_path / "deaf", 300)
    copy = copied(tmp_path / "copy")
    change(
        copy,
        "commits.py",
        COMMITTED,
        COMMITTED
        + '                if "/offline/" in self._path:\n'
        + '                    raise ConnectionError("the answer was lost")\n',
    )
    answer = fine(type(deaf)(deaf.root, (copy,)).run("ingest", "--json"))
    assert stores(deaf, answer) == undisturbed
    assert deaf.states().count("OFFLINE_COMMITTED") == 1
    assert deaf.states()[-1] == "DONE"


def _check(path: str, commits: int) -> None:
    table = DeltaTable(path)
    ours = [one for one in table.history() if "penstock" in one.get("userMetadata", "")]
    assert len(ours) == commits
    names = table.to_pyarrow_table(columns=["sensor"]).column(0).to_pylist()
    assert len(names) == len(set(names)) == commits * ROWS
