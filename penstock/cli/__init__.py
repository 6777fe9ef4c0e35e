"""The ``penstock`` command."""

from penstock.cli.program import main

__all__ = ["main"]
