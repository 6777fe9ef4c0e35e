"""What a run tells others of itself at its end: its report, a line of metrics, events of lineage.

None of it ever fails a run, or keeps one from ending as it would: what goes wrong is a warning in
the log. A run that is interrupted has a line of metrics and no report: the one that finishes its
window has.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.bucket import storage_of
from penstock.conf_observe import STDERR
from penstock.errors import PenstockError, TemporaryError, unknown
from penstock.foreign import said
from penstock.report import emf, lineage, run_page
from penstock.report.shelf import Shelf
from penstock.run.context import Context
from penstock.run.gathering import figures, gathered, outline
from penstock.run.places import docs_path, offline_path, reports_path
from penstock.run.work import Work

LOG = logging.getLogger("penstock")
#: Ends of a run that are told of: the data failed a gate, figures disagree.
_TOLD = frozenset({65, 70})


@contextmanager
def observed(work: Work) -> Iterator[None]:
    """Tell of a run that it has begun, and at its end how it ended."""
    _quietly((work.group.name, work.run), "lineage", lambda: _lineage(work, "START"))
    try:
        yield
    except BaseException as error:
        _ended(work, "FAIL" if isinstance(error, Exception) else "ABORT", _ours(error))
        raise
    _ended(work, "COMPLETE", None)


@contextmanager
def unclaimed(context: Context, group: str, window: str) -> Iterator[None]:
    """Tell of what ends before it is a run (refused, or held by another) that it failed."""
    try:
        yield
    except BaseException as error:
        code = _ours(error).exit_code
        who = {"project": context.settings.project, "group": group, "window": window}
        plain = {**who, "run": "", "state": "stopped", "exit_code": code}
        _quietly((group, "not begun"), "metrics", lambda: _metrics(context, plain))
        raise


def shelf(context: Context, group: str) -> Shelf:
    """The reports of a group."""
    folder = reports_path(context.settings, group)
    return Shelf(storage_of(folder, context.settings), folder)


def _ended(work: Work, kind: lineage.Kind, error: PenstockError | None) -> None:
    settings, of = work.context.settings, (work.group.name, work.run)
    plain = outline(work, error)
    if error is None or error.exit_code in _TOLD:
        plain["figures"] = _quietly(of, "figures", lambda: _figures(work))
        if settings.report:
            plain = _quietly(of, "report", lambda: _report(work, error)) or plain
    _quietly(of, "metrics", lambda: _metrics(work.context, plain))
    _quietly(of, "lineage", lambda: _lineage(work, kind, plain))


def _report(work: Work, error: PenstockError | None) -> dict[str, Any]:
    context = work.context
    place = shelf(context, work.group.name)
    # What a replay has are the rows that were bad: no sample of anything.
    before = None if work.places.window.replays else place.previous(work.run)
    plain = gathered(work, error, before)
    plain["docs"] = _docs(work)
    work.report = place.put(plain, run_page.html(plain), context.now())
    return plain


def _docs(work: Work) -> str | None:
    """Where the Data Docs are, from the folder of reports; None where there are none."""
    settings, group = work.context.settings, work.group.name
    first = f"{docs_path(settings, group)}/index.html"
    if not settings.quality.docs or not storage_of(first, settings).exists(first):
        return None
    return f"../../docs/{group}/index.html"


def _figures(work: Work) -> dict[str, Any] | None:
    storage = work.context.storage
    staged = storage.exists(work.places.manifest(work.generation))
    return figures(work, work.manifest if staged else None)


def _metrics(context: Context, plain: Mapping[str, Any]) -> None:
    observe = context.settings.observe
    if observe.emf is not None:
        _add(context, observe.emf, emf.line(plain, observe.emf_namespace, context.now()))


def _lineage(work: Work, kind: lineage.Kind, plain: Mapping[str, Any] | None = None) -> None:
    settings = work.context.settings
    path = settings.observe.lineage
    if path is None:
        return
    name, place = work.group.name, settings.group(work.group.name)
    sends = work.mode.online != "never"
    job = lineage.Job(
        namespace=settings.observe.lineage_namespace or settings.project,
        group=work.group,
        run=work.run,
        inputs=list(_inputs(work)),
        offline=offline_path(settings, name) if work.mode.offline == "own" else None,
        online=(place.physical or name) if sends else None,
    )
    told = plain or {}
    event = lineage.event(kind, job, work.context.now(), told.get("figures"), told.get("why"))
    _add(work.context, path, event)


def _inputs(work: Work) -> Iterator[str]:
    """Files of all sources, or folders of Delta tables."""
    for pin in (work.feed.pins or {}).values():
        yield from [one[0] for one in pin] if isinstance(pin[0], (list, tuple)) else [pin[0]]


def _add(context: Context, path: str, told: Mapping[str, Any]) -> None:
    """One line, in one write: several runs may add to a file."""
    text = json.dumps(told) + "\n"
    if path == STDERR:
        sys.stderr.write(text)
        sys.stderr.flush()
        return
    file = context.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with Path(file).open("ab", buffering=0) as opened:
        opened.write(text.encode())


def _ours(error: BaseException) -> PenstockError:
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, Exception):
        return unknown(error, "")
    return TemporaryError("interrupted", "The same command goes on where it stopped")


def _quietly(of: tuple[str, str], what: str, act: Callable[[], Any]) -> Any:
    """Do it; what goes wrong is in the log."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - telling of a run must not change how it ends
        LOG.warning("%s: no %s of run %s: %s", of[0], what, of[1], said(error))
        return None
