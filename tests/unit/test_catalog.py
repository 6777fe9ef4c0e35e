"""What Glue tables say, without Glue: from a contract, to the next version, to a source."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.catalog.glue import Retry
from penstock.catalog.table import evolved, location_of, table_input, table_name
from penstock.config import Settings
from penstock.contract import Feature, FeatureGroup, FeatureType
from penstock.errors import ConfigError, UsageError

GROUP = FeatureGroup(
    name="Flight-Status",
    record_identifier="flightId",
    event_time="at",
    features=(
        Feature("flightId", FeatureType.STRING, "carrier, flight,\n origin"),
        Feature("at", FeatureType.STRING),
        Feature("delay", FeatureType.FRACTIONAL),
        Feature("seats", FeatureType.INTEGRAL),
    ),
    description="One row\nper flight",
)
WHERE = "lake.flight_status"
LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


def _wanted(
    group: FeatureGroup = GROUP,
    location: str = "s3://lake/offline/f",
    form: Literal["delta", "iceberg", "hive"] = "delta",
) -> dict[str, Any]:
    made = table_input(
        group,
        table="flight_status",
        location=location,
        meaning="0123456789abcdef",
        table_format=form,
    )
    return dict(made)


def _stored(table: dict[str, Any], version: str = "3") -> dict[str, Any]:
    """The table as GetTable answers it: the input, and fields of the service's own."""
    return {
        **copy.deepcopy(table),
        "DatabaseName": "lake",
        "CatalogId": "000000000000",
        "VersionId": version,
        "IsRegisteredWithLakeFormation": False,
    }


def _with(group: FeatureGroup, *features: Feature) -> FeatureGroup:
    return replace(group, features=group.features + features)


@pytest.mark.shows("6.4")
def test_a_delta_table_is_registered_as_this() -> None:
    """The golden definition: columns in lower case, Delta's parameters, and our own."""
    assert _wanted() == {
        "Name": "flight_status",
        "Description": "One row per flight",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "delta",
            "table_type": "delta",
            "spark.sql.sources.provider": "delta",
            "penstock.group": "Flight-Status",
            "penstock.meaning": "0123456789abcdef",
            "penstock.columns": "flightid,at,delay,seats,api_invocation_time,write_time,is_deleted",
        },
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [
                {"Name": "flightid", "Type": "string", "Comment": "carrier, flight, origin"},
                {"Name": "at", "Type": "string"},
                {"Name": "delay", "Type": "double"},
                {"Name": "seats", "Type": "bigint"},
                {
                    "Name": "api_invocation_time",
                    "Type": "timestamp",
                    "Comment": "When the record was handed to the feature store",
                },
                {
                    "Name": "write_time",
                    "Type": "timestamp",
                    "Comment": "When the row was committed to this table",
                },
                {
                    "Name": "is_deleted",
                    "Type": "boolean",
                    "Comment": "The record was deleted at its event time",
                },
            ],
            "Location": "s3://lake/offline/f",
            "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": LAZY,
                "Parameters": {"serialization.format": "1", "path": "s3://lake/offline/f"},
            },
        },
    }


@pytest.mark.shows("6.4")
def test_a_hive_table_is_registered_as_this() -> None:
    """As Athena's guide has Parquet with partitions; columns are those of every format."""
    columns = _wanted()["StorageDescriptor"]["Columns"]
    assert _wanted(location="s3://lake/offline/f/data", form="hive") == {
        "Name": "flight_status",
        "Description": "One row per flight",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "parquet",
            "penstock.group": "Flight-Status",
            "penstock.meaning": "0123456789abcdef",
            "penstock.columns": "flightid,at,delay,seats,api_invocation_time,write_time,is_deleted",
        },
        "PartitionKeys": [
            {"Name": "year", "Type": "string"},
            {"Name": "month", "Type": "string"},
            {"Name": "day", "Type": "string"},
            {"Name": "hour", "Type": "string"},
        ],
        "StorageDescriptor": {
            "Columns": columns,
            "Location": "s3://lake/offline/f/data",
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": PARQUET,
                "Parameters": {"serialization.format": "1"},
            },
        },
    }


@pytest.mark.shows("6.4")
def test_an_iceberg_table_keeps_what_its_commits_have_registered() -> None:
    """Ours is added to it; a column that is lost is refused with the difference."""
    wanted = _wanted(form="iceberg")
    ours = {key: one for key, one in wanted["Parameters"].items() if key.startswith("penstock")}
    assert wanted["Parameters"] == {"table_type": "ICEBERG", **ours}
    columns = [
        {**one, "Parameters": {"iceberg.field.id": str(n)}}
        for n, one in enumerate(wanted["StorageDescriptor"]["Columns"], 1)
    ]
    told = {
        "table_type": "ICEBERG",
        "metadata_location": "s3://lake/m.json",
        "penstock.group": "Flight-Status",
    }
    made = _stored(
        {
            "Name": "flight_status",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": told,
            "StorageDescriptor": {"Columns": columns, "Location": "s3://lake/offline/f"},
        }
    )
    after = evolved(made, wanted, WHERE)
    assert after is not None
    assert after["Parameters"] == {**told, **ours}
    assert after["StorageDescriptor"] == made["StorageDescriptor"]
    assert evolved({**made, **after}, wanted, WHERE) is None
    fewer = _wanted(replace(GROUP, features=GROUP.features[:-1]), form="iceberg")
    with pytest.raises(UsageError, match="-seats bigint"):
        evolved({**made, **after}, fewer, WHERE)


