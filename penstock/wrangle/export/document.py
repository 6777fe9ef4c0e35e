"""From a flow that has been run to a notebook or a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from penstock.catalog.table import table_name
from penstock.errors import UsageError
from penstock.wrangle import explaining, reading
from penstock.wrangle.export.cells import Joined, Wanted, cells
from penstock.wrangle.export.contract import check_type, fitting
from penstock.wrangle.export.form import notebook, script
from penstock.wrangle.export.steps import written
from penstock.wrangle.source import Source

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.wrangle.flow import Input
    from penstock.wrangle.running import Run

Form = Literal["notebook", "script"]
Stores = Literal["online", "offline", "both"]


@dataclass(frozen=True)
class Export:
    """What is asked for.

    Args:
        group: Name of the feature group.
        record_identifier: Column of the flow's result.
        event_time: Column of the flow's result.
        stores: Which stores the group has.
        form: Notebook or script.
        joined: Groups to join.
        new: New features: name → Spark SQL over the joined rows.
    """

    group: str
    record_identifier: str
    event_time: str
    stores: Stores = "both"
    form: Form = "notebook"
    joined: Sequence[Joined] = ()
    new: Mapping[str, str] = field(default_factory=dict)


def text(
    run: Run,
    wanted: Input,
    export: Export,
    settings: Settings,
    folder: Path,
    given: Mapping[str, str],
) -> str:
    """The notebook's or script's text. Fits what has not learnt yet.

    Args:
        run: Over the flow, with its sources.
        wanted: The result.
        export: What is asked for.
        settings: Of the project: region, endpoint, the group's role and key.
        folder: Of the flow, where relative paths begin.
        given: ``--input``.

    Raises:
        UsageError: A column that is not there; a source that is a feature group.
    """
    frame = run.frame(wanted)
    kinds = dict(frame.dtypes)
    made = fitting(export.group, export.record_identifier, export.event_time, frame.dtypes)
    check_type(kinds[export.event_time], export.event_time)
    sources = {}
    for node in run.flow.order([wanted.node]):
        source = node.does
        if not isinstance(source, Source):
            continue
        if source.group and source.name not in given:
            raise UsageError(
                f"source {source.name!r} is a feature group, which a notebook cannot read",
                f"Give its rows as a file: --input {source.name}=PATH",
            )
        sources[node.id] = reading.located(source, folder, given)
    steps = written(run.flow, wanted, run.calls, sources)
    whole = Wanted(
        title=f"{export.group}, from {run.flow.name}",
        recipe=explaining.recipe(run.flow),
        fitting=made,
        table=table_name(made.group.name, settings),
        stores=export.stores,
        joined=export.joined,
        new=export.new,
        settings=settings,
    )
    found = cells(whole, steps, steps.variables[wanted])
    return notebook(found) if export.form == "notebook" else script(found)


def joined(texts: Sequence[str], settings: Settings) -> list[Joined]:
    """``--join GROUP:OURS=THEIRS[,OURS=THEIRS…]@EVENT_TIME`` of the command line.

    Raises:
        UsageError: It is something else.
    """
    found = []
    for one in texts:
        name, _, rest = one.partition(":")
        keys, _, event_time = rest.partition("@")
        pairs = [pair.partition("=") for pair in keys.split(",")]
        if not name or not event_time or not all(ours and theirs for ours, _, theirs in pairs):
            raise UsageError(
                f"--join {one!r} is no GROUP:OURS=THEIRS@EVENT_TIME",
                "For example: --join customers:policy_id=policy_id@event_time",
            )
        on = {ours: theirs for ours, _, theirs in pairs}
        found.append(Joined(name, table_name(name, settings), on, event_time))
    return found
