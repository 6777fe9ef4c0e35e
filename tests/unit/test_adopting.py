"""Feature groups of AWS become contracts and conf: as text that says what it was made from."""

from __future__ import annotations

import ast
import string
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import config
from penstock.adoption import Entry, Finding, finding, texts, write
from penstock.adoption.conf_text import added
from penstock.adoption.contract_text import literal, module, passed_through
from penstock.adoption.finding import contract_name
from penstock.config import Settings
from penstock.contract import RESERVED, Feature, FeatureGroup, FeatureType
from penstock.errors import ConfigError, UsageError
from penstock.gate import FILE, POSITION, Bounds, FeatureGate, SourceGate

ARN = "arn:aws:sagemaker:us-east-1:000000000000:feature-group/"
KEY = "arn:aws:kms:us-east-1:000000000000:key/1"
ROLE = "arn:aws:iam::000000000000:role/feature-store"
HOSTILE = "\"\"\"'''\\\n\r\t\0{x}\u2028\u202e é 🚚 #"


def _free(text: str) -> bool:
    return text.lower() not in RESERVED


_NAMES = st.from_regex(r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}", fullmatch=True).filter(_free)
_DESCRIPTIONS = st.text(max_size=128) | st.sampled_from([HOSTILE, '"', "'", "\\", "it's", 'a "b"'])


@st.composite
def _groups(draw: st.DrawFn) -> FeatureGroup:
    names = draw(st.lists(_NAMES, min_size=2, max_size=12, unique_by=str.lower))
    kinds = draw(st.lists(st.sampled_from(FeatureType), min_size=12, max_size=12))
    kinds[1] = draw(st.sampled_from([FeatureType.STRING, FeatureType.FRACTIONAL]))
    seconds = draw(st.none() | st.integers(1, 2**31 - 1) | st.sampled_from([60, 7_200, 864_000]))
    return FeatureGroup(
        name=draw(_NAMES),
        record_identifier=names[0],
        event_time=names[1],
        features=tuple(Feature(n, k) for n, k in zip(names, kinds, strict=False)),
        description=draw(_DESCRIPTIONS),
        ttl=None if seconds is None else timedelta(seconds=seconds),
    )


@given(_groups(), _NAMES)
@settings(deadline=None, max_examples=50)
def test_a_rendered_contract_is_the_contract(group: FeatureGroup, physical: str) -> None:
    """Whatever names, types and descriptions: the module, executed, gives an equal pipeline."""
    space: dict[str, Any] = {}
    exec(compile(module(group, physical), "module.py", "exec"), space)
    assert space["GROUP"] == group
    assert space["PIPELINE"] == passed_through(group)
    assert space["PIPELINE"].meaning == passed_through(group).meaning


@given(_groups())
@settings(deadline=None, max_examples=15)
def test_a_rendered_contract_is_as_the_formatter_leaves_it(group: FeatureGroup) -> None:
    """At the formatter's default width and at a wider one, with no unused name in it."""
    text = module(group, "a-b")
    for width in ("88", "100"):
        assert _ruff(text, "format", "--line-length", width) == text
    assert _ruff(text, "check", "--select", "F,I", "--quiet") == ""


def _ruff(text: str, command: str, *options: str) -> str:
    """What ruff says to a module, with no configuration but its own."""
    words = [str(Path(sys.executable).with_name("ruff")), command, "--isolated", *options, "-"]
    return subprocess.run(
        words, input=text.encode(), capture_output=True, check=True
    ).stdout.decode()


@given(_DESCRIPTIONS)
def test_a_literal_is_one_string_on_one_line(text: str) -> None:
    """Quotes, escapes and line ends of a description never leave it."""
    made = literal(text)
    assert len(made.splitlines()) == 1
    assert ast.literal_eval(made) == text


def test_code_in_a_description_is_text() -> None:
    """A description that closes its quotes and goes on as Python stays a description."""
    attack = '"\nimport os\nos.abort()\n\'\'\'\n"""'
    tree = ast.parse(module(_group(description=attack), "readings"))
    imported = [one.module for one in tree.body if isinstance(one, ast.ImportFrom)]
    assert imported == ["__future__", "penstock.contract"]
    assert not [one for one in ast.walk(tree) if isinstance(one, ast.Import)]
    with pytest.raises(ValueError, match="is not the name of a feature group"):
        module(_group(), 'x"""\nimport os')


