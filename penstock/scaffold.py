"""``penstock init``: a new project from the flights project that rides along in the wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from penstock.errors import UsageError

PARTS = ("conf", "schemas", "transforms", "jobs")

README = """# A penstock project

    penstock doctor       is this machine fit?
    penstock provision    create the feature groups
    penstock ingest       read, transform, validate, send, write, register
    penstock status       what is done

- `conf/` says where it runs: data only. `conf/local.yaml` uses an embedded AWS and a local folder.
- `schemas/` says what it is: feature groups, sources, pipelines.
- `transforms/` says how features are computed: pure functions of DataFrames.
- `jobs/` are targets for spark-submit.

Pages that messages name as `docs/….md` came with penstock. They are in

    python -c "from penstock.scaffold import template; print(template() / 'docs')"

It begins as the flights project, on real data: change it piece by piece, or empty `schemas/` and
`transforms/` and write your own.
"""


def create(directory: Path) -> list[Path]:
    """Write a project into ``directory``; answers the files.

    Raises:
        UsageError: There is something in the directory already, it cannot be written, or penstock
            was imported from an archive, which cannot be copied from.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is not empty", "Name a new directory")
    origin = template()
    if not (origin / "conf").is_dir():
        raise UsageError("the template is inside an archive", "Install penstock's wheel with pip")
    try:
        _write(origin, directory)
    except OSError as error:
        message = f"{directory} cannot be written: {error.strerror or error}"
        raise UsageError(message, "Name another directory") from error
    return sorted(one for one in directory.rglob("*") if one.is_file())


def template() -> Path:
    """Folder of the template: inside the wheel, or the repository's own where that is installed."""
    package = Path(__file__).parent
    packed = package / "_project"
    return packed if packed.is_dir() else package.parent


def _write(origin: Path, directory: Path) -> None:
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "aws.yaml", "*.adopted.yaml")
        shutil.copytree(origin / part, directory / part, ignore=ignored)
    (directory / "README.md").write_text(README, encoding="utf-8")
    (directory / ".gitignore").write_text(
        ".penstock/\n__pycache__/\nconf/aws.yaml\n", encoding="utf-8"
    )
