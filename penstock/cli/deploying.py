"""``deploy``, ``submit``, ``logs``, ``cancel``: a project on EMR Serverless, EMR or Glue."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import yaml

from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show_change, show_json
from penstock.deploy import run as runs
from penstock.deploy.deployment import Deployment, apply, deployment, record
from penstock.deploy.place import Place, reach
from penstock.deploy.release import location, release
from penstock.deploy.request import send
from penstock.deploy.run import Output, Run, State
from penstock.deploy.runtime import TARGETS, Target, runtime
from penstock.deploy.scheduling import scheduler
from penstock.deploy.submission import begin, submission
from penstock.deploy.template import template
from penstock.deploy.wheels import differs_here
from penstock.errors import PenstockError, UsageError

_POLL_S = 10.0
target_argument = click.argument("target", type=click.Choice(TARGETS))


@click.command()
@target_argument
@click.option("--plan", "only_plan", is_flag=True, help="Print what would be sent; the default.")
@click.option("--apply", "act", is_flag=True, help="Send it. The policy is printed first.")
@click.option(
    "--cloudformation",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write role, application and jobs as a template instead; nothing is sent.",
)
@workspace_options
def deploy(
    workspace: Workspace,
    *,
    target: Target,
    only_plan: bool,
    act: bool,
    cloudformation: Path | None,
) -> int:
    """Bring the project to EMR Serverless, EMR or Glue: what conf/ says under 'deploy'.

    The libraries are gathered as wheels for the target's Python and processors, and shipped to S3
    with penstock and the project, each file named by its content; then come the jobs' role, with
    no more rights than they need, and the application or the jobs. A second --apply sends nothing.
    Not verified on AWS. See docs/deploying.md.

    \b
    Examples:
      penstock deploy emr-serverless --env aws            what would be sent, the policy first
      penstock deploy emr-serverless --env aws --apply    send it
      penstock deploy glue --env aws --cloudformation stack.json
    """
    if only_plan + act + (cloudformation is not None) > 1:
        message = "--plan, --apply and --cloudformation exclude each other"
        raise UsageError(message, "Give one of them; without any it is --plan")
    place, found = _compared(workspace, target)
    for one in found.warnings:
        click.echo(one, err=True)
    if cloudformation is not None:
        _write(cloudformation, template(place, workspace.settings, workspace.environment, found))
        return 0
    if act or not workspace.as_json:
        _print(found, check_only=not act, err=workspace.as_json)
    starts: dict[str, Any] = {}
    if act:
        apply(place, found)
        starts = scheduler(place, workspace.settings, found.names, target, found.record)
    if workspace.as_json:
        show_json({**_plain(found), **({"scheduler": starts} if act else {})})
    elif act:
        if starts:
            click.echo(f"For schedules, in conf/{workspace.environment}.yaml:")
            click.echo(yaml.safe_dump({"scheduler": starts}, sort_keys=False, width=1_000))
        _print_changes(found, check_only=False)
    return 0


@click.command()
@target_argument
@click.argument("words", nargs=-1, required=True)
@click.option("--plan", "only_plan", is_flag=True, help="Print the request; nothing is sent.")
@click.option("--wait", is_flag=True, help="Wait for its end; the exit code tells how it was.")
@workspace_options
def submit(
    workspace: Workspace, *, target: Target, words: tuple[str, ...], only_plan: bool, wait: bool
) -> int:
    """Run a command at the target: what stands after -- is what penstock takes here.

    Prints the name of the run, which 'logs' and 'cancel' take. --env goes along unless the words
    say another. Not verified on AWS.

    \b
    Examples:
      penstock submit emr-serverless --env aws -- ingest flight_status
      penstock submit glue --env aws --wait -- backfill aircraft_history --start 2013-01-01
    """
    place = _reached(workspace)
    settings, environment = workspace.settings, workspace.environment
    there = record(place, settings, environment, target)
    request = submission(place, settings, environment, target, there, words)
    if only_plan:
        show_json(request.plain() if workspace.as_json else request.parameters)
        return 0
    found = begin(place, request)
    if workspace.as_json:
        show_json({"run": found.name, **request.plain()})
    else:
        click.echo(found.name)
    return _waited(workspace, place, found) if wait else 0


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--output",
    type=click.Choice(["stderr", "stdout", "both"]),
    default="both",
    show_default=True,
    help="penstock's results are on stdout, all else is on stderr.",
)
@workspace_options
def logs(workspace: Workspace, *, name: str, output: str) -> int:
    """What the driver of a run wrote, and how the run stands.

    \b
    Example:
      penstock logs glue/penstock-flights-aws-ingest/jr_0123 --env aws
    """
    found, place = runs.named(name), _reached(workspace)
    stands = runs.state(place, found)
    chosen: tuple[Output, ...] = ("stderr", "stdout")
    texts = {
        one: "".join(runs.logs(place, found, one)) for one in chosen if output in (one, "both")
    }
    if workspace.as_json:
        show_json({"run": name, "state": stands.word, "why": stands.why, **texts})
        return 0
    for one, text in texts.items():
        click.echo(text, nl=bool(text) and not text.endswith("\n"), err=one == "stderr")
    click.echo(_told(found, stands), err=True)
    return 0


@click.command()
@click.argument("name", metavar="RUN")
@workspace_options
def cancel(workspace: Workspace, *, name: str) -> int:
    """End a run; what it had done stays, and the same command goes on from there.

    A cluster of EMR is ended with it only where penstock made it for this run alone.

    \b
    Example:
      penstock cancel emr-serverless/00f1a2b3c4d5e6f7/00fabcdef0123456 --env aws
    """
    found, place = runs.named(name), _reached(workspace)
    stands = runs.state(place, found)
    if not stands.ended:
        send(place, runs.cancellation(found, own_cluster=runs.alone(place, found)))
    if workspace.as_json:
        show_json({"run": name, "cancelled": not stands.ended, "was": stands.word})
    else:
        click.echo(f"{name}: {'cancelled' if not stands.ended else f'is {stands.word} already'}")
    return 0


def _compared(workspace: Workspace, target: Target) -> tuple[Place, Deployment]:
    """What needs no AWS is looked at, and made, before it is asked."""
    settings, environment = workspace.settings, workspace.environment
    location(settings)
    runs_on, groups = runtime(settings, target), [*workspace.project.pipelines]
    place = _reached(workspace)
    odd = differs_here(runs_on) if settings.deploy.wheels is None else None
    if odd is not None:
        click.echo(f"{odd}: libraries that depend on it may be missing there", err=True)
    workspace.progress.step(target, "gathering what is shipped")
    contracts = [one.group for one in workspace.project.pipelines.values()]
    root, conf = workspace.root, workspace.conf
    made = release(settings, root, conf, environment, target, runs_on, contracts)
    return place, deployment(place, settings, environment, groups, target, made)


def _reached(workspace: Workspace) -> Place:
    if workspace.settings.aws.embedded:
        message = "the embedded AWS runs no jobs"
        raise UsageError(message, "Name an environment with --env")
    return reach(workspace.settings)


def _print(found: Deployment, *, check_only: bool, err: bool) -> None:
    """The role first, then what differs, then each request under its name."""
    for head, document in (
        (f"Role {found.role.name} may be taken by:", found.role.trust),
        (f"Role {found.role.name} may do (not verified on AWS):", found.role.policy),
    ):
        click.echo(head, err=err)
        show_json(document, err=err)
    if check_only:
        _print_changes(found, check_only=True)
    for one in found.steps:
        for request in one.requests:
            shown = request.plain()
            click.echo(f"{request.name}:", err=err)
            show_json(shown["parameters"], err=err)


def _print_changes(found: Deployment, *, check_only: bool) -> None:
    for one in found.steps:
        show_change(one.what, one.action, one.differences, check_only=check_only, err=False)
    if found.agrees:
        click.echo(f"{found.target}: unchanged")


def _plain(found: Deployment) -> dict[str, Any]:
    role = found.role
    return {
        "target": found.target,
        "role": {"name": role.name, "trust": role.trust, "policy": role.policy},
        "steps": [
            {"what": one.what, "action": one.action, "differences": one.differences}
            for one in found.steps
        ],
        "requests": [one.plain() for step in found.steps for one in step.requests],
        "record": found.record,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise UsageError(message, "Name another file") from error
    click.echo(f"{path}: {len(document['Resources'])} resources; needs CAPABILITY_NAMED_IAM")


def _waited(workspace: Workspace, place: Place, run: Run) -> int:
    stands = runs.state(place, run)
    while not stands.ended:
        workspace.progress.step(run.target, stands.word.lower())
        time.sleep(_POLL_S)
        stands = runs.state(place, run)
    if stands.good:
        click.echo(_told(run, stands), err=True)
        return 0
    remedy = f"Look at it: penstock logs {run.name} --env {workspace.environment}"
    raise PenstockError(_told(run, stands), remedy)


def _told(run: Run, stands: State) -> str:
    return f"{run.name}: {stands.word}" + (f": {stands.why}" if stands.why else "")
