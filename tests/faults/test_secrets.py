"""S01: neither a secret nor a value of a feature is in any text that a run leaves behind.

Values may be where data belongs: in the lake's tables, in staged files and dead letters, which are
Parquet, and in the service. Everything else a run writes or says is searched.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.emulator import script
from penstock.emulator.faults import Rule, refused, throttled
from penstock.emulator.identity import key_pair
from tests.checker import assure
from tests.faults.runs import Line, Run, pipeline
from tests.flow import project
from tests.flow.processes import under
from tests.lab import Lab

AT = "2024-01-02T00:00:00Z"
#: A value of each column that is found by its text wherever it is.
SENSOR, LEVEL, SHARE = "canary-4f1d9c", 734_550_917, 0.734550918
VALUES = [SENSOR, str(LEVEL), repr(SHARE)]
#: As the service might: with the value and the record in it.
QUOTING = (
    f"Value [{LEVEL}] of feature [level] of record {SENSOR} is not valid; got {SHARE!r}, "
    f'"{SENSOR}", {{"ValueAsString": "{LEVEL}"}}'
)


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_s01_canary_secrets_pii(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """Refused with values quoted, put aside, throttled: in no log, ledger, marker or message."""
    caplog.set_level(logging.INFO)
    run = Run(lab, pipeline())
    lines: list[Line] = [(f"s{n}", AT, n, n / 8) for n in range(300)]
    lines += [(f"{SENSOR}-{n}", AT, LEVEL, SHARE) for n in range(8)]
    run.write([*lines, (f"{SENSOR}-bad", "yesterday", LEVEL, SHARE)])
    said = []
    for limit in (0.0, 0.5):
        for rule in (
            Rule(refused(message=QUOTING), identifier=f"{SENSOR}-[0-3]"),
            Rule(throttled(), every=5),
        ):
            lab.emulator.faults.add(rule)
        code, words = run.ingest(online__max_reject_ratio=limit)
        said.append(words)
        assert code == (65 if limit == 0 else 0)
    texts = {f"message {n}": one for n, one in enumerate(said)} | {"log": caplog.text}
    texts |= dict(written(lab.root / "state"))
    keys = [lab.emulator.secret_key, lab.emulator.access_key]
    evidence = run.evidence(code, texts=texts, canaries=[*VALUES, *keys])
    assert len(evidence.dead) == 4
    assert len(evidence.quarantined) == 1
    assert len(texts) > 10
    assure(evidence, floor=304)


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file that is no Parquet, as text."""
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".parquet" and "_delta_log" not in path.parts:
            yield str(path), path.read_bytes().decode("utf-8", "replace")


