"""What EMR and Glue do to a script, one quirk a test: with what is shipped and nothing else.

Each runs a job of the shipped project in a process whose Python has the libraries and no penstock:
engine and project come as archives on the import path.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from penstock.cli.program import submitted
from penstock.config import load
from penstock.deploy.release import Release, release
from penstock.deploy.runtime import Runtime
from tests import shipped

#: As Glue's own wrapper: the text of the script is run, which so has no file, and any
#: ``SystemExit`` is a failure.
GLUE = """
import sys
script, sys.argv = sys.argv[1], sys.argv[1:]
with open(script, encoding="utf-8") as file:
    code = compile(file.read(), "<script>", "exec")
try:
    exec(code, {"__name__": "__main__"})
except SystemExit as stop:
    print(f"SystemExit: {stop.code}", file=sys.stderr)
    raise
"""
#: What Glue hands a script beside what the job was given.
OF_GLUE = (
    *("--JOB_ID", "j_0123", "--JOB_RUN_ID", "jr_0123", "--JOB_NAME", "penstock-flights-aws-ingest"),
    *("--TempDir", "s3://bucket/temporary/", "--job-bookmark-option", "job-bookmark-disable"),
    *("--extra-py-files", "s3://bucket/penstock.zip,s3://bucket/project.zip"),
    *("--conf", "spark.sql.extensions=x --conf spark.sql.catalog.spark_catalog=y"),
    *("--datalake-formats", "delta", "--enable-metrics", "true", "--scriptLocation", "s3://b/x.py"),
)
CONF = """lake: {folder}/lake
state: {folder}/state
aws:
  embedded: true
  region: us-east-1
deploy:
  location: s3://ship-bucket/penstock
  wheels: wheels
"""
NOWHERE = Path("/proc")  # not even root writes there


@dataclass(frozen=True)
class Shipped:
    """What a deployment ships, a Python with the libraries, and folders of the machine."""

    release: Release
    python: Path
    folder: Path

    def glue(
        self, job: str, *arguments: str, cwd: Path | None = None, **env: str
    ) -> CompletedProcess[str]:
        """A job as Glue runs it."""
        script = self.release.jobs[job].path.absolute()
        return self._run(["-c", GLUE, str(script), *arguments], cwd, env)

    def plain(self, job: str, *arguments: str, cwd: Path | None = None) -> CompletedProcess[str]:
        """A job as spark-submit runs it."""
        return self._run([str(self.release.jobs[job].path.absolute()), *arguments], cwd, {})

    def _run(
        self, words: Sequence[str], cwd: Path | None, env: dict[str, str]
    ) -> CompletedProcess[str]:
        code = (self.release.engine.path, self.release.project.path)
        path = ":".join(str(one.absolute()) for one in code)
        environment = shipped.environment(**{"PYTHONPATH": path, **env})
        return shipped.run([str(self.python), *words], cwd or self.folder, environment)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The flights project as it is shipped, for an environment that this machine plays."""
    folder = tmp_path_factory.mktemp("there")
    root = folder / "project"
    for part in ("schemas", "transforms", "jobs"):
        (root / part).mkdir(parents=True)
        for one in (shipped.ROOT / part).glob("*.py"):
            (root / part / one.name).write_bytes(one.read_bytes())
    (root / "conf").mkdir()
    base = (shipped.ROOT / "conf" / "base.yaml").read_bytes()
    (root / "conf" / "base.yaml").write_bytes(base)
    text = CONF.format(folder=folder)
    (root / "conf" / "small.yaml").write_text(text, encoding="utf-8")
    (root / "wheels").mkdir()
    with zipfile.ZipFile(root / "wheels" / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "one = 1\n")
    settings = load(root / "conf", "small")
    made = release(settings, root, root / "conf", "small", "glue", Runtime("3.5", "3.11", "x86_64"))
    needed = (
        "boto3",
        "pyarrow",
        "pydantic",
        "pyyaml",
        "click",
        "rich",
        "deltalake",
        "numpy",
        "pyspark",
    )
    python = shipped.interpreter(folder / "python", shipped.closure(needed))
    nowhere = folder / "nowhere"
    nowhere.mkdir()
    return Shipped(made, python, nowhere)


@pytest.fixture(scope="module")
def on_glue(there: Shipped) -> CompletedProcess[str]:
    """A job that Glue runs, with all that it hands over."""
    return there.glue("provision", *OF_GLUE, "--penstock", "--env small --json")


