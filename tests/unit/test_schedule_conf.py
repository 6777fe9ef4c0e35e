"""Schedules as conf has them: one line where something is wrong, else exactly what is started."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.ingesting import fired, ingest
from penstock.cli.program import run, submitted
from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.schedule.command import SCHEDULED, crontab, crontab_line, words
from penstock.schedule.entry import Entry, entry, group_name
from penstock.schedule.firing import windows
from penstock.timetable import duration
from tests.models import lowered, mistakes

ROLE = "arn:aws:iam::000000000000:role/penstock"
SCHEDULER = {
    "role_arn": ROLE,
    "emr_serverless": {
        "application_id": "00fabc",
        "execution_role_arn": ROLE,
        "entry_point": "s3://bucket/jobs/ingest.py",
        "spark_submit": "--py-files s3://bucket/penstock.zip,s3://bucket/project.zip",
    },
    "glue": {"job": "penstock"},
}


def _settings(**schedules: dict[str, Any]) -> Settings:
    return _with({}, schedules)


def _with(scheduler: dict[str, Any], schedules: dict[str, Any]) -> Settings:
    values = {"project": "lab", "lake": "l", "state": "s", "schedules": schedules}
    return Settings.model_validate({**values, "scheduler": {**SCHEDULER, **scheduler}})


NIGHTLY = {"window": "day", "delay": "3h", "groups": ["one", "two"]}
SCHEDULES: tuple[dict[str, Any], ...] = (
    NIGHTLY,
    {"window": "hour", "enabled": False},
    {"window": "week", "every": "cron(0 5 ? * MON *)", "timezone": "Asia/Tokyo", "catch_up": 3},
    {"window": "month", "every": "rate(1 day)"},
    {"window": "all", "every": "rate(1 day)", "groups": ["one"]},
)


@pytest.mark.parametrize("target", ["emr-serverless", "glue"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_requests_are_what_the_services_models_say(schedule: dict[str, Any], target: str) -> None:
    """CreateSchedule, UpdateSchedule, and the StartJobRun that the entry's input makes."""
    queue = "arn:aws:sqs:eu-west-1:000000000000:lost"
    settings = _with({"dead_letter_arn": queue}, {"nightly": {**schedule, "target": target}})
    request = entry(settings, "nightly", "aws").request
    for operation in ("CreateSchedule", "UpdateSchedule"):
        assert mistakes("scheduler", operation, request) == []
    target_arn = f"arn:aws:scheduler:::aws-sdk:{target.replace('-', '')}:startJobRun"
    assert request["Target"]["Arn"] == target_arn
    assert request["Target"]["DeadLetterConfig"] == {"Arn": queue}
    given = json.loads(request["Target"]["Input"])
    if target == "emr-serverless":
        given["ClientToken"] = given["ClientToken"].replace("<aws.scheduler.execution-id>", "d32c")
        given = lowered(given)
    assert mistakes(target, "StartJobRun", given) == []


def test_a_job_that_is_shipped_by_hand_has_no_log_on_s3() -> None:
    """Without deploy.location; it is ended in time and bears our tag all the same."""
    settings = _settings(nightly={**NIGHTLY, "target": "emr-serverless"})
    given = json.loads(entry(settings, "nightly", "aws").request["Target"]["Input"])
    assert "ConfigurationOverrides" not in given
    assert given["ExecutionTimeoutMinutes"] == 720
    assert given["Tags"] == {"penstock": "lab/aws"}


def test_the_models_do_refuse() -> None:
    """A member misspelt, one missing, one too long, one against its pattern: the check can fail."""
    request = entry(_settings(nightly={**NIGHTLY, "target": "glue"}), "nightly", "aws").request
    for key, value in (("Nme", "x"), ("Name", "a b"), ("Name", "x" * 65), ("Target", {})):
        assert mistakes("scheduler", "CreateSchedule", {**request, key: value})


