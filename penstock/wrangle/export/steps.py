"""The steps of a fitted run as cells of plain pyspark."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType

from penstock.wrangle import reading
from penstock.wrangle.call import Call, Code, Value
from penstock.wrangle.explaining import sentence, short
from penstock.wrangle.export import plain
from penstock.wrangle.export.functions import IMPORTED, Texts
from penstock.wrangle.flow import Flow, Input, Node
from penstock.wrangle.source import Source
from penstock.wrangle.step import DEFAULT, Step

_WIDTH = 96
#: What cells beside those of the steps call their values, and what imports are called there.
_TAKEN = (
    *("LAKE", "EXPORT_TO", "REGION", "ENDPOINT", "GROUP_SETTINGS", "SPARK_SETTINGS"),
    *("json", "Path", "boto3", "penstock", "load", "spark_session", "conf", "lake", "settings"),
    *("spark", "df", "kept"),
)


@dataclass(frozen=True)
class Cell:
    """A cell: Markdown, or Python.

    Args:
        text: What is in it.
        code: Whether it is Python.
        tags: Of Jupyter, ``parameters`` for papermill.
    """

    text: str
    code: bool = True
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """What a flow's steps became.

    Args:
        cells: In the order to run them.
        variables: Name of the variable that holds an output.
        paths: Variables of the sources' places, and what they are to begin with.
        texts: Which functions the cells hold.
    """

    cells: tuple[Cell, ...]
    variables: Mapping[Input, str]
    paths: Mapping[str, str]
    texts: Texts


def written(
    flow: Flow,
    wanted: Input,
    calls: Mapping[Input, Sequence[Call | Code]],
    sources: Mapping[str, Source],
) -> Written:
    """Cells of all a result needs.

    Args:
        flow: The flow.
        wanted: The result.
        calls: What each output's step does, by what it has learnt.
        sources: Located sources by node.
    """
    variables: dict[Input, str] = {}
    paths: dict[str, str] = {}
    cells: list[Cell] = []
    texts = Texts()
    ours = _ours(calls)
    for number, node in enumerate(flow.order([wanted.node]), start=1):
        if isinstance(node.does, Source):
            variable = _variable(node.does.name.rsplit(".", 1)[0], ours, set(variables.values()))
            variables[Input(node.id)] = variable
            cells.append(_read(node, sources[node.id], variable, paths, texts))
        elif isinstance(node.does, Step):
            cells += _cells(number, node, node.does, calls, variables, texts, ours)
    return Written(tuple(cells), variables, paths, texts)


def _read(node: Node, source: Source, variable: str, paths: dict[str, str], texts: Texts) -> Cell:
    place = f"{variable.upper()}_PATH"
    call = reading.call(source)
    paths[place] = str(call.arguments["path"])
    others = {name: one for name, one in call.arguments.items() if name != "path"}
    line = _assigned(variable, call, ["spark"], others, {"path": place})
    head = f"# {sentence(node)} [{short(node)}]"
    return Cell("\n\n\n".join([head, *texts.of([call.function]), line]))


def _cells(
    number: int,
    node: Node,
    step: Step,
    calls: Mapping[Input, Sequence[Call | Code]],
    variables: dict[Input, str],
    texts: Texts,
    ours: frozenset[str],
) -> Iterator[Cell]:
    inputs = [variables[one] for one in node.inputs]
    parts: list[str] = []
    functions: list[str] = []
    for output in step.outputs:
        key = Input(node.id, output)
        own = f"step_{number}" if output == DEFAULT else f"step_{number}_{_plain(output)}"
        variables[key] = _variable(own, ours, set(variables.values()))
        functions += texts.of(
            each
            for one in calls[key]
            for each in ([one.function] if isinstance(one, Call) else one.uses)
        )
        parts += _lines(variables[key], inputs, calls[key], ours | set(variables.values()))
    head = f"# {sentence(node)} [{short(node)}]"
    spread = [f"{one}\n\n" for one in functions]
    yield Cell("\n".join([head, "", *spread, *parts]) if spread else "\n".join([head, *parts]))


def _lines(
    variable: str, inputs: list[str], calls: Sequence[Call | Code], ours: frozenset[str]
) -> Iterator[str]:
    """Statements that make a variable of others."""
    if not calls:
        yield f"{variable} = {inputs[0]}"
    frames = inputs
    for one in calls:
        if isinstance(one, Call):
            yield _assigned(variable, one, frames, one.arguments, {})
        else:
            yield from _code(variable, frames[0], one, ours)
        frames = [variable]


def _code(variable: str, frame: str, code: Code, ours: frozenset[str]) -> Iterator[str]:
    """A flow's own code between what goes in and what comes out.

    While a flow runs, the names it binds are its own. Here cells share theirs: where it binds one
    of ours, ours are put back.
    """
    binds = code.binds - {"df", *dir(builtins)}
    hides = "*" in binds or binds & ours
    if hides:
        yield "kept = dict(globals())  # the code below takes names that are in use"
    yield f"df = {frame}"
    yield code.source
    if hides:
        yield 'globals().update({**kept, "df": df})'
    yield f"{variable} = df"


def _assigned(
    variable: str,
    call: Call,
    frames: Sequence[str],
    arguments: Mapping[str, Value],
    names: Mapping[str, str],
) -> str:
    """``variable = function(frame, name=value, …)``, a line an argument where one is too short."""
    given = [*frames, *(f"{name}={one}" for name, one in names.items())]
    given += [f"{name}={_literal(one)}" for name, one in arguments.items()]
    line = f"{variable} = {call.function.__name__}({', '.join(given)})"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    inner = "".join(f"    {one},\n" for one in given)
    return f"{variable} = {call.function.__name__}(\n{inner})"


def _literal(value: Value) -> str:
    """A plain value as Python; one that is long takes several lines."""
    short_form = repr(value)
    if len(short_form) <= _WIDTH - 20 or not isinstance(value, (list, dict)):
        return short_form
    pairs = (
        [f"{key!r}: {_literal(one)}" for key, one in value.items()]
        if isinstance(value, dict)
        else [_literal(one) for one in value]
    )
    body = "".join("        " + one.replace("\n", "\n    ") + ",\n" for one in pairs)
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}\n{body}    {closing}"


def _ours(calls: Mapping[Input, Sequence[Call | Code]]) -> frozenset[str]:
    """Names that cells use and no source's variable may have: ours, and Python's own."""
    texts = Texts()
    each = [one for some in calls.values() for one in some]
    texts.of(one.function for one in each if isinstance(one, Call))
    texts.of(use for one in each if isinstance(one, Code) for use in one.uses)
    texts.of(one for one in vars(plain).values() if isinstance(one, FunctionType))
    texts.of((reading.read_csv, reading.read_csv_after, reading.read_files))
    return frozenset({*texts.names, *IMPORTED, *_TAKEN, *dir(builtins)})


def _plain(text: str) -> str:
    made = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_").lower() or "rows"
    return f"_{made}" if made[0].isdigit() else made


def _variable(text: str, ours: frozenset[str], taken: set[str]) -> str:
    made = _plain(text)
    if keyword.iskeyword(made) or made in ours:
        made = f"{made}_rows"
    base, number = made, 2
    while made in ours | taken:
        made, number = f"{base}_{number}", number + 1
    return made
