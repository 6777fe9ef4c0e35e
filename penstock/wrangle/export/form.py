"""Cells as a Jupyter notebook (nbformat 4.5) or as a script."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from penstock.wrangle.export.steps import Cell


def notebook(cells: Sequence[Cell]) -> str:
    """The notebook's JSON; the same cells give the same text."""
    made = [_cell(number, one) for number, one in enumerate(cells)]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    whole = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def script(cells: Sequence[Cell]) -> str:
    """A Python file; Markdown as comments, cells as ``# %%`` (editors take these for cells)."""
    return "\n\n".join(_block(one) for one in cells) + "\n"


def _cell(number: int, cell: Cell) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cell_type": "code" if cell.code else "markdown",
        "id": hashlib.sha256(f"{number} {cell.text}".encode()).hexdigest()[:12],
        "metadata": {"tags": list(cell.tags)} if cell.tags else {},
        "source": cell.text.splitlines(keepends=True),
    }
    return {**found, "execution_count": None, "outputs": []} if cell.code else found


def _block(cell: Cell) -> str:
    if cell.code:
        return f"# %%\n{cell.text}"
    lines = "\n".join(f"# {one}".rstrip() for one in cell.text.splitlines())
    return f"# %% [markdown]\n{lines}"
