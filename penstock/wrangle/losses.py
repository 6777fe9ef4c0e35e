"""Count what steps silently lose, in the pass that computes the rows anyway."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as fn

if TYPE_CHECKING:
    from penstock.wrangle.call import State
    from penstock.wrangle.step import Step

#: Spark drops an observation whose rows it finds it need not compute; asking for it then waits for
#: ever. One that was made is there at once.
_PATIENCE_S = 2.0


class Losses:
    """Counters beside the frames of one run; read after the rows were written."""

    def __init__(self) -> None:
        self._watched: list[tuple[Observation, list[str]]] = []

    def watch(self, step: Step, frame: DataFrame, state: State) -> DataFrame:
        """The frame, its rows that lose something counted while they pass."""
        conditions: Mapping[str, Column] = step.losses(frame, state)
        if not conditions:
            return frame
        observation = Observation()
        counts = [
            fn.count(fn.when(one, 1)).alias(str(n)) for n, one in enumerate(conditions.values())
        ]
        self._watched.append((observation, list(conditions)))
        return frame.observe(observation, *counts)

    def counted(self) -> dict[str, int]:
        """How many, by what happened to them; what happened to none is left out."""
        found: dict[str, int] = {}
        for observation, texts in self._watched:
            for n, text in enumerate(texts):
                count = int(_answer(observation).get(str(n), 0))
                if count:
                    found[text] = found.get(text, 0) + count
        return found


def _answer(observation: Observation) -> dict[str, Any]:
    """What was observed; nothing where Spark left it out."""
    found: dict[str, Any] = {}

    def ask() -> None:
        found.update(observation.get)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE_S)
    return found