def test_comments_fit_glues_limits() -> None:
    """255 characters and one line for a column, 2,048 for a table (Glue API model)."""
    long = replace(
        GROUP,
        description="d" * 3_000,
        features=(Feature("flightId", FeatureType.STRING, "c" * 300), *GROUP.features[1:]),
    )
    made = _wanted(long)
    assert len(made["Description"]) == 2_048
    assert len(made["StorageDescriptor"]["Columns"][0]["Comment"]) == 255


def test_the_same_contract_changes_nothing() -> None:
    """What was written is recognised, whatever the service adds to its answer."""
    assert evolved(_stored(_wanted()), _wanted(), WHERE) is None


def test_a_new_feature_is_added_at_the_end() -> None:
    """Additions keep the order of the columns that are there, as Delta does."""
    more = _with(GROUP, Feature("gate", FeatureType.STRING))
    after = evolved(_stored(_wanted()), _wanted(more), WHERE)
    assert after is not None
    names = [one["Name"] for one in after["StorageDescriptor"]["Columns"]]
    assert names[-2:] == ["is_deleted", "gate"]
    assert "VersionId" not in after
    assert evolved(_stored(after), _wanted(more), WHERE) is None


def test_what_others_added_stays() -> None:
    """Columns, comments, parameters and statistics of others survive an update of ours."""
    theirs = _stored(_wanted())
    theirs["Owner"] = "analytics"
    theirs["Parameters"]["recordCount"] = "12"
    theirs["StorageDescriptor"]["Columns"].append({"Name": "note", "Type": "string"})
    theirs["StorageDescriptor"]["Columns"][1]["Comment"] = "their comment"
    theirs["StorageDescriptor"]["Compressed"] = False
    theirs["StorageDescriptor"]["SerdeInfo"]["Name"] = "serde"
    assert evolved(theirs, _wanted(), WHERE) is None
    after = evolved(theirs, _wanted(_with(GROUP, Feature("gate", FeatureType.STRING))), WHERE)
    assert after is not None
    assert after["Owner"] == "analytics"
    assert after["Parameters"]["recordCount"] == "12"
    columns = {one["Name"]: one for one in after["StorageDescriptor"]["Columns"]}
    assert columns["note"] == {"Name": "note", "Type": "string"}
    assert columns["at"]["Comment"] == "their comment"
    assert columns.keys() >= {"gate"}
    assert after["StorageDescriptor"]["Compressed"] is False
    assert after["StorageDescriptor"]["SerdeInfo"]["Name"] == "serde"


def test_a_new_meaning_is_an_update() -> None:
    """Who reads the table can tell which contract and transform wrote it last."""
    wanted = _wanted()
    wanted["Parameters"] = {**wanted["Parameters"], "penstock.meaning": "f" * 16}
    after = evolved(_stored(_wanted()), wanted, WHERE)
    assert after is not None
    assert after["Parameters"]["penstock.meaning"] == "f" * 16


@pytest.mark.shows("6.4")
@pytest.mark.parametrize(
    ("group", "location", "finding"),
    [
        (replace(GROUP, features=GROUP.features[:3]), "s3://lake/offline/f", "-seats bigint"),
        (
            replace(
                GROUP, features=(*GROUP.features[:3], Feature("seats", FeatureType.FRACTIONAL))
            ),
            "s3://lake/offline/f",
            "seats bigint -> double",
        ),
        (GROUP, "s3://other/f", "location s3://lake/offline/f -> s3://other/f"),
    ],
)
def test_destruction_is_refused_with_the_difference(
    group: FeatureGroup, location: str, finding: str
) -> None:
    """A column that would go or change its type, a table that would move: one line, one remedy."""
    with pytest.raises(UsageError) as caught:
        evolved(_stored(_wanted()), _wanted(group, location), WHERE)
    assert finding in caught.value.message
    assert WHERE in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "was not made by penstock"),
        ({"penstock.group": "other"}, "belongs to feature group 'other'"),
    ],
)
def test_a_table_of_somebody_else_is_left_alone(parameters: dict[str, str], said: str) -> None:
    """Without our mark, or with another group's, nothing is written over."""
    theirs = _stored({**_wanted(), "Parameters": parameters})
    with pytest.raises(UsageError, match=said) as caught:
        evolved(theirs, _wanted(), WHERE)
    assert "groups.Flight-Status.table" in caught.value.remedy


_KINDS = st.sampled_from(list(FeatureType))
_NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6)


