"""``crawler``: a Glue crawler over the offline tables, with the IAM role it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import click

from penstock import aws
from penstock.cli.options import Workspace, workspace_options
from penstock.cli.tables import show_change, show_json
from penstock.crawler import installation
from penstock.crawler.definition import Definition, definition, names
from penstock.crawler.place import Account, offline
from penstock.errors import UsageError


@dataclass(frozen=True)
class _Place:
    """AWS as the commands need it."""

    account: Account
    iam: Any
    glue: Any


@click.group()
def crawler() -> None:
    """A Glue crawler over the offline tables: what conf/ says under 'catalog.crawler'.

    It logs what differs from the catalogue, and tables that are there stay as they are; those that
    are missing it makes where catalog.register is off. Its IAM role is made with it. Not verified
    on AWS. See docs/catalogue.md.

    \b
    Examples:
      penstock crawler show --env aws            the role, its policies and the exact request
      penstock crawler apply --env aws --check   what would be changed on AWS
    """


@crawler.command("show")
@workspace_options
def show_command(workspace: Workspace) -> int:
    """The role with its policies, and the exact request; AWS is asked for the account's number.

    \b
    Example:
      penstock crawler show --env aws
    """
    _check_lake(workspace)
    with _connected(workspace) as place:
        wanted = _definition(workspace, place.account)
    if workspace.as_json:
        show_json({"enabled": workspace.settings.catalog.crawler.enabled, **_plain(wanted)})
        return 0
    _print(wanted, err=False)
    if not workspace.settings.catalog.crawler.enabled:
        click.echo(f"It is off: {_off(workspace)}")
    return 0


@crawler.command()
@click.option("--check", "check_only", is_flag=True, help="Only say what differs; write nothing.")
@workspace_options
def apply(workspace: Workspace, *, check_only: bool) -> int:
    """Create the role and the crawler, or change what differs; what is created is printed first.

    Exit code 2 with --check where something differs.

    \b
    Examples:
      penstock crawler apply --env aws --check
      penstock crawler apply --env aws
    """
    if not workspace.settings.catalog.crawler.enabled:
        message = f"{workspace.conf} has no crawler: catalog.crawler.enabled is false"
        raise UsageError(message, _off(workspace))
    _check_lake(workspace)
    with _connected(workspace) as place:
        wanted = _definition(workspace, place.account)
        changes = installation.compare(place.iam, place.glue, wanted, place.account)
        if any(one.action == "create" for one in changes):
            _print(wanted, err=workspace.as_json)
        if not check_only:
            changes = installation.apply(place.iam, place.glue, wanted, place.account)
    for one in changes:
        what = f"{one.kind} {one.name}"
        err = workspace.as_json
        show_change(what, one.action, one.differences, check_only=check_only, err=err)
    if workspace.as_json:
        show_json([asdict(one) for one in changes])
    return 2 if check_only and any(one.action != "none" for one in changes) else 0


@crawler.command()
@workspace_options
def remove(workspace: Workspace) -> int:
    """Delete the crawler and the role that penstock made; tables it has made stay.

    \b
    Example:
      penstock crawler remove --env aws
    """
    called = names(workspace.settings, workspace.environment)
    with _connected(workspace) as place:
        done = installation.remove(place.iam, place.glue, called, place.account)
    found = (("crawler", called.crawler, done[0]), ("role", called.role, done[1]))
    if workspace.as_json:
        show_json([{"kind": kind, "name": name, "removed": gone} for kind, name, gone in found])
        return 0
    for kind, name, gone in found:
        click.echo(f"{kind} {name}: {'removed' if gone else 'is not there'}")
    return 0


def _off(workspace: Workspace) -> str:
    environment = workspace.environment
    return (
        "Set catalog.crawler.enabled: true and a schedule in conf, "
        f"or run: penstock crawler remove --env {environment}"
    )


def _check_lake(workspace: Workspace) -> None:
    """What needs no AWS is refused before it is asked."""
    offline(workspace.settings, workspace.project.pipelines)


def _definition(workspace: Workspace, account: Account) -> Definition:
    groups = workspace.project.pipelines
    return definition(workspace.settings, workspace.environment, groups, account)


@contextmanager
def _connected(workspace: Workspace) -> Iterator[_Place]:
    if workspace.settings.aws.embedded:
        message = "the embedded AWS has neither crawlers nor roles"
        raise UsageError(message, "Name an environment with --env")
    with aws.connected(workspace.settings) as endpoint:
        who = aws.client(endpoint, "sts").get_caller_identity()
        account = Account(who["Account"], endpoint.region, who["Arn"].split(":")[1])
        yield _Place(account, aws.client(endpoint, "iam"), aws.client(endpoint, "glue"))


def _plain(wanted: Definition) -> dict[str, Any]:
    role = {"name": wanted.role.name, "trust": wanted.role.trust, "policy": wanted.role.policy}
    return {"role": role, "request": wanted.request}


def _print(wanted: Definition, *, err: bool) -> None:
    """The three documents, each under a line that says what it is."""
    role = wanted.role.name
    for head, document in (
        (f"Role {role} may be taken by:", wanted.role.trust),
        (f"Role {role} may do (not verified on AWS):", wanted.role.policy),
        ("The crawler, as CreateCrawler is asked for it:", wanted.request),
    ):
        click.echo(head, err=err)
        show_json(document, err=err)
