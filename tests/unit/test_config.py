"""Broken configuration ends in one line with file, line and fix; every value knows its origin."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock import conf_file, config
from penstock.cli.options import _flag
from penstock.cli.program import run
from penstock.errors import ConfigError

BASE = """project: lab
sources:
  readings:
    format: csv
    path: readings.csv
"""
LOCAL = """lake: lake
state: state
aws:
  region: us-east-1
online:
  in_flight: 8
"""


@dataclass(frozen=True)
class Broken:
    """A ``local.yaml`` and the line it ends in; {} stands for its path."""

    name: str
    text: str | bytes
    says: str


BROKEN = (
    Broken(
        "unknown key, close to a known one",
        LOCAL + "  chunk_row: 5\n",
        "{}:7: unknown key 'online.chunk_row'. Did you mean 'chunk_rows'?",
    ),
    Broken(
        "unknown key, close to none",
        LOCAL + "  zzz: 5\n",
        "{}:7: unknown key 'online.zzz'. Known keys: transport, deletion, api, in_flight, "
        "chunk_rows, max_write_units_per_s, expected_write_units_per_s, max_reads_per_s, "
        "removal_grace_s, max_reject_ratio",
    ),
    Broken(
        "a service's offline store in a group without one",
        LOCAL + "groups:\n  readings:\n    owner: service\n    stores: online\n",
        "{}:8: 'groups.readings' cannot have owner: service together with stores: online or "
        "detach_offline. Correct the value",
    ),
    Broken(
        "a retention that is no span of time",
        LOCAL + "ledger:\n  collect_after: soon\n",
        "{}:8: 'ledger.collect_after' must be minutes, hours or days, such as 90m, 3h or 2d, or "
        "never. Correct the value",
    ),
    Broken(
        "unknown key of a group's record",
        LOCAL + "groups:\n  readings:\n    role: x\n",
        "{}:9: unknown key 'groups.readings.role'. Did you mean 'role_arn'?",
    ),
    Broken(
        "a misspelt key comes before the key it leaves missing",
        LOCAL.replace("state: state", "stat: state"),
        "{}:2: unknown key 'stat'. Did you mean 'state'?",
    ),
    Broken(
        "text for a number",
        LOCAL.replace("8", "many"),
        "{}:6: 'online.in_flight' must be a whole number. Write it without quotes or a fraction",
    ),
    Broken(
        "a fraction for a whole number",
        LOCAL.replace("8", "8.5"),
        "{}:6: 'online.in_flight' must be a whole number. Write it without quotes or a fraction",
    ),
    Broken(
        "a number for text",
        LOCAL + "spark:\n  settings:\n    spark.sql.shuffle.partitions: 8\n",
        "{}:9: 'spark.settings.spark.sql.shuffle.partitions' must be text. Put it in quotes",
    ),
    Broken(
        "text for a switch",
        LOCAL.replace("region: us-east-1", 'embedded: "true"'),
        "{}:4: 'aws.embedded' must be true or false. Write it without quotes",
    ),
    Broken(
        "text for a section",
        LOCAL.replace("aws:\n  region: us-east-1", "aws: us-east-1"),
        "{}:3: 'aws' must be keys and values. Write 'key: value' lines under it",
    ),
    Broken(
        "a section with all its keys commented out",
        LOCAL + "catalog:\n#  database: x\n",
        "{}:7: 'catalog' must be keys and values. Write 'key: value' lines under it",
    ),
    Broken(
        "none of the words allowed",
        LOCAL + "  api: post\n",
        "{}:7: 'online.api' must be 'auto', 'batch' or 'put'. Correct the value",
    ),
    Broken(
        "out of range",
        LOCAL.replace("8", "0"),
        "{}:6: 'online.in_flight' must be greater than or equal to 1. Correct the value",
    ),
    Broken(
        "infinite",
        LOCAL + "quality:\n  future_tolerance_s: .inf\n",
        "{}:8: 'quality.future_tolerance_s' must be a finite number. "
        "Leave the key out for the default",
    ),
    Broken(
        "missing key",
        LOCAL.replace("lake: lake\n", ""),
        "{}:1: key 'lake' is missing. Add 'lake: …'",
    ),
    Broken(
        "missing key of a source",
        LOCAL + "sources:\n  more:\n    path: x\n",
        "{}:8: key 'sources.more.format' is missing. Add 'format: …'",
    ),
    Broken(
        "duplicate key",
        LOCAL + "lake: other\n",
        "{}:7: key 'lake' stands twice. Remove one of the two",
    ),
    Broken(
        "a tab",
        LOCAL + "catalog:\n\tdatabase: x\n",
        "{}:8: bad YAML: found character '\\t' that cannot start any token. "
        "Mend the line; indentation must be spaces",
    ),
    Broken(
        "an open bracket",
        LOCAL + "groups: {a: 1\n",
        "{}:8: bad YAML: expected ',' or '}', but got '<stream end>'. "
        "Mend the line; indentation must be spaces",
    ),
    Broken("no mapping", "- lake\n", "{}:1: must hold keys and values. Write 'key: value' lines"),
    Broken(
        "two documents",
        LOCAL + "---\nlake: x\n",
        "{}:7: bad YAML: but found another document. Mend the line; indentation must be spaces",
    ),
    Broken(
        "an alias",
        "lake: &a lake\nstate: *a\n",
        "{}:2: YAML aliases are not read. Write the value out",
    ),
    Broken(
        "aliases of aliases, a gigabyte when written out",
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        "{}:2: YAML aliases are not read. Write the value out",
    ),
    Broken(
        "thousands of brackets deep",
        "lake: " + "[" * 400_000 + "]" * 400_000 + "\n",
        "{}:1: nested more than 20 deep. Keep data out of conf/",
    ),
    Broken(
        "a call",
        LOCAL.replace("lake: lake", "lake: !!python/object/apply:os.getcwd []"),
        "{}:1: a value of kind tag:yaml.org,2002:python/object/apply:os.getcwd is not read. "
        "Use text, numbers, true or false, lists",
    ),
    Broken(
        "the 99th of a month",
        LOCAL.replace("lake: lake", "lake: 2013-01-99"),
        "{}:1: a value of kind tag:yaml.org,2002:timestamp is not read. "
        "Use text, numbers, true or false, lists",
    ),
    Broken(
        "not UTF-8",
        LOCAL.encode() + b"catalog:\n  database: caf\xe9\n",
        "{}:8: not UTF-8 text. Save the file as UTF-8",
    ),
    Broken(
        "a control character",
        LOCAL + "catalog:\n  database: a\x07\n",
        "{}:8: bad YAML: a control character. Take it out, or write it as \\x.. in quotes",
    ),
    Broken(
        "too large",
        "# " + "x" * conf_file.MAX_BYTES,
        f"{{}}: larger than {conf_file.MAX_BYTES} bytes. Keep data out of conf/",
    ),
)

FLAGS = {
    "online.in_flight": (
        "--set 'online.in_flight' is not KEY=VALUE. Write for example online.in_flight=8"
    ),
    "=8": "--set '=8' is not KEY=VALUE. Write for example online.in_flight=8",
    "online.inflight=8": "--set: unknown key 'online.inflight'. Did you mean 'in_flight'?",
    "online.in_flight=0": (
        "--set: 'online.in_flight' must be greater than or equal to 1. Correct the value"
    ),
    "online.in_flight.x=1": (
        "--set: 'online.in_flight' must be a whole number. Write it without quotes or a fraction"
    ),
    "project.x=1": "--set: 'project' must be text. Put it in quotes",
    "lake=": "--set: 'lake' must be text. Put it in quotes",
    "online=8": "--set: 'online' must be keys and values. Write 'key: value' lines under it",
    "aws..region=x": "--set: unknown key 'aws.'. Known keys: embedded, region, endpoint_url, "
    "s3_endpoint_url",
}


@pytest.mark.shows("3.8")
@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
def test_a_broken_file_is_one_line(
    broken: Broken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, exactly one line on standard error, within a second; nothing is made."""
    path = _project(tmp_path, broken.text)
    began = time.process_time()
    assert run(["status", "--project", str(tmp_path)]) == 2
    assert time.process_time() - began < 1
    assert capsys.readouterr() == ("", f"penstock: {broken.says.replace('{}', str(path), 1)}\n")
    assert {one.name for one in tmp_path.iterdir()} == {"conf"}


