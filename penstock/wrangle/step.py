"""A step of a flow: what it is called, what it is told, what it learns, what it does.

One class an operator, its fields the settings. The same step comes from our YAML, where it is named
by ``kind`` and its settings by the fields, and from a ``.flow`` file, where ``flow`` says under
which operator and choice it is found there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import PenstockError, UsageError
from penstock.wrangle.call import Call, Code, State, Value

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

DEFAULT = "default"
#: Settings of many steps.
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Stale(Exception):  # noqa: N818 - no error: the step is fitted anew, with a warning
    """State that was stored is not that of these settings, or cannot be read: ``str`` says why."""


class Step(BaseModel):
    """Base of all steps. Frozen; unknown settings are refused; text that is a number is one.

    A step is pure: the same settings, state and rows give the same rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    #: Its name in our YAML.
    kind: ClassVar[str]
    #: Where ``.flow`` files have it: (operator's family, choice); choice '' where there is none.
    flow: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: How many frames go in.
    takes: ClassVar[int] = 1
    #: Whether it learns from data before it is applied.
    fits: ClassVar[bool] = False
    #: Whether it runs code that the flow holds.
    holds_code: ClassVar[bool] = False
    #: Why it cannot be applied to a stream, row by row; '' where it can (once it is fitted).
    waits_for: ClassVar[str] = ""

    @classmethod
    def from_flow(cls, choice: str, parameters: Mapping[str, Value]) -> Step:
        """The step of a ``.flow`` node.

        Args:
            choice: As in ``flow``.
            parameters: All of the node's; :func:`chosen` gives the block that counts.

        Raises:
            pydantic.ValidationError: Parameters that do not fit.
            UsageError: The same, in our own words.
            NotImplementedError: Settings that penstock does not run; says which. Of all three only
                what needs the node is refused.
        """
        raise NotImplementedError(f"{cls.kind} is not read from .flow files")

    def fit(self, frame: DataFrame) -> State:
        """What the step learns from a frame, as plain values. Runs Spark jobs."""
        raise PenstockError(f"{self.kind} has nothing to learn")

    def stored(self, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
        """State from a ``.flow`` node's ``trained_parameters``.

        Args:
            trained: As in the file; nested as the parameters are.
            parameters: The node's, as in the file: their hash is over what is written there.

        Raises:
            Stale: It is that of other settings, or is no model.
        """
        raise Stale("no state is stored for this operator")

    def settled(self, state: State, frame: DataFrame) -> State:
        """Stored state, with what it leaves open found in the rows.

        Raises:
            UsageError: The rows are none it can be applied to.
        """
        return state

    def calls(self, state: State) -> Sequence[Call | Code]:
        """What it does, given what it learnt (nothing where it does not fit)."""
        raise NotImplementedError

    def calls_of(self, output: str, state: State) -> Sequence[Call | Code]:
        """What gives one of its outputs."""
        return self.calls(state)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of its first input that must be there; checked before it runs."""
        named: tuple[str, ...] = getattr(self, "columns", ())
        column: str = getattr(self, "column", "")
        return (*named, column) if column else tuple(named)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what comes out."""
        return (DEFAULT,)

    def losses(self, frame: DataFrame, state: State) -> Mapping[str, Column]:
        """Values the step silently loses: by what happens, which rows of its input it happens to.

        Counted while the flow runs and warned of. The text reads after a number:
        ``'values of age are no whole numbers and become null'``.
        """
        return {}

    def cautions(self) -> Sequence[str]:
        """What is to be known about these settings, a sentence each; ``flow lint`` says it."""
        return ()

    def sentence(self) -> str:
        """What it does, as a recipe says it: ``'Fill missing values of age with 0'``."""
        raise NotImplementedError


def stored_in(step: Step, trained: Mapping[str, Value], parameters: Mapping[str, Value]) -> State:
    """:meth:`Step.stored`, whatever a file holds: people edit these files.

    Raises:
        Stale: As there; or it is not written as Data Wrangler writes it.
    """
    try:
        return step.stored(trained, parameters)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise Stale(
            f"its stored state is not as Data Wrangler writes it ({type(error).__name__})"
        ) from error


def chosen(parameters: Mapping[str, Value], choice: str) -> dict[str, Value]:
    """The block of parameters that a choice names; those of other choices are stale.

    'One-hot encode' names ``one_hot_encode_parameters``; time series keep the blanks and capitals.
    Settings that are null are left out: they are not set.
    """
    for key in (f"{choice}_parameters", block_name(choice)):
        if isinstance(parameters.get(key), Mapping):
            return {name: one for name, one in parameters[key].items() if one is not None}
    return {}


def of_vectors(style: str) -> list[str]:
    """What makes a vector of little use; nothing of columns."""
    if style == "vector":
        return ["a vector is no feature's value: a feature group holds it as text"]
    return []


def block_name(choice: str) -> str:
    """``one_hot_encode_parameters`` of 'One-hot encode'."""
    return f"{choice.lower().replace('-', '_').replace(' ', '_')}_parameters"


def names(value: Value) -> tuple[str, ...]:
    """``input_column`` of a ``.flow``: text in old ones, a list in newer."""
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(value or ())


def output_names(columns: Sequence[str], output: str) -> dict[str, str]:
    """Where results go, by column: in place without ``output``, which else names the one result.

    With several columns it is a prefix, ``<output>_<column>`` (facts: wrangler, 1.2).
    """
    if not output:
        return {one: one for one in columns}
    if len(columns) == 1:
        return {columns[0]: output}
    return {one: f"{output}_{one}" for one in columns}


def check_columns(step: str, wanted: Sequence[str], there: Sequence[str]) -> None:
    """Every column a step names is there.

    Raises:
        UsageError: One is not; says which and what there is.
    """
    lacking = [one for one in wanted if one not in there]
    if lacking:
        raise UsageError(
            f"{step}: no column {', '.join(map(repr, lacking))}",
            f"There are: {', '.join(there)}",
        )


def listed(columns: Sequence[str], most: int = 5) -> str:
    """Columns in a sentence; a long list is cut."""
    shown = ", ".join(columns[:most])
    return shown if len(columns) <= most else f"{shown} and {len(columns) - most} more"
