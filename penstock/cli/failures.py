"""Groups of one command that failed: which, why, in a line each; and what to type next."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence

import click
from click.core import ParameterSource

from penstock import aws, session
from penstock.cli.options import log_path
from penstock.errors import PenstockError, unknown

LOG = logging.getLogger("penstock")


def told(error: Exception) -> PenstockError:
    """What a command or a group ended with as an error of ours; a transform may raise anything."""
    if isinstance(error, PenstockError):
        return error
    path = log_path()
    where = f"The log says where: {path}; " if path else ""
    remedy = f"{where}--debug shows its text, which may hold values"
    return session.raised(error) or aws.explained(error) or unknown(error, remedy)


def show_failures(failed: Mapping[str, PenstockError], groups: int, next_words: str) -> None:
    """The end of a summary: each group that failed, and the command for those alone.

    Args:
        failed: Error by group, in the order they were run in.
        groups: How many were run.
        next_words: What to type next.
    """
    several = "" if groups == 1 else "s"
    click.echo(f"Failed: {len(failed)} of {groups} feature group{several}.")
    for group, error in failed.items():
        text = str(error).removeprefix(f"{group}: ")
        click.echo(f"  {group} (exit code {error.exit_code}): {text}")
    click.echo(f"Next: do what the lines say, then {next_words}")


def again(groups: Sequence[str]) -> str:
    """The command that runs, for some groups, with the options it was given."""
    context = click.get_current_context()
    words = ["penstock", context.info_name or "", *groups]
    for one in context.command.params:
        name = one.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not isinstance(one, click.Option) or not given or name == "tag":
            continue
        value = context.params[name]
        for each in value if one.multiple else (value,):
            words += [one.opts[-1]] if one.is_flag else [one.opts[-1], str(each)]
    return shlex.join(words)
