"""``adopt``: feature groups that are there, as contracts and conf."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock import aws
from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show, show_json

if TYPE_CHECKING:
    from penstock.adoption import Finding
    from penstock.contract import Pipeline


@click.command()
@click.argument("names", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the files instead of writing them.")
@workspace_options
def adopt(workspace: Workspace, *, names: tuple[str, ...], dry_run: bool) -> int:
    """Write contracts and conf for feature groups that exist on AWS.

    NAMES are names or ARNs of feature groups; without any, all of the account are looked at. Each
    gets a contract, schemas/NAME.py, and an entry in conf/ENV.adopted.yaml, which lies between
    base.yaml and ENV.yaml: nothing has to be pasted, and what ENV.yaml says wins. A file that is
    there stays; adopting again changes nothing.

    The groups stay their owner's: 'manage: false' keeps provision from changing them. What a
    contract cannot say is told in one line, and the group is left out; exit code 2 where no group
    is left. Nothing on AWS is changed. Not verified on AWS.

    \b
    Examples:
      penstock adopt --env aws --dry-run       what would be written, for all groups
      penstock adopt orders clicks --env aws   two of them
      penstock provision --check --env aws     afterwards: nothing differs
    """
    from penstock import adoption

    with aws.connected(workspace.settings) as endpoint:
        found = adoption.findings(
            aws.client(endpoint, "sagemaker"),
            names,
            workspace.settings,
            _pipelines(workspace),
            workspace.root,
            lambda name: workspace.progress.step(name, "described"),
        )
    files = adoption.texts(found, workspace.root, workspace.conf, workspace.environment)
    if not dry_run:
        adoption.write(files, workspace.conf)
    if workspace.as_json:
        show_json([_plain(one) for one in found])
    else:
        _tell(found, files, workspace.environment, dry_run=dry_run)
    return 2 if all(one.action == "skip" for one in found) else 0


def _pipelines(workspace: Workspace) -> dict[str, Pipeline]:
    """What the project declares; a folder without ``schemas`` declares nothing."""
    if not (workspace.root / "schemas").is_dir():
        return {}
    return workspace.project.pipelines


def _plain(one: Finding) -> dict[str, str | None]:
    made = one.adopted
    return {
        "group": one.physical,
        "action": one.action,
        "contract": None if made is None else made.group.name,
        "file": None if made is None else made.path,
        "reason": one.reason or None,
    }


def _tell(found: list[Finding], files: dict[Path, str], environment: str, *, dry_run: bool) -> None:
    rows = [(f.physical, f.action, f.adopted.path if f.adopted else f.reason) for f in found]
    show(("feature group", "", "contract, or why there is none"), rows)
    for path, text in files.items():
        click.echo(f"--- {path}\n{text}" if dry_run else f"Wrote {path}")
    chosen = [one.adopted.group.name for one in found if one.adopted is not None]
    if chosen:
        name, env = chosen[0], "" if environment == "local" else f" --env {environment}"
        click.echo("Nothing was written." if dry_run else f"Next: penstock provision --check{env}")
        click.echo(f"Then say where the rows of {name} come from: sources.{name} in conf.")
