"""A flow as the transform of a pipeline: in batches, in backfills, and in streams where it may be.

What steps learn is learnt once, beforehand, by ``penstock flow fit``; were it learnt from each
window, a category would have another number in each.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING

from penstock import meaning
from penstock.errors import ContractError, UsageError
from penstock.wrangle import document
from penstock.wrangle.flow import Flow, Input
from penstock.wrangle.running import PARSER, PINNED, Fitted, Run, pinned, plain
from penstock.wrangle.source import Source
from penstock.wrangle.step import Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Where a row came from; a flow does not know the column, and would count it in.
_ORIGIN = "_source"


class FlowTransform:
    """``(**frames) -> DataFrame``: what a flow makes of the pipeline's sources.

    Made by :func:`flow`. Rows it gives have no ``_source``: one that the gate puts aside is known
    by its values.
    """

    def __init__(
        self, flow: Flow, wanted: Input, fitted: Fitted, sources: Mapping[str, str], *, code: bool
    ) -> None:
        self.flow, self.wanted, self.fitted = flow, wanted, fitted
        self._sources, self._code = dict(sources), code
        names = [
            inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY) for one in sorted(self._sources)
        ]
        self.__signature__ = inspect.Signature(names)

    def __call__(self, **frames: DataFrame) -> DataFrame:
        """Rows of the flow, lazily.

        Raises:
            UsageError: A step that has learnt nothing yet, or a column that is not there.
        """
        by_source = {self._sources[name]: frame for name, frame in frames.items()}

        def read(source: Source) -> DataFrame:
            return by_source[source.name].drop(_ORIGIN)

        spark = next(iter(frames.values())).sparkSession
        run = Run(self.flow, read, self.fitted, may_fit=False, allow_code=self._code)
        with pinned(spark):
            made = run.frame(self.wanted)
        # Rows are computed after this. Spark 3.5 looks then, and would fail on a date that its
        # parser of before 3.0 had taken; nothing else of ours reads dates by patterns.
        spark.conf.set(PARSER, PINNED[PARSER])
        return made

    @property
    def meaning_text(self) -> str:
        """What decides its rows: the steps it needs, and what they learnt."""
        nodes = self.flow.order([self.wanted.node])
        fitting = [one for one in nodes if _fits(one.does)]
        states = {one.id: self.fitted.states.get(one.id) for one in fitting}
        # A .flow file may hold what its steps learnt, which counts where nothing was learnt since.
        stored = {one.id: dict(one.trained) for one in fitting if one.trained}
        steps = [
            [one.id, plain(one), [[each.node, each.output] for each in one.inputs]] for one in nodes
        ]
        return meaning.digest([steps, self.wanted.output, states, *([stored] if stored else [])])


def flow(
    package: str,
    name: str,
    *,
    node: str = "",
    sources: Mapping[str, str] | None = None,
    allow_code: bool = False,
) -> FlowTransform:
    """The flow of a file in a package of the project, with what ``flow fit`` left beside it.

    Args:
        package: Such as ``"transforms"``; files of it travel with ``--py-files``.
        name: File, ``claims.yaml`` or ``claims.flow``.
        node: The step whose rows are wanted; by default as for ``penstock flow run``.
        sources: The pipeline's source → the flow's, by its name or its file's name. By default
            they are called alike.
        allow_code: Whether Python and SQL in the flow may run.

    Raises:
        UsageError: No such file, or it is no flow.
        ContractError: A source of the flow that the pipeline does not feed.
    """
    folder = files(package)
    if not (folder / name).is_file():
        raise UsageError(f"flow({package!r}, {name!r}): there is no such file in {package}")
    found = document.parse((folder / name).read_bytes(), name)
    wanted = found.result(node)
    needed = [one.does for one in found.order([wanted.node]) if isinstance(one.does, Source)]
    given = _matched(name, sources, needed)
    beside = folder / f"{PurePath(name).stem}.fitted.json"
    text = beside.read_text(encoding="utf-8") if beside.is_file() else "{}"
    return FlowTransform(found, wanted, Fitted.parse(text, str(beside)), given, code=allow_code)


def _matched(name: str, sources: Mapping[str, str] | None, needed: list[Source]) -> dict[str, str]:
    """The pipeline's source → the flow's, each of the flow's fed once."""
    aliases = {alias: one.name for one in needed for alias in (one.file_name, one.name) if alias}
    wanted = {one.name: one.name for one in needed} if sources is None else dict(sources)
    found = {ours: aliases.get(theirs, "") for ours, theirs in wanted.items()}
    if sorted(found.values()) != sorted(one.name for one in needed):
        raise ContractError(
            f"{name}: the flow reads {', '.join(sorted(aliases))}; "
            f"fed are {', '.join(sorted(wanted.values())) or 'none'}",
            "Say flow(…, sources={SOURCE OF THE PIPELINE: SOURCE OF THE FLOW})",
        )
    return found


def _fits(does: object) -> bool:
    return isinstance(does, Step) and does.fits
