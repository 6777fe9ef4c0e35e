"""Run a flow: fit what learns, apply what it learnt, in an order where all is there.

Steps mean what they mean without ANSI mode and in UTC (facts: wrangler, 4). Spark fixes both when a
plan is made, so they are pinned while plans are made and jobs of fits run, and put back after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException

from penstock import meaning
from penstock.errors import UsageError
from penstock.wrangle.call import Call, Code, State, made
from penstock.wrangle.flow import Flow, Input, Node, Refused
from penstock.wrangle.losses import Losses
from penstock.wrangle.source import Source
from penstock.wrangle.step import DEFAULT, Stale, Step, check_columns, stored_in

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARSER = "spark.sql.legacy.timeParserPolicy"
#: The session as flows mean it.
PINNED = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    PARSER: "CORRECTED",
}


@contextmanager
def pinned(spark: SparkSession, settings: Mapping[str, str] = PINNED) -> Iterator[None]:
    """The session as flows mean it, or under other settings; as it was, after."""
    before = {key: spark.conf.get(key, None) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


@dataclass(frozen=True)
class Fitted:
    """What steps learnt, by node: ``{"hash": …, "state": …}``. Plain JSON.

    The hash is over the step's settings and those of all it comes from: after a change of an
    earlier step it is learnt anew.
    """

    states: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def of(self, node: Node, digest: str) -> State | None:
        """A node's state, if it is that of this hash."""
        found = self.states.get(node.id)
        if found is None or found["hash"] != digest:
            return None
        state: State = found["state"]  # type: ignore[assignment]  # JSON we wrote
        return state

    @classmethod
    def parse(cls, text: str, name: str) -> Fitted:
        """What :meth:`text` wrote.

        Raises:
            UsageError: It is something else.
        """
        try:
            states = json.loads(text)
            if all({"hash", "state"} <= set(one) for one in states.values()):
                return cls(states)
        except (ValueError, AttributeError, TypeError):
            pass
        raise UsageError(f"{name}: not what 'penstock flow fit' writes", "Fit the flow anew")

    @property
    def text(self) -> str:
        """As JSON, for a file beside the flow."""
        return json.dumps(self.states, indent=1, sort_keys=True, allow_nan=False) + "\n"


