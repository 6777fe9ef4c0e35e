"""``init``, ``doctor`` and ``local``: a project, a machine that is fit, an AWS to talk to."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

import click

from penstock import aws
from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show, show_json
from penstock.emulator.identity import key_pair

PORT = 8719  # nothing well known listens there


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def init(directory: Path) -> int:
    """Make a new project in DIRECTORY: the flights project, ready to run.

    \b
    Example:
      penstock init my_features
    """
    from penstock.scaffold import create

    made = create(directory)
    click.echo(f"Made {len(made)} files in {directory}. Next:")
    click.echo(f"  cd {shlex.quote(str(directory))}")
    click.echo("  penstock doctor && penstock provision && penstock ingest")
    return 0


@click.command()
@workspace_options
def doctor(workspace: Workspace) -> int:
    """Check that this machine can run the project; each failing line says what to do.

    Exit code 2 where something is missing.
    """
    from penstock.doctor import examine

    found = examine(workspace.settings)
    if workspace.as_json:
        show_json([one.__dict__ for one in found])
    else:
        mark = {True: "ok", False: "MISSING"}
        show(
            ("", "what", "found", "to do"), [(mark[f.ok], f.what, f.found, f.remedy) for f in found]
        )
    return 0 if all(one.ok for one in found) else 2


@click.group(invoke_without_command=True)
@click.option("--port", type=int, default=PORT, show_default=True, help="Port on 127.0.0.1.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=".penstock/aws",
    show_default=True,
    help="Folder of its state; the default is the one that local runs use.",
)
@click.pass_context
def local(context: click.Context, *, port: int, data: Path) -> int:
    """Run the embedded AWS until interrupted, for any AWS client on this machine.

    \b
    Example, in two terminals:
      penstock local
      eval "$(penstock local env)" && aws sagemaker list-feature-groups
    """
    context.obj = (port, data)
    if context.invoked_subcommand is not None:
        return 0
    with aws.embedded(data, "us-east-1", port) as endpoint:
        click.echo(f"The embedded AWS answers at {endpoint.url}; its state is in {data}.")
        click.echo('In another terminal: eval "$(penstock local env)"   ·   Ctrl-C ends it')
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("Ended.")
    return 0


@local.command()
@click.option("--port", type=int, help="Port of the embedded AWS.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of its state.")
@click.pass_context
def env(context: click.Context, *, port: int | None, data: Path | None) -> int:
    """Print 'export' lines that point any AWS client at the embedded AWS."""
    above: tuple[int, Path] = context.obj
    pair = key_pair((data or above[1]).absolute())
    values = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or above[0]}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": pair.access_key,
        "AWS_SECRET_ACCESS_KEY": pair.secret_key,
    }
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo("unset AWS_SESSION_TOKEN AWS_PROFILE")
    return 0
