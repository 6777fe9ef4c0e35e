"""The join's results as people read them, and what they are held to. Every number is measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench import report
from bench.figures import Target

Document = Mapping[str, Any]

#: Arms that answer a point-in-time question; the others' answer is another one.
RIGHT = ("penstock", "duckdb", "window", "feast", "spark_asof")
WHO = {
    "penstock": "penstock",
    "penstock_skewed": "penstock, 30 % of the rows on one identifier",
    "duckdb": "DuckDB, `ASOF LEFT JOIN`, one process",
    "window": "Spark, a window written by hand",
    "feast": "Spark SQL as Feast's template writes it: range join, then row_number",
    "spark_asof": "Spark's own as-of join (`pyspark.pandas.merge_asof`)",
    "sdk": "Spark SQL as the SageMaker SDK's DatasetBuilder writes it (many rows a label)",
}


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def targets(made: Document) -> list[dict[str, Any]]:
    """What is aimed at (design, targets), and what was found: ``hit`` is None if not measured."""

    def wall(arm: str, size: str) -> float | None:
        value = made["arms"].get(arm, {}).get(size, {}).get("wall_s")
        return None if value is None else float(value)

    def over(one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else round(one / other, 2)

    ours, large = wall("penstock", "10^7"), "at 10^7 rows"
    feast = made["arms"].get("feast", {}).get("10^7", {})
    theirs = feast.get("wall_s", feast.get("timed_out_s"))
    skewed, smaller = wall("penstock_skewed", "10^7"), wall("penstock", "10^6")
    found = (
        Target("penstock's time for 10^7 rows over that for 10^6", over(ours, smaller), most=12),
        Target(f"the template's time over penstock's {large}", over(theirs, ours), least=3),
        Target(
            f"penstock's time over DuckDB's {large}", over(ours, wall("duckdb", "10^7")), most=8
        ),
        Target(
            f"penstock's time with a skewed identifier over that without {large}",
            over(skewed, ours),
            most=2,
        ),
    )
    return [{**asdict(one), "hit": one.hit} for one in found]


def disagreements(made: Document) -> list[str]:
    """Arms that should answer alike and do not, with the size; a skewed arm has its own data."""
    arms = {name: made["arms"][name] for name in RIGHT if name in made["arms"]}
    found = []
    for name, sizes in arms.items():
        for size, one in sizes.items():
            others = [arm[size]["answer"] for arm in arms.values() if "answer" in arm[size]]
            if "answer" in one and one["answer"] != others[0]:
                found.append(f"{name} at {size}: {one['answer']}, not {others[0]}")
    return found


def table(made: Document) -> list[str]:
    """A line an arm and size."""
    lines = [f"{'arm':16} {'rows':>6} {'wall s':>9} {'CPU s':>9} {'rows out':>12}"]
    for name, sizes in made["arms"].items():
        for size, one in sizes.items():
            if "wall_s" in one:
                figures = f"{one['wall_s']:9.2f} {one['cpu_s']:9.2f} {one['answer']['rows']:>12,}"
            else:
                figures = f"more than {one['timed_out_s']:g} s"
            lines.append(f"{name:16} {size:>6} {figures}")
    return lines


def page(made: Document) -> str:
    """docs/point-in-time.md."""
    sizes = list(next(iter(made["arms"].values())))
    rows = [(WHO[name], *map(_cell, arm.values())) for name, arm in made["arms"].items()]
    arms = report.markdown(("", *sizes), rows)
    return _PAGE.format(**made["made"], table=arms, targets=report.targets(made))


def _cell(one: Document) -> str:
    if "wall_s" not in one:
        return f"more than {one['timed_out_s']:g} s"
    return f"{one['wall_s']:.1f} ({one['cpu_s']:.1f})"


_PAGE = """# What a point-in-time join costs

Written by `make bench-join` on {date}; every figure comes from `bench/results/join.json`. One run
of {minutes} minutes on {cores} cores ({machine}), Spark {spark}, DuckDB {duckdb}, each arm in a
process of its own. Feature rows as named, {per_key} an identifier, one label every {per_label}
rows, a year, four feature columns, Parquet in and Parquet out. Wall seconds, CPU seconds of the
whole process tree in brackets: the median of two or three runs after one that warms up. A run that
took more than {timeout_s:g} s was ended.

{table}

All but the last arm answer with one row a label, and with the same rows: checked in each run.
penstock's is the join of `penstock dataset build`, on Spark's executors: rows of both sides are
shuffled by identifier, and the as-of step works on Arrow columns inside each task. The data set's
manifest and its count of what a naive join would have spoiled are not in these figures.

## Targets

{targets}
"""
