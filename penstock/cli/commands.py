"""All commands, in the order of a first day with penstock; each is loaded when it is asked for.

Together their modules take a third of a second to load, which every command would pay for all.
"""

from __future__ import annotations

from importlib import import_module

import click

#: Module of each command, whose name in it is the command's own.
_MODULES = {
    "init": "local",
    "doctor": "local",
    "local": "local",
    "adopt": "adopting",
    "provision": "ingesting",
    "ingest": "ingesting",
    "plan": "backfilling",
    "backfill": "backfilling",
    "stream": "streaming",
    "undo": "undoing",
    "status": "reading",
    "get": "reading",
    "reconcile": "reconciling",
    "query": "reading",
    "sql": "statements",
    "quarantine": "quarantining",
    "ledger": "ledgers",
    "dataset": "datasets",
    "compact": "maintaining",
    "expire": "maintaining",
    "forget": "forgetting",
    "schedule": "scheduling",
    "crawler": "crawling",
    "deploy": "deploying",
    "submit": "deploying",
    "logs": "deploying",
    "cancel": "deploying",
    "replay": "replaying",
    "flow": "flows",
    "profile": "profiling",
}


class Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """One of them; None where there is none."""
        if cmd_name not in _MODULES:
            return None
        found = getattr(import_module(f"penstock.cli.{_MODULES[cmd_name]}"), cmd_name)
        assert isinstance(found, click.Command)
        return found