def test_the_text_is_what_a_person_would_write() -> None:
    """A golden module."""
    long = "a_feature_whose_name_is_as_long_as_the_service_takes_it_64_chars"
    group = FeatureGroup(
        name="readings",
        description='Levels of "tanks".',
        record_identifier="sensor",
        event_time="at",
        features=(
            Feature("sensor", FeatureType.STRING),
            Feature("at", FeatureType.STRING),
            Feature(long, FeatureType.INTEGRAL),
        ),
        ttl=timedelta(hours=36),
    )
    assert module(group, "readings-v2") == GOLDEN


GOLDEN = '''"""Feature group readings-v2 on AWS, as `penstock adopt` found it.

It was made elsewhere. The pipeline takes its features as they are from one source.
"""

from __future__ import annotations

from datetime import timedelta

from penstock.contract import (
    Column,
    ColumnType,
    Feature,
    FeatureGroup,
    FeatureType,
    Pipeline,
    Source,
)

GROUP = FeatureGroup(
    name="readings",
    description='Levels of "tanks".',
    record_identifier="sensor",
    event_time="at",
    features=(
        Feature("sensor", FeatureType.STRING),
        Feature("at", FeatureType.STRING),
        Feature(
            "a_feature_whose_name_is_as_long_as_the_service_takes_it_64_chars",
            FeatureType.INTEGRAL,
        ),
    ),
    # As the records there have them: 0, 3, 6 or 9. AWS's description does not tell.
    fraction_digits=0,
    ttl=timedelta(hours=36),
)

PIPELINE = Pipeline(
    group=GROUP,
    sources={
        "readings": Source(
            columns=(
                Column("sensor"),
                Column("at"),
                Column(
                    "a_feature_whose_name_is_as_long_as_the_service_takes_it_64_chars",
                    ColumnType.LONG,
                ),
            ),
        ),
    },
)
'''


@pytest.mark.parametrize("kind", [FeatureType.STRING, FeatureType.FRACTIONAL])
def test_the_pipeline_takes_rows_through_both_gates(kind: FeatureType) -> None:
    """Its source's columns are read from text, and come out as the features."""
    features = {"id": FeatureType.STRING, "at": kind, "n": FeatureType.INTEGRAL}
    group = FeatureGroup("g", "id", "at", tuple(Feature(*one) for one in features.items()))
    moment = {FeatureType.STRING: "2024-05-01T00:00:00Z", FeatureType.FRACTIONAL: "1714521600.0"}
    row = {"id": "a", "at": moment[kind], "n": "7", FILE: "f", POSITION: 1}
    source = passed_through(group).sources["g"]
    typed = SourceGate("g", source, Bounds()).check(pa.RecordBatch.from_pylist([row]))
    latest = datetime(2030, 1, 1, tzinfo=timezone.utc)
    gate = FeatureGate(group, Bounds(), latest)
    done = gate.check(typed.rows.combine_chunks().to_batches()[0])
    assert (typed.bad.num_rows, done.bad.num_rows) == (0, 0)
    (out,) = done.rows.select(["id", "at", "n"]).to_pylist()
    stored = "2024-05-01T00:00:00Z" if kind is FeatureType.STRING else 1714521600.0
    assert out == {"id": "a", "at": stored, "n": 7}


@pytest.mark.parametrize(
    ("physical", "name"),
    [
        ("orders", "orders"),
        ("Orders", "Orders"),
        ("my-orders--v2", "my_orders__v2"),
        ("2024-orders", "group_2024_orders"),
        ("class", "group_class"),
        (f"{ARN}a-b", "a_b"),
    ],
)
def test_names_become_identifiers(physical: str, name: str) -> None:
    """What Python cannot import is mapped, and conf has the physical name."""
    assert contract_name(physical) == name
    assert name.isidentifier()


