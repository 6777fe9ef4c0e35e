"""What a step does to a DataFrame: calls of plain functions, or code that a flow holds.

A function here must stand on its own in a notebook: it uses pyspark's names as below, other such
functions of this package, and constants of plain values; no class of ours, no session::

    from pyspark.sql import Column, DataFrame, Window, WindowSpec
    from pyspark.sql import functions as fn
    from pyspark.sql import types

pandas and numpy, where a function needs them, are imported inside of it. A test checks that.
"""

from __future__ import annotations

import ast
import builtins
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError, UsageError
from penstock.foreign import said

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Text, number, boolean, None, and lists and mappings of these: what JSON holds.
Value = Any
#: What a step learnt from data, as plain values by name.
State = Mapping[str, Value]


@dataclass(frozen=True)
class Call:
    """One call.

    Args:
        function: ``(*given, **arguments) -> DataFrame``.
        arguments: Plain values by the parameters' names.
    """

    function: Callable[..., DataFrame]
    arguments: Mapping[str, Value]

    @classmethod
    def of(cls, function: Callable[..., DataFrame], **arguments: Value) -> Call:
        """The call, its arguments by name."""
        return cls(function, arguments)

    def made(self, *given: DataFrame | SparkSession) -> DataFrame:
        """Make the call, on frames or, of what reads, with a session.

        Raises:
            UsageError: The function says that what is given does not fit: in a notebook a
                ValueError.
        """
        try:
            return self.function(*given, **self.arguments)
        except ValueError as error:
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            if frame.f_code is not getattr(self.function, "__code__", None):
                raise  # whose text may hold values of rows
            raise UsageError(str(error)) from error


@dataclass(frozen=True)
class Code:
    """Python that a flow holds. A notebook holds the same text, so what was exported is what ran.

    Args:
        text: As people wrote it. It finds the rows as ``df`` and the session as ``spark``, and
            leaves its result as ``df``.
        before: Lines of ours that make ``df`` what the text wants.
        after: Lines of ours that make a DataFrame of what it leaves.
        uses: Functions these lines name; they stand on their own as those of :class:`Call` do.
    """

    text: str
    before: str = ""
    after: str = ""
    uses: tuple[Callable[..., Any], ...] = ()

    @property
    def binds(self) -> frozenset[str]:
        """Names the text binds at its top level; ``*`` where it imports a whole module."""
        return frozenset(_bound(ast.parse(self.text)))

    @property
    def source(self) -> str:
        """All lines, to stand in a cell or a script: ``df`` in, ``df`` out.

        Text such as ``from pyspark.sql.functions import max`` hides Python's own ``max`` from all
        that follows: a last line brings back what it hid.

        Raises:
            SyntaxError: The text is no Python.
        """
        bound = self.binds
        hidden = ["*"] if "*" in bound else sorted(bound & set(dir(builtins)))
        back = f"from builtins import {', '.join(hidden)}" if hidden else ""
        parts = [self.before, self.text.strip("\n"), back, self.after]
        return "\n".join(one for one in parts if one)

    def made(self, frame: DataFrame) -> DataFrame:
        """Run it, in this process and with the rights of the session.

        Raises:
            UsageError: It is no Python, it fails, or what it leaves is no DataFrame; says the line.
        """
        from pyspark.sql import DataFrame

        names = {one.__name__: one for one in self.uses}
        own = {"df": frame, "spark": frame.sparkSession}
        # Its functions go to executors by value, as those of a script do.
        scope: dict[str, Any] = {"__name__": "__main__", **own, **names}
        try:
            with warnings.catch_warnings():
                # Flows are older than the pandas they run on; who wrote them is not here.
                warnings.simplefilter("ignore")
                exec(compile(self.source, _FILE, "exec"), scope)  # noqa: S102 - asked for: --allow-code
        except PenstockError:
            raise
        except SyntaxError as error:
            raise UsageError(
                f"its code is no Python: {error.msg} (line {error.lineno}: {error.text or ''})"
            ) from error
        except Exception as error:
            raise UsageError(f"its code fails: {self._said(error)}") from error
        if not isinstance(scope.get("df"), DataFrame):
            raise UsageError("its code leaves no DataFrame as df", "Its last step must be df = …")
        result: DataFrame = scope["df"]
        return result

    def _said(self, error: Exception) -> str:
        """An error without values of rows, and the line of the text where it came up."""
        line, trace, told = 0, error.__traceback__, said(error)
        ours = [one.__code__ for one in self.uses]
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == _FILE:
                line = trace.tb_lineno
            if trace.tb_next is None and trace.tb_frame.f_code in ours:
                told = f"{type(error).__name__}: {error}"
            trace = trace.tb_next
        blank = len(self.text) - len(self.text.lstrip("\n"))
        line += blank - len(self.before.splitlines())
        place = f" (line {line})" if 0 < line <= len(self.text.splitlines()) else ""
        return f"{told}{place}"


_FILE = "<code of the flow>"


def _bound(tree: ast.AST) -> set[str]:
    """Names bound in this scope: not those within functions and classes it defines."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(one.asname or one.name).partition(".")[0] for one in node.names}
        elif isinstance(node, ast.Name):
            found |= {node.id} if isinstance(node.ctx, ast.Store) else set()
        elif not isinstance(node, ast.Lambda):
            found |= _bound(node)
    return found


def made(calls: Sequence[Call | Code], *frames: DataFrame) -> DataFrame:
    """Make the calls one after another; the first gets all the frames.

    Lazy, as the functions are; no calls give the first frame back.
    """
    if not calls:
        return frames[0]
    first, *rest = calls
    return reduce(lambda frame, one: one.made(frame), rest, first.made(*frames))
