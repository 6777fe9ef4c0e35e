"""The results as people read them: lines on a terminal, and docs/performance.md.

Every number comes out of ``bench/results/online.json``; none is typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]

_SIDES = ("connector", "boto3", "online", "ingest")


def table(made: Document) -> list[str]:
    """A line an arm: CPU seconds per 1,000 records and records a second, median [least..most]."""
    head = f"{'arm':26} {'CPU s / 1,000':28} {'records/s':>26}"
    return [head, *(_line(name, arm) for name, arm in made["arms"].items())]


def verdict(made: Document) -> list[str]:
    """A line a target: what was found, what was wanted, hit or MISSED."""
    return [
        f"{_word(one):8} {one['what']:46} {_value(one['value']):>8}  ({_limit(one)})"
        for one in made["targets"]
    ]


def page(made: Document) -> str:
    """docs/performance.md."""
    facts = made["made"]
    parts = [
        _HEAD.format(**facts, **_counts(made)),
        _side_by_side(made),
        _AFTER_SIDES,
        markdown(("arm", *_COLUMNS), _rows(made, "_10ms")),
        _ALONE,
        markdown(("arm", *_COLUMNS), _others(made)),
        "\n## Targets\n",
        targets(made),
        *_misses(made),
        _TAIL,
    ]
    return "\n".join(parts)


_COLUMNS = ("CPU s per 1,000 records", "records/s", "records a round", "in flight")


def _line(name: str, arm: Document) -> str:
    cpu, rate = arm["cpu_s_per_1k"], arm["records_per_s"]
    costs = f"{cpu['median']:.4f} [{cpu['min']:.4f}..{cpu['max']:.4f}]"
    rates = f"{rate['median']:,.0f} [{rate['min']:,.0f}..{rate['max']:,.0f}]"
    return f"{name:26} {costs:28} {rates:>26}"


def _word(target: Document) -> str:
    return {True: "hit", False: "MISSED", None: "unknown"}[target["hit"]]


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _limit(target: Document) -> str:
    if target["most"] is not None:
        return f"at most {target['most']:g}"
    return f"at least {target['least']:,g}"


def _counts(made: Document) -> dict[str, Any]:
    arms = made["arms"]
    return {"arms": len(arms), "spark": next(iter(arms.values()))["spark"]}


def _side_by_side(made: Document) -> str:
    names = [f"{side}_{api}" for api in ("put", "batch") for side in _SIDES]
    sides = [name for name in names if name in made["arms"]]
    ratios = [
        (f"`{name}`", f"{span['median']:.3g}", f"{span['min']:.3g} to {span['max']:.3g}")
        for name, span in made["ratio_spans"].items()
    ]
    return "\n".join(
        [
            markdown(("arm", *_COLUMNS), [_row(name, made["arms"][name]) for name in sides]),
            "",
            markdown(("ratio of CPU", "median of the rounds", "from, to"), ratios),
        ]
    )


def _rows(made: Document, suffix: str) -> list[tuple[str, ...]]:
    return [_row(name, arm) for name, arm in made["arms"].items() if name.endswith(suffix)]


def _others(made: Document) -> list[tuple[str, ...]]:
    known = {f"{side}_{api}" for side in _SIDES for api in ("put", "batch")}
    return [
        _row(name, arm)
        for name, arm in made["arms"].items()
        if name not in known and not name.endswith("_10ms")
    ]


def _row(name: str, arm: Document) -> tuple[str, ...]:
    cpu, rate = arm["cpu_s_per_1k"], arm["records_per_s"]
    return (
        f"`{name}`",
        f"**{cpu['median']:.4f}** [{cpu['min']:.4f} to {cpu['max']:.4f}]",
        f"{rate['median']:,.0f}",
        f"{arm['records']:,}",
        str(arm["in_flight"]),
    )


def targets(made: Document) -> str:
    """The targets as a table of a page."""
    lines = [
        (one["what"], _limit(one), _value(one["value"]), _word(one)) for one in made["targets"]
    ]
    return markdown(("what", "target", "found", ""), lines)


def ideas(what: str) -> list[str]:
    """What is known of a target that was missed, and the next idea."""
    return [text for place, text in _IDEAS.items() if place in what]


def _misses(made: Document) -> list[str]:
    """What is known of the targets that were missed; nothing where none was."""
    missed = [one["what"] for one in made["targets"] if one["hit"] is False]
    known = dict.fromkeys(text for one in missed for text in ideas(one))
    return ["\n## Missed, and the next idea\n", _PROFILES, *known] if missed else []


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of a page."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_PROFILES = """\
`bench/results/profile-put.txt` and `profile-batch.txt` say where the thread that sends spends its
time; they are written by the same run.
"""

#: Part of a target's name → what to do about it.
_IDEAS = {
    "CPU s per": """\
- **Seconds of CPU.** They are of the machine named above; ratios travel between machines, seconds
  do not. The targets were set on another one, where the same arms cost about half.