@dataclass
class Run:
    """One run over one flow's graph.

    Args:
        flow: What to run.
        read: Gives a source's rows.
        fitted: What steps learnt before.
        refit: Whether to learn all anew.
        may_fit: Whether a step that knows nothing yet may learn; else that is an error.
        allow_code: Whether code in the flow may run.
        say: Told what is being done.
        warn: Told what is odd.
        losses: Counts what steps lose, while rows pass.
    """

    flow: Flow
    read: Callable[[Source], DataFrame]
    fitted: Fitted = field(default_factory=Fitted)
    refit: bool = False
    may_fit: bool = True
    allow_code: bool = False
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None
    losses: Losses | None = None
    calls: dict[Input, Sequence[Call | Code]] = field(default_factory=dict)
    states: dict[str, dict[str, object]] = field(default_factory=dict)
    _frames: dict[Input, DataFrame] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)

    def frame(self, wanted: Input) -> DataFrame:
        """An output's rows, lazily; fits run now.

        Raises:
            UsageError: A node that is refused, code that is not allowed, a column that is missing.
        """
        for node in self.flow.order([wanted.node]):
            if node.id not in self._digests:
                self._digests[node.id] = self._digest(node)
                self._make(node)
        return self._frames[wanted]

    def watched(self, wanted: Input) -> tuple[DataFrame, Losses]:
        """The same rows as :meth:`frame` gives, and counters that are full once they are computed.

        Jobs of fits read but a part of the rows, some of them; so the counters are put in after.
        """
        self.frame(wanted)
        fitted, losses = Fitted(self.states), Losses()
        read = self.flow.sources.keys() & self._digests.keys()  # and not read again
        again = Run(
            self.flow,
            self.read,
            fitted,
            allow_code=self.allow_code,
            losses=losses,
            _frames={Input(one): self._frames[Input(one)] for one in read},
            _digests={one: self._digests[one] for one in read},
        )
        return again.frame(wanted), losses

    def _make(self, node: Node) -> None:
        does = node.does
        if isinstance(does, Refused):
            raise UsageError(f"{self.flow.name}: {does.operator}: {does.reason}")
        if isinstance(does, Source):
            self._frames[Input(node.id)] = self.read(does)
        elif isinstance(does, Step):
            self._apply(node, does)

    def _apply(self, node: Node, step: Step) -> None:
        if step.holds_code and not self.allow_code:
            raise UsageError(
                f"{self.flow.name}: node {node.label} runs code that the flow holds",
                "Read it with 'penstock flow explain', then add --allow-code",
            )
        frames = [self._frames[one] for one in node.inputs]
        if len(frames) != step.takes:
            raise UsageError(
                f"{self.flow.name}: node {node.label} ({step.kind}) takes {step.takes} inputs, "
                f"not {len(frames)}"
            )
        place = f"{self.flow.name}: node {node.label}"
        try:
            check_columns(step.kind, step.reads, frames[0].columns)
            state = self._state(node, step, frames[0]) if step.fits else {}
            if self.losses is not None:
                frames[0] = self.losses.watch(step, frames[0], state)
            for output in step.outputs:
                key = Input(node.id, output)
                self.calls[key] = step.calls_of(output, state)
                self._frames[key] = made(self.calls[key], *frames)
        except UsageError as error:
            raise UsageError(f"{place}: {error.message}", error.remedy) from error
        except AnalysisException as error:
            raise UsageError(f"{place}: {step.kind}: {_said(error)}", _there(frames)) from error

    def _state(self, node: Node, step: Step, frame: DataFrame) -> State:
        digest = self._digests[node.id]
        state = None if self.refit else self.fitted.of(node, digest)
        if state is None:
            state = self._stored(node, step, frame)
        if state is None and not self.may_fit:
            raise UsageError(
                f"nothing is learnt yet for: {step.sentence()}",
                "Fit the flow first: penstock flow fit FLOW --input SOURCE=PATH",
            )
        if state is None:
            self.say(f"fitting {step.sentence()}")
            state = kept(step.kind, step.fit(frame))
        self.states[node.id] = {"hash": digest, "state": state}
        return state

    def _stored(self, node: Node, step: Step, frame: DataFrame) -> State | None:
        """State that the ``.flow`` file holds, where it is of use."""
        if self.refit or not node.trained:
            return None
        try:
            return step.settled(stored_in(step, node.trained, node.parameters), frame)
        except Stale as stale:
            self.warn(f"node {node.label}: {stale}; it is fitted anew")
            return None

    def _digest(self, node: Node) -> str:
        """Hash of what a node means, all before it included."""
        before = [[self._digests[one.node], one.output] for one in node.inputs]
        return meaning.digest([plain(node), before])


def kept(kind: str, state: State) -> State:
    """What a step learnt, if it can be kept as JSON.

    Raises:
        UsageError: A figure is not finite, as a mean of numbers at the end of a double's range.
    """
    try:
        json.dumps(state, allow_nan=False)
    except ValueError as error:
        raise UsageError(
            f"{kind}: what it learns is no finite number",
            "Treat outliers of its columns before, or leave out what is as great",
        ) from error
    return state


def _said(error: AnalysisException) -> str:
    """What Spark found wrong with a plan, in one line."""
    # Spark 4 calls it a condition, and warns of its name of before.
    condition = getattr(error, "getCondition", error.getErrorClass)() or ""
    if condition.startswith("UNRESOLVED_COLUMN"):
        # Spark quotes names as at() does.
        name = (
            (error.getMessageParameters() or {}).get("objectName", "").strip("`").replace("``", "`")
        )
        return f"no column {name!r}"
    lines = [one for one in str(error).splitlines() if one.strip()] or [condition]
    return lines[0][:300]


def _there(frames: Sequence[DataFrame]) -> str:
    return "There are: " + "; ".join(", ".join(one.columns) for one in frames)


def plain(node: Node) -> object:
    """What a node means, as JSON."""
    if isinstance(node.does, Step):
        return [node.does.kind, json.loads(node.does.model_dump_json())]
    if isinstance(node.does, Source):
        return ["source", node.does.name]
    return [type(node.does).__name__, DEFAULT]