def _groups(done: CompletedProcess[str]) -> set[str]:
    """The groups that ``provision --json`` speaks of."""
    assert done.returncode == 0, done.stderr
    return {one["group"] for one in json.loads(done.stdout)}


GROUPS = {"aircraft_history", "airport_weather", "flight_status", "route_traffic"}


@pytest.mark.shows("9.2")
def test_glue_hands_pairs_and_its_own_among_them(on_glue: CompletedProcess[str]) -> None:
    """Ours are the words of one value; Glue's ``--conf`` is not ours."""
    assert _groups(on_glue) == GROUPS


@pytest.mark.shows("9.2")
def test_a_glue_job_without_our_argument_takes_none_of_glues() -> None:
    """A command without arguments, not one with words it does not know."""
    assert submitted([*OF_GLUE]) == []
    assert submitted([*OF_GLUE, "--penstock", "a --env 'b c'"]) == ["a", "--env", "b c"]
    assert submitted(["a", "--env", "b"]) == ["a", "--env", "b"]


@pytest.mark.shows("9.2")
def test_a_script_that_ends_well_raises_nothing(
    there: Shipped, on_glue: CompletedProcess[str]
) -> None:
    """A wrapper that takes any SystemExit for a failure sees none; a failure keeps its code."""
    assert "SystemExit" not in on_glue.stderr
    assert on_glue.returncode == 0
    bad = there.glue("provision", "--penstock", "--env small --no-such-option")
    assert "SystemExit: 2" in bad.stderr
    assert bad.returncode == 2


@pytest.mark.shows("9.2")
def test_a_script_has_no_file(there: Shipped, on_glue: CompletedProcess[str]) -> None:
    """No job asks for ``__file__``, nor does the engine for the script's."""
    for one in there.release.jobs.values():
        assert "__file__" not in one.path.read_text(encoding="utf-8")
    assert _groups(on_glue) == GROUPS
    assert "NameError" not in on_glue.stderr


@pytest.mark.shows("9.2")
def test_the_working_folder_cannot_be_written(there: Shipped) -> None:
    """Nothing is put there, and ``conf`` comes out of the project's archive."""
    assert not (NOWHERE / "conf").exists()
    done = there.plain("provision", "--env", "small", "--json", cwd=NOWHERE)
    assert _groups(done) == GROUPS


@pytest.mark.shows("9.2")
def test_the_log_goes_elsewhere_where_the_working_folder_cannot_be_written(
    there: Shipped, tmp_path: Path
) -> None:
    """With the state on S3 there is no folder for it but a temporary one, which is named."""
    told = "--env small --set state=s3://bucket/state --set lake=s3://bucket/lake"
    nobody = " --set aws.embedded=false --set aws.endpoint_url=http://127.0.0.1:9"
    env = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_MAX_ATTEMPTS": "1"}
    done = there.glue(
        "provision", "--penstock", told + nobody, cwd=NOWHERE, TMPDIR=str(tmp_path), **env
    )
    assert done.returncode == 75
    line = done.stderr.splitlines()[-2]
    assert line.startswith("penstock: AWS did not answer: Could not connect"), done.stderr
    (log,) = tmp_path.glob("penstock-logs-*/*.log")
    assert "exit 75" in log.read_text(encoding="utf-8")


@pytest.mark.shows("9.2")
def test_temporary_files_go_where_the_machine_says(there: Shipped, tmp_path: Path) -> None:
    """``conf`` is unpacked there and taken away again."""
    script = (
        "import tempfile, penstock.conf_archive as one; from pathlib import Path;"
        "found = one.conf_folder(Path('.')); print(found.parent.parent, found.is_dir())"
    )
    code = f"{there.release.engine.path.absolute()}:{there.release.project.path.absolute()}"
    env = shipped.environment(PYTHONPATH=code, TMPDIR=str(tmp_path))
    done = shipped.run([str(there.python), "-c", script], there.folder, env)
    assert done.stdout.split() == [str(tmp_path), "True"], done.stderr
    assert not list(tmp_path.iterdir())


def test_only_one_environment_travels(there: Shipped) -> None:
    """Base and the environment it is deployed for; what Python compiled stays at home."""
    names = zipfile.ZipFile(there.release.project.path).namelist()
    assert {one for one in names if one.startswith("conf/")} == {
        "conf/base.yaml",
        "conf/small.yaml",
    }
    inside = zipfile.ZipFile(there.release.engine.path).namelist()
    assert not [one for one in (*names, *inside) if "__pycache__" in one or "_project/" in one]
    assert [one for one in inside if one.endswith(".dist-info/METADATA")]
