"""Results on standard output: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160  # columns where standard output is no terminal


def show(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; numbers to the right with separators, None as nothing."""
    wide = None if sys.stdout.isatty() else PLAIN_WIDTH
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    listed = [list(row) for row in rows]
    for n, name in enumerate(head):
        right = bool(listed) and all(_is_number(row[n]) for row in listed)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(_text(one)) for one in row))
    Console(width=wide, highlight=False).print(table)


def show_json(value: Any) -> None:
    """One JSON document, times as ISO text."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return value.replace(",", "").replace(".", "").isdigit()
    return value is None or isinstance(value, (int, float))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}" if isinstance(value, int) else str(value)
