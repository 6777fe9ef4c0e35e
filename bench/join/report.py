"""The join's results as people read them, and what they are held to. Every number is measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

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
        found = made["arms"].get(arm, {}).get(size, {})
        value = found.get("wall_s")
        return None if value is None else float(value)

    def line(what: str, over: float | None, under: float | None, **limit: float) -> dict[str, Any]:
        value = None if over is None or under is None else round(over / under, 2)
        hit = None
        if value is not None:
            hit = value <= limit["most"] if "most" in limit else value >= limit["least"]
        return {"what": what, "value": value, **limit, "hit": hit}

    ours, large = wall("penstock", "10^7"), "at 10^7 rows"
    feast = made["arms"].get("feast", {}).get("10^7", {})
    other = feast.get("wall_s", feast.get("timed_out_s"))
    return [
        line("penstock's time for 10^7 rows over that for 10^6", ours, wall("penstock", "10^6"),
             most=12),
        line(f"the template's time over penstock's {large}", other, ours, least=3),
        line(f"penstock's time over DuckDB's {large}", ours, wall("duckdb", "10^7"), most=8),
        line(f"penstock's time with a skewed identifier over that without {large}",
             wall("penstock_skewed", "10^7"), ours, most=2),
    ]  # fmt: skip


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


def verdict(made: Document) -> list[str]:
    """A line a target."""
    return [
        f"{_word(one):8} {one['what']}: {_found(one)} ({_limit(one)})" for one in made["targets"]
    ]


def page(made: Document) -> str:
    """docs/point-in-time.md."""
    sizes = list(next(iter(made["arms"].values())))
    rows = [f"| | {' | '.join(sizes)} |", f"|---|{'---|' * len(sizes)}"]
    rows += [
        f"| {WHO[name]} | {' | '.join(_cell(one) for one in arm.values())} |"
        for name, arm in made["arms"].items()
    ]
    held = ["| target | found | limit | |", "|---|---|---|---|"]
    held += [
        f"| {one['what']} | {_found(one)} | {_limit(one)} | {_word(one)} |"
        for one in made["targets"]
    ]
    return _PAGE.format(**made["made"], table="\n".join(rows), targets="\n".join(held))


def _cell(one: Document) -> str:
    if "wall_s" not in one:
        return f"more than {one['timed_out_s']:g} s"
    return f"{one['wall_s']:.1f} ({one['cpu_s']:.1f})"


def _found(target: Document) -> str:
    return "not measured" if target["value"] is None else f"{target['value']:.2f}"


def _limit(target: Document) -> str:
    return f"≤ {target['most']:g}" if "most" in target else f"≥ {target['least']:g}"


def _word(target: Document) -> str:
    return {True: "hit", False: "MISSED", None: "unknown"}[target["hit"]]


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
