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

READABLE = 1_000  # rows of a JSON document that is laid out for people
PLAIN_WIDTH = 160  # columns where standard output is no terminal


def show(head: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> None:
    """A table; numbers to the right with separators, None as nothing.

    Where it is too wide for the terminal and has few rows, it is turned: a column a row.
    """
    plain = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(width=width or plain, highlight=False)
    listed = [[*row] for row in rows]
    if _width(head, listed) > console.width and len(listed) < len(head):
        turned = [[name, *(row[n] for row in listed)] for n, name in enumerate(head)]
        head, listed = [str(one) for one in turned[0]], turned[1:]
    console.print(_table(head, listed))


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for n, name in enumerate(head):
        right = bool(rows) and all(_is_number(row[n]) for row in rows)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(one)) for one in row))
    return table


def _width(head: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    """Columns of the terminal the table needs so that nothing is folded."""
    lines = [head, *([_text(one) for one in row] for row in rows)]
    return sum(max(len(line[n]) for line in lines) + 3 for n in range(len(head)))


def plain(value: object) -> str | None:
    """A value as it is, without separators; None stays."""
    return None if value is None else str(value)


def show_change(
    what: str, action: str, differences: Iterable[str], *, check_only: bool, err: bool
) -> None:
    """One thing on AWS that is, was or would be changed, and in what."""
    did = {"create": "created", "update": "updated", "none": "unchanged"}
    would = {"create": "is not there", "update": "differs", "none": "agrees"}
    click.echo(f"{what}: {(would if check_only else did)[action]}", err=err)
    for line in differences:
        click.echo(f"  {line}", err=err)


def show_json(value: Any, *, err: bool = False) -> None:
    """One JSON document, times as ISO text; laid out for people where it is not too long."""
    # Only without indentation is it encoded in C, which takes a tenth of the time.
    indent = None if isinstance(value, list) and len(value) > READABLE else 2
    click.echo(json.dumps(value, indent=indent, default=str, ensure_ascii=False), err=err)


def show_rows(rows: Iterable[str]) -> None:
    """A JSON array of rows that are JSON already, one a line."""
    lines = ",\n".join(rows)
    click.echo(f"[\n{lines}\n]" if lines else "[]")


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
