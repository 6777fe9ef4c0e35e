"""``init``, ``doctor`` and ``local``: a project, a machine that is fit, an AWS to talk to."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import click

from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show, show_json
from penstock.emulator.identity import key_pair
from penstock.errors import UsageError

PORT = 8719  # nothing well known listens there
DATA = ".penstock/aws"
REGION = "us-east-1"


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
@click.option(
    "--warm",
    is_flag=True,
    help="First have Java keep Spark's classes (a minute, 190 MB in the cache folder, once).",
)
@workspace_options
def doctor(workspace: Workspace, *, warm: bool) -> int:
    """Check machine, project and role; each failing line says what to do. Nothing is written.

    It looks at Python, Java, Spark, its jars, versions, folders, how AWS is reached, credentials,
    clock, permissions and quotas. Exit code 0 where nothing is missing; 77 for credentials and
    permissions, 75 where AWS does not answer, else 2. What could not be checked is said, and is
    no failure. With --warm Spark will start in about half the time.

    \b
    Examples:
      penstock doctor
      penstock doctor --env aws --json
    """
    from penstock import classes
    from penstock.doctor.examination import examine
    from penstock.doctor.finding import exit_code

    if warm and classes.there() is None:
        workspace.progress.step("penstock", "having Java keep Spark's classes (about a minute)")
        classes.make()
    found = examine(
        workspace.settings, lambda: [one.group for one in workspace.project.pipelines.values()]
    )
    if workspace.as_json:
        show_json([one.plain() for one in found])
    else:
        mark = {"ok": "ok", "missing": "MISSING", "unchecked": "?"}
        rows = [(mark[one.state], one.what, one.found, one.remedy) for one in found]
        show(("", "what", "found", "to do"), rows)
    return exit_code(found)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the embedded AWS listens and keeps its state."""
    folder = click.Path(path_type=Path, file_okay=False)
    data = click.option(
        "--data",
        type=folder,
        help=f"Folder of its state; {DATA}, which local runs use, unless told otherwise.",
    )
    port = click.option(
        "--port", type=int, help=f"Port on 127.0.0.1; {PORT} unless told otherwise."
    )
    return port(data(command))


@click.group(invoke_without_command=True)
@place_options
@click.option(
    "--ties",
    type=click.Choice(["ignore", "apply"]),
    default="ignore",
    show_default=True,
    help="What a write with an equal event time does; AWS's documents disagree.",
)
@click.option(
    "--expiry",
    type=click.Choice(["forget", "guard"]),
    default="forget",
    show_default=True,
    help="Whether the event time of an expired record is forgotten or still guards.",
)
@click.option(
    "--create-delay",
    type=float,
    default=0.0,
    metavar="SECONDS",
    help="How long creating, updating or deleting a feature group takes; default 0.",
)
@click.option(
    "--replication-delay",
    type=float,
    default=5.0,
    metavar="SECONDS",
    help="How long a write waits for the offline store; default 5, on AWS up to 15 minutes.",
)
@click.option(
    "--faults",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Fault script, read again when it changes; default: faults.json in the state's folder.",
)
@click.option("--journal", is_flag=True, help="Record every write in the database, for tests.")
@click.pass_context
def local(
    context: click.Context,
    /,
    *,
    port: int | None,
    data: Path | None,
    faults: Path | None,
    **how: Any,
) -> int:
    """Run the embedded AWS until interrupted, for any AWS client on this machine.

    It is a test double, not a store: what it emulates is in docs/emulator-coverage.md.

    \b
    Example, in two terminals:
      penstock local
      eval "$(penstock local env)" && aws sagemaker list-feature-groups
    """
    place = (port or PORT, (data or Path(DATA)))
    context.obj = place
    if context.invoked_subcommand is not None:
        return 0
    from penstock.emulator.engine import Settings
    from penstock.emulator.process import run

    script = None if faults is None else faults.absolute()
    settings = Settings(place[1].absolute(), REGION, faults=script, **how)
    try:
        run(settings, place[0], lambda bound: _greet(bound, place))
    except OSError as problem:
        raise UsageError(
            f"the embedded AWS cannot run: {problem}", "Choose another --port or --data"
        ) from problem
    click.echo("Ended.")
    return 0


def _greet(bound: int, place: tuple[int, Path]) -> None:
    port, data = place
    given = "" if port == PORT else f" --port {port}"
    given += "" if data == Path(DATA) else f" --data {shlex.quote(str(data))}"
    click.echo(f"The embedded AWS answers at http://127.0.0.1:{bound}; its state is in {data}.")
    click.echo("It is a test double, not a store: no durability, no security, no AWS behind it.")
    click.echo(f'In another terminal: eval "$(penstock local{given} env)"   ·   Ctrl-C ends it')


@local.command()
@place_options
@click.pass_context
def env(context: click.Context, *, port: int | None, data: Path | None) -> int:
    """Print 'export' lines that point any AWS client at the embedded AWS."""
    above: tuple[int, Path] = context.obj
    folder = (data or above[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    pair = key_pair(folder)
    values = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or above[0]}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,  # what AWS's Java clients read
        "AWS_ACCESS_KEY_ID": pair.access_key,
        "AWS_SECRET_ACCESS_KEY": pair.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if getproxies():
        past = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
        values["NO_PROXY"] = values["no_proxy"] = ",".join(filter(None, ["127.0.0.1", past]))
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    # Each of these would be stronger than what is exported above.
    services = ("SAGEMAKER", "SAGEMAKER_FEATURESTORE_RUNTIME", "GLUE", "STS")
    stronger = [f"AWS_ENDPOINT_URL_{name}" for name in services]
    stronger += ["AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]
    click.echo(f"unset {' '.join(stronger)}")
    return 0
