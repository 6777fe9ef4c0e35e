"""STAGE: from pinned inputs to files that are fit, counted twice and gated.

The sources go through the source gate into typed files, the transform's output through the feature
gate; then the whole is judged: share put aside, expectations on the set, corrections that would
part the stores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from pyspark.sql import DataFrame

from penstock import quality
from penstock.bucket import storage_of
from penstock.contract import DELETED
from penstock.errors import DataGateError, MismatchError, PenstockError
from penstock.expectation import split
from penstock.gate import Bounds, FeatureGate, SourceGate
from penstock.run.correction import check_corrections
from penstock.run.figures import Figures, SourceFigures, source_figures
from penstock.run.manifest import Manifest
from penstock.run.places import docs_path
from penstock.run.readings import read
from penstock.run.work import Work
from penstock.stage.report import Report, check_files
from penstock.stage.spark import (
    SourceStaging,
    extra_columns,
    shuffle_partitions,
    stage_features,
)
from penstock.stage.tasks import FeatureTask
from penstock.storage import LocalStorage, is_s3

FEW = 4  # names in a message


def staged_manifest(work: Work) -> Manifest:
    """Stage a window from scratch; only the manifest, once written, makes it count.

    Raises:
        ContractError: The transform's output lacks a feature.
        DataGateError: Too much was put aside, an expectation failed, or values were changed at
            event
            times that are written already. What was put aside is in the quarantine all the same.
        MismatchError: Rows were lost between two counts.
        TemporaryError: A source changed while it was read.
    """
    context, folder = work.context, work.places.staged(work.generation, work.epoch)
    _check_rules(work)
    sources, frame, bad = _sources(work, folder)
    work.say("transforming, validating and staging")
    extra = extra_columns(frame, work.group)
    if extra:
        work.note(f"columns that are no features are left out: {_few(extra)}")
    task = FeatureTask(
        group=work.group,
        bounds=Bounds(work.places.window.start, work.places.window.end),
        latest=context.now() + timedelta(seconds=context.settings.quality.future_tolerance_s),
        folder=folder,
        send=work.mode.online != "never",
        each=work.mode.online == "each",
        every_at=context.now() if work.mode.online == "service" else None,
    )
    partitions = shuffle_partitions(context.spark)
    staged = stage_features(frame, task, partitions, context.storage)
    what = f"{work.group.name}: feature gate"
    check_files(what, staged, context.storage, online=work.mode.online)
    _check_passed_on(work, sources, staged)
    for one in work.feed.inputs:
        one.check()
    found = Figures(
        sources=sources,
        produced=staged.rows_in,
        outside=staged.outside,
        quarantined=staged.quarantined,
        dropped=staged.dropped,
        duplicates=staged.duplicates,
        ties=staged.ties,
        valid=staged.fit,
        identifiers=staged.identifiers,
    )
    bad = [*bad, *(one.path for one in staged.bad)]
    work.quarantine.add_staged(bad, work.entry())
    _check_ratio(work, found)
    _check_expectations(work, staged)
    correct = check_corrections(work, staged)
    return Manifest(
        run=work.run,
        pins=work.feed.pins,
        meaning=work.feed.meaning,
        mode=work.mode,
        chunk_rows=context.settings.online.chunk_rows,
        compare=work.compare,
        staged=staged,
        figures=found,
        correct=correct,
    )


def _sources(work: Work, folder: str) -> tuple[tuple[SourceFigures, ...], DataFrame, Sequence[str]]:
    """Gate every source: figures, the transform's output (lazy), files of rows put aside."""
    if work.feed.frame is not None:
        return (), work.feed.frame, ()
    context, frames = work.context, {}
    found: list[SourceFigures] = []
    bad: list[str] = []
    for one in work.feed.inputs:
        if one.extra:
            work.note(f"{one.name}: columns nobody declared are left out: {_few(one.extra)}")
        staging = SourceStaging(context.spark, context.storage, f"{folder}/source-{one.name}")
        reading = read(context.read, work.group.name, one, work.places.window, staging, work.say)
        found.append(source_figures(one.name, reading.report, one.extra))
        bad += [file.path for file in reading.report.bad]
        frames[one.name] = reading.frame
    return tuple(found), _transformed(work, frames), bad


def _few(names: Sequence[str]) -> str:
    """A few names and how many more; the figures have them all."""
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more} more" if more > 0 else "")


def _transformed(work: Work, frames: dict[str, DataFrame]) -> DataFrame:
    if work.feed.transform is None:
        return next(iter(frames.values()))
    made = work.feed.transform(**frames)
    if not isinstance(made, DataFrame):
        raise PenstockError(f"{work.group.name}: the transform gave no DataFrame but {type(made)}")
    return made


def _check_rules(work: Work) -> None:
    """Rules that cannot work end the run before any data is read."""
    group = work.group
    gate = FeatureGate(group, Bounds(), work.context.now())
    quality.check(split(group.all_expectations, gate.schema).staged)
    for one in work.feed.inputs:
        split(one.source.expectations, SourceGate(one.name, one.source, Bounds()).schema)


def _check_passed_on(work: Work, sources: Sequence[SourceFigures], staged: Report) -> None:
    """Without a transform what passes the source gate comes to the feature gate, row for row."""
    if work.feed.transform is not None or not sources:
        return
    passed = sum(one.passed for one in sources)
    if passed != staged.rows_in:
        message = f"{work.group.name}: {passed} rows passed the source gate, {staged.rows_in} came"
        raise MismatchError(message, "Nothing was published; please report this as a defect")


def _check_ratio(work: Work, found: Figures) -> None:
    limit = work.context.settings.quality.max_quarantine_ratio
    aside, read = found.all_quarantined, max(found.read, found.produced)
    if aside > read * limit:
        message = f"{work.group.name}: {aside} of {read} rows were put aside, more than {limit:.2%}"
        remedy = "Nothing was published; see 'penstock quarantine list', then mend source or rule"
        raise DataGateError(message, remedy)


@contextmanager
def _docs(work: Work) -> Iterator[Path | None]:
    """Folder for Data Docs, which Great Expectations writes to disks alone; None for none."""
    settings = work.context.settings
    place = docs_path(settings, work.group.name)
    if not settings.quality.docs:
        yield None
    elif not is_s3(place):
        yield Path(place)
    else:
        storage = storage_of(place, settings)
        with tempfile.TemporaryDirectory(prefix="penstock-docs-") as folder:
            yield Path(folder)
            for file in LocalStorage().walk(folder):
                storage.write(place + file.removeprefix(folder), LocalStorage().read(file))


def _check_expectations(work: Work, staged: Report) -> None:
    wanted = split(work.group.all_expectations).staged
    if not wanted:
        return
    work.say(f"checking {len(wanted)} expectations on the staged set")
    rows = work.table.staged([one.path for one in staged.rows])
    if work.group.deleted_when is not None:  # a deletion has no values to be judged
        rows = rows.where(f"NOT {DELETED}")
    rows = rows.select(*(f"`{name}`" for name in work.group.names))
    with _docs(work) as docs:
        verdict = quality.validate(rows, wanted, work.group.name, docs)
    work.findings = verdict.findings
    for finding in quality.decide(verdict):
        work.note(f"warning: the staged set does not meet {finding}")