@pytest.mark.shows("3.8")
@pytest.mark.parametrize("flag", FLAGS)
def test_a_wrong_flag_is_one_line(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line that says it was the command line, and what would be right."""
    _project(tmp_path, LOCAL)
    assert run(["status", "--project", str(tmp_path), "--set", flag]) == 2
    assert capsys.readouterr() == ("", f"penstock: {FLAGS[flag]}\n")


def test_a_flag_sets_what_has_dots_in_its_name(tmp_path: Path) -> None:
    """Settings of Spark, everywhere, and columns: text as it is given. Others stay as they are."""
    _project(tmp_path, LOCAL)
    given = {
        "spark.settings.spark.driver.memory": "2g",
        "deploy.emr.settings.spark.sql.shuffle.partitions": "8",
        "deploy.glue.settings.spark.ui.enabled": "true",
        "groups.weather.manage": "false",
    }
    flags = dict(_flag(f"{key}={value}") for key, value in given.items())
    found = config.load(tmp_path / "conf", "local", flags)
    assert found.spark.settings["spark.driver.memory"] == "2g"
    assert found.deploy.emr.settings == {"spark.sql.shuffle.partitions": "8"}
    assert found.deploy.glue.settings == {"spark.ui.enabled": "true"}
    assert found.groups["weather"].manage is False
    assert {found.origin(key) for key in given} == {"flag"}


@pytest.mark.shows("3.8")
def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An environment that is not there names those that are; no project at all names the way."""
    path = _project(tmp_path, LOCAL)
    path.with_name("aws.yaml").write_text(LOCAL, encoding="utf-8")
    path.with_name("aws.example.yaml").write_text(LOCAL, encoding="utf-8")
    assert run(["status", "--project", str(tmp_path), "--env", "prod"]) == 2
    missing = path.with_name("prod.yaml")
    assert capsys.readouterr().err == (
        f"penstock: {missing}: no such configuration file. --env can be: aws, local\n"
    )
    nowhere = tmp_path / "nowhere"
    assert run(["status", "--project", str(nowhere)]) == 2
    assert capsys.readouterr().err == (
        f"penstock: {nowhere}/conf/base.yaml: no such configuration file. "
        "Name the folder with --conf or --project, or run 'penstock init DIR'\n"
    )


def test_every_value_knows_its_origin(tmp_path: Path) -> None:
    """The environment's line over the base's, a flag over both, a default for what nobody said."""
    path = _project(tmp_path, LOCAL + "project: other\n")
    flags = {"online.in_flight": 4, "aws": {"embedded": True}}
    found = config.load(path.parent, "local", flags)
    assert (found.project, found.origin("project")) == ("other", f"{path}:7")
    assert found.origin("sources.readings.path") == f"{path.with_name('base.yaml')}:5"
    assert (found.online.in_flight, found.origin("online.in_flight")) == (4, "flag")
    assert (found.aws.embedded, found.origin("aws.embedded")) == (True, "flag")
    # The flag replaced the section whole.
    assert (found.aws.region, found.origin("aws.region")) == (None, "default")
    assert (found.online.api, found.origin("online.api")) == ("auto", "default")


def test_settings_are_frozen_and_sections_merge_key_by_key(tmp_path: Path) -> None:
    """An environment adds to a section of the base; what was read cannot be changed."""
    path = _project(tmp_path, LOCAL + "sources:\n  readings:\n    delimiter: ;\n")
    found = config.load(path.parent, "local")
    one = found.sources["readings"]
    assert (one.format, one.path, one.delimiter) == ("csv", "readings.csv", ";")
    with pytest.raises(ValueError, match="frozen"):
        found.lake = "elsewhere"


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    """Editors add them; they mean nothing."""
    path = _project(tmp_path, b"\xef\xbb\xbf" + LOCAL.replace("\n", "\r\n").encode())
    assert config.load(path.parent, "local").lake == "lake"


def test_the_projects_own_files_are_read() -> None:
    """``local`` as it is, and the example once it is copied and named."""
    conf = Path(__file__).parents[2] / "conf"
    assert config.load(conf, "local").aws.embedded
    example = config.load(conf, "aws.example")
    assert not example.aws.embedded
    with pytest.raises(ConfigError):
        config.load(conf, "nowhere")


def _project(folder: Path, text: str | bytes) -> Path:
    conf = folder / "conf"
    conf.mkdir()
    (conf / "base.yaml").write_text(BASE, encoding="utf-8")
    path = conf / "local.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