def test_what_the_group_has_is_what_conf_says() -> None:
    """Only what differs from the defaults, and that the group is not ours."""
    found = _found(_described("plain-one", OnlineStoreConfig={"EnableOnlineStore": True}))
    assert found.action == "adopt"
    assert found.adopted is not None
    assert found.adopted.entry.plain == {
        "manage": False,
        "physical": "plain-one",
        "stores": "online",
        "owner": "direct",
    }
    store = {"S3StorageConfig": {"S3Uri": "s3://b/p", "KmsKeyId": KEY}, "TableFormat": "Iceberg"}
    online = {"EnableOnlineStore": True, "SecurityConfig": {"KmsKeyId": KEY}}
    both = _found(
        _described(
            "readings",
            OfflineStoreConfig=store,
            OnlineStoreConfig={**online, "StorageType": "Standard_V2"},
            RoleArn=ROLE,
            ThroughputConfig={"ThroughputMode": "Provisioned"},
        )
    )
    assert both.adopted is not None
    assert both.adopted.entry.plain == {
        "manage": False,
        "stores": "both",
        "owner": "service",
        "s3_uri": "s3://b/p",
        "role_arn": ROLE,
        "kms_key": KEY,
        "storage_type": "Standard_V2",
    }
    arn, more = both.adopted.entry.remarks
    assert arn == f"{ARN}readings"
    assert more.endswith("a key of the offline store, table format Iceberg, provisioned throughput")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"FeatureGroupStatus": "Creating"}, "it is Creating, not Created"),
        ({"OnlineStoreConfig": None}, "it has neither an online nor an offline store"),
        (
            {"CollectionType": "Vector"},
            "contracts have no collections and no vectors: level",
        ),
        ({"FeatureName": "year"}, "feature 'year' bears a reserved name"),
        (
            {"OnlineStoreConfig": {"EnableOnlineStore": True, "StorageType": "Glacier"}},
            "conf cannot say its storage_type: Input should be 'Standard', 'Standard_V2' or 'InM",
        ),
    ],
)
def test_what_cannot_be_said_is_one_line(changes: dict[str, Any], reason: str) -> None:
    """And the group is left out."""
    feature = {"FeatureName": "level", "FeatureType": "Fractional"}
    for key in ("CollectionType", "FeatureName"):
        feature |= {key: changes.pop(key)} if key in changes else {}
    described = _described("readings", **changes)
    described["FeatureDefinitions"][2] = feature
    found = _found(described)
    assert (found.action, found.adopted) == ("skip", None)
    assert found.reason.startswith(reason)
    assert "\n" not in found.reason


def test_what_conf_says_already_wins_and_is_compared() -> None:
    """A place of the user's that does not fit the group is told instead of hidden."""
    described = _described("readings", OnlineStoreConfig={"EnableOnlineStore": True})
    fits = _found(described, groups={"readings": {"table": "other"}})
    assert fits.action == "adopt"
    wrong = _found(described, groups={"readings": {"storage_type": "InMemory"}})
    assert wrong.action == "skip"
    assert wrong.reason == (
        "with groups.readings as conf has it: its storage type is Standard, not InMemory"
    )


def test_a_group_the_project_has_is_kept() -> None:
    """By its name on AWS or its ARN, whatever it is called in the project."""
    described = _described("readings")
    for key in ("readings", f"{ARN}readings"):
        found = finding("readings", described, _settings(), {key: "levels"})
        assert (found.action, found.reason) == ("keep", "the project has it as 'levels'")


def test_adopted_groups_lie_between_base_and_environment(tmp_path: Path) -> None:
    """Each file over the one before it; other environments do not read it."""
    lines = "project: p\nlake: lake\nstate: state\n"
    (tmp_path / "base.yaml").write_text(f"{lines}groups: {{g: {{kms_key: base}}}}\n")
    (tmp_path / "aws.yaml").write_text("groups: {g: {role_arn: own}}\n")
    (tmp_path / "other.yaml").write_text("{}\n")
    values = {"physical": "g-1", "kms_key": "adopted", "role_arn": "adopted"}
    path = tmp_path / "aws.adopted.yaml"
    path.write_text(added(path, "aws", {"g": Entry(values)}))
    place = config.load(tmp_path, "aws").group("g")
    assert (place.physical, place.kms_key, place.role_arn) == ("g-1", "adopted", "own")
    assert not place.manage
    assert config.load(tmp_path, "other").group("g") == config.Group(kms_key="base")


