"""Wrong words on the command line, as one line: what, perhaps what was meant, where help is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

import click

from penstock.errors import UsageError

_NO_COMMAND = re.compile(r"No such command '(.*?)'")


def told(error: click.ClickException) -> UsageError:
    """Click's error as ours."""
    context = getattr(error, "ctx", None) or click.Context(click.Command("penstock"))
    command, here = context.command, f"See '{context.command_path or 'penstock'} --help'"
    if isinstance(error, click.NoSuchOption):
        known = [name for one in command.get_params(context) for name in one.opts]
        return UsageError(f"no option {error.option_name!r}", _near(error.option_name, known, here))
    said = error.format_message().removesuffix(".")
    wrong = _NO_COMMAND.match(said)
    if wrong and isinstance(command, click.Group):
        known = command.list_commands(context)
        return UsageError(f"no command {wrong[1]!r}", _near(wrong[1], known, here))
    return UsageError(said[:1].lower() + said[1:], here)


def is_help(error: click.ClickException) -> bool:
    """Whether it is no error but the help of a group of commands that was named alone."""
    return type(error).__name__ == "NoArgsIsHelpError"  # not in click 8.1, which exits instead


def _near(word: str, known: Iterable[str], here: str) -> str:
    near = get_close_matches(word, list(known), 1)
    return f"Did you mean {near[0]}? {here}" if near else here
