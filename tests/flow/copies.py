"""Copies of the package with snippets replaced, to be first on the path of a real run.

The product knows nothing of it: what a copy does is in the copy alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import penstock


def copied(folder: Path) -> Path:
    """A copy of the package in ``folder``; answers the folder."""
    source = Path(penstock.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "_project")
    shutil.copytree(source, folder / "penstock", ignore=ignored)
    return folder


def change(folder: Path, module: str, snippet: str, replaced: str, count: int = 1) -> None:
    """Replace the first of a snippet in a copy.

    Args:
        folder: Of the copy.
        module: File below the package.
        snippet: Stands there.
        replaced: What stands there instead.
        count: How often the snippet must be there.
    """
    file = folder / "penstock" / module
    text = file.read_text(encoding="utf-8")
    assert text.count(snippet) == count, f"{module}: {text.count(snippet)} of {snippet!r}"
    file.write_text(text.replace(snippet, replaced, 1), encoding="utf-8")
