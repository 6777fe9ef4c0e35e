"""What makes a feature differ from run to run: the clock and chance in people's code.

Of 35 public flows, 7 take their event time from the clock (facts: wrangler, 0): the same rows then
come out as other features, later, at every run.
"""

from __future__ import annotations

import ast
import re
import warnings

#: Calls by the last of their names, and what they read.
_CLOCK = {
    "now",
    "today",
    "utcnow",
    "time_ns",
    "current_date",
    "current_timestamp",
    "localtimestamp",
    "unix_timestamp",
    "curdate",
    "getdate",
}
_CHANCE = {
    "rand",
    "randn",
    "random",
    "randint",
    "randrange",
    "choice",
    "choices",
    "shuffle",
    "sample",
    "uuid",
    "uuid1",
    "uuid4",
    "token_hex",
    "default_rng",
    "monotonically_increasing_id",
}
#: Names of columns that Spark reads as the clock.
_CLOCK_NAMES = {"current_date", "current_timestamp"}
_SEEDS = {"seed", "random_state"}
_SEED_PLACES = {"rand": 0, "randn": 0, "default_rng": 0}
_SQL = re.compile(
    r"\b(now|current_date|current_timestamp|localtimestamp|curdate|getdate|unix_timestamp"
    r"|rand|randn|random|uuid|shuffle|monotonically_increasing_id)\b\s*(\(\s*\)|\((?=[^)]))?",
    re.IGNORECASE,
)
_BARE = ("current_date", "current_timestamp", "localtimestamp")
_TEXT = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL
)


def python_chances(code: str) -> tuple[str, ...]:
    """What Python code takes from the clock or from chance, a sentence each; none where it is none.

    Reads the code and does not run it; a name made up at run time is not seen.
    """
    try:
        tree = _parsed(code)
    except SyntaxError:
        return ()
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, what = _called(node)
            if what:
                found.setdefault(name, _said(name, node.lineno, what))
        elif isinstance(node, ast.Constant) and node.value in _CLOCK_NAMES:
            found.setdefault(str(node.value), _said(str(node.value), node.lineno, "the clock"))
    return tuple(found.values())


def sql_chances(text: str) -> tuple[str, ...]:
    """The same of Spark SQL."""
    plain = _TEXT.sub(" ", text)
    found: dict[str, str] = {}
    for match in _SQL.finditer(plain):
        name, call = match[1].lower(), match[2]
        if name == "unix_timestamp" and call and ")" not in call:
            continue  # of a column
        if name in ("rand", "randn", "random", "shuffle") and call and ")" not in call:
            continue  # with a seed, or a column
        if call or name in _BARE:
            what = "the clock" if name in _CLOCK or name in _BARE else "chance"
            line = plain.count("\n", 0, match.start()) + 1
            found.setdefault(name, _said(name, line, what))
    return tuple(found.values())


def syntax_fault(code: str) -> str:
    """Why Python code cannot run, in one sentence; '' where it is Python."""
    try:
        _parsed(code)
    except SyntaxError as error:
        curly = sorted(set(code) & set("‘’“”"))
        hint = f"; it holds curly quotes ({' '.join(curly)})" if curly else ""
        place = f"line {error.lineno}: " if error.lineno else ""
        return f"the code is no Python: {place}{error.msg}{hint}"
    return ""


def _parsed(code: str) -> ast.AST:
    """The tree of Python code.

    Raises:
        SyntaxError: It is none, whatever Python thinks is wrong with it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a regular expression's back-slashes
            return ast.parse(code)
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte, a thousand brackets
        raise SyntaxError(str(error) or type(error).__name__) from error


def _called(node: ast.Call) -> tuple[str, str]:
    """Name of a call and what it reads; nothing for most calls."""
    name = _last(node.func)
    texts = [
        one.value
        for one in node.args
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    if name in ("expr", "sql"):
        spoken = [one for text in texts for one in sql_chances(text)]
        return name, "the clock or chance" if spoken else ""
    if _reads_clock(node, name, texts):
        return name, "the clock"
    return name, "chance" if name in _CHANCE and not _seeded(node, name) else ""


def _reads_clock(node: ast.Call, name: str, texts: list[str]) -> bool:
    if name == "time":
        return not node.args and _owner(node.func) in ("", "time")
    if name in ("to_datetime", "Timestamp", "datetime64"):
        return bool({"now", "today"}.intersection(texts))
    return name in _CLOCK and not (name == "unix_timestamp" and node.args)


def _seeded(node: ast.Call, name: str) -> bool:
    """Whether a seed is given, by name or in its place."""
    place = _SEED_PLACES.get(name)
    return any(one.arg in _SEEDS for one in node.keywords) or (
        place is not None and len(node.args) > place and _owner(node.func) != "random"
    )


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _owner(node: ast.expr) -> str:
    return _last(node.value) if isinstance(node, ast.Attribute) else ""


def _said(name: str, line: int, what: str) -> str:
    return f"line {line}: {name} reads {what}: every run gives other features"