_KEYS = st.dictionaries(
    st.sampled_from(["physical", "s3_uri", "role_arn", "kms_key"]),
    st.text(max_size=40) | st.sampled_from([HOSTILE, "no", "1", "null", "# x", "a: b", "- a"]),
)
_ENTRIES = st.dictionaries(
    st.from_regex(r"[a-z](_?[a-z0-9]){0,9}", fullmatch=True)
    | st.sampled_from(["no", "null", "true"]),
    st.builds(Entry, _KEYS, st.lists(st.text(string.printable, max_size=20)).map(tuple)),
    max_size=4,
)


@given(_ENTRIES, _ENTRIES)
@settings(deadline=None, max_examples=50)
def test_the_file_says_the_entries_and_grows(
    first: dict[str, Entry], second: dict[str, Entry]
) -> None:
    """Whatever stands in the values; what stands in the file stays, twice is once."""
    path = Path("no-such-folder/aws.adopted.yaml")
    text = added(path, "aws", first)
    assert (yaml.safe_load(text) or {"groups": {}})["groups"] == {
        name: one.plain for name, one in first.items()
    }
    grown = added_to(text, second)
    assert grown.startswith(text.rstrip("\n"))
    expected = {name: one.plain for name, one in {**second, **first}.items()}
    assert (yaml.safe_load(grown) or {"groups": {}})["groups"] == expected
    assert added_to(grown, second) == grown


def added_to(text: str, entries: dict[str, Entry]) -> str:
    """The same for a file that says ``text``."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "aws.adopted.yaml"
        if text:
            path.write_text(text, encoding="utf-8", newline="")
        return added(path, "aws", entries)


@pytest.mark.parametrize(
    "text", ["groups: {a: {}}\n", "groups:\n  a: {}\nlake: x\n", "- a\n", "groups: 1\n", "a: [\n"]
)
def test_a_file_that_cannot_be_added_to_is_left_alone(text: str, tmp_path: Path) -> None:
    """One line, with what to do."""
    path = tmp_path / "aws.adopted.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"cannot be added to it\. Make 'groups:' its last key"):
        added(path, "aws", {"b": Entry({})})
    assert path.read_text() == text


def test_no_contract_is_written_over(tmp_path: Path) -> None:
    """Also one that came up after the look."""
    found = _found(_described("readings"))
    files = texts([found], tmp_path, tmp_path / "conf", "aws")
    assert [one.relative_to(tmp_path).as_posix() for one in files] == [
        "conf/aws.adopted.yaml",
        "schemas/__init__.py",
        "schemas/readings.py",
    ]
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "readings.py").write_text("mine")
    with pytest.raises(UsageError, match=r"readings\.py cannot be written: File exists"):
        write(files, tmp_path / "conf")
    assert (tmp_path / "schemas" / "readings.py").read_text() == "mine"
    assert texts([Finding("a", "skip")], tmp_path, tmp_path / "conf", "aws") == {}


def _group(description: str = "") -> FeatureGroup:
    features = (Feature("id", FeatureType.STRING), Feature("at", FeatureType.STRING))
    return FeatureGroup("readings", "id", "at", features, description)


def _described(name: str, **changes: Any) -> dict[str, Any]:
    kinds = {"sensor": "String", "at": "String", "level": "Fractional"}
    return {
        "FeatureGroupName": name,
        "FeatureGroupArn": f"{ARN}{name.lower()}",
        "FeatureGroupStatus": "Created",
        "RecordIdentifierFeatureName": "sensor",
        "EventTimeFeatureName": "at",
        "FeatureDefinitions": [
            {"FeatureName": one, "FeatureType": kind} for one, kind in kinds.items()
        ],
        "OnlineStoreConfig": {"EnableOnlineStore": True},
        **changes,
    }


def _settings(groups: dict[str, Any] | None = None) -> Settings:
    plain = {"project": "p", "lake": "lake", "state": "state", "groups": groups or {}}
    return Settings.model_validate(plain)


def _found(described: dict[str, Any], groups: dict[str, Any] | None = None) -> Finding:
    return finding(described["FeatureGroupName"], described, _settings(groups), {})