@given(_NAMES, _NAMES, _KINDS, st.randoms())
def test_evolution_only_ever_adds(
    first: list[str], more: list[str], kind: FeatureType, mix: Any
) -> None:
    """Any additive change keeps every column, says what the contract says, and settles."""
    small = _with(GROUP, *(Feature(name, kind) for name in first))
    extra = [name for name in more if name not in first]
    large = _with(small, *(Feature(name, kind) for name in extra))
    stored = _stored(_wanted(small))
    mix.shuffle(stored["StorageDescriptor"]["Columns"])
    after = evolved(stored, _wanted(large), WHERE)
    before = [(one["Name"], one["Type"]) for one in stored["StorageDescriptor"]["Columns"]]
    now = stored if after is None else after
    columns = [(one["Name"], one["Type"]) for one in now["StorageDescriptor"]["Columns"]]
    assert columns[: len(before)] == before
    assert {name for name, _ in columns[len(before) :]} == set(extra)
    assert evolved(_stored(now), _wanted(large), WHERE) is None


def test_names_of_tables() -> None:
    """Lower case and underscores, or what conf says; a leading digit needs conf."""
    settings = Settings.model_validate(
        {"project": "p", "lake": "l", "state": "s", "groups": {"a": {"table": "other"}}}
    )
    assert table_name("Flight-Status", settings) == "flight_status"
    assert table_name("a", settings) == "other"
    with pytest.raises(ConfigError, match=r"groups\.1st\.table"):
        table_name("1st", settings)


def _source(
    library: str = "",
    *,
    parameters: dict[str, str] | None = None,
    serde: dict[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        "Name": "t",
        "Parameters": parameters or {},
        "StorageDescriptor": {
            "Location": "s3://raw/t",
            "InputFormat": more.pop("input_format", ""),
            "SerdeInfo": {"SerializationLibrary": library, "Parameters": serde or {}},
        },
        **more,
    }


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        (_stored(_wanted()), ("delta", "s3://lake/offline/f")),
        (_source(parameters={"table_type": "DELTA"}), ("delta", "s3://raw/t")),
        (_source(PARQUET), ("parquet", "s3://raw/t")),
        (_source("org.openx.data.jsonserde.JsonSerDe"), ("json", "s3://raw/t")),
        (_source(parameters={"classification": "parquet"}), ("parquet", "s3://raw/t")),
        (
            _source(
                LAZY, parameters={"spark.sql.sources.provider": "json"}, serde={"path": "s3://x"}
            ),
            ("json", "s3://x"),
        ),
    ],
)
def test_a_table_is_resolved_to_format_and_path(
    table: dict[str, Any], wanted: tuple[str, str]
) -> None:
    """Parameters first, then the SerDe; the SerDe's path before the location."""
    found = location_of(table, "raw.t")
    assert (found.format, found.path) == wanted


@pytest.mark.parametrize(
    ("table", "delimiter", "header"),
    [
        (_source(OPEN_CSV, serde={"separatorChar": ";"}), ";", False),
        (_source(LAZY, serde={"field.delim": "\t"}), "\t", False),
        (_source(LAZY), "\x01", False),
        (_source(OPEN_CSV, parameters={"skip.header.line.count": "1"}), ",", True),
        (
            _source(
                LAZY,
                parameters={"spark.sql.sources.provider": "csv"},
                serde={"header": "true", "sep": "|"},
            ),
            "|",
            True,
        ),
    ],
)
def test_a_csvs_delimiter_and_header_come_from_its_table(
    table: dict[str, Any], delimiter: str, header: object
) -> None:
    """Hive's SerDes and Spark's options each say it their own way."""
    found = location_of(table, "raw.t")
    assert (found.format, found.delimiter, found.header) == ("csv", delimiter, header)


@pytest.mark.parametrize(
    "table",
    [
        _source(PARQUET, parameters={"table_type": "ICEBERG"}),
        _source(PARQUET, input_format="org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"),
        _source(LAZY, parameters={"spark.sql.sources.provider": "xml"}),
        _source("com.example.SerDe"),
        _source(PARQUET, TableType="VIRTUAL_VIEW"),
        _source(PARQUET, PartitionKeys=[{"Name": "day", "Type": "string"}]),
        {"Name": "t"},
    ],
)
def test_what_is_not_read_is_refused(table: dict[str, Any]) -> None:
    """Iceberg, manifests, unknown SerDes, views, partitions: one line with the remedy."""
    with pytest.raises(UsageError, match=r"raw\.t") as caught:
        location_of(table, "raw.t")
    assert "conf" in caught.value.remedy


def test_delays_are_bounded_as_documented() -> None:
    """With the defaults five sleeps last 6.2 s at most, and none longer than the cap."""
    slowest = Retry(draw=lambda: 1.0)
    assert sum(slowest.delay(n) for n in range(slowest.attempts - 1)) == pytest.approx(6.2)
    assert slowest.delay(20) == slowest.cap_s
    assert Retry(draw=lambda: 0.0).delay(3) == 0
