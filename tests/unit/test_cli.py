"""The command line without Spark: help that teaches, one line where something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml

from penstock.cli.ingesting import one_by_one
from penstock.cli.program import cli, run
from penstock.contract import Pipeline
from penstock.emulator.store import Expiry, Ties
from penstock.errors import CredentialsError, DataGateError, gravest
from penstock.project import load_project
from penstock.run.figures import Figures
from penstock.run.ingest import Result

ROOT = Path(__file__).parents[2]


def _loaded() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: one for name, one in found.items() if one is not None}


def _commands() -> list[str]:
    names = []
    for name, command in _loaded().items():
        below = getattr(command, "commands", None)
        names += [f"{name} {one}" for one in below] if below else [name]
    return sorted(names)


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Options that put lake and state into a folder of the test."""
    where = {"lake": tmp_path / "lake", "state": tmp_path / "state"}
    sets = [f"{key}={value}" for key, value in where.items()]
    return ["--project", str(ROOT), "--set", sets[0], "--set", sets[1]]


@pytest.mark.parametrize("name", _commands())
def test_help_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says what it is for; those that do something show an example."""
    assert run([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert "Usage: penstock" in said
    assert "penstock" in said.split("Options:")[0].replace("Usage: penstock", "", 1) or (
        name in {"doctor", "local env"}
    )


def test_the_stand_in_is_set_by_its_own_words() -> None:
    """What ``local`` takes is what the embedded AWS knows, and what its page says."""
    known = {"ties": get_args(Ties), "expiry": get_args(Expiry)}
    kinds = {one.name: one.type for one in _loaded()["local"].params}
    taken = {name: kinds[name] for name in known}
    assert {
        name: one.choices for name, one in taken.items() if isinstance(one, click.Choice)
    } == known


def test_status_before_anything_says_what_to_type(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """All groups of the project, none begun."""
    assert run(["status", "--json", *place]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["group"] for one in found] == [
        "aircraft_history",
        "airport_weather",
        "flight_status",
        "route_traffic",
    ]
    assert {one["state"] for one in found} == {None}
    assert found[0]["next"] == "penstock ingest aircraft_history"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ingest", "nope"], "there is no feature group 'nope' in this project. There are: "),
        (["ingest", "--start", "2013-01-01"], "a window needs --start and --end"),
        (["ingest", "--start", "2013-01-02", "--end", "2013-01-01"], "is not after its start"),
        (
            ["ingest", "--tag", "nope"],
            "no feature group has the tag 'nope'. There are: daily, flights",
        ),
        (
            ["provision", "--tag", "nope"],
            "no feature group has the tag 'nope'. There are: daily, flights",
        ),
        (["ingest", "flight_status", "--tag", "flights"], "groups are named, or chosen by --tag"),
        (["query", "as-of", "airport_weather"], "as-of needs a moment"),
        (["query", "live", "airport_weather", "2013-01-01T00:00:00Z"], "live takes no moment"),
        (
            ["query", "live", "airport_weather", "--set", "groups.airport_weather.stores=online"],
            "penstock writes no offline table of 'airport_weather'",
        ),
        (
            ["query", "live", "airport_weather", "--set", "groups.airport_weather.owner=both"],
            "'groups.airport_weather.owner' must be 'direct' or 'service'",
        ),
        (
            ["reconcile", "airport_weather", "--sample", "5", "--since", "2013-01-01"],
            "--sample and --since cannot be combined",
        ),
        (["reconcile", "airport_weather", "--since", "May"], "'May' is neither a date"),
        (["quarantine", "show", "abc"], "0 entries have a key that starts with 'abc'"),
        (["quarantine", "list", "nope"], "there is no feature group 'nope' in this project. There"),
        (["quarantine", "show", "abc", "--group", "nope"], "there is no feature group 'nope'"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_2(
    words: list[str], said: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started for it."""
    assert run([*words, *place]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ingst"], "no command 'ingst'. Did you mean ingest? See 'penstock --help'"),
        (["zzz"], "no command 'zzz'. See 'penstock --help'"),
        (
            ["quarantine", "shw"],
            "no command 'shw'. Did you mean show? See 'penstock quarantine --help'",
        ),
        (
            ["ingest", "--onlin=each"],
            "no option '--onlin'. Did you mean --online? See 'penstock ingest --help'",
        ),
        (["status", "-q"], "no option '-q'. See 'penstock status --help'"),
        (["get"], "missing argument 'GROUP'. See 'penstock get --help'"),
        (
            ["query", "first", "g"],
            "invalid value for '{explore|latest|live|as-of}': 'first' is not one of 'explore', ",
        ),
        (
            ["backfill", "g", "--plan", "missing.json"],
            "invalid value for '--plan': File 'missing.json' does not exist. See 'penstock backf",
        ),
    ],
)
def test_a_word_that_is_no_command_or_option_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, what is near, and where help is."""
    assert run(words) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"penstock: {said}")
    assert len(found.err.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["flow"], ["quarantine"]])
def test_a_group_of_commands_alone_is_helped(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its help, not a line."""
    assert run(words) == 2
    assert "Commands:\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["ingest", "airport_weather"],
        ["get", "airport_weather", "x"],
        ["forget", "airport_weather", "x"],
    ],
)
def test_a_group_that_is_not_there_says_what_to_run(
    words: list[str], place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before Spark is started."""
    assert run([*words, "--json", *place]) == 2
    said = capsys.readouterr().err
    assert "there is no feature group 'airport_weather' in us-east-1. Run: penstock prov" in said


def test_each_group_that_fails_is_said_and_the_others_are_tried(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, and in JSON one entry each; nobody stops at the first."""
    groups = ["airport_weather", "flight_status"]
    assert run(["ingest", *groups, "--json", *place]) == 2
    said = capsys.readouterr()
    entries = json.loads(said.out)
    assert [(one["group"], one["state"], one["exit_code"]) for one in entries] == [
        (name, "failed", 2) for name in groups
    ]
    ends = [line for line in said.err.splitlines() if line.startswith("penstock: ")]
    assert [line.rpartition(" ")[2] for line in ends] == groups
    assert [one["error"] for one in entries] == [line.removeprefix("penstock: ") for line in ends]


def _three() -> list[Pipeline]:
    pipelines = load_project(ROOT).pipelines
    return [pipelines[name] for name in ("airport_weather", "flight_status", "aircraft_history")]


def test_a_group_that_fails_does_not_keep_the_others_waiting() -> None:
    """Each is run once, in order; what failed is told apart from what came to its end."""
    ran: list[str] = []

    def ingested(pipeline: Pipeline) -> list[Result]:
        name = pipeline.group.name
        ran.append(name)
        if name == "flight_status":
            raise DataGateError("6 of 100 rows", "Look at them")
        return [Result(name, "all", "done", Figures())]

    noted: list[tuple[str, str]] = []
    three = _three()
    results, failed = one_by_one(three, ingested, lambda what, text: noted.append((what, text)))
    assert ran == [one.group.name for one in three]
    assert [one.group for one in results] == ["airport_weather", "aircraft_history"]
    assert {name: error.exit_code for name, error in failed.items()} == {"flight_status": 65}
    assert noted == [("flight_status", "stopped: 6 of 100 rows")]


def test_whatever_one_group_ends_with_the_others_are_tried() -> None:
    """A refusal may be of one group alone; a transform's own error is a line like any other."""

    def refused(pipeline: Pipeline) -> list[Result]:
        raise {
            "airport_weather": CredentialsError("not allowed to write", "Check the role's policy"),
            "flight_status": ZeroDivisionError("division by zero"),
            "aircraft_history": DataGateError("6 of 100 rows"),
        }[pipeline.group.name]

    results, failed = one_by_one(_three(), refused, lambda *_: None)
    assert results == []
    assert [one.exit_code for one in failed.values()] == [77, 70, 65]
    assert failed["flight_status"].message.startswith(f"ZeroDivisionError at {__file__}:")
    assert isinstance(failed["flight_status"].__cause__, ZeroDivisionError)


def test_the_error_of_the_only_group_is_the_commands() -> None:
    """Nothing is gathered."""

    def refused(_pipeline: Pipeline) -> list[Result]:
        raise DataGateError("6 of 100 rows")

    with pytest.raises(DataGateError):
        one_by_one(_three()[:1], refused, lambda *_: None)


@pytest.mark.parametrize(
    ("codes", "code"), [((), 0), ((75, 2), 2), ((65, 77), 77), ((75, 65, 70), 70)]
)
def test_the_gravest_exit_code_is_the_commands(codes: tuple[int, ...], code: int) -> None:
    """A defect before credentials, data, usage and time."""
    assert gravest(codes) == code


def test_sql_is_printed_without_running_it(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """``--sql-only`` needs no data."""
    assert run(["query", "latest", "flight_status", "--sql-only", *place]) == 0
    said = capsys.readouterr().out
    assert "-- Athena" in said
    assert "-- Spark" in said
    assert said.upper().count("ROW_NUMBER()") == 2


def test_provision_then_check_agrees(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 before, 0 after; JSON on standard output alone."""
    assert run(["provision", "--check", *place]) == 2
    capsys.readouterr()
    assert run(["provision", "--json", *place]) == 0
    made = json.loads(capsys.readouterr().out)
    assert {one["action"] for one in made} == {"created"}
    assert run(["provision", "--check", *place]) == 0


def test_a_folder_that_is_no_project_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration is looked for first."""
    assert run(["status", "--project", str(tmp_path)]) == 2
    assert "no such configuration file" in capsys.readouterr().err


def test_a_command_is_loaded_under_its_own_name() -> None:
    """Each that is listed is there, is what it is called, and no other module is needed for it."""
    assert {name: one.name for name, one in _loaded().items()} == {
        name: name for name in cli.list_commands(click.Context(cli))
    }
    assert cli.get_command(click.Context(cli), "nobody") is None
    code = "import sys; from penstock.cli.program import run; run(['status', '--help']); "
    code += "print(*(one for one in sys.modules if one.startswith(('pyspark', 'penstock.cli.'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "penstock.cli.reading" in loaded
    assert not loaded & {"pyspark", "penstock.cli.crawling", "penstock.cli.datasets"}


def test_settings_of_commands_are_all_documented() -> None:
    """Every option has a help text."""
    for command in _loaded().values():
        for option in (one for one in command.params if isinstance(one, click.Option)):
            assert option.help, (command.name, option.name)


def test_the_example_configuration_loads() -> None:
    """``conf/aws.example.yaml`` is valid YAML with the keys the records know."""
    from penstock.config import Settings

    values = yaml.safe_load((ROOT / "conf" / "base.yaml").read_text(encoding="utf-8"))
    values |= yaml.safe_load((ROOT / "conf" / "aws.example.yaml").read_text(encoding="utf-8"))
    assert Settings.model_validate(values).group("flight_status").role_arn
