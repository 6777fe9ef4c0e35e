"""``.flow`` files that people edited: each is read, or refused in one line that says where."""

from __future__ import annotations

import base64
import copy
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import UsageError
from penstock.wrangle import data_wrangler, trained
from penstock.wrangle.explaining import recipe
from penstock.wrangle.linting import lint
from penstock.wrangle.step import Stale

_SOURCE = {
    "node_id": "s",
    "type": "SOURCE",
    "operator": "sagemaker.s3_source_0.1",
    "parameters": {
        "dataset_definition": {
            "name": "a.csv",
            "s3ExecutionContext": {"s3Uri": "s3://b/a.csv", "s3SkipLines": 0},
        }
    },
    "inputs": [],
    "outputs": [{"name": "default"}],
}
_BLOCK = {"scaler": "Max absolute scaler", "max_absolute_scaler_parameters": {"input_column": "a"}}
_STEP = {
    "node_id": "t",
    "type": "TRANSFORM",
    "operator": "sagemaker.spark.process_numeric_0.1",
    "parameters": {"operator": "Scale values", "scale_values_parameters": _BLOCK},
    "inputs": [{"name": "df", "node_id": "s", "output_name": "default"}],
    "outputs": [{"name": "default"}],
    "trained_parameters": {
        "scale_values_parameters": {"max_absolute_scaler_parameters": {"_hash": "x"}}
    },
}
_ODD: tuple[Any, ...] = (None, 1, "x", [], {}, [1], [None], {"a": 1}, True, "DROP")


def _odd(value: Any) -> Iterator[Any]:
    """Copies of a document, each with one part, at any depth, dropped or made something else."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            for odd in _ODD:
                made = copy.copy(value)
                if odd == "DROP":
                    del made[key]
                else:
                    made[key] = odd
                yield made
            for inner in _odd(value[key]):
                made = copy.copy(value)
                made[key] = inner
                yield made


def test_any_part_may_be_something_else() -> None:
    """It is read, explained and linted, or refused by a UsageError in one line."""
    document = {"metadata": {"version": 1}, "nodes": [_SOURCE, _STEP]}
    count, refused = 0, []
    for odd in _odd(document):
        count += 1
        try:
            flow = data_wrangler.parse(json.dumps(odd).encode(), "f.flow")
            assert all(map(str, lint(flow)))
            assert all("\n" not in one for one in recipe(flow))
        except UsageError as error:
            refused.append(str(error))
    assert count > 250
    assert 50 < len(refused) < count
    assert all(one.startswith("f.flow: ") for one in refused)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"null", "no flow"),
        (b'{"nodes": {}}', "no flow"),
        (b'{"nodes": [null]}', "node 1 is none: it has no node_id"),
        (b'{"nodes": [{"node_id": 1}]}', "node 1 is none: it has no node_id"),
        (b'{"nodes": [{"node_id": "a", "inputs": [1]}]}', "node a: its inputs are none"),
    ],
)
def test_what_is_no_flow(text: bytes, said: str) -> None:
    """One line says what."""
    with pytest.raises(UsageError, match=said):
        data_wrangler.parse(text, "f.flow")


def test_a_step_whose_settings_do_not_fit_is_refused_alone() -> None:
    """The flow is explained, and all runs that does not need it."""
    odd = copy.deepcopy(_STEP)
    odd["parameters"]["scale_values_parameters"]["scaler"] = "Newest scaler"  # type: ignore[index]  # a mapping
    flow = data_wrangler.of({"metadata": {"version": 1}, "nodes": [_SOURCE, odd]}, "f.flow")
    assert flow.result("s").node == "s"
    (found,) = (str(one) for one in lint(flow) if str(one).startswith("error"))
    assert "process_numeric_0.1: scale: its parameters do not fit ('Newest scaler')" in found


def test_another_version_is_told() -> None:
    """Of any shape."""
    odd: tuple[Any, ...] = ({"version": 2}, [], "x", None)
    for metadata in odd:
        document = {"metadata": metadata, "nodes": []}
        assert "only 1 is known" in str(lint(data_wrangler.of(document, "f.flow"))[0])


def _packed(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, one in files.items():
            archive.writestr(name.replace("__", "/"), one)
    return buffer.getvalue()


def _model(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    head = json.dumps({"class": "org.apache.spark.ml.feature.StringIndexerModel"}).encode()
    return _packed(
        **{"metadata__part-0": head, "data__part-0.parquet": buffer.getvalue()},
    )


def _read(packed: bytes) -> trained.Model:
    return trained.model(base64.b85encode(packed).decode())


def test_a_stored_model_that_was_damaged() -> None:
    """Any byte of it may differ: it is the same model, or stale; nothing else comes out."""
    packed = _model(pa.table({"labelsArray": [[["a", "b"]]]}))
    assert _read(packed).rows == [{"labelsArray": [["a", "b"]]}]
    stale = 0
    for place in range(len(packed)):
        try:
            _read(packed[:place] + bytes([packed[place] ^ 0x55]) + packed[place + 1 :])
        except Stale:
            stale += 1
    assert stale > len(packed) // 2
    for text in (None, 1, "", "~~~", base64.b85encode(_packed()).decode()):
        with pytest.raises(Stale):
            trained.model(text)


def test_a_stored_model_that_is_a_trap() -> None:
    """A few kilobytes that would become gigabytes are not unpacked."""
    zeros = pa.array([0.0] * 5_000_000)
    bomb = _model(pa.table({"x": zeros}))
    assert len(bomb) < 10_000
    with pytest.raises(Stale, match="cannot be read"):
        _read(bomb)
    with pytest.raises(Stale, match="cannot be read"):
        _read(_packed(**{"metadata__part-0": b" " * (65 << 20)}))
    with pytest.raises(ValueError, match="2147483647 places"):
        trained.dense({"type": 0, "size": 2**31 - 1, "indices": [], "values": []})