@pytest.mark.parametrize("target", ["emr-serverless", "glue", "cron"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_started_names_the_groups_and_the_window(
    schedule: dict[str, Any], target: str, tmp_path: Path
) -> None:
    """What EMR Serverless, Glue or cron hands over is read back by ``ingest``'s own parser."""
    settings = _with({"command": "echo"}, {"nightly": {**schedule, "target": target}})
    if target == "cron":
        given = _as_cron_runs(
            crontab_line(settings, settings.schedules["nightly"], "aws", tmp_path)
        )
    else:
        text = entry(settings, "nightly", "aws").request["Target"]["Input"]
        started = json.loads(text.replace(SCHEDULED, "2024-03-05T04:00:00Z"))
        given = _as_the_job_sees(target, started)
    parsed = ingest.make_context("ingest", given).params
    assert list(parsed["groups"]) == schedule.get("groups", [])
    assert parsed["environment"] == "aws"
    names = ("scheduled_time", "unit", "delay", "catch_up")
    found = fired(*(parsed[name] for name in names))
    if schedule["window"] == "all":
        assert found == []
        return
    assert len(found) == schedule.get("catch_up", 1) + 1
    if target != "cron":
        moment = datetime(2024, 3, 5, 4, tzinfo=timezone.utc)
        delay = duration(schedule.get("delay", "0m"))
        assert found[-1] == windows(moment, schedule["window"], delay)[-1]


def _as_the_job_sees(target: str, started: dict[str, Any]) -> list[str]:
    if target == "emr-serverless":
        arguments: list[str] = started["JobDriver"]["SparkSubmit"]["EntryPointArguments"]
        return submitted(arguments)
    pairs = [word for pair in started["Arguments"].items() for word in pair]
    return submitted(["--JOB_ID", "j_1", *pairs, "--JOB_NAME", started["JobName"]])


def _as_cron_runs(line: str) -> list[str]:
    """A bare % ends a command of cron's; one behind a backslash is one; sh gets the rest."""
    line = line.removeprefix("# off: ")
    command = line.split(" ", 5)[5]
    assert "%" not in command.replace("\\%", "")
    shell = ["sh", "-c", command.replace("\\%", "%")]
    return subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split()


def test_odd_words_survive_the_shell_and_the_crontab(tmp_path: Path) -> None:
    """Spaces, quotes, percent signs, in arguments and in the folder's name."""
    odd = ["--set", "spark.settings={'a': '50% of \"it\"; $HOME'}"]
    folder = tmp_path / "100% o'project"
    folder.mkdir()
    scheduler = {"command": "printf '%s\\n'", "arguments": odd}
    settings = _with(scheduler, {"nightly": NIGHTLY})
    line = crontab_line(settings, settings.schedules["nightly"], "local", folder)
    command = line.split(" ", 5)[5]
    shell = ["sh", "-c", command.replace("\\%", "%")]
    said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[-2:] == odd
    joined = shlex.join(words(settings, settings.schedules["nightly"], "local", SCHEDULED))
    assert submitted(["--penstock", joined])[-2:] == odd


def test_a_crontab_says_whose_clock_it_means(tmp_path: Path) -> None:
    """Lines of one zone under its line; what is off is a comment."""
    tokyo = {"window": "day", "every": "cron(0 5 * * ? *)", "timezone": "Asia/Tokyo"}
    settings = _settings(b=tokyo, a=NIGHTLY, off={"window": "hour", "enabled": False})
    lines = list(crontab(settings, settings.schedules, "local", tmp_path))
    starts = [line.split(" cd ")[0] for line in lines]
    assert starts == [
        *("CRON_TZ=Asia/Tokyo", "# b", "0 5 * * *"),
        *("CRON_TZ=UTC", "# a", "0 3 * * *", "# off", "# off: 0 * * * *"),
    ]


def test_an_entry_bears_our_mark_and_the_state_conf_wants() -> None:
    """In a schedule group of the project and environment; DISABLED where it is not enabled."""
    settings = _settings(nightly={**NIGHTLY, "target": "glue", "enabled": False})
    found = entry(settings, "nightly", "aws")
    assert isinstance(found, Entry)
    assert found.group == group_name(settings, "aws") == "penstock-lab-aws"
    assert found.request["Description"].startswith("Made by penstock")
    assert found.request["State"] == "DISABLED"
    assert found.request["ScheduleExpression"] == "cron(0 3 * * ? *)"
    for environment in ("a b", "x" * 60):
        with pytest.raises(ConfigError, match="is no name for EventBridge Scheduler"):
            group_name(settings, environment)


def test_a_glue_job_is_handed_pairs_and_other_jobs_words() -> None:
    """Glue's own pairs fall away; what does not come from Glue is left as it is."""
    assert submitted(["one", "--env", "aws"]) == ["one", "--env", "aws"]
    assert submitted(["--JOB_ID", "j", "--penstock", "one --env aws", "--TempDir", "s3://b"]) == [
        *("one", "--env", "aws")
    ]


BASE = """project: lab
lake: lake
state: state
scheduler:
  role_arn: arn:aws:iam::000000000000:role/penstock
schedules:
  nightly:
    window: day
"""
BROKEN = {
    BASE + "    windw: day\n": "9: unknown key 'schedules.nightly.windw'. Did you mean 'window'?",
    BASE + "    groups: one\n": (
        "9: 'schedules.nightly.groups' must be a list. Write '[a, b]', or '- a' lines under it"
    ),
    BASE + "    delay: 3\n": "9: 'schedules.nightly.delay' must be text. Put it in quotes",
    BASE + "    delay: soon\n": (
        "9: 'schedules.nightly.delay' must be minutes, hours or days, such as 90m, 3h or 2d. "
        "Correct the value"
    ),
    BASE + "    every: cron(0 3 * * * *)\n": (
        "9: 'schedules.nightly.every' must have ? for either the day of the month or that of the "
        "week. Correct the value"
    ),
    BASE + "    every: rate(7 minutes)\n": (
        "7: 'schedules.nightly' is a rate a crontab cannot say: write cron(…). Correct the value"
    ),
    BASE + "    every: rate(1 day)\n    timezone: Berlin\n": (
        "10: 'schedules.nightly.timezone' must be a time zone such as Europe/Berlin. "
        "Correct the value"
    ),
    BASE + "    timezone: Europe/Berlin\n": (
        "7: 'schedules.nightly' must say 'every' together with timezone. Correct the value"
    ),
    BASE.replace("window: day", "window: all"): (
        "7: 'schedules.nightly' must say 'every' together with window: all. Correct the value"
    ),
    BASE.replace("window: day", "window: year"): (
        "8: 'schedules.nightly.window' must be 'hour', 'day', 'week', 'month' or 'all'. "
        "Correct the value"
    ),
    BASE + "    catch_up: -1\n": (
        "9: 'schedules.nightly.catch_up' must be greater than or equal to 0. Correct the value"
    ),
    BASE + "    target: lambda\n": (
        "9: 'schedules.nightly.target' must be 'cron', 'emr-serverless' or 'glue'. "
        "Correct the value"
    ),
    BASE.replace("nightly", "every night"): (
        "6: 'schedules' has 'every night': letters, digits, - and _ are a name, at most 64. "
        "Correct the value"
    ),
    BASE.replace("  role_arn", "  glue:\n    jb: x\n  role_arn"): (
        "6: unknown key 'scheduler.glue.jb'. Did you mean 'job'?"
    ),
    BASE + "    target: glue\n": (
        "9: schedule 'nightly' has target: glue, but 'scheduler.glue' is missing. "
        "Add it to the environment's file; docs/scheduling.md has one"
    ),
    BASE.replace("role_arn: arn:aws:iam::000000000000:role/penstock", "glue:\n    job: x")
    + "    target: glue\n": (
        "10: schedule 'nightly' has target: glue, but 'scheduler.role_arn' is missing. "
        "Add it to the environment's file; docs/scheduling.md has one"
    ),
    BASE + "    groups: [nope]\n": (
        "9: there is no feature group 'nope' in this project. There are: "
        "aircraft_history, airport_weather, flight_status, route_traffic"
    ),
    BASE + "    every: cron(0 3 ? * MON *)\n": (
        "7: schedule 'nightly' fires too seldom to load every day. "
        "Set catch_up: 6, or let it fire more often"
    ),
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda one: BROKEN[one].partition(". ")[0])
def test_a_broken_schedule_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2; file, line, and what to do."""
    assert _run(tmp_path, text, "show") == 2
    path = tmp_path / "local.yaml"
    assert capsys.readouterr() == ("", f"penstock: {path}:{BROKEN[text]}\n")


def _run(folder: Path, text: str, *arguments: str) -> int:
    """``penstock schedule`` with this configuration, on the project of this repository."""
    (folder / "base.yaml").write_text("", encoding="utf-8")
    (folder / "local.yaml").write_text(text, encoding="utf-8")
    place = ["--conf", str(folder), "--project", str(Path(__file__).parents[2])]
    place += ["--set", f"state={folder}/state", "--set", f"lake={folder}/lake"]
    return run(["schedule", *arguments, *place])


def test_show_says_when_and_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next firing with its window, and what exactly is run; JSON says the same."""
    text = BASE + "    delay: 3h\n    groups: [flight_status]\n"
    assert _run(tmp_path, text, "show") == 0
    said = capsys.readouterr().out
    assert "T03:00Z" in said
    assert "ingest flight_status --scheduled-time $(date -u" in said
    assert _run(tmp_path, text, "show", "nightly", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    moment = datetime.fromisoformat(found["next"]["firing"])
    assert moment > datetime.now(timezone.utc)
    assert found["next"]["window"] == windows(moment, "day", timedelta(hours=3))[-1].name
    assert found["expression"] == "cron(0 3 * * ? *)"
    assert found["crontab"].startswith("0 3 * * * cd ")


def test_cron_prints_nothing_but_the_crontab(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a pipe into crontab; schedules with another target are not in it."""
    more = "  other:\n    window: day\n    target: glue\n"
    assert _run(tmp_path, BASE + more, "cron") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["CRON_TZ=UTC", "# nightly"]
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("project: lab\nlake: l\nstate: s\n", ["show"], "has no schedules. Write them under"),
        (BASE, ["show", "nope"], "there is no schedule 'nope' in"),
        (BASE, ["apply"], "no schedule here has a target on AWS"),
        (BASE, ["remove"], "remove needs names, or --all"),
        (BASE, ["remove", "nightly", "--all"], "remove needs names, or --all"),
        (BASE + "    target: glue\n", ["cron"], "no schedule here has target: cron"),
        (
            "project: lab\nlake: l\nstate: s\n",
            ["show", "--set", "schedules.one={window: hour, every: 'cron(0 3 * * ? *)'}"],
            "--set: schedule 'one' fires too seldom to load every hour. Set catch_up: 23",
        ),
        (
            BASE + "    target: glue\naws:\n  embedded: true\n",
            ["apply", "--set", "scheduler.glue.job=x"],
            "the embedded AWS has no EventBridge Scheduler. Name an environment with --env",
        ),
    ],
)
def test_a_wrong_word_is_one_line(
    text: str,
    words: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and AWS is not asked."""
    assert _run(tmp_path, text, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--window", "day"], "--window, --delay and --catch-up are about a firing. Give"),
        (["--scheduled-time", "2024-01-02T03:00:00Z"], "--scheduled-time needs --window"),
        (
            ["--scheduled-time", SCHEDULED, "--window", "day"],
            "'<aws.scheduler.scheduled-time>' is not a scheduled time",
        ),
        (
            ["--scheduled-time", "2024-01-02T03:00:00Z", "--window", "day", "--delay", "x"],
            "--delay must be minutes, hours or days",
        ),
        (
            [
                *("--scheduled-time", "2024-01-02T03:00:00Z", "--window", "day"),
                *("--start", "2024-01-01", "--end", "2024-01-02"),
            ],
            "--scheduled-time names the window. Leave out --start and --end",
        ),
    ],
)
def test_a_firing_that_does_not_read_is_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before Spark is started."""
    place = ["--project", str(Path(__file__).parents[2]), "--set", f"state={tmp_path}/state"]
    assert run(["ingest", *words, *place, "--set", f"lake={tmp_path}/lake"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
