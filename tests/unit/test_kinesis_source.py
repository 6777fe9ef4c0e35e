"""The Kinesis source's options, and the rows it makes; nothing is called, and no session needed."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import Any

import pytest

from penstock.errors import ConfigError
from penstock.streaming.kinesis_offsets import Span
from penstock.streaming.kinesis_reader import Bounds, Slice
from penstock.streaming.kinesis_shard import Record

pytest.importorskip("pyspark.sql.datasource", reason="Spark 3.5 has no Python data sources")

GIVEN = {"stream": "s", "region": "eu-west-1"}


def parsed(**given: str) -> Any:
    """Options besides stream and region."""
    from penstock.streaming.kinesis_source import Options

    return Options.parsed({**GIVEN, **given})


def test_options_and_their_defaults() -> None:
    """Losses end a query, and a query begins with all there is, unless told otherwise."""
    found = parsed()
    assert (found.stream, found.starting, found.bounds) == ("s", "TRIM_HORIZON", Bounds())
    assert found.fail_on_loss
    assert not found.keep_aggregated
    assert found.endpoint.url is None
    told = parsed(maxrecords="7", maxBytes="9", FAILONDATALOSS="False", aggregated="keep")
    assert told.bounds == Bounds(7, 9)
    assert not told.fail_on_loss
    assert told.keep_aggregated
    assert parsed(starting="latest").starting == "LATEST"
    assert parsed(starting="1970-01-01T01:00:01Z").starting == 3_601_000
    assert parsed(starting="1970-01-01T01:00:01+01:00").starting == 1_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stream": ""}, "needs the option stream"),
        ({"maxrecord": "5"}, "no option maxrecord. Did you mean maxRecords"),
        ({"secretKey": "x"}, "no option secretkey. Its options: stream, region"),
        ({"maxRecords": "0"}, "maxRecords=0 is not allowed. A number from 1 to"),
        ({"maxRecords": "many"}, "maxRecords=many"),
        ({"maxBytes": str(65 * 2**20)}, "maxBytes=68157440 is not allowed"),
        ({"failOnDataLoss": "no"}, "failOnDataLoss=no is not allowed. One of true, false"),
        ({"aggregated": "split"}, "One of fail, keep"),
        ({"starting": "yesterday"}, "starting=yesterday is no place to begin at"),
        ({"starting": "2026-01-01T00:00:00"}, "a time with its zone"),
    ],
)
def test_options_are_read_strictly(given: dict[str, str], said: str) -> None:
    """One line: what, which, what next."""
    with pytest.raises(ConfigError, match=said):
        parsed(**given)


def test_a_region_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """From the option, or from where botocore finds it."""
    from penstock.streaming.kinesis_source import Options

    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="no AWS region is set"):
        Options.parsed({"stream": "s"})
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert Options.parsed({"stream": "s"}).endpoint.region == "eu-west-3"


def test_only_its_own_columns() -> None:
    """What Spark would make of others is silence or a crash on an executor."""
    from pyspark.sql.types import StringType, StructType

    from penstock.streaming.kinesis_source import KinesisSource

    source = KinesisSource(GIVEN)
    assert source.name() == "penstock_kinesis"
    with pytest.raises(ConfigError, match="gives key, value, shard, sequence, timestamp"):
        source.streamReader(StructType().add("payload", StringType()))


def test_rows_of_records_that_were_handed_over() -> None:
    """Through pickles, as Spark sends readers and partitions; no client is made."""
    from penstock.streaming.kinesis_source import KinesisPartition, KinesisStreamReader

    records = tuple(Record(None if n else "k", b"\x00v", str(n), n + 1) for n in range(10_001))
    part = KinesisPartition(Slice(Span("shard", "0", "10000"), records))
    reader = pickle.loads(pickle.dumps(KinesisStreamReader(parsed())))
    batches = list(reader.read(pickle.loads(pickle.dumps(part))))
    assert [one.num_rows for one in batches] == [10_000, 1]
    assert batches[0].slice(0, 1).to_pylist() == [
        {
            "key": "k",
            "value": b"\x00v",
            "shard": "shard",
            "sequence": "0",
            "timestamp": datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=timezone.utc),
        }
    ]
    assert batches[1]["key"].to_pylist() == [None]
    reader.stop()
