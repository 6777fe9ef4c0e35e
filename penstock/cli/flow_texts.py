"""``flow explain``, ``lint``, ``steps``, ``strip``, ``diff``: a flow is read, nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.options import Workspace, anywhere_options
from penstock.cli.tables import show, show_json
from penstock.conf_archive import flow_file
from penstock.errors import DIFFERENT, UsageError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from penstock.wrangle.differing import Change
    from penstock.wrangle.step import Step

# That it is there is found out where it is read: one line says so, as of every file.
flow_argument = click.argument(
    "path",
    metavar="FLOW",
    type=click.Path(path_type=Path),
    callback=lambda _context, _parameter, path: flow_file(path),
)


@click.command()
@flow_argument
@anywhere_options
def explain(workspace: Workspace, *, path: Path) -> int:
    """Tell a flow as a recipe: where rows come from, and each step in the order it runs.

    \b
    Example:
      penstock flow explain churn.flow
    """
    from penstock.wrangle import document, explaining

    lines = explaining.recipe(document.load(path))
    if workspace.as_json:
        show_json({"recipe": lines})
    else:
        click.echo("\n".join(lines))
    return 0


@click.command()
@flow_argument
@anywhere_options
def lint(workspace: Workspace, *, path: Path) -> int:
    """Say what is to be known before a flow is trusted. Exit code 65 where part of it cannot run.

    \b
    Example:
      penstock flow lint churn.flow
    """
    from penstock.wrangle import document, linting

    found = linting.lint(document.load(path))
    if workspace.as_json:
        show_json(
            [
                {
                    "gravity": one.gravity.value,
                    "node": one.node.id if one.node else None,
                    "text": one.text,
                }
                for one in found
            ]
        )
    else:
        click.echo("\n".join(map(str, found)) or "nothing found")
    return 65 if any(one.gravity is linting.Gravity.ERROR for one in found) else 0


@click.command()
@click.argument("kind", required=False)
@anywhere_options
def steps(workspace: Workspace, *, kind: str | None) -> int:
    """List the operators of our YAML; with a name, its settings.

    \b
    Examples:
      penstock flow steps
      penstock flow steps one_hot
    """
    from penstock.wrangle import catalogue

    known = catalogue.by_kind()
    if kind is None:
        rows = [(name, (one.__doc__ or "").strip().splitlines()[0]) for name, one in known.items()]
        if workspace.as_json:
            show_json(dict(rows))
        else:
            show(("operator", "what it does"), rows)
        return 0
    if kind not in known:
        raise UsageError(f"no operator {kind!r}", "'penstock flow steps' lists them")
    if workspace.as_json:
        show_json(known[kind].model_json_schema())
    else:
        click.echo(_described(known[kind]))
    return 0


@click.command()
@flow_argument
@click.option(
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, which may be FLOW itself; by default NAME.stripped.flow beside it, if "
    "there is none yet.",
)
@click.option(
    "--with-state",
    "states",
    is_flag=True,
    help="Take out what steps learnt, too; they learn anew. It may hold words of the data.",
)
@anywhere_options
def strip(workspace: Workspace, *, path: Path, file: Path | None, states: bool) -> int:
    """Take out of a .flow file what is no recipe, and say how much that was.

    Results of analyses, which hold samples of the data; results of queries; account numbers in
    ARNs, hosts and names of buckets. The steps stay, with what they learnt. A masked address is no
    place to read from: run the flow with --input for that source.

    \b
    Examples:
      penstock flow strip churn.flow                        # writes churn.stripped.flow
      penstock flow strip churn.flow --output churn.flow    # in place
    """
    from penstock.wrangle import stripping

    target = file or path.with_name(f"{path.stem}.stripped.flow")
    whole = stripping.read(path)
    text, found = stripping.stripped(whole, path.name, states=states)
    if file is None and target.exists():
        raise UsageError(f"{target} is there already", f"To replace it: --output {target}")
    target.write_bytes(text)
    if workspace.as_json:
        show_json({"path": str(target), "bytes": [len(whole), len(text)], **found.figures})
        return 0
    click.echo("\n".join(found.lines))
    click.echo(f"written: {target} ({len(whole):,} bytes before, {len(text):,} now)")
    return 0


@click.command()
@click.argument("before", metavar="BEFORE", type=click.Path(path_type=Path))
@click.argument("after", metavar="AFTER", type=click.Path(path_type=Path))
@anywhere_options
def diff(workspace: Workspace, *, before: Path, after: Path) -> int:
    """Tell which steps were added, removed, changed or moved, in the words of the recipe.

    Of a changed step its settings before and after; of a moved one what it read and reads. The
    order of nodes in a file, blocks of choices made before, and what was learnt are no difference.

    Exit codes: 0 no step differs, 3 some do.

    \b
    Examples:
      penstock flow diff churn.flow changed.flow
      git show HEAD~1:churn.flow > before.flow; penstock flow diff before.flow churn.flow
    """
    from penstock.wrangle import differing, document

    changes = differing.diff(document.load(before), document.load(after))
    if workspace.as_json:
        show_json([_plain(one) for one in changes])
    else:
        click.echo("\n".join(line for one in changes for line in one.lines) or "no step differs")
    return DIFFERENT if changes else 0


def _plain(one: Change) -> dict[str, Any]:
    """A change for programs."""
    node = one.after or one.before
    plain: dict[str, Any] = {"what": one.what.value, "node": node and node.id, "lines": one.lines}
    if one.settings:
        plain["settings"] = {name: {"before": was, "after": is_} for name, was, is_ in one.settings}
    if any(one.reads):
        plain["reads"] = dict(zip(("before", "after"), one.reads, strict=True))
    return plain


def _described(step: type[Step]) -> str:
    """What it does, and each setting: what it may be, its default, what its docstring says."""
    import inspect
    import re
    import textwrap

    does, _, settings = inspect.cleandoc(step.__doc__ or "").partition("\nArgs:\n")
    means = dict(re.findall(r"^    (\w+): ((?:.*\n?)(?:^        .*\n?)*)", settings, re.MULTILINE))
    lines = [does, "Settings:"] if means else [does]
    for name, one in step.model_fields.items():
        text = f"{name}: {_values(one)}. {' '.join(means[name].split())}"
        lines.append(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent=" " * 8))
    return "\n".join(lines)


def _values(one: FieldInfo) -> str:
    """What a setting may be, and whether it has to."""
    from penstock.reference import kind_of, value_of

    kind = kind_of(one.annotation).replace("`, `", " | ").replace("`", "")
    if one.is_required():
        return f"{kind} (required)"
    given = one.get_default(call_default_factory=True)
    signs = isinstance(given, str) and given and not given.isidentifier()
    default = repr(given) if signs else value_of(given).replace("`", "")
    return f"{kind} (default {default})" if default else f"{kind} (optional)"
