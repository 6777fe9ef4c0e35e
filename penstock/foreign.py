"""What may be said of an error that is not ours: never what it says itself, for that may hold rows.

Spark quotes the value that a cast refused, Python the text that is no number, Arrow and pandas
likewise. So of an error are told its type, Spark's error class, and the place in the project's code
where it came up: all of them names. Errors that are about code, files or the network keep their
text. With ``--debug`` everybody's text is shown, and in the log.
"""

from __future__ import annotations

import copy
import logging
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Their texts are names of code, of files or of machines. Of Spark's, what it finds wrong with a
#: query before any row is read. All others are closed: ValueError, KeyError, TypeError, ….
_OPEN = (OSError, ImportError, NameError, AttributeError, SyntaxError, MemoryError, RecursionError)
_OPEN_NAMES = frozenset(
    {
        "penstock.PenstockError",
        "pyspark.AnalysisException",
        "pyspark.ParseException",
        "botocore.ClientError",
        "botocore.BotoCoreError",
        "yaml.YAMLError",
        "json.JSONDecodeError",
    }
)
_TRACE = "Traceback (most recent call last):"
#: Spark's error class stands behind the Java class that bears it: ``…Exception: [DIVIDE_BY_ZERO]``.
_CONDITION = re.compile(r"org\.apache\.spark\.[\w.]+: \[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_JAVA = re.compile(r"^(?:: |Caused by: )?(?:[a-z]\w*\.)+([A-Z]\w*)(?=:|$)", re.MULTILINE)
_FILE = re.compile(r'^\s*File "([^"\n]+)", line (\d+), in \S+$', re.MULTILINE)
_FRAME = re.compile(r"\s+at [\w$.<>/]+\([\w$. ]+(?::\d+)?\)|\s+\.\.\. \d+ more")
_KIND = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")
_LIBRARY = re.compile(r"<|.*(?:/lib/python|-packages/|pyspark\.zip|penstock\.zip)")
_OURS = str(Path(__file__).parent)

#: Error classes of ANSI mode, Spark 4's default, by how they begin: what does not raise them.
_STRICT = {
    "CAST_": "try_cast",
    "DIVIDE_BY_ZERO": "try_divide",
    "REMAINDER_BY_ZERO": "try_mod",
    "CANNOT_PARSE_TIMESTAMP": "try_to_timestamp",
    "ARITHMETIC_OVERFLOW": "try_add, try_subtract or try_multiply",
    "BINARY_ARITHMETIC_OVERFLOW": "try_add, try_subtract or try_multiply",
    "NUMERIC_VALUE_OUT_OF_RANGE": "try_cast",
    "INVALID_ARRAY_INDEX": "get or try_element_at",
}


def advice(error: BaseException) -> str:
    """What to write instead, where Spark was too strict for a value; else empty."""
    condition = _condition(error) or ""
    instead = next((one for name, one in _STRICT.items() if condition.startswith(name)), None)
    return "" if instead is None else f"A value does not fit, and the code is strict: use {instead}"


def said(error: BaseException) -> str:
    """An error in one line without values: ``NumberFormatException [CAST_INVALID_INPUT] at …``."""
    name = type(error).__name__
    if _is_open(error):
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"{name}: {lines[0].strip(' .;')[:300]}" if lines else name
    text, condition = _text(error), _condition(error)
    inner = _worker_kind(text) or (_JAVA.findall(text) or [""])[-1]
    told = f"{name} ({inner})" if inner and not inner.endswith(name) else name
    told += f" [{condition}]" if condition else ""
    where = _called(error) or place(_frames(error, text))
    return f"{told} at {where}" if where else told


def place(frames: Sequence[tuple[str, int]]) -> str | None:
    """File and line of the innermost frame that is neither a library's nor ours; None without."""
    theirs = [one for one in frames if not _LIBRARY.match(one[0]) and not one[0].startswith(_OURS)]
    return f"{theirs[-1][0]}:{theirs[-1][1]}" if theirs else None


class Formatter(logging.Formatter):
    """Lines of a log: of an error and all it comes from, types and places, and no text but ours."""

    def format(self, record: logging.LogRecord) -> str:
        """One record; what another handler made of its error is not taken."""
        own = copy.copy(record)
        own.exc_text = None
        return super().format(own)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """What stands for the stack trace."""
        return "\nwhich led to\n".join(_traced(one) for one in reversed(list(_chain(ei[1]))))


def _traced(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f'  File "{one.filename}", line {one.lineno}, in {one.name}' for one in frames]
    lines.append(said(error))
    for line in [] if _is_open(error) else _text(error).splitlines():
        if _FILE.fullmatch(line) or _FRAME.fullmatch(line):
            lines.append(line)
        elif line.startswith("Caused by: ") and (java := _JAVA.match(line)):
            lines.append(java[0])
    return "\n".join(lines)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_open(error: BaseException) -> bool:
    if isinstance(error, _OPEN):
        return True
    kinds = {f"{one.__module__.partition('.')[0]}.{one.__name__}" for one in type(error).__mro__}
    # A data source in Python fails as a query does, with the trace of its worker.
    return bool(kinds & _OPEN_NAMES) and _TRACE not in str(error)


def _text(error: BaseException) -> str:
    """All that one of Spark's says, Java's stack included: to look for names in."""
    if type(error).__module__.partition(".")[0] not in ("pyspark", "py4j"):
        return ""
    return str(getattr(error, "_stackTrace", None) or error)


def _condition(error: BaseException) -> str | None:
    """The error class of the innermost error of Spark's."""
    found = _CONDITION.findall(_text(error))
    if found:
        return str(found[-1])
    # Spark 4 calls it a condition, and warns of its name of before.
    asked = getattr(error, "getCondition", None) or getattr(error, "getErrorClass", None)
    with suppress(Exception):  # the JVM may be gone
        return None if asked is None else asked()
    return None


def _called(error: BaseException) -> str | None:
    """Where the expression that failed was written, as Spark 4 says of those of DataFrames."""
    with suppress(Exception):  # of SQL's there is none; the JVM may be gone
        (context, *_) = error.getQueryContext()  # type: ignore[attr-defined]  # Spark's have it
        file, _, line = context.callSite().rpartition(":")
        return place([(file, int(line))])
    return None


def _frames(error: BaseException, text: str) -> list[tuple[str, int]]:
    """Files and lines: of this process, then of the worker whose trace it carries."""
    found = [(one.filename, one.lineno or 0) for one in traceback.extract_tb(error.__traceback__)]
    return found + [(file, int(line)) for file, line in _FILE.findall(text)]


def _worker_kind(text: str) -> str | None:
    """The type of what a Python worker raised: the first line that is not indented ends a trace."""
    _, found, after = text.rpartition(_TRACE)
    if not found:
        return None
    last = next((one for one in after.splitlines() if one[:1].strip()), "")
    kind = _KIND.match(last)
    return kind[0].rpartition(".")[2] if kind else None
