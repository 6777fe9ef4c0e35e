"""docs/matrix.md out of the results of ``make matrix``; before it was run the page says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = """# Versions that were run

Each line is an environment of its own, made from the pins in `constraints/`: the flights pipeline
from raw files to both stores of four feature groups, in an embedded AWS, and the tests of
`tests/service`. `make matrix` runs all of it and writes this page; `penstock doctor` compares what
is installed with the same pins.

"""
_AFTER = """
*wheel*: penstock is the wheel that `make dist` builds, and nothing of the checkout is on the path.
*oldest*: the lowest versions of the ranges in `pyproject.toml` (`constraints/oldest.txt`). There
the tests of the embedded AWS are left out, and those of operations its boto3 does not know are
skipped.
Spark on EMR and Glue is not this Spark: [what is not verified on AWS](not-verified.md).
"""
NOT_RUN = (
    f"{_HEAD}**Not run yet on this version**: `make matrix` writes the table here, with the date.\n"
    f"{_AFTER}"
)
_COLUMNS = (
    "leg",
    "run on",
    "Spark",
    "Python",
    "Delta",
    "boto3",
    "pyarrow",
    "flights",
    "service tests",
)


def page(made: Mapping[str, Any]) -> str:
    """The page."""
    lines = [
        f"On {made['machine']}.\n",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
        *(f"| {' | '.join(_cells(one))} |" for one in made["legs"]),
    ]
    return f"{_HEAD}{chr(10).join(lines)}\n{_AFTER}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    there = row.get("versions", {})
    head = [
        row["leg"],
        row["date"],
        there.get("pyspark", row["spark"]),
        there.get("python", row["python"]),
        *(there.get(one, "") for one in ("delta-spark", "boto3", "pyarrow")),
    ]
    if row["state"] == "not run":
        return [*head, f"not run: {row['why']}", "not run"]
    if "flights" in row:
        groups = f"{len(row['flights'])} groups, {sum(row['flights'].values()):,} rows"
    else:
        groups = f"FAILED: {row.get('why', '')}"
    tests = row.get("tests") or {}
    figures = ", ".join(f"{count} {name}" for name, count in tests.items())
    if row["state"] == "failed" and "flights" in row:
        figures = f"FAILED: {figures or row.get('why', '')}"
    return [*head, groups, figures or "not run"]