@pytest.mark.prove
@pytest.mark.shows("4.3")
def test_s01_canaries_of_a_command(tmp_path: Path) -> None:
    """The same with the real command: its output, log, Spark's event log, Data Docs and argv."""
    small = project.make(tmp_path / "small", sensors=200)
    lines = [f"{SENSOR}-{n},{AT},{LEVEL},{SHARE!r}\n" for n in range(6)]
    lines.append(f"{SENSOR}-bad,yesterday,{LEVEL},{SHARE!r}\n")
    with (small.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.writelines(lines)
    events = tmp_path / "events"
    events.mkdir()
    local = small.root / "conf" / "local.yaml"
    added = f'    spark.eventLog.enabled: "true"\n    spark.eventLog.dir: {events.as_uri()}\n'
    local.write_text(local.read_text(encoding="utf-8") + added, encoding="utf-8")
    provisioned = small.run("provision")
    assert provisioned.code == 0, provisioned.err
    data = small.root / ".penstock" / "aws"
    rule = {"identifier": f"{SENSOR}-[0-2]", "operation": "BatchWriteRecord"}
    action = {"kind": "refused", "message": QUOTING}
    script.place(data, {"rules": [{**rule, "action": action}]})
    seen: set[str] = set()
    answers = [
        _watched(small, seen, "ingest", "--set", "online.max_reject_ratio=0", "--debug"),
        _watched(small, seen, "ingest", "--set", "online.max_reject_ratio=0.5", "--json"),
    ]
    assert [one.code for one in answers] == [65, 0]
    texts = {f"out {n}": one.out for n, one in enumerate(answers)}
    texts |= {f"err {n}": one.err for n, one in enumerate(answers)}
    texts |= dict(written(small.state)) | dict(written(events)) | {"argv": "\n".join(seen)}
    texts |= dict(written(small.lake / "docs"))
    pair = key_pair(data)
    assert json.loads(answers[1].out)
    assert len(seen) > 2
    assert any("spark" in one.lower() for one in seen)
    hits = [
        f"{name}: {canary}"
        for canary in (*VALUES, pair.secret_key, pair.access_key)
        for name, text in texts.items()
        if canary in text
    ]
    assert hits == []


#: Secrets that a machine has about it, by the names they usually bear.
PLANTED = {
    "AWS_SECRET_ACCESS_KEY": "canary/secret+key0Nfp9x2",
    "AWS_SESSION_TOKEN": "canary-session-token-58d1",
    "DATABASE_PASSWORD": "canary-password-70aa",
    "PENSTOCK_TOKEN": "canary-token-93bc",
}
_STAGED = (
    'Expectation("expect_column_values_to_be_unique", "sensor", on_fail="warn"), '
    'Expectation("expect_column_max_to_be_between", "level", {"min_value": 0}, on_fail="fail")'
)
_EDITS = (
    ("    Feature,\n", "    Expectation,\n    Feature,\n"),
    ('"share", FeatureType.FRACTIONAL', '"share", FeatureType.FRACTIONAL, pii=True'),
    ('event_time="at",', f'event_time="at", expectations=({_STAGED}),'),
)


@pytest.mark.prove
@pytest.mark.shows("9.6")
def test_s01_canaries_of_all_that_a_run_tells(tmp_path: Path) -> None:
    """Secrets in the environment and people in the data: in no text that three runs leave.

    One is stopped by a gate, one by the service's refusals, one comes to its end; searched are
    output, logs, ledger, metrics, reports and what they are made of, Spark's event log, Data Docs,
    embedded metrics, lineage and argv.
    """
    made = project.make(tmp_path / "small", sensors=200)
    small = project.Small(made.root, env=PLANTED)
    schema = small.root / "schemas" / "readings.py"
    text = schema.read_text(encoding="utf-8")
    for one, other in _EDITS:
        assert one in text
        text = text.replace(one, other)
    schema.write_text(text, encoding="utf-8")
    lines = [f"{SENSOR}-{n},{AT},{LEVEL},{SHARE!r}\n" for n in range(40)]
    lines += [f"{SENSOR}-bad-{n},yesterday,{LEVEL},{SHARE!r}\n" for n in range(3)]
    with (small.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.writelines(lines)
    events = tmp_path / "events"
    events.mkdir()
    local = small.root / "conf" / "local.yaml"
    added = f'    spark.eventLog.enabled: "true"\n    spark.eventLog.dir: {events.as_uri()}\n'
    local.write_text(local.read_text(encoding="utf-8") + added, encoding="utf-8")
    assert small.run("provision").code == 0
    rule = {"identifier": f"{SENSOR}-[0-2]", "operation": "BatchWriteRecord"}
    refusal = {**rule, "action": {"kind": "refused", "message": QUOTING}}
    script.place(small.root / ".penstock" / "aws", {"rules": [refusal]})
    seen: set[str] = set()
    told = ("quality.docs=true", "observe.emf=told/emf.jsonl", "observe.lineage=told/lineage.jsonl")
    common = [word for one in told for word in ("--set", one)]
    answers = [
        _watched(small, seen, "ingest", *common, "--set", limit, "--debug")
        for limit in (
            "quality.max_quarantine_ratio=0",
            "online.max_reject_ratio=0",
            "online.max_reject_ratio=0.5",
        )
    ]
    assert [one.code for one in answers] == [65, 65, 0]
    texts = {f"out {n}": one.out + one.err for n, one in enumerate(answers)}
    texts["argv"] = "\n".join(seen)
    kinds = {
        "state": small.state / "ledger",
        "log": small.state / "logs",
        "metrics": small.state / "metrics",
        "report": small.lake / "reports",
        "docs": small.lake / "docs",
        "events": events,
        "told": small.root / "told",
    }
    for folder in kinds.values():
        found = dict(written(folder))
        assert found, folder
        texts |= found
    texts |= dict(written(small.state))
    pages = sorted(one for one in texts if one.endswith(".html") and "/reports/" in one)
    assert len(pages) == 3
    plain = json.loads(Path(pages[-1]).with_suffix(".json").read_text(encoding="utf-8"))
    (share,) = [one for one in plain["features"] if one["name"] == "share"]
    assert set(share) == {"name", "type", "role", "pii", "rows", "nulls"}
    pair = key_pair(small.root / ".penstock" / "aws")
    canaries = (*VALUES, *PLANTED.values(), pair.secret_key, pair.access_key, f"{LEVEL:,}")
    hits = [f"{name}: {one}" for one in canaries for name, text in texts.items() if one in text]
    assert hits == []


_PHONE = "+49 151 CANARY-77"
#: A transform that is stricter than its rows: in Spark, in a worker; and one that has a mistake.
_STRICT = """
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def whole(text: str) -> int:
    return int(text)


def cast(readings: DataFrame) -> DataFrame:
    return readings.withColumn("level", F.col("level").cast("long"))


def worker(readings: DataFrame) -> DataFrame:
    return readings.withColumn("level", F.udf(whole, "long")("level"))


def mistaken(readings: DataFrame) -> DataFrame:
    return readings.withColumn("level", F.col("levels").cast("long"))
"""


@pytest.mark.prove
@pytest.mark.shows("4.3")
@pytest.mark.parametrize(
    ("transform", "exit_line"),
    [
        ("cast", r"Exception.* \[CAST_INVALID_INPUT\] at \S+.*: use try_cast\. The log says where"),
        ("worker", r"PythonException \(ValueError\) at \S+/strict\.py:6\. The log says where"),
        ("mistaken", r"AnalysisException: \[UNRESOLVED_COLUMN[\w.]+\] .*`levels`"),
    ],
)
def test_s01_errors_of_a_transform_quote_no_row(
    tmp_path: Path, transform: str, exit_line: str
) -> None:
    """Spark and Python name the value that they refuse; we name the type, the class, the line.

    Spark's event log is not ours and has the text: it is off unless somebody turns it on.
    """
    small = project.make(tmp_path / "small", sensors=50)
    schema = small.root / "schemas" / "readings.py"
    text = schema.read_text(encoding="utf-8")
    for one, other in (
        ('"level", FeatureType.INTEGRAL', '"level", FeatureType.INTEGRAL, pii=True'),
        ('"level", ColumnType.LONG', '"level"'),
        ("        )\n    },\n)", f"        )\n    }},\n    {transform},\n)"),
        ("\nREADINGS", f"\nfrom schemas.strict import {transform}\n\nREADINGS"),
    ):
        assert one in text
        text = text.replace(one, other, 1)
    schema.write_text(text, encoding="utf-8")
    (small.root / "schemas" / "strict.py").write_text(_STRICT.lstrip(), encoding="utf-8")
    local = small.root / "conf" / "local.yaml"
    ansi = local.read_text(encoding="utf-8") + '    spark.sql.ansi.enabled: "true"\n'
    local.write_text(ansi, encoding="utf-8")
    with (small.root / "data" / "part-0.csv").open("a", encoding="utf-8") as file:
        file.write(f"s1,{AT},{_PHONE},0.5\n")
    assert small.run("provision").code == 0
    told = ("observe.emf=told/emf.jsonl", "observe.lineage=told/lineage.jsonl")
    answer = small.run("ingest", *(word for one in told for word in ("--set", one)))
    assert answer.code == 70, answer.err
    last = answer.err.splitlines()[-1]
    assert re.search(exit_line, last), last
    texts = {"out": answer.out, "err": answer.err}
    for folder in (small.state, small.lake / "reports", small.root / "told"):
        found = dict(written(folder))
        assert found, folder
        texts |= found
    assert any(exit_line[:8] in one for name, one in texts.items() if "/logs/" in name)
    assert [name for name, one in texts.items() if "CANARY" in one] == []
    assert "CANARY" in small.run("ingest", "--debug").err or transform == "mistaken"


def _watched(small: project.Small, seen: set[str], *words: str) -> Any:
    """Run a command and note the command line of every process under it."""
    process = small.start(*words)
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.update(one.command for one in under(process.pid))
            time.sleep(0.1)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        return project.ended(process, timeout=240)
    finally:
        ended.set()
        watcher.join()