""",
    "online put": """\
- **PutRecord against the peers.** The connector gets cheaper for some rounds after its warm-up,
  because the JVM goes on compiling. Ours is nearly all in the Python worker, in about a hundred
  Python calls a request.
  Of its time a quarter is the sender's decisions (order, limiter, figures), a fifth encoding, an
  eighth signing, a tenth reading the answer, the rest connections and the kernel. Four times is out
  of reach of one Python call per decision. Next: decide for a run of rows at once (one turn at the
  limiter, one entry in the figures, no object for a row until it is refused), which leaves about
  the calls of a batch; after that only compiled code is cheaper.
""",
    "online batch": """\
- **BatchWriteRecord against the peers.** Half of the thread's time is waiting for the server; of
  the rest the kernel's share of sending is the largest. Next: nothing before PutRecord is cheaper.
""",
    "ingest put": """\
- **A whole DataFrame against the connector.** It sends, and besides that shuffles and
  sorts by identifier, gates, writes what is staged twice (rows for the offline store, rows to send)
  and a manifest, none of which the connector does. Next: what makes sending cheaper, above; then
  one file instead of two where every row is the latest of its identifier; then the shuffle.
""",
    "10 ms": """\
- **Records a second at 10 ms.** One thread sends as fast as its core allows, above; that is what
  a second holds. Next: what makes a record cheaper; more requests under way change nothing then.
""",
}

_HEAD = """# What a record costs

<!-- Written by `python -m bench.online --docs` from bench/results/online.json; edits are lost. -->

`make bench-online` sends the same rows in eight ways inside one Spark session and counts CPU
seconds. It takes half an hour on two cores and needs Go, Java 17 and Python 3.11; the Spark 3.5
environment with AWS's connector it makes itself. The figures below are of {date}, {cores} cores
({processor}), Spark {spark}, Python {python}, Java {java}, connector {connector}, boto3 {boto3},
pyarrow {pyarrow}; {rounds} rounds, {minutes} minutes.

## How it is measured

- **CPU seconds per 1,000 records**, user and system, of the whole process tree: driver, JVM and
  Python workers, from `/proc`. The server is left out. A core that does nothing else sends
  1,000 divided by that figure in a second; that is what a cluster is paid for.
- **Interleaved**: all arms of a table take turns in one session, every other round backwards, after
  each has sent its rows once to warm up (JIT, connections, pace). The JVM's heap is collected
  before each turn, so that nobody pays for another's garbage. Tables show median [least to most].
- **Ratios** are taken within a round, between arms that ran minutes apart; their median counts.
- **The server** is a stub of the project's own (`bench/stub`, Go): HTTP/1.1 with keep-alive, every
  request's signature recomputed, an answer at once or after a set time. In the warm-up it also
  parses every body whole and counts distinct identifiers and features. Each round the records it
  counted must be those that were to be sent, and none refused, or the run ends.
- **The rows**: 20 features (an identifier, an event time, four integers, twelve doubles of full
  length, two texts), 1.4 KB of JSON a record; a session token of a role's length.
- One task at a time (`local[1]`): a figure is of one executor core and its share of the driver.

## What is in an arm

- `boto3_put`, `boto3_batch`: `foreachPartition` over rows, one client a partition, standard
  retries; PutRecord a row, or BatchWriteRecord for 25.
- `connector_put`, `connector_batch`: AWS's `sagemaker-feature-store-pyspark`, its defaults, and
  `use_batch_write_record=True`. One request is under way at a time.
- `online_put`, `online_batch`: penstock's ONLINE step from a staged Parquet file to the fold of its
  markers, as a Spark job: retries, pacing, markers every 1,000 records and dead letters are on.
- `ingest_put`, `ingest_batch`: `penstock.ingest` of a cached DataFrame from the claim to
  ONLINE_DONE: a shuffle by identifier, the gate with four rules, staged files and manifest, then
  the above. boto3 and the connector send the same cached DataFrame and validate nothing like it.

## Side by side, no latency
"""

_AFTER_SIDES = """
## At 10 ms

What an answer takes decides here, and how many requests are under way. The peers send few rows
one at a time; penstock sends many with enough in flight. Records a second are of one worker.
"""

_ALONE = """
## penstock alone

More and fewer features, TLS, and markers whose storage takes 2 ms and 40 ms longer to put one.
"""

_TAIL = """
## What this does not say

- Nothing here was measured on AWS: not its latency, not its quotas, not its billing. The default
  quota of an account is below what one core can send; beyond it a lower CPU figure saves money,
  not time.
- The stub does no work of a service: it stores nothing and never throttles. Throttling, faults and
  retries are tested elsewhere (`make prove ISSUE=4`), not timed.
- Client and server share one machine: records a second at 0 ms are a lower bound.
- Short jobs cost more per record: a session, a JIT and a first connection are spread over less.
"""
