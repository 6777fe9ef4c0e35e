"""What is made of the measurements: medians, ratios within a round, targets. Pure arithmetic.

A ratio is taken inside each round, between two arms that ran a minute apart on the same machine in
the same session, and the median of these ratios counts: the machine's own ups and downs cancel.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Arm:
    """What is measured under one name.

    Args:
        name: Key in the results.
        records: Records a round.
        spark: Spark's version and master.
        features: Features of a record, identifier and event time included.
        latency_ms: How long the stub waits before each answer.
        tls: Whether the stub is spoken to over TLS.
        in_flight: Requests under way at once, per process.
        marker_ms: Put-if-absent latency of the markers' storage beside the disk's own.
    """

    name: str
    records: int
    spark: str
    features: int = 20
    latency_ms: float = 0.0
    tls: bool = False
    in_flight: int = 1
    marker_ms: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One arm in one round."""

    arm: str
    round: int
    cpu_s_per_1k: float
    records_per_s: float


@dataclass(frozen=True)
class Target:
    """One line of the targets: the value, and what it must not be above, or below."""

    what: str
    value: float | None
    most: float | None = None
    least: float | None = None

    @property
    def hit(self) -> bool | None:
        """Whether it is met; None where it was not measured."""
        if self.value is None:
            return None
        over = self.most is not None and self.value > self.most
        under = self.least is not None and self.value < self.least
        return not (over or under)


#: Name of a ratio → (dearer arm, cheaper arm); CPU seconds of the first over those of the second.
RATIOS = {
    "put_vs_connector": ("connector_put", "online_put"),
    "put_vs_boto3": ("boto3_put", "online_put"),
    "batch_vs_connector": ("connector_batch", "online_batch"),
    "batch_vs_boto3": ("boto3_batch", "online_batch"),
    "ingest_put_vs_connector": ("connector_put", "ingest_put"),
    "ingest_batch_vs_connector": ("connector_batch", "ingest_batch"),
}
_SAMPLED = ("cpu_s_per_1k", "records_per_s")


def document(
    arms: Iterable[Arm], samples: Sequence[Sample], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole result as JSON values; ``facts`` says when, where and with what it was made."""
    found: dict[str, Any] = {}
    for arm in arms:
        own = [one for one in samples if one.arm == arm.name]
        if own:
            about = asdict(arm)
            spreads = {name: spread([getattr(one, name) for one in own]) for name in _SAMPLED}
            found[about.pop("name")] = {**spreads, **about, "rounds": len(own)}
    spans = {name: ratio(samples, *pair) for name, pair in RATIOS.items()}
    known = {name: span for name, span in spans.items() if span is not None}
    made: dict[str, Any] = {
        "arms": found,
        "ratios": {name: span["median"] for name, span in known.items()},
        "ratio_spans": known,
        "made": dict(facts),
    }
    made["targets"] = [{**asdict(one), "hit": one.hit} for one in targets(made)]
    return made


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and greatest, to four digits that count."""
    middle = statistics.median(values)
    return {"min": _rounded(min(values)), "median": _rounded(middle), "max": _rounded(max(values))}


def ratio(samples: Sequence[Sample], dearer: str, cheaper: str) -> dict[str, float] | None:
    """CPU of one arm over that of another, round by round; None where they share no round."""
    costs = {(one.arm, one.round): one.cpu_s_per_1k for one in samples}
    shared = [
        number for arm, number in costs if arm == dearer and costs.get((cheaper, number), 0.0) > 0
    ]
    if not shared:
        return None
    return spread([costs[dearer, number] / costs[cheaper, number] for number in shared])


def targets(made: Mapping[str, Any]) -> list[Target]:
    """The product's targets beside what was found."""

    def cost(arm: str) -> float | None:
        return _median(made, arm, "cpu_s_per_1k")

    def rate(arm: str) -> float | None:
        return _median(made, arm, "records_per_s")

    def times(ratio: str) -> float | None:
        found: dict[str, float] = made["ratios"]
        return found.get(ratio)

    put, batch, ingest = "online put", "online batch", "ingest put"
    over_connector, over_boto3 = "connector's CPU over ours", "boto3's CPU over ours"
    return [
        Target(f"{put}, CPU s per 1,000 records", cost("online_put"), most=0.05),
        Target(f"{put}, {over_connector}", times("put_vs_connector"), least=4),
        Target(f"{put}, {over_boto3}", times("put_vs_boto3"), least=20),
        Target(f"{batch}, CPU s per 1,000 records", cost("online_batch"), most=0.03),
        Target(f"{batch}, {over_connector}", times("batch_vs_connector"), least=1.3),
        Target(f"{batch}, {over_boto3}", times("batch_vs_boto3"), least=8),
        Target(f"{ingest}, {over_connector}", times("ingest_put_vs_connector"), least=2.5),
        Target(f"{put} at 10 ms, records/s of one worker", rate("online_put_10ms"), least=12_000),
        Target(
            f"{batch} at 10 ms, records/s of one worker", rate("online_batch_10ms"), least=50_000
        ),
    ]


def _median(made: Mapping[str, Any], arm: str, what: str) -> float | None:
    found = made["arms"].get(arm)
    return None if found is None else float(found[what]["median"])


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
