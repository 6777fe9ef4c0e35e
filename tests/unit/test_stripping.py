"""A stripped flow means what it meant, and holds neither data nor account numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler
from penstock.wrangle.stripping import MASK, strip

_ACCOUNT, _OTHER = "210987654321", "444455556666"


def _document() -> dict[str, Any]:
    definition = {
        "name": "claims.csv",
        "s3ExecutionContext": {
            "s3Uri": f"s3://sagemaker-us-east-1-{_ACCOUNT}/claims-{_OTHER}.csv",
            "s3RoleArn": f"arn:aws:iam::{_OTHER}:role/reader",
        },
    }
    source = {
        "node_id": "s",
        "type": "SOURCE",
        "operator": "sagemaker.s3_source_0.1",
        "parameters": {"dataset_definition": definition},
        "inputs": [],
        "outputs": [{"name": "default", "sampling": {"limit_rows": 50000}}],
        "trained_parameters": {"query_execution_id": "x"},
    }
    code = f"# {_ACCOUNT} is a figure\ndf.write.csv('s3a://b-{_ACCOUNT}/x')"
    step = {
        "node_id": "t",
        "type": "TRANSFORM",
        "operator": "sagemaker.spark.process_numeric_0.1",
        "parameters": {
            "operator": "Scale values",
            "scale_values_parameters": {
                "scaler": "Max absolute scaler",
                "max_absolute_scaler_parameters": {"input_column": "a"},
            },
            "stale": code,
            "bucket": f"my-{_ACCOUNT}-data",
        },
        "inputs": [{"name": "df", "node_id": "s", "output_name": "default"}],
        "outputs": [{"name": "default"}],
        "trained_parameters": {"scale_values_parameters": {"_hash": "h", "model": "m" * 100}},
    }
    report = {
        "node_id": "v",
        "type": "VISUALIZATION",
        "operator": "sagemaker.visualizations.data_insights_report_0.1",
        "parameters": {"name": "report"},
        "inputs": [{"name": "df", "node_id": "t", "output_name": "default"}],
        "outputs": [{"name": "default"}],
        "trained_parameters": {"samples": [["Ann", 41]] * 50},
        "preview": {"rows": [[1, 2]]},
    }
    return {"metadata": {"version": 1}, "nodes": [source, step, report]}


@pytest.mark.shows("8.5")
def test_what_goes_and_what_stays() -> None:
    """Reports, results, odd parts and account numbers go; the recipe and what it learnt stay."""
    document = _document()
    untouched = json.dumps(document)
    found, said = strip(document, "claims.flow")
    assert json.dumps(document) == untouched
    assert said.reports == [len('{"samples":[') + len('["Ann",41],') * 50 - 1 + len("]}")]
    assert [len(said.results), len(said.states), len(said.others)] == [1, 0, 1]
    assert said.numbers == {_ACCOUNT, _OTHER}
    assert said.lines == [
        f"1 analysis result removed ({said.reports[0]:,} bytes)",
        "1 query result removed (26 bytes)",
        "1 odd part removed (16 bytes)",
        "2 account numbers masked in 4 places",
    ]
    assert said.size == said.reports[0] + 26 + 16
    text = json.dumps(found)
    assert "Ann" not in text
    # Twelve digits in a file's name or in a comment are no account.
    assert text.count(_ACCOUNT) == 1
    assert text.count(_OTHER) == 1
    uri = found["nodes"][0]["parameters"]["dataset_definition"]["s3ExecutionContext"]["s3Uri"]
    assert uri == f"s3://sagemaker-us-east-1-{MASK}/claims-{_OTHER}.csv"
    assert found["nodes"][0]["outputs"] == document["nodes"][0]["outputs"]
    before, after = (data_wrangler.of(one, "claims.flow") for one in (document, found))
    assert [one.id for one in after.nodes] == [one.id for one in before.nodes]
    assert after.node("t").does == before.node("t").does
    assert after.node("t").trained == before.node("t").trained


@pytest.mark.shows("8.5")
def test_twice_is_once() -> None:
    """Of what it gives, it takes nothing; what was learnt goes where that is asked for."""
    once, said = strip(_document(), "claims.flow", states=True)
    assert len(said.states) == 1
    twice, nothing = strip(once, "claims.flow", states=True)
    assert twice == once
    assert nothing.lines == ["nothing to remove"]
    with pytest.raises(UsageError, match="no flow"):
        strip([], "x.flow")
